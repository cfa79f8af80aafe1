"""Parameters, and what each is for, read off its name, its description and its function."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.engines.function_calling import dates, schema, words


@dataclass(frozen=True, slots=True)
class Property:
    """One parameter, and whether the function needs it."""

    name: str
    about: Json
    needed: bool

    @property
    def kind(self) -> str:
        return "enum" if self.about.get("enum") is not None else schema.kind(self.about)


class Role(Enum):
    """What a string is for."""

    DAY = auto()
    MOMENT = auto()
    PERSON = auto()
    PLACE = auto()
    SOURCE = auto()
    TARGET = auto()
    TEXT = auto()
    CODE = auto()
    LANGUAGE = auto()
    NEW_NAME = auto()
    THING = auto()


_ROLES: tuple[tuple[Role, frozenset[str]], ...] = (
    (Role.NEW_NAME, words.word_set("new renamed")),
    (Role.SOURCE, words.word_set("from origin source pickup departure")),
    (Role.TARGET, words.word_set("to destination target")),
    (Role.DAY, words.word_set("day date")),
    (
        Role.MOMENT,
        words.word_set("time when start begin end until due deadline moment arrival"),
    ),
    (
        Role.PERSON,
        words.word_set(
            "contact person recipient guest attendee attendees friend sender receiver who whom"
            " colleague teacher student invitee with user author artist composer singer assignee"
            " employee patient doctor passenger owner customer"
        ),
    ),
    (
        Role.PLACE,
        words.word_set(
            "city room place location where town country area region zone resort beach harbor port"
            " airport address"
        ),
    ),
    (Role.LANGUAGE, words.word_set("language lang")),
    (
        Role.TEXT,
        words.word_set(
            "text message body content words sentence comment bio description reason note problem"
            " complaint feedback issue remark task todo question"
        ),
    ),
    (Role.CODE, words.word_set("number code id pin phone zip symbol isbn flight")),
)


_WHEN = frozenset().union(*(m for r, m in _ROLES if r in (Role.DAY, Role.MOMENT)))


def role(name: str, about: Json, tool: ToolDeclaration) -> Role:
    """What a string parameter is for."""
    named = frozenset(words.split_identifier(name))
    if named == {"to"} and words.word_set("mail email message send tell forward").intersection(
        words.split_identifier(tool.name)
    ):
        return Role.PERSON
    head = words.split_identifier(name)[-1:]
    for found, marks in _ROLES:
        if found in (Role.CODE, Role.PERSON, Role.PLACE) and marks.intersection(head):
            return found
    for found, marks in _ROLES:
        if found is Role.NEW_NAME and named & _WHEN:
            continue
        if named & marks and not (found is Role.CODE and named & {"name"}):
            return found
    described = frozenset(words.tokenize(str(about.get("description", ""))))
    if named == {"name"} and (
        described & words.word_set("person contact guest")
        or frozenset(words.split_identifier(tool.name))
        & words.word_set("contact person friend user")
    ):
        return Role.PERSON
    if described & words.word_set("person whom") and not described & {"file"}:
        return Role.PERSON
    return Role.THING


def unit_of_time(name: str, about: Json) -> str:
    """The unit of time that a number is wanted in; empty for other numbers."""
    told = (*words.split_identifier(name), *words.tokenize(str(about.get("description", ""))))
    return next((unit for word in told if (unit := word.removesuffix("s")) in dates.SECONDS), "")
