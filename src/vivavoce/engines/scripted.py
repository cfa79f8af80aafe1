"""Deterministic engines without weights, for tests, demonstrations and load runs.

- `recognizer.tones`, `synthesizer.tones`: words as tones in PCM, and tones back into words. Every
  byte of the UTF-8 text is two tones at once for 30 ms, one of sixteen low ones for its upper half
  and one of sixteen high ones for its lower half, followed by 10 ms of silence: the pace of fast
  speech. The tones lie 100 Hz apart and are measured for 20 ms in their middle, so they are
  orthogonal to each other whatever the rate and the phase: sound may be resampled, cut at its
  start, mixed with some noise, and is still understood. Sound without tones, such as a person
  speaking, is understood as how long it was.
- `detector.energy`: a frame is speech if it is loud enough; good for tones, tests and quiet rooms.
- `model.echo`: repeats what the user said, and calls the tools that were named.

A declared function, or a tool of an MCP server, is called when every word of its name occurs in
what the user said ("turn on the lights please" calls `turn_on_the_lights`); of several the one
with the most words. Only where "and" joins full names all of them are called, in one batch.
Arguments come from the words, and fit the function's schema: see `scripted_arguments`. A function
whose schema nothing fits is not called, and the turn ends as a malformed call.

Of the server's own tools the model reads an address that was typed, runs what follows "calculate"
or "run", and searches, with all the words, when "search" was said; when no function was named, also
for a question. It reports word for word: the first text that was found, the output of the code,
the beginning of the page.

Asked "what did I tell you before?" it answers from the history: all that the user had said until
then, in order, but for such questions.
"""

from __future__ import annotations

import ast
import asyncio
import math
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, samples
from vivavoce.domain.content import (
    OK,
    Blob,
    Content,
    Json,
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolResult,
    Tools,
)
from vivavoce.domain.content import Usage as TokenUsage
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import VOICES
from vivavoce.engines.ports import (
    CallsRequested,
    CallUnreadable,
    EngineHost,
    LanguageModelCapabilities,
    ModelPart,
    RecognitionOptions,
    RecognizerCapabilities,
    Settings,
    Speech,
    SynthesizerCapabilities,
    TextDelta,
    Transcript,
    UsageReported,
)
from vivavoce.engines.scripted_arguments import Unfillable, arguments
from vivavoce.engines.settings import NoSettings, read_settings
from vivavoce.engines.workers import WorkerPool

# --- detector ----------------------------------------------------------------------------

THRESHOLD_DB = -45.0
SLOPE_DB = 3.0


@dataclass(frozen=True, slots=True)
class EnergySettings:
    """`threshold_db` is the level, relative to full scale, of a frame with probability 0.5."""

    threshold_db: float = THRESHOLD_DB


class EnergyDetector:
    """A soft gate around `threshold_db`, in decibels below full scale."""

    frame_samples = samples(0.032)
    inline = True

    def __init__(self, threshold_db: float = THRESHOLD_DB) -> None:
        self._threshold_db = threshold_db

    def fresh(self) -> None:
        return None

    def score(
        self, frames: Sequence[bytes], states: Sequence[None]
    ) -> Sequence[tuple[float, None]]:
        return [(self._probability(frame), None) for frame in frames]

    async def aclose(self) -> None:
        return None

    def _probability(self, frame: bytes) -> float:
        sound = np.frombuffer(frame, dtype="<i2").astype(np.float32)
        power = float(np.vdot(sound, sound))  # in one call: for every 32 ms of every session
        power /= max(1, len(sound)) * 32768.0**2
        level_db = 10 * math.log10(power + 1e-12)
        return 1 / (1 + math.exp((self._threshold_db - level_db) / SLOPE_DB))


async def create_energy(settings: Settings, host: EngineHost) -> EnergyDetector:
    """Build `detector.energy`. Raises `ConfigError`."""
    return EnergyDetector(read_settings("detector.energy", settings, EnergySettings).threshold_db)


# --- tones -------------------------------------------------------------------------------

TONE_S = 0.030
GAP_S = 0.010
LISTEN_S = 0.020
WORD_GAP_S = 0.12
"""A silence at least this long separates two sayings; a space is put in its place."""

