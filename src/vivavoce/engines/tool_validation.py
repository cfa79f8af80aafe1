"""Check a model's calls against their declarations, and ask again after a wrong one.

A call fits when its name was offered and its arguments are an object of plain JSON that the
declaration's schema allows, as far as `engines.validators` looks. Two readings are so common and
so safe that they are mended instead of refused: a whole number written as `10.0` where an
integer is wanted becomes `10`, and a `null` for an argument that is neither required nor may be
null is left out. Nothing else is bent: `"10"` is no number, and defaults are the client's affair.

A schema that no arguments can satisfy makes every call unfit; one that is no schema at all, which
only a tool of the server's own can bring (a client's are refused), lets every call pass.

Rules of asking again:

- The calls that a model asks for together are made together or not at all.
- Once one of them is invalid, or can't be read, the try is over. If the model repairs, it is asked
  once more: with its words and calls as a part of the history, and results that say what was
  wrong. Nothing of this reaches the session's own history.
- What was said in the first try was heard and is not said again: words of the second are held
  back until it calls, and dropped then. If it calls nothing they are its answer, without the
  beginning that was said before.
- A second try that goes wrong, too, or has nothing to add, ends as malformed.
- Both tries are paid for: their words are counted together. The prompt is counted once, as it
  is over the generations of a turn.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import islice, repeat
from typing import Any, assert_never

import orjson
from referencing.exceptions import Unresolvable

from vivavoce.domain import parameter_schema
from vivavoce.domain.content import (
    Content,
    Json,
    Part,
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
    Usage,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.parameter_schema import ParameterSchema
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.engines.ports import CallsRequested, CallUnreadable, Ended, TextDelta, UsageReported
from vivavoce.engines.validators import Allowance, Exhausted, errors

# --- checks ------------------------------------------------------------------------------

log = logging.getLogger(__name__)

MAX_BYTES = 65_536
"""Of one call's arguments as JSON. A model that writes more has lost its way."""
MAX_DEPTH = 64
"""The same as for messages: `protocol.json_frames` refuses what nests deeper."""

_NAMED = 40
_TOLD_ERRORS = 4
_TOLD_CHARS = 300
_TOLD_SCHEMA = 4000
_WHOLE = ({"integer"}, {"integer", "null"})


class InvalidCall(Exception):  # not of the tree: the model is asked again before it is given up
    """A call that was not declared so. Its text is for the model: what is wrong, what is wanted."""


def check_calls(calls: Iterable[ToolCall], tools: Tools) -> list[ToolCall | InvalidCall]:
    """Each call as it may be made, or what is wrong with it.

    Takes up to a tenth of a second for all of them together: not for an event loop.
    """
    declared = {tool.name: tool for tool in tools.declarations}
    allowance = Allowance()
    checked: list[ToolCall | InvalidCall] = []
    for call in calls:
        try:
            checked.append(_fitted(call, declared, allowance))
        except InvalidCall as invalid:
            checked.append(invalid)
    return checked


def _fitted(
    call: ToolCall, declared: Mapping[str, ToolDeclaration], allowance: Allowance
) -> ToolCall:
    """The call as it may be made. Raises `InvalidCall`."""
    if (tool := declared.get(call.name)) is None:
        raise InvalidCall(_unknown(call.name, list(declared)))
    if problem := unwieldy(call.args):
        raise InvalidCall(f"The arguments of {call.name} {problem}.")
    schema = tool.parameters or {}
    try:
        args = _mended(call.args, tool.schema, tool.schema.arguments)
    except Exception:  # what is no schema at all can't be read
        args = call.args
    if problems := _problems(tool, schema, args, allowance):
        wanted = _cut(json.dumps(schema, ensure_ascii=False), _TOLD_SCHEMA)
        raise InvalidCall(
            f"The arguments of {call.name} are wrong: {'; '.join(problems)}. "
            f"They must fit this JSON Schema: {wanted}"
        )
    return replace(call, args=args)


def _unknown(name: str, known: list[str]) -> str:
    more = ", …" if len(known) > _NAMED else ""
    listed = f"There are: {', '.join(known[:_NAMED])}{more}." if known else "There are none."
    return f"There is no function {_cut(name, 128)!r}. {listed}"


