"""Strings for a call, cut out of the user's own words.

Each role that a parameter can have (`Role`) has the turns of speech that its
value stands in: a person after "to" or "call", a place after "in", a message after "that", a new
name after "to" or "as". What nothing else took is the thing that the request is about. English
only.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import dates, numbers, speech_patterns, words
from vivavoce.engines.function_calling.dates import Span
from vivavoce.engines.function_calling.parameter_kinds import Role

_TITLES = frozenset(
    ["Mr", "Mrs", "Ms", "Dr", "Doctor", "Aunt", "Uncle", "Professor", "Miss", "Grandma", "Grandpa"]
)

_PAUSE = re.compile(
    r"[!?;]|(?<!\bmr)(?<!\bdr)(?<!\bms)(?<!\bst)(?<!mrs)[.,](?=\s|$)|\bso that\b|\bbecause\b"
)


@dataclass(frozen=True, slots=True)
class Said:
    """An utterance and the stretches of it that other arguments have taken."""

    text: str
    taken: tuple[Span, ...] = ()

    @property
    def plain(self) -> str:
        return dates.plain(self.text)

    def without(self, *spans: Span) -> Said:
        return Said(self.text, (*self.taken, *spans))

    def is_free(self, span: Span) -> bool:
        return not any(span.meets(other) for other in self.taken)


def code(said: Said) -> Span | None:
    """A number as one dials or quotes it."""
    spans = [Span(*m.span()) for m in speech_patterns.CODE.finditer(said.plain)]
    spans += [Span(m.start(), len(m.group().rstrip()) + m.start())
              for m in speech_patterns.CODE_WORDS.finditer(said.plain)]  # fmt: skip
    free = [span for span in spans if said.is_free(span)]
    best = max(free, key=lambda span: span.end - span.start, default=None)
    if best is None:
        return None
    letters = re.search(r"\b[A-Z]{1,4} $", said.text[max(0, best.start - 6) : best.start])
    return Span(best.start - len(letters.group()), best.end) if letters else best


def language(said: Said) -> Span | None:
    """Return the language named last: "say good morning in Japanese"."""
    spans = [Span(*m.span()) for m in speech_patterns.LANGUAGE.finditer(said.plain)]
    return spans[-1] if spans else None


def digits(text: str) -> str:
    """A dialled number without what stands between its digits; other codes as they are."""
    plain = text.lower()
    for word, digit in speech_patterns.DIGITS.items():
        plain = re.sub(rf"\b{word}\b", digit, plain)
    bare = re.sub(r"[\s-]", "", re.sub(r"\boh\b", "0", plain))
    return bare if bare.lstrip("+").isdigit() else text


def place(said: Said, needed: bool) -> Span | None:
    """Where something is or shall be."""
    for found in speech_patterns.ROOM.finditer(said.plain):
        if said.is_free(room := Span(*found.span())):
            return room
    spans = []
    for found in speech_patterns.IN_PLACE.finditer(said.plain):
        span = _free_part(said, Span(*found.span(2)))
        going = said.plain[: found.start()].rstrip().endswith("going")
        question = going or found[2].split()[0] in speech_patterns.AUXILIARY | speech_patterns.VERBS
        if span is not None and not question and not _is_time(said, span):
            spans.append((found[1] in ("in", "at", "near", "inside", "around", "into"), span))
    best = [span for near, span in spans if near] or [span for _, span in spans]
    return best[0] if best else (thing(said, ()) if needed else None)


def person(said: Said, needed: bool, giver: bool = False) -> Span | None:
    """Who is meant: whoever is told, called or asked; or, as a `giver`, whoever wrote."""
    patterns = (speech_patterns.FROM_PERSON,) if giver else (speech_patterns.TO_PERSON,)
    for pattern in patterns:
        start = 0
        while found := pattern.search(said.plain, start):
            start = found.start() + 1
            span = _name_at(said, found.start(1), found.end(1))
            if span is not None:
                return span
    if not needed:
        return None
    return _capitals(said) or thing(said, ())


def has_message(said: Said) -> bool:
    """Return whether something introduces words to be passed on: "that", "saying", a colon."""
    return bool(speech_patterns.MESSAGE.search(said.plain))


def message(said: Said, after: Span | None, tool: tuple[str, ...] = ()) -> Span | None:
    """Return the words to be passed on: after "that", or after the person who gets them.

    `tool` holds the words of the function's name, which the message does not begin with.
    """
    plain = said.plain
    begin = after.end if after is not None else 0
    for start in dict.fromkeys((begin, 0)):
        if found := speech_patterns.MESSAGE.search(plain, start):
            return _before_taken(said, _rest(said, found.end()))
    if after is None:
        return _before_taken(said, _told(said, tool))
    lead = re.compile(
        r"[\s,]*(?:a (?:message|text|note)\b[\s,]*)?(?:know\b[\s,]*(?:about\b)?)?[\s,]*"
    )
    gap = lead.match(plain, begin)
    rest = _rest(said, gap.end() if gap else begin)
    if rest is not None:
        return rest
    before = Said(said.text, (Span(_cut(plain, after), len(plain)), *said.taken))
    return thing(before, ())


def _told(said: Said, tool: tuple[str, ...]) -> Span | None:
    """Return what follows the frame, the verb of telling and the words of the function's name."""
    start = 0
    for pattern in (speech_patterns.LEAD, speech_patterns.FRAME, speech_patterns.TELLING):
        if cut := pattern.match(said.plain[start:]):
            start += cut.end()
    while (word := words.WORD.match(said.plain, start)) and any(
        words.is_similar(word.group(), part) for part in (*tool, "say")
    ):
        start = word.end() + len(said.plain[word.end() :]) - len(said.plain[word.end() :].lstrip())
    return _rest(said, start)


