"""Load the configuration from a TOML file, environment variables and flags.

Precedence, highest first: flag, environment (`VIVAVOCE_`, nested by `__`), file, default. The
file is the one named by `--config` or `VIVAVOCE_CONFIG`, else `./vivavoce.toml`, else
`config.toml` in the user's configuration folder. Everything is merged once and validated as a
whole, so that all errors in it are reported together.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeGuard, get_args, get_origin

import platformdirs
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from vivavoce.config.settings import (
    BUILTIN_PROFILES,
    EMBEDDED,
    Config,
    ProfileTable,
    is_loopback,
)
from vivavoce.domain.model_family import model_id
from vivavoce.errors import ConfigError, nearest_name

MODEL_KEY = "VIVAVOCE_MODEL_KEY"
EMBEDDED_MODELS = ("auto", "qwen-0.5b", "qwen-1.5b")
"""Names that `model` of the engine `llamacpp` takes."""


def load_config(path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """Load the configuration. Raises one `ConfigError` with every error in it and its fix."""
    file = find_file(path)
    try:
        tables = tomllib.loads(file.read_text("utf-8")) if file else {}
        merged = _merged(_merged(tables, _variables()), _nest_flags(flags or {}))
        return _complete_config(Config(**merged))
    except ValidationError as error:
        raise ConfigError(format_errors(error, Config), "Correct these entries.") from None
    except SettingsError as error:
        raise ConfigError(f"{error}.", "Lists and tables in variables are JSON.") from None
    except (ValueError, OSError) as error:  # ValueError also of numbers with too many digits
        raise ConfigError(f"{file} cannot be read: {error}.", "Correct the file.") from None


def _variables() -> dict[str, Any]:
    """Read the settings in environment variables, nested. Raises `SettingsError`."""
    return EnvSettingsSource(_Variables)()


def _merged(lower: dict[str, Any], higher: dict[str, Any]) -> dict[str, Any]:
    """Merge two trees of settings, table by table; `higher` wins."""
    tables = {
        name: _merged(lower[name], value)
        for name, value in higher.items()
        if isinstance(value, dict) and isinstance(lower.get(name), dict)
    }
    return {**lower, **higher, **tables}


class _Variables(Config, BaseSettings):
    """Source of settings in environment variables."""

    model_config = SettingsConfigDict(env_prefix="VIVAVOCE_", env_nested_delimiter="__")


def find_file(path: Path | None = None) -> Path | None:
    """Find the configuration file: the named one, the project's, the user's, or none."""
    if path is None and (named := os.environ.get("VIVAVOCE_CONFIG")):
        path = Path(named)
    if path is not None:
        if not path.is_file():
            raise ConfigError(f"There is no configuration file {path}.", "Check --config.")
        return path
    user = Path(platformdirs.user_config_dir("vivavoce")) / "config.toml"
    return next((each for each in (Path("vivavoce.toml"), user) if each.is_file()), None)


def model_choice(line: str) -> dict[str, Any]:
    """Parse `model`, which replaces the language model of all profiles, to an engine's table.

    `openai:URL#NAME` is an endpoint, whose key is read from `VIVAVOCE_MODEL_KEY`; a name of
    `EMBEDDED_MODELS` or a path that ends in `.gguf` a model in this process; anything else the
    name of an engine. Raises `ConfigError`.
    """
    if line.lower() in EMBEDDED_MODELS:
        return {"use": "llamacpp", "model": line.lower()}
    if line.lower().endswith(".gguf"):
        return {"use": "llamacpp", "path": line}
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


def _nest_flags(flags: Mapping[str, Any]) -> dict[str, Any]:
    """Nest `{"server.port": 1}` as `{"server": {"port": 1}}`, without flags that are `None`."""
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


def _complete_config(config: Config) -> Config:
    """Complete the settings: add built-in profiles, apply `model`, check contradictions."""
    tables = {name: ProfileTable(**table) for name, table in BUILTIN_PROFILES.items()}
    tables |= config.profiles
    if config.model and isinstance(responder := tables[EMBEDDED].responder, dict):
        swapped = responder | {"model": model_choice(config.model)}
        tables[EMBEDDED] = tables[EMBEDDED].model_copy(update={"responder": swapped})
    models = {model_id(name): profile for name, profile in config.models.items()}
    if not models or "profile" in config.model_fields_set:
        models["*"] = config.profile
    complete = config.model_copy(update={"profiles": tables, "models": models})
    problems = [*find_conflicting_names(config.models), *find_contradictions(complete)]
    if problems:
        raise ConfigError(
            "\n".join(problem for problem, _ in problems), "\n".join(fix for _, fix in problems)
        )
    return complete


# --- contradictions ---------------------------------------------------------------------------


def find_conflicting_names(models: Mapping[str, str]) -> list[tuple[str, str]]:
    """Find names of one model, with and without `models/`, that lead to different profiles."""
    return [
        (f"{name!r} and {short!r} are one model and name different profiles.",
         "Keep one of them under [models].")
        for name, profile in models.items()
        if (short := model_id(name)) != name and models.get(short, profile) != profile
    ]  # fmt: skip


def find_contradictions(config: Config) -> list[tuple[str, str]]:
    """Find settings that contradict each other: problems and their fixes."""
    problems = []
    server = config.server
    known = ", ".join(sorted(config.profiles))
    for model, profile in config.models.items():
        if profile not in config.profiles:
            problems.append(
                (f"Model {model!r} names the profile {profile!r}, which is not there.",
                 f"Known profiles: {known}.")
            )  # fmt: skip
    swappable = isinstance(config.profiles[EMBEDDED].responder, dict)
    if config.model and not (swappable and EMBEDDED in config.models.values()):
        problems.append(
            (f"model = {config.model!r} replaces the model of the profile {EMBEDDED!r}, which no "
             "model name leads to, or whose responder is not a table.",
             f"Leave profile = {EMBEDDED!r}, or set the model in the profile that you use.")
        )  # fmt: skip
    if not (is_loopback(server.host) or server.tls.enabled or server.tls.plain == "anywhere"):
        problems.append(
            (f"server.host = {server.host!r} is reachable by others and TLS is off.",
             'Turn server.tls.enabled on; behind a proxy that ends TLS, set server.tls.plain = '
             '"anywhere".')
        )  # fmt: skip
    if (config.store.use == "redis") != bool(config.store.url):
        problems.append(
            ("store.use and store.url belong together: an address is Redis's, and Redis needs one.",
             'Set store.use = "redis" and store.url = "redis://HOST:6379/0", or neither.')
        )  # fmt: skip
    if (server.tls.certificate is None) != (server.tls.key is None):
        problems.append(
            ("server.tls names only one of certificate and key.",
             "Name both files, or neither to use the local CA.")
        )  # fmt: skip
    return problems


class ConfigErrors:
    """Collector of errors in the configuration, raised together."""

    def __init__(self) -> None:
        self._found: list[tuple[str, ConfigError]] = []

    @contextmanager
    def collect(self, place: str) -> Iterator[None]:
        """Collect an error of the block, which reads the setting at `place`."""
        try:
            yield
        except ConfigError as error:
            self._found.append((place, error))

    def raise_all(self) -> None:
        """Raise one `ConfigError` of all that were collected, if any were."""
        if not self._found:
            return
        fixes = [f"{place}: {error.fix}" for place, error in self._found]
        raise ConfigError(
            "\n".join(f"{place}: {error.problem}" for place, error in self._found),
            "\n".join(fixes) if len(fixes) > 1 else self._found[0][1].fix,
        )


# --- errors of validation ---------------------------------------------------------------------
#
# A line names the setting as the file does, with dots. A name that does not exist brings the one
# that was probably meant: the same name in another table, or one that is spelt alike in this one.
# What stood there is shown, but never a key, nor what is inside a table or a list, since keys may
# be in there.

TABLE = "Input should be a table"
WORDS = {"dict_type": TABLE, "model_type": TABLE, "model_attributes_type": TABLE}
"""Messages in TOML's words, in place of the library's that use Python's."""


