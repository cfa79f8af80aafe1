"""Text for reading turned into text for speaking.

Models write Markdown, emoji, addresses and symbols even when told not to. Markdown is
walked as a tree (no asterisk is ever said); the rest is a table of small rules, in English
only: other languages get the symbols that need no words removed and are otherwise left
to the synthesizer. Numbers stay digits, since every synthesizer reads those.
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


class Reader:
    """Reads one answer aloud, piece by piece: remembers whether it is inside a block of code."""

    def __init__(self, language: str = "") -> None:
        self._english = not language or language.casefold().startswith("en")
        self._fence = ""

    def read(self, piece: str) -> str:
        """What to say for `piece`; empty if there is nothing to say."""
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
        return worded(_without_markdown(line), self._english)


def speakable(text: str, language: str = "") -> str:
    """What to say for a whole `text`; see `Reader`."""
    return Reader(language).read(text)


def named(text: str) -> str:
    """The names of the symbols in `text`: for an answer that is nothing but an emoji."""
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
_WHOLE = r"\d+(?:,\d{3})*"
_NUMBER = rf"{_WHOLE}(?:\.\d+)?"

_CURRENCIES = {
    "$": ("dollar", "cent"), "€": ("euro", "cent"), "£": ("pound", "penny"),
    "¥": ("yen", "sen"), "₹": ("rupee", "paisa"),
}  # fmt: skip
_PLURALS = {"penny": "pence", "yen": "yen", "sen": "sen", "foot": "feet", "hertz": "hertz",
            "kilohertz": "kilohertz", "megahertz": "megahertz", "gigahertz": "gigahertz",
            "degree Celsius": "degrees Celsius", "degree Fahrenheit": "degrees Fahrenheit",
            "kilometer per hour": "kilometers per hour", "mile per hour": "miles per hour",
            "meter per second": "meters per second"}  # fmt: skip
_SCALES = {"k": "thousand", "m": "million", "bn": "billion", "b": "billion"}
_UNITS = {
    "km/h": "kilometer per hour", "kph": "kilometer per hour", "mph": "mile per hour",
    "m/s": "meter per second", "km": "kilometer", "cm": "centimeter", "mm": "millimeter",
    "m": "meter", "mi": "mile", "ft": "foot", "kg": "kilogram", "mg": "milligram", "g": "gram",
    "lbs": "pound", "lb": "pound", "oz": "ounce", "ml": "milliliter", "mL": "milliliter",
    "l": "liter", "L": "liter", "kWh": "kilowatt hour", "kW": "kilowatt", "W": "watt",
    "Hz": "hertz", "kHz": "kilohertz", "MHz": "megahertz", "GHz": "gigahertz",
    "KB": "kilobyte", "MB": "megabyte", "GB": "gigabyte", "TB": "terabyte",
    "ms": "millisecond", "sec": "second", "s": "second", "min": "minute", "hrs": "hour",
    "hr": "hour", "h": "hour", "°C": "degree Celsius", "°F": "degree Fahrenheit", "°": "degree",
}  # fmt: skip
_FRACTIONS = {"1/2": "one half", "1/3": "one third", "2/3": "two thirds", "1/4": "one quarter",
              "3/4": "three quarters", "½": " one half", "⅓": " one third", "⅔": " two thirds",
              "¼": " one quarter", "¾": " three quarters"}  # fmt: skip
_ORDINALS = (
    "zeroth", "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth",
    "ninth", "tenth", "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth",
    "sixteenth", "seventeenth", "eighteenth", "nineteenth",
)  # fmt: skip
_TENS = ("", "", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
_DOMAINS = "com|org|net|edu|gov|io|ai|dev|app|info|co|uk|de|fr|eu|us|ca|jp"


def _plural(number: str, unit: str) -> str:
    return unit if number in ("1", "1.0") else _PLURALS.get(unit, f"{unit}s")


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


def _money(found: re.Match[str]) -> str:
    whole, cents, scale = found["whole"], found["cents"], found["scale"]
    unit, small = _CURRENCIES[found["sign"]]
    if scale:
        scale = _SCALES.get(scale.casefold(), scale)
        return f"{whole}{cents or ''} {scale} {_plural('2', unit)}"
    if cents and len(cents) != 3:
        return f"{whole}{cents} {_plural('2', unit)}"
    said = f"{whole} {_plural(whole, unit)}"
    if cents and int(cents[1:]):
        count = str(int(cents[1:]))
        said += f" and {count} {_plural(count, small)}"
    return said


def _unit(found: re.Match[str]) -> str:
    return f"{found['number']} {_plural(found['number'], _UNITS[found['unit']])}"


def _time(found: re.Match[str]) -> str:
    hour, minute, half = int(found["hour"]), int(found["minute"]), found["half"]
    said = str(hour)
    if minute:
        said += f" oh {minute}" if minute < 10 else f" {minute}"
    elif not half:
        said += " o'clock" if 0 < hour <= 12 else " hundred"
    return f"{said} {half[0].upper()} M" if half else said


def _ordinal(found: re.Match[str]) -> str:
    number = int(found[1])
    if number < 20:
        return _ORDINALS[number]
    tens, ones = divmod(number, 10)
    if ones:
        return f"{_TENS[tens]} {_ORDINALS[ones]}"
    return f"{_TENS[tens][:-1]}ieth"


def _decade(found: re.Match[str]) -> str:
    century, tens = found["century"] or "", int(found["tens"])
    name = f"{_TENS[tens][:-1]}ies" if tens > 1 else ""
    return f"{century} {name}".strip() if name else found.group()


_Rule = tuple[re.Pattern[str], "str | Callable[[re.Match[str]], str]"]
_UNIT_NAMES = "|".join(sorted(map(re.escape, _UNITS), key=len, reverse=True))
_ENGLISH: tuple[_Rule, ...] = (
    (re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"), _mail),
    (re.compile(r"(?:https?://|www\.)\S+", re.IGNORECASE), _address),
    (re.compile(rf"\b[a-z0-9][\w-]*(?:\.[\w-]+)*\.(?:{_DOMAINS})\b(?:/\S*)?"), _address),
    (re.compile(r"(?P<sign>[$€£¥₹])\s?(?P<whole>" + _WHOLE + r")(?P<cents>\.\d+)?"
                r"(?:\s?(?P<scale>thousand|million|billion|trillion|k|K|m|M|bn|B)\b)?"), _money),
    (re.compile(r"\b(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?![:\d])"
                r"(?:\s?(?P<half>[AaPp])\.?[Mm]\b)?"), _time),
    (re.compile(r"\b(?P<century>1[0-9]|20)?(?P<tens>[1-9])0s\b"), _decade),
    (re.compile(rf"\b(?P<number>{_NUMBER})[ \u00a0\u202f]?(?P<unit>{_UNIT_NAMES})(?![\w'/²³])"),
     _unit),
    (re.compile(rf"({_NUMBER})\s?%"), r"\1 percent"),
    (re.compile(r"(?<![\d/])[123]/[234](?![\d/])"), lambda m: _FRACTIONS.get(m[0], m[0])),
    (re.compile("[½⅓⅔¼¾]"), lambda m: _FRACTIONS[m[0]]),
    (re.compile(r"\b(\d{1,2})(?:st|nd|rd|th)\b"), _ordinal),
    (re.compile(r"(?<![\d-])(\d{1,2}|\d{4})\s?-\s?(\d{1,2}|\d{4})(?![\d-])"), r"\1 to \2"),
    (re.compile(r"(\d)\s?–\s?(\d)"), r"\1 to \2"),
    (re.compile(r"(\d)\s?[x×*]\s?(?=\d)"), r"\1 times "),
    (re.compile(r"(?<=\d)\s?\+\s?(?=\d)"), " plus "),
    (re.compile(r"(?<=\d)\s?÷\s?(?=\d)"), " divided by "),
    (re.compile(r"(?<=\d)\s?/\s?(?=\d)"), " "),
    (re.compile(r"(?<=\w) = (?=\w)"), " equals "),
    (re.compile(r" < (?=[\w-])"), " is less than "),
    (re.compile(r" > (?=[\w-])"), " is greater than "),
    (re.compile(r"(?<!\w)[-−](?=\d)"), "minus "),
    (re.compile(r"(?<!\w)[~≈]\s?(?=\d)"), "about "),
    (re.compile(r"#(?=\d)"), "number "),
    (re.compile(r"\be\.g\.,?"), "for example"),
    (re.compile(r"\bi\.e\.,?"), "that is"),
    (re.compile(r"\bw/o\b"), "without"),
    (re.compile(r"\bw/\s?(?=\w)"), "with "),
    (re.compile(r"(?<=\w)\s?&\s?(?=\w)"), " and "),
    (re.compile(r"\s?[→⇒]\s?|\s[-=]>\s"), " to "),
    (re.compile(r"(?<=\d)\s?°"), " degrees"),
)  # fmt: skip
_ANY_LANGUAGE: tuple[_Rule, ...] = (
    (re.compile(r"(?<=\w)/(?=\w)"), " "),
    (re.compile(r"[*_`~^|\\{}<>#\[\]]+"), " "),
    (re.compile(r"\s+([.,!?;:])"), r"\1"),
    (re.compile(r"\s+"), " "),
)


def worded(text: str, english: bool = True) -> str:
    """`text` with signs said as words or left out, as far as they can't be spoken."""
    for pattern, put in _ENGLISH if english else ():
        text = pattern.sub(put, text)
    text = "".join(map(_kept, text))
    for pattern, put in _ANY_LANGUAGE:
        text = pattern.sub(put, text)
    text = text.strip()
    return text if any(map(str.isalnum, text)) else ""


def _kept(character: str) -> str:
    """The character, unless it is a picture or part of one."""
    if unicodedata.category(character) in ("So", "Sk", "Cs", "Co", "Cn", "Cf", "Cc", "Me"):
        return "" if character in "\u200d\ufe0f" else " "
    return "" if "\ufe00" <= character <= "\ufe0f" else character