def _before_taken(said: Said, span: Span | None) -> Span | None:
    """Return the span without what another argument took at its end, and its preposition."""
    if span is None:
        return None
    for other in said.taken:
        if span.start < other.start < span.end <= other.end + 1:
            span = Span(span.start, dates.with_preposition(said.text, other).start)
            body = re.sub(r"\s+(?:in|into|to|as|for|with|by)$", "", said.plain[: span.end].rstrip())
            span = Span(span.start, len(body.rstrip(" ,")))
    return span if span.end > span.start else None


def errand(said: Said) -> Span | None:
    """What to be reminded of."""
    found = speech_patterns.REMIND.search(said.plain)
    if found is None:
        return thing(said, ())
    return _free_part(said, Span(found.end(), len(said.text))) or thing(said, ())


def with_context(said: Said, span: Span, name: str) -> Span:
    """Return a value's span with the preposition before it and the parameter's name after it."""
    before = re.search(
        r"(?:\b(?:as|for|to|at|in|into|by|with|of|on|via)\s+)(?:(?:the|a|an|my)\s+)?$",
        said.plain[max(0, span.start - 16) : span.start],
    )
    start = span.start - len(before.group()) if before else span.start
    after = re.match(rf"\s+{re.escape(words.split_identifier(name)[-1])}s?\b",
                     said.plain[span.end :]) if words.split_identifier(name) else None  # fmt: skip
    return Span(start, span.end + (after.end() if after else 0))


def renamed(said: Said) -> Span | None:
    """The new name: what stands last after "to", "into", "as" or "called"."""
    found = list(re.finditer(r"\b(?:to|into|as|called|named|be)\s+", said.plain))
    for one in reversed(found):
        span = _free_part(said, Span(one.end(), len(said.text)))
        if span is not None:
            return span
    return None


def thing(
    said: Said, tool: tuple[str, ...], name: str = "", about: tuple[str, ...] = ()
) -> Span | None:
    """What the request is about: its words without the frame, the verb and what others took.

    `tool` holds the words of the function's name, `name` the parameter's, `about` the places
    that the function's description speaks of.
    """
    plain = said.plain
    called = speech_patterns.CALLED.search(plain)
    if (
        called
        and said.is_free(Span(called.end(), called.end() + 1))
        and (span := _free_part(said, Span(called.end(), len(said.text))))
    ):
        return span
    if (span := _beside(said, tool, name)) is not None:
        return span
    start = 0
    for pattern in (speech_patterns.LEAD, speech_patterns.FRAME, speech_patterns.LEAD):
        if cut := pattern.match(plain[start:]):
            start += cut.end()
    verbs = int(start > 0)
    free_verb = not start or plain[:start].rstrip().endswith((" i", " we", " you"))
    before = ""
    for token in re.finditer(speech_patterns.WORD, plain[start:]):
        begin, word = token.start() + start, token.group()
        if not said.is_free(Span(begin, begin + 1)):
            continue
        is_named = any(words.is_similar(word, part) for part in tool)
        is_verb = (
            (word in speech_patterns.VERBS or (free_verb and _is_followed(plain, begin, word)))
            and verbs < 3
            and before not in speech_patterns.DETERMINERS
        )
        before, free_verb = word, False
        if (
            word in speech_patterns.LOOSE
            or is_named
            or is_verb
            or (not verbs and word in speech_patterns.AUXILIARY)
        ):
            verbs += is_verb
            continue
        return _free_part(said, Span(begin, _end(said, begin, (*tool, *about), verbs > 0)))
    return None


