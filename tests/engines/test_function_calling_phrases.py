"""Arguments found by the turns of speech that people use for them, and never
one against its schema.
"""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import dates
from vivavoce.engines.function_calling.arguments import MissingArgument, fill
from vivavoce.engines.function_calling.parameter_kinds import ParameterKind, kind_of

TEXT = {"type": "string"}
FLAG = {"type": "boolean"}
WHOLE = {"type": "integer"}
NUMBER = {"type": "number"}


def function(called: str, needs: str = "", /, **of: dict[str, Any]) -> ToolDeclaration:
    shape = {"type": "object", "properties": of, "required": needs.split()}
    return ToolDeclaration(called, "", shape)


TICKET = function("buy_ticket", "to", **{"from": TEXT, "to": TEXT, "when": TEXT})
EGG = function("start_clock", "minutes", minutes=NUMBER, label=TEXT)
LETTER = function("write_letter", "recipient body", recipient=TEXT, body=TEXT)
RENAME = function("rename_picture", "name new_name", name=TEXT, new_name=TEXT)
DOOR = function("set_hatch", "locked", locked={**FLAG, "description": "True to lock it."})
SILENCE = function("set_quiet_hours", "enabled", enabled=FLAG, minutes=WHOLE)
BASKET = function("add_to_basket", "product", product=TEXT, quantity=WHOLE)
RANGE = function("heat", "degrees start_hour end_hour", start_hour={**WHOLE, "maximum": 23},
                 degrees={**NUMBER, "description": "Degrees Celsius."},
                 end_hour={**WHOLE, "maximum": 23})  # fmt: skip
UNITS = function("convert", "value from_unit to_unit", value=NUMBER, from_unit=TEXT, to_unit=TEXT)
BELL = function("ring", "time", time=TEXT, days={"type": "array", "items": {"enum": [
    "monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]}})  # fmt: skip
PAYMENT = function("pay", "amount", amount=NUMBER, currency={"enum": ["CHF", "EUR", "USD"]})
RINSE = function("start_rinse", "count", count=WHOLE, program={"enum": ["short", "long"]})
SHELF = function("look_up_bin", "bin", bin=TEXT, level=WHOLE)
SONG = function("play", "title", title=TEXT)
SOCKS = function("find_socks", "query", query=TEXT, max_price=NUMBER)
SPIN = function("spin", "rpm minutes", rpm=WHOLE, minutes=WHOLE)
LAMP = function("set_lamp", "percent", percent=WHOLE)
PILLS = function("log_pills", "pill", pill=TEXT, dose=TEXT)
FERRY = function("ferry_info", "ferry", ferry=TEXT)
STOP = function("find_stop", "stop", stop={**TEXT, "description": "Name of the station."})
FIELDS = function("open_valves", "valves", valves={"type": "array", "items": WHOLE})
TRIM = function("trim_heat", "change", change={**WHOLE, "minimum": -5, "maximum": 5})
COPY = function("copy", "copies", copies=WHOLE, stapled=FLAG, color=FLAG)
REPAIR = function("report_damage", "item", item=TEXT)
NOTEBOOK = function("new_notebook", "title", title=TEXT)
LANTERN = function("set_lantern", "lantern percent", lantern=TEXT, percent=WHOLE)
CHORE = function("add_chore", "task", task=TEXT, list=TEXT)
EXCHANGE = function("change_money", "amount source target", amount=NUMBER,
                    source={"enum": ["EUR", "USD"]}, target={"enum": ["EUR", "USD"]})  # fmt: skip
CAB = function("call_cab", "destination", destination=TEXT, time=TEXT)
RADIO = function("play_radio", room=TEXT)


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
    assert fill(tool, said) == args


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("half an hour", 1800),
        ("three quarters of an hour", 2700),
        ("two and a half minutes", 150),
        ("an hour and twenty minutes", 4800),
        ("a 40-minute nap", 2400),
        ("for the next hour", 3600),
        ("a couple of days", 172800),
        ("an hour and a quarter", 4500),
    ],
)
def test_lengths_of_time_become_seconds(said: str, seconds: float) -> None:
    assert [found for _, found in dates.lengths(said)] == [seconds]


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("wake me at half past six tomorrow morning", ["half past six tomorrow morning"]),
        ("on May 3 at 10:00 for 90 minutes", ["May 3 at 10:00"]),
        ("tell me in 9 minutes", ["in 9 minutes"]),
        ("the third of june", ["the third of june"]),
        ("21.5 degrees for two people", []),
    ],
)
def test_moments_stay_in_the_users_words(said: str, found: list[str]) -> None:
    assert [span.of(said) for span in dates.moments(said)] == found


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
@settings(max_examples=300, deadline=None)
def test_every_call_that_is_made_fits_its_schema(
    of: dict[str, Any], said: str, data: st.DataObject
) -> None:
    needs = data.draw(st.sets(st.sampled_from(sorted(of))) if of else st.just(set[str]()))
    tool = function("do_it", " ".join(sorted(needs)), **of)
    try:
        args = fill(tool, said)
    except MissingArgument:
        return
    jsonschema.validate(args, tool.parameters)