AMPLITUDE = 0.2
LOW_HZ = tuple(400 + 100 * k for k in range(16))
HIGH_HZ = tuple(2200 + 100 * k for k in range(16))

_WINDOW_S = 0.0025
_PURITY = 0.5
"""The part of a stretch's energy that its two tones must hold, or it is no byte."""

_QUIET = 0.004
"""Sound below this amplitude (-48 dBFS) is silence whatever else there is."""

Samples = NDArray[np.float32]


def say(text: str, rate: int = OUTPUT_RATE) -> bytes:
    """Encode `text` as tones: 16-bit PCM of 40 ms a byte."""
    pieces = [_byte(value, rate) for value in text.encode()]
    return b"".join(pieces)


def hear(pcm: bytes, rate: int = INPUT_RATE) -> str:
    """Decode the words in `pcm`; empty if there are none."""
    sound = _floats(pcm)
    found = bytearray()
    last_end = None
    for start, end in _stretches(sound, rate):
        value = _read(sound[start:end], rate)
        if value is None:
            continue
        if last_end is not None and start - last_end > WORD_GAP_S * rate and found[-1:] != b" ":
            found += b" "
        found.append(value)
        last_end = end
    return found.decode(errors="replace").strip()


def loud_seconds(pcm: bytes, rate: int = INPUT_RATE) -> float:
    """Return how much of `pcm` is not silence, in seconds."""
    levels = _levels(_floats(pcm), rate)
    return int(np.count_nonzero(levels > _QUIET)) * _WINDOW_S


@cache
def _byte(value: int, rate: int) -> bytes:
    time = np.arange(round(TONE_S * rate)) / rate
    tones = np.sin(2 * np.pi * LOW_HZ[value >> 4] * time)
    tones += np.sin(2 * np.pi * HIGH_HZ[value & 15] * time)
    # Soft edges, so that a tone does not click across the whole spectrum.
    edge = round(0.002 * rate)
    envelope = np.ones_like(tones)
    envelope[:edge] = np.linspace(0, 1, edge)
    envelope[-edge:] = envelope[:edge][::-1]
    sound = np.concatenate([tones * envelope * AMPLITUDE, np.zeros(round(GAP_S * rate))])
    return bytes((sound * 32767).astype("<i2").tobytes())


def _floats(pcm: bytes) -> Samples:
    whole = len(pcm) - len(pcm) % 2
    return np.frombuffer(pcm[:whole], dtype="<i2").astype(np.float32) / np.float32(32768)


def _levels(sound: Samples, rate: int) -> Samples:
    """Return the root mean square of each short window."""
    width = round(_WINDOW_S * rate)
    count = len(sound) // width
    windows = sound[: count * width].reshape(count, width)
    levels: Samples = np.sqrt((windows**2).mean(axis=1, dtype=np.float32))
    return levels


def _stretches(sound: Samples, rate: int) -> list[tuple[int, int]]:
    """Return where sound lies between silences, as long as a tone at least and about that long."""
    levels = _levels(sound, rate)
    if not len(levels) or levels.max() < _QUIET:
        return []
    loud = np.concatenate([[False], levels > max(_QUIET, 0.5 * _loudness(levels)), [False]])
    edges = np.flatnonzero(loud[1:] != loud[:-1])
    width = round(_WINDOW_S * rate)
    return [
        (start * width, end * width)
        for start, end in edges.reshape(-1, 2).tolist()
        if (end - start) * _WINDOW_S >= LISTEN_S
    ]


def _loudness(levels: Samples) -> float:
    """Return the level of the tones: what the loudest third reaches."""
    present = levels[levels > _QUIET]
    return float(np.quantile(present, 0.67))


def _read(sound: Samples, rate: int) -> int | None:
    """Decode the byte in a stretch of sound, if it is one."""
    width = round(LISTEN_S * rate)
    if len(sound) > round((TONE_S + GAP_S) * rate):
        return None
    start = (len(sound) - width) // 2
    middle = sound[start : start + width]
    # einsum and not a product of matrices, for which BLAS would wake a thread on every core.
    powers = np.abs(np.einsum("ij,j->i", _probes(rate), middle)) ** 2
    low, high = int(powers[:16].argmax()), int(powers[16:].argmax())
    energy = float((middle**2).sum()) * width / 2
    if energy <= 0 or float(powers[low] + powers[16 + high]) < _PURITY * energy:
        return None
    return low << 4 | high


