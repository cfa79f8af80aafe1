"""Settings of the server with defaults and bounds, one class for each table.

The table of an engine or a tool is carried as it is: the code that builds it validates it.
"""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import PydanticCustomError
from pydantic_settings import NoDecode

from vivavoce.core.settings import BargeInHandling, Pacing, SessionSettings
from vivavoce.domain.accounts import Quota

DEFAULT_PORT = 8482
MIB = 1024 * 1024
STALL_MARGIN_S = 30.0
MIN_CONFIDENCE = 0.55
"""Of recordings in noise at 10, 5 and 0 dB, this asks again for 3 of 48 with at most 30 % of their
words wrong, and for 8 of 13 with more than 60 % wrong; in quiet none comes below 0.8."""

EMBEDDED = "embedded"
SCRIPTED = "scripted"
BUILTIN_PROFILES: dict[str, dict[str, Any]] = {
    EMBEDDED: {
        "detector": "silero",
        "recognizer": "moonshine",
        "turn_model": {"use": "combined", "otherwise": "cues"},
        "responder": {
            "use": "cascade",
            "model": {"use": "llamacpp"},
            "voice": {"use": "hibari", "otherwise": {"use": "espeak", "otherwise": "silence"}},
        },
    },
    SCRIPTED: {
        "detector": "energy",
        "recognizer": "tones",
        "responder": {
            "use": "cascade",
            "model": {"use": "echo"},
            "voice": {"use": "tones"},
        },
    },
}


def with_single_error(wanted: str) -> WrapValidator:
    """Validate a setting of several types, with one error (`wanted`) for a wrong value."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler, _: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError:
            replacement = PydanticCustomError(
                "either", "Input should be {wanted}", {"wanted": wanted}
            )
            raise replacement from None

    return WrapValidator(check)


EngineChoice = Annotated[str | dict[str, Any], with_single_error("an engine's name or a table")]
"""An engine's name, or a table with `use` and the engine's own settings."""


def split_words(value: object) -> object:
    """Split `a, b` into a list; leave anything else as it is."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


Words = Annotated[list[str], NoDecode, BeforeValidator(split_words)]
"""List that is written with commas in the environment."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsTable(_Table):
    """`[server.tls]`: TLS on the port, which also speaks plain text.

    `certificate` and `key` are PEM files of the user's own; without them the project's local CA
    signs a certificate for loopback, the bind address and `names`. `plain` says whose plain text
    is accepted: this machine's, anyone's (behind a proxy that ends TLS), or no one's.
    """

    enabled: bool = True
    certificate: Path | None = None
    key: Path | None = None
    names: Words = []
    plain: Literal["loopback", "anywhere", "never"] = "loopback"


class QuotaTable(_Table):
    """`[server.quota]`: the quota of clients without a key that has its own; 0 is no limit.

    It holds for each of `server.keys`, and, if no key is required, for all clients together.
    """

    sessions: int = Field(default=0, ge=0)
    audio_minutes: float = Field(default=0.0, ge=0)
    tool_calls: int = Field(default=0, ge=0)
    messages_per_s: float = Field(default=0.0, ge=0)

    def quota(self) -> Quota:
        """Return the quota of these settings."""
        return Quota(**self.model_dump())


class ServerTable(_Table):
    """`[server]`: address, access and limits of clients.

    `origins` are web pages that may connect besides those of this machine and of the server
    itself; `*` is all. `hosts` are further names by which the server may be called. `reuse_port`
    lets several processes listen on one port, so that one can take over from another.
    """

    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    reuse_port: bool = False
    keys: Words = []
    quota: QuotaTable = QuotaTable()
    origins: Words = []
    hosts: Words = []
    tls: TlsTable = TlsTable()
    frames: Literal["binary", "text"] = "binary"
    strict: bool = False
    max_sessions: int = Field(default=100, ge=1)
    max_connections: int = Field(default=1000, ge=1)
    max_message_bytes: int = Field(default=32 * MIB, ge=20 * MIB)
    max_first_message_bytes: int = Field(default=MIB, ge=64 * 1024)
    max_message_values: int = Field(default=50_000, ge=1000)
    max_message_text_bytes: int = Field(default=MIB, ge=MIB // 4)
    max_head_bytes: int = Field(default=32 * 1024, ge=4096, le=MIB)
    handshake_s: float = Field(default=10.0, gt=0)
    drain_s: float = Field(default=10.0, ge=0)


class SessionTable(_Table):
    """`[session]`: settings of every conversation; durations of 0 are unlimited.

    `barge_in` says when speech interrupts an answer: `deliberate` as soon as it is known to be no
    back-channel, noise or echo, `immediate` as soon as it is detected.
    `engine_silence_s` is how long an answer may produce nothing before it is given up.
    `connection_s` is the lifetime of a connection, after which its session goes on over another;
    `total_s` that of a whole session, over all its connections; `idle_s` how long a client may
    send nothing. `go_away_s` is how long before any of these ends `goAway` is sent.
    `eager_silence_ms` is the short silence at which the user's words are transcribed ahead of the
    end of the turn. With `turn_model` the profile's turn model then scores whether the turn is
    over, unless the client sets the silence that ends it: `sure_silence_ms` ends a turn that is,
    `unfinished_silence_ms` one that seems unfinished. Speech recognized with a confidence below
    `min_confidence` (0..1) is not answered: the user is asked to say it again; 0 turns that off.
    `context_tokens` is the context window, 0 that of the language model. `messages_per_s` is how
    many messages each connection may send, of which those of audio only count a tenth, and
    `audio_speed` how many times faster than real time audio is read after the first minute; 0 is
    no limit.
    """

    turn_complete: Literal["paced", "immediate"] = "paced"
    barge_in: Literal["deliberate", "immediate"] = "deliberate"
    stall_s: float = Field(default=1.0, gt=0)
    tool_deadline_s: float = Field(default=0.0, ge=0)
    engine_silence_s: float = Field(default=30.0, gt=0)
    early_turn_complete: Literal["auto", "always", "never"] = "auto"
    speculation: bool = True
    eager_silence_ms: int = Field(default=100, ge=50)
    turn_model: bool = True
    sure_silence_ms: int = Field(default=200, ge=50)
    unfinished_silence_ms: int = Field(default=2000, ge=50)
    min_confidence: float = Field(default=MIN_CONFIDENCE, ge=0, le=1)
    history_contents: int = Field(default=1000, ge=10)
    connection_s: float = Field(default=0.0, ge=0)
    total_s: float = Field(default=0.0, ge=0)
    idle_s: float = Field(default=0.0, ge=0)
    go_away_s: float = Field(default=60.0, ge=0)
    context_tokens: int = Field(default=0, ge=0)
    messages_per_s: float = Field(default=100.0, ge=0)
    audio_speed: float = Field(default=4.0, ge=0)

    def settings(
        self, early_turn_complete: bool, trace_texts: bool = False, tools_deadline_s: float = 30.0
    ) -> SessionSettings:
        """Return the core's settings for one client."""
        return SessionSettings(
            pacing=Pacing(self.turn_complete),
            barge_in=BargeInHandling(self.barge_in),
            stall_s=self.stall_s,
            tool_deadline_s=self.tool_deadline_s,
            early_turn_complete=early_turn_complete,
            speculation=self.speculation,
            eager_silence_ms=self.eager_silence_ms,
            turn_model=self.turn_model,
            sure_silence_ms=self.sure_silence_ms,
            unfinished_silence_ms=self.unfinished_silence_ms,
            min_confidence=self.min_confidence,
            history_contents=self.history_contents,
            # The host notices a silent engine; the core only where the host did not.
            generation_stall_s=self.engine_silence_s + STALL_MARGIN_S,
            # The toolbox ends a tool in time; the core only where it did not.
            server_tool_deadline_s=tools_deadline_s + STALL_MARGIN_S,
            trace_texts=trace_texts,
            resumable=True,
            connection_s=self.connection_s,
            total_s=self.total_s,
            idle_s=self.idle_s,
            go_away_s=self.go_away_s,
        )


