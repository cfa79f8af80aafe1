"""Validation errors of the configuration, formatted as one line each: the setting and its fault.

A line names the setting as the file does, with dots. A name that does not exist brings the one
that was probably meant: the same name in another table, or one that is spelt alike in this one.
What stood there is shown, but never a key, nor what is inside a table or a list, since keys may
be in there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeGuard, get_args, get_origin

from pydantic import (
    BaseModel,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WrapValidator,
)
from pydantic_core import ErrorDetails, PydanticCustomError

from vivavoce.errors import nearest_name

TABLE = "Input should be a table"
WORDS = {"dict_type": TABLE, "model_type": TABLE, "model_attributes_type": TABLE}
"""Where the library speaks of what Python calls it."""


def one_error_saying(wanted: str) -> WrapValidator:
    """For a setting of several types: one mistake that says `wanted`, and not one for each type."""

    def check(value: Any, handler: ValidatorFunctionWrapHandler, _: ValidationInfo) -> Any:
        try:
            return handler(value)
        except ValidationError:
            replacement = PydanticCustomError(
                "either", "Input should be {wanted}", {"wanted": wanted}
            )
            raise replacement from None

    return WrapValidator(check)


def format_errors(error: ValidationError, root: type[BaseModel]) -> str:
    """All mistakes, one a line. `root` is the whole tree of settings."""
    return "\n".join(_format_error(each, root) for each in error.errors(include_url=False))


def _format_error(error: ErrorDetails, root: type[BaseModel]) -> str:
    place = error["loc"]
    where = ".".join(map(str, place))
    if error["type"] == "extra_forbidden":
        near = _nearest_setting(place, root)
        return f"{where}: there is no such setting" + (f"; did you mean `{near}`?" if near else ".")
    given = "" if "keys" in place else f", not {_shown_value(error['input'])}"
    return f"{where}: {WORDS.get(error['type'], error['msg'])}{given}."


def _shown_value(value: object) -> str:
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return repr(value)


def _nearest_setting(place: Sequence[int | str], root: type[BaseModel]) -> str:
    """The setting, in full, that was probably meant; empty if none is near."""
    *path, last = map(str, place)
    elsewhere = [name for name in _all_settings(root) if name.rpartition(".")[2] == last]
    if len(elsewhere) == 1:
        return elsewhere[0]
    table = _table(root, path)
    near = nearest_name(last, table.model_fields) if table is not None else ""
    return ".".join((*path, near)) if near else ""


def _table(kind: object, path: Sequence[str]) -> type[BaseModel] | None:
    """The table at `path`."""
    for step in path:
        if _is_table(kind):
            kind = kind.model_fields[step].annotation
        elif get_origin(kind) is dict:  # of tables with names of the user's own
            kind = get_args(kind)[1]
    return kind if _is_table(kind) else None


def _all_settings(table: type[BaseModel], before: str = "") -> Iterator[str]:
    """The settings of a table and of those in it, in full."""
    for name, field in table.model_fields.items():
        yield before + name
        if _is_table(field.annotation):
            yield from _all_settings(field.annotation, f"{before}{name}.")


def _is_table(kind: object) -> TypeGuard[type[BaseModel]]:
    return isinstance(kind, type) and issubclass(kind, BaseModel)
