"""Client side of a conversation: send audio and text, play answers, run tools, log turns.

The latency of a turn is counted from the last loud sample that was sent before its answer began.
For a file that is the true end of the speech in it; for a microphone it is an estimate. Times are
of one monotonic clock, in seconds.

Words of the answer are paired with positions in the stream of audio that the speaker gets, in
seconds from its beginning, which tell the words that have been played.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Coroutine, Iterable
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vivavoce.client.audio import Microphone, Speaker
from vivavoce.client.echo_cancellation import EchoGuard, EchoPassThrough
from vivavoce.client.messages import (
    AudioMessage,
    ExecutableCodeMessage,
    GenerationCompleteMessage,
    GroundingMessage,
    InputTranscriptionMessage,
    InterruptedMessage,
    OutputTranscriptionMessage,
    ReconnectedMessage,
    ServerMessage,
    SessionClosed,
    TextMessage,
    ToolCallCancellationMessage,
    ToolCallMessage,
    TurnCompleteMessage,
    UrlContextMessage,
)
from vivavoce.client.session import ClientSession
from vivavoce.client.tools import ToolModule
from vivavoce.domain.audio import INPUT_RATE, pcm_seconds
from vivavoce.domain.content import ToolCall, ToolResult

NORMAL_REASONS = ("", "TURN_COMPLETE_REASON_UNSPECIFIED", "NEED_MORE_INPUT")
"""Values of `turnCompleteReason` that are no failure."""
SPEECH_AMPLITUDE = 0.02
"""Amplitude, of 1, from which a sample counts as speech: 34 dB below full scale."""
SPEECH_FRACTION = 0.25
"""Audio counts as speech from this fraction of the loudest so far: 12 dB below it."""
PAUSE_S = 0.5
"""Speech after a pause of this length is a new utterance."""
SILENCE_DBFS = -60.0
"""The lowest level that differs from silence."""
FALL_DB_PER_S = 60.0
"""How fast the level falls after a loud chunk."""


class ConversationObserver:
    """Receives the events of a conversation, after they are in its log. Ignores all by default."""

    def on_message(self, message: ServerMessage, turn: Turn | None) -> None:
        """Handle a message of the server; `turn` is the one in progress after it."""

    def on_tool_result(self, use: ToolUse) -> None:
        """Handle the result of a function."""

    def on_turn(self, turn: Turn) -> None:
        """Handle the end of a turn."""


class ClientConversation:
    """Speaker and functions bound to one session.

    `log` and `clock` hold its state. `receive_messages` must run, as a task, during the
    conversation.
    """

    def __init__(
        self,
        session: ClientSession,
        speaker: Speaker,
        tools: ToolModule | None = None,
        observer: ConversationObserver | None = None,
    ) -> None:
        self.clock = SpeechClock()
        self.log = TurnLog(self.clock)
        self._session = session
        self._speaker = speaker
        self._tools = tools or ToolModule()
        self._observer = observer or ConversationObserver()
        self._loop = asyncio.get_running_loop()
        self._last_message = self._last_sent = self._loop.time()

    @property
    def played_s(self) -> float:
        """Position, in the stream of audio of all answers, up to which the speaker has played."""
        return self.log.queued_s - self._speaker.pending_s

    async def receive_messages(self) -> None:
        """Handle all messages. Raises `SessionClosed` when the server ends the session."""
        try:
            async with asyncio.TaskGroup() as tasks:
                async for message in self._session:
                    self._handle_message(message)
                    if isinstance(message, ToolCallMessage):
                        tasks.create_task(self._answer_calls(message))
        except ExceptionGroup as group:
            ended, _ = group.split(SessionClosed)
            if ended is None:
                raise
            raise ended.exceptions[0] from None

    def _handle_message(self, message: ServerMessage) -> None:
        now = self._last_message = self._loop.time()
        turn = self.log.add_message(message, now, self.played_s)
        match message:
            case AudioMessage(pcm):
                self._speaker.queue_audio(pcm)
            case InterruptedMessage():
                self._speaker.drop_audio()
            case _:
                pass
        self._observer.on_message(message, self.log.open)
        if turn is not None:
            self._observer.on_turn(turn)

    async def _answer_calls(self, request: ToolCallMessage) -> None:
        results = await self._tools.answer_calls(request.calls)
        for call, result in zip(request.calls, results, strict=True):
            if (use := self.log.add_result(call, result)) is not None:
                self._observer.on_tool_result(use)
        await self._session.send_tool_response(results)

    async def send_microphone(self, microphone: Microphone, echo: EchoGuard | None = None) -> None:
        """Send the audio of the microphone until it ends."""
        guard = echo or EchoPassThrough()
        async with aclosing(microphone.chunks()) as chunks:
            async for chunk in chunks:
                cleaned = guard.process_microphone(chunk)
                if cleaned:
                    self.clock.add_audio(cleaned, self._loop.time())
                    await self._session.send_audio(cleaned)
                    self._last_sent = self._loop.time()

    async def send_text(self, text: str) -> None:
        """Send a whole turn as text."""
        self.clock.add_text(self._loop.time())
        await self._session.send_text(text)

    async def run_while_receiving(self, work: Coroutine[Any, Any, bool]) -> bool:
        """Return the outcome of `work`, while messages are handled beside it.

        Raises `SessionClosed` when the server ends the session first.
        """
        working = asyncio.ensure_future(work)
        receiving = asyncio.ensure_future(self.receive_messages())
        try:
            await asyncio.wait((working, receiving), return_when=asyncio.FIRST_COMPLETED)
            if receiving.done():
                receiving.result()
            return await working
        finally:
            working.cancel()
            receiving.cancel()
            await asyncio.gather(working, receiving, return_exceptions=True)

    async def wait_for_turns(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` turns are over; `False` if nothing came for `timeout_s` before."""
        return await self._wait_until(lambda: len(self.log.turns) >= count, timeout_s)

    async def wait_until_quiet(self, quiet_s: float, timeout_s: float) -> bool:
        """Wait until all input is answered and nothing was sent or received for `quiet_s`.

        `False` if nothing came for `timeout_s` before that.
        """
        return await self._wait_until(
            lambda: (
                bool(self.log.turns)
                and self.log.open is None
                and not self.log.unanswered
                and self._loop.time() - max(self._last_message, self._last_sent) >= quiet_s
            ),
            timeout_s,
        )

    async def _wait_until(self, met: Callable[[], bool], timeout_s: float) -> bool:
        """Return whether `met` became true before nothing came for `timeout_s`."""
        began = self._loop.time()
        # Polled, since the condition depends on the time, not only on messages.
        while not met():
            if self._loop.time() - max(began, self._last_message) >= timeout_s:
                return False
            await asyncio.sleep(0.02)
        return True


