"""The ports that engines implement, for speech, language, search and code.

Rules for an engine:

- An engine that is one loop is an async iterator; one with concurrency inside (a cascade
  reads tokens while it speaks) is given an awaitable `emit`. No task group surrounds a `yield`.
- Blocking work runs in a worker pool (`engines.workers`) or a process, never on the event loop.
- Cancellation is by ordinary task cancellation. Correctness never waits for it: the core
  drops whatever a retired generation still says.
- Failures that a user can meet are `EngineError`, those of tools `ToolError`; else it is a bug.
- Sound is `bytes` of 16-bit little-endian mono PCM: 16 kHz in, 24 kHz out.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from vivavoce.domain.content import CodeResult, Source, ToolCall, Usage
from vivavoce.domain.request import EndReason, GenerationRequest

# --- hearing -----------------------------------------------------------------------------


class VoiceDetector(Protocol):
    """Scores how likely a frame is speech. Stateless: the state of a stream travels with it.

    Calls are made in a thread, and one that takes longer than two seconds has failed. A detector
    with an attribute `inline = True` promises that `score` never waits for anything: then calls
    may be made on the event loop while they stay within a few milliseconds, which costs less.
    """

    frame_samples: int
    """Samples at 16 kHz in one frame."""

    def fresh(self) -> Any:
        """Return the state of a stream at its beginning."""

    def score(self, frames: Sequence[bytes], states: Sequence[Any]) -> Sequence[tuple[float, Any]]:
        """Score one frame of each stream: its probability, 0..1, and the stream's next state.

        Blocking; takes about 0.15 ms for one frame. Callable from any one thread at a time.
        """

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class TurnPause:
    """A pause in a user's turn, to be scored.

    `pcm` is the sound of the turn up to the pause, 16 kHz, its last `MAX_TURN_S` at most; `text`
    its words, empty while they are not known; `language` a BCP-47 code, empty if unknown.
    """

    pcm: bytes
    text: str = ""
    language: str = ""


MAX_TURN_S = 8.0
"""Sound of a turn that a turn model is given."""


class TurnModel(Protocol):
    """Scores how likely a user's turn is over at a pause. Stateless.

    Calls are made in a thread, one at a time; one that takes longer than a second has failed, and
    silence alone decides then. `inline` as of a voice detector.
    """

    def score(self, pauses: Sequence[TurnPause]) -> Sequence[float]:
        """Return for each pause the probability, 0..1, that it ends the turn; 0.5 is unsure."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class RecognizerCapabilities:
    """Abilities of a recognizer.

    `streaming`: hypotheses come cheaply while sound is fed. `vocabulary`: words to expect make a
    difference.
    """

    streaming: bool
    languages: tuple[str, ...]
    vocabulary: bool = False