def format_errors(error: ValidationError, root: type[BaseModel]) -> str:
    """Format all errors, one a line. `root` is the whole tree of settings."""
    return "\n".join(_format_error(each, root) for each in error.errors(include_url=False))


def _format_error(error: ErrorDetails, root: type[BaseModel]) -> str:
    place = error["loc"]
    where = ".".join(map(str, place))
    if error["type"] == "extra_forbidden":
        near = _nearest_setting(place, root)
        return f"{where}: there is no such setting" + (f"; did you mean `{near}`?" if near else ".")
    if error["type"] == "missing":
        return f"{where}: this setting is missing."
    given = "" if "keys" in place else f", not {_shown_value(error['input'])}"
    return f"{where}: {WORDS.get(error['type'], error['msg'])}{given}."


def _shown_value(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return repr(value)


def _nearest_setting(place: Sequence[int | str], root: type[BaseModel]) -> str:
    """Return the full name of the nearest setting to a misspelt one; empty if none is near."""
    *path, last = map(str, place)
    elsewhere = [name for name in _all_settings(root) if name.rpartition(".")[2] == last]
    if len(elsewhere) == 1:
        return elsewhere[0]
    table = _table(root, path)
    near = nearest_name(last, table.model_fields) if table is not None else ""
    return ".".join((*path, near)) if near else ""


def _table(kind: object, path: Sequence[str]) -> type[BaseModel] | None:
    """Return the table at `path`."""
    for step in path:
        if _is_table(kind):
            kind = kind.model_fields[step].annotation
        elif get_origin(kind) is dict:  # of tables with names of the user's own
            kind = get_args(kind)[1]
    return kind if _is_table(kind) else None


def _all_settings(table: type[BaseModel], before: str = "") -> Iterator[str]:
    """Yield the full names of the settings of a table and of those in it."""
    for name, field in table.model_fields.items():
        yield before + name
        if _is_table(field.annotation):
            yield from _all_settings(field.annotation, f"{before}{name}.")


def _is_table(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
