"""What `vivavoce doctor` finds out about the server's tools."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from vivavoce.cli.doctor import try_tools
from vivavoce.cli.errors import ErrorCode
from vivavoce.cli.examination import Finding, Severity
from vivavoce.config import load_config
from vivavoce.engines.document_index import Index, files_of, update


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))


async def found(**tools: Any) -> list[Finding]:
    config = load_config(flags={f"tools.{name}": value for name, value in tools.items()})
    return [step async for step in try_tools(config) if isinstance(step, Finding)]


def indexed(folder: Path) -> Path:
    (folder / "documents").mkdir()
    (folder / "documents" / "a.txt").write_text("The vivavoce library is open on Mondays.")
    path = folder / "index.sqlite3"
    index = Index(path)
    list(update(index, folder / "documents", files_of(folder / "documents")))
    index.close()
    return path


async def test_with_nothing_set_up_it_only_notes_that_there_is_no_index() -> None:
    (only,) = await found()
    assert (only.severity, only.code) == (Severity.NOTE, ErrorCode.ENGINE_MISSING)
    assert "vivavoce index" in only.fix


async def test_what_works_is_told_with_how_long_it_took(tmp_path: Path) -> None:
    local = {"use": "local", "path": str(indexed(tmp_path))}
    search, code, url = await found(search=local, code="monty", url=True)
    assert {each.severity for each in (search, code, url)} == {Severity.OK}
    assert search.text.startswith("search: local answers a query within ")
    assert code.text.startswith("code: monty starts and runs a line within ")
    assert url.text.startswith("url: addresses are read")


async def test_what_was_asked_for_and_lacks_something_is_an_error(tmp_path: Path) -> None:
    (search,) = await found(search={"use": "local", "path": str(tmp_path / "none")})
    assert (search.severity, search.code) == (Severity.ERROR, ErrorCode.ENGINE_MISSING)


async def test_a_search_service_that_is_not_there_is_a_warning() -> None:
    (search,) = await found(search={"use": "searxng", "url": "http://127.0.0.1:9"})
    assert (search.severity, search.code) == (Severity.WARNING, ErrorCode.TOOL_FAILED)


async def test_an_mcp_server_that_is_not_there_is_a_warning() -> None:
    kitchen = {"kitchen": {"url": "http://127.0.0.1:9/mcp"}}
    (server,) = await found(search="", mcp=kitchen)
    assert (server.severity, server.code) == (Severity.WARNING, ErrorCode.TOOL_FAILED)
    assert server.text.startswith("MCP server kitchen: ")


async def test_a_table_that_is_wrong_is_told_as_such() -> None:
    (fault,) = await found(search="", mcp={"kitchen": {}})
    assert (fault.severity, fault.code) == (Severity.ERROR, ErrorCode.CONFIG)


async def test_a_mistake_is_told_with_its_place() -> None:
    code, mcp = await found(search="", code="monti", mcp={"kitchen": {"uri": "x"}})
    assert code.text == "tools.code: There is no sandbox called 'monti'."
    assert mcp.text.startswith("tools.mcp: ")
    assert (code.code, mcp.code) == (ErrorCode.CONFIG, ErrorCode.CONFIG)
