"""What raw clients can say to a server, each with its close code, and the server unharmed."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import psutil
import pytest

from e2e.bystander import INTERNAL, INVALID, MIB, POLICY, TOO_BIG, converse, unharmed
from serving import MODEL, Json, connected, serving, spoken
from vivavoce.engines.scripted import hear
from vivavoce.server import Server


def audio(pcm: bytes, **more: Any) -> Json:
    data = base64.b64encode(pcm).decode()
    return {"realtimeInput": {"audio": {"data": data, "mimeType": "audio/pcm;rate=16000", **more}}}


# --- the first message ------------------------------------------------------------------------

LISTS = "[]," * 50_000
LONG_INDEX = {
    "name": "f",
    "parametersJsonSchema": {"allOf": [{"$ref": "#/allOf/" + "0" * 5000}]},
}
FIRST: dict[str, tuple[Any, int, str]] = {
    "not JSON": ("hello", INVALID, "Invalid JSON payload received"),
    "an array": ("[1, 2]", INVALID, "Invalid JSON payload received"),
    "an empty object": ("{}", INVALID, "Request contains an invalid argument."),
    "an empty frame": ("", INVALID, "Invalid JSON payload received"),
    "bytes that are no text": (b"\xff\xfe\x00", INVALID, "Invalid JSON payload received"),
    "content before the setup": ({"clientContent": {}}, INVALID, "Request contains an invalid"),
    "sound before the setup": (audio(bytes(64)), INVALID, "Request contains an invalid"),
    "a setup that is a number": ({"setup": 7}, INVALID, ""),
    "a setup without a model": ({"setup": {}}, INVALID, "model"),
    "a model that is a list": ({"setup": {"model": ["x"]}}, INVALID, "setup.model"),
    "tools that are a number": ({"setup": {"model": MODEL, "tools": 3}}, INVALID, "setup.tools"),
    "two modalities": (
        {"setup": {"model": MODEL, "generationConfig": {"responseModalities": ["TEXT", "AUDIO"]}}},
        INVALID,
        "The requested combination of response modalities (TEXT, AUDIO)",
    ),
    "a handle of no session": (
        {"setup": {"model": MODEL, "sessionResumption": {"handle": "h"}}},
        POLICY,
        "BidiGenerateContent session not found",
    ),
    "a million lists": (
        '{"setup":{"a":[' + "[]," * 1_000_000 + "[]]}}",
        TOO_BIG,
        "too big",
    ),
    "many lists": (
        '{"setup":{"a":[' + "[]," * 50_000 + "[]]}}",
        TOO_BIG,
        "more than 50,000 values",
    ),
    "half a character in many lists": (
        '{"setup":{"model":"\\ud800","a":[' + "[]," * 50_000 + "[]]}}",
        TOO_BIG,
        "more than 50,000 values",
    ),
    "an index of 5,000 digits": (
        {"setup": {"model": MODEL, "tools": [{"functionDeclarations": [LONG_INDEX]}]}},
        INVALID,
        "Invalid schema of f at '#/allOf/0/$ref'",
    ),
    "JSON without end": ('{"setup":' * 5000, INVALID, "Invalid JSON payload received"),
}


@pytest.mark.parametrize("name", FIRST)
async def test_a_bad_first_message_is_refused_with_its_sentence(server: Server, name: str) -> None:
    frame, code, reason = FIRST[name]
    async with unharmed(server), connected(server) as client:
        await client.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)
        closed = await client.closing()

    assert closed[0] == code
    assert reason in closed[1]
    assert len(closed[1].encode()) <= 123


async def test_a_client_that_says_nothing_is_let_go_with_a_deadline(server: Server) -> None:
    async with unharmed(server), connected(server) as client:
        code, reason = await client.closing()

    assert (code, "DEADLINE_EXCEEDED" in reason) == (INTERNAL, True)


async def test_an_unknown_model_is_refused_by_name(tmp_path: Path) -> None:
    name = MODEL.removeprefix("models/")
    async with serving(tmp_path, f'[models]\n"{name}" = "scripted"', profile=None) as server:
        async with connected(server) as client:
            await client.send(setup={"model": "models/gemini-unknown"})
            code, reason = await client.closing()
        await converse(server)

    assert code == POLICY
    assert reason.startswith("models/gemini-unknown is not found for API version v1beta, or is not")


async def test_an_unknown_field_is_refused_when_strict(tmp_path: Path) -> None:
    async with serving(tmp_path, server__strict=True) as server:
        async with connected(server) as client:
            await client.send(setup={"model": MODEL, "generationConfig": {"colour": "red"}})
            closed = await client.closing()
        await converse(server)
    assert closed == (
        INVALID,
        'Invalid JSON payload received. Unknown name "colour" at '
        "'setup.generation_config': Cannot find field.",
    )


async def test_an_unknown_field_is_passed_over_when_lenient(server: Server) -> None:
    async with unharmed(server), connected(server) as client:
        assert "setupComplete" in await client.set_up(generationConfig={"colour": "red"}, x=1)


# --- later messages ---------------------------------------------------------------------------

LATER: dict[str, tuple[Any, int, str]] = {
    "a second setup": ({"setup": {"model": MODEL}}, INVALID, "Request contains an invalid"),
    "not JSON": ("{", INVALID, "Invalid JSON payload received"),
    "a string": ('"hello"', INVALID, "Invalid JSON payload received"),
    "turns that are a number": ({"clientContent": {"turns": 5}}, INVALID, "client_content"),
    "sound that is a number": ({"realtimeInput": {"audio": {"data": 5}}}, INVALID, ""),
    "base64 that is none": (
        {"realtimeInput": {"audio": {"data": "!!!!", "mimeType": "audio/pcm"}}},
        INVALID,
        "",
    ),
    "many turns": ({"clientContent": {"turns": ["a"] * 5001}}, TOO_BIG, "more than 5,000 turns"),
    "many values": (
        {"toolResponse": {"functionResponses": [{"name": "f", "response": {"a": [0] * 50_001}}]}},
        TOO_BIG,
        "more than 50,000 values",
    ),
    "sound of an unknown kind": (audio(bytes(4), mimeType="audio/opus"), INVALID, "audio/opus"),
}


@pytest.mark.parametrize("name", LATER)
async def test_a_bad_later_message_is_refused_with_its_sentence(server: Server, name: str) -> None:
    frame, code, reason = LATER[name]
    async with unharmed(server), connected(server) as client:
        await client.set_up()
        await client.socket.send(json.dumps(frame) if isinstance(frame, dict) else frame)
        closed = await client.closing()

    assert closed[0] == code
    assert reason in closed[1]


# --- odd sound --------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [0, 1, 3, 639])
async def test_odd_and_empty_sound_is_no_fault(server: Server, size: int) -> None:
    async with unharmed(server), connected(server) as client:
        await client.set_up()
        for _ in range(50):
            await client.send(**audio(bytes(size)))
        await client.say("hi")
        assert hear(spoken(await client.turn()), 24_000) == "hi"


async def test_sound_a_byte_at_a_time_is_heard_whole(server: Server) -> None:
    from vivavoce.engines.scripted import say

    pcm = say("go", 16_000)
    async with unharmed(server), connected(server) as client:
        await client.set_up(inputAudioTranscription={})
        for at in range(len(pcm)):
            await client.send(**audio(pcm[at : at + 1]))
        await client.send(realtimeInput={"audioStreamEnd": True})
        messages = await client.turn()

    heard = [m["serverContent"].get("inputTranscription") for m in messages if "serverContent" in m]
    assert [each["text"] for each in heard if each] == ["go"]


async def test_minutes_of_silence_sent_at_once_cost_no_memory(tmp_path: Path) -> None:
    chunk = json.dumps(audio(bytes(3200)))
    async with (
        serving(tmp_path, session__audio_speed=0) as server,
        unharmed(server),
        connected(server) as client,
    ):
        await client.set_up()
        before = psutil.Process().memory_info().rss
        for _ in range(1800):  # three minutes
            await client.socket.send(chunk)
        await client.say("hi")
        assert hear(spoken(await client.turn()), 24_000) == "hi"
        grown = psutil.Process().memory_info().rss - before

    assert grown < 32 * MIB
