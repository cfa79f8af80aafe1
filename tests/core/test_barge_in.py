"""Barge-in: a sound is judged by its duration, its level and its words."""

from __future__ import annotations

from vivavoce.core.back_channels import BackChannels
from vivavoce.core.barge_in import BargeIn, IgnoredReason, UserVoice, Verdict
from vivavoce.core.events import TranscriptUpdated, VoiceScored
from vivavoce.domain.ids import TurnId

FRAME = 512
ENGLISH = BackChannels()


class Sound:
    """A microphone that has heard the user at -20 dB, and a candidate from its first frame on."""

    def __init__(self, level: float = -20.0, known: bool = True) -> None:
        self.voice = UserVoice()
        self.position = 0
        if known:
            self.hear(32, level=-20.0, is_user=True)
            self.voice.end_turn(understood=True)
        self.edge = self.position
        self.hear(2, level=level)
        self.candidate = BargeIn(self.edge, self.position, self.voice)

    def hear(
        self, frames: int, level: float = -20.0, score: float = 0.9, is_user: bool = False
    ) -> None:
        for _ in range(frames):
            self.position += FRAME
            scored = VoiceScored(self.position, (score,), FRAME, levels=(level,))
            self.voice.add_scores(scored, is_user)
            if hasattr(self, "candidate"):
                self.candidate.advance(self.position)

    def rest(self, frames: int) -> None:
        self.hear(frames, level=-96.0, score=0.0)

    def say(self, text: str, confidence: float = 0.9, final: bool = False) -> None:
        update = TranscriptUpdated(TurnId(1), self.position, text, final, "", confidence)
        self.candidate.add_words(ENGLISH, update)

    @property
    def verdict(self) -> tuple[Verdict, IgnoredReason]:
        return self.candidate.verdict, self.candidate.reason


BACK_CHANNEL = (Verdict.NOTHING, IgnoredReason.BACK_CHANNEL)
NO_WORDS = (Verdict.NOTHING, IgnoredReason.NO_WORDS)


def test_words_that_are_no_back_channel_interrupt_at_once() -> None:
    sound = Sound()
    sound.hear(6)
    sound.say("Stop.")
    assert sound.candidate.verdict is Verdict.INTERRUPTION


def test_a_back_channel_is_nothing_after_the_time_to_decide_and_not_before() -> None:
    sound = Sound()
    sound.hear(6)
    sound.say("Yeah.")
    assert sound.candidate.verdict is Verdict.UNDECIDED
    sound.rest(6)
    assert sound.verdict == BACK_CHANNEL


def test_words_that_follow_a_back_channel_interrupt() -> None:
    sound = Sound()
    sound.hear(6)
    sound.say("Yeah.")
    sound.hear(10)
    assert sound.verdict == BACK_CHANNEL
    sound.say("Yeah but")
    assert sound.candidate.verdict is Verdict.INTERRUPTION


def test_another_reading_of_the_same_sound_changes_nothing() -> None:
    sound = Sound()
    sound.hear(10)
    sound.say("Right.")
    sound.rest(20)
    sound.say("Rate", final=True)
    assert sound.verdict == BACK_CHANNEL


def test_after_a_question_a_back_channel_is_an_answer() -> None:
    sound = Sound()
    sound.candidate.answers = True
    sound.hear(6)
    sound.say("Yeah.")
    assert sound.candidate.verdict is Verdict.INTERRUPTION


def test_naming_an_option_of_a_question_is_an_answer_and_the_question_itself_an_echo() -> None:
    option, question = Sound(), Sound()
    for sound, said in ((option, "Tuesday."), (question, "Would Monday or Tuesday suit")):
        sound.candidate.answers = True
        sound.candidate.heard = "would monday or tuesday suit you"
        sound.hear(6)
        sound.say(said)
        assert sound.candidate.verdict is Verdict.UNDECIDED
        sound.rest(20)
        sound.say(said, final=True)
    assert option.candidate.verdict is Verdict.INTERRUPTION
    assert question.verdict == (Verdict.NOTHING, IgnoredReason.ECHO)