def _is_followed(plain: str, begin: int, word: str) -> bool:
    """Return whether the word at `begin` is followed by one that only follows a verb."""
    rest = words.WORD.match(plain, begin + len(word) + 1)
    return rest is not None and rest.group() in speech_patterns.FOLLOWS_VERB


def directed(said: Said, what: Role) -> Span | None:
    """Where something comes from or goes to."""
    pattern = r"\b(?:from|out of) " if what is Role.SOURCE else r"\b(?:to|into|onto|for|in) "
    spans = []
    for found in re.finditer(rf"{pattern}(?:the |my )?{speech_patterns.PHRASE}", said.plain):
        if found[1].split()[0] not in speech_patterns.VERBS | speech_patterns.AUXILIARY:
            span = _free_part(said, Span(*found.span(1)))
            if span is not None and not _is_time(said, span):
                spans.append(span)
    if not spans and what is Role.SOURCE:
        # "100 dollars in euros": what is counted comes first.
        return _counted(said)
    return spans[0] if spans else None


def _counted(said: Said) -> Span | None:
    """Return the noun after the first number, if "to" or "in" follows it."""
    for _, _, end in numbers.locate(said.text):
        if found := re.match(r" (\w+) (?:to|in|into)\b", said.plain[end:]):
            return Span(end + found.start(1), end + found.end(1))
    return None


def _beside(said: Said, tool: tuple[str, ...], name: str) -> Span | None:
    """A name said before what it is the name of, or after "to" where the function adds to it."""
    if not name or name in ("name", "title", "query", "text"):
        return None
    kind = re.escape(words.split_identifier(name)[-1])
    patterns = [
        rf"\b(?:the|my|our|a|an|to|in) (?!{kind})"
        rf"({speech_patterns.WORD}(?: {speech_patterns.WORD}){{0,2}}?) {kind}s?\b"
    ]
    if {"to", "from", "into"} & set(tool) and name in tool[-1:]:
        patterns.append(
            rf"\b(?:to|from|into|in|on) (?:the |my )?(?:{kind} )?(?:called )?"
            rf"{speech_patterns.PHRASE}"
        )
    for pattern in patterns:
        for found in re.finditer(pattern, said.plain):
            if (span := _free_part(said, Span(*found.span(1)))) is not None:
                return span
    return None


def _end(said: Said, start: int, tool: tuple[str, ...], had_verb: bool) -> int:
    """Where the thing that begins at a place ends: before a clause, or "to my cart"."""
    rest = said.plain[start:]
    ends = [len(rest)]
    kinds = "|".join(re.escape(word) for word in tool if word not in words.STOP_WORDS)
    if kinds:
        place = rf"\s(?:to|from|in|into|out of|on|off|of) (?:the |my |our )?(?:{kinds}|basket)\b"
        ends += [found.start() for found in re.finditer(place, rest)]
    patterns = (
        (speech_patterns.CLAUSE,)
        if had_verb
        else (speech_patterns.CLAUSE, speech_patterns.PREDICATE)
    )
    ends += [found.start() for one in patterns if (found := one.search(rest))]
    return start + min(ends)


def is_optional_thing(said: Said, name: str, tool: ToolDeclaration) -> Span | None:
    """A name for something, said beside it: "the egg timer", "until the cake is done"."""
    kinds = "|".join(
        re.escape(w) for w in words.split_identifier(tool.name) if w not in words.GENERIC_VERBS
    )
    patterns = [speech_patterns.CALLED.pattern + speech_patterns.PHRASE]
    if kinds:
        patterns.append(
            rf"\b(?:the|my|a|an) ({speech_patterns.WORD}(?: {speech_patterns.WORD})?)"
            rf" (?:{kinds}|countdown)s?\b"
        )
        patterns.append(
            rf"^(?:(?:set|start|make) )?(?:a |an )?({speech_patterns.WORD}) (?:{kinds})\b"
        )
    patterns.append(rf"\b(?:for|until|on|to take) (?:the |my )?{speech_patterns.PHRASE}")
    patterns.append(
        rf"\b(?:do|does|are|is) (?:the |my )({speech_patterns.WORD}) (?:still |yet )?"
        r"(?:need|take|have|ready|done)"
    )
    patterns.append(rf"\bgive (?:the |my ){speech_patterns.PHRASE}")
    for pattern in patterns:
        for found in re.finditer(pattern, said.plain):
            span = _free_part(said, Span(*found.span(1)))
            if span is None or _is_time(said, span):
                continue
            if not speech_patterns.NO_LABEL.issuperset(words.tokenize(span.of(said.text))):
                return span
    return None


