"""Turns as the client sees them: what was asked, what was answered, and how long it took.

The clock of a turn starts at the last loud sample that was sent before the first reaction.
For a file that is the true end of the speech in it; for a microphone it is an estimate.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from vivavoce.client.messages import (
    Audio,
    CallsWanted,
    CodeShown,
    Grounded,
    Heard,
    Interrupted,
    PagesRead,
    Resumed,
    Said,
    ServerMessage,
    Text,
    TurnComplete,
)
from vivavoce.domain.audio import INPUT_RATE, pcm_seconds

LOUD = 0.02
"""Amplitude, of 1, from which a sample counts as speech: 34 dB below full scale."""


CLEAR = 0.25
"""Sound stands out from its background from this part of the loudest so far: 12 dB below it."""

PAUSE_S = 0.5
"""Speech after a pause of this length is something new."""

WELL = ("", "TURN_COMPLETE_REASON_UNSPECIFIED", "NEED_MORE_INPUT")
"""Reasons of a turn's end that are no failure: the model said all that it wanted to."""


class SpeechClock:
    """When the user last spoke, told from the sound that is sent.

    `last` is the last loud sample, of speech or of noise. `began` is when the user last began
    to speak after a pause; only what is about as loud as the loudest so far counts, which noise
    behind a voice is not.
    """

    def __init__(self, loud: float = LOUD) -> None:
        self._loud = loud * 2**15
        self._loudest = 0.0
        self._clear: float | None = None
        self.last: float | None = None
        self.began: float | None = None

    def sent(self, pcm: bytes, at: float) -> None:
        """`pcm` at 16 kHz was handed over at time `at`, when its last sample had been heard."""
        samples = np.frombuffer(pcm[: len(pcm) & ~1], "<i2").astype(np.int32)
        loud = np.flatnonzero(np.abs(samples) >= self._loud)
        if not loud.size:
            return
        silent = len(samples) - 1 - int(loud[-1])
        self.last = at - silent / INPUT_RATE
        power = float(np.mean(np.square(samples, dtype=np.float64)))
        self._loudest = max(self._loudest, power)
        if power >= self._loudest * CLEAR**2:
            if self._clear is None or self.last - self._clear >= PAUSE_S:
                self.began = self.last
            self._clear = self.last

    def typed(self, at: float) -> None:
        """A turn was sent in writing."""
        self.last = self.began = at


@dataclass(slots=True)
class Turn:
    """One question and its answer. Times are of one monotonic clock, in seconds."""

    number: int
    heard: str = ""
    said: str = ""
    calls: list[str] = field(default_factory=list)
    code: list[str] = field(default_factory=list)
    sources: list[tuple[str, str]] = field(default_factory=list)
    urls: list[tuple[str, str]] = field(default_factory=list)
    interrupted: bool = False
    reason: str = ""
    speech_end: float | None = None
    transcript_at: float | None = None
    first_audio_at: float | None = None
    first_text_at: float | None = None
    complete_at: float | None = None
    audio_s: float = 0.0

    @property
    def failed(self) -> bool:
        """Whether the server gave up on the answer; `reason` is its word for why."""
        return self.reason not in WELL

    @property
    def begun(self) -> bool:
        """Whether anything but the user's own words has come."""
        return bool(self.said or self.calls or self.code or self.audio_s)

    def latency_ms(self, at: float | None) -> int | None:
        """From the end of the user's speech to `at`; `None` where either is unknown."""
        if at is None or self.speech_end is None:
            return None
        return round((at - self.speech_end) * 1000)

    def as_json(self) -> dict[str, Any]:
        """The turn for a transcript file: one object a line."""
        return {
            "turn": self.number,
            "heard": self.heard,
            "said": self.said,
            "calls": self.calls,
            "code": self.code,
            "sources": [{"title": title, "uri": uri} for title, uri in self.sources],
            "urls": [{"url": url, "status": status} for url, status in self.urls],
            "interrupted": self.interrupted,
            "failed": self.failed,
            "reason": self.reason,
            "answer_s": round(self.audio_s, 3),
            "transcript_ms": self.latency_ms(self.transcript_at),
            "first_text_ms": self.latency_ms(self.first_text_at),
            "first_audio_ms": self.latency_ms(self.first_audio_at),
            "complete_ms": self.latency_ms(self.complete_at),
        }

    def line(self) -> str:
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
        notes = [f"answer {self.audio_s:.1f} s"] if self.audio_s else []
        notes += [f"called {name}" for name in self.calls]
        notes += ["interrupted"] if self.interrupted else []
        notes += [f"failed: {self.reason}"] if self.failed else []
        return f"turn {self.number} · " + " · ".join(times + notes)


class TurnLog:
    """Gathers messages into turns."""

    def __init__(self, clock: SpeechClock) -> None:
        self._clock = clock
        self.turns: list[Turn] = []
        self.open: Turn | None = None
        self._taken_up: float | None = None

    @property
    def unanswered(self) -> bool:
        """Whether something was said that no turn has taken up."""
        return self._clock.began != self._taken_up

    def take(self, message: ServerMessage, now: float) -> Turn | None:
        """Note a message that came at `now`; the turn that it completed, if it did."""
        self._take_up(message)
        match message:
            case Heard(text):
                turn = self._turn()
                turn.heard += text
                turn.transcript_at = now
            case Said(text):
                self._turn().said += text
            case Text(text, thought=False):
                turn = self._turn()
                turn.said += text
                turn.first_text_at = turn.first_text_at or now
            case Audio(pcm, rate):
                turn = self._turn()
                turn.audio_s += pcm_seconds(pcm, rate)
                turn.first_audio_at = turn.first_audio_at or now
            case CallsWanted(calls):
                self._turn().calls.extend(call.name for call in calls)
            case CodeShown(code):
                self._turn().code.append(code)
            case PagesRead(pages):
                self._turn().urls.extend(pages)
            case Grounded(sources):
                self._turn().sources.extend(sources)
            case Interrupted():
                self._turn().interrupted = True
            case TurnComplete(reason=reason):
                return self._complete(now, reason)
            case Resumed() if self.open is not None and (self.open.said or self.open.audio_s):
                # What the connection before did not bring of an answer never comes. Questions and
                # calls are not lost with it: theirs is still to come.
                self.open.interrupted = True
                return self._complete(now, "")
            case _:
                pass
        return None

    def _take_up(self, message: ServerMessage) -> None:
        """What was begun before an answer is that turn's question; what comes later is not."""
        match message:
            case Heard() | Said() | Text() | Audio() | CallsWanted() | CodeShown():
                answering = self.open is not None and self.open.begun
            case TurnComplete():
                answering = self.open is not None and (self.open.begun or self.open.interrupted)
            case _:
                return
        if not answering:
            self._taken_up = self._clock.began

    def _turn(self) -> Turn:
        if self.open is None:
            self.open = Turn(len(self.turns) + 1, speech_end=self._clock.last)
        return self.open

    def _complete(self, now: float, reason: str) -> Turn:
        turn = self._turn()
        turn.complete_at = now
        turn.reason = reason
        self.turns.append(turn)
        self.open = None
        return turn
