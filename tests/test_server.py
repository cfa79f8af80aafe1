"""The composition root: what is started, what happens when a part cannot be."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
from pathlib import Path
from typing import Any

import pytest

import unruly
from conformance.servers import free_port
from conformance.wire import audio
from serving import MODEL, connected, serving
from vivavoce.config.loading import load_config
from vivavoce.domain.audio import INPUT_RATE
from vivavoce.domain.content import BuiltinTool, Tools
from vivavoce.engines.document_index import Index, default_index_path, list_documents, update_index
from vivavoce.engines.registry import EngineBuilder
from vivavoce.engines.scripted import say
from vivavoce.errors import ClientFault, ConfigError, EngineMissing
from vivavoce.http.health import ComponentState, Readiness
from vivavoce.metrics import Metrics
from vivavoce.server import Server, build_toolbox, profiles_in_use, weights_in_use
from vivavoce.tools.toolbox import Toolbox

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
    assert weights_in_use(small) == ["minilm", "moonshine", "qwen-0.5b", "silero", "smart-turn"]
    swapped = load_config(flags={"model": "openai:http://127.0.0.1:1/v1#m"})
    assert weights_in_use(swapped) == ["moonshine", "silero", "smart-turn"]


@pytest.mark.integration
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


SCORED = """
models = {"*" = "scored"}
[profiles.scored]
detector = "energy"
recognizer = "tones"
turn_model = "unruly:noted_turn_model"
responder = { use = "cascade", model = "echo", voice = "tones" }
[session]
turn_model = %s
"""


@pytest.mark.integration
@pytest.mark.parametrize("wanted", [True, False])
async def test_the_turn_model_of_a_profile_is_asked_unless_it_is_off(
    wanted: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unruly.NotedTurnModel, "asked", [])
    monkeypatch.setattr(unruly.NotedTurnModel, "closed", 0)
    file = SCORED % str(wanted).lower()
    async with serving(tmp_path, file, profile=None) as server, connected(server) as client:
        await client.set_up()
        await client.send(**audio(say("hello", INPUT_RATE) + bytes(2 * INPUT_RATE)))
        await client.turn()
    asked = unruly.NotedTurnModel.asked
    assert {pause.language for pause in asked} == ({"en"} if wanted else set())
    assert all(len(pause.pcm) > len(say("hello", INPUT_RATE)) for pause in asked), "all of the turn"
    assert unruly.NotedTurnModel.closed == 1


@pytest.mark.integration
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


@pytest.mark.integration
async def test_nothing_that_can_start_is_an_error_and_the_port_is_free_again(
    tmp_path: Path,
) -> None:
    file = 'models = {"*" = "bad"}\n' + PROFILE.format(name="bad", responder="unruly:absent")
    path = written(tmp_path, file)
    port = free_port()
    server = Server(load_config(path, {"server.port": port}), folder=tmp_path / "tls")
    with pytest.raises(EngineMissing, match="Bring it"):
        await server.start()
    socket.create_server(("127.0.0.1", port)).close()
    listener = await asyncio.start_server(lambda r, w: None, "127.0.0.1", 0)
    listener.close()


@pytest.mark.integration
async def test_an_engine_that_does_not_exist_is_reported_with_those_that_do(tmp_path: Path) -> None:
    file = 'models = {"*" = "bad"}\n' + PROFILE.format(name="bad", responder="oracle")
    server = Server(
        load_config(written(tmp_path, file), {"server.port": 0}), folder=tmp_path / "tls"
    )
    with pytest.raises(ConfigError) as error:
        await server.start()
    assert "oracle" in error.value.problem
    assert "cascade" in error.value.fix


@pytest.mark.integration
async def test_a_busy_port_is_reported_before_engines_are_started(tmp_path: Path) -> None:
    async with serving(tmp_path) as server:
        settings = load_config(
            flags={"profile": "scripted", "server.port": server.listener.address[1]}
        )
        second = Server(settings, folder=tmp_path / "tls")
        with pytest.raises(OSError, match="in use"):
            await second.start()
        assert second.readiness.parts["profile scripted"].state is ComponentState.STARTING


@pytest.mark.integration
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


@pytest.mark.integration
async def test_draining_admits_no_client(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        server.sessions.draining = True
        await client.send(setup={"model": MODEL})
        assert await client.closing() == (1011, "The service is currently unavailable.")


@pytest.mark.integration
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


@pytest.mark.integration
async def test_an_engine_that_never_closes_delays_no_shutdown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("vivavoce.server.ENGINE_CLOSE_TIMEOUT_S", 0.05)
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


@pytest.mark.integration
async def test_conversations_asked_to_end_are_counted(tmp_path: Path) -> None:
    async with serving(tmp_path) as server, connected(server) as client:
        await client.set_up()
        await server.stop(drain_s=0)
        assert "vivavoce_goaway_total 1.0" in server.metrics.exposition().decode()


@pytest.mark.integration
async def test_a_tool_that_falls_back_and_one_that_lacks_a_part_are_reported(
    tmp_path: Path,
) -> None:
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


@pytest.mark.integration
async def test_the_default_search_is_off_without_an_index_and_without_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    async with serving(tmp_path) as server, connected(server) as client:
        assert not [name for name in server.readiness.parts if name.startswith("tool")]
        assert "setupComplete" in await client.set_up(tools=[{"googleSearch": {}}])


PART = "tool googleSearch"
SEARCHING = Tools(builtin=(BuiltinTool("googleSearch"),))


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    monkeypatch.chdir(tmp_path)


async def built(readiness: Readiness | None = None, **tools: Any) -> Toolbox:
    config = load_config(flags={f"tools.{name}": value for name, value in tools.items()})
    return await build_toolbox(config, EngineBuilder(), readiness or Readiness(), Metrics())


def index_documents(folder: Path) -> None:
    (folder / "papers").mkdir()
    (folder / "papers" / "owls.txt").write_text("The owl hunts by night.")
    default_index_path().parent.mkdir(parents=True, exist_ok=True)
    opened = Index(default_index_path())
    list(update_index(opened, folder / "papers", list_documents(folder / "papers")))
    opened.close()


async def offered(box: Toolbox, unserved: list[str] | None = None) -> list[str]:
    told = [] if unserved is None else unserved
    session = box.open(lambda _, kind: told.append(kind))
    found = await session.resolve(SEARCHING)
    await session.aclose()
    return [tool.declaration.name for tool in found.server]


async def test_all_mistakes_are_reported_together_each_with_its_place() -> None:
    with pytest.raises(ConfigError) as error:
        await built(
            search={"use": "lokal"},
            code="monti",
            url={"allow_host": ["a.example"]},
            mcp={"kitchen": {"uri": "http://127.0.0.1:9/mcp"}},
            mcp_clients=["no origin"],
        )

    search, code, url, mcp = error.value.problem.splitlines()
    assert search == "tools.search: There is no search called 'lokal'."
    assert code == "tools.code: There is no sandbox called 'monti'."
    assert url.startswith("tools.url: ")
    assert "did you mean `allow_hosts`?" in url
    assert mcp.startswith("tools.mcp: ")
    assert "kitchen.uri: there is no such setting (did you mean `url`?)" in mcp
    assert "mcp_clients: 'no origin' is not an origin" in mcp
    places = [line.partition(":")[0] for line in error.value.fix.splitlines()]
    assert places == ["tools.search", "tools.code", "tools.url", "tools.mcp"]


async def test_one_mistake_keeps_its_own_fix() -> None:
    with pytest.raises(ConfigError) as error:
        await built(search="", code="monti")

    assert error.value.problem == "tools.code: There is no sandbox called 'monti'."
    assert error.value.fix == "There are: bubblewrap, monty."


async def test_a_search_that_falls_back_is_named_in_the_report(tmp_path: Path) -> None:
    index_documents(tmp_path)
    readiness = Readiness()
    absent = {"use": "local", "path": str(tmp_path / "absent.sqlite3"), "otherwise": "local"}

    box = await built(readiness, search=absent)

    assert list(readiness.parts) == [PART]
    assert readiness.parts[PART].note.startswith("local instead of search ")
    await box.aclose()


async def test_an_index_that_was_asked_for_is_refused_until_it_is_made(tmp_path: Path) -> None:
    readiness = Readiness()
    box = await built(readiness, search="local")
    with pytest.raises(ClientFault, match="There is no index of documents"):
        await offered(box)
    assert readiness.parts[PART].state is ComponentState.DEGRADED

    index_documents(tmp_path)

    assert await offered(box) == ["google_search"]
    assert readiness.parts[PART].state is ComponentState.READY
    assert readiness.parts[PART].note == ""
    await box.aclose()


async def test_a_default_index_is_left_out_until_it_is_made(tmp_path: Path) -> None:
    readiness, unserved = Readiness(), list[str]()
    box = await built(readiness)
    assert await offered(box, unserved) == []
    assert unserved == ["googleSearch"]

    index_documents(tmp_path)

    assert await offered(box) == ["google_search"]
    assert not readiness.parts
    await box.aclose()


async def test_what_comes_in_place_of_the_index_ends_no_conversation_with_a_fault_of_ours(
    caplog: pytest.LogCaptureFixture,
) -> None:
    box, implicit = await built(search="local"), await built()
    default_index_path().parent.mkdir(parents=True, exist_ok=True)
    default_index_path().write_text("My diary.")

    with caplog.at_level(logging.WARNING), pytest.raises(ClientFault, match="can't be used") as no:
        await offered(box)

    assert str(default_index_path()) not in no.value.reason
    assert any(str(default_index_path()) in str(vars(record)) for record in caplog.records)
    assert await offered(implicit) == []


async def test_reading_addresses_without_its_libraries_is_refused_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "trafilatura", None)
    readiness = Readiness()
    box = await built(readiness, url=True)
    session = box.open(lambda *_: None)
    with pytest.raises(ClientFault, match="urlContext is not available: trafilatura"):
        await session.resolve(Tools(builtin=(BuiltinTool("urlContext"),)))
    await session.aclose()
    assert "pip install" in readiness.parts["tool urlContext"].note
    await box.aclose()


async def test_mcp_servers_without_the_library_end_the_start_with_the_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delitem(sys.modules, "vivavoce.tools.mcp.connection", raising=False)
    monkeypatch.setitem(sys.modules, "mcp", None)
    with pytest.raises(EngineMissing, match=r"mcp is not installed.*pip install"):
        await built(mcp={"kitchen": {"url": "http://127.0.0.1:9/mcp"}})
