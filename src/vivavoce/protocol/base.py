"""Base of the wire models: parse JSON objects in all spellings, strictly or leniently.

Proto-JSON accepts every field under its camelCase and its snake_case name, at every depth,
mixed freely. `Wire` respells by walking the models, never by converting keys blindly, so that
whatever a model leaves as plain JSON (arguments, responses, JSON Schema) stays as the user
wrote it. Unknown names stay in the extras of a model, from where `unknown_names` reports them
with their path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from itertools import count
from types import UnionType
from typing import Annotated, Any, ClassVar, Protocol, TypeVar, Union, get_args, get_origin

import orjson
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    FailFast,
    StrictBool,
    ValidationError,
    ValidationInfo,
    model_validator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import ErrorDetails, PydanticCustomError

from vivavoce.domain.text import loggable_name
from vivavoce.errors import INVALID, ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.json_frames import LongBase64, decode_base64

OnUnknown = Callable[[str, str], None]
"""Callback for an unknown field: the path of the object, and the field's name."""


class OnMismatch(Protocol):
    """Callback for input that is normalized: accepted in another form than the protocol's.

    `sentence` leaves out what may be words; `quoted` is that text, for a personal field of the log.
    """

    def __call__(self, sentence: str, /, *, quoted: str = "") -> None: ...


def ignore(*_: str, quoted: str = "") -> None:
    """Ignore a report."""


@dataclass(frozen=True, slots=True)
class Reading:
    """Parser options: strict or lenient, and callbacks for irregular input.

    A strict reader refuses what the real service refuses. A lenient one skips unknown names, and
    reads much else than the protocol documents. `enterprise` is the dialect of
    `google.cloud.aiplatform`.
    """

    strict: bool = False
    enterprise: bool = False
    on_unknown: OnUnknown = ignore
    on_mismatch: OnMismatch = ignore

    def report_unknown(self, path: str, name: str) -> None:
        """Refuse an unknown name outside of the models when strict. Raises `ClientFault`."""
        if self.strict:
            raise close.unknown_field(name, path)
        self.on_unknown(path, name)


LENIENT = Reading()


def reading_of(info: ValidationInfo) -> Reading:
    """Return the parser options of the validation in progress."""
    reading: Reading = info.context["reading"] if info.context else LENIENT
    return reading


# --- models ----------------------------------------------------------------------------------

T = TypeVar("T")

MAX_OBJECTS = 5_000
"""Turns, parts, functions and other protocol objects in one message, at most. One takes some
30 us to read; those within the user's own JSON take nearly nothing, and are not counted."""


@dataclass(frozen=True, slots=True)
class NotServed:
    """Annotation of a field that this server accepts without effect.

    False values ask for nothing, and neither do those in `harmless`; an empty object does, unless
    `needs_content`. `in_live` is false where the documentation excludes the field from Live
    sessions. `by_tools`: the tools of a session report it.
    """

    harmless: frozenset[str | int] = frozenset()
    needs_content: bool = False
    in_live: bool = True
    by_tools: bool = False

    def is_asked(self, value: object) -> bool:
        """Return whether a value of the field requests anything."""
        asks = bool(value) or (isinstance(value, dict) and not self.needs_content)
        return asks and not (isinstance(value, str | int) and value in self.harmless)


NOT_SERVED = NotServed()
NOT_IN_LIVE = NotServed(in_live=False)


class Wire(BaseModel):
    """Base of all wire models, whose fields carry the proto names."""

    model_config = ConfigDict(extra="allow", frozen=True)

    GATHERS: ClassVar[bool] = True
    """True if misplaced fields of the model are searched for when lenient."""

    LENIENT_ONLY: ClassVar[frozenset[str]] = frozenset()
    """Fields that the protocol doesn't have, but that are read when lenient."""

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any, info: ValidationInfo) -> Any:
        objects = (info.context or {}).get("objects")
        if objects is not None and next(objects) > MAX_OBJECTS:
            raise PydanticCustomError("too_many_objects", "too many objects")
        reading = reading_of(info)
        if reading.strict:
            return cls.respell(value, True) if isinstance(value, dict) else value
        report = reading.on_mismatch
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
        """Return the object with known fields renamed to their proto names, and without nulls."""
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
        """Return whether the model accepts this key, as a field or for `lift`."""
        return key in spellings(cls)

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Convert a simpler value that clients send into an object; lenient only."""
        return value

    @classmethod
    def adjust(cls, fields: dict[str, Any], report: OnMismatch) -> dict[str, Any]:
        """Move misplaced fields of `fields`, in place; lenient only."""
        return fields


@cache
def spellings(model: type[Wire]) -> dict[str, str]:
    """Map every accepted key of a model to its proto name."""
    names = [field.alias or name for name, field in model.model_fields.items()]
    return {name: name for name in names} | {to_camel(name): name for name in names}


def field_types(kind: type[Wire], attribute: str) -> tuple[Any, ...]:
    """Return the types of a field, without the union with `None` of an optional one."""
    annotation: Any = kind.model_fields[attribute].annotation
    return get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)


def attribute_of(kind: type[Wire], name: str) -> str:
    """Find the attribute of a proto name; they differ where pydantic reserves the name."""
    fields = kind.model_fields.items()
    return next((attribute for attribute, field in fields if field.alias == name), name)


def object_of(kind: type[Wire], attribute: str) -> type[Wire] | None:
    """Return the model of a field that holds one object; `None` for other fields."""
    for choice in field_types(kind, attribute):
        if isinstance(choice, type) and issubclass(choice, Wire):
            return choice
    return None


def _several(value: Any, info: ValidationInfo) -> Any:
    reading = reading_of(info)
    if reading.strict:
        return value
    if not isinstance(value, list):
        reading.on_mismatch(f"{info.field_name} is one value in the place of an array")
        return [value]
    return [item for item in value if item is not None]


Repeated = Annotated[list[T], FailFast(), BeforeValidator(_several)]
"""An array; when lenient also a lone value, and nulls inside are skipped.