# --- turns ---------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """A piece of the answer's words, and the position at which their audio begins."""

    text: str
    start_s: float


@dataclass(slots=True)
class ToolUse:
    """A function call of the model, and its result once there is one."""

    call: ToolCall
    result: ToolResult | None = None
    withdrawn: bool = False


@dataclass(slots=True)
class Turn:
    """One question and its answer.

    `start_s` and `end_s` are the positions at which the answer's audio begins and ends, `cut_s` the
    one at which an interruption ended its playing.
    """

    number: int
    question: str = ""
    pieces: list[AnswerPiece] = field(default_factory=list)
    tools: list[ToolUse] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)
    urls: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    produced: bool = False
    reason: str = ""
    speech_end: float | None = None
    transcript_at: float | None = None
    first_audio_at: float | None = None
    first_text_at: float | None = None
    complete_at: float | None = None
    start_s: float = 0.0
    end_s: float = 0.0
    cut_s: float = math.inf
    audio_s: float = 0.0

    @property
    def answer(self) -> str:
        """The answer's words, without those that an interruption cut off."""
        return self.answer_until(math.inf)

    def answer_until(self, played_s: float) -> str:
        """Return the answer's words whose audio begins before `played_s`."""
        end_s = min(played_s, self.cut_s)
        return "".join(piece.text for piece in self.pieces if piece.start_s < end_s)

    @property
    def unplayed(self) -> str:
        """The answer's words that an interruption cut off."""
        return "".join(piece.text for piece in self.pieces if piece.start_s >= self.cut_s)

    @property
    def played_s(self) -> float:
        """Seconds of the answer that were played, or will be."""
        return min(self.audio_s, max(0.0, self.cut_s - self.start_s))

    @property
    def failed(self) -> bool:
        """Return whether the server could not answer; `reason` says why."""
        return self.reason not in NORMAL_REASONS

    @property
    def has_answer(self) -> bool:
        """Return whether anything but the input's transcript has come."""
        return bool(self.pieces or self.tools or self.code or self.audio_s)

    def latency_ms(self, at: float | None) -> int | None:
        """Return the time from the end of the user's speech to `at`; `None` if either is unknown.

        0 for what came before that end, as when the user goes on speaking.
        """
        if at is None or self.speech_end is None:
            return None
        return max(0, round((at - self.speech_end) * 1000))

    def as_json(self) -> dict[str, Any]:
        """Return the turn for a transcript file, one object a line.

        The space that begins a transcript after an earlier one is left out.
        """
        return {
            "turn": self.number,
            "heard": self.question.lstrip(),
            "said": self.answer.lstrip(),
            "unheard": self.unplayed,
            "calls": [use.call.name for use in self.tools],
            "code": self.code,
            "sources": [{"title": title, "uri": uri} for title, uri in self.sources],
            "urls": [{"url": url, "status": status} for url, status in self.urls],
            "interrupted": self.interrupted,
            "failed": self.failed,
            "reason": self.reason,
            "answer_s": round(self.audio_s, 3),
            "heard_s": round(self.played_s, 3),
            "transcript_ms": self.latency_ms(self.transcript_at),
            "first_text_ms": self.latency_ms(self.first_text_at),
            "first_audio_ms": self.latency_ms(self.first_audio_at),
            "complete_ms": self.latency_ms(self.complete_at),
        }

    def latency_line(self) -> str:
        """Return the parts of the turn's latency in one line."""
        parts = [
            ("transcript", self.transcript_at),
            ("first audio" if self.first_audio_at else "first text",
             self.first_audio_at or self.first_text_at),
            ("complete", self.complete_at),
        ]  # fmt: skip
        times = [
            f"{name} {value / 1000:.2f} s"
            for name, at in parts
            if (value := self.latency_ms(at)) is not None
        ]
        notes = []
        if self.audio_s:
            played = f"{self.played_s:.1f} of " if self.played_s < self.audio_s else ""
            notes.append(f"answer {played}{self.audio_s:.1f} s")
        notes += ["interrupted"] if self.interrupted else []
        notes += [f"failed: {self.reason}"] if self.failed else []
        return f"turn {self.number} · " + " · ".join(times + notes)


