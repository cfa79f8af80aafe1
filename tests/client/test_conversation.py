from __future__ import annotations

import asyncio

import numpy as np
import pytest

from client.stub import READY, Peer, serving, spoken
from vivavoce.client.audio import ClockSpeaker, FileMicrophone
from vivavoce.client.conversation import (
    FALL_DB_PER_S,
    PAUSE_S,
    SILENCE_DBFS,
    ClientConversation,
    ConversationObserver,
    SpeechClock,
    ToolUse,
    Turn,
    TurnLog,
)
from vivavoce.client.messages import (
    AudioMessage,
    GenerationCompleteMessage,
    GroundingMessage,
    InputTranscriptionMessage,
    InterruptedMessage,
    OutputTranscriptionMessage,
    ReconnectedMessage,
    ServerMessage,
    SessionClosed,
    SessionOptions,
    TextMessage,
    ToolCallCancellationMessage,
    ToolCallMessage,
    TurnCompleteMessage,
    UrlContextMessage,
)
from vivavoce.client.session import ServerEndpoint, connect
from vivavoce.client.tools import ToolModule
from vivavoce.domain.content import ToolCall, ToolResult
from vivavoce.domain.ids import CallId

SECOND = b"\x01\x02" * 24_000
SPEECH = np.full(4_000, 8_000, "<i2").tobytes()
OVER = {"serverContent": {"turnComplete": True}}


class Watcher(ConversationObserver):
    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self.results: list[object] = []
        self.in_progress: list[Turn | None] = []

    def on_message(self, message: ServerMessage, turn: Turn | None) -> None:
        self.in_progress.append(turn)

    def on_tool_result(self, use: ToolUse) -> None:
        assert use.result is not None
        self.results.append(use.result.response)

    def on_turn(self, turn: Turn) -> None:
        self.turns.append(turn)


@pytest.mark.integration
async def test_it_hears_answers_and_runs_a_tool() -> None:
    results: list[object] = []

    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.take_until("realtimeInput")
        await peer.say(
            {"toolCall": {"functionCalls": [{"id": "1", "name": "add", "args": {"a": 2}}]}}
        )
        answer = await peer.take_until("toolResponse")
        results.append(answer["toolResponse"]["functionResponses"][0]["response"])
        await peer.say(spoken(SECOND), OVER)
        await peer.gone()

    def add(a: int) -> int:
        return a + 1

    watcher = Watcher()
    async with serving(script) as url, connect(ServerEndpoint(url), SessionOptions()) as session:
        speaker = ClockSpeaker(fast=True)
        talk = ClientConversation(session, speaker, ToolModule([add]), watcher)

        async def main() -> bool:
            await talk.send_microphone(FileMicrophone(SPEECH, fast=True))
            return await talk.wait_for_turns(1, timeout_s=5)

        assert await talk.run_while_receiving(main())
    assert results == [{"result": 3}]
    assert bytes(speaker.recording.pcm) == SECOND
    assert watcher.results == [{"result": 3}]
    assert [[use.call.name for use in turn.tools] for turn in watcher.turns] == [["add"]]
    assert watcher.turns[0].latency_ms(watcher.turns[0].first_audio_at) is not None
    assert [turn is None for turn in watcher.in_progress] == [False, False, True]


@pytest.mark.integration
async def test_an_interruption_drops_what_was_not_played() -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.take_until("clientContent")
        words = {"serverContent": {"outputTranscription": {"text": "Once"}}}
        later = {"serverContent": {"outputTranscription": {"text": " upon a time"}}}
        await peer.say(spoken(SECOND * 2), words, spoken(SECOND * 3), later)
        await asyncio.sleep(0.1)
        await peer.say({"serverContent": {"interrupted": True}}, OVER)
        await peer.gone()

    async with serving(script) as url, connect(ServerEndpoint(url), SessionOptions()) as session:
        speaker = ClockSpeaker()
        talk = ClientConversation(session, speaker)

        async def main() -> bool:
            await talk.send_text("tell me a story")
            return await talk.wait_until_quiet(quiet_s=0.05, timeout_s=5)

        assert await talk.run_while_receiving(main())
    assert speaker.recording.seconds < 2
    (turn,) = talk.log.turns
    assert turn.interrupted
    assert (turn.answer, turn.unplayed) == ("Once", " upon a time")
    assert turn.played_s == pytest.approx(speaker.recording.seconds, abs=0.01)
    assert talk.played_s == pytest.approx(turn.played_s, abs=0.001)


@pytest.mark.integration
async def test_waiting_gives_up_in_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.gone()

    async with serving(script) as url, connect(ServerEndpoint(url), SessionOptions()) as session:
        talk = ClientConversation(session, ClockSpeaker())
        async with asyncio.timeout(5):
            assert not await talk.run_while_receiving(talk.wait_for_turns(1, timeout_s=0.05))


