"""Why connections fail, as real attempts report it."""

from __future__ import annotations

import asyncio
import socket

import httpx2
import pytest

from vivavoce.connection_errors import connection_failure


@pytest.fixture
def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


async def test_a_refusal_by_asyncio_and_by_httpx(free_port: int) -> None:
    with pytest.raises(OSError, match="Connect call failed") as refused:
        await asyncio.open_connection("127.0.0.1", free_port)
    assert connection_failure(refused.value) == "Connection refused"
    async with httpx2.AsyncClient(trust_env=False) as client:
        with pytest.raises(httpx2.ConnectError) as behind:
            await client.get(f"http://127.0.0.1:{free_port}")
    assert connection_failure(behind.value) == "Connection refused"


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
