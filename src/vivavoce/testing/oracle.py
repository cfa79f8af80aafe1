"""An independent checker of the core: reads events and effects, and knows no state of ours.

It holds the invariants of the conversation as a client and a host would state them. A walk
feeds it every step; it raises `Broken` at the first step that breaks one.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from vivavoce.core.effects import (
    CancelGeneration,
    CloseConnection,
    DropTranscript,
    Effect,
    FinishTranscript,
    ReleaseGeneration,
    Send,
    StartGeneration,
    StartTranscript,
)
from vivavoce.core.events import (
    ClientGone,
    ContentReceived,
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    ToolResponsesReceived,
    TranscriptFailed,
)
from vivavoce.core.messages import (
    GenerationComplete,
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
from vivavoce.domain.content import Behavior, Content, Role, Text, ToolCall, ToolResult
from vivavoce.domain.ids import CallId, GenerationId, TurnId
from vivavoce.domain.profile import Behaviour
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import SessionSetup

SPOKEN = (ModelAudio, ModelText, OutputTranscript)


class Broken(AssertionError):
    """An invariant does not hold."""


@dataclass
class _Turn:
    """What the client has seen of the model turn that is open."""

    complete: bool = False
    blocked: bool = False
    seen: bool = False
    withdrawn: bool = False


@dataclass
class Oracle:
    """Feed it `saw(...)` once a step, in order."""

    setup: SessionSetup
    behaviour: Behaviour
    early: bool = False
    tool_deadline_s: float = 0.0
    started: dict[GenerationId, bool] = field(default_factory=dict)
    running: set[GenerationId] = field(default_factory=set)
    live: set[GenerationId] = field(default_factory=set)
    cancelled: set[GenerationId] = field(default_factory=set)
    turn: _Turn | None = None
    blocking: dict[CallId, bool] = field(default_factory=dict)
    called: set[CallId] = field(default_factory=set)
    listening: dict[TurnId, str] = field(default_factory=dict)
    spoken: str = ""
    opened: bool = False
    closed: bool = False
    recognizer_failed: bool = False
    _due: dict[CallId, float] = field(default_factory=dict)
    _now: float = 0.0
    _from: GenerationId | None = None

    # --- a step ---------------------------------------------------------------------------

    def saw(
        self, event: Event | None, effects: list[Effect], now: float, deadline: float | None
    ) -> None:
        """One step: what happened (`None` for opening and for time), and what followed."""
        self._expect(not (self.closed and effects), "nothing follows after the end")
        self._before(event)
        self._overdue(event, now)
        for at, effect in enumerate(effects):
            self._effect(effect, effects[at + 1 :])
        if event is None and not self.closed:
            self._expect(deadline is None or deadline > now, "a deadline lies in the future")
        if isinstance(event, ClientGone):
            self.closed = True
        if self.closed:
            self._expect(not self.running, "nothing runs on after the end")
            self._expect(not self.listening, "nobody listens on after the end")
        self._expect(len(self.running) <= 1, "at most one generation runs")

    def at_rest(self) -> None:
        """The conversation has come to rest: nothing is owed to anybody."""
        self._expect(self.turn is None, "every model turn ends with turnComplete")
        self._expect(not self._unanswered(), "no blocking call is left open")

    def _overdue(self, event: Event | None, now: float) -> None:
        """Blocking calls that took too long are answered by the core itself."""
        self._now = now
        self._from = getattr(event, "generation", None)
        for id, due in self._due.items():
            if event is None and self.tool_deadline_s > 0 and now >= due:
                self.blocking[id] = True

    def _before(self, event: Event | None) -> None:
        match event:
            case GenerationFinished() | GenerationFailed() | GenerationRefused():
                self.running.discard(event.generation)
            case ToolResponsesReceived():
                for result in event.results:
                    if result.id in self.blocking:
                        self.blocking[result.id] = True
            case ContentReceived():
                self.spoken += "".join(f"\0{turn.text}\0" for turn in event.turns)
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
                self._live(effect.generation)
            case CancelGeneration():
                self._expect(effect.generation in self.started, "only what runs is cancelled")
                self.running.discard(effect.generation)
                if effect.purge:
                    self.cancelled.add(effect.generation)
                if self.turn is not None and not self.turn.seen:
                    self.turn.withdrawn = True
            case StartTranscript() | FinishTranscript() | DropTranscript():
                self._listen(effect)
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
        self.running.add(id)
        self._history(request.history)
        if not request.speculative:
            self._live(id)

    def _live(self, id: GenerationId) -> None:
        self._expect(id not in self.cancelled, "what was cancelled stays silent")
        self.live.add(id)
        if self.turn is None:
            self.turn = _Turn()
        self._expect(not self._unanswered(), "the model waits for all blocking calls")
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
        if isinstance(message, SPOKEN) and self._from is not None:
            self._expect(self._from == effect.generation, "what others say is not passed on")
        if isinstance(message, (*SPOKEN, GenerationComplete)):
            self._expect(
                effect.generation in self.live - self.cancelled, "only the live one speaks"
            )
        match message:
            case ModelAudio() | ModelText() | OutputTranscript() | GenerationComplete():
                self._content(message)
            case ToolCallRequest():
                self._call(message)
            case Interrupted():
                self._interrupted(rest)
            case ToolCallCancellation():
                self._withdraw(message)
            case TurnComplete():
                self._complete()
            case InputTranscript():
                early_enough = self.turn is None or self.turn.withdrawn
                self._expect(early_enough, "inputTranscription comes before its answer")
                self._expect(bool(message.text.strip()), "no empty transcripts")
            case _:
                pass

    def _content(self, message: Message) -> None:
        turn = self.turn
        self._expect(turn is not None, "content belongs to a turn")
        assert turn is not None
        turn.seen = True
        self._expect(not turn.complete, "nothing after generationComplete")
        self._expect(not turn.blocked, "nothing between toolCall and its results")
        if isinstance(message, GenerationComplete):
            turn.complete = True
        elif isinstance(message, OutputTranscript):
            self.spoken += message.text
        elif isinstance(message, ModelText):
            self.spoken += "" if message.thought else message.text

    def _call(self, message: ToolCallRequest) -> None:
        if self.turn is None and self.early:
            self.turn = _Turn()
        turn = self.turn
        self._expect(turn is not None and not turn.complete, "calls belong to a turn")
        assert turn is not None
        turn.seen = True
        for call in message.calls:
            self._expect(bool(call.id) and call.id not in self.called, "every call has its own id")
            self.called.add(call.id)
            if self._blocks(call.name):
                self.blocking[call.id] = False
                self._due[call.id] = self._now + self.tool_deadline_s
                turn.blocked = turn.blocked or not self.early

    def _blocks(self, name: str) -> bool:
        declared = next(f for f in self.setup.tools.functions if f.name == name)
        behavior = declared.behavior
        if behavior is Behavior.UNSPECIFIED:
            behavior = self.behaviour.function_behavior
        return behavior is not Behavior.NON_BLOCKING

    def _interrupted(self, rest: list[Effect]) -> None:
        self._expect(self.turn is not None, "only an open turn is interrupted")
        said = [e.message for e in rest if isinstance(e, Send)]
        if said and isinstance(said[0], ToolCallCancellation):
            said = said[1:]
        self._expect(bool(said) and isinstance(said[0], TurnComplete), "interrupted, turnComplete")

    def _withdraw(self, message: ToolCallCancellation) -> None:
        for id in message.ids:
            self._expect(self.blocking.get(id) is False, "only open blocking calls are withdrawn")
            self.blocking[id] = True

    def _complete(self) -> None:
        if self.turn is None:
            empty = self.setup.realtime.detection.disabled or self.recognizer_failed
            self._expect(empty, "one turnComplete a turn")
        elif not self.early:
            self._expect(not self._unanswered(), "no turn ends with open blocking calls")
        self.turn = None

    def _unanswered(self) -> list[CallId]:
        return [id for id, answered in self.blocking.items() if not answered]

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

    def heard(self, turn: TurnId) -> None:
        """The recognizer has given its last word on a turn; call it before the step."""
        if self.listening.get(turn) == "ended":
            del self.listening[turn]

    def _expect(self, holds: bool, rule: str) -> None:
        if not holds:
            raise Broken(rule)
