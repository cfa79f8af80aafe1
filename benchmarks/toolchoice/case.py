"""One utterance and what should come of it.

Free text is labelled in the user's own words. The other forms that are as good (a number in
digits, a time written out) are listed one by one, so that nothing is forgiven that a reader can't
see. Only case, white space, the article before a text and the marks around its words don't count.
An optional argument that the user did not speak of is left out.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

_ARTICLE = re.compile(r"^(?:the|an?) (?=.)")
Value = str | int | float | bool | list[Any] | dict[str, Any]
Arguments = dict[str, Value]


@dataclass(frozen=True, slots=True)
class Case:
    """What is said with a tool set at hand; `call` is None where no function must be called."""

    tools: str
    said: str
    call: str | None
    args: Arguments = field(default_factory=dict)
    also: tuple[Arguments, ...] = ()

    def accepts(self, args: Mapping[str, object]) -> bool:
        """Whether these are the labelled arguments or one of their equals."""
        given = _plain(args)
        return any(_plain(wanted) == given for wanted in (self.args, *self.also))


def ways(**choices: Value | tuple[Value, ...]) -> tuple[Arguments, ...]:
    """Every combination of the values that each argument may take."""
    lists = [value if isinstance(value, tuple) else (value,) for value in choices.values()]
    return tuple(dict(zip(choices, values, strict=True)) for values in itertools.product(*lists))


def _plain(args: Mapping[str, object]) -> dict[str, tuple[bool, object]]:
    """Values ready to be compared; the mark keeps true and 1 apart, which Python holds equal."""
    return {key: (isinstance(value, bool), _bare(value)) for key, value in args.items()}


def _bare(value: object) -> object:
    if isinstance(value, Mapping):
        return _plain(value)
    if isinstance(value, list):
        return [_bare(item) for item in value]
    if isinstance(value, str):
        said = (word.strip(".,;:!?\"'") for word in value.casefold().split())
        return _ARTICLE.sub("", " ".join(filter(None, said)))
    return value
