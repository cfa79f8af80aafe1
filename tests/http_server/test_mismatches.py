"""What is not the protocol's, over a real socket: told when lenient, refused when strict."""

from __future__ import annotations

import base64
import io
import logging
import wave
from pathlib import Path
from typing import Any

import pytest

from serving import Client, connected, serving

pytestmark = pytest.mark.integration

ENTERPRISE = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"
MANUAL = {"realtimeInputConfig": {"automaticActivityDetection": {"disabled": True}}}
ANSWER = {"functionResponses": [{"id": "x", "name": "f", "response": {}}]}


def sound_in_content(width: int) -> dict[str, Any]:
    """Content of a WAV file with samples of so many bytes."""
    out = io.BytesIO()
    with wave.open(out, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(width)
        file.setframerate(16_000)
        file.writeframes(bytes(3200))
    blob = {"mimeType": "audio/wav", "data": base64.b64encode(out.getvalue()).decode()}
    return {"turns": [{"role": "user", "parts": [{"inlineData": blob}]}], "turnComplete": True}


MISTAKES: list[tuple[dict[str, Any], dict[str, Any], int, str]] = [
    ({}, {"toolResponse": ANSWER}, 1008, "Requested entity was not found: no open call has"),
    (MANUAL, {"realtimeInput": {"activityEnd": {}}}, 1007, "Precondition check failed: "),
    ({}, {"clientContent": sound_in_content(1)}, 1007, "Unsupported WAV audio"),
    (
        {},
        {"clientContent": {"turns": [{"role": "narrator", "parts": [{"text": "a"}]}]}},
        1007,
        "Please use a valid role: user, model.",
    ),
]


@pytest.mark.parametrize(("setup", "message", "code", "reason"), MISTAKES)
async def test_a_mistake_is_reported_or_closes(
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
    setup: dict[str, Any],
    message: dict[str, Any],
    code: int,
    reason: str,
) -> None:
    async with (
        serving(tmp_path, server__strict=True) as server,
        connected(server) as client,
    ):
        await client.set_up(**setup)
        await client.send(**message)
        closed, why = await client.closing()
        assert closed == code
        assert why.startswith(reason)
    caplog.set_level(logging.INFO)
    caplog.clear()
    async with serving(tmp_path) as server, connected(server) as client:
        await client.set_up(**setup)
        for _ in range(2):
            await client.send(**message)
        await goes_on(client)
    told = [each for each in caplog.records if each.getMessage() == "input normalized"]
    assert 1 <= len(told) <= 2
    assert len({vars(each)["what"] for each in told}) == len(told)


async def goes_on(client: Client) -> None:
    """The conversation can go on: something is still answered."""
    turns = [{"role": "user", "parts": [{"text": "hello"}]}]
    await client.send(clientContent={"turns": turns, "turnComplete": True})
    while True:
        content = (await client.receive()).get("serverContent", {})
        if "modelTurn" in content:
            return


async def test_a_strict_server_takes_instructions_on_the_enterprise_path(tmp_path: Path) -> None:
    turns = [{"role": "system", "parts": [{"text": "Be brief."}]}]
    async with (
        serving(tmp_path, server__strict=True) as server,
        connected(server, ENTERPRISE) as client,
    ):
        await client.set_up()
        await client.send(clientContent={"turns": turns})
        await goes_on(client)


WORDS = "my secret"
BLOB = {"mimeType": f"audio/pcm;rate={WORDS}", "data": ""}
OTHERWISE: list[dict[str, Any]] = [
    {"clientContent": {"turns": [{"role": WORDS, "parts": [{"text": "a"}]}]}},
    {"clientContent": {"turns": [{"parts": [{"inlineData": BLOB | {"data": "AAAA"}}]}]}},
    {"realtimeInput": {"audio": {"mimeType": WORDS, "data": base64.b64encode(b"GIF8").decode()}}},
    {"toolResponse": {"functionResponses": [{"id": WORDS, "response": {}}]}},
    {"toolResponse": {"functionResponses": [{"name": WORDS, "response": {}}]}},
    {"toolResponse": {"functionResponses": [{"id": "x", "scheduling": WORDS, "response": {}}]}},
]


@pytest.mark.parametrize("message", OTHERWISE)
async def test_what_may_be_words_stands_in_a_personal_field_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, message: dict[str, Any]
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(tmp_path) as server, connected(server) as client:
        await client.set_up()
        await client.send(**message)
        await goes_on(client)
    lines = [vars(each) for each in caplog.records if each.getMessage() == "input normalized"]
    assert all(WORDS not in line["what"] for line in lines)
    assert [WORDS in line["quoted"] for line in lines if line["quoted"]] == [True]
