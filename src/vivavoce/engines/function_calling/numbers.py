"""Numbers, dates, times of day and durations in spoken English, and where they stand in a text.

A date or time stays in the user's words ("tomorrow at noon"): the function's owner knows the
current date and time zone. A duration becomes seconds ("an hour and a half" is 5400), a number a
number: `twenty one point five`, `a hundred and two`, `two forty`, `7`.
"""

from __future__ import annotations

import re

from vivavoce.engines.function_calling.words import Span, find_spans, plain

_BELOW_TWENTY = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen",
    "nineteen",
)  # fmt: skip
_DECADES = ("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
ORDINALS = (
    "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth", "tenth",
    "eleventh", "twelfth", "thirteenth", "fourteenth", "fifteenth", "sixteenth", "seventeenth",
    "eighteenth", "nineteenth", "twentieth",
)  # fmt: skip
DIGIT_NAMES = _BELOW_TWENTY[:10]
WEEKDAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_UNITS = {word: value for value, word in enumerate(_BELOW_TWENTY)}
_TENS = {word: value for value, word in zip(range(20, 100, 10), _DECADES, strict=True)}
_SCALES = {"hundred": 100, "thousand": 1000, "million": 1_000_000}
_FIXED = {"half": 0.5, "quarter": 0.25, "dozen": 12, "twice": 2}
_AND_PARTS = (["and", "a", "half"], ["and", "a", "quarter"])
_TOKEN = re.compile(r"\d{1,3}(?:,\d{3})+(?![\w,])|\d+(?:[.,]\d+)?(?![a-z\d])|[a-z]+\d*\w*|\d+|[,;]")


def find_numbers(text: str) -> list[int | float]:
    """Return the numbers in `text`, in their order."""
    return [value for value, _, _ in locate_numbers(text)]


def locate_numbers(text: str) -> list[tuple[int | float, int, int]]:
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


# --- dates, times and durations -----------------------------------------------------------

SECONDS = {"second": 1, "minute": 60, "hour": 3600, "day": 86400, "week": 604800}
_SHORT = {"sec": "second", "min": "minute", "hr": "hour"}
_BELOW_TEN = "|".join(DIGIT_NAMES[1:])
_N = (
    rf"(?:\d+(?:[.,]\d+)?|(?:{'|'.join(_BELOW_TWENTY)}"
    rf"|(?:{'|'.join(_DECADES)})(?:[ -](?:{_BELOW_TEN}))?"
    r"|(?:one |a |two )?hundred(?: and)?(?: (?:ten|twenty|thirty|forty|fifty|sixty|eighty))?))"
)
_UNIT = r"(?:seconds?|secs?|minutes?|mins?|hours?|hrs?|days?|weeks?)"
_LENGTH = re.compile(
    rf"\b(?:(?P<quarters>three quarters of an hour)|(?P<quarter>(?:a )?quarter of an hour)"
    rf"|(?P<half>half an? (?P<half_of>hour|minute|day)|(?:a )?half hour)"
    rf"|(?P<couple>a couple(?: of)? (?P<couple_of>minutes|hours|days|seconds))"
    rf"|(?P<many>{_N}|an?|(?<=next )(?=hour|minute))[ -]?(?P<and_half>and a half )?"
    rf"(?P<unit>{_UNIT})(?P<then_half> and a half)?(?P<then_quarter> and a quarter)?"
    rf"(?:,? (?:and )?(?P<more>{_N}) (?P<more_unit>{_UNIT}))?)\b"
)
_WEEKDAY = r"(?:(?:mon|tues|wednes|thurs|fri|satur|sun)days?|mon|tues?|wed|thurs?|fri|sat)"
_MONTH = (
    r"(?:january|february|march|april|may|june|july|august|september|october|november|december"
    r"|jan|feb|apr|aug|sept?|oct|nov|dec)"
)
_ORDINAL = (
    rf"(?:\d{{1,2}}(?:st|nd|rd|th)|(?:twenty|thirty)[ -](?:{'|'.join(ORDINALS[:9])})"
    rf"|{'|'.join(ORDINALS)}|thirtieth)"
)
_PART = r"(?:morning|afternoon|evening|night|noon)"
_DAY = (
    rf"(?:(?:the )?day after tomorrow|(?:today|tomorrow|yesterday)(?: {_PART})?|tonight"
    rf"|(?:(?:next|this|coming|last) |a week from )?{_WEEKDAY}(?: {_PART})?(?! timer)"
    rf"|(?:next|this|coming) (?:week(?:end)?|month|year|{_PART})|(?:the |at the )?weekend"
    rf"|(?:the )?{_ORDINAL}(?: of)? {_MONTH}|{_MONTH}(?: the)? (?:{_ORDINAL}|\d{{1,2}})\b"
    rf"|\d{{1,2}} {_MONTH}|the {_ORDINAL}\b(?! (?:one|time|floor|timer|alarm|song|item))"
    rf"|(?<=in ){_MONTH}|(?:next|this|last) {_MONTH}"
    rf"|(?:christmas|easter|new year's)(?: day| eve)?|\d{{4}}-\d\d-\d\d|\d{{1,2}}/\d{{1,2}})"
)
_HOUR = rf"(?:(?:2[0-4]|[01]?\d)(?!\d)|{'|'.join(_BELOW_TWENTY[1:13])})"
_MINUTES = (
    rf"(?:oh (?:{_BELOW_TEN})|ten|eleven|twelve|thirteen|fifteen"
    rf"|twenty|thirty|forty|fifty|(?:twenty|thirty|forty|fifty)[ -](?:{_BELOW_TEN}))"
)
_HALF_DAY = r"(?: ?(?:a\.?m\b\.?|p\.?m\b\.?|o'?clock))"
_CLEAR = (
    rf"(?:(?:half|(?:a )?quarter|{_N})(?: minutes)? (?:past|to|after) {_HOUR}{_HALF_DAY}?"
    rf"|half {_HOUR}(?= )|\d{{1,2}}[:.]\d\d{_HALF_DAY}?|{_HOUR}(?: {_MINUTES})?{_HALF_DAY}"
    r"|noon|midnight|midday|lunch ?time|dinner ?time)"
)
_BARE = (
    rf"(?:(?<=at )|(?<=by )|(?<=until )|(?<=till )|(?<=around )){_HOUR}(?: {_MINUTES})?\b"
    r"(?! (?:hundred|thousand|million|percent|degrees)\b)"
)
_OF_DAY = rf"(?: (?:in the (?:morning|afternoon|evening)|at night|sharp|{_PART}))"
_TIME = rf"(?:(?:{_CLEAR}|{_BARE}){_OF_DAY}?|in the (?:morning|afternoon|evening)|at night)"
_LATER = rf"(?:in (?:half an hour|a quarter of an hour|(?:{_N}|an?|a few|a couple of) {_UNIT}))"
_JOINED = r"(?:,? (?:at |on |in |around |by |from )?(?:the )?)"
_ANY = rf"(?:{_LATER}|{_TIME}|{_DAY})"
_MOMENT = re.compile(rf"\b{_ANY}(?:{_JOINED}{_ANY})*(?!\w)")
_ONLY_DAY = re.compile(rf"\b{_DAY}(?!\w)")
_LAST_DAY = re.compile(
    rf"\s+(?:today|tonight|tomorrow|yesterday|this (?:week(?:end)?|{_PART})|on {_WEEKDAY})"
    rf"(?: {_PART})?$"
)
_ONLY_TIME = re.compile(rf"\b{_TIME}(?!\w)")
_HOUR_ALONE = re.compile(
    rf"\b{_HOUR}(?: {_MINUTES})?\b(?! {_UNIT})"
    r"(?! (?:[a-z]{3,}s|people|men|women|children)\b)"
)
_PREPOSITIONS = re.compile(r"(?:\b(?:at|on|by|for|from|until|till|around|before|to|the)\s+)+$")


def find_moments(text: str) -> list[Span]:
    """Return dates and times as whole phrases, without the preposition before them."""
    return find_spans(_MOMENT, text)


def find_days(text: str) -> list[Span]:
    """Return days without their times."""
    return find_spans(_ONLY_DAY, text)


def without_day(text: str, span: Span) -> Span:
    """Return the span without a day at its end: "kent | today"."""
    found = _LAST_DAY.search(plain(text), span.start, span.end)
    return Span(span.start, found.start()) if found and found.start() > span.start else span


def find_hours(text: str) -> list[Span]:
    """Return numbers that may be a time of day: `the seven alarm`."""
    return find_spans(_HOUR_ALONE, text)


def find_times(text: str) -> list[Span]:
    """Return times of day without their days."""
    return find_spans(_ONLY_TIME, text)


def with_preposition(text: str, span: Span) -> Span:
    """Return the span with the prepositions before it."""
    before = _PREPOSITIONS.search(plain(text)[: span.start])
    return Span(before.start(), span.end) if before else span


def find_durations(text: str) -> list[tuple[Span, float]]:
    """Return durations and their seconds."""
    lower = plain(text)
    return [(Span(*m.span()), _seconds(m)) for m in _LENGTH.finditer(lower)]


def _seconds(found: re.Match[str]) -> float:
    if found["quarters"]:
        return 2700
    if found["quarter"]:
        return 900
    if found["half"]:
        return SECONDS[found["half_of"] or "hour"] / 2
    if found["couple"]:
        return 2 * SECONDS[_unit(found["couple_of"])]
    size = SECONDS[_unit(found["unit"])]
    total = _count(found["many"]) * size
    if found["and_half"] or found["then_half"]:
        total += size / 2
    if found["then_quarter"]:
        total += size / 4
    if found["more"]:
        total += _count(found["more"]) * SECONDS[_unit(found["more_unit"])]
    return total


def _unit(word: str) -> str:
    word = word.removesuffix("s")
    return _SHORT.get(word, word)


def _count(word: str) -> float:
    return next(iter(find_numbers(word)), 1)
