"""An utterance cut into the requests that it holds: "lights on and play jazz" holds two.

Cutting wrongly is worse than not cutting: a list of names must stay one argument, and what is
to be written to somebody must arrive whole. Hence the rules:

- The items of a list (`1.`, `-`) are requests. Greetings, thanks and announcements ("I need you
  to do two things for me") are none.
- A sentence is a request of its own where it asks for something by itself. One that does not is
  the rest of the request before it, which is how a message of two sentences stays one.
- After "then", "after that" or "also", and after a bare "and" or a comma, a new request begins
  only where both sides ask for something: the right side with a verb or as a question, or for
  another function than the left. "Rock and roll", "anna and bob", "salt and pepper" stay whole.
- What somebody is to be told, or reminded of, is never cut at an "and".

Whether a piece asks for something, and for what, is not known here: `Wanted` says it.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator

from vivavoce.engines.function_calling import words
from vivavoce.engines.sentences import Cutter

Wanted = Callable[[str], str]
"""The name of the function that a piece would call; empty if it asks for none."""

_MOST_PLACES = 12
"""Joints of one sentence that are looked at: each costs a sentence vector or two."""
_MOST_SIGNS = 4_000
_LONGEST = 2_000

_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+(?=\S)")
_GREETING = (
    r"(?:hey|hi|hello|ok|okay|alright|all right|well|um|uh|so|now|right|good (?:morning|evening"
    r"|afternoon)|there|everyone|everybody|assistant|computer)"
)
_LEAD = re.compile(rf"^(?:(?:{_GREETING}|please)\b[\s,.!:]*)+", re.IGNORECASE)
_ASKING = re.compile(
    r"^(?:(?:can|could|would|will) (?:you|we)(?: please)?(?: mind)?"
    r"|(?:i|we) (?:want|need|would like) (?:you )?to|(?:i|we)'d like (?:you )?to"
    r"|let's|let us|go ahead and)\b[\s,]*(?:please\b\s*)?",
    re.IGNORECASE,
)
_ORDER = re.compile(
    r"^(?:(?:and|also|then|next|finally|lastly|afterwards?|after that|first(?:ly)?|second(?:ly)?"
    r"|third(?:ly)?|now|plus|please)\b[\s,:]*)+",
    re.IGNORECASE,
)
_COURTESY = re.compile(
    rf"^(?:{_GREETING}|thanks?(?: you)?(?: (?:so|very) much| a lot| in advance)?|please|cheers"
    r"|that(?:'s| is) (?:all|it))?[\s,.!?]*$"
    r"|^(?:(?:can|could|would|will) you|i (?:need|want|would like) you to|i'd like you to|please"
    r"|do)\b[^.!?]*\b(?:do|help me with|take care of)\b[^.!?]*\b(?:things?|tasks?|favou?rs?"
    r"|the following|this|these)(?: for me)?[\s.:!?]*$"
    r"|^(?:here (?:is|are)|here's|this is) (?:what|my|the)\b[^.!?]*[:.]?$",
    re.IGNORECASE,
)
_JOINT = re.compile(
    r"(?:\s*[,;]\s*|\s+)(?:and (?:then|after that|also|please)|(?:and )?afterwards|then also"
    r"|then|after that|also|plus|and)\s+|\s*[,;]\s+",
    re.IGNORECASE,
)
_STRONG = re.compile(r"\b(?:then|after that|afterwards|also)\b", re.IGNORECASE)
_BACKWARD = re.compile(r"\b(?:it|its|he|him|his|she|her|they|them|their|that|there)\b", re.I)
_DICTATED = re.compile(
    r"\b(?:remind(?:er|ers)?|(?:tell|ask) (?!me\b|us\b)\w+)\b"
    r"|\b(?:note|remember|write down|type)\b",
    re.I,
)
_WRITTEN = re.compile(r"\b(?:send|text|message|write|email|mail|say|saying)\b", re.IGNORECASE)
_PERSON = re.compile(r"\b(?:me|him|her|them|us|you)\b", re.IGNORECASE)
_VERB = words.word_set(
    "dim brighten tell sing explain describe say read text email mail message dial ring skip resume"
    " pause mute unmute volume wake warm heat cool look google use calculate compute search post"
    " check bring fetch order reserve cancel delete clear empty share upload download print record"
    " adjust navigate drive shuffle repeat follow translate convert summarize"
)
_PLEASE = re.compile(r"\bplease\Z", re.I)
_CHAT = re.compile(r"^(?:tell (?:me|us)|sing|explain|describe|say|give me|recommend)\b", re.I)


def cut(text: str, wanted: Wanted) -> list[str]:
    """The requests in `text`, in order; one that holds everything if it holds but one."""
    if len(text) > _MOST_SIGNS or "```" in text:
        return [text.strip()]
    pieces = [piece for block in _blocks(text) for piece in _sentences(block, wanted)]
    return pieces or [" ".join(text.split())]


def asks(piece: str) -> bool:
    """Whether it wants to be answered in words: a question, or `tell me a joke`."""
    plain = bare(piece)
    return words.asks_for_information(plain) or bool(_CHAT.match(plain))


def bare(piece: str) -> str:
    """A request without greeting, order and politeness, on one line, spelled as it was.

    Of a text that is longer than a request its beginning: what looks for a request in it takes
    time with the square of the length.
    """
    line = " ".join(piece[:_LONGEST].split())
    return without_plea(line) or line


def without_plea(text: str) -> str:
    """What greetings, order and politeness leave of a text: its lines as they are."""
    rest = text.strip()
    for lead in (_LEAD, _ORDER, _LEAD, _ASKING):
        rest = lead.sub("", rest, count=1)
    body = rest.rstrip(f"{string.whitespace}.!?")
    if _PLEASE.search(body[-len("_please") :]):
        rest = body[: -len("please")].rstrip(f"{string.whitespace},")
    return rest.strip()


def begs(piece: str) -> bool:
    """Whether it begins as a plea, `can you …`, so that what follows is no question."""
    return bool(_ASKING.match(_ORDER.sub("", _LEAD.sub("", piece.strip(), count=1), count=1)))


def _is_polite(sentence: str) -> bool:
    """Whether it only greets, thanks, or announces what follows."""
    return bool(_COURTESY.match(_LEAD.sub("", sentence, count=1)))


def _blocks(text: str) -> Iterator[str]:
    """List items and paragraphs, each on one line; none that is only polite."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        item = _ITEM.match(line)
        if block and (item or not line.strip()):
            yield " ".join(" ".join(block).split())
            block = []
        if rest := line[item.end() :].strip() if item else line.strip():
            block.append(rest)


