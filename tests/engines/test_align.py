"""Words go with the sound in which they begin, and none is lost."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.engines.align import Mark, Realigner, Timeline, estimated_marks, marks_of_groups
from vivavoce.engines.speakable import speakable

TEXTS = st.text(st.sampled_from("ab c,.$5%*\n🙂é"), max_size=60)
TIMES = st.lists(st.floats(0, 10), max_size=12)


def test_a_word_goes_with_the_sound_in_which_it_begins() -> None:
    timeline = Timeline("One two three", [Mark(0, 0.0), Mark(3, 0.5), Mark(7, 1.0)])
    assert [timeline.until(t) for t in (0.1, 0.5, 0.6, 1.0)] == ["One", "", " two", ""]
    assert timeline.rest() == " three"
    assert timeline.rest() == ""


def test_words_begin_with_their_groups() -> None:
    marks = marks_of_groups("One two, three", [0.3, 0.5, 0.9], lambda word: 1)
    assert marks == [Mark(0, 0.3), Mark(3, 0.5), Mark(8, 0.9)]


def test_a_word_that_is_spoken_as_several_takes_as_many_groups() -> None:
    groups = {"$5": 2, "🙂": 0}
    marks = marks_of_groups("pay $5 🙂 now", [0.1, 0.2, 0.3, 0.4], lambda word: groups.get(word, 1))
    assert marks == [Mark(0, 0.1), Mark(3, 0.2), Mark(6, 0.4), Mark(8, 0.4)]


def test_words_are_placed_in_proportion_where_counts_can_not_be_matched() -> None:
    marks = marks_of_groups("a b c d", [0.0, 1.0], lambda word: 1)
    assert [mark.start_s for mark in marks] == [0.0, 0.0, 1.0, 1.0]
    assert marks_of_groups("a b", [], lambda word: 1) == []


def test_estimated_marks_follow_the_length_of_words() -> None:
    assert estimated_marks("aaaa bb", 7.0) == [Mark(0, 0.0), Mark(4, 4.0)]


@given(text=TEXTS, times=TIMES, starts=st.lists(st.floats(0, 9), max_size=8))
def test_the_texts_of_a_timeline_add_up(text: str, times: list[float], starts: list[float]) -> None:
    for marks in (estimated_marks(text, 5.0), marks_of_groups(text, sorted(starts), len)):
        timeline = Timeline(text, marks)
        assert "".join(map(timeline.until, sorted(times))) + timeline.rest() == text


@pytest.mark.parametrize(
    ("original", "parts", "texts"),
    [
        ("It costs $5 today.", ["It costs", " 5 dollars", " today."], None),
        ("**Bold** word here", ["Bold", " word", " here"], ["**Bold**", " word", " here"]),
        ("Same as said", ["Same", " as", " said"], ["Same", " as", " said"]),
        ("see [docs](https://a.b)", ["see", " docs"], ["see", " [docs](https://a.b)"]),
        ("", ["spoken"], [""]),
    ],
)
def test_the_original_follows_the_spoken(
    original: str, parts: list[str], texts: list[str] | None
) -> None:
    words = Realigner(original, "".join(parts))
    taken = [words.take(part) for part in parts]
    assert taken == (texts or ["It costs", " $5", " today."])
    assert words.rest() == ""


@given(original=TEXTS, spoken=TEXTS, cuts=st.lists(st.integers(0, 60), max_size=6))
def test_the_original_is_whole_whatever_is_said(
    original: str, spoken: str, cuts: list[int]
) -> None:
    for said in (spoken, speakable(original), original):
        words = Realigner(original, said)
        places = [0, *sorted(min(cut, len(said)) for cut in cuts), len(said)]
        parts = [said[a:b] for a, b in itertools.pairwise(places)]
        assert "".join(words.take(part) for part in parts) + words.rest() == original
        assert words.rest() == ""
