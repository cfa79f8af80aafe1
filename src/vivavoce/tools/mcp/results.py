"""What an MCP tool brought back, as the model and the client get it.

A structured result goes before the words, which then only repeat it. Everything is cut to what a
conversation can bear: a model that has to read a megabyte doesn't speak. A structured result is
written down only as far as it is kept, and an image decoded only if it is.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Sequence

from mcp_types import (
    AudioContent,
    BlobResourceContents,
    CallToolResult,
    ContentBlock,
    EmbeddedResource,
    ImageContent,
    ResourceLink,
    TextContent,
    TextResourceContents,
)

from vivavoce.domain.content import Blob
from vivavoce.domain.tool_outcome import ToolOutcome

MAX_TEXT = 20_000
MAX_ERROR = 500
MAX_PARTS = 8
_FEW_BLOCKS = 100


def outcome_of(result: CallToolResult) -> ToolOutcome:
    """The result as `{"output": ...}` or `{"error": sentence}`, images and sound as parts."""
    words, parts = _read(result.content)
    text = "\n".join(words)
    if result.is_error:
        problem = cut_text(text, MAX_ERROR) or "The tool failed and did not say why."
        return ToolOutcome(response={"error": problem}, failed=problem)
    if result.structured_content is None:
        return ToolOutcome(response={"output": cut_text(text, MAX_TEXT)}, parts=parts)
    start = _written(result.structured_content, MAX_TEXT)
    if start is not None:
        return ToolOutcome(response={"output": f"{start} [cut here]"}, parts=parts)
    return ToolOutcome(response={"output": result.structured_content}, parts=parts)


def is_work(result: CallToolResult) -> bool:
    """Whether `outcome_of` may take longer than an event loop can be without."""
    words = all(isinstance(block, TextContent) for block in result.content[:_FEW_BLOCKS])
    return bool(result.structured_content) or len(result.content) > _FEW_BLOCKS or not words


def _written(value: object, length: int) -> str | None:
    """The first `length` characters of the value as JSON; `None` if there are no more."""
    pieces: list[str] = []
    count = 0
    for piece in json.JSONEncoder(ensure_ascii=False).iterencode(value):
        pieces.append(piece)
        count += len(piece)
        if count > length:
            return "".join(pieces)[:length]
    return None


def cut_text(text: str, length: int) -> str:
    """The text as far as it fits, with a note where something is left out."""
    if len(text) <= length:
        return text
    return f"{text[:length]} [cut here; {len(text)} characters in all]"


def _read(content: Sequence[ContentBlock]) -> tuple[list[str], tuple[Blob, ...]]:
    words: list[str] = []
    parts: list[Blob] = []
    for block in content:
        said, blob = _one(block, len(parts) < MAX_PARTS)
        if said:
            words.append(said)
        if blob is not None:
            parts.append(blob)
    return words, tuple(parts)


def _one(block: ContentBlock, room: bool) -> tuple[str, Blob | None]:
    """A block as words, and as bytes if it has any and there is room for them."""
    match block:
        case TextContent():
            return block.text, None
        case ImageContent() | AudioContent():
            return _blob(block.data, block.mime_type, room)
        case ResourceLink():
            return f"{block.title or block.name}: {block.uri}", None
        case EmbeddedResource(resource=BlobResourceContents() as resource):
            kind = resource.mime_type or "application/octet-stream"
            return _blob(resource.blob, kind, room)
        case EmbeddedResource(resource=TextResourceContents() as resource):
            return resource.text, None
    raise AssertionError("unreachable")


def _blob(data: str, mime_type: str, room: bool) -> tuple[str, Blob | None]:
    if not room:
        return f"[{mime_type} left out]", None
    try:
        decoded = base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        return f"[{mime_type} that can't be read]", None
    return f"[{mime_type} attached]", Blob(decoded, mime_type)
