"""Check calls of a model against their declarations, and values against JSON Schema.

A call fits when its name was offered and its arguments are an object of plain JSON that the
declaration's schema allows. Two mistakes are so common and so safe that they are mended instead of
refused: a whole number written as `10.0` where an integer is wanted becomes `10`, and a `null` for
an argument that is neither required nor may be null is left out. Nothing else is bent: `"10"` is no
number, and defaults are the client's affair.

A schema that no arguments can satisfy makes every call unfit; one that is no schema at all, which
only a tool of the server's own can bring (a client's are refused), lets every call pass.

Schemas and values come from clients and models, and jsonschema trusts both: a `pattern` is searched
for as long as it takes, a `$ref` is fetched, `uniqueItems` compares everything with everything,
19.99 is no multiple of 0.01, a schema that branches on every level is tried branch by branch. Here

- patterns run in `regex`, which stops when told to; one that takes too long, that it can't read,
  that is very long or that repeats very often says nothing against a value;
- a check, or several that share a `CheckBudget`, gets a tenth of a second of computing and
  `MAX_KEYWORD_DEPTH` keywords within each other, then `BudgetExhausted` ends it; that is looked at
  before every keyword and every pattern;
- nothing is fetched, and a `$schema` within a schema changes nothing;
- `unevaluatedProperties` and `format` are not looked at.

jsonschema-rs would not do: it holds the interpreter for as long as a check takes (0.7 s for 3,000
names against 1,500 patterns), and refuses a schema for one pattern that it can't read.
"""

from __future__ import annotations

import gc
import json
import logging
import math
import re
import threading
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import replace
from importlib import import_module
from itertools import islice, repeat
from time import perf_counter, thread_time
from typing import Any

import jsonschema
import orjson
import regex
from jsonschema import validators
from referencing import Registry
from referencing.exceptions import Unresolvable

from vivavoce.domain import parameter_schema
from vivavoce.domain.content import Json, ToolCall, ToolDeclaration, Tools
from vivavoce.domain.parameter_schema import ParameterSchema, decimal, identity

log = logging.getLogger(__name__)

# --- calls -------------------------------------------------------------------------------

MAX_BYTES = 65_536
"""Of one call's arguments as JSON."""
MAX_DEPTH = 64
"""The same as for messages: `protocol.json_frames` refuses what nests deeper."""

_MAX_NAMES = 40
_MAX_ERRORS = 4
_MAX_ERROR_CHARS = 300
_MAX_SCHEMA_CHARS = 4000
_INTEGER_TYPES = ({"integer"}, {"integer", "null"})


class InvalidCall(Exception):  # not of the tree: the model is asked again before it is given up
    """A call that does not fit its declaration. Its text, error and schema, is for the model."""


def check_calls(calls: Iterable[ToolCall], tools: Tools) -> list[ToolCall | InvalidCall]:
    """Return each call as it may be made, or its error.

    Takes up to a tenth of a second for all of them together: not for an event loop.
    """
    declared = {tool.name: tool for tool in tools.declarations}
    budget = CheckBudget()
    checked: list[ToolCall | InvalidCall] = []
    for call in calls:
        try:
            checked.append(_fitted(call, declared, budget))
        except InvalidCall as invalid:
            checked.append(invalid)
    return checked


def _fitted(
    call: ToolCall, declared: Mapping[str, ToolDeclaration], budget: CheckBudget
) -> ToolCall:
    """Return the call as it may be made. Raises `InvalidCall`."""
    if (tool := declared.get(call.name)) is None:
        raise InvalidCall(_unknown(call.name, list(declared)))
    if problem := args_problem(call.args):
        raise InvalidCall(f"The arguments of {call.name} {problem}.")
    schema = tool.parameters or {}
    try:
        args = _mended(call.args, tool.schema, tool.schema.arguments)
    except Exception:  # what is no schema at all can't be read
        args = call.args
    if problems := _problems(tool, schema, args, budget):
        wanted = _truncate(json.dumps(schema, ensure_ascii=False), _MAX_SCHEMA_CHARS)
        raise InvalidCall(
            f"The arguments of {call.name} are wrong: {'; '.join(problems)}. "
            f"They must fit this JSON Schema: {wanted}"
        )
    return replace(call, args=args)


