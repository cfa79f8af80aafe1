"""Which calls fit their declarations, and what a model is told of the others."""

from __future__ import annotations

import gc
import itertools
import json
from typing import Any

import pytest

from vivavoce.domain.content import ServerTool, ToolCall, ToolDeclaration, ToolKind, Tools
from vivavoce.domain.ids import CallId
from vivavoce.engines import tool_validation
from vivavoce.engines.tool_validation import (
    LARGEST_PATTERN,
    MAX_BYTES,
    InvalidCall,
    check_calls,
    compiled_size,
    fits_schema,
)

DRAFT_4 = "http://json-schema.org/draft-04/schema#"
LATEST = "https://json-schema.org/draft/2020-12/schema"
TIMER = {
    "type": "object",
    "properties": {
        "minutes": {"type": "integer", "minimum": 1},
        "label": {"type": "string"},
        "sound": {"type": "string", "enum": ["bell", "horn"]},
        "note": {"type": ["string", "null"]},
    },
    "required": ["minutes"],
}
TREE = {
    "$ref": "#/$defs/node",
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "value": {"type": "integer"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
            "required": ["value"],
        }
    },
}


def made(schema: dict[str, Any] | None, args: Any, name: str = "f") -> Any:
    """The arguments as they are sent on."""
    tools = Tools((ToolDeclaration("f", parameters=schema), ToolDeclaration("g")))
    (call,) = check_calls([ToolCall(CallId(""), name, args)], tools)
    assert isinstance(call, ToolCall), call
    return call.args


def problem(schema: dict[str, Any] | None, args: Any, name: str = "f") -> str:
    tools = Tools((ToolDeclaration("f", parameters=schema), ToolDeclaration("g")))
    (invalid,) = check_calls([ToolCall(CallId(""), name, args)], tools)
    assert isinstance(invalid, InvalidCall)
    return str(invalid)


@pytest.mark.parametrize(
    "args",
    [
        {"minutes": 5},
        {"minutes": 5, "label": "tea", "sound": "bell", "note": None},
        {"minutes": 5, "colour": "red"},
    ],
)
def test_what_was_declared_is_sent_as_it_is(args: dict[str, Any]) -> None:
    assert made(TIMER, args) == args


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ({}, "'minutes' is a required property"),
        ({"minutes": "5"}, "minutes: '5' is not of type 'integer'"),
        ({"minutes": 5.5}, "minutes: 5.5 is not of type 'integer'"),
        ({"minutes": True}, "minutes: True is not of type 'integer'"),
        ({"minutes": 0}, "minutes: 0 is less than the minimum of 1"),
        ({"minutes": None}, "minutes: None is not of type 'integer'"),
        ({"minutes": 1, "sound": "gong"}, "sound: 'gong' is not one of ['bell', 'horn']"),
    ],
)
def test_what_was_not_is_reported_with_its_place_and_the_schema(
    args: dict[str, Any], told: str
) -> None:
    said = problem(TIMER, args)
    assert told in said
    assert json.dumps(TIMER) in said


def test_an_unknown_function_is_reported_with_those_that_there_are() -> None:
    assert problem(None, {}, "h") == "There is no function 'h'. There are: f, g."


def test_the_servers_own_tools_are_known_too() -> None:
    search = ServerTool(ToolDeclaration("google_search", parameters=TIMER), ToolKind.SEARCH)
    call = ToolCall(CallId(""), "google_search", {"minutes": 1})
    assert check_calls([call], Tools(server=(search,))) == [call]


def test_whole_numbers_become_integers_and_needless_nulls_are_left_out() -> None:
    sent = made(TIMER, {"minutes": 10.0, "label": None, "note": None})
    assert sent == {"minutes": 10, "note": None}
    assert type(sent["minutes"]) is int
    nested = {"type": "object", "properties": {"all": {"type": "array", "items": TIMER}}}
    assert repr(made(nested, {"all": [{"minutes": 2.0}]})) == "{'all': [{'minutes': 2}]}"
    assert repr(made(TREE, {"value": 1.0, "children": [{"value": 2.0, "children": None}]})) == (
        "{'value': 1, 'children': [{'value': 2}]}"
    )
    joined = {"allOf": [TIMER, {"properties": {"at": {"anyOf": [{"type": "integer"}, TIMER]}}}]}
    args = {"minutes": 3.0, "sound": None, "at": 4.0}
    assert repr(made(joined, args)) == "{'minutes': 3, 'at': 4.0}"


def test_a_function_without_parameters_takes_none_or_any() -> None:
    assert made(None, {}) == {}
    assert made(None, {"x": 1}) == {"x": 1}


def test_arguments_within_a_recursive_schema_are_checked() -> None:
    args = {"value": 1, "children": [{"value": 2, "children": [{"value": 3}]}]}
    assert made(TREE, args) == args
    args["children"] = [{"value": 2, "children": [{"value": "3"}]}]
    assert "children[0].children[0].value: '3' is not of type" in problem(TREE, args)


