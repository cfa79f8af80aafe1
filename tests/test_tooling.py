"""From `[tools]` to a toolbox: mistakes are told together, and an index may come later."""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import pytest

from vivavoce.config.loading import load_config
from vivavoce.domain.content import BuiltinTool, Tools
from vivavoce.engines.document_index import Index, default_path, files_of, update
from vivavoce.engines.registry import EngineBuilder
from vivavoce.errors import ClientFault, ConfigError, EngineMissing
from vivavoce.http.health import ComponentState, Readiness
from vivavoce.metrics import Metrics
from vivavoce.tooling import build_toolbox
from vivavoce.tools.toolbox import Toolbox

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
    default_path().parent.mkdir(parents=True, exist_ok=True)
    opened = Index(default_path())
    list(update(opened, folder / "papers", files_of(folder / "papers")))
    opened.close()


async def offered(box: Toolbox, unserved: list[str] | None = None) -> list[str]:
    told = [] if unserved is None else unserved
    session = box.open(lambda _, kind: told.append(kind))
    found = await session.resolve(SEARCHING)
    await session.aclose()
    return [tool.declaration.name for tool in found.server]


async def test_all_mistakes_are_told_together_each_with_its_place() -> None:
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


async def test_a_search_that_falls_back_is_told_of_the_search(tmp_path: Path) -> None:
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


async def test_an_index_that_nobody_asked_for_is_left_out_until_it_is_made(tmp_path: Path) -> None:
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
    default_path().parent.mkdir(parents=True, exist_ok=True)
    default_path().write_text("My diary.")

    with caplog.at_level(logging.WARNING), pytest.raises(ClientFault, match="can't be used") as no:
        await offered(box)

    assert str(default_path()) not in no.value.reason
    assert any(str(default_path()) in str(vars(record)) for record in caplog.records)
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
