"""A world for the core: knows from the effects alone what may happen next, and lets it happen.

It stands in for client, ears and engines at once. Every action is a name, so that a walk is a
list of names and can be told, repeated and shortened.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from vivavoce.core.effects import (
    CancelGeneration,
    DropTranscript,
    Effect,
    FinishTranscript,
    ReleaseGeneration,
    RunTool,
    SaveCheckpoint,
    Send,
    StartGeneration,
    StartTranscript,
    StopTool,
)
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioProduced,
    AudioStreamEnded,
    CheckpointSaved,
    ClientGone,
    ContentReceived,
    ContextUpdated,
    DrainRequested,
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    TextProduced,
    TextReceived,
    ToolCallsProduced,
    ToolRan,
    ToolResponsesReceived,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
    UsageProduced,
    VideoArrived,
    VoiceScored,
)
from vivavoce.core.messages import Message, ToolCallRequest
from vivavoce.core.model_states import ModelState
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import (
    Behavior,
    Blob,
    Content,
    Role,
    Scheduling,
    ServerTool,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolResult,
    Tools,
    Usage,
)
from vivavoce.domain.evidence import Outcome, Source
from vivavoce.domain.ids import CallId, CountingIds, GenerationId, SessionId, TurnId
from vivavoce.domain.profile import Behaviour, behaviour_of
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import (
    ActivityDetection,
    RealtimeInput,
    SessionSetup,
    Transcription,
)
from vivavoce.testing.oracle import Oracle

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
FOUND = Outcome({"results": [FACT]}, ("Zürich",), (Source("file:zürich.md", "Zürich", FACT),))
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
        behaviour: Behaviour | None = None,
        session: LiveSession | None = None,
        now: float = 0.0,
    ) -> None:
        self.setup = setup
        self.settings = settings or SessionSettings()
        self.behaviour = behaviour or behaviour_of(setup.model)
        self.now = now
        self.position = 0
        self.said: list[tuple[float, Message]] = []
        self.effects: list[Effect] = []
        self.generation: GenerationId | None = None
        self.stale: list[GenerationId] = []
        self.turns: list[TurnId] = []
        self.ended: list[TurnId] = []
        self.calls: list[ToolCall] = []
        self.answered: list[ToolResult] = []
        self.running: list[CallId] = []
        self.stopped: list[CallId] = []
        self.checkpoints: list[SaveCheckpoint] = []
        self.words = 0
        self.said_calls = 0
        self.oracle = Oracle(setup, self.behaviour, self.settings)
        self.session = session or LiveSession(
            SessionId("s"), setup, self.behaviour, self.settings, CountingIds()
        )
        self._after(None, self.session.open(now))

    # --- steps ----------------------------------------------------------------------------

    def do(self, event: Event, after_s: float = 0.0) -> list[Effect]:
        """Let `event` happen."""
        self.now += after_s
        match event:
            case TranscriptFailed(turn, _) | TranscriptUpdated(turn, _, _, True):
                if turn in self.ended:
                    self.ended.remove(turn)
                    self.oracle.heard(turn)
            case _:
                pass
        return self._after(event, self.session.handle(event, self.now))

    def wait(self, seconds: float = 0.0) -> list[Effect]:
        """Let time pass, deadline by deadline."""
        until = self.now + seconds
        effects: list[Effect] = []
        while (due := self.session.deadline()) is not None and due <= until:
            self.now = max(self.now, due)
            effects += self._after(None, self.session.elapse(self.now))
        self.now = until
        return effects

    def wait_for_deadline(self) -> list[Effect]:
        """Let time pass until the session wants to be asked."""
        due = self.session.deadline()
        return [] if due is None else self.wait(max(0.0, due - self.now))

    def _after(self, event: Event | None, effects: list[Effect]) -> list[Effect]:
        self.effects += effects
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
                case FinishTranscript(turn, _):
                    self.ended.append(turn)
                case DropTranscript(turn):
                    self.ended = [other for other in self.ended if other != turn]
                case SaveCheckpoint():
                    self.checkpoints.append(effect)
                case CancelGeneration() | ReleaseGeneration() | _:
                    pass
        self.oracle.saw(event, effects, self.now, self.session.deadline())
        waiting = self.session._talk.model.state is ModelState.TOOLS
        assert waiting == (self.oracle.calls.waiting and not self.session.closed), self.messages()
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

    def ran(self, outcome: Outcome = FOUND) -> list[Effect]:
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


def _turn(world: World) -> TurnId:
    return world.ended[0] if world.ended else (world.turns[-1] if world.turns else TurnId(99))


def _hypothesis(text: str, final: bool) -> Callable[[World], object]:
    return lambda w: w.do(TranscriptUpdated(_turn(w), w.position, text, final))


def _part(w: World) -> object:
    return w.say(w.word())


def _old_part(w: World) -> object:
    old = w.stale[-1] if w.stale else GenerationId(998)
    return w.do(AudioProduced(old, PIECE, w.word()))


def _content(*turns: Content, answer: bool) -> Callable[[World], object]:
    return lambda w: w.do(ContentReceived(turns, answer))


def _result(name: str, scheduling: Scheduling, more: bool = False) -> Callable[[World], object]:
    return lambda w: w.answer(name, scheduling=scheduling, will_continue=more)


def _again(w: World) -> object:
    given = w.answered[-1] if w.answered else ToolResult(CallId("unknown"), "report", {})
    return w.do(ToolResponsesReceived((given,)))


def _nameless(w: World) -> object:
    """As enterprise clients answer: by the name alone."""
    call = next((c for c in w.calls if c.name == "lights"), None)
    if call is not None:
        w.calls.remove(call)
    return w.do(ToolResponsesReceived((ToolResult(CallId(""), "lights", {"ok": True}),)))


def _for_the_server(w: World) -> object:
    """A client that answers what the server runs itself, by id and by name."""
    ids = [*w.running, CallId("")]
    return w.do(ToolResponsesReceived(tuple(ToolResult(id, "search", {}) for id in ids)))


def _late_tool(w: World) -> object:
    return w.do(ToolRan(w.stopped[-1] if w.stopped else CallId("unknown"), FOUND))


def _in_turn(*names: str) -> Callable[[World], object]:
    """Several actions, one after the other: what chance alone would seldom put in order."""

    def act(w: World) -> None:
        for name in names:
            ACTIONS[name](w)

    return act


def _video(w: World) -> object:
    return w.do(VideoArrived(w.position, Blob(b"jpeg", "image/jpeg")))


ACTIONS: dict[str, Callable[[World], object]] = {
    # the user's voice
    "speech": lambda w: w.score(0.1, 0.9),
    "short silence": lambda w: w.score(0.3, 0.01),
    "long silence": lambda w: w.score(0.9, 0.01),
    "stream end": lambda w: w.do(AudioStreamEnded(w.position)),
    "audio": lambda w: w.do(AudioArrived(w.position)),
    "video": _video,
    "activity start": lambda w: w.do(ActivityStarted(w.position)),
    "activity end": lambda w: w.do(ActivityEnded(w.position)),
    # the recognizer
    "hypothesis": _hypothesis("hello there", False),
    "words": _hypothesis("Hello, there!", True),
    "other words": _hypothesis("good bye", True),
    "no words": _hypothesis(" ", True),
    "recognizer works": lambda w: w.do(TranscriptProgressed(_turn(w), w.position)),
    "recognizer fails": lambda w: w.do(TranscriptFailed(_turn(w), "broken")),
    # the client
    "text": lambda w: w.do(TextReceived("hi")),
    "blank": lambda w: w.do(TextReceived(" ")),
    "content": _content(user("a"), answer=False),
    "question": _content(user("b"), answer=True),
    "trigger": _content(answer=True),
    "model content": _content(model("seed"), answer=True),
    "context": lambda w: w.do(ContextUpdated("be brief", None)),
    "fewer tools": lambda w: w.do(ContextUpdated(None, Tools(TOOLS.functions[1:]))),
    "all tools": lambda w: w.do(ContextUpdated(None, TOOLS)),
    "result": _result("lights", Scheduling.WHEN_IDLE),
    "idle result": _result("report", Scheduling.WHEN_IDLE),
    "urgent result": _result("report", Scheduling.INTERRUPT),
    "silent result": _result("report", Scheduling.SILENT),
    "partial result": _result("report", Scheduling.WHEN_IDLE, more=True),
    "result again": _again,
    "nameless result": _nameless,
    "server's result": _for_the_server,
    # the server's tools
    "tool ran": lambda w: w.ran(),
    "tool failed": lambda w: w.ran(Outcome({"error": "No."}, ("Zürich",), failed="No.")),
    "late tool": _late_tool,
    # the model
    "part": _part,
    "fact": lambda w: w.say(FACT + " "),
    "old part": _old_part,
    "thought": lambda w: w.do(TextProduced(w.current, "hm", thought=True)),
    "usage": lambda w: w.do(UsageProduced(w.current, Usage(10, 0, 3))),
    "blocking call": lambda w: w.call("lights"),
    "open call": lambda w: w.call("report"),
    "both calls": lambda w: w.call("lights", "report"),
    "search": lambda w: w.call("search"),
    "two tools": lambda w: w.call("python", "search"),
    "tool and function": lambda w: w.call("search", "lights"),
    "call of each kind": lambda w: w.call("lights", "python", "report"),
    "two functions": lambda w: w.call("lights", "lights"),
    "unknown call": lambda w: w.call("nonsense"),
    "finished": lambda w: w.finish(),
    "chose silence": lambda w: w.finish(EndReason.NEED_MORE_INPUT),
    "malformed": lambda w: w.finish(EndReason.MALFORMED_CALL),
    "failed": lambda w: w.do(GenerationFailed(w.current, "broken")),
    "refused": lambda w: w.do(GenerationRefused(w.current)),
    # whole stretches
    "utterance": _in_turn("speech", "long silence", "words"),
    "other utterance": _in_turn("speech", "long silence", "other words"),
    "activity": _in_turn("activity start", "activity end", "words"),
    "thinking aloud": _in_turn("speech", "short silence", "hypothesis", "part"),
    "answer": _in_turn("part", "usage", "part", "finished"),
    "searched answer": _in_turn("search", "tool ran", "fact", "finished"),
    "served turn": _in_turn("answer", "time", "question", "search", "tool ran", "fact", "finished"),
    # the host
    "time": lambda w: w.wait_for_deadline(),
    "saved": lambda w: w.do(CheckpointSaved("handle")),
    "drain": lambda w: w.do(DrainRequested(10.0)),
    "gone": lambda w: w.do(ClientGone()),
}
"""Everything that can happen, by name. Each is safe at any time: much of it means nothing then."""
