"""Ends that come from keys and tokens, on live sessions of a whole server."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from endpoint import Standing
from serving import MODEL, Json, connected, serving, until
from vivavoce.config.loading import load_config
from vivavoce.core.settings import SessionSettings
from vivavoce.engines.cascade import Cascade
from vivavoce.engines.ports import Engines
from vivavoce.engines.scripted import EchoModel, EnergyDetector, TonesRecognizer, TonesSynthesizer
from vivavoce.errors import ConfigError, StoreError
from vivavoce.http import admission, health, quotas
from vivavoce.protocol import close
from vivavoce.runtime import rate_limit
from vivavoce.runtime.connection import Backend
from vivavoce.runtime.event_loop import INTERVAL_S
from vivavoce.runtime.voice_activity import VoiceScorer
from vivavoce.server import Server
from vivavoce.store.memory import MemoryStore

pytestmark = pytest.mark.integration


async def test_a_session_ends_with_its_token(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        async with httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web:
            made = await web.post("/v1alpha/auth_tokens", json={"expireTime": soon})
        headers = {"authorization": f"Token {made.json()['name']}"}
        async with connected(server, additional_headers=headers) as client:
            await client.set_up()
            left = (await client.receive())["goAway"]["timeLeft"]
            assert 0 < float(left.removesuffix("s")) <= 1
            assert await client.closing() == (1011, "auth token has expired")


async def test_a_key_may_open_so_many_sessions_at_once(tmp_path: Path) -> None:
    file = "[server]\nkeys = ['k']\nquota.sessions = 1\n"
    async with serving(tmp_path, file) as server:
        headers = {"x-goog-api-key": "k"}
        async with connected(server, additional_headers=headers) as one:
            await one.set_up()
            async with connected(server, additional_headers=headers) as other:
                await other.send(setup={"model": MODEL})
                assert await other.closing() == (1011, close.QUOTA)
        await until(lambda: server.listener.tasks == 0)
        async with connected(server, additional_headers=headers) as again:
            assert "setupComplete" in await again.set_up()


async def test_who_resumes_keeps_its_place_among_a_keys_sessions(tmp_path: Path) -> None:
    file = "[server]\nkeys = ['k']\nquota.sessions = 1\n"
    async with serving(tmp_path, file) as server:
        headers = {"x-goog-api-key": "k"}
        async with connected(server, additional_headers=headers) as one:
            await one.set_up(sessionResumption={})
            handle = (await one.receive())["sessionResumptionUpdate"]["newHandle"]
            async with connected(server, additional_headers=headers) as other:
                assert "setupComplete" in await other.set_up(sessionResumption={"handle": handle})
                code, _ = await one.closing()
                assert code == 1008
                async with connected(server, additional_headers=headers) as third:
                    await third.send(setup={"model": MODEL})
                    assert await third.closing() == (1011, close.QUOTA)


async def test_a_days_sound_that_is_spent_ends_the_session_and_the_day(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quotas, "FLUSH_S", 0.05)
    monkeypatch.setattr(admission, "QUOTA_NOTICE_S", 0.2)
    file = "[server]\nquota.audio_minutes = 0.01\n"
    async with serving(tmp_path, file) as server:
        async with connected(server) as client:
            await client.set_up()
            await client.say("so many words that they take longer than six tenths of a second")
            while "goAway" not in await client.receive():
                pass
            assert await client.closing() == (1011, close.QUOTA)
        async with connected(server) as client:
            await client.send(setup={"model": MODEL})
            assert await client.closing() == (1011, close.QUOTA)


async def test_messages_that_come_too_fast_end_the_session(tmp_path: Path) -> None:
    file = "[server]\nquota.messages_per_s = 5\n"
    async with serving(tmp_path, file) as server, connected(server) as client:
        await client.set_up()
        for _ in range(30):
            await client.send(realtimeInput={"activityStart": {}})
        assert await client.closing() == (1011, close.QUOTA)


async def test_a_client_that_stays_too_fast_gets_the_rate_and_the_setting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "MAX_EXCESS_S", 0.2)
    file = "[session]\nmessages_per_s = 20\n"
    async with serving(tmp_path, file) as server, connected(server) as client:
        await client.set_up()
        for _ in range(100):
            await client.send(realtimeInput={"text": "a"})
        code, reason = await client.closing()
        assert code == 1008
        assert reason.startswith("More than 20 messages a second for ")
        assert reason.endswith("send fewer and larger ones, or raise session.messages_per_s.")


async def test_a_message_that_is_read_in_a_thread_keeps_its_place(tmp_path: Path) -> None:
    immediate: dict[str, Any] = {"session__turn_complete": "immediate"}
    async with serving(tmp_path, **immediate) as server, connected(server) as client:
        await client.set_up(outputAudioTranscription={})
        turns = [{"role": "user", "parts": [{"text": f"w{number}"}]} for number in range(90)]
        await client.send(clientContent={"turns": turns, "turnComplete": False})
        await client.send(realtimeInput={"text": "last"})
        said = ""
        while "turnComplete" not in (message := await client.receive())["serverContent"]:
            said += message["serverContent"].get("outputTranscription", {}).get("text", "")
        assert said.split() == [*(f"w{number}" for number in range(90)), "last"]


async def test_the_delay_of_the_event_loop_is_measured(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        await asyncio.sleep(2 * INTERVAL_S)
        time.sleep(0.2)  # noqa: ASYNC251 (it is what is measured)
        await asyncio.sleep(2 * INTERVAL_S)
        async with httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web:
            lines = (await web.get("/metrics")).text.splitlines()
        (lag,) = [line for line in lines if line.startswith("vivavoce_event_loop_lag_seconds ")]
        assert float(lag.split()[1]) >= 0.2 - INTERVAL_S


# --- addresses that others can reach ------------------------------------------------------------


async def test_an_open_address_needs_a_key(tmp_path: Path) -> None:
    flags = {"profile": "scripted", "server.port": 0, "server.host": "0.0.0.0"}
    server = Server(load_config(None, flags), folder=tmp_path, store=MemoryStore())
    with pytest.raises(ConfigError, match="reachable by others") as mistake:
        await server.start()
    assert "vivavoce keys add" in mistake.value.fix
    keyed = Server(
        load_config(None, {**flags, "server.keys": "k"}), folder=tmp_path, store=MemoryStore()
    )
    await keyed.start()
    await keyed.stop()


def standing() -> Standing:
    detector = EnergyDetector()
    engines = Engines(detector, TonesRecognizer(), Cascade(EchoModel(), TonesSynthesizer()))
    return Standing(Backend(engines, VoiceScorer(detector)), SessionSettings())


def scope(kind: str, scheme: str, peer: str) -> Json:
    path = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
    return {
        "type": kind, "scheme": scheme, "client": (peer, 5), "query_string": b"key=secret",
        "path": path if kind == "websocket" else "/v1beta/models", "method": "GET",
        "headers": [(b"host", b"192.168.1.5:8482")], "http_version": "1.1", "raw_path": b"",
        "root_path": "", "server": ("192.168.1.5", 8482),
    }  # fmt: skip


async def asked(kind: str, scheme: str, peer: str) -> list[Any]:
    """What an application is told that asks in this way."""
    sent: list[Any] = []
    incoming = [
        {"type": "websocket.connect"},
        {"type": "websocket.receive", "text": '{"setup": {"model": "m"}}'},
        {"type": "websocket.disconnect", "code": 1000},
    ]
    if kind == "http":
        incoming = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> Any:
        return incoming.pop(0)

    async def send(message: Any) -> None:
        sent.append(message)

    await standing().app()(scope(kind, scheme, peer), receive, send)
    return sent


async def test_other_machines_are_not_answered_in_plain_text() -> None:
    refused = await asked("websocket", "ws", "192.168.1.9")
    assert [message["type"] for message in refused] == ["websocket.accept", "websocket.close"]
    assert refused[1]["code"] == 1008
    assert refused[1]["reason"].startswith("Plain text is not taken from here")
    assert (await asked("http", "http", "192.168.1.9"))[0]["status"] == 403
    for scheme, peer in (("wss", "192.168.1.9"), ("ws", "127.0.0.1")):
        answered = await asked("websocket", scheme, peer)
        assert b"setupComplete" in answered[1]["bytes"]


# --- readiness ----------------------------------------------------------------------------------


class Away(MemoryStore):
    name = "redis of-somebody:6379"
    away = False

    async def ping(self) -> None:
        if self.away:
            raise StoreError("redis of-somebody:6379 is away.")


async def test_readiness_names_the_store_that_is_away_and_the_server_serves_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "PING_INTERVAL_S", 0.02)
    store = Away()
    flags = {"profile": "scripted", "server.port": 0, "server.drain_s": 0.1}
    server = Server(load_config(None, flags), folder=tmp_path, store=store)
    await server.start()
    try:
        async with httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web:

            async def part() -> tuple[int, str]:
                answer = await web.get("/readyz")
                assert "of-somebody" not in answer.text, "where it lies, probes need not know"
                return answer.status_code, answer.json()["parts"]["store"]["state"]

            assert await part() == (200, "ready")
            store.away = True
            await asyncio.sleep(0.1)
            assert await part() == (200, "degraded")
            async with connected(server) as client:
                assert "setupComplete" in await client.set_up()
            store.away = False
            await asyncio.sleep(0.1)
            assert await part() == (200, "ready")
    finally:
        await server.stop()