Reading stops at the first fault, so that a million bad entries make no million errors.
"""


@cache
def not_served(model: type[Wire]) -> dict[str, NotServed]:
    """Map the attributes of a model that are not served to their annotations."""
    return {
        name: mark
        for name, field in model.model_fields.items()
        for mark in field.metadata
        if isinstance(mark, NotServed)
    }


def unserved_fields(node: Wire, path: str = "") -> Iterator[tuple[str, NotServed]]:
    """Yield the path and annotation of every set field that is not served, below a model.

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
    """Yield every unknown name below a model, with the path of its object."""
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


W = TypeVar("W", bound=Wire)

MAX_SENTENCES = 8
"""More unknown names would not fit into a close reason."""


def read_model(kind: type[W], payload: Any, reading: Reading, root: str = "") -> W:
    """Parse a JSON object to a model. Raises `ClientFault` with the path of the error.

    Paths begin with `root`, where the object has a name of its own.
    """
    context = {"reading": reading, "objects": count(1)}
    try:
        message = kind.model_validate(payload, context=context)
    except ValidationError as error:
        raise _fault(error.errors(include_url=False)[0], root) from None
    unknown = list(unknown_names(message, root))
    if reading.strict and unknown:
        sentences = (close.unknown_name(name, path) for path, name in unknown[:MAX_SENTENCES])
        logged = close.unknown_name("…", unknown[0][0])
        raise ClientFault(INVALID, "\n".join(sentences), logged)
    for path, name in unknown:
        reading.on_unknown(path, name)
    return message


_KINDS = {
    "string_type": "TYPE_STRING",
    "bool_type": "TYPE_BOOL",
    "list_type": "TYPE_REPEATED",
    "dict_type": "TYPE_MESSAGE",
    "model_type": "TYPE_MESSAGE",
}


def _fault(error: ErrorDetails, root: str) -> ClientFault:
    path = spell_path((root, *error["loc"]) if root else error["loc"])
    match error["type"]:
        case "base64":
            return close.malformed(f"Base64 decoding failed at '{path}'.")
        case "unknown_name":
            return close.unknown_field(error["ctx"]["name"], path)
        case "both_spellings":
            name = error["ctx"]["name"]
            return close.malformed(f"\"{name}\" at '{path}' is given in both spellings.")
        case "too_many_objects":
            return close.too_big(f"more than {MAX_OBJECTS:,} turns, parts and other objects.")
        case "wire_value":
            kind = error["ctx"]["kind"]
        case other:
            kind = _KINDS.get(other, other.upper())
    return close.invalid_value(path or "message", kind, quote_value(error["input"]))


