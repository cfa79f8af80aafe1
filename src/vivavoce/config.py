"""The settings tree: one TOML file, overridden by environment variables, overridden by flags.

Precedence, highest first: flag, environment (`VIVAVOCE_`, nested by `__`), file, default. The
file is the one named by `--config` or `VIVAVOCE_CONFIG`, else `./vivavoce.toml`, else
`config.toml` in the user's configuration folder. Everything is merged once and validated as a
whole, so that all mistakes are told together.

The table of an engine or a tool is carried as it is: whoever builds it validates it.
"""

from __future__ import annotations

import ipaddress
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import platformdirs
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)
from pydantic_settings.exceptions import SettingsError

from vivavoce import mistakes
from vivavoce.core.settings import Pacing, SessionSettings
from vivavoce.domain.profile import model_id
from vivavoce.errors import ConfigError

DEFAULT_PORT = 8482
MODEL_KEY = "VIVAVOCE_MODEL_KEY"
MIB = 1024 * 1024
STALL_MARGIN_S = 30.0

EngineChoice = Annotated[str | dict[str, Any], mistakes.either("an engine's name or a table")]
"""An engine's name, or a table with `use` and the engine's own settings."""

Words = Annotated[list[str], NoDecode]
"""A list that the environment spells with commas."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class TlsTable(_Table):
    """`[server.tls]`: the port speaks plain text in any case, and TLS unless `enabled` is off.

    `certificate` and `key` are PEM files of the user's own; without them the project's local CA
    signs a certificate for loopback, the bind address and `names`.
    """

    enabled: bool = True
    certificate: Path | None = None
    key: Path | None = None
    names: Words = []

    @field_validator("names", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_words(value)


class ServerTable(_Table):
    """`[server]`: the port, who may use it, and how much of it one client may take."""

    host: str = "127.0.0.1"
    port: int = Field(default=DEFAULT_PORT, ge=0, le=65535)
    keys: Words = []
    origins: Words = ["*"]
    tls: TlsTable = TlsTable()
    frames: Literal["binary", "text"] = "binary"
    strict: bool = False
    max_sessions: int = Field(default=100, ge=1)
    max_connections: int = Field(default=1000, ge=1)
    max_message_bytes: int = Field(default=32 * MIB, ge=20 * MIB)
    max_head_bytes: int = Field(default=32 * 1024, ge=4096, le=MIB)
    handshake_s: float = Field(default=10.0, gt=0)
    drain_s: float = Field(default=10.0, ge=0)

    @field_validator("keys", "origins", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_words(value)


class SessionTable(_Table):
    """`[session]`: what holds for every conversation.

    `engine_silence_s` is how long an answer may produce nothing before it is given up.
    """

    turn_complete: Literal["paced", "immediate"] = "paced"
    stall_s: float = Field(default=1.0, gt=0)
    tool_deadline_s: float = Field(default=0.0, ge=0)
    engine_silence_s: float = Field(default=30.0, gt=0)
    early_turn_complete: Literal["auto", "always", "never"] = "auto"
    speculation: bool = False
    eager_silence_ms: int = Field(default=200, ge=50)
    history_contents: int = Field(default=1000, ge=10)

    def settings(
        self, early_turn_complete: bool, trace_texts: bool = False, tools_deadline_s: float = 30.0
    ) -> SessionSettings:
        """The core's own settings, once it is known who the client is."""
        return SessionSettings(
            pacing=Pacing(self.turn_complete),
            stall_s=self.stall_s,
            tool_deadline_s=self.tool_deadline_s,
            early_turn_complete=early_turn_complete,
            speculation=self.speculation,
            eager_silence_ms=self.eager_silence_ms,
            history_contents=self.history_contents,
            # The host notices a silent engine; the core only where the host did not.
            generation_stall_s=self.engine_silence_s + STALL_MARGIN_S,
            # The toolbox ends a tool in time; the core only where it did not.
            served_deadline_s=tools_deadline_s + STALL_MARGIN_S,
            trace_texts=trace_texts,
        )


