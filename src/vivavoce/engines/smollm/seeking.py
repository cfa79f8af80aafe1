"""What to search for, and which of the sentences found answers.

A search is asked for by words ("search for", "look up", "google"), or by a question that asks
for facts. Small talk, and questions about the assistant or the conversation, are none.

The answer is taken out of what was found and never written: one or two sentences, word for word,
those nearest to the question in meaning, in words and in kind (a date for "when", a number for
"how many"). Nothing near enough is said to be nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vivavoce.engines.lanes import CancelToken
from vivavoce.engines.sentences import Cutter
from vivavoce.engines.smollm import words
from vivavoce.engines.smollm.minilm import MiniLM, Vector
from vivavoce.engines.smollm.requests import bare, begs

NEAR_ENOUGH = 0.55
"""The score from which a sentence is taken for an answer; see the table in the tests."""

_SHARED = 0.4
_IN_TITLE = 0.85
_KIND = 0.2
_QUESTION_IN_TEXT = 0.3
_SECOND = 0.06
_MOST_READ = 24
"""Sentences whose meaning is looked at: about 20 ms each."""
_LONGEST = 320
_SHORTEST_WORDS = 3

_WEB = r"(?:google|the (?:web|internet|net))"
_ENGINE = rf"(?:{_WEB}(?: search)?|(?:a |the )?(?:web |internet )?search(?: tool| engine)?)"
_ONLINE = rf"(?:online|on {_WEB}|(?:using|with|via) {_ENGINE})"
_KNOWLEDGE = r"(?:(?:some|any|more|the) )?(?:info|information|details|facts)\b"
_SEEK = (
    rf"(?:search(?: (?:(?:on |in )?{_WEB}|online))?(?: for| about)?|look(?: it)? up"
    rf"|look online for|find out|find(?: me| us)? (?={_KNOWLEDGE})|google|research|check online"
    r"|see)"
)
_COMMAND = re.compile(
    rf"^(?:(?:use|using|with) {_ENGINE}\s*,?\s*(?:to|and|for)?\s*(?:{_SEEK}\b)?"
    rf"|do (?:a |an )?(?:\w+ )?search (?:for|on|about)\b"
    rf"|(?!see\b){_SEEK}\b)\s*",
    re.IGNORECASE,
)
_NAMED = re.compile(rf"\b(?:{_WEB}|online|(?:web|internet) search)\b", re.IGNORECASE)
_ABOUT = re.compile(
    r"^(?:(?:me|us)\s+)?(?:(?:some|any|more|all|the|latest)\s+)*"
    r"(?:info|information|details|facts|something|anything|everything|what (?:you|we) (?:can|know))"
    r"(?: (?:find|there is|you can find|out))?\s+(?:about|on|regarding|concerning|of|for)\s+"
    r"|^(?:about|on|for)\s+",
    re.IGNORECASE,
)
_TELL = re.compile(
    r"^(?:tell (?:me|us)|know|(?:do|can|could) you (?:know|tell me|find out)|what do you know"
    r"|what can you tell me|i(?:'d| would) like to know|i want to know|i wonder|explain(?: to me)?"
    r"|describe)\s+(?:(?:more|something|everything|a bit|a little)\s+)?(?:about\s+)?",
    re.IGNORECASE,
)
_FACT = re.compile(
    r"^(?:(?:who|what|where|when|how)(?:'s)?|whom|whose|which|why|define)\b", re.IGNORECASE
)
_WHETHER = re.compile(
    r"^(?:is|are|was|were|did|does|do|has|have|had|can|could|will)\b", re.IGNORECASE
)
_PERSONAL = re.compile(
    r"\b(?:you|your|yours|yourself|u)\b|\bmy name\b|\bwho am i\b|\bam i\b|\bdo i (?:look|sound)\b"
    r"|\b(?:did|have|had) (?:i|we) (?:just )?(?:say|said|ask|asked|tell|told|talk|talked)\b"
    r"|\bwhat(?:'s| is) up\b|\bhow(?:'s| is) it going\b|\bwhat(?:'s| is) (?:this|that|it)\??$"
    r"|\b(?:should|shall) (?:i|we)\b|\bjokes?\b|\ba (?:story|poem|song)\b|\bcan (?:i|we)\b",
    re.IGNORECASE,
)
_HOW_TO = re.compile(r"^how (?:do|can|should|does|would) (?:you|one|i|we)\b", re.IGNORECASE)
_EDGES = re.compile(r"^(?:the|a|an)\s+(?!who\b)|[\s?.!,;:]+$", re.IGNORECASE)
_TRAIL = re.compile(rf"\s+{_ONLINE}[\s?.!]*$", re.IGNORECASE)
_BACK = re.compile(
    r"\b(?:it|its|he|him|his|she|her|they|them|their|there|that|those|this)\b", re.IGNORECASE
)

_DATE = re.compile(
    r"\b(?:\d{4}|\d{1,2}[:.]\d{2}|\d{1,2} ?[ap]\.?m|january|february|march|april|may \d|june|july"
    r"|august|september|october|november|december|(?:jan|feb|mar|apr|jun|jul|aug|sept?|oct|nov|dec)"
    r"\.? \d|(?:mon|tues|wednes|thurs|fri|satur|sun)days?|century|yesterday|today|tomorrow|noon"
    r"|midnight|years?|days?)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\d|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty"
    r"|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|half|no)\b",
    re.IGNORECASE,
)
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
_ASKING = words.split_set(
    "who whom whose what when where which why how many much did does was were can could tell about"
    " find know information look search google use has have had there will would"
)
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


def is_asked_for(request: str) -> bool:
    """Whether the words themselves ask for a search."""
    plain = bare(request)
    return bool(_COMMAND.match(plain) or _TRAIL.search(plain))


def names_the_web(request: str) -> bool:
    """Whether nothing but a search can be meant: "google it", "look online"."""
    plain = bare(request)
    return is_asked_for(request) and bool(_NAMED.search(plain))


def query(request: str, before: str = "") -> str:
    """What to search for; empty if nothing is asked that a search could answer.

    `before` is what was searched for last: a question that points back at it takes it along.
    """
    plain = bare(request)
    told = _TRAIL.sub("", plain, count=1)
    commanded = _COMMAND.match(told)
    rest = told[commanded.end() :] if commanded else told
    curious = _TELL.match(rest)
    rest = rest[curious.end() :] if curious else rest
    if not commanded and told == plain:
        whether = _WHETHER.match(rest) and not begs(request)
        if not (curious or whether or _FACT.match(rest)):
            return ""
        if _PERSONAL.search(rest) and not _HOW_TO.match(rest):
            return ""
    rest = _ABOUT.sub("", rest, count=1)
    sought = _EDGES.sub("", _EDGES.sub("", rest)).strip()
    if not any(word not in words.EMPTY | _ASKING for word in words.of_speech(sought)):
        return before if commanded else ""
    if before and _BACK.search(sought):
        return f"{sought} {before}"
    return sought


class Reader:
    """Finds the sentences that answer. Blocks: up to half a second."""

    def __init__(self, network: MiniLM) -> None:
        self._network = network

    def answer(self, question: str, passages: Sequence[Passage], token: CancelToken) -> list[str]:
        """The one or two sentences that answer, as they stand in the passages; or none."""
        asked = _telling(question)
        sentences = [one for n, passage in enumerate(passages) for one in _sentences(n, passage)]
        titles = [_telling(passage.title) for passage in passages]
        stems = {one: asked & _telling(one.text) for one in sentences}
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
        return _chosen(scores)

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


def _chosen(scores: dict[_Sentence, float]) -> list[str]:
    """The best, and a neighbour of it that is nearly as good."""
    best = max(scores, key=lambda one: scores[one], default=None)
    if best is None or scores[best] < NEAR_ENOUGH:
        return []
    others = [
        one
        for one, score in scores.items()
        if one.passage == best.passage
        and abs(one.place - best.place) == 1
        and score >= max(NEAR_ENOUGH, scores[best] - _SECOND)
        and len(one.text) + len(best.text) <= _LONGEST
    ]
    second = max(others, key=lambda one: scores[one], default=None)
    pair = [best] if second is None else sorted([best, second], key=lambda one: one.place)
    return [one.text for one in pair]


def _sentences(number: int, passage: Passage) -> list[_Sentence]:
    """A passage's sentences, each as it stands there; none reaches over a line's end."""
    found: list[_Sentence] = []
    seen: set[str] = set()
    for line in passage.text.splitlines():
        cutter = Cutter(longest=_LONGEST, early=False)
        for piece in (*cutter.feed(line), *cutter.flush()):
            text = _LISTED.sub("", piece).strip()
            if len(text.split()) < _SHORTEST_WORDS or text in seen:
                continue
            seen.add(text)
            found.append(_Sentence(number, len(found), text))
    return found


def _telling(text: str) -> set[str]:
    """The stems of the words that say what it is about."""
    return {
        words.stem(word)
        for word in words.of_speech(text)
        if word not in words.EMPTY and word not in _ASKING
    }


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
    return fit - (_QUESTION_IN_TEXT if text.endswith("?") else 0.0)
