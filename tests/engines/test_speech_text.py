"""What is written, and what is said for it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.engines.speech_text import TextNormalizer, normalize_text, symbol_names

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
