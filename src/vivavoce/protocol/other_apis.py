"""Content and tools as other APIs spell them, in the spelling of this one.

Programs that were written for OpenAI's or Anthropic's API, or that hand on what an MCP server
lists, send its forms. Each function returns the value itself where it finds no other form in it.
"""

from __future__ import annotations

from typing import Any

from vivavoce.protocol.base64_data import LongBase64

Json = dict[str, Any]

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


def _without(value: Json, *keys: str) -> Json:
    """The rest of an object, which is reported where it is unknown."""
    return {key: item for key, item in value.items() if key not in keys}


def part(value: Any) -> Any:
    """One piece of a content."""
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
    if kind == "input_audio" and isinstance(sound := value.get("input_audio"), dict):
        return _sound(sound)
    if "data" in value and value.keys() & {"mimeType", "mime_type"}:
        return {"inline_data": value}
    return value


def _image(value: Json) -> Json:
    image = value.get("image_url")
    url = image.get("url") if isinstance(image, dict) else image
    if not isinstance(url, str):
        return value
    head, comma, data = url.partition(",")
    if comma and head.startswith("data:") and head.endswith(";base64"):
        mime_type = head.removeprefix("data:").removesuffix(";base64")
        return {"inline_data": {"mime_type": mime_type, "data": data}}
    return {"file_data": {"file_uri": url, "mime_type": "image/*"}}


def _source(source: Json) -> Json | None:
    data, mime_type = source.get("data"), source.get("media_type")
    if source.get("type") == "base64" and isinstance(data, str | LongBase64):
        return {"inline_data": {"mime_type": mime_type, "data": data}}
    if source.get("type") == "url" and isinstance(source.get("url"), str):
        return {"file_data": {"file_uri": source["url"], "mime_type": "image/*"}}
    return None


def _sound(sound: Json) -> Json:
    kind = sound.get("format")
    mime_type = "audio/pcm;rate=24000" if kind == "pcm16" else f"audio/{kind}"
    return {"inline_data": {"mime_type": mime_type, "data": sound.get("data")}}


def tool(value: Any) -> Any:
    """One entry of a list of tools."""
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
    """Find the server tool of a kind that may carry a date (`web_search_20250305`)."""
    lowered = kind.lower()
    return SERVER_TOOLS.get(lowered) or SERVER_TOOLS.get(lowered.rstrip("0123456789_"))


def function(value: Any) -> Any:
    """The declaration of a function; JSON Schema stands where it is taken for that."""
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
