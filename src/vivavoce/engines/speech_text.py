"""Split text for speech synthesis, normalize it for speaking, and define English stop words.

*Splitting*. The first piece comes early, so that sound can begin: at the first clause mark, or
after eight words. Later pieces are whole sentences, because a synthesizer's melody needs them. A
mark counts only when what follows shows that it ends something: "3.5", "e.g. this", "Dr. Who" and
"U.S. troops" stay whole; in doubt a piece goes on, which is never wrong, only later. White space
goes with the piece before it, and all pieces together equal the text.

*Normalizing*. Models write Markdown, emoji, addresses and symbols even when told not to. Markdown
is parsed into a tree, so no asterisk is ever spoken. Numbers, money, measures, dates and
abbreviations stay as they are, since synthesizers read those, each in its own language; a table of
small rules, for English only, replaces what hibari's text analysis reads wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.token import Token

_MAX_PIECE_CHARS = 240
_EARLY_WORDS = 8
_EARLY_CHARACTERS = 12
"""A first piece shorter than this ("Oh,") is too short to synthesize alone."""

_STOPS = ".!?…"
_WIDE_STOPS = "。！？｡؟।॥"
_CLAUSE_MARKS = ",;:—–"
_WIDE_CLAUSE_MARKS = "，、；：،؛"
_CLOSERS = "\"')]}»”’*_`~」』）】"

_STOP = re.compile(f"[\n{_STOPS}{_WIDE_STOPS}]")
_EARLY = re.compile(f"[\n{_STOPS}{_WIDE_STOPS}{_CLAUSE_MARKS}{_WIDE_CLAUSE_MARKS}]")
_AFTER = re.compile(f"[{re.escape(_STOPS + _WIDE_STOPS + _CLOSERS)}]*")
_GAP = re.compile(r"\s*")
_EIGHT_WORDS = re.compile(rf"\s*(?:\S+\s+){{{_EARLY_WORDS}}}(?=\S)")
_ITEM_NUMBER = re.compile(r"[ \t]*\d{1,3}$")

_BEFORE_NAMES = frozenset(
    ["dr", "mr", "mrs", "ms", "prof", "st", "vs", "e.g", "i.e", "gov", "sen", "rep", "rev", "hon",
     "capt", "lt", "sgt", "col", "gen", "cf", "approx", "mt", "fr"]
)  # fmt: skip
"""Abbreviations that never end a sentence."""

_BEFORE_CAPITALS = frozenset(
    ["etc", "a.m", "p.m", "jr", "sr", "inc", "ltd", "co", "corp", "dept", "est", "vol", "fig",
     "no", "al", "pp", "min", "max", "ave", "blvd", "rd", "jan", "feb", "mar", "apr", "jun",
     "jul", "aug", "sep", "sept", "oct", "nov", "dec", "mon", "tue", "wed", "thu", "fri", "sat",
     "sun"]
)  # fmt: skip
"""Abbreviations, and words that look like one, after which a capital begins a sentence."""


class SentenceSplitter:
    """Splits one answer into pieces of at most `longest` characters.

    `early` asks for an early first piece.
    """

    def __init__(self, longest: int = _MAX_PIECE_CHARS, early: bool = True) -> None:
        self._longest = longest
        self._early = early
        self._text = ""

    def feed(self, text: str) -> list[str]:
        """Append `text`; returns the pieces that it completes."""
        self._text += text
        return list(self._pieces(final=False))

    def flush(self) -> list[str]:
        """End the text; returns the remaining pieces."""
        return list(self._pieces(final=True))

    def _pieces(self, final: bool) -> Iterator[str]:
        while self._text and (end := self._end(final)) is not None:
            piece, self._text = self._text[:end], self._text[end:]
            if piece.strip():
                self._early = False
            yield piece

    def _end(self, final: bool) -> int | None:
        """Return the end of the next piece; `None` while that can't be known."""
        words = _EIGHT_WORDS.match(self._text) if self._early else None
        window = min(self._longest, words.end() if words else len(self._text))
        for mark in (_EARLY if self._early else _STOP).finditer(self._text, 0, window):
            if (end := self._end_after(mark, final)) is not None:
                return min(end, self._longest)
        if words and words.end() <= self._longest:
            return words.end()
        if len(self._text) > self._longest:
            return self._forced()
        return len(self._text) if final else None

    def _end_after(self, mark: re.Match[str], final: bool) -> int | None:
        """Return the end of a piece that this mark ends, past quotes and white space."""
        symbol, index = mark.group(), mark.start()
        if symbol == "\n":
            if not self._text[:index].strip():
                return None
        elif symbol in _CLAUSE_MARKS + _WIDE_CLAUSE_MARKS and index + 1 < _EARLY_CHARACTERS:
            return None
        after = _match_end(_AFTER, self._text, index + 1)
        end = _match_end(_GAP, self._text, after)
        if end == len(self._text) and not final:
            return None
        if symbol == "\n" or symbol in _WIDE_STOPS + _WIDE_CLAUSE_MARKS:
            return end
        if end == after:
            return None
        if symbol == "." and after == index + 1 and self._goes_on(index, end):
            return None
        return end

    def _goes_on(self, index: int, following: int) -> bool:
        """Return whether the full stop belongs to an abbreviation, an initial or a list."""
        words = self._text[:index].split()
        word = words[-1].lstrip("\"'([{*_«“‘").casefold() if words else ""
        if _ITEM_NUMBER.fullmatch(self._text[:index].rpartition("\n")[2]):
            return True
        if word in _BEFORE_CAPITALS:
            return not self._text[following : following + 1].isupper()
        return word in _BEFORE_NAMES or (word != "i" and _is_initials(word))

    def _forced(self) -> int:
        """Return the end of a piece without a mark: after the last clause mark or white space."""
        window = self._text[: self._longest]
        for pattern in (rf".*[{_CLAUSE_MARKS}]\s|.*[{_WIDE_CLAUSE_MARKS}]", r".*\s"):
            found = re.match(pattern, window, re.DOTALL)
            if found and found.end() > self._longest // 3:
                return found.end()
        return self._longest