class TurnLog:
    """Collects messages into turns.

    `queued_s` is the position at which the audio ends that the speaker got so far.
    """

    def __init__(self, clock: SpeechClock) -> None:
        self._clock = clock
        self.turns: list[Turn] = []
        self.open: Turn | None = None
        self.queued_s = 0.0
        self._piece_start_s: float | None = None
        self._answered_at: float | None = None

    @property
    def unanswered(self) -> bool:
        """Return whether input was sent that belongs to no turn yet."""
        return self._clock.began != self._answered_at

    def add_message(
        self, message: ServerMessage, now: float, played_s: float = math.inf
    ) -> Turn | None:
        """Add a message that came at `now`, and return the turn that it completed, if any.

        `played_s` is the position up to which the speaker has played by then.
        """
        self._begin_answer(message)
        match message:
            case InputTranscriptionMessage(text):
                turn = self._current_turn()
                turn.question += text
                turn.transcript_at = now
            case InterruptedMessage():
                turn = self._current_turn()
                turn.interrupted = True
                turn.cut_s = min(played_s, self.queued_s)
                turn.end_s = min(turn.end_s, turn.cut_s)
                self.queued_s = turn.cut_s
            case TurnCompleteMessage(reason=reason):
                return self._complete_turn(now, reason)
            case ReconnectedMessage() if self.open is not None and (
                self.open.pieces or self.open.audio_s
            ):
                # The remainder of an answer is lost with the old connection; answers to questions
                # and calls are still to come.
                self.open.interrupted = True
                return self._complete_turn(now, "")
            case ToolCallCancellationMessage(ids):
                for use in self._recent_tool_uses():
                    use.withdrawn = use.withdrawn or (use.result is None and use.call.id in ids)
            case _:
                self._add_answer(message, now)
        return None

    def _add_answer(self, message: ServerMessage, now: float) -> None:
        match message:
            case AudioMessage(pcm, rate):
                self._add_audio(pcm_seconds(pcm, rate), now)
            case OutputTranscriptionMessage(text) if text:
                start_s = self._piece_start_s
                start_s = self.queued_s if start_s is None else start_s
                self._current_turn().pieces.append(AnswerPiece(text, start_s))
            case TextMessage(text, thought=False):
                turn = self._current_turn()
                turn.pieces.append(AnswerPiece(text, -math.inf))
                turn.first_text_at = turn.first_text_at or now
            case ToolCallMessage(calls):
                self._current_turn().tools.extend(ToolUse(call) for call in calls)
            case ExecutableCodeMessage(code):
                self._current_turn().code.append(code)
            case UrlContextMessage(pages):
                self._current_turn().urls.extend(pages)
            case GroundingMessage(sources):
                self._current_turn().sources.extend(sources)
            case GenerationCompleteMessage() if self.open is not None:
                self.open.produced = True
            case _:
                pass

    def _add_audio(self, duration_s: float, now: float) -> None:
        turn = self._current_turn()
        if not turn.audio_s:
            turn.start_s = self.queued_s
        self._piece_start_s = self.queued_s
        self.queued_s += duration_s
        turn.end_s = self.queued_s
        turn.audio_s += duration_s
        turn.first_audio_at = turn.first_audio_at or now

    def add_result(self, call: ToolCall, result: ToolResult) -> ToolUse | None:
        """Add a function's result, and return the call of the log; `None` if it is too old."""
        for use in self._recent_tool_uses():
            if use.call is call:
                use.result = result
                return use
        return None

    def _recent_tool_uses(self) -> Iterable[ToolUse]:
        """Return the calls of the open turn and the one before, which may be pending."""
        turns = [*self.turns[-1:], *([self.open] if self.open is not None else [])]
        return [use for turn in turns for use in turn.tools]

    def _begin_answer(self, message: ServerMessage) -> None:
        """Assign the input sent so far to the turn whose answer `message` begins, if it does."""
        match message:
            case (
                InputTranscriptionMessage()
                | OutputTranscriptionMessage()
                | TextMessage()
                | AudioMessage()
                | ToolCallMessage()
                | ExecutableCodeMessage()
            ):
                answering = self.open is not None and self.open.has_answer
            case TurnCompleteMessage():
                answering = self.open is not None and (
                    self.open.has_answer or self.open.interrupted
                )
            case _:
                return
        if not answering:
            self._answered_at = self._clock.began
            self._current_turn().speech_end = self._clock.last

    def _current_turn(self) -> Turn:
        if self.open is None:
            self.open = Turn(len(self.turns) + 1, speech_end=self._clock.last)
        return self.open

    def _complete_turn(self, now: float, reason: str) -> Turn:
        turn = self._current_turn()
        turn.complete_at = now
        turn.reason = reason
        self.turns.append(turn)
        self.open = None
        self._piece_start_s = None
        return turn