@pytest.mark.integration
async def test_the_servers_end_of_the_session_ends_the_conversation() -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.close(1011, "Internal error encountered.")

    async with serving(script) as url, connect(ServerEndpoint(url), SessionOptions()) as session:
        talk = ClientConversation(session, ClockSpeaker())
        with pytest.raises(SessionClosed, match="Internal error"):
            await talk.run_while_receiving(talk.wait_for_turns(1, timeout_s=5))


async def answer_each(peer: Peer, questions: int) -> None:
    """Answers, each a while after its first sound."""
    await peer.take()
    await peer.say(READY)
    for _ in range(questions):
        await peer.take_until("realtimeInput")
        await asyncio.sleep(0.2)
        await peer.say(spoken(SECOND), OVER)
    await peer.gone()


@pytest.mark.integration
async def test_a_later_question_is_waited_for_although_an_earlier_one_was_answered() -> None:
    async def script(peer: Peer) -> None:
        await answer_each(peer, 2)

    async with serving(script) as url, connect(ServerEndpoint(url), SessionOptions()) as session:
        talk = ClientConversation(session, ClockSpeaker(fast=True))

        async def main() -> bool:
            await talk.send_microphone(FileMicrophone(SPEECH[:1_280], fast=True))
            assert await talk.wait_for_turns(1, timeout_s=5)
            await asyncio.sleep(PAUSE_S)  # or else it would be the same question
            await talk.send_microphone(FileMicrophone(SPEECH[:1_280], fast=True))
            return await talk.wait_until_quiet(quiet_s=0.05, timeout_s=5)

        assert await talk.run_while_receiving(main())
    assert len(talk.log.turns) == 2


@pytest.mark.integration
async def test_quiet_is_counted_from_the_end_of_what_was_sent() -> None:
    async def script(peer: Peer) -> None:
        await answer_each(peer, 1)

    async with serving(script) as url, connect(ServerEndpoint(url), SessionOptions()) as session:
        talk = ClientConversation(session, ClockSpeaker(fast=True))
        waited = 0.0

        async def main() -> bool:
            nonlocal waited
            await talk.send_microphone(FileMicrophone(SPEECH[:1_280], fast=True))
            assert await talk.wait_for_turns(1, timeout_s=5)
            await talk.send_microphone(FileMicrophone(b"", tail_s=0.2))
            began = asyncio.get_running_loop().time()
            settled = await talk.wait_until_quiet(quiet_s=0.1, timeout_s=5)
            waited = asyncio.get_running_loop().time() - began
            return settled

        assert await talk.run_while_receiving(main())
    assert waited > 0.05


SILENT_SECOND = bytes(48_000)


def chunk(loud: int, silent: int) -> bytes:
    return np.array([8_000] * loud + [10] * silent, "<i2").tobytes()


def test_a_turn_is_measured_from_the_end_of_speech() -> None:
    clock = SpeechClock()
    clock.add_audio(chunk(640, 0), at=5.0)
    log = TurnLog(clock)
    assert log.add_message(InputTranscriptionMessage("hello "), 5.5) is None
    log.add_message(InputTranscriptionMessage("there"), 5.6)
    log.add_message(AudioMessage(bytes(48_000), 24_000), 6.0)
    log.add_message(OutputTranscriptionMessage("good day"), 6.0)
    clock.add_audio(chunk(640, 0), at=6.2)  # the user talks into the answer: not this turn's clock
    log.add_message(AudioMessage(bytes(24_000), 24_000), 6.1)
    log.add_message(GroundingMessage((("T", "u"),)), 6.2)
    log.add_message(UrlContextMessage((("u", "ERROR"),)), 6.2)
    log.add_message(GenerationCompleteMessage(), 6.2)
    turn = log.add_message(TurnCompleteMessage(), 7.5)
    assert turn is not None
    assert turn.as_json() == {
        "turn": 1, "heard": "hello there", "said": "good day", "unheard": "",
        "calls": [], "code": [],
        "sources": [{"title": "T", "uri": "u"}], "urls": [{"url": "u", "status": "ERROR"}],
        "interrupted": False,
        "failed": False, "reason": "", "answer_s": 1.5, "heard_s": 1.5,
        "transcript_ms": 600, "first_text_ms": None,
        "first_audio_ms": 1000, "complete_ms": 2500,
    }  # fmt: skip
    assert turn.latency_line() == (
        "turn 1 · transcript 0.60 s · first audio 1.00 s · complete 2.50 s · answer 1.5 s"
    )