def unwieldy(args: object) -> str:
    """Return why arguments can't be sent, whatever the schema says; empty if they can."""
    if not isinstance(args, dict):
        return "are no object"
    try:
        size = len(orjson.dumps(args))
    except TypeError as problem:
        return f"can't be sent: {problem}"
    if size > MAX_BYTES:
        return f"are {size:,} bytes long; at most {MAX_BYTES:,} are allowed"
    level: list[object] = [args]
    for _ in range(MAX_DEPTH):
        level = [inner for outer in level for inner in _inner(outer)]
        if not level:
            return ""
        if any(isinstance(value, float) and not math.isfinite(value) for value in level):
            return "hold a number that is not finite"
    return f"are nested more than {MAX_DEPTH} levels deep"


def _inner(value: object) -> list[object]:
    if isinstance(value, dict):
        return list(value.values())
    return value if isinstance(value, list) else []


def _mended(value: Any, schema: ParameterSchema, place: object) -> Any:
    """See the module. Only where all readings of the schema agree."""
    readings = schema.readings(place)
    types = {one.get("type") for one in readings}
    if isinstance(value, float) and value.is_integer() and types in _WHOLE:
        return int(value)
    if len(of_kind := [one for one in readings if _is_for(value, one)]) != 1:
        return value
    [plain] = of_kind
    if isinstance(value, list):
        first = plain.get("prefixItems", [])[: len(value)]
        places = [*first, *[plain.get("items", True)] * (len(value) - len(first))]
        return [_mended(*one) for one in zip(value, repeat(schema), places, strict=False)]
    named, needed = parameter_schema.properties(plain), parameter_schema.required(plain)
    return {
        name: _mended(one, schema, named.get(name, True))
        for name, one in value.items()
        if one is not None or name in needed or _may_be_null(schema, named.get(name, True))
    }


def _is_for(value: object, plain: Json) -> bool:
    kind = parameter_schema.kind(plain)
    return isinstance(value, dict if kind == "object" else list if kind == "array" else ())


def _may_be_null(schema: ParameterSchema, place: object) -> bool:
    return any(one.get("type") in (None, "null") for one in schema.readings(place))


def _problems(tool: ToolDeclaration, schema: Json, args: object, allowance: Allowance) -> list[str]:
    try:
        found = errors(schema, args, allowance)
        return [_told(error) for error in islice(found, _TOLD_ERRORS)]
    except Exhausted:
        return ["they are too intricate to be checked"]
    except (RecursionError, Unresolvable):
        return ["the schema leads nowhere"]
    except Exception as fault:
        # The library trusts schemas to be well formed.
        problem = repr(fault)[:_TOLD_CHARS]
        log.warning("schema is unusable", extra={"function": tool.name, "problem": problem})
        return []


def _told(error: Any) -> str:
    where = str(error.json_path).removeprefix("$.")
    place = "" if where == "$" else f"{where}: "
    return place + _cut(str(error.message), _TOLD_CHARS)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


# --- asking again ------------------------------------------------------------------------


CheckedPart = TextDelta | CallsRequested | UsageReported | Ended
"""A part whose calls, if it holds any, fit their declarations."""


@dataclass(frozen=True, slots=True)
class CallsChecked:
    """A batch of calls, each with the call that may be made or with what is wrong with it."""

    calls: tuple[ToolCall, ...]
    checked: tuple[ToolCall | InvalidCall, ...]


def check_batch(requested: CallsRequested, tools: Tools) -> CallsChecked:
    """Check the batch for `ToolCallRetry.take_part`. May take a tenth of a second: use a thread."""
    return CallsChecked(requested.calls, tuple(check_calls(requested.calls, tools)))


AnswerPart = TextDelta | CallsChecked | CallUnreadable | UsageReported | Ended
"""A part of a model's, its calls checked."""

_QUOTED = 500
_AGAIN = "Nothing was done. Correct this and make every call of that answer again."
_FINE = "Not done, because another call of the same answer was wrong. Make this one again, too."
_MADE = "This call was made. Don't make it again."


