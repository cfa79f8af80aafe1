"""What a question looks for: its content words, each in the forms under which it may stand.

A question comes as it was spoken ("When did the last match happen?") or as a model put it. The
words that hold a question together, and those that talk about searching, are left out. Endings
are the index's own business: it keeps the stems of words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_CHARS = 1000
MAX_TERMS = 24

_LEFT_OUT = """
a about actually after again against all also am an and any anybody anyone anything are around as
at away be because been before being between both but by can could did do does doing done each
else ever every everybody everyone for from further get gets give given go goes going got had
happen happened happening happens has have having he her here him his how i if in into is it its
itself just know let like long made make many may me mean might more most much must my need no
nobody nor not now of off on once one only or other our out over own please said same say says
shall she should so some somebody someone something such take tell than thank thanks that the
their them then there these they thing things this those through to too under until up us use
using very was we were what whats when where which while who whom whose why will with would you
your
vs versus okay hey hello hi
google search searching searches look looking lookup find finding found information info internet
web online question answer details explain describe show article document documents page
m d s t re ve ll didn don doesn isn aren wasn weren hasn haven won wouldn couldn shouldn
"""
_STOP = frozenset(_LEFT_OUT.split())

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip
_SHORT = {month[:3]: month for month in _MONTHS} | {"sept": "september"}
_MARKER = re.compile(r"^\s*\d{1,2}[.)]\s|(?<=\bvs)\.", re.M)
"""The number of an item in a list, and a full stop that ends no sentence."""
_MEASURE = re.compile(
    r"\bhow (?:big|close|cold|deep|early|far|fast|heavy|high|hot|large|late|old|often|small|soon"
    r"|strong|tall|warm|wide)\b",
    re.I,
)
"""Asks for a number; the text that gives the number seldom has the word."""
_CAUSE = re.compile(
    r"\b(?:what(?: it is that|'s it that)?|which) (?:causes?|caused|(?:leads?|led) to"
    r"|(?:brings?|brought) about|triggers?|triggered|produces?|makes?|made)\b"
    r"|\b(?:what (?:is|are|was|were)|what's) (?:the )?(?:\w+ )?(?:causes?|reasons?|explanation)"
    r" (?:of|for|why|that|behind)\b"
    r"|\bfor (?:what|which) reasons?\b|\bhow come\b",
    re.I,
)
"""Asks for a reason; the text that gives the reason explains it without the word."""
_WORD = re.compile(r"[^\W_]+(?:\.[^\W_](?![^\W_]))*")


@dataclass(frozen=True, slots=True)
class Term:
    """One word that is looked for. `forms` stand for one another; `named` marks a name or number.

    A passage about another country, team or year answers another question, so names weigh more.
    `dated` marks a month or a number: many subjects have one in common.
    """

    forms: tuple[str, ...]
    named: bool = False
    dated: bool = False

    @property
    def match(self) -> str:
        """The term in the index's query language. Quoted, so nothing in it has a meaning."""
        return "(" + " OR ".join(f'"{form}"' for form in self.forms) + ")"


def terms(question: str) -> list[Term]:
    """The content words of `question`, each once. Empty if it has none."""
    text = _MARKER.sub(" ", _CAUSE.sub("why", _MEASURE.sub("how", question[:MAX_CHARS])))
    found: dict[str, Term] = {}
    shouted = not any(char.islower() for char in text)
    for match in _WORD.finditer(text):
        word = match[0].replace(".", "")
        low = word.lower()
        opening = not (before := text[: match.start()].rstrip(" \"'(")) or before[-1] in ".!?:\n"
        capital = word[0].isupper() and not opening and not shouted
        month = _SHORT.get(low, low) in _MONTHS and (low != "may" or capital)
        if (low in _STOP and not month) or low in found:
            continue
        dated = month or word[0].isdigit()
        found[low] = Term(_forms(low), dated or capital, dated)
        if len(found) >= MAX_TERMS:
            break
    return list(found.values())


def _forms(word: str) -> tuple[str, ...]:
    if word in _SHORT and word != "may":
        return word, _SHORT[word]
    if word in _MONTHS and word != "may":
        return word, word[:3]
    # The stems of "die" and "died" differ.
    return (word, word + "d") if word.endswith("ie") else (word,)
