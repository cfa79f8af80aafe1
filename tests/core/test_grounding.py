"""Which words of an answer its sources support, and where these words stand."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.budget import budget
from vivavoce.core.grounding import MIN_WORD_SHARE, find_supports
from vivavoce.core.messages import Support
from vivavoce.domain.content import Source

PARIS = Source(
    "file:paris.md", "Paris", "Paris has 37 bridges over the river Seine, and 2.1 million."
)
ROME = Source("file:rome.md", "Rome", "Rome was founded on seven hills by the river Tiber.")


def texts(found: tuple[Support, ...]) -> list[str]:
    return [support.text for support in found]


def test_a_sentence_that_a_source_holds_is_supported_with_its_place() -> None:
    answer = "Here is what I found. Paris has 37 bridges. Have a nice day with many croissants!"
    (support,) = find_supports(answer, (ROME, PARIS))
    assert support.text == "Paris has 37 bridges."
    assert answer[support.start : support.end] == support.text
    assert (support.sources, support.confidence) == ((1,), (1.0,))


def test_offsets_count_bytes_and_not_characters() -> None:
    source = Source(
        "file:z.md", "Zürich", "Zürich hat 12 Brücken; Café Odéon ☕ steht am Bellevue."
    )
    answer = "Schöne Grüße – natürlich! Zürich hat 12 Brücken. Café Odéon ☕ steht am Bellevue."
    found = find_supports(answer, (source,))
    assert texts(found) == ["Zürich hat 12 Brücken.", "Café Odéon ☕ steht am Bellevue."]
    for support in found:
        assert answer.encode()[support.start : support.end].decode() == support.text
    assert found[0].start > answer.index("Zürich hat")


@pytest.mark.parametrize(
    "sentence",
    [
        "Paris has 38 bridges over the river Seine.",
        "Paris has 37 bridges since 1607 over the river Seine.",
        "Paris has 2.2 million over the river Seine.",
    ],
)
def test_a_number_that_is_in_no_source_takes_all_support_away(sentence: str) -> None:
    assert find_supports(sentence, (PARIS,)) == ()


@pytest.mark.parametrize(
    "sentence",
    [
        "Bananas grow wonderfully in warm greenhouses near Oslo.",
        "Paris invented photography during stormy nights.",
        "Yes.",
        "It is so.",
        "",
        "...",
    ],
)
def test_what_no_source_says_gets_no_support(sentence: str) -> None:
    assert find_supports(sentence, (PARIS, ROME)) == ()


def test_a_sentence_may_rest_on_several_sources_each_with_its_share() -> None:
    (support,) = find_supports("Bridges cross the river Seine.", (
        Source("a", "", "bridges over the river Seine"),
        Source("b", "", "bridges cross the river Seine"),
        Source("c", "", "something else"),
    ))  # fmt: skip
    assert support.sources == (0, 1)
    assert support.confidence == (0.75, 1.0)
    assert all(share >= MIN_WORD_SHARE for share in support.confidence)


def test_case_possessives_and_small_words_do_not_matter() -> None:
    assert texts(find_supports("The PARIS's bridges were over a river.", (PARIS,))) == [
        "The PARIS's bridges were over a river."
    ]


def test_a_title_counts_as_said() -> None:
    source = Source("a", "Opening hours of the bakery", "Monday to Friday, 7 to 18.")
    assert len(find_supports("The bakery opens Monday, 7 to 18.", (source,))) == 1


def test_without_sources_there_is_nothing() -> None:
    assert find_supports("Paris has 37 bridges.", ()) == ()


WORDS = st.sampled_from(
    [
        "Paris",
        "37",
        "2.1",
        "bridges",
        "Brücken",
        "the",
        "☕",
        "Zürich",
        "naïve",
        "…",
        ".",
        "!",
        "\n",
        "” ",
        "'",
    ]
)
TEXTS = st.lists(st.one_of(WORDS, st.text(max_size=6)), max_size=30).map(" ".join)
SOURCES = st.lists(st.builds(Source, st.just("file:a"), TEXTS, TEXTS), max_size=4)


@settings(max_examples=budget(20, 100))
@given(TEXTS, SOURCES)
def test_offsets_delimit_the_text_in_order_and_without_overlap(
    text: str, sources: list[Source]
) -> None:
    written, end = text.encode(), 0
    for support in find_supports(text, sources):
        assert end <= support.start < support.end <= len(written)
        assert written[support.start : support.end].decode() == support.text
        assert support.text == support.text.strip()
        assert len(support.sources) == len(support.confidence) >= 1
        assert all(0 <= place < len(sources) for place in support.sources)
        end = support.end


@settings(max_examples=budget(20, 100))
@given(TEXTS)
def test_a_source_that_holds_the_answer_supports_every_sentence_that_says_anything(
    text: str,
) -> None:
    own = find_supports(text, (Source("a", "", text),))
    other = find_supports(text, (Source("a", "", "unrelated"),))
    assert all(support.confidence == (1.0,) for support in own)
    assert len(own) >= len(other)


STRONG = "It had a magnitude of 7.0."


@pytest.mark.parametrize("run", ["!" * 200_000, "." * 200_000, "'\"" * 100_000, "a." * 100_000])
def test_text_that_degenerates_is_looked_at_once(run: str) -> None:
    """Splitting it took minutes, on everybody's loop; now it is work that nobody notices."""
    (found, *_) = find_supports(f"{STRONG} {run}x", (Source("a", "", STRONG),))
    assert found.text == STRONG


def test_half_a_character_breaks_nothing() -> None:
    text = f"\ud83d {STRONG} {STRONG}"
    first, second = find_supports(text, (Source("a", "", STRONG),))
    assert (first.start, second.end) == (0, len(text))
