"""Search the user's own documents: candidates by bm25, ranked by coverage of the question.

A question is an OR of its words, or a natural question would find nothing; so the ranking must
separate answers from passages that share a word with it by chance. Each word weighs as much as it
is rare in the index, and a name or number twice that; the *coverage* of a passage is the weight
of the question's words that occur in it, its heading or its title, over the weight of all. A
passage below `FLOOR` is left out: no result is better than a wrong one that is read aloud. Since a
title belongs to all passages of its document, those with the words in their text come first.

A question that was misheard in part ("hamstrung was the earthquake in california") has words that
occur nowhere. If two others occur in a title, dates aside, `TITLE_FLOOR` is enough for it, unless
a name is missing: a name that was written with a capital was not misheard.

Function words of the question are left out, because an answer seldom has them. Endings need no
care: the index keeps the stems of words.
"""

from __future__ import annotations

import math
import re
import sqlite3
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from vivavoce.domain.content import Source
from vivavoce.engines.document_index import (
    PASSAGES,
    STRIDE,
    IndexVersion,
    default_index_path,
    index_version,
    open_read_only,
    require_full_text,
)
from vivavoce.engines.ports import EngineHost, SearchQuery, Settings
from vivavoce.engines.settings import read_settings
from vivavoce.engines.speech_text import FUNCTION_WORDS
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import ConfigError, EngineBusy, EngineMissing, ToolError

ENGINE = "search.local"


# --- the question ------------------------------------------------------------------------

MAX_CHARS = 1000
MAX_TERMS = 24

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september",
           "october", "november", "december")  # fmt: skip
_SHORT = {month[:3]: month for month in _MONTHS} | {"sept": "september"}
_MARKER = re.compile(r"^[^\S\n]*+\d{1,2}[.)]\s|(?<=\bvs)\.", re.M)
"""The number of an item in a list, and a full stop that ends no sentence."""
_WORD = re.compile(r"[^\W_]+(?:\.[^\W_](?![^\W_]))*")


@dataclass(frozen=True, slots=True)
class QuestionTerm:
    """One word of a question. `forms` are alternatives; `named` marks a name or number.

    A passage about another country, team or year answers another question, so names weigh more.
    `dated` marks a month or a number: many subjects have one in common.
    """

    forms: tuple[str, ...]
    named: bool = False
    dated: bool = False

    @property
    def match(self) -> str:
        """The term in the query language of the index, quoted, so that nothing is an operator."""
        return "(" + " OR ".join(f'"{form}"' for form in self.forms) + ")"


def question_terms(question: str) -> list[QuestionTerm]:
    """Return the content words of `question`, each once."""
    text = _MARKER.sub(" ", question[:MAX_CHARS])
    found: dict[str, QuestionTerm] = {}
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
        found[low] = QuestionTerm(_forms(low), dated or capital, dated)
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


# --- the ranking -------------------------------------------------------------------------

FLOOR = 0.65
TITLE_FLOOR = 0.5
"""Both measured by tests/engines/test_document_questions.py."""
IN_TITLE = 2
NAMED_WEIGHT = 2.0
CANDIDATES = 60
PER_DOCUMENT = 2
MAX_COUNT = 20
DEADLINE_S = 5.0
COMMON = 0.25
_BOOSTS = "4.0, 2.0, 1.0"
"""Of the title, the heading and the text."""
_PRIOR = 50
"""Passages that an index is thought to have on top, or rarity would mean nothing in a small one."""


@dataclass(frozen=True, slots=True)
class _Found:
    row: int
    score: float


@dataclass(slots=True)
class _Coverage:
    """Shares of a question that occur in a passage, and in its text alone."""

    covered: float = 0.0
    in_text: float = 0.0
    in_title: int = 0
    lacks_name: bool = False

    @property
    def answers(self) -> bool:
        """True above the floor."""
        about = self.in_title >= IN_TITLE and not self.lacks_name
        return self.covered >= (TITLE_FLOOR if about else FLOOR)


class LocalSearch:
    """Searches the index at `path`, which may be rebuilt or replaced meanwhile."""

    name = "local"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._workers = WorkerPool(ENGINE, workers=2, queue=32)

    async def search(self, query: SearchQuery) -> Sequence[Source]:
        """Return the best passages, two a document at most. Raises `ToolError`."""
        try:
            return await self._workers.run(lambda token: self._find_sources(query, token))
        except EngineBusy:
            raise ToolError(ENGINE, "Too many searches are under way.") from None
        except sqlite3.OperationalError as error:
            code = error.sqlite_errorcode
            if code == sqlite3.SQLITE_INTERRUPT:
                raise ToolError(ENGINE, "The search took too long.") from error
            raise ToolError(ENGINE, "The index of documents can't be opened.") from error
        except sqlite3.Error as error:
            raise ToolError(ENGINE, "The index of documents is damaged.") from error

    async def aclose(self) -> None:
        self._workers.close()

    def _find_sources(self, query: SearchQuery, token: CancelToken) -> Sequence[Source]:
        terms = question_terms(query.text)
        if not terms or query.count < 1:
            return ()
        until = time.monotonic() + DEADLINE_S
        with closing(open_read_only(self._path)) as connection:
            connection.set_progress_handler(
                lambda: token.cancelled or time.monotonic() > until, 10_000
            )
            ranked = _ranked(connection, terms)
            return _sources(connection, ranked, query)


