"""Notes in the place of images, for models that can't see.

An image that is left out silently is invented: a user who sends one asks about it, and the model
answers.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from vivavoce.domain.content import Blob, Content, Part, Role, Text

UNSEEN = "[an image was sent; you cannot see images]"
"""Stands for all images of a contribution."""

EXCUSE = "I'm sorry, I can't see images."

_SIGHT = re.compile(r"\b(?:do|can|could) you see\b(?! what i mean)")
_AN_IMAGE = re.compile(r"\b(?:picture|image|photo\w*|video|camera|screen|drawing)s?\b")
_IN_SIGHT = re.compile(
    r"\b(?:you see|look(?:ing)? (?:at|like)|looks like|describe|this|these|colou?rs?|holding"
    r"|wearing|in front of|(?:what|who)(?:'s| is| are) (?:that|those|there|it|he|she))\b"
)


def is_image(part: object) -> bool:
    """Whether a part is one."""
    return isinstance(part, Blob) and part.mime_type.startswith("image/")


def noted(history: Sequence[Content]) -> tuple[Content, ...]:
    """The history with one note in the place of each contribution's images."""
    return tuple(map(_noted, history))


def excuse(history: Sequence[Content]) -> str:
    """`EXCUSE` where the newest words ask about an image that was sent, or for sight as such.

    Else nothing. Frames that do not belong to a turn never get here, so "what do you see" is
    excused without any.

    For a model too small to heed the note: it would describe a cityscape all the same, and
    be sorry about unseen images when it is greeted in front of a camera.
    """
    said = history[-1].text.lower().replace("’", "'") if history else ""
    if _SIGHT.search(said):
        return EXCUSE
    if not any(is_image(part) for content in history for part in content.parts):
        return ""
    newest = [content for content in _since_the_model(history) if any(map(is_image, content.parts))]
    asks = _AN_IMAGE.search(said) or (newest and (not said.strip() or _IN_SIGHT.search(said)))
    return EXCUSE if asks else ""


def _noted(content: Content) -> Content:
    places = [place for place, part in enumerate(content.parts) if is_image(part)]
    if not places:
        return content
    parts: list[Part] = [part for part in content.parts if not is_image(part)]
    parts.insert(places[0], Text(f" {UNSEEN} "))  # a content's texts are joined as they are
    return replace(content, parts=tuple(parts))


def _since_the_model(history: Sequence[Content]) -> Sequence[Content]:
    """Return what the user contributed since the model last spoke."""
    begin = len(history)
    while begin and history[begin - 1].role is Role.USER:
        begin -= 1
    return history[begin:]