def split_sentences(text: str, longest: int) -> list[str]:
    """Return the pieces of a whole text, of at most `longest` characters each."""
    splitter = SentenceSplitter(longest, early=False)
    return [*splitter.feed(text), *splitter.flush()]


def _match_end(pattern: re.Pattern[str], text: str, start: int) -> int:
    found = pattern.match(text, start)
    return found.end() if found else start


def _is_initials(word: str) -> bool:
    """Return whether `word` is like "j" of "J. Smith" or "u.s" of "U.S."."""
    return all(len(letter) == 1 and letter.isalpha() for letter in word.split("."))


# --- text for speaking -------------------------------------------------------------------

_FENCE = re.compile(r"\s*(```|~~~)")
_TABLE_RULE = re.compile(r"\s*\|?[\s:|-]*-[\s:|-]*$")
_CODE_NOTICE = "Here is some code."


class TextNormalizer:
    """Normalizes one answer piece by piece; keeps track of open code blocks."""

    def __init__(self, language: str = "") -> None:
        self._english = not language or language.casefold().startswith("en")
        self._fence = ""

    def normalize(self, piece: str) -> str:
        """Return the speakable form of `piece`; empty if it has none."""
        lines = [spoken for line in piece.splitlines() if (spoken := self._line(line))]
        return " ".join(lines)

    def _line(self, line: str) -> str:
        fence = _FENCE.match(line)
        if self._fence:
            if fence and fence.group(1) == self._fence:
                self._fence = ""
            return ""
        if fence and line.count(fence.group(1)) % 2:
            self._fence = fence.group(1)
            return _CODE_NOTICE if self._english else ""
        return spell_symbols(_without_markdown(line), self._english)


