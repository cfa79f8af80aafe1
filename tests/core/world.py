"""A world for the core: knows from the effects alone what may happen next, and lets it happen.

It stands in for client, ears and engines at once. Every action is a name, so that a walk is a
list of names and can be told, repeated and shortened.
"""

from __future__ import annotations

from dataclasses import replace

from support.invariants import InvariantChecker
from vivavoce.core.effects import (
    CancelGeneration,
    DropTranscript,
    Effect,
    FinishTranscript,
    ReleaseGeneration,
    RunTool,
    SaveCheckpoint,
    ScoreTurnEnd,
    Send,
    StartGeneration,
    StartTranscript,
    StopTool,
)
from vivavoce.core.events import (
    AudioProduced,
    Event,
    GenerationFinished,
    ToolCallsProduced,
    ToolRan,
    ToolResponsesReceived,
    TranscriptFailed,
    TranscriptUpdated,
    TurnEndScored,
    VoiceScored,
)
from vivavoce.core.messages import Message, ToolCallRequest
from vivavoce.core.model_turns import ModelState
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.core.token_counts import TokenCounter
from vivavoce.domain.content import (
    Behavior,
    Content,
    Role,
    ServerTool,
    Source,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolOutcome,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId, CountingIds, GenerationId, SessionId, TurnId
from vivavoce.domain.model_family import FamilyBehavior, family_behavior
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import ActivityDetection, RealtimeInput, SessionSetup, Transcription

FRAME = 512
TOOLS = Tools(
    (
        ToolDeclaration("lights", behavior=Behavior.BLOCKING),
        ToolDeclaration("report", behavior=Behavior.NON_BLOCKING),
    ),
    server=(
        ServerTool(ToolDeclaration("search"), ToolKind.SEARCH),
        ServerTool(ToolDeclaration("python"), ToolKind.CODE),
    ),
)
FACT = "Zürich hat 12 Brücken."
FOUND = ToolOutcome({"results": [FACT]}, ("Zürich",), (Source("file:zürich.md", "Zürich", FACT),))
"""What every tool of the server's brings here."""

SETUP = SessionSetup(
    model="models/gemini-2.5-flash",
    tools=TOOLS,
    input_transcription=Transcription(),
    output_transcription=Transcription(),
)
MANUAL = RealtimeInput(ActivityDetection(disabled=True))
UNINTERRUPTED = RealtimeInput(interrupts=False)
PIECE = bytes(4800)
"""A tenth of a second of speech."""


def user(text: str) -> Content:
    return Content(Role.USER, (Text(text),))


def model(text: str, cut: bool = False) -> Content:
    return Content(Role.MODEL, (Text(text),), cut)


class World:
    """One session, its surroundings, and the oracle that watches both."""

    def __init__(
        self,
        setup: SessionSetup = SETUP,
        settings: SessionSettings | None = None,
        behavior: FamilyBehavior | None = None,
        session: LiveSession | None = None,
        now: float = 0.0,
        before: InvariantChecker | None = None,
        gauge: TokenCounter | None = None,
    ) -> None:
        self.setup = setup
        self.settings = settings or SessionSettings()
        self.behavior = behavior or family_behavior(setup.model)
        self.now = now
        self.position = 0
        self.said: list[tuple[float, Message]] = []
        self.effects: list[Effect] = []
        self.generation: GenerationId | None = None
        self.stale: list[GenerationId] = []
        self.turns: list[TurnId] = []
        self.scores: list[ScoreTurnEnd] = []
        self.ended: list[TurnId] = []
        self.calls: list[ToolCall] = []
        self.answered: list[ToolResult] = []
        self.running: list[CallId] = []
        self.stopped: list[CallId] = []
        self.checkpoints: list[SaveCheckpoint] = []
        self.words = 0
        self.steps = 0
        self.said_calls = 0
        self.oracle = InvariantChecker(setup, self.behavior, self.settings)
        if before is not None:
            self.oracle.calls = before.calls
        self.session = session or LiveSession(
            SessionId("s"), setup, self.behavior, self.settings, CountingIds(),
            counter=gauge or TokenCounter(10**9),
        )  # fmt: skip
        self._after(None, self.session.open_session(now))

    # --- steps ----------------------------------------------------------------------------

    def do(self, event: Event, after_s: float = 0.0) -> list[Effect]:
        """Let `event` happen."""
        self.now += after_s
        match event:
            case TranscriptFailed(turn, _) | TranscriptUpdated(turn, _, _, True):
                if turn in self.ended:
                    self.ended.remove(turn)
                    self.oracle.transcribed_words(turn)
            case _:
                pass
        return self._after(event, self.session.handle_event(event, self.now))

    def wait(self, seconds: float = 0.0) -> list[Effect]:
        """Let time pass, deadline by deadline."""
        until = self.now + seconds
        effects: list[Effect] = []
        while (due := self.session.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            effects += self._after(None, self.session.handle_deadline(self.now))
        self.now = until
        return effects

    def wait_for_deadline(self) -> list[Effect]:
        """Let time pass until the session wants to be asked."""
        due = self.session.deadline()
        return [] if due is None else self.wait(max(0.0, due - self.now))

    def _after(self, event: Event | None, effects: list[Effect]) -> list[Effect]:
        self.effects += effects
        self.steps += 1
        for effect in effects:
            match effect:
                case Send(message):
                    self.said.append((self.now, message))
                    if isinstance(message, ToolCallRequest):
                        self.calls += message.calls
                        self.said_calls += len(message.calls)
                case RunTool(call, _):
                    self.running.append(call.id)
                    self.said_calls += 1
                case StopTool(id):
                    self.running.remove(id)
                    self.stopped.append(id)
                case StartGeneration(request):
                    if self.generation is not None:
                        self.stale.append(self.generation)
                    self.generation = request.generation
                case StartTranscript(turn, _):
                    self.turns.append(turn)
                case ScoreTurnEnd():
                    self.scores.append(effect)
                case FinishTranscript(turn, _):
                    self.ended.append(turn)
                case DropTranscript(turn):
                    self.ended = [other for other in self.ended if other != turn]
                case SaveCheckpoint():
                    self.checkpoints.append(effect)
                case CancelGeneration() | ReleaseGeneration() | _:
                    pass
        self.oracle.check_step(event, effects, self.now, self.session.deadline())
        waiting = self.session.conversation.model.state is ModelState.TOOLS
        expected = self.oracle.calls.waiting_here and not self.session.closed
        assert waiting == expected, self.messages()
        return effects

    def messages(self) -> list[Message]:
        """Everything said to the client, without times."""
        return [message for _, message in self.said]

    def take(self) -> list[Message]:
        """What was said since the last time this was asked."""
        said, self.said = self.messages(), []
        return said

    # --- the user ---------------------------------------------------------------------------

    def score(self, seconds: float, score: float, realtime: bool = True) -> list[Effect]:
        """Sound of this length, all of it scored the same."""
        effects: list[Effect] = []
        for _ in range(round(seconds * 16000 / FRAME)):
            self.position += FRAME
            after_s = FRAME / 16000 if realtime else 0.0
            effects += self.wait(after_s)
            effects += self.do(VoiceScored(self.position, (score,)))
        return effects

    def speak(self, text: str, seconds: float = 0.5, silence: float = 0.9) -> list[Effect]:
        """A whole utterance, understood as `text`."""
        effects = self.score(seconds, 0.9) + self.score(silence, 0.01)
        return effects + self.understand(text)

    def understand(self, text: str) -> list[Effect]:
        """The recognizer's last word on the oldest ended turn."""
        return self.do(TranscriptUpdated(self.ended[0], self.position, text, final=True))

    def score_end(self, probability: float) -> list[Effect]:
        """The turn model's score of the pause that it was last asked about."""
        asked = self.scores[-1] if self.scores else ScoreTurnEnd(TurnId(99), 0, 0)
        return self.do(TurnEndScored(asked.turn, asked.position, probability, asked.number))

    # --- the model --------------------------------------------------------------------------

    @property
    def current(self) -> GenerationId:
        return self.generation or GenerationId(999)

    def say(self, text: str, pcm: bytes = PIECE) -> list[Effect]:
        return self.do(AudioProduced(self.current, pcm, text))

    def finish(self, reason: EndReason = EndReason.COMPLETE) -> list[Effect]:
        return self.do(GenerationFinished(self.current, reason))

    def call(self, *names: str) -> list[Effect]:
        calls = tuple(ToolCall(CallId(""), name, {"query": "Zürich"}) for name in names)
        return self.do(ToolCallsProduced(self.current, calls))

    def answer(self, name: str, **more: object) -> list[Effect]:
        """The client answers its oldest call of this name."""
        call = next((c for c in self.calls if c.name == name), None)
        id = call.id if call else CallId("unknown")
        if call is not None and not more.get("will_continue"):
            self.calls.remove(call)
        result = replace(ToolResult(id, name, {"ok": True}), **more)  # type: ignore[arg-type]
        self.answered.append(result)
        return self.do(ToolResponsesReceived((result,)))

    def ran(self, outcome: ToolOutcome = FOUND) -> list[Effect]:
        """The oldest tool of the server's that runs is done."""
        id = self.running.pop(0) if self.running else CallId("unknown")
        self.stopped.append(id)
        return self.do(ToolRan(id, outcome))

    def word(self) -> str:
        """A word never used before, so that it can be found again."""
        self.words += 1
        return f"w{self.words} "


def kinds(world: World) -> list[str]:
    return [type(message).__name__ for message in world.take()]


def requests(world: World) -> list[GenerationRequest]:
    return [e.request for e in world.effects if isinstance(e, StartGeneration)]


def spoken(world: World, text: str = "Hello there.") -> None:
    """A user turn and a one-second answer, produced at once."""
    world.speak("hi")
    world.say(text, bytes(48000))
    world.finish()
