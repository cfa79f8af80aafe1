"""Chat messages: a window of the history, and notes in the place of images."""

from __future__ import annotations

import pytest

from vivavoce.domain.content import Blob, Content, Part, Role, Text
from vivavoce.engines import chat
from vivavoce.engines.chat import first_kept
from vivavoce.engines.llamacpp import model


def said(role: Role, text: str) -> Content:
    return Content(role, (Text(text),))


def test_the_kept_part_begins_with_the_user_and_stays_put() -> None:
    history = [said(role, "x" * 10) for _ in range(20) for role in (Role.USER, Role.MODEL)]
    first = first_kept(history, 200, lambda content: len(content.text))
    assert history[first].role is Role.USER
    assert sum(len(content.text) for content in history[first:]) <= 100
    more = [*history, said(Role.USER, "x" * 10)]
    assert first_kept(more, 200, lambda content: len(content.text), first) == first


def test_the_last_content_is_kept_whatever_it_costs() -> None:
    history = [said(Role.USER, "x" * 10), said(Role.USER, "x" * 999)]
    assert first_kept(history, 50, lambda content: len(content.text)) == 1
    assert first_kept([], 50, lambda content: 1) == 0


PICTURE = Blob(b"\x89PNG", "image/png")


def test_images_reach_a_prompt_as_one_note() -> None:
    asked = Content(Role.USER, (PICTURE, PICTURE, Text("what is this")))
    (*_, last) = model.write_prompt("Rules.", chat.note_images([asked]))
    assert last["content"] == f"{chat.UNSEEN} what is this."
    words_first = Content(Role.USER, (Text("what is this"), PICTURE))
    (*_, last) = model.write_prompt("Rules.", chat.note_images([words_first]))
    assert f"what is this {chat.UNSEEN}" in last["content"].lower()
    plain = Content(Role.USER, (Text("hello"), Blob(b"", "audio/wav")))
    assert chat.note_images([plain]) == (plain,)


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
def test_a_question_about_an_image_is_answered_that_it_is_not_seen(
    parts: tuple[Part, ...], excused: bool
) -> None:
    assert chat.no_vision_reply([Content(Role.USER, parts)]) == (chat.EXCUSE if excused else "")


def test_an_earlier_image_is_meant_where_it_is_named() -> None:
    before = (
        Content(Role.USER, (PICTURE, Text("Hello."))),
        Content(Role.MODEL, (Text("Hello!"),)),
    )
    named = Content(Role.USER, (Text("Who is in the photo?"),))
    unnamed = Content(Role.USER, (Text("What colour is the sky?"),))
    assert chat.no_vision_reply([*before, named]) == chat.EXCUSE
    assert chat.no_vision_reply([*before, unnamed]) == ""
    sent_before_the_words = (Content(Role.USER, (PICTURE,)), unnamed)
    assert chat.no_vision_reply(sent_before_the_words) == chat.EXCUSE