@cache
def _probes(rate: int) -> NDArray[np.complex64]:
    """Return one row for each tone: its correlation with 20 ms of sound."""
    time = np.arange(round(LISTEN_S * rate)) / rate
    tones = np.array(LOW_HZ + HIGH_HZ)[:, None]
    return np.exp(-2j * np.pi * tones * time).astype(np.complex64)


# --- recognizer and synthesizer ----------------------------------------------------------

SHORTEST_SPEECH_S = 0.1


class TonesUtterance:
    """One stretch of sound, kept until it is asked about."""

    def __init__(self, streaming: bool) -> None:
        self._pcm = bytearray()
        self._streaming = streaming

    async def feed(self, pcm: bytes) -> None:
        self._pcm += pcm

    async def hypothesis(self) -> Transcript:
        text = understand(bytes(self._pcm))
        return Transcript(text, text.rpartition(" ")[0] if self._streaming else "")

    async def pause(self) -> Transcript:
        return await self.hypothesis()

    async def finish(self) -> Transcript:
        return await self.hypothesis()


class TonesRecognition:
    """One conversation; nothing adapts."""

    def __init__(self, streaming: bool) -> None:
        self._streaming = streaming

    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[TonesUtterance]:
        yield TonesUtterance(self._streaming)

    async def aclose(self) -> None:
        return None


class TonesRecognizer:
    """Recognizes tones. `streaming`: all words but the last are stable while they come."""

    def __init__(self, streaming: bool = False) -> None:
        self.capabilities = RecognizerCapabilities(streaming, languages=("en",))

    def open(self, options: RecognitionOptions) -> TonesRecognition:
        return TonesRecognition(self.capabilities.streaming)

    async def aclose(self) -> None:
        return None


class TonesSynthesizer:
    """Speaks in tones, a word at a time."""

    capabilities = SynthesizerCapabilities(voices=VOICES)

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        for word in _words(text):
            yield Speech(say(word, OUTPUT_RATE), word)
            await asyncio.sleep(0)

    async def aclose(self) -> None:
        return None


def understand(pcm: bytes) -> str:
    """Decode the words in tones; of other sound its duration; of silence nothing."""
    if words := hear(pcm, INPUT_RATE):
        return words
    spoken_s = loud_seconds(pcm, INPUT_RATE)
    return f"speech of {spoken_s:.1f} seconds" if spoken_s >= SHORTEST_SPEECH_S else ""


def _words(text: str) -> list[str]:
    """Split a text into words, each with the space before it."""
    words: list[str] = []
    for word in text.split(" "):
        words.append(f" {word}" if words else word)
    return [word for word in words if word]


async def create_tone_recognizer(settings: Settings, host: EngineHost) -> TonesRecognizer:
    """Build `recognizer.tones`, which has no settings. Raises `ConfigError`."""
    read_settings("recognizer.tones", settings, NoSettings)
    return TonesRecognizer()


async def create_tone_synthesizer(settings: Settings, host: EngineHost) -> TonesSynthesizer:
    """Build `synthesizer.tones`, which has no settings. Raises `ConfigError`."""
    read_settings("synthesizer.tones", settings, NoSettings)
    return TonesSynthesizer()


# --- language model ----------------------------------------------------------------------

_WORD = re.compile(r"[^\W_]+")
_CAMEL = re.compile(r"[a-z0-9](?=[A-Z])")
_ADDRESS = re.compile(r"https?://[^\s<>\"']+")
_RUN = re.compile(r"^(?:calculate|run)\s++(.*[^?.\s])[?.\s]*$", re.IGNORECASE)
_AND = re.compile(r"(?<!\s)\s++and\s+", re.IGNORECASE)
_SEARCH = re.compile(r"\bsearch\b", re.IGNORECASE)
_QUESTION = re.compile(
    r"^(?:who|whom|whose|what|when|where|which|why|how|is|are|was|were|do|does|did)\b|\?$",
    re.IGNORECASE,
)
_BEFORE = re.compile(r"\bwhat did i tell you before\b", re.IGNORECASE)
_MAX_REPORT_CHARS = 200
_LONG_TEXT = 50_000
MOST_ECHOED = 2_000
MOST_CONTENTS = 100
"""Characters and contributions of the user's that are looked at: a turn costs the same in a long
session."""


