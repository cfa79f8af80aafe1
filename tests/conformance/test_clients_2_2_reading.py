"""What broke real clients, section 2.2: JSON reading. One test an item, named after it."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest
import soxr

from conformance.servers import Running
from conformance.wire import (
    BOTH_TRANSCRIPTS,
    LIGHTS,
    SPOKEN,
    WRITTEN,
    Json,
    RawClient,
    audio,
    content,
    raw,
    setup,
    sound,
    talking,
    text,
)
from vivavoce.engines.scripted import hear, say

pytestmark = pytest.mark.e2e

QUIET = bytes(32_000)


async def answer_to(client: RawClient, message: Json) -> str:
    await client.send(message)
    return text(await client.turn())


def typed(words: str, role: str = "user") -> Json:
    return {"role": role, "parts": [{"text": words}]}


# --- both spellings, at every level, mixed -----------------------------------------------

SPELLINGS: list[Json] = [
    {"setup": {"model": "models/x", "generationConfig": {"response_modalities": ["TEXT"]}}},
    {"setup": {"model": "models/x", "generation_config": {"responseModalities": ["TEXT"]}}},
    {"setup": {"model": "models/x", "generation_config": {"response_modalities": ["TEXT"]}}},
]


@pytest.mark.parametrize("opening", SPELLINGS)
@pytest.mark.parametrize(
    "message",
    [
        {"client_content": {"turns": [typed("hi")], "turnComplete": True}},
        {"clientContent": {"turns": [typed("hi")], "turn_complete": True}},
        {"client_content": {"turns": [typed("hi")], "turn_complete": True}},
        {"realtime_input": {"text": "hi"}},
    ],
)
async def test_both_spellings_mixed(scripted: Running, opening: Json, message: Json) -> None:
    async with talking(scripted.socket_url, opening) as client:
        assert await answer_to(client, message) == "hi"


@pytest.mark.parametrize("envelope", ["realtimeInput", "realtime_input"])
@pytest.mark.parametrize("field", ["audio", "mediaChunks", "media_chunks"])
@pytest.mark.parametrize("mime", ["mimeType", "mime_type"])
async def test_audio_in_every_place_and_spelling(
    scripted: Running, envelope: str, field: str, mime: str
) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        data = base64.b64encode(say("yes", 16_000) + QUIET).decode()
        blob = {"data": data, mime: "audio/pcm;rate=16000"}
        await client.send({envelope: {field: blob if field == "audio" else [blob]}})
        assert text(await client.turn()) == "yes"


@pytest.mark.parametrize(
    "tools",
    [
        [LIGHTS],
        [{"function_declarations": LIGHTS["functionDeclarations"]}],
        [{"functionDeclarations": [{"name": "turn_on_the_lights", "behavior": "BLOCKING"}]}],
    ],
)
@pytest.mark.parametrize("envelope", ["toolResponse", "tool_response"])
@pytest.mark.parametrize("field", ["functionResponses", "function_responses"])
async def test_tools_and_their_answers(
    scripted: Running, tools: list[Json], envelope: str, field: str
) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN, tools=tools)) as client:
        await client.type("turn on the lights")
        (call,) = (await client.receive())["toolCall"]["functionCalls"]
        result = {"id": call["id"], "name": call["name"], "response": {"result": "ok"}}
        assert await answer_to(client, {envelope: {field: [result]}}) == (
            "turn on the lights is done."
        )


LEVEL: list[Json] = [
    {"parameters": {"type": "OBJECT", "properties": {"level": {"type": "INTEGER"}}}},
    {"parameters": {"type": "object", "properties": {"level": {"type": "integer"}},
                    "property_ordering": ["level"]}},
    {"parametersJsonSchema": {"type": "object", "properties": {"level": {"type": "integer"}}}},
    {"parameters_json_schema": {"type": "object", "properties": {"level": {"type": "integer"}}}},
]  # fmt: skip


@pytest.mark.parametrize("schema", LEVEL)
async def test_schemas_in_both_forms_and_cases(scripted: Running, schema: Json) -> None:
    tools = [{"functionDeclarations": [{"name": "dim_lights", **schema}]}]
    async with talking(scripted.socket_url, setup(WRITTEN, tools=tools)) as client:
        await client.type("dim lights to 40")
        (call,) = (await client.receive())["toolCall"]["functionCalls"]
        assert call["args"] == {"level": 40}


async def test_names_of_the_users_own_are_never_respelled(scripted: Running) -> None:
    properties = {"lamp_name": {"type": "string"}, "lampLevel": {"type": "integer"}}
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    tools = [{"functionDeclarations": [{"name": "dim", "parametersJsonSchema": schema}]}]
    async with talking(scripted.socket_url, setup(WRITTEN, tools=tools)) as client:
        await client.type("dim kitchen 7")
        (call,) = (await client.receive())["toolCall"]["functionCalls"]
        assert set(call["args"]) == {"lamp_name", "lampLevel"}


# --- base64 ------------------------------------------------------------------------------


@pytest.mark.parametrize("url_safe", [True, False])
@pytest.mark.parametrize("padded", [True, False])
async def test_both_base64_alphabets(scripted: Running, url_safe: bool, padded: bool) -> None:
    pcm = say("yes", 16_000) + QUIET
    message = audio(pcm, url_safe=url_safe)
    data = message["realtimeInput"]["audio"]["data"]
    assert any(letter in data for letter in ("-_" if url_safe else "+/"))
    assert data.endswith("=")
    if not padded:
        message["realtimeInput"]["audio"]["data"] = data.rstrip("=")
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        assert await answer_to(client, message) == "yes"


# --- setup -------------------------------------------------------------------------------


async def test_response_modalities_as_a_plain_string(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup({"responseModalities": "TEXT"})) as client:
        await client.type("hi")
        assert text(await client.turn()) == "hi"


@pytest.mark.parametrize("role", ["system", "user", None])
async def test_the_role_of_the_system_instruction(scripted: Running, role: str | None) -> None:
    instruction: Json = {"parts": [{"text": "Be brief."}]}
    if role:
        instruction["role"] = role
    async with talking(scripted.socket_url, setup(systemInstruction=instruction)):
        pass


@pytest.mark.parametrize(
    "model",
    [
        "models/x",
        "x",
        "publishers/google/models/x",
        "projects/p/models/x",
        "projects/p/locations/l/publishers/google/models/x",
    ],
)
async def test_model_names_in_every_form(scripted: Running, model: str) -> None:
    async with talking(scripted.socket_url, setup(model=model)):
        pass


@pytest.mark.parametrize(
    "extra",
    [
        {"tools": [{"googleSearch": {}}, LIGHTS]},
        {"tools": [{"google_search": {}}]},
        {"tools": [{"codeExecution": {}}, {"urlContext": {}}]},
        {"somethingOfTomorrow": {"level": 1}},
        {"proactivity": {"proactiveAudio": True}},
        {"sessionResumption": {}},
        {"contextWindowCompression": {"sliding_window": {"target_tokens": 12800}}},
        {"realtimeInputConfig": {"automatic_activity_detection": {"silence_duration_ms": 500}}},
        {"historyConfig": {"initial_history_in_client_content": True}},
    ],
)
async def test_tools_and_fields_that_are_not_here_do_no_harm(
    scripted: Running, extra: Json
) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN, **extra)) as client:
        await client.type("hi")
        assert text(await client.turn()) == "hi"


# --- sound -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mime", "rate"),
    [
        ("audio/pcm;rate=16000", 16_000),
        ("audio/pcm;rate=24000", 24_000),
        ("audio/pcm;rate=8000", 8_000),
        ("audio/pcm;rate=48000", 48_000),
        ("audio/pcm", 16_000),
        ("audio/pcm; rate=24000", 24_000),
    ],
)
async def test_sound_of_every_rate(scripted: Running, mime: str, rate: int) -> None:
    pcm = say("good day", 48_000)
    wide = np.frombuffer(pcm, "<i2").astype(np.float32)
    narrow = soxr.resample(wide, 48_000, rate) if rate != 48_000 else wide
    heard = narrow.astype("<i2").tobytes() + bytes(rate * 2)
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        for at in range(0, len(heard), rate // 5):
            await client.send(audio(heard[at : at + rate // 5], mime))
        assert text(await client.turn()) == "good day"


async def test_sound_in_pieces_that_split_a_sample(scripted: Running) -> None:
    pcm = say("good day", 16_000) + QUIET
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        for at in range(0, len(pcm), 1001):
            await client.send(audio(pcm[at : at + 1001]))
        assert text(await client.turn()) == "good day"


# --- order and roles ---------------------------------------------------------------------


async def test_what_is_sent_before_setup_complete_is_kept(scripted: Running) -> None:
    async with raw(scripted.socket_url) as client:
        await client.send(setup(WRITTEN))
        await client.type("early")
        assert "setupComplete" in await client.receive()
        assert text(await client.turn()) == "early"


@pytest.mark.parametrize(
    "message",
    [
        {"clientContent": {"turns": [], "turnComplete": True}},
        {"clientContent": {"turnComplete": True}},
        {"client_content": {"turn_complete": True}},
    ],
)
async def test_an_empty_client_content_triggers_an_answer(scripted: Running, message: Json) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        await client.send({"clientContent": {"turns": [typed("before")]}})
        assert await answer_to(client, message) == "before"


@pytest.mark.parametrize(
    ("turns", "answer"),
    [
        ([typed("one"), typed("two")], "one two"),
        ([typed("one"), typed("noted", "model"), typed(".")], "I am listening."),
        ([typed("a"), typed("b", "model"), typed("c", "model"), typed("d")], "d"),
        ([{"parts": [{"text": "no role"}]}], "no role"),
        ({"parts": [{"text": "no list"}]}, "no list"),
    ],
)
async def test_any_order_of_roles(scripted: Running, turns: Any, answer: str) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        message = {"clientContent": {"turns": turns, "turnComplete": True}}
        assert await answer_to(client, message) == answer


async def test_a_whole_history_may_be_sent_again(scripted: Running) -> None:
    history = [typed("one"), typed("first", "model"), typed("two"), typed("second", "model")]
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        for _ in range(2):
            await client.send({"clientContent": {"turns": history, "turnComplete": False}})
        await client.type("three")
        assert text(await client.turn()) == "three"


async def test_manual_activity_and_then_client_content_give_one_answer(scripted: Running) -> None:
    """LiveKit sends both triggers in a row."""
    manual = {"automaticActivityDetection": {"disabled": True}}
    opening = setup(SPOKEN, realtimeInputConfig=manual, **BOTH_TRANSCRIPTS)
    async with talking(scripted.socket_url, opening) as client:
        await client.send({"realtimeInput": {"activityStart": {}}})
        await client.send_pcm(say("hello", 16_000))
        await client.send({"realtimeInput": {"activityEnd": {}}})
        await client.send({"clientContent": {"turns": [], "turnComplete": True}})
        # Content that finds the answer begun cuts it short and has it begun anew.
        answer = await client.turn()
        while "generationComplete" not in [key for each in answer for key in content(each)]:
            answer = await client.turn()
        assert hear(sound(answer), 24_000) == "hello"
        await client.nothing_for(0.5)


async def test_frames_are_not_confused_by_json_of_the_user(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        words = json.dumps({"setup": {"turnComplete": True}})
        await client.type(words)
        assert text(await client.turn()) == words
