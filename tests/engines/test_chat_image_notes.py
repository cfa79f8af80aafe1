"""What a model that can't see is told of images."""

from __future__ import annotations

import pytest

from vivavoce.domain.content import Blob, Content, Part, Role, Text
from vivavoce.engines.chat import image_notes
from vivavoce.engines.llamacpp import prompt

PICTURE = Blob(b"\x89PNG", "image/png")


def test_images_reach_a_prompt_as_one_note() -> None:
    asked = Content(Role.USER, (PICTURE, PICTURE, Text("what is this")))
    (*_, last) = prompt.chat("Rules.", image_notes.noted([asked]))
    assert last["content"] == f"{image_notes.UNSEEN} what is this."
    words_first = Content(Role.USER, (Text("what is this"), PICTURE))
    (*_, last) = prompt.chat("Rules.", image_notes.noted([words_first]))
    assert f"what is this {image_notes.UNSEEN}" in last["content"].lower()
    plain = Content(Role.USER, (Text("hello"), Blob(b"", "audio/wav")))
    assert image_notes.noted([plain]) == (plain,)


@pytest.mark.parametrize(
    ("parts", "excused"),
    [
        ((PICTURE, Text("What do you see?")), True),
        ((Text("What colour is it?"), PICTURE), True),
        ((PICTURE,), True),
        ((PICTURE, Text("Hello.")), False),
        ((PICTURE, Text("What is the capital of France?")), False),
        ((Text("What do you see?"),), True),
        ((Text("Do you see what I mean?"),), False),
        ((Text("What is this?"),), False),
    ],
)
def test_who_asks_about_an_image_is_told_that_it_is_not_seen(
    parts: tuple[Part, ...], excused: bool
) -> None:
    assert image_notes.excuse([Content(Role.USER, parts)]) == (
        image_notes.EXCUSE if excused else ""
    )


def test_an_earlier_image_is_meant_where_it_is_named() -> None:
    before = (
        Content(Role.USER, (PICTURE, Text("Hello."))),
        Content(Role.MODEL, (Text("Hello!"),)),
    )
    named = Content(Role.USER, (Text("Who is in the photo?"),))
    unnamed = Content(Role.USER, (Text("What colour is the sky?"),))
    assert image_notes.excuse([*before, named]) == image_notes.EXCUSE
    assert image_notes.excuse([*before, unnamed]) == ""
    sent_before_the_words = (Content(Role.USER, (PICTURE,)), unnamed)
    assert image_notes.excuse(sent_before_the_words) == image_notes.EXCUSE
