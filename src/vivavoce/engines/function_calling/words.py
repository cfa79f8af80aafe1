"""English words of requests: stems, opposites, questions, prohibitions, statements."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from difflib import SequenceMatcher

import snowballstemmer

from vivavoce.engines.speech_text import word_set as word_set

_CAMEL = re.compile(r"[a-z0-9](?=[A-Z])|[A-Z](?=[A-Z][a-z])")
WORD = re.compile(r"[a-z0-9]+(?:'[a-z]+)?")
_STEMMER = snowballstemmer.stemmer("english")
_MAX_WORD_CHARS = 40
"""Letters of a word that is stemmed; a longer one is no English word."""


GENERIC_VERBS = word_set("turn set get make put switch take give go start show find do be have run")
"""Verbs that fit nearly any function."""

PARTICLES = word_set("up down on off out in all")
"""Stop words that may decide a value: `off`, `all`."""

NEGATIONS = word_set("no not never without don't doesn't isn't nor neither except")

_OFF = re.compile(
    r"\b(?:off|stop|disable|deactivate|no longer|no more|not|don't|do not|never|without|any ?more"
    r"|cancel|end|(?<!again and )again(?! and again)|back|remove|quit|lift|enough|false|disabled"
    r"|close|no|release)\b"
)
_ON = re.compile(r"\b(?:on|yes|true|enable|enabled|activate|with|start|open|turn on|switch on)\b")
_ENDED = re.compile(
    r"\b(?:off|over|end|stop|lift|unmute|disable|deactivate|cancel|back|again|any ?more|no longer"
    r"|through|reach(?:ed)?|available)\b"
)
_NEGATED = re.compile(r"\b(?:off|not|no|never|without|no longer|don't|mustn't|shouldn't|can't)\b")

_OPPOSITE: dict[str, set[str]] = {}
for _one, _other in map(str.split, (
    "on off", "open close", "open shut", "start stop", "begin end", "lock unlock", "raise lower",
    "increase decrease", "up down", "enable disable", "mute unmute", "add remove", "play pause",
    "louder quieter",
)):  # fmt: skip
    _OPPOSITE.setdefault(_one, set()).add(_other)
    _OPPOSITE.setdefault(_other, set()).add(_one)

_OF_FOR_OFF = re.compile(r"\b(?:turn|switch|shut) of\b|\bof$")
"""Recognizers return the shorter word for `off`."""

_REQUEST = re.compile(
    r"^(?:(?:hey|ok|okay|hello|hi|well|um|uh|so|now|then|alright|right|please)\b[\s,]*)*"
    r"(?:(?:(?:can|could|would|will) (?:you|we)(?: please)?(?: mind)?"
    r"|i (?:want|need) (?:you )?to|i(?:'d| would) like (?:you )?to|let's|let us|go ahead and"
    r"|i would like|i'd like|i want|i need)\b\s*)?"
    r"(?:please\b\s*)?",
)
_QUESTION = re.compile(
    r"^(?:who|whom|whose|what|what's|when|where|which|why|how|how's|is|isn't|are|aren't|was|were"
    r"|do|does|did|has|have|had|should|shall|may|might|am|can|could|would|will)\b"
)
_CURIOSITY = re.compile(r"^(?:tell me|explain|describe|define)\b")
_DEFINITION = re.compile(r"^(?:what is|what's|what are|define) (?:an? )?\w+$")
_STATEMENT = re.compile(
    r"^(?:i|i've|i'm|we|we've|he|she|it|they|my \w+|the \w+|someone|somebody|yesterday|last)\b"
    r".*\b(?:was|were|didn't|wasn't|weren't|had|have|has|did|went|already|used to"
    r"|yesterday|like|liked|love|loved|hate|hated|think|thought|saw|heard|said|told|\w{3,}ed)\b"
    r"|^(?:the|my|our)\b.*\b(?:is|are)\b"
    r"|^(?:i|we|he|she|it|they|(?:the|my|our|his|her|their) \w+)(?: (?:just|already|also|never))? "
    r"(?:ate|bit|bought|broke|brought|built|came|chose|drank|drove|fell|felt|flew|forgot|found|gave"
    r"|got|grew|hid|kept|knew|left|lent|lost|made|met|paid|ran|rang|sang|sat|sent|slept|sold|spent"
    r"|spoke|stole|stood|swam|taught|threw|took|wore|woke|won|wrote)\b"
)
_PROHIBITION = re.compile(
    r"^(?:(?:no|nope|nah|please|but|oh|wait|stop)\b[\s,]*)*(?:you )?(?:don't|do not|dont|never"
    r"|must not|mustn't|shouldn't|should not)\b"
    r"(?! (?:let me )?forget\b| (?:you )?(?:want|need|like|mind)\b)"
    r"|^(?:no|nope|nah)\b.*\b(?:leave|keep|stay|later|not yet|fine as)\b|\b(?:leave|keep) (?:it"
    r"|them|that|everything|the \w+) (?:as (?:it|they)|how (?:it|they)|the way|alone)\b"
    r"|^(?:not (?:now|yet|today)|no (?:need|thanks|thank you))\b"
    r"|^no\b.*\b(?:needed|necessary|thanks|as (?:it is|they are)|(?:i|we)(?: will|'ll))\b"
    r"|^(?:please )?(?:keep|leave) (?:it|them|that|those|these|this|all|everything|the|my|our)\b"
    r"(?: \w+){0,4}?(?<! i)(?<! we)(?<! you)(?<! they) (?:don't|do not)\b"
)
_HYPOTHETICAL = re.compile(
    r"^(?:and |but |so )?(?:if|suppose|imagine|what if|assuming|let's say)\b.*\b(?:would|were|could"
    r"|had|what|\w+ed)\b"
    r"|^(?:i|we|they|he|she|what) would\b.*\bif\b"
)
_CONVERSION = re.compile(
    r"^how many \w+ (?:(?:are|is|does|do|has|have|make|go)\b.*\b(?:in|into|an?)\b"
    r"|(?:does|do) (?!i\b|we\b|it\b|they\b|the\b|my\b|you\b))"
)
_DISMISSAL = re.compile(
    r"^(?:no(?:pe)?$|no thanks?\b|never ?mind\b|forget (?:it|that|about)\b|cancel\b|nothing$|stop$"
    r"|don't\b|do not\b)"
)
_PROPOSAL = re.compile(r"^(?:what|how) about\b")
_ACTIONS = word_set(
    "set turn put make switch take give go start do run open close shut stop begin end lock unlock"
    " raise lower increase decrease enable disable mute unmute add remove play pause send call"
    " create book order write save cancel dim delete update change move buy schedule remind"
)
_RECORDERS = word_set("log record report note track register submit file enter")
_GETTERS = word_set(
    "get list find search check look lookup show read query fetch tell what who when where which"
    " how is are count describe weather time forecast recommend see define translate convert"
    " calculate compute explain"
)


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a text: the offsets of its first character and of the one after its last."""

    start: int
    end: int

    def of(self, text: str) -> str:
        return text[self.start : self.end]

    def meets(self, other: Span) -> bool:
        return self.start < other.end and other.start < self.end