def _count_words(text: str) -> int:
    """Count the words of a text; of a long one its blanks, in a twentieth of the time."""
    return text.count(" ") + 1 if len(text) > _LONG_TEXT else len(text.split())


class EchoModel:
    """Repeats the user and calls named tools: see the module. Every token is a word."""

    capabilities = LanguageModelCapabilities(
        tools=True,
        images=True,
        thinking=True,
        context_tokens=1_000_000,
        slots=1_000,
        count_tokens=_count_words,
    )

    def __init__(self) -> None:
        self._workers = WorkerPool("model.echo", queue=1024)

    async def prepare(self, request: GenerationRequest) -> None:
        return None

    async def generate(self, request: GenerationRequest) -> AsyncIterator[ModelPart]:
        utterance = _last_words(request)
        results = _last_results(request)
        if request.thinking is not None and request.thinking.include_thoughts:
            yield TextDelta(f"The user said: {utterance}", thought=True)
        if not results and _BEFORE.search(utterance):
            answer = _earlier_words(request)
        elif not results and (calls := await self._calls(utterance, request.tools)):
            yield calls
            answer = ""
        else:
            answer = _report(results, request.tools) if results else _echo(utterance, request)
        for word in re.findall(r"(?<!\s)\s*+\S+", answer):
            yield TextDelta(word)
            await asyncio.sleep(0)
        yield UsageReported(TokenUsage(response_tokens=len(answer.split())))

    async def release(self, session: str) -> None:
        return None

    async def aclose(self) -> None:
        self._workers.close()

    async def _calls(self, utterance: str, tools: Tools) -> CallsRequested | CallUnreadable | None:
        """Return what the words ask for; arguments are found off the event loop."""
        of_servers = (tool.declaration for tool in tools.server if tool.kind is ToolKind.MCP)
        named = _functions_in(utterance, (*tools.functions, *of_servers))
        if not named:
            return _calls(utterance, [], tools)
        return await self._workers.run(lambda _: _calls(utterance, named, tools))


def _last_words(request: GenerationRequest) -> str:
    """Return what the user said since the model last spoke: the end of it if it is very long."""
    utterance: list[str] = []
    length = 0
    for content in reversed(request.history[-MOST_CONTENTS:]):
        if content.role is Role.MODEL or length >= MOST_ECHOED:
            break
        utterance.append(content.text)
        length += len(content.text)
    return " ".join(" ".join(reversed(utterance))[-MOST_ECHOED:].split())


def _earlier_words(request: GenerationRequest) -> str:
    """Return what the user said before asking for it."""
    texts = (content.text.strip() for content in request.history if content.role is Role.USER)
    statements = [text for text in texts if text and not _BEFORE.search(text)]
    return ". ".join(statements) or "You told me nothing."


def _last_results(request: GenerationRequest) -> tuple[ToolResult, ...]:
    """Return the results with which the history ends."""
    last = request.history[-1].parts if request.history else ()
    return tuple(part for part in last if isinstance(part, ToolResult))


def _echo(utterance: str, request: GenerationRequest) -> str:
    ends = request.history[-1] if request.history else Content(Role.MODEL, ())
    last = ends.parts if ends.role is Role.USER else ()
    pictures = (part for part in last if isinstance(part, Blob))
    images = sum(part.mime_type.startswith("image/") for part in pictures)
    seen = f"{images} picture{'s' if images != 1 else ''} arrived. " if images else ""
    spoken = any(isinstance(part, Text) for part in last)
    return f"{seen}{utterance}".strip() if spoken or seen else "I am listening."


def _report(results: tuple[ToolResult, ...], tools: Tools) -> str:
    kinds = {tool.declaration.name: tool.kind for tool in tools.server}
    return " ".join(_result_report(result, kinds.get(result.name)) for result in results)


