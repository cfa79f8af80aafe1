"""The composition root: what is started, what happens when a part cannot be."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest

import unruly
from serving import MODEL, connected, serving
from vivavoce import profiles
from vivavoce.config.loading import load_config
from vivavoce.errors import ConfigError, EngineMissing
from vivavoce.http.health import ComponentState
from vivavoce.wiring import Server, profiles_in_use, weights_in_use

PROFILE = """
[profiles.{name}]
detector = "energy"
recognizer = "tones"
responder = "{responder}"
"""
MUTE = """
models = {"*" = "mute"}
[profiles.mute]
detector = "energy"
recognizer = "tones"
[profiles.mute.responder]
use = "cascade"
model = "echo"
voice = { use = "unruly:absent", otherwise = { use = "unruly:absent", otherwise = "silence" } }
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "settings.toml"
    path.write_text(text)
    return path


def test_only_profiles_that_a_model_leads_to_are_used(tmp_path: Path) -> None:
    assert profiles_in_use(load_config(flags={"profile": "scripted"})) == ["scripted"]
    path = written(tmp_path, '[models]\na = "scripted"\nb = "embedded"\nc = "scripted"\n')
    assert profiles_in_use(load_config(path)) == ["scripted", "embedded"]


def test_weights_are_those_of_the_profiles_in_use() -> None:
    assert weights_in_use(load_config(flags={"profile": "scripted"})) == []
    small = load_config(flags={"model": "qwen-0.5b"})
    assert weights_in_use(small) == ["minilm", "moonshine", "qwen-0.5b", "silero"]
    swapped = load_config(flags={"model": "openai:http://127.0.0.1:1/v1#m"})
    assert weights_in_use(swapped) == ["moonshine", "silero"]


async def test_a_missing_voice_falls_back_and_is_reported(tmp_path: Path) -> None:
    async with serving(tmp_path, MUTE, profile=None) as server, connected(server) as client:
        part = server.readiness.parts["profile mute"]
        await client.set_up(outputAudioTranscription={})
        await client.say("still here")
        messages = await client.turn()

    assert part.state is ComponentState.DEGRADED
    assert "silence instead of synthesizer" in part.note
    assert server.readiness.parts
    said = [m["serverContent"].get("outputTranscription", {}) for m in messages]
    assert "".join(each.get("text", "") for each in said) == "still here"


async def test_a_profile_that_cannot_start_does_not_stop_the_others(tmp_path: Path) -> None:
    file = 'models = {good = "scripted", bad = "bad"}\n' + PROFILE.format(
        name="bad", responder="unruly:absent"
    )
    async with serving(tmp_path, file, profile=None) as server:
        assert server.readiness.parts["profile bad"].state is ComponentState.FAILED
        assert not server.readiness.ready
        async with connected(server) as client:
            await client.send(setup={"model": "models/bad"})
            assert await client.closing() == (1011, "The service is currently unavailable.")
        async with connected(server) as client:
            await client.send(setup={"model": "models/good"})
            assert "setupComplete" in await client.receive()


async def test_nothing_that_can_start_is_an_error_and_the_port_is_free_again(
    tmp_path: Path,
) -> None:
    file = 'models = {"*" = "bad"}\n' + PROFILE.format(name="bad", responder="unruly:absent")
    path = written(tmp_path, file)
    server = Server(load_config(path, {"server.port": 0}), folder=tmp_path / "tls")
    with pytest.raises(EngineMissing, match="Bring it"):
        await server.start()
    number = server.port._wanted_port
    assert server.port.connections == 0
    assert number == 0
    listener = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    listener.close()


async def test_an_engine_that_does_not_exist_is_told_with_those_that_do(tmp_path: Path) -> None:
    file = 'models = {"*" = "bad"}\n' + PROFILE.format(name="bad", responder="oracle")
    server = Server(
        load_config(written(tmp_path, file), {"server.port": 0}), folder=tmp_path / "tls"
    )
    with pytest.raises(ConfigError) as error:
        await server.start()
    assert "oracle" in error.value.problem
    assert "cascade" in error.value.fix