@pytest.mark.parametrize(
    ("schema", "refused"),
    [
        ({"properties": {"a": {"minimum": 2, "maximum": 1}}, "required": ["a"]}, {"a": 1.5}),
        ({"properties": {"a": {"type": "string", "enum": [1]}}}, {"a": 1}),
        ({"properties": {}, "required": ["b"], "additionalProperties": False}, {"b": 1}),
        ({"$ref": "#"}, {}),
        ({"$ref": "#/$defs/none"}, {}),
        ({"$ref": "http://127.0.0.1:9/schema"}, {}),
        ({"not": {}}, {}),
    ],
)
def test_nothing_fits_a_schema_that_contradicts_itself(
    schema: dict[str, Any], refused: dict[str, Any]
) -> None:
    assert "are wrong" in problem(schema, refused)


def test_what_is_no_schema_checks_nothing() -> None:
    assert made({"type": 3, "properties": [], "required": 1}, {"a": 1}) == {"a": 1}


def test_a_schema_is_read_by_the_draft_that_it_names() -> None:
    schema = {"properties": {"a": {"minimum": 1, "exclusiveMinimum": True}}}
    assert "a: 1 is less than or equal" in problem({"$schema": DRAFT_4} | schema, {"a": 1})
    dependent = {"$schema": LATEST, "dependentRequired": {"a": ["b"]}}
    assert "'b' is a dependency of 'a'" in problem(dependent, {"a": 1})


@pytest.mark.parametrize(
    ("args", "told"),
    [
        ([1], "are no object"),
        ({"a": "x" * MAX_BYTES}, "are 65,544 bytes long; at most 65,536 are allowed"),
        ({"a": [{"b": float("nan")}]}, "hold a number that is not finite"),
        ({"a": 1 << 70}, "can't be sent"),
        ({"a": "\ud800"}, "can't be sent"),
    ],
)
def test_what_cannot_travel_is_never_sent(args: Any, told: str) -> None:
    assert told in problem({}, args)


def test_what_is_nested_too_deeply_is_never_sent() -> None:
    args: dict[str, Any] = {}
    for _ in range(63):
        args = {"a": args}
    assert made({}, args) == args
    assert "more than 64 levels" in problem({}, {"a": {"a": args}})


# --- work that strangers would have us do ----------------------------------------------------

SLOW = "^(a|aa)+$"
ENDLESS = "a" * 200 + "b"


def test_patterns_are_looked_for() -> None:
    schema = {"properties": {"code": {"pattern": r"^\p{Lu}{2}\d+$"}}}
    assert made(schema, {"code": "ÄB1"}) == {"code": "ÄB1"}
    assert "code: 'ab1' does not match" in problem(schema, {"code": "ab1"})


@pytest.mark.parametrize("pattern", ["(", SLOW, f"{'a?' * 501}$"])
def test_a_pattern_that_cannot_be_looked_for_says_nothing(pattern: str) -> None:
    assert made({"properties": {"a": {"pattern": pattern}}}, {"a": ENDLESS}) == {"a": ENDLESS}


@pytest.mark.parametrize(
    "inner",
    [
        {"patternProperties": {SLOW: False}},
        {"patternProperties": {SLOW: {}}, "additionalProperties": False},
        {"patternProperties": {SLOW: {}}, "unevaluatedProperties": False},
        {"propertyNames": {"pattern": SLOW}},
        {"properties": {ENDLESS: {"$schema": LATEST, "allOf": [{"pattern": SLOW}]}}},
    ],
)
def test_no_keyword_gets_round_the_clock_of_patterns(inner: dict[str, Any]) -> None:
    """Any of these searches would take longer than the universe has; it only has to end."""
    assert made(inner, {ENDLESS: ENDLESS}) == {ENDLESS: ENDLESS}


def test_thousands_of_names_and_patterns_are_given_up() -> None:
    """Comparing them all would take some seconds, without any pattern that takes long."""
    patterns: dict[str, object] = {f"^{number}x": {} for number in range(5000)}
    names = {f"n{number}": 0 for number in range(5000)}
    assert "too intricate" in problem({"patternProperties": patterns}, names)


def test_patterns_of_properties_are_heeded() -> None:
    schema = {"patternProperties": {"^n": {"type": "integer"}}, "additionalProperties": False}
    assert made(schema, {"n1": 1}) == {"n1": 1}
    assert "n1: 'x' is not of type" in problem(schema, {"n1": "x"})
    assert "there is no argument 'm'" in problem(schema, {"m": 1})
    typed = {"additionalProperties": {"type": "integer"}}
    assert "m: 'x' is not of type" in problem(typed, {"m": "x"})


