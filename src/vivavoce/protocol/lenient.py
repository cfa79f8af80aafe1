"""Normalize off-spec client JSON: move misplaced fields, convert OpenAI, Anthropic and MCP forms.

A field is recognized by its name alone, so only names that occur once are moved, and only to where
nothing is set yet. Repeated and free-form fields are left as they are.

Programs that were written for the OpenAI or the Anthropic API, or that hand on what an MCP server
lists, send its forms of content and tools. Each `respell` function returns the value itself where
it finds no other form in it.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic.alias_generators import to_snake

from vivavoce.protocol.base import OnMismatch, Wire, attribute_of, object_of, spellings
from vivavoce.protocol.json_frames import LongBase64

Fields = dict[str, Any]
Path = tuple[str, ...]

MAX_NAME_CHARS = 64
"""Length of the longest name that is compared with the fields."""

MAX_PASSES = 4
"""Passes of relocation: a misplaced object may hold misplaced fields."""


def relocate_fields(root: type[Wire], fields: Fields, report: OnMismatch) -> Fields:
    """Move misplaced fields of a message to their own objects, at any depth."""
    for _ in range(MAX_PASSES):
        strays: list[tuple[Path, Any]] = []
        fields = _sifted(root, root, fields, strays)
        if not strays:
            break
        for path, value in strays:
            _place(root, fields, path, value, report)
    return fields


def gather_fields(message: type[Wire], fields: Fields, report: OnMismatch) -> Fields:
    """Move fields beside the kinds of messages, or in the wrong one, into their own kind."""
    kinds = {name: object_of(message, name) for name in message.model_fields}
    owners = _owners(message, "setup" in fields)
    for name, kind in (("", message), *kinds.items()):
        holder = fields if not name else fields.get(name)
        if kind is None or not isinstance(holder, dict):
            continue
        strays = {key: owner for key in holder if (owner := owners.get(_proto_name(key)))}
        strays = {k: o for k, o in strays.items() if o != name and not kind.reads(k)}
        if strays and name:
            fields[name] = holder = dict(holder)
        for key, owner in strays.items():
            place = (owner,) if _proto_name(key) == owner else (owner, _proto_name(key))
            _place(message, fields, place, holder.pop(key), report)
    return fields


@cache
def _owners(message: type[Wire], setup: bool) -> dict[str, str]:
    """Map each field to the first kind of message that has it, and each kind to itself."""
    owners: dict[str, str] = {kind: kind for kind in message.model_fields if kind != "setup"}
    for kind in message.model_fields:
        inner = object_of(message, kind)
        if inner is not None and (setup or kind != "setup"):
            for name in inner.model_fields:
                owners.setdefault(name, kind)
    return owners


@cache
def _places(root: type[Wire]) -> dict[str, Path]:
    """Map the field names that occur once below `root` to their paths."""
    found: dict[str, list[Path]] = {}
    edge: list[tuple[type[Wire], Path]] = [(root, ())]
    while edge:
        kind, path = edge.pop()
        for attribute, field in kind.model_fields.items():
            name = field.alias or attribute
            found.setdefault(name, []).append((*path, name))
            inner = object_of(kind, attribute)
            if inner is not None and inner.GATHERS:
                edge.append((inner, (*path, name)))
    return {name: paths[0] for name, paths in found.items() if len(paths) == 1}


def _proto_name(key: str) -> str:
    return to_snake(key) if len(key) <= MAX_NAME_CHARS else ""


def _sifted(
    root: type[Wire], kind: type[Wire], fields: Fields, strays: list[tuple[Path, Any]]
) -> Fields:
    """Return the object without misplaced fields, which are added to `strays`."""
    kept: Fields = {}
    for key, value in fields.items():
        name = spellings(kind).get(key)
        path = None if kind.reads(key) else _places(root).get(_proto_name(key))
        if path is not None:
            strays.append((path, value))
            continue
        inner = object_of(kind, attribute_of(kind, name)) if name else None
        if inner is not None and inner.GATHERS and isinstance(value, dict):
            value = _sifted(root, inner, value, strays)
        kept[key] = value
    return kept


def _place(root: type[Wire], fields: Fields, path: Path, value: Any, report: OnMismatch) -> None:
    """Set a field at its path, unless the path is taken or blocked."""
    where = ".".join(path)
    kind: type[Wire] = root
    for step in path[:-1]:
        inner = object_of(kind, attribute_of(kind, step))
        assert inner is not None, "paths go through objects"
        given = fields.get(step)
        if given is not None and not isinstance(given, dict):
            report(f"{where} is given in another place, and left out")
            return
        kind = inner
        fields[step] = fields = inner.respell(given or {}, strict=False)
    if path[-1] in fields:
        report(f"{where} is given in two places; its own counts")
        return
    fields[path[-1]] = value
    report(f"{where} is read from another place")


# --- other APIs ----------------------------------------------------------------------------------

TEXTS = frozenset({"text", "input_text", "output_text"})
IMAGES = frozenset({"image_url", "input_image"})
SERVER_TOOLS = {
    "google_search": "google_search",
    "googlesearch": "google_search",
    "web_search": "google_search",
    "web_search_preview": "google_search",
    "code_execution": "code_execution",
    "codeexecution": "code_execution",
    "code_interpreter": "code_execution",
    "url_context": "url_context",
    "urlcontext": "url_context",
}
SCHEMAS = ("input_schema", "inputSchema", "parametersJsonSchema", "parameters_json_schema")


def _without(value: Fields, *keys: str) -> Fields:
    """Return the object without these keys; unknown ones are reported later."""
    return {key: item for key, item in value.items() if key not in keys}


def respell_part(value: Any) -> Any:
    """Convert a part from another API's form."""
    if isinstance(value, str):
        return {"text": value}
    if not isinstance(value, dict):
        return value
    kind = value.get("type")
    if kind in TEXTS and isinstance(value.get("text"), str):
        return _without(value, "type")
    if kind in IMAGES:
        read = _image(value)
        return read if read is value else read | _without(value, "type", "image_url")
    if kind == "image" and isinstance(source := value.get("source"), dict):
        return _source(source) or value
    if kind == "input_audio" and isinstance(audio := value.get("input_audio"), dict):
        return _audio(audio)
    if "data" in value and value.keys() & {"mimeType", "mime_type"}:
        return {"inline_data": value}
    return value