def _name_at(said: Said, start: int, end: int) -> Span | None:
    """One to three words that may be somebody's name."""
    capital = _capitals(said, start)
    if capital is not None and capital.start == start:
        return capital
    tokens = list(re.finditer(speech_patterns.WORD, said.plain[start:end]))
    if not tokens or tokens[0].group() in speech_patterns.NO_PERSON | words.STOP_WORDS:
        return None
    title = tokens[0].group().rstrip(".").capitalize() in _TITLES
    count = 2 if title and len(tokens) > 1 else 1
    span = Span(start, start + tokens[count - 1].end())
    return span if said.is_free(span) and not _is_time(said, span) else None


def _capitals(said: Said, start: int = 1) -> Span | None:
    """A run of words with capitals that does not begin the utterance."""
    for found in re.finditer(r"\b[A-Z][\w'’-]+\.?(?: [A-Z][\w'’-]+)*", said.text[start:]):
        name = found.group() if found.group()[:-1] in _TITLES else found.group().rstrip(".")
        span = Span(found.start() + start, found.start() + start + len(name))
        if said.is_free(span) and not _is_time(said, span):
            return span
    return None


def _is_time(said: Said, span: Span) -> bool:
    busy = [*dates.moments(said.text), *(one for one, _ in dates.lengths(said.text))]
    return any(span.meets(one) for one in busy)


def _rest(said: Said, start: int) -> Span | None:
    """Everything from a place on, without marks and courtesies at its end."""
    text = said.text[start:]
    body = text.strip(' ,.;:!?"')
    lead = text.find(body)
    body = re.sub(r"[\s,]+(?:please|thanks|thank you)$", "", body, flags=re.IGNORECASE)
    return Span(start + lead, start + lead + len(body)) if body else None


def _free_part(said: Said, span: Span) -> Span | None:
    """The first stretch of the span that nothing else has taken, without loose ends."""
    start, end = span.start, span.end
    for other in sorted(said.taken, key=lambda one: one.start):
        if other.start <= start < other.end:
            start = other.end
        elif start < other.start < end:
            piece = said.plain[start : other.start]
            if any(w not in speech_patterns.LOOSE for w in words.tokenize(piece)):
                end = other.start
                break
            start = other.end
    return _trimmed(said, Span(start, end))


def _trimmed(said: Said, span: Span) -> Span | None:
    """The span without marks, leading loose words and trailing courtesies; None if taken."""
    if not said.is_free(span):
        return None
    start, end = span.start, span.end
    plain = said.plain
    while (body := plain[start:end]) and (
        found := re.match(
            r"(?:[\s,.:;\"']+|(?:on|off|out|up|of|for|to|at|by|in|and|me|with|as)\s+)", body
        )
    ):
        start += found.end()
    # A sentence ends what it is about, and so does a pause.
    if mark := re.search(
        r"[!?;]|(?<!\bmr)(?<!\bdr)(?<!\bms)(?<!\bst)(?<!mrs)[.,](?=\s|$)|\bso that\b|\bbecause\b",
        plain[start:end],
    ):
        end = start + mark.start()
    body = plain[start:end].rstrip(" ,.;:!?\"'")
    while tail := speech_patterns.TAIL.search(body):
        body = body[: tail.start()].rstrip(" ,.;:!?\"'")
    article = speech_patterns.MINE.match(body)
    if article and len(body) > article.end():
        start += article.end()
        body = body[article.end() :]
    return Span(start, start + len(body)) if body.strip() else None


def _cut(plain: str, span: Span) -> int:
    """Where the preposition before a span begins."""
    before = re.search(r"(?:\b(?:to|with|for|from)\s+(?:my\s+)?)$", plain[: span.start])
    return before.start() if before else span.start