def test_a_schema_that_branches_at_every_level_is_given_up() -> None:
    deeper = {"c": {"$ref": "#/$defs/n"}}
    branches = [{"properties": deeper, "required": [name]} for name in "xy"]
    schema = {"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": branches}}}
    args: dict[str, Any] = {}
    for _ in range(60):
        args = {"c": args}
    assert "too intricate" in problem(schema, args)


LEADS_TO_ITSELF: dict[str, dict[str, Any]] = {
    "all of": {"allOf": [{"$ref": "#"}]},
    "not": {"not": {"$ref": "#"}},
    "condition": {"allOf": [{"if": {"$ref": "#"}, "then": {"required": ["b"]}}]},
    "property": {"properties": {"a": {"$ref": "#/properties/a"}}},
    "other values": {"additionalProperties": {"$ref": "#/additionalProperties"}},
    "names": {
        "propertyNames": {"$ref": "#/$defs/n"},
        "$defs": {"n": {"not": {"$ref": "#/$defs/n"}}},
    },
    "two in a ring": {
        "allOf": [{"$ref": "#/$defs/a"}],
        "$defs": {"a": {"oneOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}},
    },
    "anchor": {"$anchor": "x", "allOf": [{"$ref": "#x"}]},
    "dynamic": {"allOf": [{"$dynamicRef": "#"}]},
    "draft 4": {"$schema": DRAFT_4, "allOf": [{"not": {"$ref": "#"}}]},
}


@pytest.mark.parametrize("stack", [0, 250])
@pytest.mark.parametrize("name", LEADS_TO_ITSELF)
def test_a_schema_that_leads_to_itself_is_given_up_before_the_stack_ends(
    name: str, stack: int
) -> None:
    """At the end of the stack the library's maps panic, which is no `Exception`."""

    def deeper(levels: int) -> str:
        return deeper(levels - 1) if levels else problem(LEADS_TO_ITSELF[name], {"a": 1})

    assert "too intricate" in deeper(stack)


def test_arguments_as_deep_as_any_fit_a_schema_of_as_many_references() -> None:
    schema = {"$ref": "#/$defs/n", "$defs": {"n": {"properties": {"c": {"$ref": "#/$defs/n"}}}}}
    args: dict[str, Any] = {}
    for _ in range(63):
        args = {"c": args}
    assert made(schema, args) == args


def test_calls_of_a_batch_share_one_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each alone would look at the clock a hundred times before its time is over."""
    looks = itertools.count()
    monkeypatch.setattr(tool_validation, "thread_time", lambda: next(looks) / 1000)
    deeper = {"c": {"$ref": "#/$defs/n"}}
    branches = [{"properties": deeper, "required": [name]} for name in "xy"]
    schema = {"$ref": "#/$defs/n", "$defs": {"n": {"anyOf": branches}}}
    args: dict[str, Any] = {}
    for _ in range(60):
        args = {"c": args}
    tools = Tools((ToolDeclaration("f", parameters=schema),))
    checked = check_calls([ToolCall(CallId(""), "f", args)] * 60, tools)
    assert next(looks) < 300
    assert all("too intricate" in str(invalid) for invalid in checked)


def test_items_that_must_differ_are_compared_in_one_pass() -> None:
    schema = {"properties": {"all": {"uniqueItems": True}}}
    many = {"all": [{"a": number} for number in range(5000)]}
    assert made(schema, many) == many
    assert "has an item twice" in problem(schema, {"all": [{"a": 1}, {"a": 1}]})


@pytest.mark.long
def test_a_collection_of_garbage_is_not_charged_to_a_check() -> None:
    heap = [[number] for number in range(400_000)]
    budget = tool_validation.CheckBudget(computed_s=0.005)
    gc.collect()
    budget.require()
    assert len(heap) == 400_000


def test_what_a_check_computes_is_charged_to_it() -> None:
    budget = tool_validation.CheckBudget(computed_s=0.005)
    sorted(range(400_000), key=str)
    with pytest.raises(tool_validation.BudgetExhausted):
        budget.require()


@pytest.mark.parametrize(
    "pattern",
    ["(){9999}", "(?:(?:a{1000}){1000}){100}", "x{0,5000}", r"\p{L}{9000}(?<x>a)", "(?=a{4000})"],
)
def test_a_pattern_that_repeats_very_often_is_not_compiled(pattern: str) -> None:
    assert compiled_size(pattern) > LARGEST_PATTERN
    assert fits_schema({"pattern": f"^(?:{pattern})b(?!)"}, "a")
    assert not fits_schema({"pattern": "^[ab]{1,64}b(?!)"}, "a")


def test_the_size_of_a_pattern_adds_up_what_stands_side_by_side() -> None:
    assert compiled_size("^[a-z.]{1,64}@[a-z]{1,255}$") < LARGEST_PATTERN
    assert compiled_size("(?:a{10}){10}") > compiled_size("a{10}b{10}")