class ToolsTable(_Table):
    """`[tools]`: what the server itself runs for the model. The tables are the tools' own.

    `search` and `code` choose an engine; empty is off, and an unset `search` is the local index
    where there is one. `url` turns on reading addresses. `mcp` names MCP servers, and
    `mcp_clients` the origins of those that clients may bring. `deadline_s` is how long any of
    them may take.
    """

    search: EngineChoice = "local"
    code: EngineChoice = ""
    url: Annotated[bool | dict[str, Any], mistakes.either("true, false or a table")] = False
    mcp: dict[str, dict[str, Any]] = {}
    mcp_clients: Words = []
    deadline_s: float = Field(default=30.0, gt=0)

    @field_validator("mcp_clients", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split_words(value)


class LogTable(_Table):
    """`[log]`. `format`: `auto` writes for people on a terminal and JSON otherwise.

    `personal` puts what was said into the log lines; it is off, and belongs to debugging.
    """

    level: Literal["debug", "info", "warning", "error"] = "info"
    format: Literal["auto", "human", "json"] = "auto"
    personal: bool = False


class ProfileTable(_Table):
    """`[profiles.NAME]`: the engines that answer together."""

    detector: EngineChoice
    recognizer: EngineChoice
    responder: EngineChoice


EMBEDDED = "embedded"
SCRIPTED = "scripted"
BUILTIN_PROFILES: dict[str, dict[str, Any]] = {
    EMBEDDED: {
        "detector": "silero",
        "recognizer": "pocketsphinx",
        "responder": {
            "use": "cascade",
            "model": {"use": "smollm"},
            "voice": {"use": "flite", "otherwise": {"use": "espeak", "otherwise": "silence"}},
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


class Config(BaseSettings):
    """Everything an operator can decide.

    `profile` answers for every model name that `[models]` does not name; where `[models]` is
    given and `profile` is not, those are refused. `model` swaps the language model of the
    embedded profile in one line: `openai:URL#NAME`, or an engine's name.
    """

    model_config = SettingsConfigDict(
        env_prefix="VIVAVOCE_", env_nested_delimiter="__", extra="forbid", frozen=True
    )

    server: ServerTable = ServerTable()
    session: SessionTable = SessionTable()
    tools: ToolsTable = ToolsTable()
    log: LogTable = LogTable()
    profile: str = EMBEDDED
    model: str = ""
    profiles: dict[str, ProfileTable] = {}
    models: dict[str, str] = {}
    weights: dict[str, Path] = {}

    def profile_of(self, model: str) -> str | None:
        """The profile that answers for a model name's last segment; `None` refuses it."""
        return self.models.get(model) or self.models.get("*")


def load(path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """The merged configuration. Raises `ConfigError` that names every mistake and its fix."""
    file = find_file(path)

    class Loaded(Config):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    try:
        return _complete(Loaded(**_nested(flags or {})))
    except ValidationError as error:
        raise ConfigError(mistakes.lines(error, Config), "Correct these entries.") from None
    except SettingsError as error:
        raise ConfigError(f"{error}.", "Lists and tables in variables are JSON.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, OSError) as error:
        raise ConfigError(f"{file} cannot be read: {error}.", "Correct the file.") from None


def find_file(path: Path | None = None) -> Path | None:
    """The file that counts: the named one, the project's, the user's, or none."""
    if path is None and (named := os.environ.get("VIVAVOCE_CONFIG")):
        path = Path(named)
    if path is not None:
        if not path.is_file():
            raise ConfigError(f"There is no configuration file {path}.", "Check --config.")
        return path
    user = Path(platformdirs.user_config_dir("vivavoce")) / "config.toml"
    return next((each for each in (Path("vivavoce.toml"), user) if each.is_file()), None)


def split_words(value: object) -> object:
    """`a, b` as a list; anything else as it is."""
    if isinstance(value, str):
        return [word.strip() for word in value.split(",") if word.strip()]
    return value


def model_choice(line: str) -> dict[str, Any]:
    """The one line that swaps the language model, as an engine's table.

    The endpoint's key, if it wants one, is read from `VIVAVOCE_MODEL_KEY`.
    """
    use, _, rest = line.partition(":")
    if not rest:
        return {"use": use}
    url, _, name = rest.partition("#")
    if not url.startswith(("http://", "https://")) or not name:
        raise ConfigError(
            f"model = {line!r} is not of the form engine:URL#NAME.",
            'Write for example model = "openai:http://127.0.0.1:11434/v1#qwen3".',
        )
    key = {"api_key_env": MODEL_KEY} if os.environ.get(MODEL_KEY) else {}
    return {"use": use, "base_url": url, "model": name, **key}


def base_url(host: str, port: int, scheme: str = "http") -> str:
    """The URL of a server as its own machine reaches it."""
    name = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"{scheme}://[{name}]:{port}" if ":" in name else f"{scheme}://{name}:{port}"


def is_loopback(host: str) -> bool:
    """Whether nobody outside this machine can reach this address."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _nested(flags: Mapping[str, Any]) -> dict[str, Any]:
    """`{"server.port": 1}` as `{"server": {"port": 1}}`; flags that were not given are `None`."""
    tree: dict[str, Any] = {}
    for name, value in flags.items():
        if value is None:
            continue
        *path, last = name.split(".")
        table = tree
        for step in path:
            table = table.setdefault(step, {})
        table[last] = value
    return tree


def _complete(config: Config) -> Config:
    """Built-in profiles added, the one-line model put in, and what no type can say checked."""
    tables = {name: ProfileTable(**table) for name, table in BUILTIN_PROFILES.items()}
    tables |= config.profiles
    if config.model and isinstance(responder := tables[EMBEDDED].responder, dict):
        swapped = responder | {"model": model_choice(config.model)}
        tables[EMBEDDED] = tables[EMBEDDED].model_copy(update={"responder": swapped})
    models = {model_id(name): profile for name, profile in config.models.items()}
    if not models or "profile" in config.model_fields_set:
        models["*"] = config.profile
    complete = config.model_copy(update={"profiles": tables, "models": models})
    problems = [*_doubles(config.models), *_contradictions(complete)]
    if problems:
        raise ConfigError(
            "\n".join(problem for problem, _ in problems), "\n".join(fix for _, fix in problems)
        )
    return complete


def _doubles(models: Mapping[str, str]) -> list[tuple[str, str]]:
    """Names of one model, with `models/` before it and without, that differ in the profile."""
    return [
        (f"{name!r} and {short!r} are one model and name different profiles.",
         "Keep one of them under [models].")
        for name, profile in models.items()
        if (short := model_id(name)) != name and models.get(short, profile) != profile
    ]  # fmt: skip


def _contradictions(config: Config) -> list[tuple[str, str]]:
    found = []
    server = config.server
    known = ", ".join(sorted(config.profiles))
    for model, profile in config.models.items():
        if profile not in config.profiles:
            found.append(
                (f"Model {model!r} names the profile {profile!r}, which is not there.",
                 f"Known profiles: {known}.")
            )  # fmt: skip
    swappable = isinstance(config.profiles[EMBEDDED].responder, dict)
    if config.model and not (swappable and EMBEDDED in config.models.values()):
        found.append(
            (f"model = {config.model!r} replaces the model of the profile {EMBEDDED!r}, which no "
             "model name leads to, or whose responder is not a table.",
             f"Leave profile = {EMBEDDED!r}, or set the model in the profile that you use.")
        )  # fmt: skip
    if not is_loopback(server.host) and not server.keys:
        found.append(
            (f"server.host = {server.host!r} is reachable by others and no key is set.",
             "Set VIVAVOCE_SERVER__KEYS, or keep the default 127.0.0.1.")
        )  # fmt: skip
    if (server.tls.certificate is None) != (server.tls.key is None):
        found.append(
            ("server.tls names only one of certificate and key.",
             "Name both files, or neither to use the local CA.")
        )  # fmt: skip
    return found