def plain(text: str) -> str:
    """Return the text in lower case, with as many characters."""
    lower = text.lower().replace("’", "'")
    return lower if len(lower) == len(text) else text


def find_spans(pattern: re.Pattern[str], text: str) -> list[Span]:
    """Return where `pattern` matches `text`, in lower case."""
    return [Span(*found.span()) for found in pattern.finditer(plain(text))]


def split_identifier(name: str) -> list[str]:
    """Return the words in an identifier, lower case: `turnOnThe_lights` gives four."""
    parted = _CAMEL.sub(r"\g<0> ", name)
    return [word for word in re.split(r"[^A-Za-z0-9]+", parted.lower()) if word]


def spell_identifier(name: str) -> str:
    """Return the words in an identifier as a text: `getWeather` is `get weather`."""
    return " ".join(split_identifier(name))


def tokenize(text: str) -> list[str]:
    """Return the words of `text`, lower case, without punctuation."""
    return WORD.findall(text.lower().replace("’", "'"))


@functools.lru_cache(maxsize=4096)
def stem(word: str) -> str:
    """Return the word without its ending, so that `lights` and `light` are equal."""
    word = word.removesuffix("'s")
    if len(word) > _MAX_WORD_CHARS:
        return word
    stemmed: str = _STEMMER.stemWord(word)
    return stemmed.removesuffix("e") if len(stemmed) > 3 else stemmed


def is_same(one: str, other: str) -> bool:
    """Return whether two words have one stem."""
    return stem(one) == stem(other)


