"""Phrases of a request: stretches of an utterance, each with the word that introduces it.

`phrase_splitter` makes them; which parameter a phrase belongs to is decided in `assignment`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from vivavoce.engines.function_calling import words
from vivavoce.engines.function_calling.dates import Span, plain

MESSAGE = "that"
"""The introduction of what is to be passed on, whatever word it was: "saying", "whether", ":"."""
NAMED = "called"
CLAUSE = "clause"
"""The introduction of a phrase that begins with a subject: "we landed safely"."""
VERB = ""
"""The introduction of a phrase that follows the verb of the request, or begins it."""
VALUE = "value"
"""The introduction of a phrase that follows another argument's value."""
INFINITIVE = "to do"

_MESSAGE = re.compile(
    r"(?:\b(?:saying|to say|which says|that says|telling (?:him|her|them)|with the (?:words|text)"
    r"|let(?:ting)? (?:him|her|them) know|reading|whether|that)\b(?: that)?|:(?=\s))[\s,]*"
)
_ARTICLE = re.compile(r"^(?:(?:the|a|an|some|any|my|our|his|her|their|of)\s+)+")
_TAIL = re.compile(
    r"(?:(?<![\s,])[\s,]++(?:please|now|right (?:now|away)|(?:a (?:little|bit) )?(?:longer|more)"
    r"|a (?:little|bit)|for (?:me|us|good|now)|thanks|thank you|any ?more|as well"
    r"|(?:would|will|could|can) you|after all|at all|from now on|so far|if you can|i think"
    r"|(?:quick|immediate|slow|direct|complete|permanent|final)ly|out|away|off|down|again|too"
    r"|means?|(?:still )?(?:available|in stock|open)|still|works?|takes?|costs?|have|happens?"
    r"|already|instead|then|here|aside|going|running|back|next|first|ago|asap|via"
    r"|to|for|with|in|on|at|under|about|near|from|by|into|of|and|as|up|is|are|me|it|anyway|though|yet|or|than))+$"
)

_COURTESY = re.compile(r"(?:[\s,]+(?:please|thanks|thank you))+$")


@dataclass(frozen=True, slots=True)
class FreeText:
    """An utterance, and the spans of it that arguments have taken."""

    text: str
    taken: tuple[Span, ...] = ()

    @property
    def plain(self) -> str:
        return plain(self.text)

    @property
    def masked(self) -> str:
        """The text with spaces in place of what is taken."""
        chars = list(self.text)
        for span in self.taken:
            chars[span.start : span.end] = " " * (span.end - span.start)
        return "".join(chars)

    def without(self, *spans: Span) -> FreeText:
        return FreeText(self.text, (*self.taken, *spans))

    def is_free(self, span: Span) -> bool:
        return not any(span.meets(other) for other in self.taken)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A stretch of the utterance, and the word that introduces it."""

    intro: str
    span: Span


def message(text: str) -> Phrase | None:
    """Return what "that", "saying" or a colon introduces: words to be passed on."""
    found = _MESSAGE.search(plain(text))
    if found is None:
        return None
    span = trimmed(text, Span(found.end(), len(text)), articles=False, whole=True)
    return Phrase(MESSAGE, span) if span.of(text).strip() else None


def with_context(text: str, span: Span, name: str) -> Span:
    """Return a value's span with the preposition before it and the parameter's name after it."""
    lower = plain(text)
    before = re.search(
        r"(?:\b(?:as|for|to|at|in|into|by|with|of|on|via)\s+)(?:(?:the|a|an|my)\s+)?$",
        lower[max(0, span.start - 16) : span.start],
    )
    parts = words.split_identifier(name)
    label = parts and re.search(
        rf"\b(?:{'|'.join(re.escape(part) for part in parts)})s?\s+(?:is\s+)?$",
        lower[max(0, span.start - 30) : span.start],
    )
    after = re.match(rf"\s+{re.escape(parts[-1])}s?\b", lower[span.end :]) if parts else None
    if label and not before:
        before = label
    return Span(
        span.start - (len(before.group()) if before else 0),
        span.end + (after.end() if after else 0),
    )


def trimmed(text: str, span: Span, articles: bool = True, whole: bool = False) -> Span:
    """Return a span without marks and courtesies around it, and without its article.

    Of a `whole` sentence only "please" and "thanks" go, not "again" or "already".
    """
    lower = plain(text)
    body = lower[span.start : span.end].rstrip(" ,.;:!?\"'")
    pattern = _COURTESY if whole else _TAIL
    while tail := pattern.search(body):
        body = body[: tail.start()].rstrip(" ,.;:!?\"'")
    lead = len(body) - len(body.lstrip(" ,.;:!?\"'"))
    article = _ARTICLE.match(body[lead:])
    if articles and article and len(body) > lead + article.end():
        lead += article.end()
    return Span(span.start + lead, span.start + len(body))
