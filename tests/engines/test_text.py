"""The splitter: early first piece, whole sentences after it, nothing lost."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.engines.text import SentenceSplitter


def cut(*deltas: str, early: bool = False, longest: int = 240) -> list[str]:
    splitter = SentenceSplitter(longest=longest, early=early)
    pieces = [piece for delta in deltas for piece in splitter.feed(delta)]
    return pieces + splitter.flush()


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Who lives here.",
        "It is 3.5 metres long.",
        "Fruit, e.g. apples, is good.",
        "U.S. troops and U.S. Senators left.",
        "J. R. R. Tolkien wrote it.",
        "Come at 5 p.m. on Monday.",
        "Meet me on Jan. 5 at noon.",
        "See fig. 3 for more.",
        "Mr. and Mrs. Smith vs. Mt. Everest.",
        "version 1.2.3 of example.com is out.",
        "1. First thing",
        "Wait... what?"[:4] + " a moment.",
    ],
)
def test_marks_that_end_nothing_do_not_cut(text: str) -> None:
    assert cut(text) == [text]
    assert cut(*text) == [text]


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One. Two! Three?", ["One. ", "Two! ", "Three?"]),
        ('He said "Stop." Then he left.', ['He said "Stop." ', "Then he left."]),
        ("It is **bold.** Really.", ["It is **bold.** ", "Really."]),
        ("Wait... What?", ["Wait... ", "What?"]),
        ("So do I. You too.", ["So do I. ", "You too."]),
        ("Until 5 p.m. Then we go.", ["Until 5 p.m. ", "Then we go."]),
        ("In the sun. It was warm.", ["In the sun. ", "It was warm."]),
        ("A title\n\nText here\n- one\n- two", ["A title\n\n", "Text here\n", "- one\n", "- two"]),
        ("1. First\n2. Second", ["1. First\n", "2. Second"]),
        ("你好。我很好！谢谢", ["你好。", "我很好！", "谢谢"]),
        ("مرحبا؟ نعم", ["مرحبا؟ ", "نعم"]),
        ("\n\nHello. You", ["\n\nHello. ", "You"]),
    ],
)
def test_sentences_and_lines_end_pieces(text: str, pieces: list[str]) -> None:
    assert cut(text) == pieces
    assert cut(*text) == pieces


def test_the_first_piece_ends_at_a_clause_mark() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("The capital of France, as") == ["The capital of France, "]
    assert splitter.feed(" you know, is Paris. It") == ["as you know, is Paris. "]


def test_the_first_piece_ends_after_eight_words() -> None:
    splitter = SentenceSplitter()
    assert splitter.feed("one two three four five six seven eight") == []
    assert splitter.feed(" nine") == ["one two three four five six seven eight "]
    assert splitter.feed(" ten eleven twelve one two three four five six") == []


def test_a_tiny_clause_is_not_worth_a_piece_of_its_own() -> None:
    assert (
        cut("Oh, that is a nice thing, thank you.", early=True)[0] == "Oh, that is a nice thing, "
    )


def test_a_mark_waits_until_something_follows() -> None:
    splitter = SentenceSplitter(early=False)
    assert splitter.feed("It costs 3.") == []
    assert splitter.feed("5 dollars. ") == []
    assert splitter.feed("Really") == ["It costs 3.5 dollars. "]


def test_a_long_sentence_is_cut_at_a_clause_mark_within_the_limit() -> None:
    words = "word " * 15 + "comma, " + "word " * 15
    pieces = cut(words, longest=100)
    assert pieces[0] == "word " * 15 + "comma, "
    assert max(map(len, pieces)) <= 100


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            ["Dr. ", "e.g. ", "3.5", ". ", "! ", "?", "\n", ", ", "word ", "。", "**", '"', "1. "]
        ),
        st.text(max_size=12),
    ),
    max_size=40,
)


@given(deltas=TEXTS, early=st.booleans(), longest=st.integers(8, 80))
def test_pieces_add_up_and_none_is_too_long(deltas: list[str], early: bool, longest: int) -> None:
    pieces = cut(*deltas, early=early, longest=longest)
    assert "".join(pieces) == "".join(deltas)
    assert all(0 < len(piece) <= longest for piece in pieces)


@given(deltas=TEXTS, early=st.booleans())
def test_how_the_text_arrives_does_not_matter(deltas: list[str], early: bool) -> None:
    text = "".join(deltas)[:200]
    assert cut(*text, early=early) == cut(text, early=early)
