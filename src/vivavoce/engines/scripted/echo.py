"""`model.echo`: says back what the user said, and calls the tools that were named.

A declared function, or a tool of an MCP server, is called when every word of its name occurs in
what the user said ("turn on the lights please" calls `turn_on_the_lights`); of several the one
with the most words. Only where "and" joins full names all of them are called, in one batch.
Arguments come from the words, and fit the function's schema: see `scripted.arguments`. A function
whose schema nothing fits is not called, and the turn ends as a malformed call.

Of the server's own tools it reads an address that was typed, runs what follows "calculate" or
"run", and searches, with all the words, when "search" was said; when no function was named, also
for a question. It reports word for word: the first text that was found, the output of the code,
the beginning of the page.

Asked "what did I tell you before?" it answers from the history: all that the user had said until
then, in order, but for such questions.
"""

from __future__ import annotations

import ast
import asyncio
import re
from collections.abc import AsyncIterator

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
from vivavoce.engines.ports import (
    CallsRequested,
    CallUnreadable,
    EngineHost,
    LanguageModelCapabilities,
    ModelPart,
    Settings,
    TextDelta,
    UsageReported,
)
from vivavoce.engines.scripted.arguments import Unfillable, arguments
from vivavoce.engines.settings import NoSettings, read_settings
from vivavoce.engines.workers import WorkerPool

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
_TOLD_SIGNS = 200
_LONG_TEXT = 50_000
MOST_ECHOED = 2_000
MOST_CONTENTS = 100
"""Characters and contributions of the user's that are looked at: a turn costs the same in a long
session."""


def _count_words(text: str) -> int:
    """Words of a text; of a long one its blanks, which takes a twentieth of the time."""
    return text.count(" ") + 1 if len(text) > _LONG_TEXT else len(text.split())


class EchoModel:
    """See the module. Every token is a word."""

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
        said = _last_words(request)
        results = _last_results(request)
        if request.thinking is not None and request.thinking.include_thoughts:
            yield TextDelta(f"The user said: {said}", thought=True)
        if not results and _BEFORE.search(said):
            answer = _told_before(request)
        elif not results and (asked := await self._calls(said, request.tools)):
            yield asked
            answer = ""
        else:
            answer = _report(results, request.tools) if results else _echo(said, request)
        for word in re.findall(r"(?<!\s)\s*+\S+", answer):
            yield TextDelta(word)
            await asyncio.sleep(0)
        yield UsageReported(TokenUsage(response_tokens=len(answer.split())))

    async def release(self, session: str) -> None:
        return None

    async def aclose(self) -> None:
        self._workers.close()

    async def _calls(self, said: str, tools: Tools) -> CallsRequested | CallUnreadable | None:
        """Return what the words ask for; arguments are found off the event loop."""
        of_servers = (tool.declaration for tool in tools.server if tool.kind is ToolKind.MCP)
        named = _named_functions(said, (*tools.functions, *of_servers))
        if not named:
            return _calls(said, [], tools)
        return await self._workers.run(lambda _: _calls(said, named, tools))


def _last_words(request: GenerationRequest) -> str:
    """Return what the user said since the model last spoke: the end of it if it is very long."""
    said: list[str] = []
    length = 0
    for content in reversed(request.history[-MOST_CONTENTS:]):
        if content.role is Role.MODEL or length >= MOST_ECHOED:
            break
        said.append(content.text)
        length += len(content.text)
    return " ".join(" ".join(reversed(said))[-MOST_ECHOED:].split())


def _told_before(request: GenerationRequest) -> str:
    """Return what the user said before asking for it."""
    texts = (content.text.strip() for content in request.history if content.role is Role.USER)
    told = [text for text in texts if text and not _BEFORE.search(text)]
    return ". ".join(told) or "You told me nothing."


def _last_results(request: GenerationRequest) -> tuple[ToolResult, ...]:
    """Results with which the history ends."""
    last = request.history[-1].parts if request.history else ()
    return tuple(part for part in last if isinstance(part, ToolResult))


def _echo(said: str, request: GenerationRequest) -> str:
    ends = request.history[-1] if request.history else Content(Role.MODEL, ())
    last = ends.parts if ends.role is Role.USER else ()
    pictures = (part for part in last if isinstance(part, Blob))
    images = sum(part.mime_type.startswith("image/") for part in pictures)
    seen = f"{images} picture{'s' if images != 1 else ''} arrived. " if images else ""
    spoken = any(isinstance(part, Text) for part in last)
    return f"{seen}{said}".strip() if spoken or seen else "I am listening."


