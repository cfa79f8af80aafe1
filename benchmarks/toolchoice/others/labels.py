"""The form in which the utterances of a further tool set are written down.

A value that may be given in several forms is a tuple of them; `ABSENT` among them says that the
argument may as well be left out. Arguments that are not named must be left out.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vivavoce.domain.content import ToolDeclaration
from vivavoce.protocol.base import Reading
from vivavoce.protocol.tools import Tool, domain_tools

from ..case import Arguments, Case, Value

Declaration = Mapping[str, Any]
"""A function declaration as a client sends it: `parameters` or `parametersJsonSchema`."""

ABSENT: Any = object()
"""Stands for an optional argument that is left out."""


@dataclass(frozen=True, slots=True)
class Utterance:
    """A text, the function to be called or `None`, and all argument sets that are right."""

    text: str
    call: str | None
    accepted: tuple[Arguments, ...] = ({},)

    def case(self, tools: str, said: str) -> Case:
        """The case in which the user is understood to have said `said`."""
        first, *others = self.accepted
        return Case(tools, said, self.call, first, tuple(others))


def domain_declarations(declarations: Sequence[Declaration]) -> tuple[ToolDeclaration, ...]:
    """The declarations as the server gives them to an engine, checked as those of a client."""

    wire = Tool.model_validate({"functionDeclarations": list(declarations)})
    return domain_tools([wire], "setup.tools", Reading(strict=True)).functions


@dataclass(frozen=True, slots=True)
class ToolSet:
    """Function declarations, utterances as a user types them, and others to be spoken."""

    name: str
    declarations: tuple[Declaration, ...]
    typed: tuple[Utterance, ...]
    spoken: tuple[Utterance, ...]


def ask(text: str, call: str, /, **values: Value | tuple[Any, ...]) -> Utterance:
    """An utterance that asks for `call` with these arguments."""
    lists = [value if isinstance(value, tuple) else (value,) for value in values.values()]
    accepted = tuple(
        {name: value for name, value in zip(values, chosen, strict=True) if value is not ABSENT}
        for chosen in itertools.product(*lists)
    )
    return Utterance(text, call, accepted)


def other(text: str) -> Utterance:
    """An utterance for which no function is to be called."""
    return Utterance(text, None)
