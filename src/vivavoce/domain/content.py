"""Content: contributions to a conversation and their parts, tools, and what tools bring back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from vivavoce.domain.ids import CallId
from vivavoce.domain.parameter_schema import ParameterSchema

Json = Mapping[str, Any]
"""A JSON object of the user's own; never respelled, never mutated."""


class Role(Enum):
    """Who said it."""

    USER = "user"
    MODEL = "model"


class Behavior(Enum):
    """Whether the conversation waits for a function's result."""

    UNSPECIFIED = "UNSPECIFIED"
    BLOCKING = "BLOCKING"
    NON_BLOCKING = "NON_BLOCKING"


class Scheduling(Enum):
    """When a non-blocking result is taken up. Ignored for blocking calls."""

    WHEN_IDLE = "WHEN_IDLE"
    INTERRUPT = "INTERRUPT"
    SILENT = "SILENT"


@dataclass(frozen=True, slots=True)
class Text:
    """Words, typed or recognized. `thought` marks a summary of reasoning, never spoken."""

    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class Blob:
    """Bytes with a MIME type: an image, a document, a clip."""

    data: bytes
    mime_type: str


@dataclass(frozen=True, slots=True)
class FileRef:
    """A file that the client names by address."""

    uri: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class ToolCall:
    """The model's wish to have a function run."""

    id: CallId
    name: str
    args: Json


@dataclass(frozen=True, slots=True)
class ToolResult:
    """The client's answer to a call.

    `id` is empty when an enterprise client left it out; the ledger then matches by name.
    `response` is what the model gets to see (`scheduling` already taken out of it).
    `will_continue` keeps a non-blocking call open for further results.
    """

    id: CallId
    name: str
    response: Json
    scheduling: Scheduling = Scheduling.WHEN_IDLE
    will_continue: bool = False
    parts: tuple[Blob | FileRef, ...] = ()


@dataclass(frozen=True, slots=True)
class ExecutableCode:
    """Code that a built-in tool is about to run."""

    code: str
    language: str = "PYTHON"


OK = "OUTCOME_OK"
FAILED = "OUTCOME_FAILED"
DEADLINE = "OUTCOME_DEADLINE_EXCEEDED"


@dataclass(frozen=True, slots=True)
class CodeResult:
    """What running it printed. `outcome` is one of the three above, as the API names them."""

    outcome: str
    output: str


Part = Text | Blob | FileRef | ToolCall | ToolResult | ExecutableCode | CodeResult
"""One piece of a content."""


@dataclass(frozen=True, slots=True)
class Content:
    """One contribution to the conversation.

    `cut` marks a model's contribution that the user interrupted: its parts hold only what
    was heard. `heard_s` is how much of the user's speech, in seconds, these words stand for, and
    `confidence` how likely they are what was said (0..1; `None` for typed words).
    """

    role: Role
    parts: tuple[Part, ...]
    cut: bool = False
    heard_s: float = field(default=0.0, compare=False)
    confidence: float | None = field(default=None, compare=False)

    @property
    def text(self) -> str:
        """All spoken or typed words of this contribution, thoughts left out."""
        return "".join(p.text for p in self.parts if isinstance(p, Text) and not p.thought)


@dataclass(frozen=True, slots=True)
class ToolDeclaration:
    """A function that the client offers.

    `parameters` is JSON Schema (types in lower case), whichever of the API's two forms the
    client used; `None` means that the function takes no arguments. `schema` reads it. `returns`
    is JSON Schema of the result, if the client gave one.
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
    """A tool that the server itself would run; `kind` is the API's key (`googleSearch`, …)."""

    kind: str
    options: Json = field(default_factory=dict)


class ToolKind(Enum):
    """What a tool that the server runs does, and so what a client is told of it."""

    SEARCH = "search"
    CODE = "code"
    URL = "url"
    MCP = "mcp"


@dataclass(frozen=True, slots=True)
class ServerTool:
    """A function that the server runs itself. The model sees its declaration like any other."""

    declaration: ToolDeclaration
    kind: ToolKind


@dataclass(frozen=True, slots=True)
class Tools:
    """All tools of a session: what the client asked for, and what the server makes of it.

    `functions` run at the client. `builtin` are the API's other kinds as they were asked for;
    `server` are the functions that stand for those of them which are served here.
    """

    functions: tuple[ToolDeclaration, ...] = ()
    builtin: tuple[BuiltinTool, ...] = ()
    server: tuple[ServerTool, ...] = ()

    @property
    def declarations(self) -> tuple[ToolDeclaration, ...]:
        """Everything that a model may call; names are unique."""
        return (*self.functions, *(tool.declaration for tool in self.server))

    def find_server_tool(self, name: str) -> ServerTool | None:
        """The server's own tool of this name."""
        return next((tool for tool in self.server if tool.declaration.name == name), None)


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens that a generation used. Audio is counted by the core from its duration."""

    prompt_tokens: int = 0
    cached_tokens: int = 0
    response_tokens: int = 0
    thought_tokens: int = 0
    tool_tokens: int = 0

    def update_with(self, latest: Usage) -> Usage:
        """This and a later generation of the same turn: its prompt is the whole context."""
        return Usage(
            prompt_tokens=latest.prompt_tokens or self.prompt_tokens,
            cached_tokens=latest.cached_tokens or self.cached_tokens,
            response_tokens=self.response_tokens + latest.response_tokens,
            thought_tokens=self.thought_tokens + latest.thought_tokens,
            tool_tokens=self.tool_tokens + latest.tool_tokens,
        )


class RetrievalStatus(Enum):
    """What became of an address that was to be read; the API's names without their prefix."""

    SUCCESS = "SUCCESS"
    ERROR = "ERROR"
    PAYWALL = "PAYWALL"
    UNSAFE = "UNSAFE"


@dataclass(frozen=True, slots=True)
class Source:
    """Something found by a search, of which an answer may be made.

    `text` is the passage that was found, as the model gets to read it; `uri` leads to the whole
    of it, and is a `file:` address for a document of the user's own.
    """

    uri: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Page:
    """One address that was to be read. `text` is empty unless the status is SUCCESS."""

    url: str
    status: RetrievalStatus
    title: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class ToolOutcome:
    """What one run of a server's tool gave.

    `response` is what the model gets to see. The rest is what the client is told about it:
    `queries` and `sources` become grounding, `pages` the statuses of addresses, `code` the
    result of running code. `failed` says in one sentence why there is nothing.
    """

    response: Json
    queries: Sequence[str] = ()
    sources: Sequence[Source] = ()
    pages: Sequence[Page] = ()
    code: CodeResult | None = None
    parts: tuple[Blob | FileRef, ...] = ()
    failed: str = ""
