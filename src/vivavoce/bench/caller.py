"""Hold one conversation of a scenario with a server, and keep the times of everything.

A caller has a microphone that is always on, a player that starts at the first sample of a reply,
and the functions of the scenario. It speaks its next step when a person would: when the reply
before has been played, or over it where the scenario says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field

import numpy as np

from vivavoce.bench.measure import Arrival, ArrivalKind, SpokenStep
from vivavoce.bench.scenario import Expectation, RecordedStep, ScenarioFunction
from vivavoce.client.audio import CHUNK_S
from vivavoce.client.messages import (
    AudioMessage,
    InputTranscriptionMessage,
    InterruptedMessage,
    ServerMessage,
    ToolCallMessage,
    TurnCompleteMessage,
)
from vivavoce.client.paced_microphone import PacedMicrophone
from vivavoce.client.session import ClientSession
from vivavoce.domain.audio import pcm_seconds, seconds
from vivavoce.domain.content import ToolCall, ToolResult

AUDIBLE = 0.01
"""Amplitude, of 1, from which a sample of a reply is heard: 40 dB below full scale."""

REPLY_TIMEOUT_S = 30.0


@dataclass(slots=True)
class ConversationRecord:
    """Record of one conversation: speech, arrivals, and how well the microphone kept its times.

    `skipped` names the steps that were to be spoken over a reply that was over before.
    """

    session_id: str = ""
    spoken: list[SpokenStep] = field(default_factory=list)
    arrivals: list[Arrival] = field(default_factory=list)
    skipped: list[str] = field(default_factory=list)
    sent_chunks: int = 0
    late_chunks: int = 0
    worst_late_s: float = 0.0


class _ReplyState:
    """The reply as the player has it, from the messages so far."""

    def __init__(self) -> None:
        self.began_at: float | None = None
        """When the first sample of the reply in progress came; `None` between replies."""
        self.playing_until = 0.0
        self.begun = 0
        """Replies so far."""
        self.over = 0
        """Turns that the server completed, without those that were interrupted."""
        self._interrupted = False

    def add_arrival(self, arrival: Arrival) -> None:
        match arrival.kind:
            case ArrivalKind.AUDIO:
                if self.began_at is None:
                    self.began_at = arrival.at
                    self.begun += 1
                self.playing_until = max(self.playing_until, arrival.at) + arrival.audio_s
                self._interrupted = False
            case ArrivalKind.INTERRUPTED:
                self.playing_until = arrival.at
                self.began_at = None
                self._interrupted = True
            case ArrivalKind.COMPLETE:
                self.over += not self._interrupted
                self.began_at = None
                self._interrupted = False
            case _:
                pass


class Caller:
    """One user in one session. `record` is complete up to now at any time."""

    def __init__(
        self,
        session: ClientSession,
        functions: Sequence[ScenarioFunction] = (),
        timeout_s: float = REPLY_TIMEOUT_S,
        chunk_s: float = CHUNK_S,
    ) -> None:
        self.record = ConversationRecord()
        self._session = session
        self._functions = {function.name: function for function in functions}
        self._timeout_s = timeout_s
        self._loop = asyncio.get_running_loop()
        self._microphone = PacedMicrophone(chunk_s)
        self._reply = _ReplyState()
        self._changed = asyncio.Event()
        self._answering: set[asyncio.Task[None]] = set()

    async def hold_conversation(
        self, steps: Sequence[RecordedStep], settle_s: float = 0.0, until: float = float("inf")
    ) -> None:
        """Speak the steps, none of which begins after `until`, and wait for the last reply's end.

        Raises `SessionClosed` when the server ends the session.
        """
        tasks = {
            asyncio.ensure_future(self._send_audio()),
            asyncio.ensure_future(self._receive_messages()),
            asyncio.ensure_future(self._speak_steps(steps, settle_s, until)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in (*tasks, *self._answering):
                task.cancel()
            await asyncio.gather(*tasks, *self._answering, return_exceptions=True)

    async def _send_audio(self) -> None:
        async with aclosing(self._microphone.chunks()) as chunks:
            async for chunk in chunks:
                await self._session.send_audio(chunk)
                self.record.sent_chunks = self._microphone.chunk_count
                self.record.late_chunks = self._microphone.late_chunks
                self.record.worst_late_s = self._microphone.worst_late_s

    # --- receiving ------------------------------------------------------------------------------

    async def _receive_messages(self) -> None:
        async for message in self._session:
            arrival = read_arrival(message, self._loop.time())
            if arrival is None:
                continue
            self.record.arrivals.append(arrival)
            self._reply.add_arrival(arrival)
            self._changed.set()
            if isinstance(message, ToolCallMessage):
                for call in message.calls:
                    task = asyncio.ensure_future(self._answer_call(call))
                    self._answering.add(task)
                    task.add_done_callback(self._answering.discard)

    async def _answer_call(self, call: ToolCall) -> None:
        function = self._functions.get(call.name)
        if function is not None:
            await asyncio.sleep(function.delay_s)
        response = function.response if function else {"error": f"There is no {call.name}."}
        await self._session.send_tool_response([ToolResult(call.id, call.name, response)])

    # --- speaking -------------------------------------------------------------------------------

    async def _speak_steps(
        self, steps: Sequence[RecordedStep], settle_s: float, until: float
    ) -> None:
        await asyncio.sleep(settle_s)
        for recorded in steps:
            during_s = recorded.step.during_reply_s
            if during_s is None:
                await self._wait_until_played()
                await asyncio.sleep(recorded.step.pause_s if self.record.spoken else 0.0)
            elif not await self._wait_for_position(during_s):
                self.record.skipped.append(recorded.step.label)
                continue
            if self._loop.time() >= until:
                break
            await self._speak_step(recorded)
        await self._wait_until_played()

    async def _speak_step(self, recorded: RecordedStep) -> None:
        expect = recorded.step.expect
        begun, over = self._reply.begun, self._reply.over
        spoken = self._microphone.speak_utterance(recorded.utterance)
        end_s = seconds(spoken.position + recorded.utterance.end)
        self.record.spoken.append(
            SpokenStep(recorded.step.label, expect, spoken.stretches_at, end_s)
        )
        await asyncio.sleep(spoken.end_at - self._loop.time())
        if expect is Expectation.NOTHING:
            return

        def answered() -> bool:
            at = self._reply.began_at
            new = self._reply.begun > begun and at is not None and at >= spoken.end_at
            return new or self._reply.over > over

        await self._wait_until(answered, self._loop.time() + self._timeout_s)

    async def _wait_for_position(self, position_s: float) -> bool:
        """Wait until `position_s` of the reply have been played; `False` if it is over before."""
        at = self._reply.began_at
        if at is None:
            return False
        if await self._wait_until(lambda: self._reply.began_at != at, at + position_s):
            return False
        return self._reply.playing_until > self._loop.time()

    async def _wait_until_played(self) -> None:
        """Wait until the turn is complete and its audio has been played."""
        deadline = self._loop.time() + self._timeout_s
        while await self._wait_until(lambda: self._reply.began_at is None, deadline):
            left_s = self._reply.playing_until - self._loop.time()
            if left_s <= 0:
                return
            await asyncio.sleep(left_s)

    async def _wait_until(self, met: Callable[[], bool], deadline: float) -> bool:
        """Return whether `met` became true with an arrival before `deadline`."""
        while not met():
            self._changed.clear()
            try:
                async with asyncio.timeout_at(deadline):
                    await self._changed.wait()
            except TimeoutError:
                return False
        return True


def read_arrival(message: ServerMessage, at: float) -> Arrival | None:
    """Return what a message is to a measurement; `None` for one that is nothing to it."""
    match message:
        case AudioMessage(pcm, rate):
            return Arrival(at, ArrivalKind.AUDIO, pcm_seconds(pcm, rate), _silence_s(pcm, rate))
        case InputTranscriptionMessage():
            return Arrival(at, ArrivalKind.TRANSCRIPTION)
        case ToolCallMessage():
            return Arrival(at, ArrivalKind.CALL)
        case InterruptedMessage():
            return Arrival(at, ArrivalKind.INTERRUPTED)
        case TurnCompleteMessage():
            return Arrival(at, ArrivalKind.COMPLETE)
        case _:
            return None


def _silence_s(pcm: bytes, rate: int) -> float:
    """Return the silence at the beginning of a chunk."""
    sound = np.frombuffer(pcm[: len(pcm) & ~1], "<i2")
    loud = np.abs(sound.astype(np.int32)) >= AUDIBLE * 2**15
    return (int(loud.argmax()) if loud.any() else len(sound)) / rate
