from __future__ import annotations

import asyncio

import numpy as np
import pytest

from client.stub import READY, Peer, serving, spoken
from vivavoce.client.conversation import ClientConversation, ConversationObserver
from vivavoce.client.files import FileMicrophone
from vivavoce.client.messages import ServerMessage, SessionClosed, SessionOptions
from vivavoce.client.playback import ClockSpeaker
from vivavoce.client.session import ServerEndpoint, connect
from vivavoce.client.speech_clock import PAUSE_S
from vivavoce.client.tools import ToolModule
from vivavoce.client.turns import ToolUse, Turn

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


async def test_waiting_gives_up_in_time() -> None:
    async def script(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.gone()

    async with serving(script) as url, connect(ServerEndpoint(url), SessionOptions()) as session:
        talk = ClientConversation(session, ClockSpeaker())
        async with asyncio.timeout(5):
            assert not await talk.run_while_receiving(talk.wait_for_turns(1, timeout_s=0.05))


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
