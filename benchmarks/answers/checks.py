"""Mechanical checks of a spoken answer.

Each returns what is wrong in a few words, nothing if all is well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

from .case import Rubric

NEARLY_EQUAL = 0.9
"""Similarity from which two answers count as the same."""

ECHO = 0.85
"""Similarity of the whole answer to what was said from which it counts as an echo."""

SHORTEST_WORDS = 4
"""Shorter answers ("You're welcome.") may come twice, and shorter echoes are greetings."""

STRETCH_WORDS = 8
"""So many words in a row of an earlier answer count as repeated, unless the user said them."""

_MARKDOWN = re.compile(r"\*\*|`|^\s*#|^\s*(?:[-*•]|\d+[.)])\s", re.MULTILINE)
_SENTENCE_END = re.compile(r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)[.!?…]+(?=\s|$|[\"')])")
_CLAUSE_END = re.compile(r"[,;:.!?…\n]+")
_FUNCTION_WORDS = {
    "en": "the is are a an of to and you i it in that for with can do have your my on be at was",
    "de": "der die das ist und ein eine ich du sie es nicht zu mit hat haben wie für von den dem",
    "fr": "le la les est un une des et je vous tu il elle de du que pour dans pas avec bien ça",
    "es": "el la los las es un una y yo tú usted de que en por para con no se muy está son",
}


def words(text: str) -> list[str]:
    """Lower-case words without marks."""
    return re.findall(r"[\w']+", text.casefold())


def sentence_count(text: str) -> int:
    """How many sentences there are; a rest without a mark at its end counts as one."""
    return sum(bool(words(part)) for part in _SENTENCE_END.split(text))


def language_of(text: str) -> str:
    """The language most of whose commonest words occur; empty if none does."""
    said = words(text)
    counts = {
        language: sum(word in common.split() for word in said)
        for language, common in _FUNCTION_WORDS.items()
    }
    best = max(counts, key=lambda language: counts[language])
    return best if counts[best] else ""


def similarity(one: str, other: str) -> float:
    """0..1 over the words of both."""
    return SequenceMatcher(None, words(one), words(other), autojunk=False).ratio()


def rubric_faults(answer: str, rubric: Rubric) -> Iterator[str]:
    """Everything in which an answer fails its rubric."""
    if not words(answer):
        yield "no words"
        return
    for pattern in rubric.must:
        if not re.search(pattern, answer, re.IGNORECASE | re.DOTALL):
            yield f"lacks {pattern}"
    for pattern in rubric.must_not:
        if re.search(pattern, answer, re.IGNORECASE | re.DOTALL):
            yield f"has {pattern}"
    if rubric.sentences is not None and sentence_count(answer) > rubric.sentences:
        yield f"{sentence_count(answer)} sentences"
    if rubric.words is not None and len(words(answer)) > rubric.words:
        yield f"{len(words(answer))} words"
    if rubric.sentences is not None and _MARKDOWN.search(answer):
        yield "a list or markup"
    if language_of(answer) not in ("", rubric.language):
        yield f"language {language_of(answer)}"
    yield from loop_faults(answer)


def loop_faults(answer: str) -> Iterator[str]:
    """A clause of at least three words that comes twice, or words four times in a row."""
    clauses = [tuple(words(part)) for part in _CLAUSE_END.split(answer)]
    long = [clause for clause in clauses if len(clause) >= 3]
    if len(set(long)) < len(long):
        yield "repeats its own clause"
        return
    said = words(answer)
    for size in range(1, 9):
        for at in range(len(said) - 4 * size + 1):
            stretch = said[at : at + size]
            if said[at : at + 4 * size] == stretch * 4:
                yield "loops"
                return


def is_echo(said: str, answer: str) -> bool:
    """Whether the answer is what was said, nothing but it, or begins with all of it."""
    asked = words(said)
    return len(asked) >= SHORTEST_WORDS and (
        similarity(said, answer) >= ECHO or words(answer)[: len(asked)] == asked
    )


def repeated_answer(said: Sequence[str], answers: Sequence[str]) -> int | None:
    """The turn whose answer the last one of `answers` nearly equals, unless it was asked again."""
    *earlier, latest = answers
    if len(words(latest)) < SHORTEST_WORDS:
        return None
    for turn, answer in enumerate(earlier):
        asked_again = similarity(said[turn], said[len(earlier)]) > NEARLY_EQUAL
        if similarity(answer, latest) > NEARLY_EQUAL and not asked_again:
            return turn
    return None


def repeated_words(said: Sequence[str], answers: Sequence[str]) -> tuple[int, str] | None:
    """An earlier turn and the words of its answer that stand in the last one of `answers` again.

    They are a whole sentence of at least `SHORTEST_WORDS`, or `STRETCH_WORDS` in a row, and the
    question was another one.
    """
    *earlier, latest = answers
    asked = said[len(earlier)]
    new, spoken = words(latest), " ".join(words(asked))
    sentences = [words(part) for part in _SENTENCE_END.split(latest)]
    for turn, answer in enumerate(earlier):
        if similarity(said[turn], asked) > NEARLY_EQUAL:
            continue
        old = {tuple(words(part)) for part in _SENTENCE_END.split(answer)}
        again = [one for one in sentences if len(one) >= SHORTEST_WORDS and tuple(one) in old]
        if again:
            return turn, " ".join(again[0])
        match = SequenceMatcher(None, words(answer), new, autojunk=False).find_longest_match()
        shared = " ".join(new[match.b : match.b + match.size])
        if match.size >= STRETCH_WORDS and shared not in spoken:
            return turn, shared
    return None


def conversation_faults(said: Sequence[str], answers: Sequence[str]) -> list[str]:
    """What is wrong in a whole conversation, by turn."""
    faults = []
    for turn, answer in enumerate(answers):
        if not words(answer):
            faults.append(f"turn {turn + 1}: no words")
            continue
        same = repeated_answer(said, answers[: turn + 1])
        if same is not None:
            faults.append(f"turn {turn + 1}: the answer of turn {same + 1} again: {answer!r}")
        elif (found := repeated_words(said, answers[: turn + 1])) is not None:
            faults.append(f"turn {turn + 1}: words of turn {found[0] + 1} again: {found[1]!r}")
        if is_echo(said[turn], answer):
            faults.append(f"turn {turn + 1}: echoes {said[turn]!r}: {answer!r}")
        faults += [f"turn {turn + 1}: {fault}: {answer!r}" for fault in loop_faults(answer)]
    return faults
