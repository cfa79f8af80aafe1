"""Search queries from requests.

A search is asked for by a command ("search for", "look up", "google") or by a question about
facts. Small talk and questions about the assistant or the conversation are not searched.
"""

from __future__ import annotations

import re

from vivavoce.engines.function_calling import words
from vivavoce.engines.function_calling.utterances import begs, commands, strip_request
from vivavoce.engines.text import FUNCTION_WORDS

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
_ANAPHOR = re.compile(
    r"\b(?:it|its|he|him|his|she|her|they|them|their|there|that|those|this)\b", re.IGNORECASE
)
_EDGES = re.compile(r"^(?:the|a|an)\s+(?!who\b)|[\s?.!,;:]+$", re.IGNORECASE)
_FEWEST_CONTENT_WORDS = 2


def is_search_command(request: str) -> bool:
    """Whether the words themselves ask for a search."""
    plain = strip_request(request)
    return bool(_COMMAND.match(plain) or _ONLINE.search(plain))


def names_the_web(request: str) -> bool:
    """Whether nothing but a search can be meant: "google it", "look online"."""
    return is_search_command(request) and bool(_WEB_NAMED.search(strip_request(request)))


def query(request: str, previous: str = "") -> str:
    """Return what to search for; empty if nothing is asked that a search could answer.

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
    if previous and _ANAPHOR.search(found):
        return f"{found} {previous}"
    if not content_words(found):
        return previous if is_command else ""
    return found


def content_words(text: str) -> set[str]:
    """The stems of the words that say what a text is about."""
    return {words.stem(word) for word in words.tokenize(text) if word not in FUNCTION_WORDS}


def _is_question(request: str, text: str) -> bool:
    """Whether the text asks for facts, by its first words or else by its question mark."""
    if _QUESTION.match(text) or _EMBEDDED_QUESTION.search(text):
        return True
    if begs(request):
        return False
    if _YES_OR_NO.match(text):
        return True
    marked = request.rstrip().endswith("?") and not _TAG.search(request)
    return marked and not commands(text) and len(content_words(text)) >= _FEWEST_CONTENT_WORDS
