"""Measure one conversation: a report for each turn, and usage for quotas.

They are taken from every event, every effect and every frame that leaves, and decide nothing.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from vivavoce.core.barge_in import IgnoredReason
from vivavoce.core.effects import (
    CancelGeneration,
    DropTranscript,
    Effect,
    FinishTranscript,
    IgnoreSpeech,
    ReleaseGeneration,
    RunTool,
    Send,
    StartGeneration,
    StartTranscript,
)
from vivavoce.core.events import (
    ActivityEnded,
    AudioProduced,
    ClientInput,
    ContentReceived,
    Event,
    GenerationFailed,
    GenerationRefused,
    TextProduced,
    TextReceived,
    ToolCallsProduced,
    ToolRan,
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
from vivavoce.domain.audio import AudioChunk, Position, pcm_seconds, seconds
from vivavoce.domain.content import Role
from vivavoce.domain.ids import GenerationId, SessionId, TurnId
from vivavoce.runtime.ports import Meter

MAX_TEXT_CHARS = 10_000
"""Characters of a side's words that a report holds at most; the rest is cut off."""


class TurnOutcome(Enum):
    """Outcome of a turn."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    ERROR = "error"
    NO_SPEECH = "no_speech"
    IGNORED = "ignored"


@dataclass(slots=True)
class SpeculationCounts:
    """Speculative answers of one turn: how many, what they gained, and what was in vain.

    `gained_s` is for how long the first audio had been ready when the answer was promoted; 0 if it
    was not, `None` without a promotion. `wasted_s` is how long discarded answers had run,
    `wasted_audio_s` the speech that they had made.
    """

    started: int = 0
    promoted: int = 0
    discarded: int = 0
    refused: int = 0
    gained_s: float | None = None
    wasted_s: float = 0.0
    wasted_audio_s: float = 0.0


@dataclass(frozen=True, slots=True)
class TurnReport:
    """The report of one turn. Durations in seconds; `None` where the stage did not happen.

    The stages follow each other: `endpointing_s` from the arrival of the last speech to the
    decision that it was the last; `asr_final_s` from there to the final text;
    `llm_first_token_s` from the start of the generation; `first_clause_s` from the first token;
    `tts_first_audio_s` from the first clause to the first audio; `send_first_audio_s` from
    there until it was handed to the socket. `total_s` runs from the arrival of the last speech
    (or of the text that asked) to the first content sent.

    `detecting_s` is the share of `endpointing_s` that was no waiting for silence: from the
    arrival of the deciding audio to the decision. `speech_end_s` is where the last speech ended
    in the session's audio. `heard` is what the user said and typed, `said` what was meant for
    the client of the answer's words, both cut at `MAX_TEXT_CHARS` characters; they are personal
    data. `interruption_s` runs from the arrival of the deciding audio to `interrupted` handed
    to the socket; for what was typed, from when the core handles it. `ignored` is why speech was
    not answered: an `IgnoredReason`.
    """

    session: SessionId
    number: int
    outcome: TurnOutcome
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
    speculation: SpeculationCounts = field(default_factory=SpeculationCounts)
    ignored: str = ""


class TurnListener(Protocol):
    """Listener for the report of every turn; called on the event loop, so it must not block."""

    def turn_done(self, report: TurnReport) -> None: ...


MIN_SPEECH_SCORE = 0.5
"""Least voice score of a frame that counts as speech, to time the end of speech."""


@dataclass(slots=True)
class _Words:
    """Words of one side in a turn, up to a bound."""

    texts: list[str] = field(default_factory=list)
    size: int = 0

    def add(self, text: str) -> None:
        if text and self.size < MAX_TEXT_CHARS:
            self.texts.append(text[: MAX_TEXT_CHARS - self.size])
            self.size += len(self.texts[-1])


@dataclass(slots=True)
class _Times:
    """Times of one turn's milestones, by the event loop's clock.

    `unheard` says that the recognizer failed, `wordless` that it understood nothing.
    """

    asked: float | None = None
    decidable: float | None = None
    ended: float | None = None
    speech_end: Position | None = None
    final: float | None = None
    generation: GenerationId | None = None
    started: float | None = None
    first_token: float | None = None
    first_clause: float | None = None
    first_audio: float | None = None
    first_sent: float | None = None
    tools_asked: float | None = None
    tools_open: int = 0
    tools_s: float | None = None
    cut: float | None = None
    interruption_s: float | None = None
    heard_s: float = 0.0
    spoken_s: float = 0.0
    tool_calls: int = 0
    heard: _Words = field(default_factory=_Words)
    said: _Words = field(default_factory=_Words)
    failed: bool = False
    unheard: bool = False
    wordless: bool = False
    speculation: SpeculationCounts = field(default_factory=SpeculationCounts)
    held_s: float = 0.0

    def start_speculation(self, generation: GenerationId, now: float) -> None:
        """Note the start of a speculative answer."""
        self.generation, self.started = generation, now
        self.speculation.started += 1

    def promote_speculation(self, now: float) -> None:
        """Note that the speculative answer is the answer."""
        self.speculation.promoted += 1
        self.speculation.gained_s = _between(self.first_audio, now) or 0.0

    def discard_speculation(self, now: float, refused: bool = False) -> None:
        """Forget the speculative answer, if there is one."""
        if self.generation is None:
            return
        if refused:
            self.speculation.refused += 1
        else:
            self.speculation.discarded += 1
            self.speculation.wasted_s += _between(self.started, now) or 0.0
            self.speculation.wasted_audio_s += self.held_s
        self.generation = self.started = None
        self.first_token = self.first_clause = self.first_audio = None
        self.said, self.held_s = _Words(), 0.0

    def outcome(self) -> TurnOutcome:
        """Return the outcome of a complete turn."""
        if self.cut is not None:
            return TurnOutcome.INTERRUPTED
        if self.failed or (self.unheard and self.started is None):
            return TurnOutcome.ERROR
        nothing = self.wordless and self.started is None
        return TurnOutcome.NO_SPEECH if nothing else TurnOutcome.COMPLETE


class TurnReporter:
    """Observer of one conversation that reports every turn to a listener.

    `_asking` is what the user is saying, `_answering` what the model answers to: with activity
    that does not interrupt, both go on at once.
    """

    def __init__(self, session: SessionId, listener: TurnListener | None) -> None:
        self._session = session
        self._listener = listener
        self._number = 0
        self._asking = _Times()
        self._answering: _Times | None = None
        self._turn: TurnId | None = None
        self._began: Position = 0
        self._speech_until: Position = 0
        self._closing: deque[_Times] = deque()
        self._arrivals: deque[tuple[Position, float]] = deque(maxlen=128)
        self._reason_at = 0.0

    def record_arrival(self, position: Position, now: float) -> None:
        """Record that audio has arrived up to `position`."""
        self._arrivals.append((position, now))

    # --- what is recorded ----------------------------------------------------------------------

    def record_event(self, event: Event, now: float) -> None:
        """Record an event before the core handles it."""
        self._reason_at = now
        match event:
            case VoiceScored():
                self._reason_at = self._arrival(event.position, now)
                self._score(event)
            case ActivityEnded(position=position):
                self._speech_until = position
            case TextReceived(text=text):
                self._typed(text, now)
            case ContentReceived(turns=turns, turn_complete=True):
                self._typed(turns[-1].text if turns and turns[-1].role is Role.USER else "", now)
            case TranscriptUpdated(final=True) if event.turn == self._turn:
                self._transcribed(event.text, now)
            case TranscriptFailed() if event.turn == self._turn:
                self._asking.unheard = True
            case ToolResponsesReceived(results=results):
                self._answered_calls(len(results), now)
            case ToolRan():
                self._answered_calls(1, now)
            case GenerationRefused() if event.generation == self._asking.generation:
                self._asking.discard_speculation(now, refused=True)
            case AudioProduced() | TextProduced() | ToolCallsProduced() | GenerationFailed():
                self._produced(event, now)
            case _:
                pass

    def record_effect(self, effect: Effect, now: float) -> None:
        """Record an effect before the host performs it."""
        match effect:
            case StartTranscript(start=start):
                self._began = start
            case FinishTranscript(turn=turn, end=end):
                self._ended(turn, end, now)
            case DropTranscript(turn=turn) if turn == self._turn:
                self._asking.unheard = True  # it kept the core waiting for too long
            case IgnoreSpeech(turn=turn, reason=reason) if turn == self._turn:
                self._ignored(reason, now)
            case StartGeneration(request=request):
                self._asking.discard_speculation(now)  # no effect says so where it had finished
                if request.speculative:
                    self._asking.start_speculation(request.generation, now)
                else:
                    times = self._answer()
                    times.generation, times.started = request.generation, times.started or now
            case RunTool():
                self._called(1, now)
            case ReleaseGeneration(generation=generation):
                if self._asking.generation == generation:
                    self._asking.promote_speculation(now)
                    self._answer()
            case CancelGeneration(generation=generation):
                if self._asking.generation == generation:
                    self._asking.discard_speculation(now)
            case Send(message=message):
                self._queued(message, now)
            case _:
                pass

    def record_milestone(self, generation: GenerationId, name: str, now: float) -> None:
        """Record a milestone that an engine reports."""
        if (times := self._of(generation)) is None:
            return
        if name == "first_token":
            times.first_token = times.first_token or now
        elif name == "first_clause":
            times.first_clause = times.first_clause or now

    def record_sent(self, message: Message, now: float) -> None:
        """Record that a message was handed to the socket."""
        times = self._closing[0] if self._closing else self._answering
        if times is None:
            return
        if isinstance(message, ModelAudio | ModelText | ToolCallRequest):
            times.first_sent = times.first_sent or now
        if isinstance(message, ModelAudio):
            times.spoken_s += pcm_seconds(message.pcm)
        if isinstance(message, Interrupted):
            times.interruption_s = _between(times.cut, now)
        if isinstance(message, TurnComplete) and self._closing:
            self._send_report(self._closing.popleft(), times.outcome())

    # --- the user's side ------------------------------------------------------------------------

    def _score(self, event: VoiceScored) -> None:
        speech = [n for n, score in enumerate(event.scores) if score >= MIN_SPEECH_SCORE]
        if speech:
            after = (len(event.scores) - 1 - speech[-1]) * event.frame_samples
            self._speech_until = event.position - after

    def _typed(self, text: str, now: float) -> None:
        self._asking.asked = now
        self._asking.heard.add(text)

    def _ended(self, turn: TurnId, end: Position, now: float) -> None:
        times, self._turn = self._asking, turn
        times.heard_s += seconds(max(0, end - self._began))
        spoken = min(end, max(self._began, self._speech_until))
        times.asked, times.speech_end = self._arrival(spoken, now), spoken
        times.decidable, times.ended = self._arrival(end, now), now

    def _transcribed(self, text: str, now: float) -> None:
        times = self._asking
        times.final = now
        if text.strip():
            times.heard.add(text.strip())
        elif not times.heard.texts:
            times.wordless = True

    def _ignored(self, reason: IgnoredReason, now: float) -> None:
        times, self._asking = self._asking, _Times()
        times.discard_speculation(now)
        wordless = reason is IgnoredReason.NO_WORDS
        outcome = TurnOutcome.NO_SPEECH if wordless else TurnOutcome.IGNORED
        self._send_report(times, outcome, reason.value)

    # --- the model's side -----------------------------------------------------------------------

    def _answer(self) -> _Times:
        """Return the times of the answered turn; a finished utterance becomes that turn."""
        if self._answering is None:
            self._answering, self._asking = self._asking, _Times()
        return self._answering

    def _of(self, generation: GenerationId) -> _Times | None:
        for times in (self._answering, self._asking):
            if times is not None and times.generation == generation:
                return times
        return None

    def _produced(
        self, event: AudioProduced | TextProduced | ToolCallsProduced | GenerationFailed, now: float
    ) -> None:
        if (times := self._of(event.generation)) is None:
            return
        if isinstance(event, GenerationFailed):
            times.failed = times is self._answering
            if times is self._asking:
                times.discard_speculation(now)
            return
        times.first_token = times.first_token or now
        if isinstance(event, AudioProduced):
            times.first_audio = times.first_audio or now
            times.held_s += pcm_seconds(event.pcm)
        match event:
            case AudioProduced(text=text) | TextProduced(text=text, thought=False):
                times.said.add(text)
            case _:
                pass

    def _answered_calls(self, answers: int, now: float) -> None:
        """Count answers to calls; parallel calls are timed to the last answer."""
        times = self._answering
        if times is None or times.tools_asked is None:
            return
        times.tools_open -= answers
        if times.tools_open <= 0:
            times.tools_s = (times.tools_s or 0.0) + now - times.tools_asked
            times.tools_asked, times.tools_open = None, 0

    def _called(self, calls: int, now: float) -> None:
        times = self._answering or self._asking
        times.tools_asked = times.tools_asked or now
        times.tools_open += calls
        times.tool_calls += calls

    def _queued(self, message: Message, now: float) -> None:
        times = self._answering or self._asking
        match message:
            case ToolCallRequest(calls=calls):
                self._called(len(calls), now)
            case Interrupted():
                times.cut = self._reason_at
            case TurnComplete():
                # Reported when it has left: a slow client still has to be sent the answer.
                self._closing.append(self._answer())
                self._answering = None
            case _:
                pass

    # --- the report ---------------------------------------------------------------------------

    def _arrival(self, position: Position, now: float) -> float:
        arrived = now
        for reached, when in reversed(self._arrivals):
            if reached < position:
                break
            arrived = when
        return arrived

    def _send_report(self, times: _Times, outcome: TurnOutcome, ignored: str = "") -> None:
        self._number += 1
        if self._listener is None:
            return
        report = TurnReport(
            self._session,
            self._number,
            outcome,
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
            heard="\n".join(times.heard.texts),
            said="".join(times.said.texts),
            interruption_s=times.interruption_s,
            speculation=times.speculation,
            ignored=ignored,
        )
        self._listener.turn_done(report)


def _between(start: float | None, end: float | None) -> float | None:
    """Return the seconds between two times, if both are known."""
    return None if start is None or end is None else max(0.0, end - start)


class UsageMetering:
    """Usage metering of one connection: messages, audio and tool calls, if there is a meter."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter

    def count_message(self) -> None:
        """Count a message of the client. Raises `ClientFault` if there are too many."""
        if self._meter is not None:
            self._meter.count_message()

    def count_input(self, incoming: ClientInput) -> None:
        """Count one input of the client."""
        if self._meter is not None and isinstance(incoming, AudioChunk):
            self._meter.count_audio(pcm_seconds(incoming.data, incoming.rate))

    def count_effect(self, effect: Effect) -> None:
        """Count the tool calls and audio of an effect."""
        if self._meter is None:
            return
        match effect:
            case RunTool():
                self._meter.count_tool_calls(1)
            case Send(message=ToolCallRequest(calls=calls)):
                self._meter.count_tool_calls(len(calls))
            case _:
                pass

    def count_sent(self, message: Message) -> None:
        """Count a message that was sent."""
        if self._meter is not None and isinstance(message, ModelAudio):
            self._meter.count_audio(pcm_seconds(message.pcm))
