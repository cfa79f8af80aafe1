"""Splitting of utterances into requests, and the search query of a request.

"Lights on and play jazz" holds two requests. Splitting wrongly is worse than not splitting: a list
of names is one argument, and a message must arrive whole. So the rules are:

- List items (`1.`, `-`) are requests. Greetings, thanks and announcements are not.
- A sentence is a request of its own if it asks for something by itself, else a part of the
  request before it.
- At "then", "and" or a comma a new request begins only where both sides ask for something, the
  right side with a verb, as a question, or for another function than the left.
- The text of a message or a reminder is never split at an "and".

A search is asked for by a command ("search for", "look up", "google") or by a question about
facts. Small talk and questions about the assistant or the conversation are not searched.
"""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator

from vivavoce.engines.function_calling import words
from vivavoce.engines.speech_text import FUNCTION_WORDS, split_sentences

Target = Callable[[str], str]
"""The name of the function that a piece of text asks for; empty if it asks for none."""

_MAX_JOINTS = 12
"""Joints of one sentence that are examined: each costs a sentence embedding or two."""
_MAX_CHARS = 4_000
_MAX_REQUEST_CHARS = 2_000

_ADDRESS = re.compile(r"https?://[^\s<>\"'`]+", re.IGNORECASE)
_AFTER_ADDRESS = ".,;:!?)]}*"
_ITEM = re.compile(r"^\s*(?:\d{1,2}[.)]|[-*•])\s+(?=\S)")
_GREETING = (
    r"(?:hey|hi|hello|ok|okay|alright|all right|well|um|uh|so|now|right|good (?:morning|evening"
    r"|afternoon)|there|everyone|everybody|assistant|computer)"
)
_LEAD = re.compile(rf"^(?:(?:{_GREETING}|please)\b[\s,.!:]*)+", re.IGNORECASE)
_PLEA = re.compile(
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
    r"(?:(?:(?<!\s)\s++)?[,;]\s*+|(?<!\s)\s++)"
    r"(?:and (?:then|after that|also|please)|(?:and )?afterwards|then also"
    r"|then|after that|also|plus|and)\s+|(?:(?<!\s)\s++)?[,;]\s+",
    re.IGNORECASE,
)
_SEQUENCE = re.compile(r"\b(?:then|after that|afterwards|also)\b", re.IGNORECASE)
_ANAPHOR = re.compile(r"\b(?:it|its|he|him|his|she|her|they|them|their|that|there)\b", re.I)
_DICTATED = re.compile(
    r"\b(?:remind(?:er|ers)?|(?:tell|ask) (?!me\b|us\b)\w+|note|remember|write down|type)\b", re.I
)
_MESSAGE = re.compile(r"\b(?:send|text|message|write|email|mail|say|saying)\b", re.IGNORECASE)
_PERSON = re.compile(r"\b(?:me|him|her|them|us|you)\b", re.IGNORECASE)
_SPOKEN = re.compile(r"^(?:tell (?:me|us)|sing|explain|describe|say|give me|recommend)\b", re.I)
_VERBS = words.word_set(
    "dim brighten tell sing explain describe say read text email mail message dial ring skip resume"
    " pause mute unmute volume wake warm heat cool look google use calculate compute search post"
    " check bring fetch order reserve cancel delete clear empty share upload download print record"
    " adjust navigate drive shuffle repeat follow translate convert summarize generate"
)


def split_requests(text: str, target: Target) -> list[str]:
    """Return the requests in `text`, in order; the text itself if it is one."""
    if len(text) > _MAX_CHARS or "```" in text:
        return [text.strip()]
    pieces = [piece for block in _blocks(text) for piece in _requests(block, target)]
    return pieces or [" ".join(text.split())]


def find_addresses(text: str) -> list[str]:
    """Return the web addresses in a text, each once."""
    found = (one.rstrip(_AFTER_ADDRESS) for one in _ADDRESS.findall(text))
    return list(dict.fromkeys(found))


