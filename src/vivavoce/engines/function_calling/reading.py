"""Which of the sentences that were found answer a question.

The answer is taken out of what was found and never written: one or two sentences, word for word,
those nearest to the question in meaning, in words and in kind (a date for "when", a number for
"how many"). One that begins with "these" or "such" takes along the sentence before it, in which
the reason stands. Nothing near enough is said to be nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vivavoce.engines.function_calling.seeking import telling
from vivavoce.engines.function_calling.sentence_embedding import MiniLM, Vector
from vivavoce.engines.lanes import CancelToken
from vivavoce.engines.sentences import Cutter

NEAR_ENOUGH = 0.55
"""The score from which a sentence is taken for an answer; see the table in the tests."""

_SHARED = 0.4
_IN_TITLE = 0.85
_KIND = 0.2
_MEASURE = 0.1
_QUESTION_IN_TEXT = 0.3
_SECOND = 0.06
_MOST_READ = 24
"""Sentences whose meaning is looked at: about 20 ms each."""
_LONGEST = 320
_SHORTEST_WORDS = 3

_DATE = re.compile(
    r"\b(?:\d{4}|\d{1,2}[:.]\d{2}|\d{1,2} ?[ap]\.?m|january|february|march|april|may \d|june|july"
    r"|august|september|october|november|december|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)"
    r"\.? \d|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|century|yesterday|today|tomorrow|noon"
    r"|midnight|years?|days?)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\b(?!(?:1[5-9]|20)\d\d\b)\d"
    r"|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty"
    r"|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|half|no)\b",
    re.IGNORECASE,
)
"""A number that is no year."""
_PLACE = re.compile(r"\b(?:in|at|near|on|off|from|to)\s+(?:the\s+)?(?!\w+day\b)[A-Z]")
_PERSON = re.compile(r"(?<!^)\b[A-Z][a-z]+\b")
_KINDS: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = (
    (re.compile(r"\bwhen\b|\bwhat (?:year|date|day|time|month)\b|\bhow long ago\b", re.I), _DATE),
    (
        re.compile(
            r"\bhow (?:many|much|far|tall|old|long|high|big|large|fast|deep|strong|often|hot"
            r"|cold)\b|\bwhat (?:percentage|number|price|magnitude)\b",
            re.I,
        ),
        _NUMBER,
    ),
    (re.compile(r"^where\b|\bwhat (?:city|country|place)\b", re.I), _PLACE),
    (re.compile(r"^who(?:se|m)?\b", re.I), _PERSON),
)
_MEASURES: tuple[tuple[re.Pattern[str], re.Pattern[str]], ...] = tuple(
    (re.compile(rf"\bhow (?:{asked})\b", re.I), re.compile(rf"\b(?:{told})\b", re.I))
    for asked, told in (
        ("strong|powerful", "magnitude|force|strength|power|category"),
        ("deep", "depth"),
        ("high|tall", "height|rises?|summit"),
        ("fast|quick", "speed|an hour|per (?:hour|second)"),
        ("far", "distance"),
        ("heavy", "weighs?|weight"),
        ("hot|cold|warm", "temperatures?|degrees"),
        ("much", "price|costs?|pays?|dollars?|euros?|pounds?|cents?"),
        ("often", "every|once|twice|times"),
    )
)
"""The word of the question, and those with which a text gives the number."""
_POINTS_BACK = re.compile(r"(?:this|that|these|those|such)\b(?! (?:week|month|year)\b)", re.I)
_LISTED = re.compile(r"^\s*(?:[-*•#>|]+|\d+[.)])\s+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that was found, under its title."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class _Sentence:
    passage: int
    place: int
    text: str


class Reader:
    """Finds the sentences that answer. Blocks: up to half a second."""

    def __init__(self, network: MiniLM) -> None:
        self._network = network

    def answer(self, question: str, passages: Sequence[Passage], token: CancelToken) -> list[str]:
        """The one or two sentences that answer, as they stand in the passages; or none."""
        asked = telling(question)
        sentences = [one for n, passage in enumerate(passages) for one in _sentences(n, passage)]
        titles = [telling(passage.title) for passage in passages]
        stems = {one: asked & telling(one.text) for one in sentences}
        weights = {stem: _weight(sum(stem in one for one in stems.values())) for stem in asked}
        told = {one: _overlap(weights, stems[one], titles[one.passage]) for one in sentences}
        nearest = sorted(sentences, key=lambda one: -told[one])[:_MOST_READ]
        meant = self._network.encode(question)
        scores: dict[_Sentence, float] = {}
        for one in nearest:
            if token.cancelled:
                return []
            title = passages[one.passage].title
            near = max(
                self._likeness(meant, one.text), self._likeness(meant, f"{title}: {one.text}")
            )
            scores[one] = near + _SHARED * told[one] + _suits(question, one.text)
        return _chosen(scores, sentences)

    def _likeness(self, meant: Vector, text: str) -> float:
        return float(meant @ self._network.encode(text))

    def first(self, passages: Sequence[Passage], most_signs: int = _LONGEST) -> list[str]:
        """What the passages begin with: whole sentences, up to so many signs."""
        found: list[str] = []
        for n, passage in enumerate(passages):
            for one in _sentences(n, passage):
                if found and sum(map(len, found)) + len(one.text) > most_signs:
                    return found
                found.append(one.text)
        return found


def _chosen(scores: dict[_Sentence, float], sentences: Sequence[_Sentence]) -> list[str]:
    """The best, and the one that it points back at, or a neighbour that is nearly as good."""
    best = max(scores, key=lambda one: scores[one], default=None)
    if best is None or scores[best] < NEAR_ENOUGH:
        return []
    before = next((s for s in sentences if _place(s) == (best.passage, best.place - 1)), None)
    if before is not None and _POINTS_BACK.match(best.text) and _fit(before, best):
        return [before.text, best.text]
    others = [
        one
        for one, score in scores.items()
        if one.passage == best.passage
        and abs(one.place - best.place) == 1
        and score >= max(NEAR_ENOUGH, scores[best] - _SECOND)
        and _fit(one, best)
    ]
    second = max(others, key=lambda one: scores[one], default=None)
    pair = [best] if second is None else sorted([best, second], key=lambda one: one.place)
    return [one.text for one in pair]


def _place(one: _Sentence) -> tuple[int, int]:
    return one.passage, one.place


def _fit(one: _Sentence, other: _Sentence) -> bool:
    return len(one.text) + len(other.text) <= _LONGEST


def _sentences(number: int, passage: Passage) -> list[_Sentence]:
    """A passage's sentences but its title, each as it stands there; none reaches over a line's
    end.
    """
    found: list[_Sentence] = []
    seen = {passage.title}
    for line in passage.text.splitlines():
        cutter = Cutter(longest=_LONGEST, early=False)
        for piece in (*cutter.feed(line), *cutter.flush()):
            text = _LISTED.sub("", piece).strip()
            if len(text.split()) < _SHORTEST_WORDS or text in seen:
                continue
            seen.add(text)
            found.append(_Sentence(number, len(found), text))
    return found


def _weight(times: int) -> float:
    """What a word is worth: more, the fewer sentences it stands in."""
    return 1 / math.sqrt(max(1, times))


def _overlap(asked: Mapping[str, float], here: set[str], title: set[str]) -> float:
    """Which share of the words asked for stands in a sentence; its title counts nearly as much."""
    most = sum(asked.values())
    above = (asked.keys() & title) - here
    said = sum(asked[stem] for stem in here) + _IN_TITLE * sum(asked[stem] for stem in above)
    return said / most if most else 0.0


def _suits(question: str, text: str) -> float:
    """Whether the sentence holds the kind of thing that is asked for."""
    fit = 0.0
    for asked, wanted in _KINDS:
        if asked.search(question):
            fit = _KIND if wanted.search(text) else -_KIND
            break
    if any(asked.search(question) and told.search(text) for asked, told in _MEASURES):
        fit += _MEASURE
    return fit - (_QUESTION_IN_TEXT if text.endswith("?") else 0.0)