def _unknown(name: str, known: list[str]) -> str:
    more = ", …" if len(known) > _MAX_NAMES else ""
    listed = f"There are: {', '.join(known[:_MAX_NAMES])}{more}." if known else "There are none."
    return f"There is no function {_truncate(name, 128)!r}. {listed}"


def args_problem(args: object) -> str:
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
    """Mend numbers and nulls where all variants of the schema agree: see the module."""
    variants = schema.variants(place)
    types = {one.get("type") for one in variants}
    if isinstance(value, float) and value.is_integer() and types in _INTEGER_TYPES:
        return int(value)
    if len(of_kind := [one for one in variants if _is_for(value, one)]) != 1:
        return value
    [variant] = of_kind
    if isinstance(value, list):
        first = variant.get("prefixItems", [])[: len(value)]
        places = [*first, *[variant.get("items", True)] * (len(value) - len(first))]
        return [_mended(*one) for one in zip(value, repeat(schema), places, strict=False)]
    named, needed = parameter_schema.properties(variant), parameter_schema.required(variant)
    return {
        name: _mended(one, schema, named.get(name, True))
        for name, one in value.items()
        if one is not None or name in needed or _may_be_null(schema, named.get(name, True))
    }


def _is_for(value: object, variant: Json) -> bool:
    kind = parameter_schema.kind(variant)
    return isinstance(value, dict if kind == "object" else list if kind == "array" else ())


def _may_be_null(schema: ParameterSchema, place: object) -> bool:
    return any(one.get("type") in (None, "null") for one in schema.variants(place))


def _problems(tool: ToolDeclaration, schema: Json, args: object, budget: CheckBudget) -> list[str]:
    try:
        found = schema_errors(schema, args, budget)
        return [_message(error) for error in islice(found, _MAX_ERRORS)]
    except BudgetExhausted:
        return ["they are too intricate to be checked"]
    except (RecursionError, Unresolvable):
        return ["the schema leads nowhere"]
    except Exception as fault:
        # The library trusts schemas to be well formed.
        problem = repr(fault)[:_MAX_ERROR_CHARS]
        log.warning("schema is unusable", extra={"function": tool.name, "problem": problem})
        return []


def _message(error: Any) -> str:
    where = str(error.json_path).removeprefix("$.")
    place = "" if where == "$" else f"{where}: "
    return place + _truncate(str(error.message), _MAX_ERROR_CHARS)


def _truncate(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[:most]}…"


# --- schemas -----------------------------------------------------------------------------

LONGEST_PATTERN = 1000
LARGEST_PATTERN = 3000
"""With repetitions written out: compiling it takes up to 0.1 s, and can't be stopped."""
_CHECK_S = 0.1
"""Of computing, half of it in patterns."""
MAX_KEYWORD_DEPTH = 160
"""Keywords that are being looked at within each other. Arguments nest 64 levels at most, and a
level is a keyword or two; a schema that leads to itself ends here, long before the stack does."""

Errors = Iterator[jsonschema.ValidationError]


class BudgetExhausted(Exception):  # not of the tree: to the caller, the value did not prove to fit
    """Checking took more work than a call is worth."""


class _Collections(threading.local):
    """Seconds of a thread's computing that went into full collections of garbage.

    A server's takes about as long as a whole check, and falls on whichever thread allocates.
    """

    spent_s = 0.0
    _began_s = 0.0

    def note(self, phase: str, details: Mapping[str, int]) -> None:
        """Callback of the collector."""
        if details["generation"] < 2:
            return
        if phase == "start":
            self._began_s = thread_time()
        else:
            self.spent_s += thread_time() - self._began_s


_collections = _Collections()
gc.callbacks.append(_collections.note)


class CheckBudget:
    """Budget of checks that belong together. For the thread in which it was made."""

    def __init__(self, computed_s: float = _CHECK_S) -> None:
        self._ends = _computed_s() + computed_s
        self.patterns_s = computed_s / 2
        self.depth = 0

    def require(self) -> None:
        """Raise `BudgetExhausted` where nothing is left."""
        if self.depth > MAX_KEYWORD_DEPTH or _computed_s() > self._ends:
            raise BudgetExhausted


