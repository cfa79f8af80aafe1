"""Quotations that answer a question: whole sentences of the passages that were found.

An answer is never written, only quoted: from a passage in the prompt the 0.5B and 1.5B models
answer 6 and 7 of 10 questions rightly, and the others with another fact of the passage. A
sentence's score is the sum of its likeness in meaning, of the question's words that it holds,
each weighted by its inverse document frequency, and of the kind of answer that is asked for.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass

from vivavoce.engines.function_calling.search_query import content_words
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.text import split_sentences
from vivavoce.engines.workers import CancelToken

MIN_SCORE = 0.7
"""The score from which a sentence is taken for an answer; chosen on the tests' tables."""

_MIN_LIKENESS = 0.35
"""What a sentence must have in meaning; the least of 71 right quotations had 0.39."""
_MIN_LIKENESS_ALONE = 0.6
"""The same for a sentence with none of the question's words that do not stand in the title."""
_WORDS_WEIGHT = 0.6
_TITLE_SHARE = 0.7
"""What a word of the question counts that stands in the title and not in the sentence."""
_NAME_WEIGHT = 2.0
_KIND_WEIGHT = 0.2
_CONFLICT = 0.5
"""Taken off a sentence about another weekday or year than the one asked for."""
_QUESTION_IN_TEXT = 0.3
_SECOND_MARGIN = 0.06
_MAX_EMBEDDED = 24
"""Sentences that are embedded: about 20 ms each."""
_MAX_CHARS = 320
_FEWEST_WORDS = 3

_WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_DAY = rf"(?:{'|'.join(_WEEKDAYS)})"
_WEEKDAY = re.compile(
    rf"\b({_DAY})s?\b(?:\s*(?:to|until|through|-|–)\s*({_DAY})\b)?", re.IGNORECASE
)
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_NAME = re.compile(r"(?<=[\w,] )[A-Z]\w+")
_DATE = re.compile(
    rf"{_YEAR.pattern}|\b{_DAY}|\d[:.]\d\d|\d ?[ap]\.?m|\b(?:january|february|march|april|may \d"
    r"|june|july|august|september|october|november|december|(?:yester|to)?days?|years?|century"
    r"|noon|midnight|hours?|morning|evening|moon)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\b(?!(?:1[5-9]|20)\d\d\b)\d"
    r"|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty"
    r"|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|half|no|every|nothing)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\b(?:in|at|near|on|off|from|to)\s+(?:the\s+)?(?!\w+day\b)[A-Z]")
