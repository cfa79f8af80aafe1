"""What bounds the small model: the end of an answer, slots, windows and settings."""

from __future__ import annotations

import os
import re

import pytest

from vivavoce.domain.content import Content, Role, Text
from vivavoce.engines.chat.trim import first_kept
from vivavoce.engines.llamacpp.brevity import Brevity
from vivavoce.engines.llamacpp.memory import Places
from vivavoce.engines.llamacpp.settings import read_settings
from vivavoce.errors import ConfigError

# --- enough ----------------------------------------------------------------------------------


def fed(text: str, most: int = 100) -> Brevity:
    brevity = Brevity(most)
    for piece in re.findall(r"\s*\S+", text):
        brevity.shown(piece)
    return brevity


def test_an_answer_ends_when_it_is_long_or_goes_round() -> None:
    assert not fed("One sentence. Another one.").enough
    assert fed("I am glad. So are you. I am glad.").enough
    assert fed("a b c d.", most=4).enough
    assert fed('He said: "go on." He said: "go on."').enough
    assert not fed("a b c d", most=4).enough, "not in mid-sentence"
    assert not fed("a b c 1.", most=4).enough, "not after the number of a list"


def test_nothing_is_shown_before_the_first_word() -> None:
    brevity = Brevity(9)
    assert [brevity.shown(piece) for piece in ("\n", " Hi", " you")] == ["", "Hi", " you"]


# --- places and windows ----------------------------------------------------------------------


def test_conversations_keep_their_slot_until_it_is_needed() -> None:
    places = Places(2)
    assert (places.of("a").slot, places.of("b").slot) == (0, 1)
    assert places.of("a").slot == 0
    assert places.of("c").slot == 1, "b was used longest ago"
    places.release("a")
    assert places.of("b").slot == 0
    assert len(places) == 2
    places.release("nobody")


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


def test_settings_with_faults_are_refused_as_a_whole() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings({"slots": True, "context": 10, "colour": "red"})
    for fault in ("slots", "context", "colour"):
        assert fault in str(caught.value)
    assert read_settings({"threads": 3}).thread_count == 3


@pytest.mark.parametrize(("cores", "threads"), [(1, 1), (2, 1), (4, 3)])
def test_the_model_leaves_one_core_to_the_rest(
    monkeypatch: pytest.MonkeyPatch, cores: int, threads: int
) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(cores)), raising=False)
    assert read_settings({}).thread_count == threads
