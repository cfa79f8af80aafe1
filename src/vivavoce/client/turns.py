"""Turns as the client sees them: what was asked, what was answered, and how long it took.

The latency of a turn is counted from the last loud sample that was sent before its answer began.
For a file that is the true end of the speech in it; for a microphone it is an estimate.

Words of the answer are paired with positions in the stream of sound that the speaker is given, in
seconds from its beginning, so that one can tell which of them have been played.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

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
    TextMessage,
    ToolCallCancellationMessage,
    ToolCallMessage,
    TurnCompleteMessage,
    UrlContextMessage,
)
from vivavoce.client.speech_clock import SpeechClock
from vivavoce.domain.audio import pcm_seconds
from vivavoce.domain.content import ToolCall, ToolResult

NORMAL_REASONS = ("", "TURN_COMPLETE_REASON_UNSPECIFIED", "NEED_MORE_INPUT")
"""Reasons of a turn's end that are no failure: the model said all that it wanted to."""


@dataclass(frozen=True, slots=True)
class AnswerPiece:
    """A piece of the answer's words, and the position at which their sound begins."""

    text: str
    start_s: float


@dataclass(slots=True)
class ToolUse:
    """A function call of the model's, and its result once there is one."""

    call: ToolCall
    result: ToolResult | None = None
    withdrawn: bool = False


@dataclass(slots=True)
class Turn:
    """One question and its answer.

    Times are of one monotonic clock, in seconds. `start_s` and `end_s` are the positions at which
    the answer's sound begins and ends, `cut_s` the one at which an interruption ended its playing.
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
        """The answer's words, without those that an interruption kept from being played."""
        return self.answer_until(math.inf)

    def answer_until(self, played_s: float) -> str:
        """The answer's words whose sound has begun when `played_s` has been played."""
        end_s = min(played_s, self.cut_s)
        return "".join(piece.text for piece in self.pieces if piece.start_s < end_s)

    @property
    def unplayed(self) -> str:
        """The words that came and were not played, since the user interrupted."""
        return "".join(piece.text for piece in self.pieces if piece.start_s >= self.cut_s)

    @property
    def played_s(self) -> float:
        """Seconds of the answer that were played, or will be."""
        return min(self.audio_s, max(0.0, self.cut_s - self.start_s))

    @property
    def failed(self) -> bool:
        """Whether the server gave up on the answer; `reason` is its word for why."""
        return self.reason not in NORMAL_REASONS

    @property
    def has_answer(self) -> bool:
        """Whether anything but the user's own words has come."""
        return bool(self.pieces or self.tools or self.code or self.audio_s)

    def latency_ms(self, at: float | None) -> int | None:
        """From the end of the user's speech to `at`; `None` where either is unknown.

        0 for what came before that end, as when the user goes on speaking.
        """
        if at is None or self.speech_end is None:
            return None
        return max(0, round((at - self.speech_end) * 1000))

    def as_json(self) -> dict[str, Any]:
        """The turn for a transcript file: one object a line.

        Without the space with which a server begins what follows an earlier transcript.
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
        """The turn's latency parts in one line."""
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
    """Gathers messages into turns.

    `queued_s` is the position at which the sound ends that the speaker was given so far.
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
        """Whether something was said that no turn has taken up."""
        return self._clock.began != self._answered_at

    def add_message(
        self, message: ServerMessage, now: float, played_s: float = math.inf
    ) -> Turn | None:
        """Note a message that came at `now`; the turn that it completed, if it did.

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
                # What the connection before did not bring of an answer never comes. Questions and
                # calls are not lost with it: theirs is still to come.
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
        """Note what a function gave; the call as the log has it, unless that is forgotten."""
        for use in self._recent_tool_uses():
            if use.call is call:
                use.result = result
                return use
        return None

    def _recent_tool_uses(self) -> Iterable[ToolUse]:
        """Calls of the open turn and the one before, which may be waited for still."""
        turns = [*self.turns[-1:], *([self.open] if self.open is not None else [])]
        return [use for turn in turns for use in turn.tools]

    def _begin_answer(self, message: ServerMessage) -> None:
        """What was begun before an answer is that turn's question; what comes later is not."""
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