_PERSON = re.compile(r"(?<!^)\b[A-Z][a-z]+\b")
_KINDS = tuple(
    (re.compile(asked, re.IGNORECASE), answer)
    for asked, answer in (
        (r"\bwhen\b|\bwhat (?:year|date|day|time|month)\b|\bhow long ago\b", _DATE),
        (
            r"\bhow (?!do|does|did|is|are|was|were|can|should)\w+\b|\bwhat (?:number|price)\b",
            _NUMBER,
        ),
        (r"^where\b|\bwh(?:at|ich) (?:city|country|place)\b", _PLACE),
        (r"^who(?:se|m)?\b", _PERSON),
    )
)
"""The kinds of answers: a pattern of the question, and one that the answer matches."""
_POINTS_BACK = re.compile(r"(?:this|that|these|those|such)\b(?! (?:week|month|year)\b)", re.I)
_PRONOUN = re.compile(r"(?:it|he|she|they)\b", re.IGNORECASE)
_ASKS_FOR_SUBJECT = re.compile(r"(?:who|which|what)\b", re.IGNORECASE)
_HEADING = re.compile(r"(?:#+\s*)?(?![-*•>|])[^\d:|]{1,60}(?<![.!?;,])")
_LISTED = re.compile(r"^\s*(?:[-*•#>|]+|\d+[.)])\s+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that was found, and the title of its document."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of the passage `passage`, the `place`-th of it; `title` holds its headings."""

    passage: int
    place: int
    text: str
    title: str

    def precedes(self, other: _Sentence) -> bool:
        return (self.passage, self.place + 1) == (other.passage, other.place)

    def fits(self, other: _Sentence) -> bool:
        return len(self.text) + len(other.text) <= _MAX_CHARS


class Quoter:
    """Finds the sentences that answer. Blocks: up to half a second."""

    def __init__(self, encoder: MiniLM) -> None:
        self._encoder = encoder

    def quote(self, question: str, passages: Sequence[Passage], cancel: CancelToken) -> list[str]:
        """The one or two sentences that answer, as they stand in the passages; or none."""
        sentences = [one for n, passage in enumerate(passages) for one in _sentences(n, passage)]
        lexical = _word_overlap(question, sentences)
        nearest = sorted(sentences, key=lambda one: -lexical[one])[:_MAX_EMBEDDED]
        asked, wanted = self._encoder.encode(question), content_words(question)
        scores: dict[_Sentence, float] = {}
        alone: dict[_Sentence, float] = {}
        for one in nearest:
            if cancel.cancelled:
                return []
            vectors = self._encoder.encode_all([one.text, f"{one.title}: {one.text}"])
            alone[one], titled = (float(asked @ vector) for vector in vectors)
            likeness = max(alone[one], titled)
            scores[one] = likeness + _WORDS_WEIGHT * lexical[one] + _kind_score(question, one)
        best = max(scores, key=lambda one: scores[one], default=None)
        if best is None or scores[best] < MIN_SCORE:
            return []
        own = wanted - content_words(best.title)
        is_about = not own or own & content_words(best.text)
        if alone[best] < (_MIN_LIKENESS if is_about else _MIN_LIKENESS_ALONE):
            return []
        return _with_neighbor(question, best, scores, sentences)

    def beginning(self, passages: Sequence[Passage], max_chars: int = _MAX_CHARS) -> list[str]:
        """Return what the passages begin with: whole sentences, up to so many characters."""
        found: list[str] = []
        for n, passage in enumerate(passages):
            for one in _sentences(n, passage):
                if found and sum(map(len, found)) + len(one.text) > max_chars:
                    return found
                found.append(one.text)
        return found


def _word_overlap(question: str, sentences: Sequence[_Sentence]) -> dict[_Sentence, float]:
    """Return how much of the question's content each sentence and its title hold, up to 1.

    Negative where the names of the question are missing from both and from the passage.
    """
    wanted = content_words(question)
    names = content_words(" ".join(_NAME.findall(question)))
    held = {one: wanted & content_words(one.text) for one in sentences}
    titled = {one: wanted & content_words(one.title) for one in sentences}
    weights: dict[str, float] = {}
    for word in wanted:
        count = sum(word in found for found in held.values())
        rarity = math.log(1 + (len(sentences) - count + 0.5) / (count + 0.5))
        weights[word] = rarity * (_NAME_WEIGHT if word in names else 1.0)
    total = sum(weights.values()) or 1.0
    around: dict[int, set[str]] = {}
    for one in sentences:
        around.setdefault(one.passage, set()).update(held[one] | titled[one])
    return {
        one: sum(
            weight * (1.0 if word in held[one] else _TITLE_SHARE * (word in titled[one]))
            for word, weight in weights.items()
        )
        / total
        - sum(weights[name] for name in names - around[one.passage]) / total
        for one in sentences
    }


def _kind_score(question: str, one: _Sentence) -> float:
    """Whether a sentence holds the kind of thing that is asked for, and no other day or year."""
    fit = 0.0
    for asked, answer in _KINDS:
        if asked.search(question):
            fit = _KIND_WEIGHT if answer.search(one.text) else -_KIND_WEIGHT
            break
    wanted, held = _weekdays(question), _weekdays(one.text)
    years, held_years = set(_YEAR.findall(question)), set(_YEAR.findall(f"{one.title} {one.text}"))
    if (wanted and held and not wanted & held) or (years and held_years and not years & held_years):
        fit -= _CONFLICT
    return fit - (_QUESTION_IN_TEXT if one.text.endswith("?") else 0.0)


def _weekdays(text: str) -> set[str]:
    """The weekdays in a text; "Tuesday to Friday" names four."""
    found: set[str] = set()
    for match in _WEEKDAY.finditer(text):
        first = _WEEKDAYS.index(match[1].lower())
        last = _WEEKDAYS.index(match[2].lower()) if match[2] else first
        found |= {_WEEKDAYS[(first + n) % 7] for n in range((last - first) % 7 + 1)}
    return found


def _with_neighbor(
    question: str,
    best: _Sentence,
    scores: dict[_Sentence, float],
    sentences: Sequence[_Sentence],
) -> list[str]:
    """The best, and the one that it points back at, or a neighbor that is nearly as good."""
    before = next((one for one in sentences if one.precedes(best)), None)
    dangling = _POINTS_BACK.match(best.text) or (
        _PRONOUN.match(best.text) and _ASKS_FOR_SUBJECT.match(question)
    )
    if before is not None and dangling and before.fits(best):
        return [before.text, best.text]
    least = max(MIN_SCORE, scores[best] - _SECOND_MARGIN)
    others = [
        one
        for one, score in scores.items()
        if score >= least and (one.precedes(best) or best.precedes(one)) and one.fits(best)
    ]
    second = max(others, key=lambda one: scores[one], default=None)
    pair = [best] if second is None else sorted([best, second], key=lambda one: one.place)
    return [one.text for one in pair]


def _sentences(number: int, passage: Passage) -> list[_Sentence]:
    """A passage's sentences as they stand there; none crosses a line's end.

    A short line without a closing mark is a heading: it belongs to the title of what follows.
    """
    found: list[_Sentence] = []
    seen = {passage.title}
    title = passage.title
    for line in map(str.strip, passage.text.splitlines()):
        if line in seen:
            continue
        if _HEADING.fullmatch(line):
            title = f"{passage.title}, {line.strip(' #')}"
            continue
        for piece in split_sentences(line, _MAX_CHARS):
            text = _LISTED.sub("", piece).strip()
            if len(text.split()) >= _FEWEST_WORDS and text not in seen:
                seen.add(text)
                found.append(_Sentence(number, len(found), text, title))
    return found
