"""Search terms of a question: its content words, each in the forms in which it may occur.

A question comes as it was spoken ("When did the last match happen?") or as a model put it.
Function words are left out. Endings are the index's own business: it keeps the stems of words.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vivavoce.engines.text import FUNCTION_WORDS

MAX_CHARS = 1000
MAX_TERMS = 24

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip
_SHORT = {month[:3]: month for month in _MONTHS} | {"sept": "september"}
_MARKER = re.compile(r"^[^\S\n]*+\d{1,2}[.)]\s|(?<=\bvs)\.", re.M)
"""The number of an item in a list, and a full stop that ends no sentence."""
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
    text = _MARKER.sub(" ", question[:MAX_CHARS])
    found: dict[str, Term] = {}
    shouted = not any(char.islower() for char in text)
    for match in _WORD.finditer(text):
        word = match[0].replace(".", "")
        low = word.lower()
        opening = not (before := text[: match.start()].rstrip(" \"'(")) or before[-1] in ".!?:\n"
        capital = word[0].isupper() and not opening and not shouted
        month = _SHORT.get(low, low) in _MONTHS and (low != "may" or capital)
        if (low in FUNCTION_WORDS and not month) or low in found:
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