def without_addresses(text: str) -> str:
    """Return the text without web addresses: what is asked about them."""
    return " ".join(_ADDRESS.sub(" ", text).split())


def asks_for_answer(piece: str) -> bool:
    """Return whether a request wants an answer in words: a question, or "tell me a joke"."""
    plain = strip_request(piece)
    return words.asks_for_information(plain) or bool(_SPOKEN.match(plain))


def strip_request(piece: str) -> str:
    """Return a request on one line, without greeting, "then" and politeness, spelled as it was.

    Only the beginning of a long text is kept: what is done with it may be quadratic in length.
    """
    line = " ".join(piece[:_MAX_REQUEST_CHARS].split())
    return strip_plea(line) or line


def strip_plea(text: str) -> str:
    """Return a text without greeting, "then" and politeness; its line breaks are kept."""
    rest = text.strip()
    for lead in (_LEAD, _ORDER, _LEAD, _PLEA):
        rest = lead.sub("", rest, count=1)
    body = rest.rstrip(f"{string.whitespace}.!?")
    if body.lower().endswith("please") and not body[:-6][-1:].isalnum():
        rest = body[:-6].rstrip(f"{string.whitespace},")
    return rest.strip()


def is_plea(piece: str) -> bool:
    """Return whether a request begins with "can you ...", so that what follows is no question."""
    return bool(_PLEA.match(_ORDER.sub("", _LEAD.sub("", piece.strip(), count=1), count=1)))


def is_command(piece: str) -> bool:
    """Return whether a request begins with a verb in the imperative: "play some jazz"."""
    first = next(iter(words.tokenize(strip_request(piece))), "")
    return first in _VERBS or words.names_action(first) or words.names_query(first)


def _is_courtesy(sentence: str) -> bool:
    """Return whether a sentence only greets, thanks, or announces what follows."""
    return bool(_COURTESY.match(_LEAD.sub("", sentence, count=1)))


def _blocks(text: str) -> Iterator[str]:
    """Yield list items and paragraphs, each on one line."""
    block: list[str] = []
    for line in [*text.splitlines(), ""]:
        item = _ITEM.match(line)
        if block and (item or not line.strip()):
            yield " ".join(" ".join(block).split())
            block = []
        if rest := line[item.end() :].strip() if item else line.strip():
            block.append(rest)


def _requests(block: str, target: Target) -> Iterator[str]:
    found: list[str] = []
    for sentence in map(str.strip, split_sentences(block, _MAX_REQUEST_CHARS)):
        if not sentence or _is_courtesy(sentence):
            continue
        if found and not _begins_request(sentence, found[-1], target):
            found[-1] = f"{found[-1]} {sentence}"
        else:
            found.append(sentence)
    for sentence in found:
        yield from _parts(_ORDER.sub("", sentence, count=1).strip() or sentence, target)


def _begins_request(sentence: str, before: str, target: Target) -> bool:
    if _DICTATED.search(before) or _MESSAGE.search(before):
        return _follows_message(before, sentence, target)
    return bool(target(sentence)) or asks_for_answer(sentence) or bool(target(before))


def _parts(sentence: str, target: Target) -> Iterator[str]:
    """Split a sentence where a joint has a request on both sides."""
    begin = 0
    for joint in list(_JOINT.finditer(sentence))[:_MAX_JOINTS]:
        left, right = sentence[begin : joint.start()].strip(), sentence[joint.end() :].strip()
        if joint.start() <= begin or not left or not right:
            continue
        if _separates(left, _clause(right), bool(_SEQUENCE.search(joint.group())), target):
            if not _is_courtesy(left):
                yield left
            begin = joint.end()
    if (rest := sentence[begin:].strip()) and not _is_courtesy(rest):
        yield rest


def _clause(right: str) -> str:
    """Return the clause after a joint, as far as the next joint that may end it."""
    joint = next((j for j in _JOINT.finditer(right) if len(right[: j.start()].split()) > 1), None)
    return right[: joint.start()].strip() if joint else right


