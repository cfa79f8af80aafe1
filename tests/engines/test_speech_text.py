"""Splitting text into clauses, and text for speaking."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.engines.speech_text import (
    SentenceSplitter,
    TextNormalizer,
    normalize_text,
    symbol_names,
)


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


TABLE = [
    # Markdown
    ("**Bold** and *it* and `code`", "Bold and it and code"),
    ("__a__ ~~b~~ ***c***", "a b c"),
    ("# A title", "A title."),
    ("- one\n- *two*\n* three!", "one. two. three!"),
    ("1. First\n2. Second", "1: First. 2: Second."),
    ("See [the docs](https://a.b/c) now", "See the docs now"),
    ("![a red cat](cat.png)", "a red cat"),
    ("> quoted", "quoted"),
    ("```python\nprint(1)\n```\nDone.", "Here is some code. Done."),
    ("| a | b |\n|---|:-:|\n| 1 | 2 |", "a, b. 1, 2."),
    ("---", ""),
    ("**cut in the middle", "cut in the middle"),
    ("It's a <b>test</b> &amp; more", "It's a test & more"),
    # pictures
    ("Great job! 🎉👍🏽", "Great job!"),
    ("👨‍👩‍👧 family ❤️", "family"),
    ("🙂", ""),
    ("...", ""),
    # addresses
    ("https://www.example.com/docs/x?y=1.", "example dot com."),
    ("go to example.org/a, then", "go to example dot org, then"),
    ("Mail me.now@my-site.com", "Mail me dot now at my dash site dot com"),
    # what synthesizers read themselves
    ("$5.50, €20, £1.01, $3.2 million", "$5.50, €20, £1.01, $3.2 million"),
    ("5km, 90 km/h, 20°C, 45°, 5%", "5km, 90 km/h, 20°C, 45°, 5%"),
    ("At 3:05 pm on 2026-11-23 or 10/12/2019", "At 3:05 pm on 2026-11-23 or 10/12/2019"),
    ("the 21st of the 1990s, pages 5-10", "the 21st of the 1990s, pages 5-10"),
    ("1/2 cup and ¾ = 12 < 13", "1/2 cup and ¾ = 12 < 13"),
    ("R&D, and/or, w/o, C++, 3 + 4, 3 × 4", "R&D, and/or, w/o, C++, 3 + 4, 3 × 4"),
    ("Dr. Smith's dog, A → B", "Dr. Smith's dog, A → B"),
    # what they read wrong
    ("20€ or $1.5bn", "€20 or $1.5 billion"),
    ("1,000 m, 1 m, 5 m², 3 m/s, 2 h, 5 W", "1,000 meters, 1 meter, 5 meters², "
     "3 meters per second, 2 hours, 5 watts"),
    ("I am 5 in May, I'm 5'10\"", "I am 5 in May, I'm 5 foot 10"),
    ("3 * 4 and 3x4", "3 times 4 and 3 times 4"),
    ("24/7 and 120/80", "24 7 and 120 80"),
    ("−5 and ~5, ≤ 3, ≥3", "-5 and about 5, at most 3, at least 3"),
    ("C# at #3 -> next", "C sharp at number 3 to next"),
    ("fruit, e.g. apples, i.e. those", "fruit, for example apples, that is those"),
    ("snake_case", "snake case"),
    ("你好，世界！", "你好，世界！"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "said"), TABLE)
def test_what_is_said(written: str, said: str) -> None:
    assert normalize_text(written) == said


def test_other_languages_get_no_english_words() -> None:
    assert normalize_text("**Fünf** & 5% von 3km 🎉", "de-DE") == "Fünf & 5% von 3km"


def test_a_block_of_code_stays_one_across_pieces() -> None:
    normalizer = TextNormalizer()
    pieces = ["Look:\n", "```js\n", "let x = 1;\n", "* not a list\n", "```\n", "Done."]
    said = [normalizer.normalize(piece) for piece in pieces]
    assert said == ["Look:", "Here is some code.", "", "", "", "Done."]


def test_symbols_have_names_for_when_nothing_else_was_said() -> None:
    assert symbol_names("🙂🙂") == "slightly smiling face"
    assert symbol_names("... **") == ""


@given(st.text(max_size=80))
def test_any_text_is_survived_and_words_make_sound(text: str) -> None:
    said = normalize_text(text)
    assert said == said.strip()
    assert not said or any(map(str.isalnum, said))


@given(st.lists(st.sampled_from(["hello", "world", "tea", "nine"]), min_size=1, max_size=6))
def test_plain_words_stay_as_they_are(words: list[str]) -> None:
    assert normalize_text(" ".join(words)) == " ".join(words)
