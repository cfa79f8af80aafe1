"""What real clients may get wrong with tools: each has one outcome, and nobody else notices."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest
import websockets

from conformance.listener import calls, flags, listening
from conformance.sdk import MODEL, QUIET, live, said, speak, turn
from conformance.servers import Running, serving
from vivavoce.engines.scripted import say

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.e2e,
    pytest.mark.usefixtures("trusted"),
    pytest.mark.filterwarnings("default"),
]

PATH = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
LIGHTS = {"name": "turn_on_the_lights"}
FIVE_MIB = 5 * 1024 * 1024


def functions(*declarations: dict[str, Any]) -> list[Any]:
    return [{"function_declarations": list(declarations)}]


async def ask(session: Any, words: str) -> None:
    await session.send_client_content(turns={"parts": [{"text": words}]})


async def refused(genai: Any, server: Running, tools: list[Any]) -> tuple[int, str]:
    """The close code and the words that the SDK reports."""
    from google.genai import errors

    with pytest.raises(errors.APIError) as fault:
        async with live(genai, server, tools=tools) as session:
            await turn(session)
    return fault.value.code, str(fault.value)


async def test_an_unknown_kind_of_tool_is_passed_over(scripted: Running) -> None:
    """The SDKs would not send it; a browser page can."""
    setup = {"setup": {"model": f"models/{MODEL}", "tools": [{"telepathy": {}}]}}
    async with websockets.connect(scripted.socket_url + PATH, max_size=None) as socket:
        await socket.send(json.dumps(setup))
        assert "setupComplete" in json.loads(await asyncio.wait_for(socket.recv(), 10))


async def test_a_kind_of_tool_that_nothing_here_runs_leaves_the_others(
    genai: Any, scripted: Running
) -> None:
    tools = [{"google_maps": {}}, *functions(LIGHTS)]
    async with live(genai, scripted, tools=tools) as session:
        await ask(session, "turn on the lights")
        async with asyncio.timeout(15):
            async for message in session.receive():
                if message.tool_call:
                    break
    assert [call.name for call in message.tool_call.function_calls] == ["turn_on_the_lights"]


async def test_two_functions_of_one_name_are_refused_by_it(genai: Any, scripted: Running) -> None:
    code, words = await refused(genai, scripted, functions(LIGHTS, LIGHTS))
    assert code == 1007
    assert "Duplicate function declaration found: turn_on_the_lights" in words


async def test_six_hundred_functions_are_too_many(genai: Any, scripted: Running) -> None:
    many = functions(*({"name": f"function_{n}"} for n in range(600)))
    code, words = await refused(genai, scripted, many)
    assert code == 1007
    assert "600 function declarations; at most 512 are allowed." in words


async def test_five_hundred_and_twelve_are_not(genai: Any, scripted: Running) -> None:
    many = functions(LIGHTS, *({"name": f"function_{n}"} for n in range(511)))
    async with live(genai, scripted, tools=many) as session, listening(session) as listener:
        await ask(session, "turn on the lights")
        await listener.until(lambda messages: bool(calls(messages)))
        assert [call.name for call in calls(listener.messages)] == ["turn_on_the_lights"]


async def answer_at_length(genai: Any, session: Any, call: Any) -> None:
    """Answer a call with five megabytes."""
    answer = genai.types.FunctionResponse(
        id=call.id, name=call.name, response={"result": "x" * FIVE_MIB}
    )
    await session.send_tool_response(function_responses=answer)


async def test_a_result_of_five_megabytes_is_refused_with_the_limit(
    genai: Any, scripted: Running
) -> None:
    from google.genai import errors

    async with live(genai, scripted, tools=functions(LIGHTS)) as session:
        await ask(session, "turn on the lights")
        call = await anext(call async for message in session.receive() for call in calls([message]))
        await answer_at_length(genai, session, call)
        with pytest.raises(errors.APIError) as fault:
            await turn(session)
    assert fault.value.code == 1009
    assert "more than 1,048,576 bytes of anything but base64 data" in str(fault.value)


async def test_a_result_of_five_megabytes_is_taken_where_the_limit_is_lifted(genai: Any) -> None:
    limit = {"VIVAVOCE_SERVER__MAX_MESSAGE_TEXT_BYTES": str(2 * FIVE_MIB)}
    with serving("scripted", **limit) as server:
        await _take_five_megabytes(genai, server)


async def _take_five_megabytes(genai: Any, server: Running) -> None:
    """Go through a call whose result is so long, and another turn."""
    async with (
        live(genai, server, tools=functions(LIGHTS)) as session,
        listening(session) as listener,
    ):
        await ask(session, "turn on the lights")
        await listener.until(lambda messages: bool(calls(messages)))
        (call,) = calls(listener.messages)
        await answer_at_length(genai, session, call)
        await listener.until(lambda messages: flags(messages, "turn_complete") == 1)
        assert said(listener.messages) == "turn on the lights is done."
        seen = len(listener.heard)
        await ask(session, "good day")
        await listener.until(lambda messages: flags(messages, "turn_complete") == 1, seen)
        assert said(listener.messages[seen:]) == "good day"


async def test_results_for_a_cancelled_and_for_an_unknown_call_change_nothing(
    genai: Any, scripted: Running
) -> None:
    async with (
        live(genai, scripted, tools=functions(LIGHTS)) as session,
        listening(session) as listener,
    ):
        await ask(session, "turn on the lights")
        await listener.until(lambda messages: bool(calls(messages)))
        (call,) = calls(listener.messages)
        await speak(session, say("never mind", 16_000) + QUIET)
        seen = await listener.until(lambda m: flags(m, "turn_complete") == 2)
        withdrawn = [m.tool_call_cancellation for m in listener.messages]
        assert [c.ids for c in withdrawn if c] == [[call.id]]
        for id in (call.id, call.id, "nobody"):
            late = genai.types.FunctionResponse(id=id, name=call.name, response={"result": "ok"})
            await session.send_tool_response(function_responses=late)
        await ask(session, "good day")
        await listener.until(lambda m: flags(m, "turn_complete") == 1, seen)
        assert said(listener.messages[seen:]) == "good day"


RECURSIVE = {
    "type": "object",
    "properties": {"tree": {"$ref": "#/$defs/node"}},
    "$defs": {
        "node": {
            "type": "object",
            "properties": {
                "name": {"type": "string"},
                "children": {"type": "array", "items": {"$ref": "#/$defs/node"}},
            },
        }
    },
}


async def test_a_schema_that_holds_itself_is_an_ordinary_one(genai: Any, scripted: Running) -> None:
    tree = {"name": "plant_tree", "parameters_json_schema": RECURSIVE}
    async with (
        live(genai, scripted, tools=functions(tree)) as session,
        listening(session) as listener,
    ):
        await ask(session, "plant tree")
        await listener.until(lambda messages: bool(calls(messages)))
        assert calls(listener.messages)[0].name == "plant_tree"


async def test_a_schema_that_leads_elsewhere_is_refused(genai: Any, scripted: Running) -> None:
    there = {"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:9/schema"}}}
    function = {"name": "lead_away", "parameters_json_schema": there}
    code, words = await refused(genai, scripted, functions(function))
    assert code == 1007
    assert "lead_away" in words


async def test_a_schema_that_is_none_is_refused_with_its_place(
    genai: Any, scripted: Running
) -> None:
    wrong = {"type": "object", "properties": {"room": {"type": "string", "minLength": -1}}}
    function = {"name": "light", "parameters_json_schema": wrong}
    code, words = await refused(genai, scripted, functions(function))
    assert code == 1007
    assert "#/properties/room/minLength" in words


LIE = {
    "type": "object",
    "properties": {"level": {"type": "integer", "enum": ["bright", "dim"]}},
    "required": ["level", "room"],
}


async def test_a_schema_that_lies_about_itself_is_never_called_and_wedges_nothing(
    genai: Any, scripted: Running
) -> None:
    """Nothing fits it, so no call can be sent: the turn says so, and the next one is well."""
    function = {"name": "set_level", "parameters_json_schema": LIE}
    async with live(genai, scripted, tools=functions(function)) as session:
        await ask(session, "set level bright")
        messages = await turn(session)
        assert not calls(messages)
        reason = messages[-1].server_content.turn_complete_reason
        assert reason.name == "MALFORMED_FUNCTION_CALL"
        # The scripted model answers all that was said since it last spoke.
        spoke = {"role": "model", "parts": [{"text": "I can't."}]}
        turns = [spoke, {"role": "user", "parts": [{"text": "good day"}]}]
        await session.send_client_content(turns=turns)
        assert said(await turn(session)) == "good day"