def normalize_text(text: str, language: str = "") -> str:
    """Return the speakable form of a whole `text`; see `TextNormalizer`."""
    return TextNormalizer(language).normalize(text)


def symbol_names(text: str) -> str:
    """Return the names of the symbols in `text`, for an answer that is nothing but an emoji."""
    names = []
    for character in text:
        if unicodedata.category(character) in ("So", "Sm", "Po") and character not in _SILENT:
            names.append(unicodedata.name(character, "").casefold())
    return ", ".join(dict.fromkeys(filter(None, names)))


# --- Markdown ----------------------------------------------------------------------------


@cache
def _parser() -> MarkdownIt:
    from markdown_it import MarkdownIt

    return MarkdownIt("commonmark").enable("strikethrough")


def _without_markdown(line: str) -> str:
    line = line.strip()
    if line.startswith("|"):
        cells = [] if _TABLE_RULE.fullmatch(line) else line.strip("|").split("|")
        line = ", ".join(cell.strip() for cell in cells if cell.strip())
        return _ended(_without_markdown(line)) if line else ""
    spoken: list[str] = []
    complete = False
    for token in _parser().parse(line):
        if token.type in ("heading_open", "list_item_open"):
            complete = True
            spoken += [f"{token.info}: "] if token.info else []
        elif token.type in ("inline", "code_block"):
            spoken.append(_inline(token.children) if token.children else token.content)
    text = "".join(spoken).strip()
    return _ended(text) if complete else text


def _inline(tokens: Sequence[Token]) -> str:
    spoken = []
    for token in tokens:
        if token.type in ("text", "code_inline", "text_special"):
            spoken.append(token.content)
        elif token.type == "image":
            spoken.append(_inline(token.children) if token.children else "")
        elif token.type in ("softbreak", "hardbreak"):
            spoken.append(" ")
    return "".join(spoken)


def _ended(text: str) -> str:
    """Return a title or an item of a list as a sentence."""
    return text if not text or text[-1] in ".!?:;,…。！？" else f"{text}."


# --- words for symbols -------------------------------------------------------------------

_SILENT = frozenset("*_`~#|\\^{}[]<>\"“”«»'’‘.,!?;:…")
_NUMBER = r"\d+(?:,\d{3})*(?:\.\d+)?"
_UNITS = {"m": "meter", "m/s": "meter per second", "g": "gram", "l": "liter", "L": "liter",
          "h": "hour", "s": "second", "W": "watt"}  # fmt: skip
"""Units of one letter, which are otherwise read as a letter."""
_DOMAINS = "com|org|net|edu|gov|io|ai|dev|app|info|co|uk|de|fr|eu|us|ca|jp"


def _address(found: re.Match[str]) -> str:
    host = re.sub(r"^(?:https?://)?(?:www\.)?", "", found.group(), flags=re.IGNORECASE)
    host, slash, _ = host.partition("/")
    tail = host[len(host.rstrip(".,;:!?)")) :] if not slash else ""
    tail = tail or found.group()[len(found.group().rstrip(".,;:!?)")) :]
    return host.rstrip(".,;:!?)").replace(".", " dot ").replace("-", " dash ") + tail


def _mail(found: re.Match[str]) -> str:
    name, _, host = found.group().partition("@")
    spoken = f"{name} at {host}"
    return spoken.replace(".", " dot ").replace("_", " underscore ").replace("-", " dash ")


def _unit(found: re.Match[str]) -> str:
    unit, *rest = _UNITS[found["unit"]].split(" ", 1)
    return " ".join([found["number"], unit if found["number"] == "1" else f"{unit}s", *rest])