async def test_a_busy_port_is_told_before_engines_are_started(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        settings = load_config(flags={"profile": "scripted", "server.port": server.port.address[1]})
        second = Server(settings, folder=tmp_path / "tls")
        with pytest.raises(OSError, match="in use"):
            await second.start()
        assert second.readiness.parts["profile scripted"].state is ComponentState.STARTING


async def test_a_certificate_of_the_users_own_is_served(tmp_path: Path) -> None:
    from vivavoce.http.certificates import prepare_authority

    theirs = prepare_authority(tmp_path / "theirs", ["voice.example"])
    flags: dict[str, Any] = {
        "server__tls__certificate": theirs.certificate,
        "server__tls__key": theirs.key,
    }
    async with serving(tmp_path, **flags) as server:
        assert server.bundle is None
        assert not (tmp_path / "tls").exists()


async def test_a_certificate_that_is_none_is_a_config_error(tmp_path: Path) -> None:
    (tmp_path / "x.pem").write_text("no")
    flags = {"server.tls.certificate": tmp_path / "x.pem", "server.tls.key": tmp_path / "x.pem"}
    server = Server(load_config(flags={"profile": "scripted", "server.port": 0, **flags}))
    with pytest.raises(ConfigError, match="cannot be used"):
        await server.start()


async def test_draining_admits_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        server.sessions.draining = True
        await client.send(setup={"model": MODEL})
        assert await client.closing() == (1011, "The service is currently unavailable.")


async def test_what_was_said_stands_in_the_log_on_request(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    for personal in (False, True):
        async with serving(tmp_path, log__personal=personal) as server, connected(server) as client:
            await client.set_up(outputAudioTranscription={})
            await client.say("secretword")
            await client.turn()
            (connection,) = server.sessions
            (session,) = (value for value in vars(connection).values() if hasattr(value, "trace"))
            traced = "".join(session.trace.lines())
        lines = [vars(record) for record in caplog.records if record.getMessage() == "turn"]
        assert ("secretword" in traced) is personal
        assert ("secretword" in str(lines)) is personal


async def test_an_engine_that_never_closes_holds_nobody_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(profiles, "ENGINE_CLOSE_S", 0.05)
    file = 'models = {"*" = "clinging"}\n' + PROFILE.format(
        name="clinging", responder="unruly:clinging"
    )
    path = written(tmp_path, file)
    server = Server(load_config(path, {"server.port": 0, "server.tls.enabled": False}))
    await server.start()
    stopping = asyncio.ensure_future(server.stop())
    done, _ = await asyncio.wait({stopping}, timeout=3)
    unruly.let_go.set()

    assert done
    assert "engine did not close in time" in caplog.text


async def test_conversations_told_to_go_are_counted(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        await client.set_up()
        await server.stop(drain_s=0)
        assert "vivavoce_goaway_total 1.0" in server.metrics.exposition().decode()


async def test_a_tool_that_falls_back_and_one_that_lacks_a_part_are_told(tmp_path: Path) -> None:
    absent = {"use": "bubblewrap", "program": "/nowhere/bwrap"}
    async with serving(tmp_path, tools__code={**absent, "otherwise": "monty"}) as server:
        part = server.readiness.parts["tool codeExecution"]
        assert part.state is ComponentState.DEGRADED
        assert part.note.startswith("monty instead of sandbox ")
        assert server.readiness.ready
    async with serving(tmp_path, tools__code=absent) as server, connected(server) as client:
        assert "bubblewrap" in server.readiness.parts["tool codeExecution"].note
        await client.send(setup={"model": MODEL, "tools": [{"codeExecution": {}}]})
        code, reason = await client.closing()
    assert code == 1008
    assert reason.startswith("codeExecution is not available: ")


async def test_the_default_search_is_off_without_an_index_and_nobody_is_alarmed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    async with serving(tmp_path) as server, connected(server) as client:
        assert not [name for name in server.readiness.parts if name.startswith("tool")]
        assert "setupComplete" in await client.set_up(tools=[{"googleSearch": {}}])