@dataclass(frozen=True, slots=True)
class RecognitionOptions:
    """Options of recognition in one conversation: BCP-47 codes, words to expect."""

    language_codes: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text that was recognized of an utterance.

    `stable` is the beginning of `text` that is not expected to change while the utterance goes on;
    empty where that is not known. `confidence` is the probability, 0..1, that a token of the text
    is right (geometric mean over the tokens), or of an empty text that nothing was said; `None`
    where the recognizer gives none. `fresh` is false for an earlier answer that is given again.
    """

    text: str = ""
    stable: str = ""
    confidence: float | None = None
    fresh: bool = True


class Utterance(Protocol):
    """One stretch of speech being recognized. Calls are made one at a time, in order."""

    async def feed(self, pcm: bytes) -> None:
        """Take more sound, 16 kHz. Returns when more can be taken (back-pressure)."""

    async def hypothesis(self) -> Transcript:
        """Transcribe while the user speaks; an earlier answer where a new one costs too much.

        Asked for about twice a second of an engine whose capabilities say `streaming`.
        """

    async def pause(self) -> Transcript:
        """Transcribe all that was fed, at a short silence of the user.

        If no speech follows, this is the final text and `finish` is not called.
        """

    async def finish(self) -> Transcript:
        """End the utterance and return its final text, empty if no words were understood."""


class Recognition(Protocol):
    """The recognizer of one conversation; may adapt to its speaker from turn to turn."""

    def utterance(self) -> AbstractAsyncContextManager[Utterance]:
        """Open an utterance; leaving the context early abandons it."""

    async def aclose(self) -> None: ...


class Recognizer(Protocol):
    """Turns speech into text, for all conversations."""

    capabilities: RecognizerCapabilities

    def open(self, options: RecognitionOptions) -> Recognition:
        """Open the recognizer of one conversation. Cheap; does not block."""

    async def aclose(self) -> None: ...


# --- thinking ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LanguageModelCapabilities:
    """Abilities of a language model. `slots`: generations it runs side by side.

    `repairs`: after a result with the error of its own call, it may make a better one.
    `count_tokens` is its tokenizer, or as near to it as can be had without waiting: it is called on
    the event loop, for texts of any length, once for each text. One that is an estimate at first
    has a `count_revision`: a number that changes when texts may count otherwise than before.
    """

    tools: bool = False
    images: bool = False
    thinking: bool = False
    context_tokens: int = 2048
    slots: int = 1
    repairs: bool = False
    count_tokens: Callable[[str], int] | None = None
    count_revision: Callable[[], int] | None = None


@dataclass(frozen=True, slots=True)
class TextDelta:
    """A piece of the answer, or of a thought."""

    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class CallsRequested:
    """Calls of functions, complete with arguments; ids are left empty."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class CallUnreadable:
    """A call that can't be parsed; no call of the answer is made.

    `written` is the text in place of the arguments, `problem` its error, for the model.
    """

    name: str
    written: str
    problem: str


@dataclass(frozen=True, slots=True)
class UsageReported:
    """Tokens that the generation has used so far; the last one counts."""

    usage: Usage


@dataclass(frozen=True, slots=True)
class Ended:
    """Reason why the model stopped; absent means that it was complete."""

    reason: EndReason


ModelPart = TextDelta | CallsRequested | CallUnreadable | UsageReported | Ended


class LanguageModel(Protocol):
    """Answers in text and calls."""

    capabilities: LanguageModelCapabilities

    async def prepare(self, request: GenerationRequest) -> None:
        """Process a request that is to be expected, before it is made. Best effort.

        Its last words may be a hypothesis of what the user is still saying: the request to answer
        can end with other words, and mostly begins with these.
        """

    def generate(self, request: GenerationRequest) -> AsyncIterator[ModelPart]:
        """Yield the answer part by part. Closing the iterator stops the work at once."""

    async def release(self, session: str) -> None:
        """Drop the caches of a conversation that is over."""

    async def aclose(self) -> None: ...


# --- speaking ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SynthesizerCapabilities:
    """Abilities of a synthesizer. `voices` are its own names for its voices."""

    voices: tuple[str, ...]
    languages: tuple[str, ...] = ("en",)


@dataclass(frozen=True, slots=True)
class Speech:
    """A piece of sound, 24 kHz PCM in whole samples, and the words of the text that begin in it.

    The `text` of all pieces together equals the text that was to be spoken.
    """

    pcm: bytes
    text: str


class Synthesizer(Protocol):
    """Speaks a clause at a time."""

    capabilities: SynthesizerCapabilities

    def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        """Yield the sound of `text`. `voice` is one of the Live API; unknown ones are mapped."""

    async def aclose(self) -> None: ...


# --- answering ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Milestone:
    """A moment for latency metrics: `first_token`, `first_clause`. Never sent to the client."""

    name: str


GenerationPart = Speech | TextDelta | CallsRequested | UsageReported | Milestone
Emit = Callable[[GenerationPart], Awaitable[None]]
"""Takes a part. Awaiting it is where back-pressure and pacing happen."""


@dataclass(frozen=True, slots=True)
class ResponderCapabilities:
    """Abilities of a responder. `context_tokens` and `count_tokens` as of a language model."""

    tools: bool = False
    images: bool = False
    thinking: bool = False
    speaks: bool = True
    context_tokens: int = 0
    count_tokens: Callable[[str], int] | None = None
    count_revision: Callable[[], int] | None = None