def _sentences(block: str, wanted: Wanted) -> Iterator[str]:
    """The requests in a block."""
    cutter = Cutter(longest=_LONGEST, early=False)
    sentences = [one.strip() for one in (*cutter.feed(block), *cutter.flush())]
    found: list[str] = []
    for sentence in sentences:
        if not sentence or _is_polite(sentence):
            continue
        if found and not _begins(sentence, found[-1], wanted):
            found[-1] = f"{found[-1]} {sentence}"
            continue
        found.append(sentence)
    for sentence in found:
        yield from _parts(_ORDER.sub("", sentence, count=1).strip() or sentence, wanted)


def _begins(sentence: str, before: str, wanted: Wanted) -> bool:
    """Whether a sentence is a request of its own and not the rest of the one before it."""
    if _DICTATED.search(before) or _WRITTEN.search(before):
        return _stands(before, sentence, wanted)
    return bool(wanted(sentence)) or asks(sentence) or bool(wanted(before))


def _parts(sentence: str, wanted: Wanted) -> Iterator[str]:
    """A sentence, cut where a joint has a request on both sides."""
    begin = 0
    for joint in list(_JOINT.finditer(sentence))[:_MOST_PLACES]:
        left, right = sentence[begin : joint.start()].strip(), sentence[joint.end() :].strip()
        if joint.start() <= begin or not left or not right:
            continue
        strong = bool(_STRONG.search(joint.group()))
        if _separate(left, _next(right), strong, wanted):
            if not _is_polite(left):
                yield left
            begin = joint.end()
    if (rest := sentence[begin:].strip()) and not _is_polite(rest):
        yield rest


def _next(right: str) -> str:
    """What follows a joint, as far as the next joint that may end it."""
    joint = next((j for j in _JOINT.finditer(right) if len(right[: j.start()].split()) > 1), None)
    return right[: joint.start()].strip() if joint else right


def _separate(left: str, right: str, strong: bool, wanted: Wanted) -> bool:
    if _quoted(left):
        return False
    if _DICTATED.search(left) and not strong:
        return False
    if _is_polite(left):
        return True
    asked = wanted(left)
    if not asked and (len(left.split()) < 2 or not (asks(left) or commands(left))):
        return False
    if _WRITTEN.search(left) or _DICTATED.search(left):
        return _stands(left, right, wanted)
    other = wanted(right)
    if not other or not asked:
        return asks(right) if asked else bool(other) and commands(right)
    if (other == asked or "://" in left) and asks(right) and _BACKWARD.search(right):
        return False  # one question about one thing: "read this page and tell me who wrote it"
    if commands(right) or asks(right):
        return True
    return other != asked and len(right.split()) > 1


def _stands(left: str, right: str, wanted: Wanted) -> bool:
    """Whether words after a message ask for something that can be no part of the message."""
    other = wanted(right)
    return bool(other) and other != wanted(left) and commands(right) and not _PERSON.search(right)


def commands(piece: str) -> bool:
    """Whether it begins with a verb that orders something: `play some jazz`."""
    first = next(iter(words.tokenize(bare(piece))), "")
    return first in _VERB or words.names_action(first) or words.names_query(first)


def _quoted(left: str) -> bool:
    """Whether a quotation that began has not ended yet."""
    return left.count('"') % 2 == 1 or left.count("“") > left.count("”")
