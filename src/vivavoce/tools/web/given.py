"""Whether an address was given in the conversation, or is the model's own invention.

A page, or a document that was searched, can tell the model to read an address with the user's
words in it, and so carry them off. What the user, the instruction or a result has named can carry
nothing that was not in it before.
"""

from __future__ import annotations

import json
import re

from vivavoce.domain.content import FileRef, Role, Text, ToolResult
from vivavoce.domain.request import GenerationRequest

_SCHEME = re.compile(r"^https?://(?:www\.)?", re.IGNORECASE)
_WWW = re.compile(r"\bwww\.")
_GOES_ON = re.compile(r"[/?#&=%~+.:@-]*\w")


def given(url: str, request: GenerationRequest) -> bool:
    """Whether `url` stands in what others than the model said. The scheme may be missing there."""
    wanted = _SCHEME.sub("", url.strip()).rstrip("/").casefold()
    return bool(wanted) and any(_names(text, wanted) for text in _said(request))


def _said(request: GenerationRequest) -> list[str]:
    texts = [request.instruction]
    for content in request.history:
        for part in content.parts:
            if isinstance(part, Text) and content.role is Role.USER:
                texts.append(part.text)
            elif isinstance(part, FileRef):
                texts.append(part.uri)
            elif isinstance(part, ToolResult):
                texts.append(json.dumps(part.response, ensure_ascii=False, default=str))
    return texts


def _names(text: str, wanted: str) -> bool:
    """Whether the address stands in the text whole: not as the beginning of a longer one."""
    plain = _WWW.sub("", text.casefold())
    at = plain.find(wanted)
    while at >= 0:
        before, after = plain[:at][-1:], plain[at + len(wanted) :]
        if not (before.isalnum() or before in tuple("-.@")) and not _GOES_ON.match(after):
            return True
        at = plain.find(wanted, at + 1)
    return False