def _computed_s() -> float:
    return thread_time() - _collections.spent_s


_budget: ContextVar[CheckBudget] = ContextVar("budget of a check")


def schema_errors(
    schema: Json, value: object, budget: CheckBudget | None = None, place: object = None
) -> Errors:
    """Yield the errors of `value` by `schema`, read by the draft that its `$schema` names.

    With `place`, a schema whose references are those of `schema`, the value is held to that.

    Raises `BudgetExhausted`, also for a schema that only leads to itself, and the library's errors
    for a `$ref` that leads nowhere. Takes up to a tenth of a second: not for an event loop.
    """
    budget = budget or CheckBudget()
    budget.depth = 0
    _budget.set(budget)
    checker = _latest.checker_of(schema)
    if place is not None:
        checker = checker.evolve(schema=place)
    found: Errors = checker.iter_errors(value)
    return found


class _LatestChecker(threading.local):
    """The validator of the schema that a thread looked at last.

    Making one costs more than most checks, and an argument is chosen by many checks of one schema.
    """

    _schema: Json | None = None
    _checker: Any = None

    def checker_of(self, schema: Json) -> Any:
        """Return a validator that reads `schema` by the draft that its `$schema` names."""
        if schema is not self._schema:
            draft = _DRAFTS.get(str(schema.get("$schema", "")).rstrip("#"), _LATEST)
            self._checker, self._schema = draft(schema, registry=_NOTHING_ELSE), schema
        return self._checker


_latest = _LatestChecker()


def fits_schema(
    schema: Json, value: object, place: object = None, budget: CheckBudget | None = None
) -> bool:
    """Return whether `value` fits, by `schema_errors`; true where the schema is no schema.

    A schema that leads nowhere, or takes too much work, accepts nothing.
    """
    try:
        return next(schema_errors(schema, value, budget, place), None) is None
    except (BudgetExhausted, RecursionError, Unresolvable):
        return False
    except Exception:
        return True


def _matches(pattern: str, text: str, otherwise: bool = True) -> bool:
    """Return whether the pattern occurs in the text; `otherwise` if it can't be tried.

    Raises `BudgetExhausted`.
    """
    budget = _budget.get()
    budget.require()  # a keyword may compare some thousand names with some thousand patterns
    if len(pattern) > LONGEST_PATTERN or budget.patterns_s <= 0:
        return otherwise
    if compiled_size(pattern) > LARGEST_PATTERN:
        return otherwise
    began = perf_counter()
    try:
        found = regex.search(pattern, text, timeout=budget.patterns_s, concurrent=True)
        return found is not None
    except TimeoutError:
        log.warning(
            "pattern took too long", extra={"pattern": pattern[:200], "characters": len(text)}
        )
        return otherwise
    except (regex.error, OverflowError, RecursionError):
        return otherwise  # of another dialect, mostly
    finally:
        budget.patterns_s -= perf_counter() - began


# --- keywords, as the library calls them ---------------------------------------------------


def _pattern(validator: Any, pattern: str, value: object, schema: Json) -> Errors:
    if isinstance(value, str) and not _matches(pattern, value):
        yield jsonschema.ValidationError(f"{value!r} does not match {pattern!r}")


def _pattern_properties(validator: Any, patterns: Json, value: object, schema: Json) -> Errors:
    if not isinstance(value, Mapping):
        return
    for pattern, inner in patterns.items():
        for name, one in value.items():
            if _matches(pattern, name, otherwise=False):
                yield from validator.descend(one, inner, path=name, schema_path=pattern)


def _additional_properties(validator: Any, allowed: Any, value: object, schema: Json) -> Errors:
    if not isinstance(value, Mapping):
        return
    known, patterns = schema.get("properties", {}), schema.get("patternProperties", {})
    for name, one in value.items():
        _budget.get().require()
        if name in known or any(_matches(pattern, name) for pattern in patterns):
            continue
        if isinstance(allowed, Mapping):
            yield from validator.descend(one, allowed, path=name)
        elif not allowed:
            yield jsonschema.ValidationError(f"there is no argument {name!r}")


