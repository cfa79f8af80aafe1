"""Functions of every kind of schema, declared to a real server and called by the scripted model."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import regex
from jsonschema import validators

from engines.schema_table import (
    API,
    API_MEANINGS,
    ARRAYS,
    MIXED,
    NUMBERS,
    OBJECTS,
    OLDER,
    REFUSED,
    TEXTS,
    UNFIT,
)
from serving import connected, serving
from vivavoce.server import Server

pytestmark = pytest.mark.integration

Json = dict[str, Any]
Errors = Iterator[jsonschema.ValidationError]

FUNCTION = "echo_value"
SAID = "echo value"


def _pattern(validator: Any, pattern: str, value: object, schema: Json) -> Errors:
    if isinstance(value, str) and not regex.search(pattern, value):
        yield jsonschema.ValidationError(f"{value} does not match {pattern}")


def _multiple_of(validator: Any, factor: float, value: object, schema: Json) -> Errors:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if number and Fraction(str(value)) % Fraction(str(factor)):
        yield jsonschema.ValidationError(f"{value} is no multiple of {factor}")


EXACTLY = {"pattern": _pattern, "multipleOf": _multiple_of}
"""As the specification has them: `re` lacks `\\p{…}`, and the library divides floats."""


def problem(schema: Json, args: Json) -> str:
    """What is wrong with arguments by the library's own validators, formats included."""
    draft = validators.validator_for(schema, default=jsonschema.Draft202012Validator)
    checker = validators.extend(draft, EXACTLY)(schema, format_checker=draft.FORMAT_CHECKER)
    return "; ".join(error.message for error in checker.iter_errors(args))


async def call(server: Server, field: str, schema: Json) -> Json | str:
    """The arguments of the call that is made; the sentence of a close; or "" without either."""
    async with connected(server) as client:
        declared = [{"name": FUNCTION, field: schema}]
        first = {"model": "models/echo", "tools": [{"functionDeclarations": declared}]}
        await client.send(setup=first | {"generationConfig": {"responseModalities": ["TEXT"]}})
        try:
            await client.receive()
        except Exception:
            return (await client.closing())[1]
        await client.say(SAID)
        while True:
            message = await client.receive()
            if "toolCall" in message:
                [made] = message["toolCall"]["functionCalls"]
                return dict(made.get("args", {}))
            if message.get("serverContent", {}).get("turnComplete"):
                return ""


async def misses(
    folder: Path,
    rows: Mapping[str, Json],
    field: str = "parametersJsonSchema",
    meanings: Mapping[str, Json] | None = None,
    **flags: Any,
) -> Json:
    """What became of the functions that were not called with arguments that fit.

    They are held to `meanings`, where the schemas themselves say something else.
    """
    found: Json = {}
    async with serving(folder, **flags) as server:
        for label, schema in rows.items():
            made = await call(server, field, schema)
            if isinstance(made, str):
                found[label] = made or "not called"
            elif wrong := problem((meanings or rows)[label], made):
                found[label] = (wrong, made)
    return found


@pytest.mark.parametrize("rows", [TEXTS, NUMBERS, ARRAYS, OBJECTS], ids=len)
@pytest.mark.parametrize("strict", [False, True])
async def test_every_function_that_can_be_called_is_called(
    tmp_path: Path, rows: Mapping[str, Json], strict: bool
) -> None:
    assert await misses(tmp_path, rows, server__strict=strict) == {}


async def test_functions_in_the_form_of_the_api_are_called(tmp_path: Path) -> None:
    assert await misses(tmp_path, API, "parameters", API_MEANINGS) == {}


async def test_a_function_that_nothing_fits_is_not_called(tmp_path: Path) -> None:
    assert await misses(tmp_path, UNFIT) == dict.fromkeys(UNFIT, "not called")


@pytest.mark.parametrize("strict", [False, True])
async def test_what_is_no_schema_is_refused_with_its_place(tmp_path: Path, strict: bool) -> None:
    rows = {label: schema for label, (schema, _) in REFUSED.items()}
    refused = await misses(tmp_path, rows, server__strict=strict)
    assert refused.keys() == REFUSED.keys()
    for label, (_, sentence) in REFUSED.items():
        assert refused[label].startswith(f"Invalid schema of {FUNCTION} at '#")
        assert sentence in refused[label]


def pairs(rows: Mapping[str, tuple[Json, Json]]) -> tuple[Json, Json]:
    """The schemas of rows, and what they mean."""
    return {k: schema for k, (schema, _) in rows.items()}, {k: m for k, (_, m) in rows.items()}


async def test_schemas_of_mixed_drafts_are_read_by_their_meaning(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    schemas, meanings = pairs(OLDER | MIXED)
    assert await misses(tmp_path, schemas, meanings=meanings) == {}
    told = [each for each in caplog.records if each.getMessage() == "input normalized"]
    assert len(told) >= len(schemas)


async def test_a_strict_server_refuses_what_is_not_of_its_draft(tmp_path: Path) -> None:
    schemas, _ = pairs(OLDER)
    refused = await misses(tmp_path, schemas, server__strict=True)
    assert refused.keys() == OLDER.keys()
    assert all(each.startswith("Invalid schema of") for each in refused.values())


async def test_keywords_of_json_schema_among_parameters_are_reported_as_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    schema = {"type": "object", "properties": {"v": {"oneOf": [{"const": 7}]}}, "required": ["v"]}
    async with serving(tmp_path) as server:
        assert await call(server, "parameters", schema) == {"v": 7}
        await call(server, "parameters", schema | {"colour": 1})
    told = [vars(each) for each in caplog.records if each.getMessage() == "input normalized"]
    assert {each["what"].split()[0] for each in told} == {"oneOf", "const"}
    ignored = [vars(each) for each in caplog.records if "unknown field" in each.getMessage()]
    assert len(ignored) == 1


async def test_two_schemas_of_one_function_are_reported_or_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one = {"type": "object", "properties": {"v": {"const": 1}}, "required": ["v"]}
    other = {"type": "OBJECT", "properties": {"w": {"type": "STRING"}}}
    declared = [{"name": FUNCTION, "parameters": other, "parametersJsonSchema": one}]
    tools = [{"functionDeclarations": declared}]
    caplog.set_level(logging.INFO)
    async with serving(tmp_path) as server, connected(server) as client:
        assert "setupComplete" in await client.set_up(tools=tools)
    told = [vars(each) for each in caplog.records if each.getMessage() == "input normalized"]
    assert [each["what"] for each in told] == [
        "parameters and parametersJsonSchema of a function differ: the second counts"
    ]
    async with serving(tmp_path, server__strict=True) as server, connected(server) as client:
        await client.send(setup={"model": "models/echo", "tools": tools})
        assert (await client.closing())[1].endswith(
            "parameters and parameters_json_schema differ; give one."
        )
