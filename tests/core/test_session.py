"""What the client must see, rule by rule: live-session behaviour that real clients rely on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from core.world import MANUAL, PIECE, SETUP, UNINTERRUPTED, World, model, user
from vivavoce.core.effects import (
    CancelGeneration,
    CloseConnection,
    DropTranscript,
    ForgetAudio,
    PrepareGeneration,
    ReleaseGeneration,
    Send,
    StartGeneration,
    StartTranscript,
)
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioStreamEnded,
    CheckpointSaved,
    ContentReceived,
    ContextUpdated,
    DrainRequested,
    Event,
    GenerationFailed,
    GenerationRefused,
    ListeningHeld,
    TextProduced,
    TextReceived,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
    UsageProduced,
    VoiceScored,
)
from vivavoce.core.messages import (
    GenerationComplete,
    GoAway,
    InputTranscript,
    Interrupted,
    ModelAudio,
    ModelText,
    OutputTranscript,
    ResumptionUpdate,
    SetupComplete,
    TokenCount,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
    VoiceActivity,
)
from vivavoce.core.settings import UNINTERRUPTED_TOOL_S, Pacing, SessionSettings
from vivavoce.domain.content import Blob, Content, Role, Scheduling, Text, Tools, Usage
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Modality, Resumption, Thinking

SEEDED = replace(SETUP, seeds_history=True)
LIVE_3_1 = "models/gemini-3.1-flash-live-preview"


def kinds(world: World) -> list[str]:
    return [type(message).__name__ for message in world.take()]


def requests(world: World) -> list[GenerationRequest]:
    return [e.request for e in world.effects if isinstance(e, StartGeneration)]


def spoken(world: World, text: str = "Hello there.") -> None:
    """A user turn and a one-second answer, produced at once."""
    world.speak("hi")
    world.say(text, bytes(48000))
    world.finish()


# --- the ordinary turn ------------------------------------------------------------------------


def test_setup_complete_is_the_first_message_and_the_engine_reads_ahead() -> None:
    world = World()
    assert world.take() == [SetupComplete(world.session._talk.context.session)]
    assert isinstance(world.effects[1], PrepareGeneration)


def test_turn_complete_waits_until_the_sound_has_been_played() -> None:
    world = World()
    spoken(world)
    began = world.now
    assert kinds(world)[-3:] == ["ModelAudio", "OutputTranscript", "GenerationComplete"]
    world.wait(0.99)
    assert world.take() == []
    world.wait(0.02)
    (at, message) = world.said[0] if world.said else (0.0, None)
    assert isinstance(message, TurnComplete)
    assert at == pytest.approx(began + 1.0)


@pytest.mark.parametrize("way", ["immediate", "text"])
def test_turn_complete_comes_at_once_where_nothing_is_paced(way: str) -> None:
    setup = replace(SETUP, modality=Modality.TEXT) if way == "text" else SETUP
    pacing = Pacing.IMMEDIATE if way == "immediate" else Pacing.PACED
    world = World(setup, SessionSettings(pacing=pacing))
    spoken(world)
    assert kinds(world)[-2:] == ["GenerationComplete", "TurnComplete"]


def test_transcripts_come_only_when_asked_and_text_modality_has_none() -> None:
    quiet = replace(SETUP, input_transcription=None, output_transcription=None)
    world = World(quiet)
    spoken(world)
    assert kinds(world) == ["SetupComplete", "ModelAudio", "GenerationComplete"]
    world = World(replace(SETUP, modality=Modality.TEXT))
    world.do(TextReceived("hi"))
    world.say("Hello.")
    assert world.take()[1:] == [ModelText("Hello.")]


def test_thoughts_are_sent_only_when_asked_for_and_never_remembered() -> None:
    for wish, sent in ((None, []), (Thinking(include_thoughts=True), [ModelText("hm", True)])):
        world = World(replace(SETUP, thinking=wish))
        world.do(TextReceived("hi"))
        world.take()
        world.do(TextProduced(world.current, "hm", thought=True))
        assert world.take() == sent
        world.say("Yes.")
        world.finish()
        world.wait(1)
        assert world.session.checkpoint().history == (user("hi"), model("Yes."))


def test_usage_counts_sound_images_and_the_engines_text() -> None:
    world = World()
    world.speak("hi", seconds=1.0)
    world.do(UsageProduced(world.current, Usage(40, 4, 7, 2, 1)))
    world.say("x", bytes(96000))
    world.finish()
    world.wait(2)
    (complete,) = [m for m in world.take() if isinstance(m, TurnComplete)]
    assert complete.usage == TokenCount(
        prompt=40 + 45, cached=4, response_text=7, response_audio=50, thoughts=2, tools=1,
        prompt_audio=45,
    )  # fmt: skip


def test_an_empty_answer_and_a_failed_one_end_their_turn_with_a_reason() -> None:
    ends: list[tuple[Callable[[World], object], TurnReason]] = [
        (lambda w: w.finish(), TurnReason.NEED_MORE_INPUT),
        (lambda w: w.finish(EndReason.NEED_MORE_INPUT), TurnReason.NEED_MORE_INPUT),
        (lambda w: w.finish(EndReason.MALFORMED_CALL), TurnReason.MALFORMED_FUNCTION_CALL),
        (lambda w: w.call("nonsense"), TurnReason.MALFORMED_FUNCTION_CALL),
        (lambda w: w.do(GenerationFailed(w.current, "x")), TurnReason.GENERATED_OTHER),
        (lambda w: w.wait(61), TurnReason.GENERATED_OTHER),
    ]
    for end, reason in ends:
        world = World()
        world.do(TextReceived("hi"))
        end(world)
        complete = [m for m in world.take() if isinstance(m, TurnComplete)]
        assert [m.reason for m in complete] == [reason]


def test_a_failure_lets_what_was_said_play_out_and_says_no_generation_complete() -> None:
    world = World()
    world.do(TextReceived("hi"))
    world.say("Half an ans", bytes(48000))
    world.take()
    world.do(GenerationFailed(world.current, "x"))
    assert world.take() == []
    world.wait(1)
    assert kinds(world) == ["TurnComplete"]


# --- barge-in ---------------------------------------------------------------------------------


def test_activity_while_generating_or_playing_interrupts_and_history_holds_what_was_heard() -> None:
    for finished in (False, True):
        world = World()
        world.speak("hi")
        world.say("one two three four", bytes(4 * 48000))
        if finished:
            world.finish()
        world.take()
        world.wait(1.5)
        effects = world.score(0.1, 0.9)
        assert kinds(world) == ["Interrupted", "TurnComplete"]
        assert CancelGeneration(world.current) in effects
        world.score(0.9, 0.0)
        world.understand("stop")
        assert requests(world)[-1].history == (
            user("hi"), model("one two", cut=True), user("stop"),
        )  # fmt: skip


def test_nothing_is_interrupted_when_nothing_is_generated_or_played() -> None:
    world = World()
    spoken(world)
    world.wait(2)
    world.take()
    world.speak("again")
    assert kinds(world) == ["InputTranscript"]


def test_without_interruption_speech_is_collected_and_answered_afterwards() -> None:
    world = World(replace(SETUP, realtime=UNINTERRUPTED))
    world.speak("one")
    world.say("x", bytes(10 * 48000))
    world.finish()
    world.take()
    world.speak("two")
    world.do(TextReceived("three"))
    assert world.take() == []
    world.wait(10)
    assert kinds(world) == ["TurnComplete", "InputTranscript"]
    assert requests(world)[-1].history[-2:] == (user("two"), user("three"))


def test_content_interrupts_whatever_the_activity_handling_says() -> None:
    for answer in (True, False):
        world = World(replace(SETUP, realtime=UNINTERRUPTED))
        spoken(world)
        world.take()
        world.do(ContentReceived((user("new"),), answer))
        assert kinds(world) == ["Interrupted", "TurnComplete"]
        assert len(requests(world)) == 1 + answer


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
        assert world.session.checkpoint().history == (user("hello"), model("Hi."))


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
    assert world.session.resting


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


# --- functions --------------------------------------------------------------------------------


def test_after_a_blocking_call_nothing_comes_before_its_result() -> None:
    world = World()
    world.speak("go")
    world.say("One moment.")
    world.call("lights", "lights")
    world.take()
    world.say("trailing")
    world.finish()
    world.answer("lights")
    assert world.take() == []
    world.answer("lights")
    world.say("Done.")
    assert world.take() == [ModelAudio(PIECE), OutputTranscript("Done.")]
    assert [len(content.parts) for content in requests(world)[1].history] == [1, 3, 2]


def test_interrupted_comes_before_the_cancellation_and_that_before_turn_complete() -> None:
    world = World()
    world.speak("go")
    world.call("lights", "report")
    world.take()
    world.score(0.1, 0.9)
    interrupted, cancelled, complete = world.take()
    assert isinstance(interrupted, Interrupted)
    assert cancelled == ToolCallCancellation((world.calls[0].id,))
    assert isinstance(complete, TurnComplete)


def test_an_early_turn_complete_makes_the_answer_a_turn_of_its_own() -> None:
    world = World(SETUP, SessionSettings(early_turn_complete=True))
    world.speak("go")
    world.take()
    world.call("lights")
    world.finish()
    assert kinds(world) == ["ToolCallRequest", "GenerationComplete", "TurnComplete"]
    world.answer("lights")
    world.say("Done.")
    world.finish()
    world.wait(1)
    assert kinds(world) == ["ModelAudio", "OutputTranscript", "GenerationComplete", "TurnComplete"]


def test_an_unanswered_call_is_answered_by_us_after_its_deadline() -> None:
    world = World(SETUP, SessionSettings(tool_deadline_s=3))
    world.speak("go")
    world.call("lights")
    world.wait(2.9)
    assert len(requests(world)) == 1
    world.wait(0.2)
    assert "error" in requests(world)[1].history[-1].parts[0].response  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("scheduling", "sent", "asked"),
    [
        (Scheduling.SILENT, [], 1),
        (Scheduling.WHEN_IDLE, [], 1),
        (Scheduling.INTERRUPT, ["Interrupted", "TurnComplete"], 2),
    ],
)
def test_scheduling_of_a_result_while_the_model_speaks(
    scheduling: Scheduling, sent: list[str], asked: int
) -> None:
    world = World()
    world.speak("go")
    world.call("report")
    world.say("Working on it.", bytes(96000))
    world.take()
    world.answer("report", scheduling=scheduling)
    assert kinds(world) == sent
    assert len(requests(world)) == asked
    world.finish()
    world.wait(3)
    assert len(requests(world)) == (1 if scheduling is Scheduling.SILENT else 2)


def test_an_update_of_the_context_holds_for_what_follows() -> None:
    world = World()
    effects = world.do(ContextUpdated("be brief", Tools()))
    assert [type(effect) for effect in effects] == [PrepareGeneration]
    world.do(TextReceived("hi"))
    assert (requests(world)[0].instruction, requests(world)[0].tools) == ("be brief", Tools())
    world.call("lights")
    assert not any(isinstance(message, ToolCallRequest) for message in world.take())


# --- speculation ------------------------------------------------------------------------------


def guessing() -> World:
    world = World(SETUP, SessionSettings(speculation=True))
    world.take()
    world.score(0.5, 0.9)
    world.score(0.3, 0.0)
    world.do(TranscriptUpdated(world.turns[-1], world.position, "what time is it", False))
    assert requests(world)[0].speculative
    world.say("It is noon.")
    assert world.take() == []
    return world


def test_a_guess_that_holds_is_promoted_and_what_it_held_is_said() -> None:
    world = guessing()
    world.score(0.6, 0.0)
    effects = world.understand("What time is it?")
    assert ReleaseGeneration(requests(world)[0].generation) in effects
    assert kinds(world) == ["InputTranscript", "ModelAudio", "OutputTranscript"]
    world.finish()
    world.wait(1)
    assert world.session.checkpoint().history[0] == user("What time is it?")
    assert len(requests(world)) == 1


def test_a_guess_that_fails_leaves_no_trace_and_two_tries_are_enough() -> None:
    world = guessing()
    for _ in range(3):
        world.score(0.2, 0.9)
        world.score(0.3, 0.0)
        world.do(TranscriptUpdated(world.turns[-1], world.position, "what now", False))
    assert [request.speculative for request in requests(world)] == [True, True]
    world.score(0.6, 0.0)
    world.understand("something else")
    assert [request.speculative for request in requests(world)] == [True, True, False]
    assert requests(world)[-1].history == (user("something else"),)


@pytest.mark.parametrize("what", ["other words", "new context"])
def test_a_guess_is_not_promoted_when_its_basis_has_changed(what: str) -> None:
    world = guessing()
    if what == "new context":
        world.do(ContextUpdated("be brief", None))
    world.score(0.6, 0.0)
    effects = world.understand("what day is it" if what == "other words" else "what time is it")
    assert not any(isinstance(effect, ReleaseGeneration) for effect in effects)
    assert kinds(world) == ["InputTranscript"]
    assert not requests(world)[-1].speculative
    world.say("It is Monday.")
    assert OutputTranscript("It is Monday.") in world.take()


def test_a_live_generation_that_is_refused_is_started_anew() -> None:
    world = World(SETUP, SessionSettings(speculation=True))
    world.score(0.5, 0.9)
    world.score(0.3, 0.0)
    world.do(TranscriptUpdated(world.turns[-1], world.position, "hello", False))
    world.score(0.6, 0.0)
    world.understand("hello")
    world.do(GenerationRefused(world.current))
    assert [request.speculative for request in requests(world)] == [True, False]


# --- the clock --------------------------------------------------------------------------------


def test_a_microphone_that_falls_silent_is_taken_for_the_end_of_the_stream() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.wait(0.9)
    assert world.ended == []
    world.wait(0.2)
    world.understand("a clip")
    assert requests(world)[0].history == (user("a clip"),)


def test_a_recognizer_that_hangs_or_fails_ends_the_turn_with_a_reason() -> None:
    for hangs in (True, False):
        world = World()
        world.score(0.5, 0.9)
        world.score(0.9, 0.0)
        world.take()
        effects = world.wait(16) if hangs else world.do(TranscriptFailed(world.ended[0], "x"))
        assert world.take() == [TurnComplete(reason=TurnReason.GENERATED_OTHER)]
        assert any(isinstance(effect, DropTranscript) for effect in effects) is hangs


def test_going_away_is_said_and_then_done_with_the_code_that_clients_resume_from() -> None:
    world = World()
    world.do(TextReceived("hi"))
    world.take()
    world.do(DrainRequested(10))
    assert world.take() == [GoAway(10)]
    world.wait(9.9)
    assert not world.session.closed
    effects = world.wait(0.2)
    assert [e.code for e in effects if isinstance(e, CloseConnection)] == [1011]
    assert world.session.closed


def test_who_rests_is_not_kept_waiting_when_the_server_goes_away() -> None:
    world = World()
    effects = world.do(DrainRequested(10))
    assert [type(effect) for effect in effects] == [Send, CloseConnection]
    busy = World()
    spoken(busy)
    busy.do(DrainRequested(10))
    busy.wait(0.9)
    assert not busy.session.closed
    busy.wait(0.2)
    assert isinstance(busy.messages()[-1], TurnComplete)
    assert busy.session.closed


def test_who_goes_away_takes_the_last_handle_along() -> None:
    world = World(replace(SETUP, resumption=Resumption()), SessionSettings(resumable=True))
    world.do(DrainRequested(10))
    assert not world.session.closed
    effects = world.do(CheckpointSaved("handle"))
    assert [type(effect) for effect in effects] == [Send, CloseConnection]
    assert world.messages()[-1] == ResumptionUpdate("handle")


def test_where_nothing_interrupts_a_call_that_nobody_answers_does_not_last_for_ever() -> None:
    world = World(replace(SETUP, realtime=UNINTERRUPTED))
    world.do(TextReceived("go"))
    world.call("lights")
    world.speak("hello?")
    world.wait(UNINTERRUPTED_TOOL_S - 3)
    assert len(requests(world)) == 1
    world.wait(3)
    world.say("It did not work.")
    world.finish()
    world.wait(1)
    assert requests(world)[-1].history[-1].text == "hello?"
    patient = World()
    patient.do(TextReceived("go"))
    patient.call("lights")
    patient.wait(3600)
    assert len(requests(patient)) == 1


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


def test_generation_complete_never_follows_an_interruption() -> None:
    world = World()
    world.speak("hi")
    world.say("Hello")
    world.score(0.1, 0.9)
    world.take()
    world.finish()
    assert GenerationComplete() not in world.take()


# --- images -------------------------------------------------------------------------------------


@pytest.mark.parametrize("image_tokens", [64, 256, 258])
def test_an_image_costs_what_the_client_chose(image_tokens: int) -> None:
    world = World(replace(SETUP, image_tokens=image_tokens))
    images = Content(Role.USER, (Blob(b"1", "image/png"), Blob(b"2", "image/png"), Text("look")))
    world.do(ContentReceived((images,), True))
    world.say("A cat.")
    world.finish()
    world.wait(1)
    (complete,) = [m for m in world.take() if isinstance(m, TurnComplete)]
    assert complete.usage is not None
    assert complete.usage.prompt_images == 2 * image_tokens


# --- engines that take their time ---------------------------------------------------------------


def test_a_recognizer_has_failed_when_it_shows_no_sign_of_work() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.score(0.9, 0.01)
    world.take()
    for _ in range(10):
        world.wait(14.0)
        world.do(TranscriptProgressed(world.ended[0], world.position))
    assert world.take() == []
    turn = world.ended[0]
    world.wait(14.9)
    assert world.take() == []
    effects = world.wait(0.2)
    assert DropTranscript(turn) in effects
    assert world.take() == [TurnComplete(reason=TurnReason.GENERATED_OTHER)]


def test_a_sign_from_an_earlier_turn_counts_for_those_that_wait_behind_it() -> None:
    world = World()
    for _ in range(2):
        world.score(0.5, 0.9)
        world.score(0.9, 0.01)
    first, second = world.ended
    world.wait(13.0)
    world.do(TranscriptUpdated(first, world.position, "one", final=True))
    world.wait(14.0)
    world.do(TranscriptUpdated(second, world.position, "two", final=True))
    (request,) = requests(world)
    assert [content.text for content in request.history] == ["one", "two"]


def test_speech_that_nobody_reads_on_has_not_fallen_silent() -> None:
    world = World()
    world.score(0.5, 0.9)
    world.do(ListeningHeld(True))
    world.wait(60.0)
    assert world.ended == []
    world.do(ListeningHeld(False))
    world.wait(0.9)
    assert world.ended == []
    world.wait(0.2)
    assert len(world.ended) == 1
