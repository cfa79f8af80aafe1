"""How a JSON object becomes a wire model: spellings, absent values, kindness.

Proto-JSON accepts every field under its camelCase and its snake_case name, at every depth,
mixed freely. `Wire` respells by walking the models, never by converting keys blindly, so that
whatever a model leaves as plain JSON (arguments, responses, JSON Schema) stays as the user
wrote it. Unknown names stay in the model's extras, from where `unknown_names` reports them
with their path.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, partial
from types import UnionType
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, Union, get_args, get_origin

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from vivavoce.protocol.values import is_strict, report_mismatch

T = TypeVar("T")

MAX_OBJECTS = 5_000
"""Turns, parts, functions and other objects of the protocol's own in one message. One takes some
30 us to be read; those within the user's own JSON take nearly nothing, and are not counted."""


class OnMismatch(Protocol):
    """Called about something that is read otherwise than the protocol spells it.

    `sentence` leaves out what may be words; `quoted` is that text, for a personal field of the log.
    """

    def __call__(self, sentence: str, /, *, quoted: str = "") -> None: ...


UNIONS = (Union, UnionType)


@dataclass(frozen=True, slots=True)
class NotServed:
    """Marks a field of the protocol that changes nothing here, as metadata of its annotation.

    `harmless` are values that ask for nothing; those of no truth do not either, but for empty
    objects unless `needs_content`. `in_live` is false where the documentation excludes the field
    from Live sessions. `by_tools`: the tools of a session report it.
    """

    harmless: frozenset[str | int] = frozenset()
    needs_content: bool = False
    in_live: bool = True
    by_tools: bool = False

    def is_asked(self, value: object) -> bool:
        """Whether a value of the field asks for anything."""
        asks = bool(value) or (isinstance(value, dict) and not self.needs_content)
        return asks and not (isinstance(value, str | int) and value in self.harmless)


NOT_SERVED = NotServed()
NOT_IN_LIVE = NotServed(in_live=False)


class Wire(BaseModel):
    """The base of every wire model. A model's fields carry the proto names."""

    model_config = ConfigDict(extra="allow", frozen=True)

    GATHERS: ClassVar[bool] = True
    """Whether its fields are looked for in other objects when lenient."""

    LENIENT_ONLY: ClassVar[frozenset[str]] = frozenset()
    """Fields that the protocol doesn't have, but that we understand when lenient."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        objects = (info.context or {}).get("objects")
        if objects is not None and next(objects) > MAX_OBJECTS:
            raise PydanticCustomError("too_many_objects", "too many objects")
        if is_strict(info):
            return cls.respell(value, True) if isinstance(value, dict) else value
        report = partial(report_mismatch, info)
        lifted = cls.lift(value)
        if lifted is not value:
            report(f"{cls.__name__} is read from another form than the protocol's")
        if not isinstance(lifted, dict):
            return lifted
        fields = cls.respell(lifted, False)
        if len(fields) < len(lifted) and cls._spells_twice(lifted):
            report(f"{cls.__name__} has a field in both spellings: the later one counts")
        return cls.adjust(fields, report)

    @classmethod
    def _spells_twice(cls, value: dict[str, Any]) -> bool:
        known = spellings(cls)
        names = [known[key] for key, item in value.items() if key in known and item is not None]
        return len(set(names)) < len(names)

    @classmethod
    def respell(cls, value: dict[str, Any], strict: bool) -> dict[str, Any]:
        """The object with known fields under their proto names, and without nulls."""
        known = spellings(cls)
        fields: dict[str, Any] = {}
        for key, item in value.items():
            name = known.get(key)
            if strict and name in cls.LENIENT_ONLY:
                raise PydanticCustomError("unknown_name", "{name}", {"name": key})
            if strict and name in fields:
                raise PydanticCustomError("both_spellings", "{name}", {"name": key})
            if name is None:
                fields[key] = item
            elif item is not None:
                fields[name] = item
        return fields

    @classmethod
    def reads(cls, key: str) -> bool:
        """Whether the model makes sense of this key, by its name or when it is lifted."""
        return key in spellings(cls)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Lenient only: makes an object of something simpler that clients send in its place."""
        return value

    @classmethod
    def adjust(cls, fields: dict[str, Any], report: OnMismatch) -> dict[str, Any]:
        """Lenient only: moves what clients misplace; `fields` may be changed."""
        return fields


@cache
def spellings(model: type[Wire]) -> dict[str, str]:
    """Every accepted key of a model, with the proto name it stands for."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return {name: name for name in names} | {to_camel(name): name for name in names}


def choices(kind: type[Wire], attribute: str) -> tuple[Any, ...]:
    """The types of a field, without the wrappings of those that may be absent."""
    annotation: Any = kind.model_fields[attribute].annotation
    return get_args(annotation) if get_origin(annotation) in UNIONS else (annotation,)


def attribute_of(kind: type[Wire], name: str) -> str:
    """The attribute for a proto name; they differ where pydantic keeps a name for itself."""
    fields = kind.model_fields.items()
    return next((attribute for attribute, field in fields if field.alias == name), name)


def object_of(kind: type[Wire], attribute: str) -> type[Wire] | None:
    """The model of a field that is one object; `None` for anything else."""
    for choice in choices(kind, attribute):
        if isinstance(choice, type) and issubclass(choice, Wire):
            return choice
    return None


def _several(value: Any, info: ValidationInfo) -> Any:
    if is_strict(info):
        return value
    if not isinstance(value, list):
        report_mismatch(info, f"{info.field_name} is one value in the place of an array")
        return [value]
    return [item for item in value if item is not None]


Repeated = Annotated[list[T], FailFast(), BeforeValidator(_several)]
"""An array; when lenient also a lone value, and nulls inside are skipped.

It is given up at its first fault, so that a million bad entries make no million errors.
"""


@cache
def not_served(model: type[Wire]) -> dict[str, NotServed]:
    """The attributes of a model that are marked as not served, with their marks."""
    return {
        name: mark
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, NotServed)
    }


def unserved_fields(node: Wire, path: str = "") -> Iterator[tuple[str, NotServed]]:
    """Every field below a model that asks for what is not served: its path, and its mark.

    A path is in proto names and without indexes, so that a field has one, however often it is set.
    """
    marks = not_served(type(node))
    for attribute, field in type(node).model_fields.items():
        if attribute not in node.model_fields_set:
            continue
        value = getattr(node, attribute)
        mark = marks.get(attribute)
        if mark is None and not isinstance(value, Wire | list):
            continue
        name = field.alias or attribute
        inner = f"{path}.{name}" if path else name
        if mark is None:
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, Wire):
                    yield from unserved_fields(item, inner)
        elif mark.is_asked(value):
            yield inner, mark


def unknown_names(node: Wire, path: str = "") -> Iterator[tuple[str, str]]:
    """Every unknown name below a model, with the path of the object that holds it."""
    for name in node.__pydantic_extra__ or ():
        yield path, name
    for name, field in type(node).model_fields.items():
        if name in node.model_fields_set:
            inner = f"{path}.{field.alias or name}" if path else field.alias or name
            yield from _unknown_inside(getattr(node, name), inner)


def _unknown_inside(value: object, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, Wire):
        yield from unknown_names(value, path)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_inside(item, f"{path}[{index}]")
