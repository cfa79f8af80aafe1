"""Read an engine's table of the configuration into a dataclass of its settings.

A field without a default is required, its annotation is its type, and `Annotated[int, Field(ge=1)]`
bounds it. Types are strict: `true` is no number and `"5"` neither. Several fields together are
checked in `__post_init__`, by a `ValueError`. No value is quoted in an error: it may be a key.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, fields
from functools import cache, partial
from pathlib import Path
from typing import Annotated, Any, TypeVar, cast, get_type_hints
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    create_model,
)

from vivavoce.engines.ports import Settings
from vivavoce.errors import ConfigError, nearest_name

T = TypeVar("T")


def read_settings(
    engine: str, table: Settings, kind: type[T], example: str = "", owner: str = "engine"
) -> T:
    """Return the settings of `engine` as a `kind`. Raises `ConfigError` naming every fault.

    `example` is a configuration that works, for the fix; without it, the fix lists the settings.
    `owner` says what it is, if not an engine.
    """
    model = _model(cast(Any, kind))
    try:
        read = model.model_validate(dict(table))
        return kind(**{name: getattr(read, name) for name in read.model_fields_set})
    except ValidationError as error:
        faults = _faults(error, model.model_fields)
    except ValueError as error:
        faults = str(error)
    known = ", ".join(model.model_fields)
    fix = f"Its settings are: {known}." if known else "It has no settings."
    if example:
        fix = f"Give at least {example}."
    raise ConfigError(f"The {owner} {engine} is set up wrongly: {faults}.", fix)


@dataclass(frozen=True, slots=True)
class NoSettings:
    """The settings of an engine that has none."""


@cache
def _model(kind: type[Any]) -> type[BaseModel]:
    types = get_type_hints(kind, include_extras=True)
    # Defaults belong to the dataclass; here they say only that a setting may be absent.
    annotated: dict[str, Any] = {
        each.name: (types[each.name], ... if _is_required(each) else Field(default=None))
        for each in fields(kind)
    }
    config = ConfigDict(strict=True, extra="forbid", protected_namespaces=())
    return create_model(kind.__name__, __config__=config, **annotated)


def _is_required(field: Any) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _faults(error: ValidationError, known: Iterable[str]) -> str:
    """Return one clause for each wrong setting; of several possible types, each says its fault."""
    faults: dict[str, list[str]] = {}
    for each in error.errors(include_url=False, include_input=False):
        faults.setdefault(f"`{each['loc'][0]}`", []).append(_fault(each, known))
    return "; ".join(f"{name} {', or '.join(clauses)}" for name, clauses in faults.items())


def _fault(error: Any, known: Iterable[str]) -> str:
    match error["type"]:
        case "extra_forbidden":
            near = nearest_name(str(error["loc"][-1]), known)
            return "is not known" + (f" (did you mean `{near}`?)" if near else "")
        case "missing":
            return "is missing"
        case "value_error":
            return str(error["ctx"]["error"])
        case _:
            return str(error["msg"]).replace("Input should", "should", 1)


# --- kinds of settings -------------------------------------------------------------------


def _existing(kind: str, exists: Callable[[Path], bool], value: object) -> Path:
    if not isinstance(value, str | Path) or not exists(path := Path(value).expanduser()):
        raise ValueError(f"names no {kind}: {value!r}")
    return path


def _http_address(value: str) -> str:
    try:
        parts = urlsplit(value)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        whole = False
    if not whole or parts.fragment:
        raise ValueError("is not an http address")
    return value


def _base_address(value: str) -> str:
    if urlsplit(_http_address(value)).query:
        raise ValueError("is not an http address without a query")
    return value.rstrip("/")


ExistingFile = Annotated[Path, BeforeValidator(partial(_existing, "file", Path.is_file))]
"""The path of an existing file; `~` is the user's home."""
ExistingFolder = Annotated[Path, BeforeValidator(partial(_existing, "folder", Path.is_dir))]
"""The same for a folder."""
PathText = Annotated[
    str, BeforeValidator(lambda path: str(path) if isinstance(path, Path) else path)
]
"""A path as text, whether or not there is a file."""
HttpAddress = Annotated[str, AfterValidator(_http_address)]
"""A whole http address."""
BaseAddress = Annotated[str, AfterValidator(_base_address)]
"""An http address that paths are appended to: without a query or a slash at its end."""
EngineChoice = str | Mapping[str, Any]
"""The choice of a part: an engine's name, or a table with `use`."""


def resolve_key(api_key: str, api_key_env: str) -> str:
    """Return the key of the settings, else of a variable of the environment.

    Empty if neither is given. Raises `ValueError` for a variable that is not set, or a key that
    can't stand in a header.
    """
    if api_key_env and not api_key and api_key_env not in os.environ:
        raise ValueError(f"the environment variable {api_key_env} is not set")
    key = (api_key or (os.environ[api_key_env] if api_key_env else "")).strip()
    if not (key.isascii() and key.isprintable()):
        raise ValueError("the key holds characters that no key has")
    return key
