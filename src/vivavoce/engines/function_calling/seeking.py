"""What to search for, if anything.

A search is asked for by words ("search for", "look up", "google"), or by a question that asks
for facts, whichever way it begins. Small talk, and questions about the assistant or the
conversation, are none. A question of which a recognizer misheard the beginning ("hamstrung was the
earthquake in california") is told by what is left of its form.
"""

from __future__ import annotations

import re

from vivavoce.engines.function_calling import words
from vivavoce.engines.function_calling.requests import bare, begs, commands

_WEB = r"(?:google|the (?:web|internet|net))"
_ENGINE = rf"(?:{_WEB}(?: search)?|(?:a |the )?(?:web |internet )?search(?: tool| engine)?)"
_ONLINE = rf"(?:online|on {_WEB}|(?:using|with|via) {_ENGINE})"
_KNOWLEDGE = r"(?:(?:some|any|more|the) )?(?:info|information|details|facts)\b"
_SEEK = (
    rf"(?:search(?: (?:(?:on |in )?{_WEB}|online))?(?: for| about)?|look(?: it)? up"
    rf"|look online for|find out|find(?: me| us)? (?={_KNOWLEDGE})|google|research|check online"
    r"|see)"
)
_COMMAND = re.compile(
    rf"^(?:(?:use|using|with) {_ENGINE}\s*,?\s*(?:to|and|for)?\s*(?:{_SEEK}\b)?"
    rf"|do (?:a |an )?(?:\w+ )?search (?:for|on|about)\b"
    rf"|(?!see\b){_SEEK}\b)\s*",
    re.IGNORECASE,
)
_NAMED = re.compile(rf"\b(?:{_WEB}|online|(?:web|internet) search)\b", re.IGNORECASE)
_ABOUT = re.compile(
    r"^(?:(?:me|us)\s+)?(?:(?:some|any|more|all|the|latest)\s+)*"
    r"(?:info|information|details|facts|something|anything|everything|what (?:you|we) (?:can|know))"
    r"(?: (?:find|there is|you can find|out))?\s+(?:about|on|regarding|concerning|of|for)\s+"
    r"|^(?:about|on|for)\s+",
    re.IGNORECASE,
)
_TELL = re.compile(
    r"^(?:tell (?:me|us)|know|(?:do|can|could) you (?:know|tell me|find out|explain)"
    r"|what do you know|what can you tell me|i(?:'d| would) like to know|i want to know|i wonder"
    rf"|explain(?: to me)?|describe|give (?:me|us)(?= {_KNOWLEDGE})|(?:do you have )?any idea)\s+"
    r"(?:(?:more|something|everything|a bit|a little)\s+)?(?:about\s+)?",
    re.IGNORECASE,
)
_FACT = re.compile(
    r"^(?:(?:about|around|at|by|for|from|in|of|on|since|to|under|until|with) )?"
    r"(?:who|whom|whose|what|where|when|which|why|how)\b|^define\b",
    re.IGNORECASE,
)
_WHETHER = re.compile(
    r"^(?:is|are|was|were|did|does|do|has|have|had|can|could|will|would|should|must|may)"
    r"(?:n[’']t)?\b",
    re.IGNORECASE,
)
_NOW = r"(?: (?:tonight|today|tomorrow|now|right now|next|first|then))*[\s?.!]*$"
_PERSONAL = re.compile(
    r"\b(?:you|your|yours|yourself|u)\b|\bmy name\b|\bwho am i\b|\bam i\b|\bdo i (?:look|sound)\b"
    r"|\b(?:did|have|had) (?:i|we) (?:just )?(?:say|said|ask|asked|tell|told|talk|talked)\b"
    r"|\bwhat(?:'s| is) up\b|\bhow(?:'s| is) it going\b|\bwhat(?:'s| is) (?:this|that|it)\??$"
    r"|\bjokes?\b|\ba (?:story|poem|song)\b"
    rf"|^what (?:should|shall|can|could|do|must) (?:i|we) \w+{_NOW}"
    r"|^(?:can|could|may|should|must) (?:i|we) (?:ask|talk|speak|say|tell|chat|play|try|go|stop)\b"
    rf"|^what(?:'s| is)? (?:the )?(?:time|day|date|year|month)(?: is it| is today)?{_NOW}",
    re.IGNORECASE,
)
"""About the assistant, the conversation, the moment, or what only the user can know."""
_MINDS = (
    r"(?:feel|know|think|look|sound|like|love|hear|understand|remember|sleep|speak|talk|work"
    r"|help|answer|tell|do)\b"
)
_ANYBODY = re.compile(
    rf"^how (?:do|can|should|does|would) (?:you|one|i|we)\b(?! {_MINDS})"
    r"|^(?:(?:how|which) (?:\w+ )+?|where |when |why )(?:can|could|should|must|may) (?:you|one)\b"
    rf"(?! {_MINDS})"
    r"|(?<!^)\b(?:when|if|once|before|after|while) (?:you|i|we|the|a)\b",
    re.IGNORECASE,
)
"""Where "you" is anybody: "how do you boil an egg", "what happens when you press it"."""
_HALF_HEARD = re.compile(
    r"\b(?:who|what|where|when|which|how)\b|\b(?:is|are|was|were|did|does|do|has|have) (?:the|a)\b"
    r"|^(?:the )?(?:last|latest|first|next|nearest|\w{3,}est)\b",
    re.IGNORECASE,
)
"""What is left of a question that was misheard at its beginning, or was cut off there."""
_STATED = re.compile(
    r"^(?:it|this|that|these|those|there|he|she|they|yes|no|nope|yeah|thanks?|sorry|good|nice|great"
    r"|never|let|if|because|since|maybe|but|not|yesterday|today|tonight|tomorrow|everything"
    r"|last (?:night|week|month|year|time)|everyone|everybody|that's|it's)\b"
    r"|\b(?:i|i'm|i've|i'll|me|my|mine|we|us|our|let's)\b"
    r"|^(?:the|a|an) .*\b(?:is|are|was|were|has|have)\b",
    re.IGNORECASE,
)
_LATE = re.compile(
    r"(?<!^)\b(?:what|where|how|which|why) (?:\w+ )?(?:can|should|could|do|must) (?:i|we)\b", re.I
)
_SHORTEST_TOPIC = 4
_FEWEST_TELLING = 2
_EDGES = re.compile(r"^(?:the|a|an)\s+(?!who\b)|[\s?.!,;:]+$", re.IGNORECASE)
_TRAIL = re.compile(rf"\s+{_ONLINE}[\s?.!]*$", re.IGNORECASE)
_BACK = re.compile(
    r"\b(?:it|its|he|him|his|she|her|they|them|their|there|that|those|this)\b", re.IGNORECASE
)

