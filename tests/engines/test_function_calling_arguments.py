"""The arguments of a call, taken from what was said and held to their schema."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.budget import budget
from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import arguments
from vivavoce.engines.function_calling.arguments import MissingArgument, fill_arguments
from vivavoce.engines.function_calling.declarations import ParameterKind, kind_of
from vivavoce.engines.tool_validation import fits_schema

TEXT = {"type": "string"}


def function(name: str = "do_it", required: list[str] | None = None, **of: Any) -> ToolDeclaration:
    needed = list(of) if required is None else required
    return ToolDeclaration(name, "", {"type": "object", "properties": of, "required": needed})


def filled(tool: ToolDeclaration, spoken: str) -> dict[str, Any]:
    return arguments.fill_arguments(tool, spoken)


def test_a_function_without_parameters_takes_none() -> None:
    assert filled(ToolDeclaration("lights_on"), "lights on") == {}
    assert filled(function(), "lights on") == {}


@pytest.mark.parametrize(
    ("kind", "spoken", "value"),
    [
        ({"type": "integer"}, "for ten minutes", 10),
        ({"type": "number"}, "to twenty one point five", 21.5),
        ({"type": "integer", "maximum": 20}, "not 30 but 15", 15),
        ({"type": "boolean"}, "switch it off", False),
        ({"type": "boolean"}, "switch it on", True),
        ({"type": "string", "enum": ["red", "dark_blue"]}, "make it dark blue", "dark_blue"),
        ({"type": "integer", "enum": [1, 2, 3]}, "level two", 2),
        ({"type": "array", "items": {"type": "integer"}}, "seven", [7]),
        ({"type": "string", "default": "here"}, "", "here"),
        ({"anyOf": [{"type": "null"}, {"type": "integer"}]}, "four", 4),
        ({"type": ["integer", "null"]}, "four", 4),
        (
            {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
            "nine",
            {"n": 9},
        ),
    ],
)
def test_each_kind_of_value_comes_from_what_was_said(
    kind: dict[str, Any], spoken: str, value: Any
) -> None:
    tool = function(value=kind)
    assert filled(tool, spoken) == {"value": value}
    assert fits_schema(kind, value)


@pytest.mark.parametrize(
    "kind",
    [{"type": "integer"}, {"enum": ["red", "blue"]}, {"type": "integer", "minimum": 90}],
)
def test_a_value_that_was_not_said_is_asked_for(kind: dict[str, Any]) -> None:
    with pytest.raises(arguments.MissingArgument) as caught:
        filled(function(level=kind), "do it 5 times" if "minimum" in kind else "do it please")
    assert caught.value.name == "level"


def test_optional_values_that_were_not_said_are_left_out() -> None:
    tool = function(required=["city"], city=TEXT, days={"type": "integer"}, note=TEXT)
    assert set(filled(tool, "weather in paris")) == {"city"}
    assert filled(tool, "weather in paris for three days")["days"] == 3


@pytest.mark.parametrize(
    ("of", "value", "good"),
    [
        ({"type": "integer"}, 5, True),
        ({"type": "integer"}, True, False),
        ({"type": "integer"}, 5.5, False),
        ({"type": "number", "minimum": 3}, 2, False),
        ({"type": "string", "pattern": "^[A-Z]+$"}, "abc", False),
        ({"type": "string", "enum": ["a"]}, "b", False),
        ({"type": "array", "items": {"type": "string"}}, ["a", 1], False),
        ({"type": "array", "maxItems": 1}, ["a", "b"], False),
        ({"type": "object", "required": ["a"]}, {}, False),
        ({"type": ["string", "null"]}, None, True),
        ({"$ref": "#/$defs/elsewhere"}, "anything", False),
        ({}, "anything", True),
    ],
)
def test_values_are_held_to_the_schema(of: Any, value: Any, good: bool) -> None:
    assert fits_schema(of, value) is good


def test_a_percentage_belongs_to_a_parameter_that_ends_at_one_hundred() -> None:
    level = {"type": "integer", "minimum": 0, "maximum": 100}
    tool = function("set_volume", ["level"], level=level, minutes={"type": "integer"})
    assert filled(tool, "turn the volume to forty percent") == {"level": 40}


FLAG = {"type": "boolean"}
WHOLE = {"type": "integer"}
NUMBER = {"type": "number"}


def declare(called: str, needs: str = "", /, **of: dict[str, Any]) -> ToolDeclaration:
    shape = {"type": "object", "properties": of, "required": needs.split()}
    return ToolDeclaration(called, "", shape)


TICKET = declare("buy_ticket", "to", **{"from": TEXT, "to": TEXT, "when": TEXT})
EGG = declare("start_clock", "minutes", minutes=NUMBER, label=TEXT)
LETTER = declare("write_letter", "recipient body", recipient=TEXT, body=TEXT)
RENAME = declare("rename_picture", "name new_name", name=TEXT, new_name=TEXT)
DOOR = declare("set_hatch", "locked", locked={**FLAG, "description": "True to lock it."})
SILENCE = declare("set_quiet_hours", "enabled", enabled=FLAG, minutes=WHOLE)
BASKET = declare("add_to_basket", "product", product=TEXT, quantity=WHOLE)
RANGE = declare("heat", "degrees start_hour end_hour", start_hour={**WHOLE, "maximum": 23},
                 degrees={**NUMBER, "description": "Degrees Celsius."},
                 end_hour={**WHOLE, "maximum": 23})  # fmt: skip
UNITS = declare("convert", "value from_unit to_unit", value=NUMBER, from_unit=TEXT, to_unit=TEXT)
BELL = declare("ring", "time", time=TEXT, days={"type": "array", "items": {"enum": [
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]}})  # fmt: skip
PAYMENT = declare("pay", "amount", amount=NUMBER, currency={"enum": ["CHF", "EUR", "USD"]})
RINSE = declare("start_rinse", "count", count=WHOLE, program={"enum": ["short", "long"]})
SHELF = declare("look_up_bin", "bin", bin=TEXT, level=WHOLE)
SONG = declare("play", "title", title=TEXT)
SOCKS = declare("find_socks", "query", query=TEXT, max_price=NUMBER)
SPIN = declare("spin", "rpm minutes", rpm=WHOLE, minutes=WHOLE)
LAMP = declare("set_lamp", "percent", percent=WHOLE)
PILLS = declare("log_pills", "pill", pill=TEXT, dose=TEXT)
FERRY = declare("ferry_info", "ferry", ferry=TEXT)
STOP = declare("find_stop", "stop", stop={**TEXT, "description": "Name of the station."})
FIELDS = declare("open_valves", "valves", valves={"type": "array", "items": WHOLE})
TRIM = declare("trim_heat", "change", change={**WHOLE, "minimum": -5, "maximum": 5})
COPY = declare("copy", "copies", copies=WHOLE, stapled=FLAG, color=FLAG)
REPAIR = declare("report_damage", "item", item=TEXT)
NOTEBOOK = declare("new_notebook", "title", title=TEXT)
LANTERN = declare("set_lantern", "lantern percent", lantern=TEXT, percent=WHOLE)
CHORE = declare("add_chore", "task", task=TEXT, list=TEXT)
EXCHANGE = declare("change_money", "amount source target", amount=NUMBER,
                    source={"enum": ["EUR", "USD"]}, target={"enum": ["EUR", "USD"]})  # fmt: skip
CAB = declare("call_cab", "destination", destination=TEXT, time=TEXT)
RADIO = declare("play_radio", room=TEXT)


@pytest.mark.parametrize(
    ("tool", "said", "args"),
    [
        (TICKET, "a ticket from Bern to Basel tomorrow at noon please",
         {"from": "Bern", "to": "Basel", "when": "tomorrow at noon"}),
        (TICKET, "i have to be in lyon", {"to": "lyon"}),
        (EGG, "half an hour please", {"minutes": 30}),
        (EGG, "give the beans an hour and a half", {"minutes": 90, "label": "beans"}),
        (EGG, "start a clock for ninety seconds", {"minutes": 1.5}),
        (LETTER, "write to Aunt Mary that the plums are ripe",
         {"recipient": "Aunt Mary", "body": "the plums are ripe"}),
        (LETTER, "let ben know the train leaves at nine",
         {"recipient": "ben", "body": "the train leaves at nine"}),
        (RENAME, "rename sunset.png to evening.png",
         {"name": "sunset.png", "new_name": "evening.png"}),
        (DOOR, "lock the hatch at the back", {"locked": True}),
        (DOOR, "unlock it", {"locked": False}),
        (SILENCE, "leave me in peace for the next hour", {"enabled": True, "minutes": 60}),
        (SILENCE, "i can be reached again", {"enabled": False}),
        (BASKET, "put four packs of rusks in my basket", {"product": "rusks", "quantity": 4}),
        (BASKET, "i'll take the green mug", {"product": "green mug"}),
        (SOCKS, "do you have any woolen socks under twelve euros",
         {"query": "woolen socks", "max_price": 12}),
        (RANGE, "warm the attic to 20 degrees from 8 to 17",
         {"degrees": 20, "start_hour": 8, "end_hour": 17}),
        (RANGE, "between nine and eleven eighteen and a half degrees are enough",
         {"degrees": 18.5, "start_hour": 9, "end_hour": 11}),
        (UNITS, "convert nine yards to meters",
         {"value": 9, "from_unit": "yards", "to_unit": "meters"}),
        (UNITS, "how many pints are five liters",
         {"value": 5, "from_unit": "liters", "to_unit": "pints"}),
        (BELL, "ring at noon on weekends", {"time": "noon", "days": ["saturday", "sunday"]}),
        (PAYMENT, "pay eleven francs twenty", {"amount": 11.2, "currency": "CHF"}),
        (PAYMENT, "that was 30 euros", {"amount": 30, "currency": "EUR"}),
        (RINSE, "a short rinse please", {"count": 1, "program": "short"}),
        (SHELF, "when was the copper bin last emptied", {"bin": "copper bin"}),
        (SONG, "play ruby tuesday", {"title": "ruby tuesday"}),
        (SONG, "play the swan tonight", {"title": "swan"}),
        (SPIN, "spin it at three thousand for five minutes", {"rpm": 3000, "minutes": 5}),
        (LAMP, "dim it to three quarters", {"percent": 75}),
        (LAMP, "half as bright that is forty percent", {"percent": 40}),
        (PILLS, "i just took two tablets of zinc", {"pill": "zinc", "dose": "two tablets"}),
        (FERRY, "when does the night ferry leave", {"ferry": "night ferry"}),
        (FERRY, "is the ferry nine late", {"ferry": "nine"}),
        (FERRY, "what is the old ferry doing", {"ferry": "old ferry"}),
        (STOP, "a place to sit in leeds", {"stop": "leeds"}),
        (FIELDS, "open valves 4 7 and 2", {"valves": [4, 7, 2]}),
        (TRIM, "turn it down by three", {"change": -3}),
        (TRIM, "turn it up by three", {"change": 3}),
        (COPY, "three copies in color but not stapled",
         {"copies": 3, "stapled": False, "color": True}),
        (REPAIR, "my left ski just broke", {"item": "left ski"}),
        (REPAIR, "the boiler broke down this morning", {"item": "boiler"}),
        (NOTEBOOK, "begin a notebook called work", {"title": "work"}),
        (LANTERN, "turn the reading lamp on at forty percent",
         {"lantern": "reading lamp", "percent": 40}),
        (CHORE, "add buy bread to my weekend list", {"task": "buy bread", "list": "weekend list"}),
        (EXCHANGE, "how much are 70 dollars in euros",
         {"amount": 70, "source": "USD", "target": "EUR"}),
        (CAB, "a cab to 12 Abbey Road", {"destination": "12 Abbey Road"}),
        (CAB, "a cab to the docks for three people", {"destination": "docks"}),
        (RADIO, "put on the news", {}),
    ],
)  # fmt: skip
def test_turns_of_speech_tell_what_is_what(
    tool: ToolDeclaration, said: str, args: dict[str, Any]
) -> None:
    assert fill_arguments(tool, said) == args


@pytest.mark.parametrize(
    ("name", "tool", "expected"),
    [
        ("new_title", "retitle", ParameterKind.NEW_NAME),
        ("to", "send_mail", ParameterKind.PERSON),
        ("to", "find_train", ParameterKind.TARGET),
        ("phone_number", "add_entry", ParameterKind.CODE),
        ("starts_at_time", "plan", ParameterKind.MOMENT),
        ("query", "search", ParameterKind.THING),
    ],
)
def test_a_parameters_name_tells_its_role(name: str, tool: str, expected: ParameterKind) -> None:
    assert kind_of(name, TEXT, ToolDeclaration(tool)) is expected


_PARAMETERS = """to from text name new_name when day minutes enabled city contact count price
mode items options number"""
_NAMES = st.sampled_from(_PARAMETERS.split())
_SCHEMAS = st.recursive(
    st.one_of(
        st.sampled_from(["string", "integer", "number", "boolean"]).map(lambda k: {"type": k}),
        st.lists(st.sampled_from(["on", "half", "daily", "red", "express"]), min_size=1).map(
            lambda values: {"type": "string", "enum": values}
        ),
        st.integers(1, 50).map(lambda most: {"type": "integer", "minimum": 1, "maximum": most}),
        st.integers(1, 9).map(lambda most: {"type": "string", "maxLength": most}),
    ),
    lambda inner: st.one_of(
        inner.map(lambda one: {"type": "array", "items": one}),
        st.dictionaries(_NAMES, inner, max_size=3).map(
            lambda of: {"type": "object", "properties": of, "required": sorted(of)}
        ),
    ),
    max_leaves=4,
)
_WORDS = """set the to from call anna at seven half an hour please that it is 5 twenty in berlin
on off every day rename x.txt into "y" , : €30 'me' not tomorrow red with"""
_SPOKEN = st.lists(st.sampled_from(_WORDS.split()), max_size=14).map(" ".join)


@given(st.dictionaries(_NAMES, _SCHEMAS, max_size=4), _SPOKEN, st.data())
@settings(max_examples=budget(20, 300))
def test_every_call_that_is_made_fits_its_schema(
    of: dict[str, Any], said: str, data: st.DataObject
) -> None:
    needs = data.draw(st.sets(st.sampled_from(sorted(of))) if of else st.just(set[str]()))
    tool = declare("do_it", " ".join(sorted(needs)), **of)
    try:
        args = fill_arguments(tool, said)
    except MissingArgument:
        return
    jsonschema.validate(args, tool.parameters)
