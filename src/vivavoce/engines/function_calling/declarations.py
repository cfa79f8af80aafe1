"""The text of a function declaration that says what the function does.

Descriptions are written for large models: docstrings with sections, instructions ("Always call
this first."), remarks about the result. None of that tells which utterance asks for the function,
and it moves a sentence embedding away from the utterances that do. So the router and the judge
read the name, the one sentence that says what the function does, and the parameters.
"""

from __future__ import annotations

import re

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.engines.function_calling import parameter_kinds, words

_MAX_CHARS = 1000
"""Characters of a description that are read: the purpose stands at its beginning."""
_MAX_SUMMARY_CHARS = 200

_HEADINGS = r"arg(?:ument)?s?|param(?:eter)?s?|returns?|raises?|yields?|examples?|notes?|usage"
_SECTION = re.compile(
    rf"(?:^|\n)[ \t]*+#*+[ \t]*+(?:{_HEADINGS})[ \t]*+:?[ \t]*+(?=\n|$)"
    rf"|(?:^|\s)(?:{_HEADINGS})[ \t]*+:(?=\s)|(?:^|\s)[:@](?:param|type|returns?|rtype|raises?)\b",
    re.IGNORECASE,
)
"""Where a docstring's sections (Google, NumPy, Sphinx and Javadoc style) begin."""
_SENTENCE_END = re.compile(
    r"(?<=[.!?;])\s+|(?<!\s)\s*\n\s*\n\s*|\n[ \t]*(?=[-*])|(?<!\s)\s++[—–]\s+"
)
_LABEL = re.compile(
    r"^(?:[-*#>\s]++|(?:important|note|warning|attention|hint|tip|description|summary|purpose"
    r"|function|tool)\s*[:!]\s*)+",
    re.IGNORECASE,
)
_USAGE = re.compile(
    r"^(?:(?:always|only|please|you|should|must|can|may|this|it|is|be)\s+)*"
    r"(?:use|used|call|called|invoke|run|trigger|useful)\b\s*"
    r"(?:(?:it|this|that|the)\b\s*)?(?:(?:tool|function|action|api)\b\s*)?"
    r"(?:(?:always|only)\s+)?(?:(?:when(?:ever)?|if|to|for|in order to|as soon as)\b\s*)?"
    r"(?:(?:the|a|your)?\s*(?:users?|callers?|customers?|some(?:one|body)|they|people|guests?)\b\s*)?"
    r"(?:(?:asks?|wants?|needs?|says?|requests?|would like|is asking|wishes|mentions?)\b\s*)?"
    r"(?:(?:you|the assistant)\b\s*)?(?:(?:to know|for|about|to)\b\s*)?",
    re.IGNORECASE,
)
"""The part of an instruction before the occasion: "Use this when the user asks about"."""
_SUBJECT = re.compile(
    r"^(?:(?:this|the|a|an)\s+)?(?:simple\s+|helper\s+)?(?:tool|function|action|api|method|it)\s+"
    r"(?:(?:that|which)\s+)?(?:(?:(?:is|can be)\s+)?(?:used|useful)?\s*(?:to|for)\b\s*"
    r"|(?:lets?|allows?|enables?|helps?)\s+(?:(?:the|an?|you)?\s*"
    r"(?:assistant|users?|model|agent|app|caller|customer)?\s*)(?:to\s+)?|(?:can|will)\s+)?",
    re.IGNORECASE,
)
_RESULT = re.compile(r"^(?:the )?(?:returns?|returned|outputs?|responds? with|result)\b\s*",
                     re.IGNORECASE)  # fmt: skip
_INSTRUCTION = re.compile(
    r"^(?:always|never|only|do not|don't|prefer|avoid|make sure|ensure|confirm|remember|you|if"
    r"|when|before|after|must|should|requires?|ask|the (?:user|result|response|output|answer))\b",
    re.IGNORECASE,
)


def name(tool: ToolDeclaration) -> str:
    """Return the words of a function's name: `getWeather` is `get weather`."""
    return " ".join(words.split_identifier(tool.name))


def summary(tool: ToolDeclaration) -> str:
    """Return what the function does, in one sentence; empty if the description does not say.

    The first sentence that is neither an instruction nor about the result. Where there is none,
    what an instruction names as the occasion ("the weather"), or what is returned.
    """
    text = tool.description[:_MAX_CHARS]
    if section := _SECTION.search(text):
        text = text[: section.start()] or text[section.end() :]
    occasions: list[str] = []
    results: list[str] = []
    for sentence in _SENTENCE_END.split(text):
        plain = _SUBJECT.sub("", _LABEL.sub("", sentence.strip()), count=1).strip(" \t\n.;:!")
        if not plain:
            continue
        if usage := _USAGE.match(plain):
            occasions.append(plain[usage.end() :])
        elif result := _RESULT.match(plain):
            results.append(plain[result.end() :])
        elif not _INSTRUCTION.match(plain):
            return _shortened(plain)
    return _shortened(next((text for text in (*occasions, *results) if text), ""))


def texts(tool: ToolDeclaration) -> tuple[str, ...]:
    """Return the texts whose embeddings stand for the function: with the summary, and without."""
    about = summary(tool)
    named, takes = name(tool), _parameters(tool)
    bare = ". ".join(part for part in (named, takes) if part)
    return (". ".join(part for part in (named, about, takes) if part), bare) if about else (bare,)


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    if len(plain) > _MAX_SUMMARY_CHARS:
        plain = plain[:_MAX_SUMMARY_CHARS].rsplit(" ", 1)[0]
    return plain.strip(" .,;:!")


def _parameters(tool: ToolDeclaration) -> str:
    if not tool.parameters:
        return ""
    return "; ".join(_parameter(one.name, one.about) for one in parameter_kinds.parameters(tool))


def _parameter(name: str, one: Json) -> str:
    plain = " ".join(words.split_identifier(name))
    values = [value for value in one.get("enum") or () if isinstance(value, str)]
    spelled = ", ".join(" ".join(words.split_identifier(value)) for value in values)
    return f"{plain} {spelled}" if spelled else plain
