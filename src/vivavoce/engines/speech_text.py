"""Turn text for reading into text for speaking.

Models write Markdown, emoji, addresses and symbols even when told not to. Markdown is parsed into
a tree, so no asterisk is ever spoken. Numbers, money, measures, dates and abbreviations stay as
they are, since synthesizers read those, each in its own language; a table of small rules, for
English only, replaces what hibari's text analysis reads wrong.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it import MarkdownIt
    from markdown_it.token import Token

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
        lines = [said for line in piece.splitlines() if (said := self._line(line))]
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
    said: list[str] = []
    complete = False
    for token in _parser().parse(line):
        if token.type in ("heading_open", "list_item_open"):
            complete = True
            said += [f"{token.info}: "] if token.info else []
        elif token.type in ("inline", "code_block"):
            said.append(_inline(token.children) if token.children else token.content)
    text = "".join(said).strip()
    return _ended(text) if complete else text


def _inline(tokens: Sequence[Token]) -> str:
    said = []
    for token in tokens:
        if token.type in ("text", "code_inline", "text_special"):
            said.append(token.content)
        elif token.type == "image":
            said.append(_inline(token.children) if token.children else "")
        elif token.type in ("softbreak", "hardbreak"):
            said.append(" ")
    return "".join(said)


def _ended(text: str) -> str:
    """A title or a list's item is a sentence of its own."""
    return text if not text or text[-1] in ".!?:;,…。！？" else f"{text}."


# --- words for signs ---------------------------------------------------------------------

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
    said = f"{name} at {host}"
    return said.replace(".", " dot ").replace("_", " underscore ").replace("-", " dash ")


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
    """`text` with signs said as words or left out, as far as synthesizers can't read them."""
    for pattern, put in _ENGLISH if english else _OTHERS:
        text = pattern.sub(put, text)
    text = "".join(map(_kept, text))
    for pattern, put in _ANY_LANGUAGE:
        text = pattern.sub(put, text)
    text = text.strip()
    return text if any(map(str.isalnum, text)) else ""


def _kept(character: str) -> str:
    """The character, unless it is a picture or part of one."""
    if character == "°":
        return character
    if unicodedata.category(character) in ("So", "Sk", "Cs", "Co", "Cn", "Cf", "Cc", "Me"):
        return "" if character in "\u200d\ufe0f" else " "
    return "" if "\ufe00" <= character <= "\ufe0f" else character
