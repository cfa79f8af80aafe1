"""Wire values: what proto-JSON lets a client write for each type of field.

Each is a pydantic type. A value that can't be read raises `wrong(kind)`, whose `kind` is the
proto type's name; `wire.read` makes the sentence and the path.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any

from pydantic import BeforeValidator, StrictBool, ValidationInfo
from pydantic_core import PydanticCustomError

from vivavoce.domain.text import loggable_name
from vivavoce.protocol.base64_data import LongBase64, decode_base64


def wrong(kind: str) -> PydanticCustomError:
    """The error for a value that is no `kind` (a proto type name)."""
    return PydanticCustomError("wire_value", "{kind}", {"kind": kind})


def is_strict(info: ValidationInfo) -> bool:
    """Whether the reader insists on exactly what the protocol documents."""
    return bool(info.context and info.context["strict"])


def report_mismatch(info: ValidationInfo, sentence: str, *, quoted: str = "") -> None:
    """Say that something, which `quoted` quotes, was read otherwise than the protocol spells it."""
    if info.context and (report := info.context.get("on_mismatch")) is not None:
        report(sentence, quoted=quoted)


# --- numbers -------------------------------------------------------------------------------


_NUMERAL = re.compile(r"[+-]?[0-9]{1,20}(\.[0-9]{0,20})?([eE][+-]?[0-9]{1,3})?")
_FRACTION = re.compile(r"[.eE]")


def number(value: Any, kind: str) -> float | int:
    """A finite number, also from a numeral in a string. Raises `wrong(kind)`."""
    if isinstance(value, str) and _NUMERAL.fullmatch(value):
        value = float(value) if _FRACTION.search(value) else int(value)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise wrong(kind)
    return value


def integer(value: Any, bits: int) -> int:
    """A whole number of so many bits, also from a string or a float. Raises `wrong`."""
    read = number(value, f"TYPE_INT{bits}")
    if read != int(read) or not -(1 << (bits - 1)) <= read < 1 << (bits - 1):
        raise wrong(f"TYPE_INT{bits}")
    return int(read)


Int32 = Annotated[int, BeforeValidator(lambda value: integer(value, 32))]
Int64 = Annotated[int, BeforeValidator(lambda value: integer(value, 64))]
Number = Annotated[float, BeforeValidator(lambda value: number(value, "TYPE_DOUBLE"))]
Flag = StrictBool


# --- bytes, durations, times -----------------------------------------------------------------


def _bytes(value: Any) -> bytes:
    if not isinstance(value, str | LongBase64):
        raise wrong("TYPE_BYTES")
    try:
        return decode_base64(value)
    except ValueError:
        raise PydanticCustomError("base64", "base64") from None


def _duration(value: Any, info: ValidationInfo) -> float:
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,12}(\.[0-9]{1,9})?s", value):
        return float(value[:-1])
    if is_strict(info):
        raise wrong("TYPE_DURATION")
    return number(value, "TYPE_DURATION")


_TIMESTAMP = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)


def _timestamp(value: Any) -> datetime:
    match = _TIMESTAMP.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise wrong("TYPE_TIMESTAMP")
    whole, fraction, zone = match.groups(default="")
    try:
        # Python keeps microseconds; the three digits below them are let go
        return datetime.fromisoformat(whole + fraction[:7] + zone)
    except ValueError:
        raise wrong("TYPE_TIMESTAMP") from None


Bytes = Annotated[bytes, BeforeValidator(_bytes)]
Duration = Annotated[float, BeforeValidator(_duration)]
"""Seconds."""
Timestamp = Annotated[datetime, BeforeValidator(_timestamp)]


# --- enums -----------------------------------------------------------------------------------


class EnumNames:
    """An enum's names, in the order of their proto numbers, beginning with 0 (unspecified).

    Reads a name in any case, with or without `prefix`, or a number, into the name without the
    prefix; unspecified is `""`, and so is an unknown value unless the reader is strict.
    """

    def __init__(self, *names: str, prefix: str = "", also: Mapping[str, str] | None = None):
        self._numbered = ("", *names)
        self._by_name = {"UNSPECIFIED": "", prefix + "UNSPECIFIED": ""}
        for name in names:
            self._by_name[name] = self._by_name[prefix + name] = name
        self._by_name |= also or {}

    def find(self, value: Any) -> str | None:
        """The name that `value` stands for, or `None`."""
        if isinstance(value, str):
            return self._by_name.get(value.strip().upper())
        if isinstance(value, int) and not isinstance(value, bool):
            return self._numbered[value] if 0 <= value < len(self._numbered) else None
        return None

    def read(self, value: Any, info: ValidationInfo) -> str:
        """The name, as a pydantic validator. Raises `wrong` for what cannot be one."""
        name = self.find(value)
        if name is not None:
            return name
        if is_strict(info) or isinstance(value, bool) or not isinstance(value, str | int):
            raise wrong("TYPE_ENUM")
        shown = loggable_name(str(value))
        sentence = f"{info.field_name} has no value {shown}: it is taken for unset"
        report_mismatch(info, sentence, quoted=str(value))
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
