"""Check invariants of the core from its events and effects alone, without its state.

It holds the invariants of the conversation as a client and a host would state them. A walk
feeds it every step; it raises `InvariantBroken` at the first step that breaks one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from support.call_invariants import SERVED, CallInvariants, delimits
from vivavoce.core.effects import (
    CancelGeneration,
    CloseConnection,
    DropTranscript,
    Effect,
    FinishTranscript,
    HoldOutput,
    IgnoreSpeech,
    ReleaseGeneration,
    ReportMismatch,
    RunTool,
    Send,
    StartGeneration,
    StartTranscript,
    StopTool,
)
from vivavoce.core.events import (
    ClientGone,
    ContentReceived,
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    TextReceived,
    ToolResponsesReceived,
    TranscriptFailed,
)
from vivavoce.core.messages import (
    GenerationComplete,
    Grounding,
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    ModelText,
    OutputTranscript,
    SetupComplete,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
)
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import Content, Role, Text, ToolCall, ToolResult
from vivavoce.domain.ids import CallId, GenerationId, TurnId
from vivavoce.domain.model_family import FamilyBehavior
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality, SessionSetup

SPOKEN = (ModelAudio, ModelText, OutputTranscript)


class InvariantBroken(AssertionError):
    """An invariant does not hold."""


@dataclass
class _ObservedTurn:
    """What the client has seen of the model turn that is open."""

    words: str = ""
    grounded: bool = False
    complete: bool = False
    blocked: bool = False
    seen: bool = False
    withdrawn: bool = False


@dataclass
class InvariantChecker:
    """Feed it `check_step(...)` once a step, in order."""

    setup: SessionSetup
    behavior: FamilyBehavior
    settings: SessionSettings
    started: dict[GenerationId, bool] = field(default_factory=dict)
    running: set[GenerationId] = field(default_factory=set)
    live: set[GenerationId] = field(default_factory=set)
    cancelled: set[GenerationId] = field(default_factory=set)
    turn: _ObservedTurn | None = None
    requests: dict[GenerationId, GenerationRequest] = field(default_factory=dict)
    listening: dict[TurnId, str] = field(default_factory=dict)
    spoken: str = ""
    opened: bool = False
    closed: bool = False
    recognizer_failed: bool = False
    transcribing: bool = False
    transcript: str = ""
    speaking: bool = False
    voice: GenerationId | None = None
    last_text: str = ""
    asks: list[str] = field(default_factory=list)
    answered_meanwhile: bool = False
    held: bool = False
    _added: bool = False
    _now: float = 0.0
    _from: GenerationId | None = None

    def __post_init__(self) -> None:
        self.calls = CallInvariants(self.setup, self.behavior, self.settings, self._expect)

    # --- a step ---------------------------------------------------------------------------

    def check_step(
        self, event: Event | None, effects: list[Effect], now: float, deadline: float | None
    ) -> None:
        """One step: what happened (`None` for opening and for time), and what followed."""
        self._expect(not (self.closed and effects), "nothing follows after the end")
        self._now, self._from = now, getattr(event, "generation", None)
        self._added = isinstance(event, ContentReceived) and bool(
            event.turns or event.turn_complete
        )
        self._before(event)
        self.calls.before(event, now)
        followed = [effect for effect in effects if not isinstance(effect, ReportMismatch)]
        self._expect(not (self.calls.ignored and followed), "what nobody waits for changes nothing")
        if self.calls.ignored and isinstance(event, ToolResponsesReceived) and not self.closed:
            self._expect(bool(effects), "an answer that nothing waits for is reported")
        for at, effect in enumerate(effects):
            self._effect(effect, effects[at + 1 :])
        if event is None and not self.closed:
            self._expect(deadline is None or deadline > now, "a deadline lies in the future")
        if isinstance(event, ClientGone):
            self.closed = True
        if self.closed:
            self._expect(not self.running, "nothing runs on after the end")
            self._expect(not self.listening, "nobody listens on after the end")
            self.calls.over()
        self._expect(len(self.running) <= 1, "at most one generation runs")
        open_turn = self.turn is not None or self.calls.waiting_here or self.closed
        self._expect(open_turn or not self.held, "only an open answer is held")

    def check_idle(self) -> None:
        """The conversation has come to rest: nothing is owed to anybody."""
        self._expect(self.turn is None, "every model turn ends with turnComplete")
        self._expect(not self.held, "nothing is held at rest")
        self._expect(not self.calls.waiting, "no call that is waited for is left open")

    def _before(self, event: Event | None) -> None:
        match event:
            case GenerationFinished() | GenerationFailed() | GenerationRefused():
                self.running.discard(event.generation)
            case ContentReceived():
                self.spoken += "".join(f"\0{turn.text}\0" for turn in event.turns)
                if event.turn_complete:
                    self.asks.append(event.turns[-1].text if event.turns else "")
            case TextReceived():
                if not event.text.strip():
                    self.asks.append("")
            case TranscriptFailed():
                self.recognizer_failed = True
            case _:
                pass

    def _effect(self, effect: Effect, rest: list[Effect]) -> None:
        match effect:
            case Send():
                self._send(effect, rest)
            case StartGeneration():
                self._start(effect.request)
            case ReleaseGeneration():
                self._expect(self.started.get(effect.generation) is True, "only guesses promoted")
                self._live(effect.generation, set())
            case CancelGeneration():
                self._expect(effect.generation in self.started, "only what runs is cancelled")
                self.running.discard(effect.generation)
                if effect.purge:
                    self.cancelled.add(effect.generation)
                if self.turn is not None and not self.turn.seen:
                    self.turn.withdrawn = True
            case StartTranscript() | FinishTranscript() | DropTranscript():
                self._listen(effect)
            case HoldOutput(held=held):
                self._expect(held is not self.held, "output is held and released in turns")
                self.held = held
            case IgnoreSpeech():
                listening = self.listening.get(effect.turn) != "speaking"
                self._expect(listening, "only speech that has ended is ignored")
            case RunTool() | StopTool():
                self.calls.effect(effect, self._now)
            case CloseConnection():
                self.closed = True
            case _:
                pass

    # --- generations ----------------------------------------------------------------------

    def _start(self, request: GenerationRequest) -> None:
        id = request.generation
        self._expect(all(id > other for other in self.started), "numbers of generations increase")
        self._expect(not self.running, "at most one generation runs")
        self.started[id] = request.speculative
        self.requests[id] = request
        self.running.add(id)
        self._history(request.history)
        if not request.speculative:
            self._live(id, {content.text for content in request.history})

    def _live(self, id: GenerationId, texts: set[str]) -> None:
        self._expect(id not in self.cancelled, "what was cancelled stays silent")
        self.live.add(id)
        if self.turn is None:
            self.turn = _ObservedTurn()
        if self.calls.waiting_here:
            # What asks without words may stand behind questions that are answered before it.
            if not any(ask in texts for ask in self.asks if ask):
                self._expect("" in self.asks, "the model waits for all calls that block")
                self.asks.remove("")
            self.calls.level += 1
        self.asks = [ask for ask in self.asks if not ask or ask not in texts]
        self.turn.blocked = self.turn.withdrawn = False

    def _history(self, history: tuple[Content, ...]) -> None:
        calls: set[CallId] = set()
        for content in history:
            for part in content.parts:
                if isinstance(part, ToolCall):
                    calls.add(part.id)
                elif isinstance(part, ToolResult):
                    self._expect(part.id in calls, "a result follows its call")
                elif isinstance(part, Text) and content.role is Role.MODEL:
                    self._expect(part.text in self.spoken, "history holds only what was sent")

    # --- the wire -------------------------------------------------------------------------

    def _send(self, effect: Send, rest: list[Effect]) -> None:
        message = effect.message
        self._expect(self.opened != isinstance(message, SetupComplete), "setupComplete first, once")
        self.opened = True
        if isinstance(message, OutputTranscript) and message.text and self.voice != self._from:
            joined = self.last_text[-1:].strip() and message.text[0].isalnum()
            self._expect(not joined, "further words stand apart from those before")
        if isinstance(message, OutputTranscript):
            self.voice, self.last_text = self._from, message.text or self.last_text
        if isinstance(message, OutputTranscript) and message.finished:
            self._transcript_ends(message)
            return
        if isinstance(message, (GenerationComplete, Interrupted, TurnComplete)):
            ended = not (self.speaking and self.settings.finishes_transcripts)
            self._expect(ended, "output transcription is finished before that")
        if isinstance(message, SPOKEN) and self._from is not None:
            self._expect(self._from == effect.generation, "what others say is not passed on")
        if isinstance(message, (*SPOKEN, *SERVED, Grounding, GenerationComplete)):
            self._expect(
                effect.generation in self.live - self.cancelled, "only the live one speaks"
            )
        match message:
            case ModelAudio() | ModelText() | OutputTranscript() | GenerationComplete():
                self._content(message)
            case Grounding():
                self._content(message)
                self._grounding(message)
            case ToolCallRequest():
                self._call(message)
            case Interrupted():
                self._interrupted(rest)
            case ToolCallCancellation():
                self._expect(not self._added, "content leaves functions of the client's alone")
                self.calls.withdrawn(message)
            case TurnComplete():
                self._complete()
            case InputTranscript():
                meanwhile = bool(self.asks) and self.calls.waiting_here
                early_enough = self.turn is None or self.turn.withdrawn or meanwhile
                self._expect(early_enough, "inputTranscription comes before its answer")
                empty = not message.text.strip()
                self._expect(
                    not empty or (message.finished and self.transcribing), "no empty transcripts"
                )
                apart = not (self.transcript and message.text[:1].isalnum())
                self._expect(apart, "further transcripts of a turn begin with a space or mark")
                self.transcribing = not message.finished
                self.transcript += message.text
            case _ if isinstance(message, SERVED):
                self._served(message)
            case _:
                pass

    def _transcript_ends(self, message: OutputTranscript) -> None:
        self._expect(self.speaking and not message.text, "a transcription is finished once")
        self.speaking = False

    def _content(self, message: Message) -> None:
        turn = self.turn
        self._expect(turn is not None, "content belongs to a turn")
        assert turn is not None
        turn.seen = True
        self._expect(not turn.complete, "nothing after generationComplete")
        self._expect(not turn.blocked, "no words between toolCall and its results")
        final = isinstance(message, GenerationComplete)
        self._expect(final or not turn.grounded, "what an answer rests on is told after its words")
        if final:
            turn.complete = True
        words = message.text if isinstance(message, OutputTranscript | ModelText) else ""
        self.speaking = self.speaking or isinstance(message, OutputTranscript)
        if not getattr(message, "thought", False):
            self.spoken += words
            turn.words += words

    def _served(self, message: Message) -> None:
        """Before a toolCall, or when all that was called for is there and the turn goes on."""
        self._expect(not self.calls.unanswered_here, "nothing between toolCall and its results")
        if self.turn is None and (self.settings.early_turn_complete or self.answered_meanwhile):
            self.turn = _ObservedTurn()
        turn = self.turn
        self._expect(turn is not None and not turn.complete, "tools belong to a turn")
        assert turn is not None
        self._expect(not turn.grounded, "what an answer rests on is told after its tools")
        turn.seen = True
        self.calls.served(message)

    def _grounding(self, message: Grounding) -> None:
        assert self.turn is not None
        self.turn.grounded = True
        self._expect(bool(message.queries), "grounding comes of a search")
        seen = self.setup.modality is Modality.TEXT or self.setup.output_transcription is not None
        if seen:
            self._expect(delimits(message, self.turn.words), "offsets delimit the words they name")

    def _call(self, message: ToolCallRequest) -> None:
        early = self.settings.early_turn_complete
        if self.turn is None and early:
            self.turn = _ObservedTurn()
        turn = self.turn
        self._expect(turn is not None and not turn.complete, "calls belong to a turn")
        assert turn is not None
        turn.seen = True
        waits = self.calls.asked(message, self.requests[max(self.live)].tools, self._now)
        turn.blocked = turn.blocked or (waits and not early)

    def _interrupted(self, rest: list[Effect]) -> None:
        self._expect(self.turn is not None, "only an open turn is interrupted")
        said = [e.message for e in rest if isinstance(e, Send)]
        if said and isinstance(said[0], ToolCallCancellation):
            said = said[1:]
        self._expect(bool(said) and isinstance(said[0], TurnComplete), "interrupted, turnComplete")

    def _complete(self) -> None:
        if self.turn is None:
            empty = self.setup.realtime.detection.disabled or self.recognizer_failed
            self._expect(empty, "one turnComplete a turn")
        elif not self.settings.early_turn_complete:
            self._expect(not self.calls.waiting_here, "no turn ends while a call is waited for")
        if self.calls.level and not self.calls.waiting_here:
            self.calls.level -= 1
            self.answered_meanwhile = True
        self.turn = None
        self.transcript = self.last_text = ""

    # --- the ears -------------------------------------------------------------------------

    def _listen(self, effect: StartTranscript | FinishTranscript | DropTranscript) -> None:
        stage = self.listening.get(effect.turn)
        match effect:
            case StartTranscript():
                self._expect(stage is None and effect.start >= 0, "a turn begins once")
                self.listening[effect.turn] = "open"
            case FinishTranscript():
                self._expect(stage == "open", "a turn ends once")
                self.listening[effect.turn] = "ended"
            case DropTranscript():
                self._expect(stage is not None, "only what is listened to is dropped")
                self.recognizer_failed = self.recognizer_failed or stage == "ended"
                del self.listening[effect.turn]

    def transcribed_words(self, turn: TurnId) -> None:
        """The recognizer has given its last word on a turn; call it before the step."""
        if self.listening.get(turn) == "ended":
            del self.listening[turn]

    def _expect(self, holds: bool, rule: str) -> None:
        if not holds:
            raise InvariantBroken(rule)
