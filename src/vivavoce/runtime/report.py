"""One report a turn: what came of it, and where the time went.

The reporter only watches: it is shown every event, every effect and every frame that leaves,
and decides nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from vivavoce.core.effects import (
    DropTranscript,
    Effect,
    FinishTranscript,
    Send,
    StartGeneration,
    StartTranscript,
)
from vivavoce.core.events import (
    ActivityEnded,
    AudioProduced,
    ContentReceived,
    Event,
    GenerationFailed,
    TextProduced,
    TextReceived,
    ToolCallsProduced,
    ToolResponsesReceived,
    TranscriptFailed,
    TranscriptUpdated,
    VoiceScored,
)
from vivavoce.core.messages import (
    Interrupted,
    Message,
    ModelAudio,
    ModelText,
    ToolCallRequest,
    TurnComplete,
)
from vivavoce.domain.audio import Position, pcm_seconds, seconds
from vivavoce.domain.ids import GenerationId, SessionId, TurnId

SPEECH = 0.5
"""A frame with this score or more counts as speech when the last of it is timed."""


class Outcome(Enum):
    """What came of a turn."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    ERROR = "error"
    NO_SPEECH = "no_speech"


@dataclass(frozen=True, slots=True)
class TurnReport:
    """One turn of one session. Durations in seconds; `None` where the stage did not happen.

    The stages follow each other: `endpointing_s` from the arrival of the last speech to the
    decision that it was the last; `asr_final_s` from there to the final text;
    `llm_first_token_s` from the start of the generation; `first_clause_s` from the first token;
    `tts_first_audio_s` from the first clause to the first sound; `send_first_audio_s` from
    there until it was handed to the socket. `total_s` runs from the arrival of the last speech
    (or of the text that asked) to the first content sent.

    `detecting_s` is the share of `endpointing_s` that was no waiting for silence: from the
    arrival of the deciding sound to the decision. `speech_end_s` is where the last speech ended
    in the session's sound. `heard` is what the user said and typed, `said` what was handed to
    the socket of the answer's words; both are personal data. `interruption_s` runs from the
    arrival of the deciding sound (or text) to `interrupted` handed to the socket.
    """

    session: SessionId
    number: int
    outcome: Outcome
    endpointing_s: float | None = None
    detecting_s: float | None = None
    asr_final_s: float | None = None
    llm_first_token_s: float | None = None
    first_clause_s: float | None = None
    tts_first_audio_s: float | None = None
    send_first_audio_s: float | None = None
    tool_s: float | None = None
    total_s: float | None = None
    speech_end_s: float | None = None
    heard_s: float = 0.0
    spoken_s: float = 0.0
    tool_calls: int = 0
    heard: str = ""
    said: str = ""
    interruption_s: float | None = None


class TurnListener(Protocol):
    """Gets every turn's report, on the event loop; must not raise or wait."""

    def turn_done(self, report: TurnReport) -> None: ...


@dataclass(slots=True)
class _Times:
    """When things of the current turn happened, in the loop's time."""

    asked: float | None = None
    decidable: float | None = None
    ended: float | None = None
    speech_end: Position | None = None
    final: float | None = None
    started: float | None = None
    first_token: float | None = None
    first_clause: float | None = None
    first_audio: float | None = None
    first_sent: float | None = None
    tools_asked: float | None = None
    tools_s: float | None = None
    heard_s: float = 0.0
    spoken_s: float = 0.0
    tool_calls: int = 0
    failed: bool = False
    interrupted: bool = False


