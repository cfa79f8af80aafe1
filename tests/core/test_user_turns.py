"""User turns: every cell of the table, the bounds of the queue, and turns of all origins."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from core.documented import read_tables
from core.world import MANUAL, SETUP, World, kinds, model, requests, user
from vivavoce.core import token_counts, user_turns
from vivavoce.core.effects import (
    DropTranscript,
    Effect,
    FinishTranscript,
    ForgetAudio,
    RefreshTranscript,
    ReportMismatch,
    StartTranscript,
    Step,
)
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioStreamEnded,
    ContentReceived,
    Event,
    TextReceived,
    TranscriptUpdated,
    VoiceScored,
)
from vivavoce.core.messages import InputTranscript, TurnComplete, VoiceActivity
from vivavoce.core.token_counts import MAX_BYTES
from vivavoce.core.turn_detection import SpeechEdge, SpeechEvent
from vivavoce.core.user_turns import (
    MAX_FRAMES,
    MAX_QUEUED_TURNS,
    MAX_TYPED_TEXTS,
    TRANSITIONS,
    FloorTaken,
    SpokenTurn,
    TurnState,
    TypedTurn,
    UserTurns,
    VideoBuffer,
)
from vivavoce.domain.content import Blob, Content, Role, Text
from vivavoce.domain.ids import TurnId
from vivavoce.domain.setup import TurnCoverage

ONE = TurnId(1)
WAYS = {
    None: (),
    TurnState.SPEAKING: (SpeechEdge.ONSET,),
    TurnState.PAUSED: (SpeechEdge.ONSET, SpeechEdge.PAUSE),
    TurnState.ENDED: (SpeechEdge.ONSET, SpeechEdge.END),
}
STATES = {"(none)": None, "(new turn)": TurnState.SPEAKING, **TurnState.__members__}
DOCUMENTED = {
    STATES[state]: {edge: STATES[cells[edge.value]] for edge in SpeechEdge if edge.value in cells}
    for state, cells in read_tables(user_turns.__doc__ or "").items()
}
REQUESTED: dict[tuple[TurnState | None, SpeechEdge], type[Effect]] = {
    (None, SpeechEdge.ONSET): StartTranscript,
    (TurnState.SPEAKING, SpeechEdge.PAUSE): RefreshTranscript,
    (TurnState.SPEAKING, SpeechEdge.END): FinishTranscript,
    (TurnState.PAUSED, SpeechEdge.END): FinishTranscript,
    (TurnState.ENDED, SpeechEdge.ONSET): StartTranscript,
}


def side(coverage: TurnCoverage = TurnCoverage.ONLY_ACTIVITY) -> UserTurns:
    return UserTurns(VideoBuffer(coverage), streams=True)


def newest(user: UserTurns) -> TurnState | None:
    last = user.queue[-1] if user.queue else None
    return last.state if isinstance(last, SpokenTurn) else None


def cue(
    user: UserTurns, cue: SpeechEdge, position: int = 100, manual: bool = False
) -> list[Effect]:
    step = Step(0.0)
    user.handle_speech(SpeechEvent(cue, position, position), manual, step)
    return step.effects


def last_word(user: UserTurns, text: str, turn: TurnId = ONE) -> list[Effect]:
    step = Step(0.0)
    user.handle_transcript(TranscriptUpdated(turn, 100, text, True), step)
    user.settle_turn(turn, step)
    return step.effects


def test_the_documented_table_is_the_one_in_force() -> None:
    onset = {SpeechEdge.ONSET}
    assert {
        state: {edge: to for edge, to in DOCUMENTED[state].items() if edge not in onset}
        for state in TRANSITIONS
        if state in DOCUMENTED
    } == {state: edges for state, edges in TRANSITIONS.items() if edges or state in DOCUMENTED}


@pytest.mark.parametrize("state", WAYS)
@pytest.mark.parametrize("given", SpeechEdge)
def test_cell(state: TurnState | None, given: SpeechEdge) -> None:
    user = side()
    for way in WAYS[state]:
        cue(user, way)
    assert newest(user) is state
    effects = cue(user, given, 200)
    assert newest(user) is DOCUMENTED[state].get(given, state)
    requested = REQUESTED.get((state, given))
    assert [type(e) for e in effects if not isinstance(e, ForgetAudio)] == (
        [] if requested is None else [requested]
    )


def test_the_last_word_makes_a_turn_ready_or_gone() -> None:
    for text, left in (("hello", [TurnState.READY]), ("  ", [])):
        user = side()
        cue(user, SpeechEdge.ONSET)
        last_word(user, text)
        assert newest(user) is TurnState.SPEAKING
        cue(user, SpeechEdge.END)
        last_word(user, text)
        assert [turn.state for turn in user.queue if isinstance(turn, SpokenTurn)] == left


def test_an_empty_manual_turn_is_ready_all_the_same() -> None:
    user = side()
    cue(user, SpeechEdge.ONSET, manual=True)
    cue(user, SpeechEdge.END)
    last_word(user, "")
    assert [entry.answer for entry in user.ready()] == [False]


def test_text_joins_the_turn_that_is_spoken_and_survives_its_coming_to_nothing() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    user.add_text("typed", step)
    cue(user, SpeechEdge.END)
    last_word(user, "spoken")
    (turn,) = user.ready()
    assert turn.contents() == (Content(Role.USER, (Text("spoken typed"),)),)
    user = side()
    cue(user, SpeechEdge.ONSET)
    user.add_text("typed", step)
    cue(user, SpeechEdge.END)
    last_word(user, "")
    assert [entry.contents()[0].text for entry in user.ready()] == ["typed"]


def test_content_stands_before_what_is_being_spoken() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    user.add_content((Content(Role.USER, (Text("first"),)),), True, step)
    assert [type(entry) for entry in user.queue] == [TypedTurn, SpokenTurn]
    assert user.floor_taken is FloorTaken.CONTENT
    assert len(user.ready()) == 1


def test_content_that_joins_what_waits_is_weighed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    weighed: list[Content] = []

    def weigh(content: Content) -> int:
        weighed.append(content)
        return token_counts.size_bytes(content)

    monkeypatch.setattr(user_turns, "size_bytes", weigh)
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    said = [question(f"question {number}") for number in range(50)]
    for contents in said:
        user.add_content(contents, False, step)
    user.add_content((), True, step)
    typed = user.queue[0]
    assert typed.contents() == tuple(content for contents in said for content in contents)
    assert isinstance(typed, TypedTurn)
    assert (typed.answer, typed.urgent) == (True, True)
    assert typed.bytes == sum(map(token_counts.size_bytes, typed.contents()))
    assert len(weighed) == len(said)


def test_speech_waits_for_speech_that_follows_it_but_what_was_typed_does_not() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    cue(user, SpeechEdge.END)
    cue(user, SpeechEdge.ONSET)
    last_word(user, "one")
    assert user.ready() == []
    user.add_content((), True, step)
    assert [type(entry) for entry in user.ready()] == [SpokenTurn, TypedTurn]


def refresh(user: UserTurns, position: int) -> list[Effect]:
    step = Step(0.0)
    user.refresh_transcript(position, step)
    return step.effects


def test_hypotheses_are_asked_for_twice_a_second_while_the_user_speaks() -> None:
    user = side()
    assert refresh(user, 50_000) == []
    cue(user, SpeechEdge.ONSET, 100)
    assert refresh(user, 8_000) == []
    assert refresh(user, 8_100) == [RefreshTranscript(ONE, 8_100)]
    assert refresh(user, 16_000) == []
    assert cue(user, SpeechEdge.PAUSE, 12_000) == [RefreshTranscript(ONE, 12_000, paused=True)]
    assert refresh(user, 30_000) == []
    cue(user, SpeechEdge.RESUME, 31_000)
    assert refresh(user, 31_000) == [RefreshTranscript(ONE, 31_000)]
    cue(user, SpeechEdge.END, 40_000)
    assert refresh(user, 60_000) == []


def test_the_end_names_the_pause_after_which_nothing_was_said() -> None:
    user = side()
    cue(user, SpeechEdge.ONSET)
    cue(user, SpeechEdge.PAUSE, 12_000)
    assert cue(user, SpeechEdge.END, 20_000) == [FinishTranscript(ONE, 20_000, 12_000)]
    user = side()
    cue(user, SpeechEdge.ONSET)
    cue(user, SpeechEdge.PAUSE, 12_000)
    cue(user, SpeechEdge.RESUME, 14_000)
    assert cue(user, SpeechEdge.END, 20_000) == [FinishTranscript(ONE, 20_000)]


def question(text: str) -> tuple[Content, ...]:
    return (Content(Role.USER, (Text(text),)),)


HOW: dict[str, Callable[[UserTurns, Step], None]] = {
    "text": lambda user, step: user.add_text("and this?", step),
    "content": lambda user, step: user.add_content(question("and this?"), True, step),
    "content of the model's": lambda user, step: user.add_content(
        (Content(Role.MODEL, (Text("Look:"),)),), True, step
    ),
    "trigger": lambda user, step: user.add_trigger(step),
    "bare content": lambda user, step: user.add_content((), True, step),
}


@pytest.mark.parametrize("how", HOW.values(), ids=HOW)
@pytest.mark.parametrize(
    ("coverage", "taken", "typed"),
    [
        (TurnCoverage.ONLY_ACTIVITY, [b"1", b"2"], [b"3"]),
        (TurnCoverage.AUDIO_ACTIVITY_AND_ALL_VIDEO, [b"1", b"2"], [b"3"]),
        (TurnCoverage.ALL_INPUT, [b"1", b"2"], [b"3"]),
    ],
)
def test_frames_join_the_turn_that_covers_them(
    coverage: TurnCoverage,
    taken: list[bytes],
    typed: list[bytes],
    how: Callable[[UserTurns, Step], None],
) -> None:
    user, step = side(coverage), Step(0.0)
    for position, name in ((50, b"1"), (150, b"2"), (350, b"3")):
        user.frames.add_frame(position, Blob(name, "image/png"))
    cue(user, SpeechEdge.ONSET, 100)
    cue(user, SpeechEdge.END, 300)
    last_word(user, "look")
    (turn,) = user.queue
    assert [p.data for p in turn.contents()[0].parts if isinstance(p, Blob)] == taken
    how(user, step)
    (entry,) = user.queue[1:]
    assert [p.data for c in entry.contents() for p in c.parts if isinstance(p, Blob)] == typed
    assert not typed or entry.contents()[-1].role is Role.USER


def test_frames_wait_for_what_asks_for_an_answer_and_for_the_speech_they_came_in() -> None:
    user, step = side(TurnCoverage.ALL_INPUT), Step(0.0)
    user.frames.add_frame(10, Blob(b"1", "image/png"))
    user.add_content((Content(Role.USER, (Text("first"),)),), False, step)
    assert user.queue[0].contents()[0].parts == (Text("first"),)
    cue(user, SpeechEdge.ONSET, 5)
    user.add_content((Content(Role.USER, (Text("second"),)),), True, step)
    assert [content.text for content in user.queue[0].contents()] == ["first", "second"]
    cue(user, SpeechEdge.END, 20)
    last_word(user, "look")
    assert user.queue[1].contents()[0].parts == (Blob(b"1", "image/png"), Text("look"))


def test_what_waits_is_bounded() -> None:
    user, step = side(TurnCoverage.ALL_INPUT), Step(0.0)
    for at in range(100):
        user.frames.add_frame(at, Blob(b"", "image/png"))
    assert len(user.frames.within(0, 100)) == MAX_FRAMES
    for _ in range(100):
        user.add_trigger(step)
    assert len(user.queue) == MAX_QUEUED_TURNS
    user.queue.clear()
    for _ in range(100):
        cue(user, SpeechEdge.ONSET)
        dropped = cue(user, SpeechEdge.END)
    assert len(user.queue) == MAX_QUEUED_TURNS
    assert [type(effect) for effect in dropped] == [FinishTranscript]


def test_what_was_typed_into_speech_is_bounded() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    for number in range(MAX_TYPED_TEXTS + 10):
        user.add_text(str(number), step)
    turn = user.open
    assert turn is not None
    assert turn.typed == [str(number) for number in range(10, MAX_TYPED_TEXTS + 10)]
    for _ in range(20):
        user.add_text("x" * (MAX_BYTES // 10), step)
    assert len(turn.typed) == 10


def test_what_waits_is_bounded_by_its_weight() -> None:
    user, step = side(), Step(0.0)
    cue(user, SpeechEdge.ONSET)
    cue(user, SpeechEdge.END)
    for number in range(30):
        user.add_text(str(number) + "x" * (MAX_BYTES // 10), step)
    told = [effect for effect in step.effects if isinstance(effect, ReportMismatch)]
    assert [effect for effect in step.effects if effect not in told] == [DropTranscript(ONE)]
    assert len(told) == 31 - len(user.queue)
    assert [entry.contents()[0].text[:2] for entry in user.queue] == [
        str(number) for number in range(21, 30)
    ]
    user.add_content(question("x" * 2 * MAX_BYTES), True, step)
    assert len(user.queue) == 1, "what is heavier than everything is taken all the same"


SEEDED = replace(SETUP, seeds_history=True)
LIVE_3_1 = "models/gemini-3.1-flash-live-preview"


# --- turns of the client's making -------------------------------------------------------------


def test_content_right_after_an_activity_joins_it_however_quick_the_recognizer_is() -> None:
    for quick in (True, False):
        world = World(replace(SETUP, realtime=MANUAL))
        world.do(ActivityStarted(0))
        world.do(ActivityEnded(16000))
        if quick:
            world.understand("hello")
        world.do(ContentReceived((), True))
        if not quick:
            world.understand("hello")
        world.say("Hi.")
        world.finish()
        world.wait(1)
        assert kinds(world) == [
            "SetupComplete", "InputTranscript", "ModelAudio", "OutputTranscript",
            "GenerationComplete", "TurnComplete",
        ]  # fmt: skip
        assert world.session.take_checkpoint().history == (user("hello"), model("Hi."))


def test_an_empty_activity_is_closed_by_turn_complete_and_the_session_stays_open() -> None:
    world = World(replace(SETUP, realtime=MANUAL))
    world.take()
    for _ in range(2):
        world.do(ActivityStarted(0))
    world.do(ActivityEnded(100))
    world.understand("")
    assert world.take() == [TurnComplete()]
    assert not world.session.closed
    assert len(world.turns) == 1


def test_activity_start_interrupts() -> None:
    world = World(replace(SETUP, realtime=MANUAL))
    world.do(TextReceived("hi"))
    world.say("Hello", bytes(48000))
    world.take()
    world.do(ActivityStarted(0))
    assert kinds(world) == ["Interrupted", "TurnComplete"]


def test_activity_messages_in_the_wrong_mode_are_ignored() -> None:
    world = World()
    before = len(world.effects)
    world.do(ActivityStarted(0))
    world.do(ActivityEnded(100))
    assert len(world.effects) == before
    world = World(replace(SETUP, realtime=MANUAL))
    world.do(ActivityStarted(0))
    before = len(world.effects)
    world.do(AudioStreamEnded(100))
    world.do(VoiceScored(51200, (0.9,) * 50 + (0.0,) * 50))
    world.wait(60)
    assert len(world.effects) == before


def test_an_utterance_without_words_is_no_turn() -> None:
    world = World()
    world.take()
    world.speak("  ")
    assert world.take() == []
    assert world.session.idle


def test_text_while_the_user_speaks_joins_the_turn() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.do(TextReceived("typed"))
    assert requests(world) == []
    world.score(0.9, 0.0)
    world.understand("spoken")
    assert requests(world)[0].history[0].parts == (Text("spoken typed"),)
    assert [m for m in world.take() if isinstance(m, InputTranscript)] == [
        InputTranscript("spoken")
    ]


def test_empty_content_asks_for_an_answer_from_what_there_is_even_from_nothing() -> None:
    world = World()
    world.do(ContentReceived((), False))
    assert requests(world) == []
    world.do(ContentReceived((), True))
    assert [request.history for request in requests(world)] == [()]


@pytest.mark.parametrize(
    ("name", "last", "answered"),
    [(LIVE_3_1, user("q"), 0), ("2.5", user("q"), 1), ("2.5", model("a"), 0)],
)
def test_initial_history_is_answered_only_on_2x_and_only_after_the_user(
    name: str, last: object, answered: int
) -> None:
    world = World(replace(SEEDED, model=name))
    world.do(ContentReceived((user("a"),), False))
    world.do(ContentReceived((model("b"), last), True))  # type: ignore[arg-type]
    assert len(requests(world)) == answered


@pytest.mark.parametrize("ends", [TextReceived("hi"), AudioArrived(0), ActivityStarted(0)])
def test_realtime_input_ends_the_initial_history(ends: Event) -> None:
    world = World(replace(SEEDED, model=LIVE_3_1, realtime=MANUAL))
    world.do(ends)
    if isinstance(ends, ActivityStarted):
        world.do(ActivityEnded(0))
        world.understand("")
    before = len(requests(world))
    world.do(ContentReceived((user("q"),), True))
    assert len(requests(world)) == before + 1


@pytest.mark.parametrize(
    ("name", "text", "remembered"),
    [(LIVE_3_1, ".", 1), (LIVE_3_1, " ", 1), ("2.5", " ", 1), ("2.5", ".", 2), (LIVE_3_1, "a", 2)],
)
def test_text_without_words_is_a_bare_trigger(name: str, text: str, remembered: int) -> None:
    world = World(replace(SETUP, model=name))
    world.do(ContentReceived((user("q"),), False))
    world.do(TextReceived(text))
    assert [len(request.history) for request in requests(world)] == [remembered]


# --- the ears ---------------------------------------------------------------------------------


def test_activity_is_signalled_when_asked_with_its_place_in_the_sound() -> None:
    world = World(replace(SETUP, signals_activity=True))
    world.score(0.512, 0.0)
    world.speak("hi", seconds=0.512)
    signals = [m for m in world.take() if isinstance(m, VoiceActivity)]
    assert signals == [VoiceActivity(True, 0.512), VoiceActivity(False, 1.024)]


def test_a_quiet_stream_is_forgotten_but_for_its_pre_roll() -> None:
    world = World()
    effects = world.score(5.0, 0.0)
    kept = [e.position for e in effects if isinstance(e, ForgetAudio)]
    assert len(kept) == 4
    effects = world.score(0.1, 0.9)
    (begun,) = [e.start for e in effects if isinstance(e, StartTranscript)]
    assert begun >= kept[-1]
    assert not [e for e in world.score(3.0, 0.9) if isinstance(e, ForgetAudio)]