_ASKING = words.word_set(
    "who whom whose what when where which why how many much did does was were can could tell about"
    " find know information look search google use has have had there will would should must may"
    " often cause causes caused reason reasons happen happens happened"
)


def is_asked_for(request: str) -> bool:
    """Whether the words themselves ask for a search."""
    plain = bare(request)
    return bool(_COMMAND.match(plain) or _TRAIL.search(plain))


def names_the_web(request: str) -> bool:
    """Whether nothing but a search can be meant: "google it", "look online"."""
    plain = bare(request)
    return is_asked_for(request) and bool(_NAMED.search(plain))


def query(request: str, before: str = "") -> str:
    """What to search for; empty if nothing is asked that a search could answer.

    `before` is what was searched for last: a question that points back at it takes it along.
    """
    plain = bare(request)
    told = _TRAIL.sub("", plain, count=1)
    commanded = _COMMAND.match(told)
    rest = told[commanded.end() :] if commanded else told
    curious = _TELL.match(rest)
    rest = rest[curious.end() :] if curious else rest
    if not commanded and told == plain:
        whether = _WHETHER.match(rest) and not begs(request)
        if not (curious or whether or _FACT.match(rest)):
            return ""
        if _PERSONAL.search(rest) and not _ANYBODY.search(rest):
            return ""
    rest = _ABOUT.sub("", rest, count=1)
    sought = _EDGES.sub("", _EDGES.sub("", rest)).strip()
    if not telling(sought):
        return before if commanded else ""
    if before and _BACK.search(sought):
        return f"{sought} {before}"
    return sought


def topic(request: str) -> str:
    """What to search for in a whole utterance that is neither a question nor an order by its form.

    It may be a question that was misheard or has its question word late ("the machine stays off,
    what can I do?"). Empty for statements and small talk.
    """
    plain = _EDGES.sub("", bare(request)).strip()
    if len(telling(plain)) < _FEWEST_TELLING:
        return ""
    if _LATE.search(plain) or is_half_heard(request):
        return plain
    odd = begs(request) or commands(plain) or _PERSONAL.search(plain) or _STATED.match(plain)
    return plain if request.rstrip().endswith("?") and not odd else ""


def is_half_heard(request: str) -> bool:
    """Whether it looks like a question, but not from its beginning."""
    plain = bare(request)
    if query(request) or begs(request) or commands(plain):
        return False
    if len(plain.split()) < _SHORTEST_TOPIC or len(telling(plain)) < _FEWEST_TELLING:
        return False
    odd = _PERSONAL.search(plain) or _STATED.search(plain)
    return bool(_HALF_HEARD.search(plain)) and not odd


def telling(text: str) -> set[str]:
    """The stems of the words that say what it is about."""
    return {
        words.stem(word)
        for word in words.tokenize(text)
        if word not in words.STOP_WORDS and word not in _ASKING
    }