@dataclass(slots=True)
class _Try:
    """Results of asking once."""

    said: str = ""
    held: str = ""
    made: list[ToolCall] = field(default_factory=list)
    wrong: list[tuple[ToolCall, str]] = field(default_factory=list)
    """The calls of the batch that is not made, each with what the model is told of it."""
    ended: Ended | None = None


class ToolCallRetry:
    """One answer of a model, asked at most twice.

    `request` is what the model is to be asked now, `None` when the answer is over. For each try:
    `take_part` until it ends or is `invalid`, then call `end_try`.
    """

    def __init__(self, request: GenerationRequest, repairs: bool) -> None:
        self.request: GenerationRequest | None = request
        self.invalid = False
        self._asked = request
        self._repairs = repairs
        self._now = _Try()
        self._before: _Try | None = None
        self._spent = Usage()
        self._usage = Usage()

    def take_part(self, part: AnswerPart) -> Iterator[CheckedPart]:
        """Take a part of the try; yields what may be handed on."""
        now = self._now
        match part:
            case UsageReported(usage=usage):
                self._usage = self._spent.update_with(usage)
                yield UsageReported(self._usage)
            case _ if now.wrong:
                self.invalid = True  # nothing but its cost was still of interest
            case TextDelta(text=text, thought=False) if self._may_be_said_before():
                now.held += text
            case TextDelta(text=text, thought=thought):
                now.said += "" if thought else text
                yield part
            case CallsChecked():
                yield from self._take_calls(part)
            case CallUnreadable(name=name, written=written, problem=problem):
                told = f"{problem} You wrote: {written[:_QUOTED]} {_AGAIN}"
                now.wrong.append((ToolCall(CallId(""), name or "unnamed", {}), told))
            case Ended():
                now.ended = part
            case _:
                assert_never(part)

    def end_try(self) -> Iterator[CheckedPart]:
        """End the try, whole or broken off. Sets `request`; yields what may be handed on."""
        now, before = self._now, self._before
        self.request = None
        if now.wrong:
            again = before is None and self._repairs
            names = [call.name for call, told in now.wrong if told != _FINE]
            log.warning(
                "model made an invalid call", extra={"functions": names, "asked_again": again}
            )
            if again:
                self.request = _corrected(self._asked, now)
                self._before, self._now = now, _Try()
                self._spent, self.invalid = self._usage, False
                return
        malformed = bool(now.wrong)
        if before is not None and not (now.wrong or now.made):
            rest = now.held.strip().removeprefix(before.said.strip()).strip()
            if rest:
                yield TextDelta(f" {rest}")
            malformed = not (rest or now.said.strip())
        if malformed:
            yield Ended(EndReason.MALFORMED_CALL)
        elif now.ended is not None:
            yield now.ended

    def _may_be_said_before(self) -> bool:
        before = self._before
        return before is not None and bool(before.said.strip()) and not self._now.made

    def _take_calls(self, batch: CallsChecked) -> Iterator[CallsRequested]:
        fit = tuple(one for one in batch.checked if isinstance(one, ToolCall))
        if len(fit) < len(batch.calls):
            told = [
                f"{one} {_AGAIN}" if isinstance(one, InvalidCall) else _FINE
                for one in batch.checked
            ]
            self._now.wrong = list(zip(batch.calls, told, strict=True))
            return
        self._now.made += fit
        yield CallsRequested(fit)


def _corrected(asked: GenerationRequest, first: _Try) -> GenerationRequest:
    """The question with what the model made of it and what was wrong with that."""
    spoken: list[Part] = [Text(first.said)] if first.said.strip() else []
    results: list[Part] = []
    made = [(call, {"output": _MADE}) for call in first.made]
    wrong = [(call, {"error": told}) for call, told in first.wrong]
    for number, (call, response) in enumerate(made + wrong, 1):
        id_ = CallId(f"again_{number}")
        # What is too large or too deep to be made is too much to be shown, too.
        args = {} if unwieldy(call.args) else call.args
        spoken.append(ToolCall(id_, call.name, args))
        results.append(ToolResult(id_, call.name, response))
    contents = (Content(Role.MODEL, tuple(spoken)), Content(Role.USER, tuple(results)))
    return replace(asked, history=(*asked.history, *contents))
