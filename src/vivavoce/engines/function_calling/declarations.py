"""Function declarations: purpose, parameters, and the kind of value that each of them takes.

Descriptions are written for large models: docstrings with sections, instructions ("Always call
this first."), remarks about the result. None of that tells which utterance asks for the function,
and it moves a sentence embedding away from the utterances that do. So router and judge read the
name, the one sentence that says what the function does, and the parameters.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from vivavoce.domain import parameter_schema
from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.domain.parameter_schema import ParameterSchema
from vivavoce.engines.function_calling import numbers, words
from vivavoce.engines.tool_validation import fits_schema

UNKNOWN: Any = object()
"""No value, where `None` is one."""


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter, and whether it is required.

    `place` is its schema within `tool_schema`, and `schema` one resolved variant of that.
    """

    name: str
    tool_schema: ParameterSchema
    place: object
    schema: Json
    needed: bool

    @property
    def kind(self) -> str:
        named = parameter_schema.kind(self.schema)
        listed = self.schema.get("enum")
        if listed is None or named == "null":
            return named
        return "boolean" if all(isinstance(value, bool) for value in listed) else "enum"

    @property
    def others(self) -> tuple[Parameter, ...]:
        """The same parameter by its further variants, and by further types if it has none."""
        further = list(self.tool_schema.variants(self.place)[1:])
        if "type" not in self.schema and "enum" not in self.schema:
            further += [{**self.schema, "type": one} for one in ("number", "boolean")]
        return tuple(replace(self, schema=one) for one in further)

    @property
    def implied(self) -> Any:
        """The value of a required parameter of which nothing was said; `UNKNOWN` if none is.

        The default, the only value that is allowed, or null.
        """
        variants = self.tool_schema.variants(self.place)
        if "default" in self.schema:
            return self.schema["default"]
        if len(variants) == 1 and len(self.schema.get("enum") or ()) == 1:
            return self.schema["enum"][0]
        if variants and parameter_schema.kind(variants[-1]) == "null":
            return None
        return UNKNOWN

    def accepts(self, value: Any) -> bool:
        """Return whether the parameter's schema allows `value`."""
        return fits_schema(self.tool_schema.root, value, self.place)


def parameters(tool: ToolDeclaration) -> list[Parameter]:
    """Return the parameters of a function by the first variant of its schema."""
    return parameters_of(tool.schema, tool.schema.first(tool.schema.arguments))


def parameters_of(schema: ParameterSchema, shape: Json) -> list[Parameter]:
    """Return the parameters in an object's schema, without those whose schema allows nothing."""
    needed = parameter_schema.required(shape)
    named = parameter_schema.properties(shape)
    unnamed = [name for name in needed if name not in named]
    further = dict.fromkeys(unnamed, shape.get("additionalProperties", True))
    return [
        Parameter(name, schema, place, variants[0], name in needed)
        for name, place in {**named, **further}.items()
        if (variants := schema.variants(place))
    ]


class ParameterKind(Enum):
    """The kind of thing that a string parameter stands for."""

    DAY = auto()
    MOMENT = auto()
    PERSON = auto()
    PLACE = auto()
    SOURCE = auto()
    TARGET = auto()
    TEXT = auto()
    CODE = auto()
    LANGUAGE = auto()
    AMOUNT = auto()
    NEW_NAME = auto()
    THING = auto()


_ROLES: tuple[tuple[ParameterKind, frozenset[str]], ...] = (
    (ParameterKind.NEW_NAME, words.word_set("new renamed")),
    (ParameterKind.SOURCE, words.word_set("from origin source pickup departure")),
    (ParameterKind.TARGET, words.word_set("to destination target")),
    (ParameterKind.DAY, words.word_set("day date")),
    (
        ParameterKind.MOMENT,
        words.word_set("time when start begin end until due deadline moment arrival"),
    ),
    (
        ParameterKind.PERSON,
        words.word_set(
            "contact person recipient guest attendee attendees friend sender receiver who whom"
            " colleague teacher student invitee with user author artist composer singer assignee"
            " employee patient doctor passenger owner customer people participants members invitees"
        ),
    ),
    (
        ParameterKind.PLACE,
        words.word_set(
            "city room place location where near town village country area region zone resort beach"
            " harbor harbour port airport address restaurant hotel store shop venue cafe station"
            " museum branch street"
        ),
    ),
    (ParameterKind.LANGUAGE, words.word_set("language lang")),
    (
        ParameterKind.TEXT,
        words.word_set(
            "text message body content words sentence comment bio description reason note problem"
            " complaint feedback issue remark task todo question phrase problem reference memo"
        ),
    ),
    (ParameterKind.AMOUNT, words.word_set("amount quantity dose dosage portion portions")),
    (ParameterKind.CODE, words.word_set("number code id pin phone zip symbol isbn flight")),
)


