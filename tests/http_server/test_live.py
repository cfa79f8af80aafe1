"""The Live endpoint: the five places of a credential, admission, dialects and options."""

from __future__ import annotations

import asyncio
import json
import logging
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest
import websockets

from serving import LIVE, MODEL, Client, connected, live_url, serving, spoken, until
from vivavoce.engines.scripted import EchoModel, hear

pytestmark = pytest.mark.integration

TOKEN = "auth_tokens/abc"
BAD_KEY = (1007, "API key not valid. Please pass a valid API key.")
NO_CREDENTIAL = 1008
ENTERPRISE = "/ws/google.cloud.aiplatform.v1beta1.LlmBidiService/BidiGenerateContent"

PLACES = {
    "query key": ("?key={}", {}),
    "query access_token": ("?access_token={}", {}),
    "header key": ("", {"x-goog-api-key": "{}"}),
    "header token": ("", {"Authorization": "Token {}"}),
    "header bearer": ("", {"Authorization": "Bearer {}"}),
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize(("secret", "welcome"), [("right", True), ("wrong", False)])
async def test_every_place_of_a_credential_is_looked_at(
    tmp_path: Path, place: str, secret: str, welcome: bool
) -> None:
    query, headers = PLACES[place]
    headers = {name: value.format(secret) for name, value in headers.items()}
    path = LIVE + query.format(secret)
    async with (
        serving(tmp_path, server__keys="right") as server,
        connected(server, path, additional_headers=headers) as client,
    ):
        if welcome:
            assert "setupComplete" in await client.set_up()
        else:
            await client.send(setup={"model": MODEL})
            assert await client.closing() == BAD_KEY
            metric = 'vivavoce_auth_failures_total{reason="invalid"} 1.0'
            assert metric in server.metrics.exposition().decode()


async def test_a_missing_credential_is_reported_after_the_first_message(tmp_path: Path) -> None:
    async with serving(tmp_path, server__keys="right") as server, connected(server) as client:
        await client.send(setup={"model": MODEL})
        code, reason = await client.closing()

    assert code == NO_CREDENTIAL
    assert reason == (
        "Method doesn't allow unregistered callers (callers without established identity). "
        "Please use API Key or other form of API c"
    )


async def test_without_keys_no_credential_is_asked_for(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        for path in (LIVE, LIVE + "?key=undefined", LIVE + f"?access_token={TOKEN}"):
            async with connected(server, path) as client:
                assert "setupComplete" in await client.set_up()


@pytest.mark.parametrize(
    "path",
    [
        LIVE,
        "/" + LIVE,
        "/gw" + LIVE,
        LIVE.replace("v1beta", "v1alpha") + "Constrained",
        LIVE.replace("v1beta", ""),
        LIVE + "/",
        ENTERPRISE,
    ],
)
async def test_every_form_of_the_path_opens_a_session(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as server, connected(server, path) as client:
        assert "setupComplete" in await client.set_up()


@pytest.mark.parametrize("path", ["/", "/ws/other", LIVE.replace("Content", "Music")])
async def test_other_paths_are_not_upgraded(tmp_path: Path, path: str) -> None:
    async with serving(tmp_path) as server:
        with pytest.raises(websockets.InvalidStatus) as refused:
            await websockets.connect(live_url(server, path))
        response = refused.value.response
        assert response.status_code == 404
        assert response.headers["content-type"] == "application/json; charset=UTF-8"
        assert json.loads(response.body or b"")["error"]["status"] == "NOT_FOUND"


async def test_frames_are_binary_by_default_and_text_by_option(tmp_path: Path) -> None:
    for option, kind in (("binary", bytes), ("text", str)):
        async with serving(tmp_path, server__frames=option) as server, connected(server) as client:
            await client.send(setup={"model": MODEL})
            assert isinstance(await client.socket.recv(), kind)


async def test_messages_sent_before_the_answer_wait_their_turn(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        await client.send(setup={"model": MODEL})
        await client.say("early")
        messages = await client.turn()

    assert "setupComplete" in messages[0]
    assert hear(spoken(messages), 24_000) == "early"


async def test_content_in_one_message_with_the_setup_is_answered(tmp_path: Path) -> None:
    turns = [{"role": "user", "parts": [{"text": "together"}]}]
    async with serving(tmp_path) as server, connected(server) as client:
        content = {"turns": turns, "turnComplete": True}
        await client.send(setup={"model": MODEL}, clientContent=content)
        messages = await client.turn()

    assert "setupComplete" in messages[0]
    assert hear(spoken(messages), 24_000) == "together"


SEARCH: list[Any] = [{"googleSearch": {}}]


async def test_a_tool_that_is_not_served_is_logged(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with serving(tmp_path) as server, connected(server) as client:
        assert "setupComplete" in await client.set_up(tools=SEARCH)
    logged = [
        vars(record)
        for record in caplog.records
        if record.getMessage() == "unsupported feature requested"
    ]

    assert [(each["kind"], each["what"]) for each in logged] == [("tool", "googleSearch")]


async def test_a_tool_that_is_not_served_is_refused_when_strict(tmp_path: Path) -> None:
    refusal = (1008, "Operation is not implemented, or supported, or enabled.")
    async with serving(tmp_path, server__strict=True) as server:
        async with connected(server) as client:
            await client.send(setup={"model": MODEL, "tools": SEARCH})
            assert await client.closing() == refusal
        async with connected(server) as client:
            await client.set_up()
            await client.send(contextUpdate={"tools": {"tools": SEARCH}})
            assert await client.closing() == refusal


HINTS: dict[str, Any] = {
    "inputAudioTranscription": {"customVocabulary": ["vivavoce"]},
    "generationConfig": {"thinkingConfig": {"includeThoughts": True}},
}


async def test_hints_that_no_engine_takes_are_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    unthinking = replace(EchoModel.capabilities, thinking=False)
    monkeypatch.setattr(EchoModel, "capabilities", unthinking)
    caplog.set_level(logging.INFO)
    async with serving(tmp_path) as server, connected(server) as client:
        assert "setupComplete" in await client.set_up(**HINTS)
    logged = [
        vars(record)
        for record in caplog.records
        if record.getMessage() == "unsupported feature requested"
    ]

    assert [each["what"] for each in logged] == [
        "setup.input_audio_transcription.custom_vocabulary",
        "setup.generation_config.thinking_config",
    ]


async def test_hints_that_no_engine_takes_are_refused_when_strict(tmp_path: Path) -> None:
    path = "setup.input_audio_transcription.custom_vocabulary"
    async with serving(tmp_path, server__strict=True) as server:
        async with connected(server) as client:
            await client.send(setup={"model": MODEL, **HINTS})
            assert await client.closing() == (1008, f"'{path}' is not served here: leave it out.")
        async with connected(server) as client:
            thinking = {"generationConfig": HINTS["generationConfig"]}
            assert "setupComplete" in await client.set_up(**thinking)


async def test_a_session_of_another_kind_is_refused_at_once(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        await client.send(setup={"model": "models/gemini-3.5-transcribe-live"})
        code, reason = await client.closing()

    assert code == 1008
    assert reason.startswith("gemini-3.5-transcribe-live only transcribes, which is not served")


@pytest.mark.parametrize("rate", [0, 999, 384_000])
async def test_a_rate_that_cannot_be_heard_is_refused_with_those_that_can(
    tmp_path: Path, rate: int
) -> None:
    blob = {"data": "AAAA", "mimeType": f"audio/pcm;rate={rate}"}
    async with serving(tmp_path) as server, connected(server) as client:
        await client.set_up()
        await client.send(realtimeInput={"audio": blob})
        code, reason = await client.closing()

    assert code == 1007
    assert reason.startswith(f"Unsupported audio rate {rate}: send PCM between")


async def test_sessions_beyond_the_limit_get_the_quota(tmp_path: Path) -> None:
    async with serving(tmp_path, server__max_sessions=1) as server:
        async with connected(server) as first:
            await first.set_up()
            async with connected(server) as second:
                await second.send(setup={"model": MODEL})
                code, reason = await second.closing()
        assert code == 1011
        assert reason.startswith("You exceeded your current quota")
        await until(lambda: len(server.sessions) == 0)
        async with connected(server) as third:
            assert "setupComplete" in await third.set_up()


async def test_a_place_that_was_taken_while_tools_were_fetched_is_not_given_twice(
    tmp_path: Path,
) -> None:
    async def listen(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(listen, "127.0.0.1", 0)
    origin = f"http://127.0.0.1:{silent.sockets[0].getsockname()[1]}"
    mine = {"name": "mine", "streamableHttpTransport": {"url": f"{origin}/mcp", "timeout": "1s"}}
    flags: dict[str, Any] = {"server__max_sessions": 1, "tools__mcp_clients": [origin]}
    async with silent, serving(tmp_path, **flags) as server, connected(server) as slow:
        await slow.send(setup={"model": MODEL, "tools": [{"mcpServers": [mine]}]})
        async with connected(server) as quick:
            assert "setupComplete" in await quick.set_up()
            code, reason = await slow.closing()
    assert code == 1011
    assert reason.startswith("You exceeded your current quota")


async def test_an_origin_that_is_not_allowed_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path, server__origins="https://good.example") as server:
        async with connected(server, origin="https://bad.example") as client:
            await client.send(setup={"model": MODEL})
            assert (await client.closing())[0] == 1008
        for origin in ("https://good.example", None):
            async with connected(server, origin=origin) as client:
                assert "setupComplete" in await client.set_up()


async def test_an_unknown_model_on_the_enterprise_path_is_refused_in_its_words(
    tmp_path: Path,
) -> None:
    model = "projects/p/locations/l/publishers/google/models/m"
    async with (
        serving(tmp_path, '[models]\nother = "scripted"', profile=None) as server,
        connected(server, ENTERPRISE) as client,
    ):
        await client.send(setup={"model": model})
        assert (await client.closing())[1].startswith("Publisher Model `projects/p/")


LIGHTS = [{"functionDeclarations": [{"name": "turn_on_the_lights", "description": "Lights on."}]}]


@pytest.mark.parametrize(
    ("option", "header", "model", "early"),
    [
        ("auto", "google-adk/2.13.0 gl-python/3.11", MODEL, True),
        ("auto", "google-genai-sdk/3.4.0", MODEL, False),
        ("auto", "google-adk/2.13.0", "models/gemini-3.1-flash-live-preview", False),
        ("never", "google-adk/2.13.0", MODEL, False),
        ("always", "", MODEL, True),
    ],
)
async def test_adk_on_a_2_5_name_gets_its_turn_complete_with_the_call(
    tmp_path: Path, option: str, header: str, model: str, early: bool
) -> None:
    flags: dict[str, Any] = {"session__early_turn_complete": option}
    headers = {"x-goog-api-client": header}
    async with (
        serving(tmp_path, **flags) as server,
        connected(server, additional_headers=headers) as client,
    ):
        await client.send(setup={"model": model, "tools": LIGHTS})
        await client.receive()
        await client.say("turn on the lights")
        call = await client.receive()
        (wanted,) = call["toolCall"]["functionCalls"]
        completed = early and (await client.turn())[-1]["serverContent"]["turnComplete"]
        result = {"id": wanted["id"], "name": wanted["name"], "response": {"ok": True}}
        await client.send(toolResponse={"functionResponses": [result]})
        answer = await client.turn()

    assert completed is early
    assert spoken(answer)


async def test_tls_and_plain_text_on_the_same_port(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        context = ssl.create_default_context(cafile=str(server.bundle))
        host, port = server.listener.address
        async with websockets.connect(f"wss://{host}:{port}{LIVE}", ssl=context) as socket:
            assert "setupComplete" in await Client(socket).set_up()
        async with httpx2.AsyncClient(verify=context, trust_env=False) as web:
            assert (await web.get(server.url("https") + "/livez")).status_code == 200
        async with connected(server) as plain:
            assert "setupComplete" in await plain.set_up()


async def test_a_session_leaves_its_numbers(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        async with connected(server) as client:
            await client.set_up()
            await client.say("count me")
            await client.turn()
            assert b"vivavoce_sessions_active" in server.metrics.exposition()
        await until(lambda: len(server.sessions) == 0 and server.listener.tasks == 0)
        text = server.metrics.exposition().decode()

    assert 'vivavoce_sessions_total{close_code="1000",profile="scripted"} 1.0' in text
    assert 'vivavoce_turns_total{outcome="complete"} 1.0' in text
    assert 'vivavoce_turn_stage_seconds_count{stage="send_first_audio"} 1.0' in text
    assert 'vivavoce_audio_seconds_total{direction="spoken"} 0.32' in text


async def test_draining_says_so_and_then_closes_with_1011(tmp_path: Path) -> None:
    async with serving(tmp_path, server__drain_s=0.1) as server, connected(server) as client:
        await client.set_up()
        stopping = asyncio.ensure_future(server.stop())
        assert "goAway" in await client.receive()
        code, _ = await client.closing()
        await stopping

    assert code == 1011
    assert server.listener.connections == 0


async def test_a_connection_without_session_is_ended_with_1011_too(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        await server.stop()
        assert (await client.closing())[0] == 1011
