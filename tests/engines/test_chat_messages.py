"""A history that outgrows its window."""

from __future__ import annotations

from vivavoce.domain.content import Content, Role, Text
from vivavoce.engines.chat.messages import first_kept


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
