"""Everything that can happen to a world, by name: what walks are made of."""

from __future__ import annotations

from collections.abc import Callable

from core.world import FACT, FOUND, PIECE, TOOLS, World, model, user
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioProduced,
    AudioStreamEnded,
    CheckpointSaved,
    ClientGone,
    CloseRequested,
    ContentReceived,
    ContextUpdated,
    GenerationFailed,
    GenerationRefused,
    TextProduced,
    TextReceived,
    ToolRan,
    ToolResponsesReceived,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
    UsageProduced,
    VideoArrived,
)
from vivavoce.core.lifetime import CloseReason
from vivavoce.domain.content import Blob, Content, Scheduling, ToolOutcome, ToolResult, Tools, Usage
from vivavoce.domain.ids import CallId, GenerationId, TurnId
from vivavoce.domain.request import EndReason


def _turn(world: World) -> TurnId:
    return world.ended[0] if world.ended else (world.turns[-1] if world.turns else TurnId(99))


def _hypothesis(text: str, final: bool) -> Callable[[World], object]:
    return lambda w: w.do(TranscriptUpdated(_turn(w), w.position, text, final))


def _words(text: str, stable: str) -> Callable[[World], object]:
    return lambda w: w.do(TranscriptUpdated(_turn(w), w.position, text, False, stable, 0.4))


def _part(w: World) -> object:
    return w.say(w.word())


def _old_part(w: World) -> object:
    old = w.stale[-1] if w.stale else GenerationId(998)
    return w.do(AudioProduced(old, PIECE, w.word()))


def _content(*turns: Content, answer: bool) -> Callable[[World], object]:
    return lambda w: w.do(ContentReceived(turns, answer))


def _last_user_words(w: World) -> object:
    """Asked in words of its own, so that the oracle can tell which question is answered."""
    return w.do(ContentReceived((user(f"why {w.word()}?"),), True))


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
    "sound": lambda w: w.score(0.3, 0.9),
    "short silence": lambda w: w.score(0.3, 0.01),
    "long silence": lambda w: w.score(0.9, 0.01),
    "stream end": lambda w: w.do(AudioStreamEnded(w.position)),
    "audio": lambda w: w.do(AudioArrived(w.position)),
    "video": _video,
    "activity start": lambda w: w.do(ActivityStarted(w.position)),
    "activity end": lambda w: w.do(ActivityEnded(w.position)),
    "brief silence": lambda w: w.score(0.15, 0.01),
    # the turn model
    "sure end": lambda w: w.score_end(0.95),
    "unsure end": lambda w: w.score_end(0.5),
    "unfinished": lambda w: w.score_end(0.05),
    # the recognizer
    "first words": _words("hello there you", "hello there"),
    "more words": _words("hello, there you are", "hello, there you"),
    "changed words": _words("yellow bear is here", "yellow bear is"),
    "back-channel": _hypothesis("Yeah.", False),
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
    "question": _last_user_words,
    "trigger": _content(answer=True),
    "model content": lambda w: w.do(ContentReceived((model(f"seed {w.word()}"),), True)),
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
    "tool failed": lambda w: w.ran(ToolOutcome({"error": "No."}, ("Zürich",), failed="No.")),
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
    "streamed": _in_turn("speech", "first words", "more words", "long silence", "words"),
    "thinking aloud": _in_turn("speech", "short silence", "hypothesis", "part"),
    "sure utterance": _in_turn("speech", "short silence", "hypothesis", "sure end", "words"),
    "answer": _in_turn("part", "usage", "part", "finished"),
    "searched answer": _in_turn("search", "tool ran", "fact", "finished"),
    "served turn": _in_turn("answer", "time", "question", "search", "tool ran", "fact", "finished"),
    # the host
    "time": lambda w: w.wait_for_deadline(),
    "saved": lambda w: w.do(CheckpointSaved("handle")),
    "drain": lambda w: w.do(CloseRequested(CloseReason.DRAIN, 10.0)),
    "gone": lambda w: w.do(ClientGone()),
}
"""Everything that can happen, by name. Each is safe at any time: much of it means nothing then."""