def test_the_clock_of_a_turn_starts_where_speech_ended_although_words_came_before() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)
    clock.add_audio(chunk(640, 0), at=1.0)
    log.add_message(InputTranscriptionMessage("tell me "), 1.1)
    clock.add_audio(chunk(640, 0), at=2.0)
    log.add_message(InputTranscriptionMessage("a story"), 2.1)
    clock.add_audio(chunk(640, 0), at=2.5)
    log.add_message(AudioMessage(SILENT_SECOND, 24_000), 3.0)
    turn = log.add_message(TurnCompleteMessage(), 4.0)
    assert turn is not None
    assert (turn.question, turn.latency_ms(turn.first_audio_at)) == ("tell me a story", 500)
    assert turn.as_json()["transcript_ms"] == 0, "all words were known before the end of speech"


def test_words_are_paired_with_the_sound_that_they_came_with() -> None:
    log = TurnLog(SpeechClock())
    for number, word in enumerate(("one", " two", " three")):
        log.add_message(AudioMessage(SILENT_SECOND, 24_000), float(number))
        log.add_message(OutputTranscriptionMessage(word), float(number))
    turn = log.open
    assert turn is not None
    assert [turn.answer_until(played_s) for played_s in (0.0, 0.5, 1.0, 1.1, 2.5)] == [
        "", "one", "one", "one two", "one two three",
    ]  # fmt: skip
    assert (turn.answer, turn.unplayed) == ("one two three", "")


def test_an_interruption_parts_what_was_heard_from_what_was_not() -> None:
    log = TurnLog(SpeechClock())
    log.add_message(AudioMessage(SILENT_SECOND, 24_000), 0.0)
    log.add_message(TurnCompleteMessage(), 1.0)
    for word in (" one", " two", " three"):  # a server parts it from the transcript before
        log.add_message(AudioMessage(SILENT_SECOND, 24_000), 2.0)
        log.add_message(OutputTranscriptionMessage(word), 2.0)
    assert log.queued_s == 4.0
    log.add_message(InterruptedMessage(), 3.5, played_s=2.5)
    turn = log.add_message(TurnCompleteMessage(), 3.5)
    assert turn is not None
    assert (turn.answer, turn.unplayed, turn.played_s) == (" one two", " three", 1.5)
    assert (turn.as_json()["said"], turn.as_json()["unheard"]) == ("one two", " three")
    assert turn.latency_line().endswith("answer 1.5 of 3.0 s · interrupted")
    assert log.queued_s == 2.5, "the next answer begins where playing stopped"


def test_written_words_are_read_whatever_was_played() -> None:
    log = TurnLog(SpeechClock())
    log.add_message(TextMessage("one"), 1.0)
    log.add_message(InterruptedMessage(), 1.1, played_s=0.0)
    turn = log.add_message(TurnCompleteMessage(), 1.2)
    assert turn is not None
    assert (turn.answer, turn.unplayed) == ("one", "")


def test_calls_get_their_results_and_may_be_withdrawn() -> None:
    log = TurnLog(SpeechClock())
    calls = tuple(ToolCall(CallId(id), "lights", {}) for id in ("1", "2"))
    log.add_message(ToolCallMessage(calls), 1.0)
    use = log.add_result(calls[0], ToolResult(CallId("1"), "lights", {"on": True}))
    assert use is not None
    log.add_message(ToolCallCancellationMessage((CallId("1"), CallId("2"))), 1.1)
    log.add_message(InterruptedMessage(), 1.1)
    turn = log.add_message(TurnCompleteMessage(), 1.2)
    assert turn is not None
    assert turn.tools[0] is use
    assert [use.withdrawn for use in turn.tools] == [False, True]
    assert turn.as_json()["calls"] == ["lights", "lights"]
    assert turn.latency_line() == "turn 1 · interrupted"


def test_an_answer_that_a_lost_connection_cut_off_is_over() -> None:
    log = TurnLog(SpeechClock())
    lost = ReconnectedMessage(SessionClosed(1006, "connection lost"))
    assert log.add_message(lost, 0.5) is None
    log.add_message(InputTranscriptionMessage("tell me a story"), 1.0)
    log.add_message(ToolCallMessage((ToolCall(CallId("1"), "stories", {}),)), 1.1)
    assert log.add_message(lost, 1.2) is None, "its answer is still to come"
    log.add_message(AudioMessage(bytes(48_000), 24_000), 2.0)
    turn = log.add_message(lost, 2.5)
    assert turn is not None
    assert (turn.question, turn.interrupted, turn.failed) == ("tell me a story", True, False)
    assert log.open is None


