"""Codes and sentences of errors, and why connections fail, as real attempts report it."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

import httpx2
import pytest

from vivavoce.client.session import ServerUnreachable, ServerUntrusted
from vivavoce.errors import EngineError, EngineMissing, VivavoceError, connection_failure


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


@pytest.mark.integration
async def test_a_refusal_by_asyncio_and_by_httpx(free_port: int) -> None:
    with pytest.raises(OSError, match="Connect call failed") as refused:
        await asyncio.open_connection("127.0.0.1", free_port)
    assert connection_failure(refused.value) == "Connection refused"
    async with httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx2.ConnectError) as behind:
            await client.get(f"http://127.0.0.1:{free_port}")
    assert connection_failure(behind.value) == "Connection refused"


@pytest.mark.integration
def test_a_name_that_leads_nowhere() -> None:
    with httpx2.Client(trust_env=False) as client, pytest.raises(httpx2.ConnectError) as failed:
        client.get("http://nowhere.invalid")
    assert "Errno" not in connection_failure(failed.value)
    assert connection_failure(failed.value)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TimeoutError(), "no answer in time"),
        (OSError("Several: ('::1', 9, 0, 0)"), "none of its addresses accepts a connection"),
        (ValueError("plain words"), "plain words"),
        (ValueError(), "ValueError"),
    ],
)
def test_what_the_system_has_no_number_for(error: Exception, words: str) -> None:
    assert connection_failure(error) == words


def test_every_code_is_one_of_the_reference() -> None:
    page = (Path(__file__).parent.parent / "docs" / "reference" / "errors.md").read_text("utf-8")
    pending, codes = [VivavoceError], set()
    while pending:
        kind = pending.pop()
        pending += kind.__subclasses__()
        codes.add(kind.code)
    assert codes >= {"E-CONFIG", "E-ENGINE-MISSING", ServerUnreachable.code, ServerUntrusted.code}
    assert [code for code in codes if code and f"`{code}`" not in page] == []


def test_an_error_reads_as_its_engine_its_problem_and_its_fix() -> None:
    missing = EngineMissing("search.local", "There is no index.", "Run `vivavoce index`.")
    assert str(missing) == "search.local: There is no index. Run `vivavoce index`."
    assert (missing.problem, missing.fix) == ("There is no index.", "Run `vivavoce index`.")
    failed = EngineError("model.toy", "It broke.")
    assert str(failed) == "model.toy: It broke."
    assert failed.fix
