"""Every client message as one model, and the sentences for what cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any, TypeVar

import orjson
from pydantic import ValidationError
from pydantic_core import ErrorDetails

from vivavoce.errors import INVALID, ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.misplaced_fields import gather_fields
from vivavoce.protocol.wire_base import MAX_OBJECTS, OnMismatch, Wire, spellings, unknown_names
from vivavoce.protocol.wire_input import ClientContent, ContextUpdate, RealtimeInput, ToolResponse
from vivavoce.protocol.wire_setup import Setup

W = TypeVar("W", bound=Wire)

OnUnknown = Callable[[str, str], None]
"""Called with the path of an object and a name in it that nobody knows."""

MAX_SENTENCES = 8
"""More unknown names than these say nothing new, and no reason could hold them."""


class ClientMessage(Wire):
    """One message of a client: exactly one of these, says the protocol."""

    setup: Setup | None = None
    context_update: ContextUpdate | None = None
    client_content: ClientContent | None = None
    tool_response: ToolResponse | None = None
    realtime_input: RealtimeInput | None = None

    @classmethod
    def lift(cls, value: Any) -> Any:
        """Also turns, an answer or a medium alone, as other APIs have them."""
        if not isinstance(value, dict) or value.keys() & _MESSAGES:
            return value
        rest = dict(value)
        content = {key: rest.pop(key) for key in _TURNS if rest.get(key) is not None}
        if content:
            complete = rest.pop("turnComplete", rest.pop("turn_complete", True))
            rest["client_content"] = {**content, "turn_complete": complete}
        for key in _ANSWER:
            if rest.get(key) is not None:
                rest["tool_response"] = [rest.pop(key)]
        for key in RealtimeInput.MEDIA:
            if isinstance(medium := rest.get(key), dict) and "data" in medium:
                rest["realtime_input"] = [rest.pop(key)]
        return rest if len(rest.keys() - value.keys()) else value

    @classmethod
    def adjust(cls, fields: dict[str, Any], report: OnMismatch) -> dict[str, Any]:
        """Moves what stands beside the messages, or in another one, to where it belongs."""
        return gather_fields(cls, fields, report)


_TURNS = (*ClientContent.TURNS, "role", "parts")
_ANSWER = ("functionResponse", "function_response")
_MESSAGES = spellings(ClientMessage).keys() - {"setup"}


def beside_setup(payload: dict[str, Any]) -> dict[str, Any]:
    """The messages that a lenient reader finds in a setup, and beside it, without the setup."""
    lifted = ClientMessage.lift(payload)
    fields = gather_fields(ClientMessage, ClientMessage.respell(lifted, False), _unreported)
    return {
        key: fields[key] for key in ClientMessage.model_fields if key in fields and key != "setup"
    }


def _unreported(sentence: str, *, quoted: str = "") -> None:
    """Ignore what is reported when the setup itself is read."""


def read(
    payload: dict[str, Any],
    *,
    strict: bool,
    on_unknown: OnUnknown,
    on_mismatch: OnMismatch | None = None,
) -> ClientMessage:
    """The message that a JSON object spells, as `read_as` reads it."""
    return read_as(
        ClientMessage, payload, strict=strict, on_unknown=on_unknown, on_mismatch=on_mismatch
    )


def read_as(
    kind: type[W],
    payload: Any,
    *,
    strict: bool,
    on_unknown: OnUnknown,
    on_mismatch: OnMismatch | None = None,
    root: str = "",
) -> W:
    """The model that a JSON object spells. Raises `ClientFault` with the path of the error.

    Unknown names are refused when strict, and otherwise handed to `on_unknown`; `on_mismatch` gets
    to know what was read otherwise than the protocol spells it. Paths begin with `root`, where the
    object has a name of its own.
    """
    context = {"strict": strict, "objects": count(1), "on_mismatch": on_mismatch}
    try:
        message = kind.model_validate(payload, context=context)
    except ValidationError as error:
        raise _fault(error.errors(include_url=False)[0], root) from None
    unknown = list(unknown_names(message, root))
    if strict and unknown:
        sentences = (close.unknown_name(name, path) for path, name in unknown[:MAX_SENTENCES])
        logged = close.unknown_name("…", unknown[0][0])
        raise ClientFault(INVALID, "\n".join(sentences), logged)
    for path, name in unknown:
        on_unknown(path, name)
    return message


_KINDS = {
    "string_type": "TYPE_STRING",
    "bool_type": "TYPE_BOOL",
    "list_type": "TYPE_REPEATED",
    "dict_type": "TYPE_MESSAGE",
    "model_type": "TYPE_MESSAGE",
}


def _fault(error: ErrorDetails, root: str) -> ClientFault:
    path = path_of((root, *error["loc"]) if root else error["loc"])
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
    return close.invalid_value(path or "message", kind, shown(error["input"]))


def path_of(location: tuple[int | str, ...]) -> str:
    """A pydantic location as a proto path: `setup.tools[0].function_declarations[1]`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).removeprefix(".")


def shown(value: object) -> str:
    """A value as it may be quoted in a reason: JSON, and short."""
    text = orjson.dumps(value, default=str).decode()
    return text if len(text) <= 40 else text[:40] + "…"