class TurnReporter:
    """Watches one conversation and tells the listener about each turn."""

    def __init__(self, session: SessionId, listener: TurnListener | None) -> None:
        self._session = session
        self._listener = listener
        self._number = 0
        self._times = _Times()
        self._turn: TurnId | None = None
        self._began: Position = 0
        self._speech_until: Position = 0
        self._closing: deque[tuple[_Times, Outcome]] = deque()
        self._generation: GenerationId | None = None
        self._arrivals: deque[tuple[Position, float]] = deque(maxlen=128)

    def arrived(self, position: Position, now: float) -> None:
        """Sound has arrived up to `position`."""
        self._arrivals.append((position, now))

    def event(self, event: Event, now: float) -> None:
        """The core is about to be told `event`."""
        times = self._times
        match event:
            case VoiceScored(scores=scores) if max(scores) >= SPEECH:
                last = max(i for i, score in enumerate(scores) if score >= SPEECH)
                after = (len(scores) - 1 - last) * event.frame_samples
                self._speech_until = event.position - after
            case ActivityEnded(position=position):
                self._speech_until = position
            case TextReceived() | ContentReceived(turn_complete=True):
                if times.started is None:
                    times.asked = now
            case TranscriptUpdated(final=True, text=text) if event.turn == self._turn:
                times.final = now
                if not text.strip():
                    self._close(Outcome.NO_SPEECH)
            case TranscriptFailed() if event.turn == self._turn:
                self._close(Outcome.ERROR)
            case AudioProduced() if event.generation == self._generation:
                times.first_audio = times.first_audio or now
                times.first_token = times.first_token or now
            case TextProduced() | ToolCallsProduced() if event.generation == self._generation:
                times.first_token = times.first_token or now
            case GenerationFailed() if event.generation == self._generation:
                times.failed = True
            case ToolResponsesReceived() if times.tools_asked is not None:
                times.tools_s = (times.tools_s or 0.0) + now - times.tools_asked
                times.tools_asked = None
            case _:
                pass

    def effect(self, effect: Effect, now: float) -> None:
        """The host is about to perform `effect`."""
        times = self._times
        match effect:
            case StartTranscript(start=start):
                self._began = start
            case FinishTranscript(turn=turn, end=end):
                times.heard_s += seconds(max(0, end - self._began))
                if times.started is None:
                    spoken = min(end, max(self._began, self._speech_until))
                    times.asked, times.speech_end = self._arrival(spoken, now), spoken
                    times.decidable, times.ended = self._arrival(end, now), now
                self._turn = turn
            case DropTranscript(turn=turn) if turn == self._turn:
                self._close(Outcome.NO_SPEECH)
            case StartGeneration(request=request):
                times.started = times.started or now
                self._generation = request.generation
            case Send(message=ToolCallRequest(calls=calls)):
                times.tools_asked = now
                times.tool_calls += len(calls)
            case Send(message=Interrupted()):
                times.interrupted = True
            case Send(message=TurnComplete()):
                # Told when it has left: a slow client still has to be handed the answer.
                self._closing.append((times, self._outcome()))
                self._begin()
            case _:
                pass

    def milestone(self, generation: GenerationId, name: str, now: float) -> None:
        """An engine says that something worth timing happened."""
        if generation != self._generation:
            return
        if name == "first_token":
            self._times.first_token = self._times.first_token or now
        elif name == "first_clause":
            self._times.first_clause = self._times.first_clause or now

    def sent(self, message: Message, now: float) -> None:
        """`message` was handed to the socket."""
        times = self._closing[0][0] if self._closing else self._times
        if isinstance(message, ModelAudio | ModelText | ToolCallRequest):
            times.first_sent = times.first_sent or now
        if isinstance(message, ModelAudio):
            times.spoken_s += pcm_seconds(message.pcm)
        if isinstance(message, TurnComplete) and self._closing:
            self._tell(*self._closing.popleft())

    def _arrival(self, position: Position, now: float) -> float:
        for reached, when in self._arrivals:
            if reached >= position:
                return when
        return now

    def _outcome(self) -> Outcome:
        if self._times.interrupted:
            return Outcome.INTERRUPTED
        return Outcome.ERROR if self._times.failed else Outcome.COMPLETE

    def _begin(self) -> None:
        self._times = _Times()
        self._turn = self._generation = None

    def _close(self, outcome: Outcome) -> None:
        """The turn ends without an answer."""
        times = self._times
        self._begin()
        self._tell(times, outcome)

    def _tell(self, times: _Times, outcome: Outcome) -> None:
        self._number += 1
        if self._listener is not None:
            self._listener.turn_done(self._report(times, outcome))

    def _report(self, times: _Times, outcome: Outcome) -> TurnReport:
        report = TurnReport(self._session, self._number, outcome)
        return replace(
            report,
            endpointing_s=_between(times.asked, times.ended),
            detecting_s=_between(times.decidable, times.ended),
            speech_end_s=None if times.speech_end is None else seconds(times.speech_end),
            asr_final_s=_between(times.ended, times.final),
            llm_first_token_s=_between(times.started, times.first_token),
            first_clause_s=_between(times.first_token, times.first_clause),
            tts_first_audio_s=_between(times.first_clause or times.first_token, times.first_audio),
            send_first_audio_s=_between(times.first_audio, times.first_sent),
            tool_s=times.tools_s,
            total_s=_between(times.asked, times.first_sent),
            heard_s=times.heard_s,
            spoken_s=times.spoken_s,
            tool_calls=times.tool_calls,
        )


def _between(start: float | None, end: float | None) -> float | None:
    """Seconds from one to the other, if both happened."""
    return None if start is None or end is None else max(0.0, end - start)
