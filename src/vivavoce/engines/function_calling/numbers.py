"""Numbers in words and digits: `twenty one point five`, `a hundred and two`, `two forty`, `7`."""

from __future__ import annotations

import re

_BELOW_TWENTY = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    " fifteen sixteen seventeen eighteen nineteen"
)
DIGIT_NAMES = tuple(_BELOW_TWENTY.split()[:10])
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_UNITS = {word: value for value, word in enumerate(_BELOW_TWENTY.split())}
_TENS = {word: (value + 2) * 10 for value, word in enumerate(_DECADES.split())}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_FIXED = {"half": 0.5, "quarter": 0.25, "dozen": 12, "twice": 2}
_AND_PARTS = (["and", "a", "half"], ["and", "a", "quarter"])
_TOKEN = re.compile(r"\d{1,3}(?:,\d{3})+(?![\w,])|\d+(?:[.,]\d+)?(?![a-z\d])|[a-z]+\d*\w*|\d+|[,;]")


def extract(text: str) -> list[int | float]:
    """Return the numbers in `text`, in their order."""
    return [value for value, _, _ in locate(text)]


def locate(text: str) -> list[tuple[int | float, int, int]]:
    """Return the numbers in `text`, each with its start and end."""
    parts = list(_TOKEN.finditer(text.lower()))
    tokens = [part.group() for part in parts]
    found: list[tuple[int | float, int, int]] = []
    place = 0
    while place < len(tokens):
        value, after = _number(tokens, place)
        if value is None:
            place += 1
        else:
            found.append((value, parts[place].start(), parts[after - 1].end()))
            place = after
    return found


def _number(tokens: list[str], place: int) -> tuple[int | float | None, int]:
    """Return the number that begins at token `place`, and the token after it."""
    token = tokens[place]
    negative = token in ("minus", "negative")
    start = place + 1 if negative else place
    if start < len(tokens) and tokens[start][0].isdigit():
        value: int | float | None = _digits(tokens[start])
        end = start + 1
        if end < len(tokens) and tokens[end] in _SCALES and value is not None:
            value, end = value * _SCALES[tokens[end]], end + 1
    else:
        value, end = _worded(tokens, start)
    if value is not None and tokens[end : end + 3] in _AND_PARTS:
        value, end = value + _FIXED[tokens[end + 2]], end + 3
    if value is None:
        if token in _FIXED:
            return _FIXED[token], place + 1
        return None, place
    return (-value if negative else value), end


def _digits(token: str) -> int | float:
    if re.fullmatch(r"\d{1,3}(?:,\d{3})+", token):
        token = token.replace(",", "")
    return int(token) if token.isdigit() else float(token.replace(",", "."))


def _worded(tokens: list[str], place: int) -> tuple[int | float | None, int]:
    total, group, last = 0, 0, ""
    start = place
    while place < len(tokens):
        token = tokens[place]
        if token in _UNITS and last != "unit":
            group, last = group + _UNITS[token], "unit"
        elif token in _TENS and last in ("", "scale"):
            group, last = group + _TENS[token], "tens"
        elif token in _TENS and 0 < group < 100 and not total and not _is_time(tokens, start):
            group, last = group * 100 + _TENS[token], "tens"
        elif (
            token == "a"
            and last == ""
            and tokens[place + 1 : place + 2]
            and (tokens[place + 1] in _SCALES)
        ):
            group, last = 1, "unit"
        elif token == "hundred" and group:
            group, last = group * 100, "scale"
        elif token in _SCALES and group:
            total, group, last = total + group * _SCALES[token], 0, "scale"
        elif not (token == "and" and last == "scale" and _continues(tokens, place + 1)):
            break
        place += 1
    if place == start:
        return None, start
    if tokens[place : place + 1] == ["point"] and tokens[place + 1 : place + 2]:
        decimals = ""
        end = place + 1
        while end < len(tokens) and _UNITS.get(tokens[end], 10) < 10:
            decimals += str(_UNITS[tokens[end]])
            end += 1
        if decimals:
            return float(f"{total + group}.{decimals}"), end
    return total + group, place


def _is_time(tokens: list[str], place: int) -> bool:
    """Return whether the number at `place` may be a time of day: "at two thirty", not 230."""
    return place > 0 and tokens[place - 1] in ("at", "by", "until", "till", "from", "around")


def _continues(tokens: list[str], place: int) -> bool:
    return place < len(tokens) and (tokens[place] in _UNITS or tokens[place] in _TENS)