def _separates(left: str, right: str, sequence: bool, target: Target) -> bool:
    """Return whether two requests meet at a joint; `sequence` marks a "then"."""
    quoted = left.count('"') % 2 == 1 or left.count("“") > left.count("”")
    dictated = bool(_DICTATED.search(left))
    if quoted or (dictated and not sequence):
        return False
    if _is_courtesy(left):
        return True
    one = target(left)
    if not one and (len(left.split()) < 2 or not (asks_for_answer(left) or is_command(left))):
        return False
    if dictated or _MESSAGE.search(left):
        return _follows_message(left, right, target)
    other = target(right)
    if not other or not one:
        return asks_for_answer(right) if one else bool(other) and is_command(right)
    if (other == one or "://" in left) and asks_for_answer(right) and _ANAPHOR.search(right):
        return False  # one question about one thing: "read this page and tell me who wrote it"
    return is_command(right) or asks_for_answer(right) or (other != one and len(right.split()) > 1)


def _follows_message(left: str, right: str, target: Target) -> bool:
    """Return whether words after a message ask for something that is no part of the message."""
    other = target(right)
    return bool(other) and other != target(left) and is_command(right) and not _PERSON.search(right)


# --- search queries -----------------------------------------------------------------------

_WEB = r"(?:google|the (?:web|internet|net))"
_ENGINE = rf"(?:{_WEB}(?: search)?|(?:a |the )?(?:web |internet )?search(?: tool| engine)?)"
_INFORMATION = r"(?:(?:some|any|more|the) )?(?:info|information|details|facts)\b"
_SEARCH = (
    rf"(?:search(?: (?:(?:on |in )?{_WEB}|online))?(?: for| about)?|look(?: it)? up"
    rf"|find out|find(?: me| us)? (?={_INFORMATION})|google|research)"
)
_COMMAND = re.compile(
    rf"^(?:(?:use|using|with) {_ENGINE}\s*,?\s*(?:to|and|for)?\s*(?:{_SEARCH}\b)?"
    rf"|do (?:a |an )?(?:\w+ )?search (?:for|on|about)\b|{_SEARCH}\b)\s*",
    re.IGNORECASE,
)
_ONLINE = re.compile(
    rf"(?<!\s)\s++(?:online|on {_WEB}|(?:using|with|via) {_ENGINE})[\s?.!]*$", re.IGNORECASE
)
_WEB_NAMED = re.compile(rf"\b(?:{_WEB}|online|(?:web|internet) search)\b", re.IGNORECASE)
_CURIOSITY = re.compile(
    r"^(?:tell (?:me|us)|(?:do|can|could) you (?:know|tell me|find out|explain)|explain|describe"
    r"|what (?:do you know|can you tell me)|i(?:'d| would) like to know|i want to know|i wonder"
    rf"|give (?:me|us)(?= {_INFORMATION})|(?:do you have )?any idea)\s+"
    r"(?:(?:more|something|everything)\s+)?(?:about\s+)?",
    re.IGNORECASE,
)
_ABOUT = re.compile(rf"^(?:{_INFORMATION}\s+)?(?:about|on|regarding|of|for)\s+", re.IGNORECASE)
_QUESTION = re.compile(
    r"^(?:(?:about|at|by|for|from|in|of|on|since|to|under|until|with) )?"
    r"(?:who|whom|whose|what|where|when|which|why|how)\b|^define\b",
    re.IGNORECASE,
)
_YES_OR_NO = re.compile(
    r"^(?:is|are|was|were|did|does|do|has|have|had|can|could|will|would|should|must|may)"
    r"(?:n[’']t)?\b",
    re.IGNORECASE,
)
_EMBEDDED_QUESTION = re.compile(
    r"\b(?:what|where|how|which|why) (?:\w+ )?(?:can|should) (?:i|we)\b", re.I
)
_TAG = re.compile(
    r"\b(?:is|are|was|were|do|does|did|has|have)n[’']t (?:it|he|she|they|you)\?$", re.I
)
_PERSONAL = re.compile(
    r"\b(?:you|your|yours|yourself)\b|\bmy name\b|\bwho am i\b|\bam i\b"
    r"|\b(?:did|have|had) (?:i|we) (?:just )?(?:say|said|ask|asked|tell|told|talk|talked)\b"
    r"|\bwhat(?:'s| is) up\b|\bhow(?:'s| is) it going\b|\bwhat(?:'s| is) (?:this|that|it)\??$"
    r"|\bjokes?\b|\ba (?:story|poem|song)\b"
    r"|^what (?:should|shall|can|could|do) (?:i|we) \w+(?: (?:tonight|today|now|next))*[\s?.!]*$"
    r"|^(?:can|could|may|should) (?:i|we) (?:ask|talk|speak|say|tell|chat|play|try|go|stop)\b"
    r"|^what(?:'s| is)? (?:the )?(?:time|day|date|year|month)(?: is it)?(?: today| now)?[\s?.!]*$",
    re.IGNORECASE,
)
"""About the assistant, the conversation or the moment."""
_GENERIC_YOU = re.compile(
    r"^(?:how|where|when|why) (?:do|can|should|does|would) (?:you|one)\b"
    r"(?! (?:feel|know|think|look|sound|like|love|hear|understand|remember|sleep|work|help|do)\b)"
    r"|(?<!^)\b(?:can|should|must|may|when|if|once|before|after) you\b(?! (?:think|do|help)\b)",
    re.IGNORECASE,
)
"""Where "you" is anybody: "how do you boil an egg", "what happens when you press it"."""
_POINTING = re.compile(
    r"\b(?:it|its|he|him|his|she|her|they|them|their|there|that|those|this)\b", re.IGNORECASE
)
_EDGES = re.compile(r"^(?:the|a|an)\s+(?!who\b)|[\s?.!,;:]+$", re.IGNORECASE)
_MIN_CONTENT_WORDS = 2


