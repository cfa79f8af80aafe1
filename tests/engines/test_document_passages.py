"""How texts are cut into passages, and questions into what is looked for."""

from __future__ import annotations

import itertools
import time

import pytest

from vivavoce.engines.document_index import MAX_SENTENCE_WORDS, WORDS, IndexedPassage, passages
from vivavoce.engines.documents import Term, terms


def test_a_short_text_is_one_passage() -> None:
    assert passages("One here.\n\nTwo there.") == [IndexedPassage("", "One here.\nTwo there.")]


def test_a_title_without_a_mark_is_no_part_of_the_sentence_below_it() -> None:
    (only,) = passages("The tide\n\nIt comes twice a day. It goes\ntwice a day.")
    assert only.text == "The tide\nIt comes twice a day. It goes twice a day."


def test_a_heading_begins_another() -> None:
    text = (
        "Before.\n\n# First #\nUnder it.\n\nSecond\n------\n\nMore.\n\n## Empty\n\n## Third\nEnd."
    )
    assert passages(text) == [
        IndexedPassage("", "Before."),
        IndexedPassage("First", "Under it."),
        IndexedPassage("Second", "More."),
        IndexedPassage("Third", "End."),
    ]


def test_a_comment_in_code_is_no_heading() -> None:
    assert passages("```\n# not one\n```\nText.") == [IndexedPassage("", "# not one Text.")]


def test_long_sections_are_cut_at_sentences_and_overlap_by_one() -> None:
    sentences = [f"Sentence number {n} has a few words in it." for n in range(60)]
    found = [passage.text for passage in passages(" ".join(sentences))]
    assert len(found) > 3
    assert all(len(text.split()) <= WORDS for text in found)
    for before, after in itertools.pairwise(found):
        last = before.rpartition(". ")[2]
        assert after.startswith(last + " ")
    assert " ".join(sentences).split()[-1] in found[-1]
    assert all(any(sentence in text for text in found) for sentence in sentences)


def test_abbreviations_end_no_sentence() -> None:
    text = ("Dr. Miller met J. Smith in St. Gallen. " * 40).strip()
    assert all(passage.text.endswith("Gallen.") for passage in passages(text))


def test_words_without_an_end_are_cut_all_the_same() -> None:
    found = passages("word " * 5000 + "x" * 100_000)
    assert all(len(passage.text.split()) <= WORDS + MAX_SENTENCE_WORDS for passage in found)
    assert all(len(passage.text) < 20_000 for passage in found)


@pytest.mark.parametrize("text", ["", "\n\n", "# Only\n\n## Headings"])
def test_nothing_gives_nothing(text: str) -> None:
    assert passages(text) == []


@pytest.mark.parametrize("text", ["." * 300_000, "\"'" * 150_000, "A. " * 100_000, "#\n" * 150_000])
def test_odd_texts_end_in_time(text: str) -> None:
    began = time.thread_time()
    assert all(passage.text for passage in passages(text))
    assert time.thread_time() - began < 5


def test_content_words_remain_and_names_are_marked() -> None:
    assert terms("When did the last Brazil vs. Argentina soccer match happen?") == [
        Term(("last",)),
        Term(("brazil",), named=True),
        Term(("argentina",), named=True),
        Term(("soccer",)),
        Term(("match",)),
    ]


def test_months_stand_for_their_short_forms() -> None:
    assert terms("earthquake of Dec 5")[1].forms == ("dec", "december")
    assert terms("earthquake of December 5")[1].forms == ("december", "dec")
    assert terms("What may I do?") == []
    assert terms("What happened in May?") == [Term(("may",), named=True, dated=True)]


def test_a_word_counts_once_and_shouting_names_nobody() -> None:
    assert terms("OWL OWL OWL") == [Term(("owl",))]


def test_a_term_has_no_meaning_to_the_index() -> None:
    assert terms('owl" OR NEAR(x)')[0].match == '("owl")'
    assert terms("U.S.A. e-mail")[0].forms == ("usa",)


def test_measure_words_are_not_searched_for() -> None:
    assert terms("How old is the volcano?") == [Term(("volcano",))]