def _result_report(result: ToolResult, kind: ToolKind | None) -> str:
    response = result.response
    name = " ".join(_words_of(result.name))
    failed = "error" in response or response.get("outcome", OK) != OK
    if failed or kind in (None, ToolKind.MCP):
        return f"{name} {'failed' if failed else 'is done'}."
    if kind is ToolKind.CODE:
        return f"the output is {str(response.get('output', '')).strip()}."
    texts = [one["text"] for one in response.get("results", response.get("pages", ()))]
    first = next((text for text in texts if text), "nothing was found.")
    return str(first)[:_MAX_REPORT_CHARS]


_NamedFunctions = list[tuple[str, ToolDeclaration]]
"""Functions that the words name, each with the part of the words that does."""


def _calls(
    utterance: str, named: _NamedFunctions, tools: Tools
) -> CallsRequested | CallUnreadable | None:
    """Return what the words ask for, all in one batch: a search comes first."""
    calls: list[ToolCall] = []
    for part, function in named:
        try:
            args = arguments(function, part, set(_words_of(function.name)))
        except Unfillable as problem:
            return CallUnreadable(function.name, utterance, str(problem))
        call = _call(function.name, args)
        if call not in calls:
            calls.append(call)
    every_call = _with_server_tools(utterance, tuple(calls), tools)
    return CallsRequested(every_call) if every_call else None


def _with_server_tools(
    utterance: str, calls: tuple[ToolCall, ...], tools: Tools
) -> tuple[ToolCall, ...]:
    served = {tool.kind: tool.declaration.name for tool in tools.server}
    search = served.get(ToolKind.SEARCH)
    if search and (_SEARCH.search(utterance) if calls else _searches(utterance, served)):
        calls = (_call(search, {"query": utterance}), *calls)
    if calls:
        return calls
    if (read := served.get(ToolKind.URL)) and (found := _ADDRESS.findall(utterance)):
        return (_call(read, {"urls": [one.rstrip(".,;:!?)") for one in found]}),)
    if (run := served.get(ToolKind.CODE)) and (match := _RUN.match(utterance)):
        return (_call(run, {"code": _program(match[1])}),)
    return ()


def _call(name: str, arguments: Json) -> ToolCall:
    return ToolCall(CallId(""), name, arguments)


def _searches(utterance: str, served: dict[ToolKind, str]) -> bool:
    """Return whether words without a function ask for a search and for no other tool."""
    other = (ToolKind.URL in served and _ADDRESS.search(utterance)) or (
        ToolKind.CODE in served and _RUN.match(utterance)
    )
    return not other and bool(_SEARCH.search(utterance) or _QUESTION.search(utterance))


def _program(written: str) -> str:
    """Return what was typed as a program: a bare expression is printed."""
    try:
        ast.parse(written, mode="eval")
    except (SyntaxError, ValueError):
        return written
    return written if written.startswith("print(") else f"print({written})"


def _functions_in(utterance: str, functions: tuple[ToolDeclaration, ...]) -> _NamedFunctions:
    """Return the functions named between two "and"; else the one that all the words name."""
    whole = _function_in(utterance, functions)
    named = [(part, _function_in(part, functions)) for part in _AND.split(utterance)]
    full = [(part, function) for part, function in named if function is not None]
    if len(full) < 2 or (whole is not None and "and" in _words_of(whole.name)):
        full = [(utterance, whole)] if whole is not None else []
    return full


def _words_of(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(_CAMEL.sub(r"\g<0> ", name))]


def _function_in(utterance: str, functions: tuple[ToolDeclaration, ...]) -> ToolDeclaration | None:
    """Return the function whose name's words were all said; of several the one with the most."""
    words = {word.lower() for word in _WORD.findall(utterance)}
    named = [function for function in functions if words.issuperset(_words_of(function.name))]
    return max(named, key=lambda function: len(_words_of(function.name)), default=None)


async def create_echo(settings: Settings, host: EngineHost) -> EchoModel:
    """Build `model.echo`, which has no settings. Raises `ConfigError`."""
    read_settings("model.echo", settings, NoSettings)
    return EchoModel()
