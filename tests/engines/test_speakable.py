"""What is written, and what is said for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.engines.speakable import Reader, named, speakable

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
    ("It's a <b>test</b> &amp; more", "It's a test and more"),
    # pictures
    ("Great job! 🎉👍🏽", "Great job!"),
    ("👨‍👩‍👧 family ❤️", "family"),
    ("🙂", ""),
    ("...", ""),
    # addresses
    ("https://www.example.com/docs/x?y=1.", "example dot com."),
    ("go to example.org/a, then", "go to example dot org, then"),
    ("Mail me.now@my-site.com", "Mail me dot now at my dash site dot com"),
    # money, measures, per cent
    ("$5.50, €20, £1.01", "5 dollars and 50 cents, 20 euros, 1 pound and 1 penny"),
    ("$1 or $3.2 million or $5k", "1 dollar or 3.2 million dollars or 5 thousand dollars"),
    ("5km, 1 kg, 90 km/h", "5 kilometers, 1 kilogram, 90 kilometers per hour"),
    ("20°C or 68 °F or 45°", "20 degrees Celsius or 68 degrees Fahrenheit or 45 degrees"),
    ("5% of 1,000 m", "5 percent of 1,000 meters"),
    ("I am 5 in May", "I am 5 in May"),
    # times, dates, numbers
    ("At 3:05 pm", "At 3 oh 5 P M"),
    ("12:00 or 17:30", "12 o'clock or 17 30"),
    ("the 1st, 2nd, 3rd, 11th, 21st, 30th", "the first, second, third, eleventh, twenty first, "
     "thirtieth"),
    ("in the 1990s and 80s", "in the 19 nineties and eighties"),
    ("pages 5-10, 2020–2024", "pages 5 to 10, 2020 to 2024"),
    ("on 2026-11-23 call 555-1234", "on 2026-11-23 call 555-1234"),
    ("1/2 cup and ¾", "one half cup and three quarters"),
    ("3 * 4 = 12 and 3x4", "3 times 4 equals 12 and 3 times 4"),
    ("-5 and ~5", "minus 5 and about 5"),
    ("a < b > c", "a is less than b is greater than c"),
    # small words
    ("R&D, and/or, w/o", "R and D, and or, without"),
    ("fruit, e.g. apples, i.e. those", "fruit, for example apples, that is those"),
    ("A → B", "A to B"),
    ("snake_case", "snake case"),
    ("Dr. Smith's dog", "Dr. Smith's dog"),
    ("你好，世界！", "你好，世界！"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "said"), TABLE)
def test_what_is_said(written: str, said: str) -> None:
    assert speakable(written) == said


@pytest.mark.parametrize(("written", "said"), TABLE)
def test_what_is_said_needs_no_second_pass(written: str, said: str) -> None:
    assert not set(speakable(written)) & set("*_`~#|<>[]{}^\\🎉")


def test_other_languages_get_no_english_words() -> None:
    assert speakable("**Fünf** & 5% von 3km 🎉", "de-DE") == "Fünf & 5% von 3km"


def test_a_block_of_code_stays_one_across_pieces() -> None:
    reader = Reader()
    pieces = ["Look:\n", "```js\n", "let x = 1;\n", "* not a list\n", "```\n", "Done."]
    assert [reader.read(p) for p in pieces] == ["Look:", "Here is some code.", "", "", "", "Done."]


def test_symbols_have_names_for_when_nothing_else_was_said() -> None:
    assert named("🙂🙂") == "slightly smiling face"
    assert named("... **") == ""


@given(st.text(max_size=80))
def test_any_text_is_survived_and_words_make_sound(text: str) -> None:
    said = speakable(text)
    assert said == said.strip()
    assert not said or any(map(str.isalnum, said))


@given(st.lists(st.sampled_from(["hello", "world", "tea", "nine"]), min_size=1, max_size=6))
def test_plain_words_stay_as_they_are(words: list[str]) -> None:
    assert speakable(" ".join(words)) == " ".join(words)