def is_similar(one: str, other: str) -> bool:
    """Return whether two words have one stem, or a spelling that a recognizer may confuse."""
    one, other = stem(one), stem(other)
    if one == other:
        return True
    if min(len(one), len(other)) < 5 or one[0] != other[0]:
        return False
    return SequenceMatcher(None, one, other).ratio() >= 0.8


def contradicts(spoken: list[str], named: list[str]) -> bool:
    """Return whether a request has the opposite of a word in a name (`on` against `off`)."""
    return any(_OPPOSITE.get(word, set()) & set(spoken) and word not in spoken for word in named)


def opposites(word: str) -> set[str]:
    """Return the opposites of a word."""
    return _OPPOSITE.get(word, set())


def agree(spoken: list[str], named: list[str]) -> bool:
    """Return whether both have the same word of a pair of opposites."""
    return any(word in _OPPOSITE and word in spoken for word in named)


def simplify(text: str) -> str:
    """Return the words of `text` as a text, lower case, without punctuation."""
    return " ".join(tokenize(text))


def punctuate(text: str) -> str:
    """Return recognized words as they would be typed: a capital letter, and a mark at the end."""
    typed = " ".join(text.split())
    if typed[-1:].isalnum():
        typed += "?" if is_question(typed) else "."
    return typed[:1].upper() + typed[1:]


def tokenize_request(text: str) -> list[str]:
    """Return the words of `text`, with `off` beside an `of` that can only stand for it."""
    plain = simplify(text)
    return [*plain.split(), "off"] if _OF_FOR_OFF.search(plain) else plain.split()


def strip_courtesy(text: str) -> str:
    """Return a request without its polite frame: `could you please dim it` is `dim it`."""
    plain = simplify(text)
    rest = _REQUEST.sub("", plain, count=1).removesuffix(" please").strip()
    return rest or plain


def is_question(text: str) -> bool:
    """Return whether `text` asks for an answer; `can you open the door` does not."""
    return bool(_QUESTION.match(strip_courtesy(text)))


def asks_for_information(text: str) -> bool:
    """Return whether `text` asks for information, as a question or as `tell me about`."""
    return is_question(text) or bool(_CURIOSITY.match(strip_courtesy(text)))


def is_definition(text: str) -> bool:
    """Return whether `text` asks for a definition or conversion: `what is a timer`."""
    plain = strip_courtesy(text)
    return bool(_DEFINITION.match(plain) or _CONVERSION.match(plain))


def is_prohibition(text: str) -> bool:
    """Return whether `text` forbids an action; "don't let me forget" does not."""
    return bool(_PROHIBITION.search(simplify(text)))


def is_statement(text: str) -> bool:
    """Return whether `text` states what happened or how things are."""
    return bool(_STATEMENT.match(strip_courtesy(text)))


def is_hypothetical(text: str) -> bool:
    """Return whether `text` asks about a hypothetical case."""
    return bool(_HYPOTHETICAL.match(simplify(text)))


def is_answer(text: str) -> bool:
    """Return whether `text` may answer a question: no question itself, no "never mind"."""
    plain = strip_courtesy(text)
    return not _DISMISSAL.match(plain) and (
        bool(_PROPOSAL.match(plain)) or not asks_for_information(text)
    )


def names_action(name: str) -> bool:
    """Return whether a function's name begins with an action, so that no question asks for it."""
    return not _ACTIONS.isdisjoint(split_identifier(name)[:1])


def names_query(name: str) -> bool:
    """Return whether a function's name says that it fetches information."""
    named = split_identifier(name)
    return bool(named) and (named[0] in _GETTERS or bool(set(named) & {"weather", "forecast"}))


def names_record(name: str) -> bool:
    """Return whether a function's name says that it writes something down."""
    return not _RECORDERS.isdisjoint(split_identifier(name)[:1])


def is_off(text: str) -> bool:
    """Return whether `text` switches something off, stops or denies it."""
    return bool(_OFF.search(simplify(text)))


def is_on(text: str) -> bool:
    """Return whether `text` switches something on."""
    return bool(_ON.search(simplify(text)))


def is_negated(text: str) -> bool:
    """Return whether `text` denies something."""
    return bool(_NEGATED.search(simplify(text)))


def ends(text: str) -> bool:
    """Return whether `text` ends a state that is itself a negation, as "do not disturb"."""
    return bool(_ENDED.search(simplify(text)))
