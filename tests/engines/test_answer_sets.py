"""The labelled sets for language models are well formed, and the checks see what they should."""

from __future__ import annotations

import re
import sys
from collections import Counter
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.answers import checks, measure
from benchmarks.answers.case import Question, Rubric
from benchmarks.answers.facts import FACTS
from benchmarks.answers.memories import MEMORIES
from benchmarks.answers.passages import PASSAGES
from benchmarks.answers.personas import PERSONAS
from benchmarks.answers.reports import REPORTS
from benchmarks.answers.requests import REQUESTS
from benchmarks.answers.runner import Answer

QUESTIONS = [*FACTS, *REQUESTS, *MEMORIES]
ASKED = [(passage, each) for passage in PASSAGES for each in passage.questions]


def test_the_sets_are_large_enough() -> None:
    assert len(FACTS) >= 40
    assert len(REQUESTS) >= 30
    assert len(MEMORIES) >= 12
    assert len(REPORTS) >= 12
    assert len(ASKED) >= 20
    assert [len(persona.lines) for persona in PERSONAS] == [30] * 5
    assert all(160 <= len(passage.text.split()) <= 260 for passage in PASSAGES)


def test_nothing_is_asked_twice() -> None:
    said = Counter([*(each.said for each in QUESTIONS), *(each.said for each in REPORTS)])
    assert [text for text, count in said.items() if count > 1] == []


def test_every_pattern_is_a_regular_expression() -> None:
    for rubric in [*(each.rubric for each in QUESTIONS), *(each.rubric for each in REPORTS)]:
        for pattern in (*rubric.must, *rubric.must_not):
            re.compile(pattern)


@pytest.mark.parametrize("question", MEMORIES, ids=lambda each: each.said)
def test_the_fact_was_said_two_to_four_turns_before(question: Question) -> None:
    assert len(question.history) % 2 == 0
    assert 2 <= len(question.history) // 2 <= 4
    assert not re.search(question.rubric.must[0], question.said, re.IGNORECASE)


def test_the_sentences_of_the_passages_answer_by_themselves() -> None:
    for passage, question in ASKED:
        assert question.sentence in passage.text
        answer = Answer(question.sentence)
        assert measure.passage_faults(question, answer) == []
        other = next(each for each in passage.questions if each is not question)
        assert measure.passage_faults(other, answer) != []


@pytest.mark.parametrize(
    ("answer", "fault"),
    [
        ("It is Paris, the capital of France.", ""),
        ("", "no words"),
        ("It is Rome.", "lacks paris"),
        ("Paris. One. Two. Three.", "4 sentences"),
        ("1. Paris\n2. Lyon", "a list or markup"),
        ("**Paris**", "a list or markup"),
        ("C'est Paris, la capitale de la France.", "language fr"),
        ("The city is Paris, the city is Paris.", "repeats its own clause"),
        ("Paris is so so so so nice.", "loops"),
        ("Paris is really really really nice.", ""),
    ],
)
def test_a_fault_of_an_answer_is_seen(answer: str, fault: str) -> None:
    rubric = Rubric(("paris",), sentences=3)
    faults = list(checks.rubric_faults(answer, rubric))
    assert fault in faults if fault else faults == []


def test_an_answer_that_comes_again_is_seen_unless_the_question_did() -> None:
    said = ["Tell me a joke.", "My name is Anna.", "Tell me a joke.", "Thanks a lot for that!"]
    joke = "Why did the hen cross the road? To get to the other side."
    assert checks.conversation_faults(said[:3], [joke, "Hello, Anna!", joke]) == []
    again = ["Sure, here is one.", joke, "I know no more.", joke.replace("hen", "duck")]
    assert [fault[:25] for fault in checks.conversation_faults(said, again)] == [
        "turn 4: the answer of tur"
    ]


def test_words_that_come_again_in_a_new_answer_are_seen() -> None:
    said = ["Do you like music?", "I like to read.", "And puzzles?", "Is it fun?"]
    fun = "can be a fun and relaxing activity for many people"
    faults = checks.conversation_faults(
        said,
        [
            f"Music {fun}.",
            f"That is nice, because reading a book {fun}.",
            "No. I like chess more.",
            "I like chess more.",
        ],
    )
    assert [fault.partition(": words of ")[2][:12] for fault in faults] == [
        "turn 1 again",
        "turn 3 again",
    ]


def test_an_echo_and_an_empty_answer_are_seen() -> None:
    said = ["When can I have breakfast?", "Hello!", "I went to sea once."]
    answers = ["When can I have breakfast?", " ", "I went to sea once, and I was a ship."]
    faults = checks.conversation_faults(said, answers)
    assert [fault.partition(" ")[2][:9] for fault in faults] == [
        "1: echoes",
        "2: no wor",
        "3: echoes",
    ]