def test_a_turn_that_the_server_gave_up_says_so() -> None:
    log = TurnLog(SpeechClock())
    turn = log.add_message(TurnCompleteMessage("GENERATED_OTHER"), 1.0)
    assert turn is not None
    assert turn.latency_line() == "turn 1 · failed: GENERATED_OTHER"
    assert (turn.as_json()["failed"], turn.as_json()["reason"]) == (True, "GENERATED_OTHER")
    asks = log.add_message(TurnCompleteMessage("NEED_MORE_INPUT"), 2.0)
    assert asks is not None
    assert not asks.failed


def test_turns_are_kept_apart() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)
    for number, word in enumerate(("one", "two"), 1):
        clock.add_text(float(number))
        log.add_message(TextMessage(word), number + 0.25)
        log.add_message(TextMessage("thinking", thought=True), number + 0.3)
        log.add_message(TurnCompleteMessage(), number + 0.5)
    assert [(t.number, t.answer, t.latency_ms(t.first_text_at)) for t in log.turns] == [
        (1, "one", 250),
        (2, "two", 250),
    ]


def test_what_is_said_after_an_answer_began_is_unanswered_until_a_turn_takes_it_up() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)

    def unanswered() -> bool:
        return log.unanswered

    assert not unanswered(), "nothing was said"
    clock.add_audio(chunk(640, 0), at=1.0)
    assert unanswered()
    log.add_message(InputTranscriptionMessage("one"), 1.1)
    log.add_message(AudioMessage(bytes(480), 24_000), 1.2)
    assert not unanswered()
    clock.add_audio(chunk(640, 0), at=1.3)
    assert not unanswered(), "the end of the same question"
    clock.add_audio(chunk(640, 0), at=2.0)
    log.add_message(AudioMessage(bytes(480), 24_000), 2.1)
    log.add_message(TurnCompleteMessage(), 2.2)
    assert unanswered()
    log.add_message(InterruptedMessage(), 2.3)
    log.add_message(TurnCompleteMessage(), 2.3)
    assert unanswered(), "the end of what was interrupted answers nothing"
    log.add_message(TextMessage("two"), 2.4)
    assert not unanswered()


def test_an_empty_turn_is_an_answer_too() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)
    clock.add_text(1.0)
    log.add_message(TurnCompleteMessage(), 1.5)
    assert not log.unanswered


def test_noise_behind_a_voice_asks_nothing() -> None:
    clock = SpeechClock()
    log = TurnLog(clock)
    clock.add_audio(chunk(640, 0), at=1.0)
    log.add_message(TextMessage("one"), 1.1)
    log.add_message(TurnCompleteMessage(), 1.2)
    clock.add_audio(np.full(640, 1_000, "<i2").tobytes(), at=2.0)
    assert clock.last == 2.0, "loud enough for the exact clock"
    assert not log.unanswered


def test_speech_ends_at_the_last_loud_sample() -> None:
    clock = SpeechClock()
    clock.add_audio(chunk(160, 480), at=10.0)
    assert clock.last == pytest.approx(10.0 - 480 / 16_000)
    clock.add_audio(chunk(0, 640), at=10.04)
    assert clock.last == pytest.approx(9.97)


def test_silence_alone_is_no_speech() -> None:
    clock = SpeechClock()
    clock.add_audio(chunk(0, 640), at=1.0)
    clock.add_audio(b"", at=1.1)
    assert clock.last is None
    assert clock.level_dbfs(1.1) == SILENCE_DBFS


def test_the_level_is_that_of_the_sound_and_falls_after_it() -> None:
    clock = SpeechClock()
    clock.add_audio(np.full(640, 2**14, "<i2").tobytes(), at=1.0)
    assert clock.level_dbfs(1.0) == pytest.approx(-6.02, abs=0.01)
    clock.add_audio(chunk(0, 640), at=1.1)
    assert clock.level_dbfs(1.2) == pytest.approx(-6.02 - 0.2 * FALL_DB_PER_S, abs=0.01)
    clock.add_audio(np.full(640, 2**13, "<i2").tobytes(), at=1.3)
    assert clock.level_dbfs(1.3) == pytest.approx(-12.04, abs=0.01)
    assert clock.level_dbfs(9.0) == SILENCE_DBFS


def test_noise_behind_a_voice_is_no_speech() -> None:
    clock = SpeechClock()
    clock.add_audio(chunk(640, 0), at=1.0)
    clock.add_audio(np.full(640, 1_000, "<i2").tobytes(), at=2.0)
    assert (clock.last, clock.last_speech, clock.began) == (2.0, 1.0, 1.0)
    clock.add_audio(chunk(640, 0), at=2.1)
    assert (clock.last_speech, clock.began) == (2.1, 2.1)