# --- loudness of the input -----------------------------------------------------------------------


class SpeechClock:
    """Measures the loudness of the audio that is sent, and times the user's speech by it.

    `last` is the time of the last loud sample, of speech or of noise. `last_speech` and `began`
    are when the user last spoke, and last began to after a pause; there, only what is about as
    loud as the loudest so far counts, which excludes noise behind a voice. Levels are root mean
    squares in decibels below full scale (dBFS).
    """

    def __init__(self, loud: float = SPEECH_AMPLITUDE) -> None:
        self._loud = loud * 2**15
        self._loudest = 0.0
        self._level_dbfs = SILENCE_DBFS
        self._level_at = 0.0
        self.last: float | None = None
        self.last_speech: float | None = None
        self.began: float | None = None

    def add_audio(self, pcm: bytes, at: float) -> None:
        """Measure 16 kHz `pcm` whose last sample was recorded, and sent, at time `at`."""
        samples = np.frombuffer(pcm[: len(pcm) & ~1], "<i2").astype(np.float64)
        if not samples.size:
            return
        power = float(np.mean(np.square(samples)))
        self._raise_level(10 * math.log10(power / 2**30 + 1e-12), at)
        loud = np.flatnonzero(np.abs(samples) >= self._loud)
        if not loud.size:
            return
        silent = len(samples) - 1 - int(loud[-1])
        self.last = at - silent / INPUT_RATE
        self._loudest = max(self._loudest, power)
        if power >= self._loudest * SPEECH_FRACTION**2:
            if self.last_speech is None or self.last - self.last_speech >= PAUSE_S:
                self.began = self.last
            self.last_speech = self.last

    def add_text(self, at: float) -> None:
        """Note that a turn was sent as text at time `at`."""
        self.last = self.last_speech = self.began = at

    def level_dbfs(self, now: float) -> float:
        """Return the level at time `now`, from `SILENCE_DBFS` to 0."""
        fallen = self._level_dbfs - FALL_DB_PER_S * max(0.0, now - self._level_at)
        return max(SILENCE_DBFS, fallen)

    def _raise_level(self, level_dbfs: float, at: float) -> None:
        if level_dbfs >= self.level_dbfs(at):
            self._level_dbfs, self._level_at = level_dbfs, at