_Rule = tuple[re.Pattern[str], "str | Callable[[re.Match[str]], str]"]
_UNIT_NAMES = "|".join(sorted(_UNITS, key=len, reverse=True))
_ENGLISH: tuple[_Rule, ...] = (
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), _mail),
    (re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE), _address),
    (re.compile(rf"\b[a-z0-9][\w-]*(?:\.[\w-]+)*\.(?:{_DOMAINS})\b(?:/\S*)?"), _address),
    (re.compile(rf"(?<![\d.,$€£¥₹])({_NUMBER})\s?([€£$])(?!\d)"), r"\2\1"),
    (re.compile(r"([$€£]\d+(?:\.\d+)?)\s?bn\b"), r"\1 billion"),
    (re.compile(rf"(?<![\w.,$€£¥₹])(?!\d*0s\b)(?P<number>{_NUMBER})\s?(?P<unit>{_UNIT_NAMES})"
                r"(?![a-zA-Z0-9'’/])"), _unit),
    (re.compile(r"(?<!\w)(\d)['′](\d\d?)[\"″](?!\w)"), r"\1 foot \2"),
    (re.compile(r"(?<=\d)\s?[x*]\s?(?=\d)"), " times "),
    (re.compile(r"(?<![\d/])(1[3-9]|[2-9]\d|\d{3})/(\d{1,3})(?![\d/])"), r"\1 \2"),
    (re.compile(r"\s?≤\s?"), " at most "),
    (re.compile(r"\s?≥\s?"), " at least "),
    (re.compile(r"(?<!\w)−(?=\d)"), "-"),
    (re.compile(r"(?<!\w)[~≈]\s?(?=\d)"), "about "),
    (re.compile(r"\b([A-G])#(?!\w)"), r"\1 sharp"),
    (re.compile(r"#(?=\d)"), "number "),
    (re.compile(r"\s[-=]>\s"), " to "),
    (re.compile(r"\be\.g\.,?"), "for example"),
    (re.compile(r"\bi\.e\.,?"), "that is"),
)  # fmt: skip
_OTHERS: tuple[_Rule, ...] = ((re.compile(r"(?<=\w)/(?=\w)"), " "),)
_ANY_LANGUAGE: tuple[_Rule, ...] = (
    (re.compile(r"[*_`~^|\\{}#\[\]]+"), " "),
    (re.compile(r"\s+([.,!?;:])"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def spell_symbols(text: str, english: bool = True) -> str:
    """Replace symbols that synthesizers can't read by words, or leave them out."""
    for pattern, put in _ENGLISH if english else _OTHERS:
        text = pattern.sub(put, text)
    text = "".join(map(_kept, text))
    for pattern, put in _ANY_LANGUAGE:
        text = pattern.sub(put, text)
    text = text.strip()
    return text if any(map(str.isalnum, text)) else ""


def _kept(character: str) -> str:
    """Return the character, or a blank for a picture, or nothing for a part of one."""
    if character == "°":
        return character
    if unicodedata.category(character) in ("So", "Sk", "Cs", "Co", "Cn", "Cf", "Cc", "Me"):
        return "" if character in "\u200d\ufe0f" else " "
    return "" if "\ufe00" <= character <= "\ufe0f" else character


# --- function words ----------------------------------------------------------------------


def word_set(text: str) -> frozenset[str]:
    """Return the words of `text` as a set."""
    return frozenset(text.split())


STOP_WORDS = word_set(
    "a an the of to for in on at by with and or my our your his her their its it this that these"
    " those some any please me i we you is are be do does so just now then there here up down off"
    " out from as into all"
)
"""Words that say little about which function is meant."""

FUNCTION_WORDS = STOP_WORDS | word_set(
    "who whom whose what what's when where which why how many much did does was were can could tell"
    " about find know information look search google use has have had there will would should must"
    " may between against before after during over under until again not only also than vs versus"
    " close deep early far fast heavy high hot late old often soon strong tall wide long big"
    " cause causes caused reason reasons happen happens happened happening s t m d re ve ll"
)
"""Words that carry no topic. A text that answers "how deep" or "what causes" seldom has the word of
measure or cause. With this list the document search misses 1 of 63 questions and finds something
for 4 of 60 others (tests/engines/test_document_questions.py)."""