def _report(results: tuple[ToolResult, ...], tools: Tools) -> str:
    kinds = {tool.declaration.name: tool.kind for tool in tools.server}
    return " ".join(_told(result, kinds.get(result.name)) for result in results)


def _told(result: ToolResult, kind: ToolKind | None) -> str:
    response = result.response
    name = " ".join(_words_of(result.name))
    failed = "error" in response or response.get("outcome", OK) != OK
    if failed or kind in (None, ToolKind.MCP):
        return f"{name} {'failed' if failed else 'is done'}."
    if kind is ToolKind.CODE:
        return f"the output is {str(response.get('output', '')).strip()}."
    texts = [one["text"] for one in response.get("results", response.get("pages", ()))]
    first = next((text for text in texts if text), "nothing was found.")
    return str(first)[:_TOLD_SIGNS]


_Named = list[tuple[str, ToolDeclaration]]
"""Functions that the words name, each with the part of the words that does."""


def _calls(said: str, named: _Named, tools: Tools) -> CallsRequested | CallUnreadable | None:
    """Return what the words ask for, all in one batch: a search comes first."""
    calls: list[ToolCall] = []
    for part, function in named:
        try:
            args = arguments(function, part, set(_words_of(function.name)))
        except Unfillable as problem:
            return CallUnreadable(function.name, said, str(problem))
        call = _call(function.name, args)
        if call not in calls:
            calls.append(call)
    asked = _with_server_tools(said, tuple(calls), tools)
    return CallsRequested(asked) if asked else None


def _with_server_tools(
    said: str, calls: tuple[ToolCall, ...], tools: Tools
) -> tuple[ToolCall, ...]:
    served = {tool.kind: tool.declaration.name for tool in tools.server}
    search = served.get(ToolKind.SEARCH)
    if search and (_SEARCH.search(said) if calls else _searches(said, served)):
        calls = (_call(search, {"query": said}), *calls)
    if calls:
        return calls
    if (read := served.get(ToolKind.URL)) and (found := _ADDRESS.findall(said)):
        return (_call(read, {"urls": [one.rstrip(".,;:!?)") for one in found]}),)
    if (run := served.get(ToolKind.CODE)) and (asked := _RUN.match(said)):
        return (_call(run, {"code": _program(asked[1])}),)
    return ()


def _call(name: str, arguments: Json) -> ToolCall:
    return ToolCall(CallId(""), name, arguments)


def _searches(said: str, served: dict[ToolKind, str]) -> bool:
    """Whether words that name no function ask for a search and for no other tool."""
    other = (ToolKind.URL in served and _ADDRESS.search(said)) or (
        ToolKind.CODE in served and _RUN.match(said)
    )
    return not other and bool(_SEARCH.search(said) or _QUESTION.search(said))


def _program(written: str) -> str:
    """Return what was typed as a program: a bare expression is printed."""
    try:
        ast.parse(written, mode="eval")
    except (SyntaxError, ValueError):
        return written
    return written if written.startswith("print(") else f"print({written})"


def _named_functions(said: str, functions: tuple[ToolDeclaration, ...]) -> _Named:
    """Each part between two "and" that names a function; else the one that all the words name."""
    whole = _named(said, functions)
    named = [(part, _named(part, functions)) for part in _AND.split(said)]
    full = [(part, function) for part, function in named if function is not None]
    if len(full) < 2 or (whole is not None and "and" in _words_of(whole.name)):
        full = [(said, whole)] if whole is not None else []
    return full


def _words_of(name: str) -> list[str]:
    return [word.lower() for word in _WORD.findall(_CAMEL.sub(r"\g<0> ", name))]


def _named(said: str, functions: tuple[ToolDeclaration, ...]) -> ToolDeclaration | None:
    """The function whose name's words were all said; of several the one with the most words."""
    words = {word.lower() for word in _WORD.findall(said)}
    named = [function for function in functions if words.issuperset(_words_of(function.name))]
    return max(named, key=lambda function: len(_words_of(function.name)), default=None)


async def create(settings: Settings, host: EngineHost) -> EchoModel:
    """Build `model.echo`, which has no settings. Raises `ConfigError`."""
    read_settings("model.echo", settings, NoSettings)
    return EchoModel()