def _image(value: Fields) -> Fields:
    image = value.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        return value
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime_type = head.removeprefix("data:").removesuffix(";base64")
        return {"inline_data": {"mime_type": mime_type, "data": data}}
    return {"file_data": {"file_uri": url, "mime_type": "image/*"}}


def _source(source: Fields) -> Fields | None:
    data, mime_type = source.get("data"), source.get("media_type")
    if source.get("type") == "base64" and isinstance(data, str | LongBase64):
        return {"inline_data": {"mime_type": mime_type, "data": data}}
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return {"file_data": {"file_uri": source["url"], "mime_type": "image/*"}}
    return None


def _audio(audio: Fields) -> Fields:
    kind = audio.get("format")
    mime_type = "audio/pcm;rate=24000" if kind == "pcm16" else f"audio/{kind}"
    return {"inline_data": {"mime_type": mime_type, "data": audio.get("data")}}


def respell_tool(value: Any) -> Any:
    """Convert an entry of a list of tools from another API's form."""
    if isinstance(value, str):
        kind = SERVER_TOOLS.get(value.lower())
        return {kind: {}} if kind else value
    if not isinstance(value, dict):
        return value
    if "functions" in value:
        rest = {key: item for key, item in value.items() if key != "functions"}
        return rest | {"function_declarations": value["functions"]}
    kind = value.get("type")
    if kind == "function" or (kind is None and isinstance(value.get("name"), str)):
        return {"function_declarations": [value]}
    if isinstance(kind, str) and (known := _server_tool(kind)):
        return {known: {}} | _without(value, "type", "name")
    if isinstance(value.get("name"), str) and value.keys() & set(SCHEMAS):
        return {"function_declarations": [value]}
    return value


def _server_tool(kind: str) -> str | None:
    """Find the server tool of a type that may carry a date (`web_search_20250305`)."""
    lowered = kind.lower()
    return SERVER_TOOLS.get(lowered) or SERVER_TOOLS.get(lowered.rstrip("0123456789_"))


def respell_function(value: Any) -> Any:
    """Convert a function declaration, with its JSON Schema in `parameters_json_schema`."""
    if not isinstance(value, dict):
        return value
    inner = value.get("function")
    foreign = value.get("type") in ("function", "custom") or isinstance(inner, dict)
    if isinstance(inner, dict):
        value = inner | _without(value, "type", "function")
    named = next((name for name in SCHEMAS if name in value), "parameters")
    other = value.keys() & {"input_schema", "inputSchema"}
    if not (foreign or other):
        return value
    rest = _without(value, "function", named)
    if value.get("type") in ("function", "custom"):
        del rest["type"]
    return rest | {"parameters_json_schema": value.get(named)}
