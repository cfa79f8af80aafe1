"""The settings tree: one TOML file, overridden by environment variables, overridden by flags.

Precedence, highest first: flag, environment (`VIVAVOCE_`, nested by `__`), file, default. The
file is the one named by `--config` or `VIVAVOCE_CONFIG`, else `./vivavoce.toml`, else
`config.toml` in the user's configuration folder. Everything is merged once and validated as a
whole, so that all mistakes are told together.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import platformdirs
from pydantic import ValidationError
from pydantic_settings import BaseSettings, EnvSettingsSource, SettingsConfigDict
from pydantic_settings.exceptions import SettingsError

from vivavoce.config import validation_errors
from vivavoce.config.checks import find_conflicting_names, find_contradictions
from vivavoce.config.tables import ProfileTable
from vivavoce.config.tree import BUILTIN_PROFILES, EMBEDDED, Config
from vivavoce.domain.model_family import model_id
from vivavoce.errors import ConfigError

MODEL_KEY = "VIVAVOCE_MODEL_KEY"
EMBEDDED_MODELS = ("auto", "qwen-0.5b", "qwen-1.5b")
"""Names that `model` of the engine `llamacpp` takes."""


def load_config(path: Path | None = None, flags: Mapping[str, Any] | None = None) -> Config:
    """The merged configuration. Raises `ConfigError` that names every mistake and its fix."""
    file = find_file(path)
    try:
        tables = tomllib.loads(file.read_text("utf-8")) if file else {}
        merged = _merged(_merged(tables, _variables()), _nest_flags(flags or {}))
        return _complete_config(Config(**merged))
    except ValidationError as error:
        raise ConfigError(
            validation_errors.format_errors(error, Config), "Correct these entries."
        ) from None
    except SettingsError as error:
        raise ConfigError(f"{error}.", "Lists and tables in variables are JSON.") from None
    except (ValueError, OSError) as error:  # ValueError also of numbers with too many digits
        raise ConfigError(f"{file} cannot be read: {error}.", "Correct the file.") from None


def _variables() -> dict[str, Any]:
    """The settings that are environment variables, nested. Raises `SettingsError`."""
    return EnvSettingsSource(_Variables)()


def _merged(lower: dict[str, Any], higher: dict[str, Any]) -> dict[str, Any]:
    """`lower` with what stands in `higher` instead, table by table."""
    tables = {
        name: _merged(lower[name], value)
        for name, value in higher.items()
        if isinstance(value, dict) and isinstance(lower.get(name), dict)
    }
    return {**lower, **higher, **tables}


class _Variables(Config, BaseSettings):
    """How the library names a setting as a variable."""

    model_config = SettingsConfigDict(env_prefix="VIVAVOCE_", env_nested_delimiter="__")


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


def model_choice(line: str) -> dict[str, Any]:
    """The one line that swaps the language model, as an engine's table.

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


def _complete_config(config: Config) -> Config:
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
    problems = [*find_conflicting_names(config.models), *find_contradictions(complete)]
    if problems:
        raise ConfigError(
            "\n".join(problem for problem, _ in problems), "\n".join(fix for _, fix in problems)
        )
    return complete
