"""The fields of an SDK's types, and what becomes of each here.

    python tests/protocol/sdk_fields.py

prints the table of docs/reference/fields.md from the newest Python SDK.
"""

from __future__ import annotations

import re
import sys
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel
from pydantic.alias_generators import to_camel, to_snake

from vivavoce.protocol import base, decode, setup
from vivavoce.protocol.base import Wire
from vivavoce.protocol.schema import SPELLINGS

DOCUMENT = Path(__file__).parents[2] / "docs" / "reference" / "fields.md"
COLUMNS = ("served", "logged", "refused")
REFUSED = {"GenerationConfig": {"translationConfig"}}
"""Fields that end the session with a sentence, whether the server is strict or not."""
OF_CLIENTS = {"httpOptions", "abortSignal"}
"""Fields of `LiveConnectConfig` that an SDK keeps to itself."""

SdkTypes = Mapping[str, Mapping[str, tuple[str, ...]]]
"""For each type its fields in camelCase, each with the names of the types that it may hold."""

Row = dict[str, str]
"""For each field of a type its column."""


def python_types() -> SdkTypes:
    """The types of the installed google-genai."""
    from google.genai import types

    return {
        name: {
            to_camel(to_snake(field)): tuple(one.__name__ for one in _models(about.annotation))
            for field, about in kind.model_fields.items()
        }
        for name, kind in vars(types).items()
        if isinstance(kind, type) and issubclass(kind, BaseModel)
    }


def _models(annotation: Any) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        if issubclass(annotation, BaseModel):
            yield annotation
        return
    for one in get_args(annotation):
        yield from _models(one)


_DECLARED = re.compile(
    r"^(?:export )?declare (?:interface|class) (\w+)[^{\n]*\{\n(.*?)^\}", re.M | re.S
)
_MEMBER = re.compile(r"^    (\w+)\??: ([^;]*);", re.M)


def javascript_types(declarations: str) -> SdkTypes:
    """The types of a `genai.d.ts`."""
    return {
        name.removesuffix("_2"): {
            field: tuple(re.findall(r"[A-Z]\w*?(?=_2\b|\b)", kind))
            for field, kind in _MEMBER.findall(body)
        }
        for name, body in _DECLARED.findall(declarations)
    }


@dataclass(slots=True)
class _Walk:
    """From the client's message through every type of an SDK that it may hold."""

    types: SdkTypes
    rows: dict[str, Row]

    def visit(self, name: str, model: type[Wire] | None) -> None:
        """Enter the fields of a type, which `model` reads; of their types if they are served.

        What stands inside of a field that is not served is not served either.
        """
        row = self.rows.setdefault(name, {})
        for field, kinds in self.types[name].items():
            inner, column = _reading(name, field, model)
            if row.get(field) in ("served", column):
                continue
            row[field] = column
            for kind in _chosen(kinds) if column == "served" else ():
                if kind in self.types:
                    self.visit(kind, inner)


def table(types: SdkTypes) -> dict[str, Row]:
    """The column of each field of each type that a client's message may hold."""
    # What travels as a setup is what is given as options, and tools beside functions to be called.
    options = dict(types["LiveClientSetup"])
    for field, kinds in types["LiveConnectConfig"].items():
        if field in base.spellings(setup.Setup):
            options.setdefault(field, kinds)
    tools = {"tools": ("Tool",)}
    types = {
        **types,
        "LiveClientSetup": options | tools,
        "LiveClientContextUpdateTools": {**types["LiveClientContextUpdateTools"], **tools},
    }
    walk = _Walk(types, {})
    walk.visit("LiveClientMessage", decode.ClientMessage)
    return {name: row for name, row in walk.rows.items() if row}


def _chosen(kinds: tuple[str, ...]) -> tuple[str, ...]:
    """Of the unions that SDKs take in place of content, what travels."""
    for travels in ("Content", "ContentUnion", "ContentListUnion"):
        if travels in kinds:
            return ("Content",)
    return kinds


def _reading(name: str, field: str, model: type[Wire] | None) -> tuple[type[Wire] | None, str]:
    """What reads a field's value, and the column of the field.

    A field that no model knows is reported as unknown.
    """
    if field in REFUSED.get(name, ()):
        return None, "refused"
    if name == "Schema":
        return None, "served" if field in SPELLINGS else "logged"
    attribute = None if model is None else base.spellings(model).get(field)
    if model is None or attribute is None or attribute not in model.model_fields:
        return None, "logged"
    if attribute in base.not_served(model):
        return None, "logged"
    return _wire_inside(model.model_fields[attribute].annotation), "served"


def unplaced(types: SdkTypes) -> set[str]:
    """The fields of `LiveConnectConfig` that are neither of a setup nor of an SDK alone."""
    placed: set[str] = set(OF_CLIENTS)
    for model in (setup.Setup, setup.GenerationConfig):
        placed |= base.spellings(model).keys()
    return set(types["LiveConnectConfig"]) - placed


def _wire_inside(annotation: Any) -> type[Wire] | None:
    if isinstance(annotation, type) and get_origin(annotation) is None:
        return annotation if issubclass(annotation, Wire) else None
    origin = get_origin(annotation)
    if origin in (typing.Union, UnionType, list, typing.Annotated):
        return next(filter(None, map(_wire_inside, get_args(annotation))), None)
    return None


def document(rows: Mapping[str, Row]) -> Iterator[str]:
    """The table's lines."""
    yield f"| type | {' | '.join(COLUMNS)} |"
    yield "| --- " * (1 + len(COLUMNS)) + "|"
    for name in sorted(rows):
        fields = sorted(rows[name])
        cells = (" ".join(f"`{one}`" for one in fields if rows[name][one] == column)
                 for column in COLUMNS)  # fmt: skip
        yield f"| {name} | {' | '.join(cells)} |"


def documented() -> dict[str, Row]:
    """The table as it stands in the document."""
    found: dict[str, Row] = {}
    for line in DOCUMENT.read_text().splitlines():
        name, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        if len(cells) == len(COLUMNS) and re.fullmatch(r"[A-Z]\w+", name):
            found[name] = {
                field: column
                for column, cell in zip(COLUMNS, cells, strict=True)
                for field in re.findall(r"`(\w+)`", cell)
            }
    return found


if __name__ == "__main__":
    sys.stdout.writelines(f"{line}\n" for line in document(table(python_types())))