_HEAD = re.compile(
    r"(?:(?:the|an?|which|whose|full|wanted|other|names? of)\s+)*([a-z]+)(?!(?:\s|-)?[a-z]*'s)\b"
)
"""The first noun of a description: "The city to search in", "Name of the guest"."""
_DECIDED_BY_DESCRIPTION = frozenset((ParameterKind.PERSON, ParameterKind.PLACE))
_DECIDED_BY_LAST = _DECIDED_BY_DESCRIPTION | frozenset(
    (ParameterKind.CODE, ParameterKind.DAY, ParameterKind.MOMENT, ParameterKind.LANGUAGE)
)
"""Kinds that the last word of a parameter's name decides."""
_SENDS = words.word_set("mail email message send tell forward")
_ACQUAINTED = words.word_set("person contact guest friend user")
_WHEN_WORDS = words.word_set("when deadline")
_WHERE = words.word_set("where place location city town station address airport")
_ENDS = words.word_set("start begin end until departure arrival")
_WHEN = frozenset().union(*(m for r, m in _ROLES if r in (ParameterKind.DAY, ParameterKind.MOMENT)))


def kind_of(name: str, about: Json, tool: ToolDeclaration) -> ParameterKind:
    """Return the kind of a string parameter by its name, description and function."""
    parts, called = words.split_identifier(name), frozenset(words.split_identifier(tool.name))
    description = str(about.get("description", "")).lower()
    named, described = frozenset(parts), frozenset(words.tokenize(description))
    if named == {"to"} and called & _SENDS:
        return ParameterKind.PERSON
    if described & _WHERE and named & _ENDS:
        return ParameterKind.TARGET if named & {"end", "until"} else ParameterKind.SOURCE
    if described & {"number", "code"} and not described & {"name", "title"}:
        return ParameterKind.CODE
    unfit = {ParameterKind.NEW_NAME} if named & _WHEN else set()
    unfit |= {ParameterKind.CODE} if "name" in named else set()
    kinds = frozenset(ParameterKind) - unfit
    if found := _by_words(frozenset(parts[-1:]), _DECIDED_BY_LAST) or _by_words(named, kinds):
        return found
    if named == {"name"} and (described & _ACQUAINTED or called & _ACQUAINTED):
        return ParameterKind.PERSON
    lead = frozenset(words.tokenize(description)[:4])
    if lead & _WHEN_WORDS:
        return ParameterKind.MOMENT
    if lead & {"where"}:
        return ParameterKind.PLACE
    noun = _HEAD.match(description)
    if noun and (found := _by_words(frozenset((noun[1],)), _DECIDED_BY_DESCRIPTION)):
        return found
    if described & {"person", "whom"} and "file" not in described:
        return ParameterKind.PERSON
    return ParameterKind.THING


def _by_words(named: frozenset[str], kinds: frozenset[ParameterKind]) -> ParameterKind | None:
    return next((kind for kind, marks in _ROLES if kind in kinds and named & marks), None)


def unit_of_time(name: str, about: Json) -> str:
    """Return the unit of time of a number parameter; empty for other numbers."""
    texts = (*words.split_identifier(name), *words.tokenize(str(about.get("description", ""))))
    return next((unit for word in texts if (unit := word.removesuffix("s")) in numbers.SECONDS), "")


# --- what a function does -----------------------------------------------------------------

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


def embedded_texts(tool: ToolDeclaration) -> tuple[str, ...]:
    """Return the texts whose embeddings stand for the function: with the summary, and without."""
    about = summary(tool)
    named, takes = words.spell_identifier(tool.name), _parameters(tool)
    bare = ". ".join(part for part in (named, takes) if part)
    return (". ".join(part for part in (named, about, takes) if part), bare) if about else (bare,)


def _shortened(text: str) -> str:
    plain = " ".join(text.split())
    if len(plain) > _MAX_SUMMARY_CHARS:
        plain = plain[:_MAX_SUMMARY_CHARS].rsplit(" ", 1)[0]
    return plain.strip(" .,;:!")


def _parameters(tool: ToolDeclaration) -> str:
    texts = []
    for one in parameters(tool) if tool.parameters else ():
        listed = [value for value in one.schema.get("enum") or () if isinstance(value, str)]
        spelled = ", ".join(map(words.spell_identifier, listed))
        texts.append(f"{words.spell_identifier(one.name)} {spelled}".rstrip())
    return "; ".join(texts)