def spell_path(location: tuple[int | str, ...]) -> str:
    """Convert a pydantic location to a proto path: `setup.tools[0].function_declarations[1]`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).removeprefix(".")


def quote_value(value: object) -> str:
    """Format a value for a close reason: as JSON, shortened."""
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 40 else text[:40] + "…"


# --- values, as proto-JSON lets clients write them -----------------------------------------------


def wrong_value(kind: str) -> PydanticCustomError:
    """Build the error for a value that is no `kind` (a proto type name)."""
    return PydanticCustomError("wire_value", "{kind}", {"kind": kind})


_NUMERAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?")
_FRACTION = re.compile(r"[.eE]")


def read_number(value: Any, kind: str) -> float | int:
    """Parse a finite number, also from a string. Raises `wrong_value(kind)`."""
    if isinstance(value, str) and _NUMERAL.fullmatch(value):
        value = float(value) if _FRACTION.search(value) else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong_value(kind)
    return value


def read_integer(value: Any, bits: int) -> int:
    """Parse an integer of `bits` bits, also from a string or a float. Raises `wrong_value`."""
    read = read_number(value, f"TYPE_INT{bits}")
    if read != int(read) or not -(1 << (bits - 1)) <= read < 1 << (bits - 1):
        raise wrong_value(f"TYPE_INT{bits}")
    return int(read)


Int32 = Annotated[int, BeforeValidator(lambda value: read_integer(value, 32))]
Int64 = Annotated[int, BeforeValidator(lambda value: read_integer(value, 64))]
Number = Annotated[float, BeforeValidator(lambda value: read_number(value, "TYPE_DOUBLE"))]
Flag = StrictBool


# --- bytes, durations, times -----------------------------------------------------------------


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str | LongBase64):
        raise wrong_value("TYPE_BYTES")
    try:
        return decode_base64(value)
    except ValueError:
        raise PydanticCustomError("base64", "base64") from None


def _duration(value: Any, info: ValidationInfo) -> float:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?s", value):
        return float(value[:-1])
    if reading_of(info).strict:
        raise wrong_value("TYPE_DURATION")
    return read_number(value, "TYPE_DURATION")


_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _timestamp(value: Any) -> datetime:
    match = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise wrong_value("TYPE_TIMESTAMP")
    whole, fraction, zone = match.groups(default="")
    try:
        # Python has microseconds; the three digits below them are dropped.
        return datetime.fromisoformat(whole + fraction[:7] + zone)
    except ValueError:
        raise wrong_value("TYPE_TIMESTAMP") from None


Bytes = Annotated[bytes, BeforeValidator(_bytes)]
Duration = Annotated[float, BeforeValidator(_duration)]
"""Seconds."""
Timestamp = Annotated[datetime, BeforeValidator(_timestamp)]


# --- enums -----------------------------------------------------------------------------------


class EnumNames:
    """Enum of the API: its names in the order of their proto numbers, from 0 (unspecified).

    A value is a name in any case, with or without `prefix`, or a number. It is read as the name
    without the prefix; unspecified is `""`, and so is an unknown value unless the reader is strict.
    """

    def __init__(self, *names: str, prefix: str = "", also: Mapping[str, str] | None = None):
        self._numbered = ("", *names)
        self._by_name = {"UNSPECIFIED": "", prefix + "UNSPECIFIED": ""}
        for name in names:
            self._by_name[name] = self._by_name[prefix + name] = name
        self._by_name |= also or {}

    def find(self, value: Any) -> str | None:
        """Find the name of a value; `None` if there is none."""
        if isinstance(value, str):
            return self._by_name.get(value.strip().upper())
        if isinstance(value, int) and not isinstance(value, bool):
            return self._numbered[value] if 0 <= value < len(self._numbered) else None
        return None

    def read(self, value: Any, info: ValidationInfo) -> str:
        """Parse a name, as a pydantic validator. Raises `wrong_value`."""
        name = self.find(value)
        if name is not None:
            return name
        reading = reading_of(info)
        if reading.strict or isinstance(value, bool) or not isinstance(value, str | int):
            raise wrong_value("TYPE_ENUM")
        shown = loggable_name(str(value))
        sentence = f"{info.field_name} has no value {shown}: it is taken for unset"
        reading.on_mismatch(sentence, quoted=str(value))
        return ""


MODALITY = EnumNames("TEXT", "IMAGE", "AUDIO", "VIDEO", prefix="MODALITY_")
MEDIA_RESOLUTION = EnumNames("LOW", "MEDIUM", "HIGH", "ULTRA_HIGH", prefix="MEDIA_RESOLUTION_")
THINKING_LEVEL = EnumNames("LOW", "MEDIUM", "HIGH", "MINIMAL", "XHIGH", prefix="THINKING_LEVEL_")
START_SENSITIVITY = EnumNames("HIGH", "LOW", prefix="START_SENSITIVITY_")
END_SENSITIVITY = EnumNames("HIGH", "LOW", prefix="END_SENSITIVITY_")
ACTIVITY_HANDLING = EnumNames(
    "START_OF_ACTIVITY_INTERRUPTS", "NO_INTERRUPTION", prefix="ACTIVITY_HANDLING_"
)
TURN_COVERAGE = EnumNames(
    "ONLY_ACTIVITY", "ALL_INPUT", "AUDIO_ACTIVITY_AND_ALL_VIDEO", prefix="TURN_INCLUDES_",
    also={"TURN_COVERAGE_UNSPECIFIED": ""},
)  # fmt: skip
BEHAVIOR = EnumNames("BLOCKING", "NON_BLOCKING", prefix="BEHAVIOR_")
SCHEDULING = EnumNames(
    "SILENT", "WHEN_IDLE", "INTERRUPT", prefix="SCHEDULING_", also={"INTERRUPTED": "INTERRUPT"}
)
TRANSCRIPTION_MODE = EnumNames("VERBATIM", "SMART", prefix="MODE_")
CALLING_MODE = EnumNames("AUTO", "ANY", "NONE", "VALIDATED", prefix="MODE_")
LANGUAGE = EnumNames("PYTHON", prefix="LANGUAGE_")
OUTCOME = EnumNames("OK", "FAILED", "DEADLINE_EXCEEDED", prefix="OUTCOME_")