def _unique_items(validator: Any, wanted: bool, value: object, schema: Json) -> Errors:
    if not wanted or not isinstance(value, list):
        return
    if len(set(map(identity, value))) < len(value):
        yield jsonschema.ValidationError(f"{value!r} has an item twice")


def _enum(validator: Any, values: list[Any], value: object, schema: Json) -> Errors:
    # The library compares each of them in Python, which takes 0.5 ms for a thousand.
    wanted = identity(value)
    if not any(identity(one) == wanted for one in values if one == value):
        yield jsonschema.ValidationError(f"{value!r} is not one of {values!r}")


def _multiple_of(validator: Any, factor: float, value: Any, schema: Json) -> Errors:
    # The library divides floats, by which 19.99 is no multiple of 0.01.
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and math.isfinite(value) and decimal(value) % decimal(factor):
        yield jsonschema.ValidationError(f"{value!r} is not a multiple of {factor!r}")


def _unseen(validator: Any, wanted: Any, value: object, schema: Json) -> Errors:
    return iter(())  # the library looks for what was evaluated with unbounded patterns


_OWN = {
    "pattern": _pattern,
    "patternProperties": _pattern_properties,
    "additionalProperties": _additional_properties,
    "uniqueItems": _unique_items,
    "enum": _enum,
    "multipleOf": _multiple_of,
    "unevaluatedProperties": _unseen,
}


def _counted(keyword: Any) -> Any:
    def check(validator: Any, wanted: Any, value: object, schema: Json) -> Errors:
        budget = _budget.get()
        budget.depth += 1
        try:
            budget.require()
            yield from keyword(validator, wanted, value, schema) or ()
        finally:
            budget.depth -= 1

    return check


def _bounded(draft: Any) -> Any:
    """Return the draft's validator, with the rules of this module."""
    keywords = {**draft.VALIDATORS, **{k: own for k, own in _OWN.items() if k in draft.VALIDATORS}}
    made = validators.extend(draft, {name: _counted(one) for name, one in keywords.items()})

    def evolve(self: Any, **changes: Any) -> Any:
        # The library's own goes back to its own validators where a `$schema` stands.
        known = {"schema": self.schema, "_resolver": self._resolver}
        return made(registry=_NOTHING_ELSE, **(known | changes))

    made.evolve = evolve
    return made


_NOTHING_ELSE: Registry[Any] = Registry()
_LATEST = _bounded(jsonschema.Draft202012Validator)
_DRAFTS = {
    draft.ID_OF(draft.META_SCHEMA).rstrip("#"): _bounded(draft)
    for draft in (
        jsonschema.Draft4Validator,
        jsonschema.Draft6Validator,
        jsonschema.Draft7Validator,
        jsonschema.Draft201909Validator,
        jsonschema.Draft202012Validator,
    )
}


# --- cost of patterns --------------------------------------------------------------------

_UNBOUNDED = 2**32 - 1
_COUNT = re.compile(r"\d{1,9}")


def compiled_size(pattern: str) -> int:
    """Return about how many nodes the pattern has once its counted repetitions are written out.

    Compiling takes time in proportion, and is not stopped by the time limit of a search: `(){9999}`
    takes 3 s. A pattern that can't be parsed is as large as the product of the numbers in it.
    """
    try:
        if (tree := _parsed(pattern)) is not None:
            return _size(tree)
    except Exception:
        pass
    return math.prod(max(1, int(one)) for one in _COUNT.findall(pattern)) + len(pattern)


def _parsed(pattern: str) -> Any:
    if len(pattern) > LONGEST_PATTERN:
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return import_module("re._parser").parse(pattern)


def _size(tree: Any) -> int:
    total = 0
    for operation, about in tree:
        match str(operation):
            case "BRANCH":
                total += sum(map(_size, about[1]))
            case "MAX_REPEAT" | "MIN_REPEAT" | "POSSESSIVE_REPEAT":
                least, most = about[0], about[1]
                times = most if isinstance(most, int) and most < _UNBOUNDED else max(least, 1)
                total += int(times) * (1 + _size(about[2]))
            case "SUBPATTERN":
                total += _size(about[3])
            case "ATOMIC_GROUP":
                total += _size(about)
            case "ASSERT" | "ASSERT_NOT":
                total += _size(about[1])
        total += 1
    return total