class Responder(Protocol):
    """Answers a conversation: a cascade of language model and synthesizer, or a speech model."""

    capabilities: ResponderCapabilities

    async def prepare(self, request: GenerationRequest) -> None:
        """Prepare an answer to a request that is to be expected. Best effort.

        The history may end with a hypothesis of what the user is still saying.
        """

    async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
        """Produce the answer through `emit`; returns the reason of its end."""

    async def release(self, session: str) -> None:
        """Drop the caches of a conversation that is over."""

    async def aclose(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Engines:
    """The engines of one profile, started and ready."""

    detector: VoiceDetector
    recognizer: Recognizer
    responder: Responder
    turn_model: TurnModel | None = None

    async def aclose(self) -> None:
        for engine in (self.responder, self.recognizer, self.detector, self.turn_model):
            if engine is not None:
                await engine.aclose()


# --- tools that the server runs ---------------------------------------------------------

MAX_URI_CHARS = 2000
_BAD = re.compile(r"[\s<>\"\\^`{|}\x00-\x1f\x7f\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class SearchQuery:
    """One search.

    `count` is how many sources are wanted at most. `excluded` are host names without a scheme;
    `after` and `before` (with a time zone) bound when a source was published. An engine that
    can't apply the last three ignores them.
    """

    text: str
    count: int = 5
    excluded: tuple[str, ...] = ()
    after: datetime | None = None
    before: datetime | None = None

    def excludes(self, host: str) -> bool:
        """Return whether the lower-case `host` is one of the excluded hosts, or under one."""
        names = (name.lower().strip(". ") for name in self.excluded)
        return any(name and (host == name or host.endswith("." + name)) for name in names)


class SearchEngine(Protocol):
    """Finds sources. Called from several conversations at once."""

    name: str
    """Its registry name without the port: `searxng`."""

    async def search(self, query: SearchQuery) -> Sequence[Source]:
        """Return the sources that were found, best first. Raises `ToolError`."""

    async def aclose(self) -> None: ...


class Sandbox(Protocol):
    """Runs unreviewed Python where it can do no harm.

    No network, no files of the host, bounded time, memory and output, and never in the
    server's own process.
    """

    name: str
    """Its registry name without the port: `monty`."""

    abilities: str
    """Its description for a model, in one or two sentences: which Python, which modules."""

    async def run(self, code: str) -> CodeResult:
        """Run `code`; what it printed, and how it ended.

        Code that fails is an ordinary outcome: OUTCOME_FAILED with the error at the end of the
        output, OUTCOME_DEADLINE_EXCEEDED for code that took too long. Raises `ToolError` only
        when the sandbox itself does not work. Cancelling the task ends the code.
        """

    async def aclose(self) -> None: ...


def citable_host(uri: str) -> str:
    """Return the lower-case host of an http address that may be cited; else an empty text.

    Not citable are very long addresses, those with a user name, and those with white space,
    quotation marks or other characters that would end an address in running text.
    """
    if len(uri) > MAX_URI_CHARS or _BAD.search(uri):
        return ""
    try:
        parts = urlsplit(uri)
        if parts.scheme not in ("http", "https") or parts.username is not None:
            return ""
        return (parts.hostname or "").lower()
    except ValueError:
        return ""


# --- building ----------------------------------------------------------------------------

Settings = Mapping[str, Any]
"""An engine's own table of the configuration, without `use`. The factory validates it."""


class EngineHost(Protocol):
    """Services for a factory while it builds an engine."""

    def weights(self, name: str) -> Path:
        """Return the folder of the weights called `name`. Raises `EngineMissing`."""

    async def build(self, port: str, choice: str | Settings) -> Any:
        """Build a part of an engine: `build("model", {"use": "openai", …})`."""

    def say(self, line: str) -> None:
        """Inform the operator, in one sentence, of something that takes a while. Thread-safe."""


Factory = Callable[[Settings, EngineHost], Awaitable[Any]]
"""What an entry point of the group `vivavoce.engines` names; its name is `port.engine`.

The ports are `detector`, `recognizer`, `turn_model`, `responder`, `model`, `synthesizer`, `search`
and `sandbox`. A factory imports its library itself, so that an engine that is not selected costs
nothing; it raises `EngineMissing` with the fix when something is absent and `ConfigError` for bad
settings.
"""