def test_a_hum_is_nothing_and_a_voice_with_unsure_silence_interrupts_if_it_goes_on() -> None:
    hum, voice, over = Sound(), Sound(), Sound()
    for sound in (hum, voice, over):
        sound.hear(6)
        sound.say("", confidence=0.95 if sound is hum else 0.5)
    hum.hear(6)
    voice.hear(6)
    over.rest(6)
    assert hum.verdict == NO_WORDS
    assert voice.candidate.verdict is Verdict.INTERRUPTION
    assert over.verdict == NO_WORDS


def test_without_words_in_time_duration_decides() -> None:
    long, short = Sound(), Sound()
    long.hear(12)
    short.hear(1)
    short.rest(11)
    assert long.candidate.verdict is Verdict.INTERRUPTION
    assert short.verdict == (Verdict.NOTHING, IgnoredReason.SHORT)


def test_an_echo_is_nothing() -> None:
    sound = Sound()
    sound.candidate.heard = "until they are soft and golden"
    sound.hear(6)
    sound.say("soft and golden")
    sound.hear(6)
    assert sound.verdict == (Verdict.NOTHING, IgnoredReason.ECHO)


def test_a_far_voice_is_nothing_whatever_it_says() -> None:
    sound = Sound(level=-32.0)
    sound.hear(20, level=-32.0)
    sound.say("Dinner is ready.", final=True)
    assert sound.verdict == (Verdict.NOTHING, IgnoredReason.FAR)
    assert not sound.candidate.look_is_due(sound.position)
    assert sound.candidate.begun_anew_at is None


def test_a_far_voice_is_judged_by_its_words_where_its_level_does_not_count() -> None:
    sound = Sound(level=-32.0)
    sound.candidate.disregard_level()
    sound.say("Dinner is ready.", final=True)
    assert sound.candidate.verdict is Verdict.INTERRUPTION


def test_the_level_is_that_of_turns_with_words() -> None:
    sound = Sound()
    sound.hear(60, level=0.0, is_user=True)
    sound.voice.end_turn(understood=False)
    sound.hear(2, level=-22.0)
    assert len(sound.voice.near_frames(sound.position - 2 * FRAME)) == 2
    sound.hear(60, level=0.0, is_user=True)
    sound.voice.end_turn(understood=True)
    sound.hear(2, level=-22.0)
    assert not sound.voice.near_frames(sound.position - 2 * FRAME)


def test_without_a_known_level_no_voice_is_far() -> None:
    assert Sound(level=-50.0, known=False).candidate.verdict is Verdict.UNDECIDED


def test_a_near_voice_begins_anew_within_a_far_one_and_after_a_gap() -> None:
    far = Sound(level=-32.0)
    far.hear(10, level=-32.0)
    nearer = far.position
    far.hear(2)
    assert far.candidate.begun_anew_at == nearer

    short = Sound()
    short.rest(20)
    assert short.candidate.verdict is Verdict.NOTHING
    again = short.position
    short.hear(1)
    assert short.candidate.begun_anew_at is None
    short.hear(1)
    assert short.candidate.begun_anew_at == again


def test_transcripts_are_requested_early_then_as_long_as_the_voice_goes_on() -> None:
    sound = Sound()
    looks = []
    for _ in range(24):
        sound.hear(1)
        if sound.candidate.look_is_due(sound.position):
            looks.append((sound.position - sound.edge) // 16)
            sound.say("Yeah.")
    assert looks == [192, 256, 320, 384, 544, 704]
    sound.rest(12)
    assert not sound.candidate.look_is_due(sound.position)


def test_the_end_of_the_sound_decides_and_a_last_word_cut_off_is_a_word() -> None:
    sound = Sound()
    sound.hear(2)
    sound.candidate.end_sound(sound.position)
    assert sound.verdict == (Verdict.NOTHING, IgnoredReason.SHORT)
    sound.say("Of", final=True)
    assert sound.candidate.verdict is Verdict.INTERRUPTION