class StoreTable(_Table):
    """`[store]`: store of sessions, tokens and keys.

    `sqlite` is a file, `path` if it is not to be the user's own; `redis` is the server at `url`;
    `memory` forgets with the process. `resume_s` is how long after its connection has ended a
    session can be resumed. `prefix` begins every name in Redis.
    """

    use: Literal["sqlite", "memory", "redis"] = "sqlite"
    path: Path | None = None
    url: str = ""
    prefix: str = "vivavoce"
    resume_s: float = Field(default=7200.0, gt=0)


class ToolsTable(_Table):
    """`[tools]`: tools that the server runs for the model; each has a table of its own.

    `search` and `code` choose an engine; empty is off, and an unset `search` is the local index
    where there is one. `url` turns on reading addresses. `mcp` names MCP servers, and
    `mcp_clients` the origins of those that clients may bring. `deadline_s` is how long any of
    them may take.
    """

    search: EngineChoice = "local"
    code: EngineChoice = ""
    url: Annotated[bool | dict[str, Any], with_single_error("true, false or a table")] = False
    mcp: dict[str, dict[str, Any]] = {}
    mcp_clients: Words = []
    deadline_s: float = Field(default=30.0, gt=0)


class LogTable(_Table):
    """`[log]`: level and format; `auto` is readable lines on a terminal, JSON otherwise.

    `personal` puts what was said into the log lines; it is off, and belongs to debugging.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"
    personal: bool = False


class ProfileTable(_Table):
    """`[profiles.NAME]`: the engines that answer together.

    Without a `turn_model`, silence alone ends a turn.
    """

    detector: EngineChoice
    recognizer: EngineChoice
    responder: EngineChoice
    turn_model: EngineChoice = ""


class Config(_Table):
    """Root of all settings.

    `profile` answers for every model name that `[models]` does not name; where `[models]` is
    given and `profile` is not, those are refused. `model` swaps the language model of the
    embedded profile in one line: `openai:URL#NAME`, `qwen-0.5b`, `qwen-1.5b`, the path of a GGUF
    file, or an engine's name.
    """

    server: ServerTable = ServerTable()
    session: SessionTable = SessionTable()
    store: StoreTable = StoreTable()
    tools: ToolsTable = ToolsTable()
    log: LogTable = LogTable()
    profile: str = EMBEDDED
    model: str = ""
    profiles: dict[str, ProfileTable] = {}
    models: dict[str, str] = {}
    weights: dict[str, Path] = {}

    def profile_of(self, model: str) -> str | None:
        """Return the profile of a model name's last segment; `None` if it is not served."""
        return self.models.get(model) or self.models.get("*")


def base_url(host: str, port: int, scheme: str = "http") -> str:
    """Return the base URL of a server for clients on its own machine."""
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def is_loopback(host: str) -> bool:
    """Return whether an address can be reached from this machine only."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