def is_search_command(request: str) -> bool:
    """Return whether the words themselves ask for a search."""
    plain = strip_request(request)
    return bool(_COMMAND.match(plain) or _ONLINE.search(plain))


def names_the_web(request: str) -> bool:
    """Return whether nothing but a search can be meant: "google it", "look online"."""
    return is_search_command(request) and bool(_WEB_NAMED.search(strip_request(request)))


def find_search_query(request: str, previous: str = "") -> str:
    """Return the search query of a request; empty if a search could not answer it.

    `previous` is the last query: a question with a pronoun takes it along.
    """
    plain = strip_request(request)
    rest = _ONLINE.sub("", plain, count=1)
    commanded = _COMMAND.match(rest)
    is_command = commanded is not None or rest != plain
    rest = rest[commanded.end() :] if commanded else rest
    curious = _CURIOSITY.match(rest)
    rest = rest[curious.end() :] if curious else rest
    if not is_command and not (curious or _is_question(request, rest)):
        return ""
    if not is_command and _PERSONAL.search(rest) and not _GENERIC_YOU.search(rest):
        return ""
    found = _EDGES.sub("", _EDGES.sub("", _ABOUT.sub("", rest, count=1))).strip()
    if previous and _POINTING.search(found):
        return f"{found} {previous}"
    if not content_words(found):
        return previous if is_command else ""
    return found


def content_words(text: str) -> set[str]:
    """Return the stems of the words that say what a text is about."""
    return {words.stem(word) for word in words.tokenize(text) if word not in FUNCTION_WORDS}


def _is_question(request: str, text: str) -> bool:
    """Return whether the text asks for facts, by its first words or else by its question mark."""
    if _QUESTION.match(text) or _EMBEDDED_QUESTION.search(text):
        return True
    if is_plea(request):
        return False
    if _YES_OR_NO.match(text):
        return True
    marked = request.rstrip().endswith("?") and not _TAG.search(request)
    return marked and not is_command(text) and len(content_words(text)) >= _MIN_CONTENT_WORDS