def _ranked(connection: sqlite3.Connection, terms: Sequence[QuestionTerm]) -> list[_Found]:
    """Return the passages above the floor, best first."""
    (total,) = connection.execute("SELECT count(*) FROM passages").fetchone()
    total += _PRIOR
    shares = [_occurrences(connection, term) / total for term in terms]
    weights = [_weight(term, share, total) for term, share in zip(terms, shares, strict=True)]
    # Words that are nearly everywhere lead nowhere, and slowly.
    leading = [term for term, share in zip(terms, shares, strict=True) if share < COMMON]
    candidates = connection.execute(
        f"SELECT rowid, title, heading, text, -bm25(passages, {_BOOSTS}) AS score FROM passages"
        " WHERE passages MATCH ? ORDER BY score DESC LIMIT ?",
        (" OR ".join(term.match for term in leading or terms), CANDIDATES),
    ).fetchall()
    judged = _coverage([row[:4] for row in candidates], terms, weights)
    top = max((row[4] for row in candidates), default=1.0) or 1.0
    found = [
        _Found(row, 2 * judged[row].covered + judged[row].in_text + score / top)
        for row, *_, score in candidates
        if judged[row].answers
    ]
    return sorted(found, key=lambda each: (-each.score, each.row))


def _occurrences(connection: sqlite3.Connection, term: QuestionTerm) -> int:
    counted = "SELECT count(*) FROM passages WHERE passages MATCH ?"
    count: int = connection.execute(counted, (term.match,)).fetchone()[0]
    # A word that stands nowhere is no rarer than one that stands somewhere once.
    return max(1, count)


def _weight(term: QuestionTerm, share: float, total: int) -> float:
    """Return the rarity of a word as bm25 counts it; names and numbers count for more."""
    here = share * total
    rarity = math.log(1 + (total - here + 0.5) / (here + 0.5))
    return rarity * (NAMED_WEIGHT if term.named else 1.0)


def _coverage(
    candidates: Sequence[tuple[int, str, str, str]],
    terms: Sequence[QuestionTerm],
    weights: Sequence[float],
) -> dict[int, _Coverage]:
    """Measure the coverage of the question by each candidate.

    They are put into an index of their own, in memory, which needs one query for each word and not
    one for each word of each candidate.
    """
    judged = {row: _Coverage() for row, *_ in candidates}
    whole = sum(weights)
    with closing(sqlite3.connect(":memory:")) as small:
        small.execute(PASSAGES)
        small.executemany(
            "INSERT INTO passages (rowid, title, heading, text) VALUES (?, ?, ?, ?)", candidates
        )

        def rows(match: str) -> set[int]:
            occurs = "SELECT rowid FROM passages WHERE passages MATCH ?"
            return {row for (row,) in small.execute(occurs, (match,))}

        for term, weight in zip(terms, weights, strict=True):
            anywhere, in_text = rows(term.match), rows(f"text : {term.match}")
            titled = set() if term.dated else rows(f"title : {term.match}")
            for row, each in judged.items():
                each.covered += weight / whole * (row in anywhere)
                each.in_text += weight / whole * (row in in_text)
                each.in_title += row in titled
                each.lacks_name |= term.named and row not in anywhere
    return judged


def _sources(
    connection: sqlite3.Connection, ranked: Sequence[_Found], query: SearchQuery
) -> list[Source]:
    sources: list[Source] = []
    taken: dict[int, int] = {}
    for found in ranked:
        document = found.row // STRIDE
        row = connection.execute(
            "SELECT d.uri, d.title, p.text FROM documents d, passages p"
            " WHERE d.id = ? AND p.rowid = ?",
            (document, found.row),
        ).fetchone()
        # None: the document was removed between two queries.
        if row is None or taken.get(document, 0) >= PER_DOCUMENT:
            continue
        if query.excludes(urlsplit(row[0]).hostname or ""):
            continue
        taken[document] = taken.get(document, 0) + 1
        sources.append(Source(uri=row[0], title=row[1], text=row[2]))
        if len(sources) >= min(query.count, MAX_COUNT):
            break
    return sources


# --- building ----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DocumentSettings:
    """`path` is the index file; `document_index.default_index_path()` if it is absent."""

    path: str | Path = ""


async def create(settings: Settings, host: EngineHost) -> LocalSearch:
    """Build the engine `search.local`. Raises `ConfigError` and `EngineMissing`."""
    return LocalSearch(_index_in(settings))


def _index_in(settings: Settings) -> Path:
    given = read_settings(ENGINE, settings, DocumentSettings, '{ use = "local" }').path
    path = Path(given).expanduser() if given else default_index_path()
    require_full_text()
    fix = "Run `vivavoce index DIR`" + (f" --into {path}." if given else ".")
    match index_version(path):
        case IndexVersion.ABSENT:
            raise EngineMissing(ENGINE, "There is no index of documents.", fix)
        case IndexVersion.FOREIGN:
            raise ConfigError(f"{path} is no index of documents.", "Name another `path`.")
        case IndexVersion.OLD:
            problem = "The index of documents was made by another version."
            raise EngineMissing(ENGINE, problem, fix)
    return path
