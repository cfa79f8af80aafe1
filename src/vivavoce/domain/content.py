"""Content of a conversation: contributions and their parts, tools and their results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from vivavoce.domain.ids import CallId
from vivavoce.domain.parameter_schema import ParameterSchema

Json = Mapping[str, Any]
"""JSON object of the client; never changed."""


class Role(Enum):
    """Author of a contribution."""

    USER = "user"
    MODEL = "model"


class Behavior(Enum):
    """Behavior of a function call: blocking, or not; the API's names."""

    UNSPECIFIED = "UNSPECIFIED"
    BLOCKING = "BLOCKING"
    NON_BLOCKING = "NON_BLOCKING"


class Scheduling(Enum):
    """Time at which the model answers a non-blocking result; ignored for blocking calls."""

    WHEN_IDLE = "WHEN_IDLE"
    INTERRUPT = "INTERRUPT"
    SILENT = "SILENT"


@dataclass(frozen=True, slots=True)
class Text:
    """Words, typed or recognized. `thought`: a summary of reasoning, never spoken."""

    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with a MIME type: an image, a document, a recording."""

    data: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file at a URI."""

    uri: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A function call of the model."""

    id: CallId
    name: str
    args: Json


@dataclass(frozen=True, slots=True)
class ToolResult:
    """Result of a call. Enterprise clients may leave `id` empty; then `name` matches it.

    `response` is what the model gets to see, without `scheduling`. `will_continue` keeps a
    non-blocking call open for further results.
    """

    id: CallId
    name: str
    response: Json
    scheduling: Scheduling = Scheduling.WHEN_IDLE
    will_continue: bool = False
    parts: tuple[Blob | FileRef, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecutableCode:
    """Code that a built-in tool runs."""

    code: str
    language: str = "PYTHON"


OK = "OUTCOME_OK"
FAILED = "OUTCOME_FAILED"
DEADLINE = "OUTCOME_DEADLINE_EXCEEDED"


@dataclass(frozen=True, slots=True)
class CodeResult:
    """Output of running code. `outcome` is one of the three above."""

    outcome: str
    output: str


Part = Text | Blob | FileRef | ToolCall | ToolResult | ExecutableCode | CodeResult
"""One piece of a content."""


@dataclass(frozen=True, slots=True)
class Content:
    """One contribution to the conversation.

    `cut` marks a model's contribution that the user interrupted: its parts hold only what was
    heard. `heard_s` is the duration of the user's speech that the words were recognized in, and
    `confidence` the probability that they are right (0..1; `None` for typed words).
    """

    role: Role
    parts: tuple[Part, ...]
    cut: bool = False
    heard_s: float = field(default=0.0, compare=False)
    confidence: float | None = field(default=None, compare=False)

    @property
    def text(self) -> str:
        """All spoken or typed words, without thoughts."""
        return "".join(p.text for p in self.parts if isinstance(p, Text) and not p.thought)


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """A function that the client offers.

    `parameters` is JSON Schema with types in lower case, read by `schema`; `None` means no
    arguments. `returns` is JSON Schema of the result, if the client gave one.
    """

    name: str
    description: str = ""
    parameters: Json | None = None
    behavior: Behavior = Behavior.UNSPECIFIED
    returns: Json | None = None
    schema: ParameterSchema = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "schema", ParameterSchema(self.parameters))


@dataclass(frozen=True, slots=True)
class BuiltinTool:
    """A tool of the API that the server runs; `kind` is its key (`googleSearch`, …)."""

    kind: str
    options: Json = field(default_factory=dict)


class ToolKind(Enum):
    """Kind of a server-side tool, which decides the messages to the client about it."""

    SEARCH = "search"
    CODE = "code"
    URL = "url"
    MCP = "mcp"


@dataclass(frozen=True, slots=True)
class ServerTool:
    """Function that the server runs; the model sees its declaration like any other."""

    declaration: ToolDeclaration
    kind: ToolKind


@dataclass(frozen=True, slots=True)
class Tools:
    """All tools of a session.

    `functions` are run by the client. `builtin` are the API's other kinds that the client asked
    for, and `server` the functions in their place that the server runs.
    """

    functions: tuple[ToolDeclaration, ...] = ()
    builtin: tuple[BuiltinTool, ...] = ()
    server: tuple[ServerTool, ...] = ()

    @property
    def declarations(self) -> tuple[ToolDeclaration, ...]:
        """All functions that a model may call; names are unique."""
        return (*self.functions, *(tool.declaration for tool in self.server))

    def find_server_tool(self, name: str) -> ServerTool | None:
        """Return the server tool of this name."""
        return next((tool for tool in self.server if tool.declaration.name == name), None)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of a generation. Audio is counted by the core, from its duration."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    response_tokens: int = 0
    thought_tokens: int = 0
    tool_tokens: int = 0

    def update_with(self, latest: Usage) -> Usage:
        """Return the sum with a later generation of the same turn."""
        return Usage(
            prompt_tokens=latest.prompt_tokens or self.prompt_tokens,
            cached_tokens=latest.cached_tokens or self.cached_tokens,
            response_tokens=self.response_tokens + latest.response_tokens,
            thought_tokens=self.thought_tokens + latest.thought_tokens,
            tool_tokens=self.tool_tokens + latest.tool_tokens,
        )


class RetrievalStatus(Enum):
    """Status of reading a URL; the API's names without their prefix."""

    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    PAYWALL = "PAYWALL"
    UNSAFE = "UNSAFE"


@dataclass(frozen=True, slots=True)
class Source:
    """Passage found by a search.

    `text` is what the model gets to read; `uri` leads to the whole document, and is a `file:` URI
    for local ones.
    """

    uri: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """URL that a tool read or failed to read; `text` is empty unless the status is SUCCESS."""

    url: str
    status: RetrievalStatus
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """Outcome of one run of a server tool.

    `response` is what the model gets to see. The client is sent the rest: `queries` and `sources`
    as grounding, `pages` as retrieval statuses, `code` as the result of running code. `failed` says
    in one sentence why there is nothing.
    """

    response: Json
    queries: Sequence[str] = ()
    sources: Sequence[Source] = ()
    pages: Sequence[Page] = ()
    code: CodeResult | None = None
    parts: tuple[Blob | FileRef, ...] = ()
    failed: str = ""
