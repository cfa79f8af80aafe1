"""Storms: processes and hundreds of calls on one store, and stores that go and come back."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx2
import pytest

from serving import MODEL, begin, connected, handle, serving, talk, until
from store.redis_server import RedisServer, redis_server
from store.storm import store_at
from vivavoce.errors import ConfigError, StoreError
from vivavoce.server import Server
from vivavoce.store import build_store
from vivavoce.store.port import SavedSession, StateStore
from vivavoce.store.sqlite import SqliteStore
from vivavoce.testing.store_contract import LATER, NOW, SAVED, TOKEN

pytestmark = pytest.mark.integration

STORM = Path(__file__).parent / "storm.py"


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> list[str]:
    """How to reach one store from several processes."""
    if request.param == "sqlite":
        return ["sqlite", str(tmp_path / "state.sqlite3")]
    server: RedisServer = request.getfixturevalue("redis")
    return ["redis", server.url, tmp_path.name]


@asynccontextmanager
async def opened(place: list[str]) -> AsyncIterator[StateStore]:
    store = store_at(place)
    await store.start()
    try:
        yield store
    finally:
        await store.aclose()


def at_once(place: list[str], *works: tuple[str, str]) -> list[Any]:
    """Run processes side by side, a step at a time; what each of them got at each of its steps."""
    with ExitStack() as stack:
        processes = [
            stack.enter_context(
                subprocess.Popen(
                    [sys.executable, str(STORM), *work, *place],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    bufsize=1,
                )
            )
            for work in works
        ]
        steps = []
        while all(lines := [_next_line(process) for process in processes]):
            steps.append([json.loads(line) for line in lines])
            for process in processes:
                assert process.stdin is not None
                process.stdin.write("\n")
    assert [process.returncode for process in processes] == [0] * len(works)
    return list(zip(*steps, strict=True))


def _next_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


async def test_a_hundred_claims_of_four_processes_for_seven_uses(place: list[str]) -> None:
    async with opened(place) as store:
        await store.put_token(replace(TOKEN, digest="storm", uses=7))
        claimed = await asyncio.to_thread(at_once, place, *[("claim", "25")] * 4)
        assert sum(uses for _, uses in claimed) == 7
        left = await store.find_token("storm", NOW)
        assert left is not None
        assert left.uses == 0


async def test_of_two_processes_that_take_a_session_the_newest_holds_it(place: list[str]) -> None:
    async with opened(place) as store:
        await store.save_session(SAVED, "race", NOW, LATER)
        taken = await asyncio.to_thread(at_once, place, *[("take", "race")] * 2)
        assert sorted(taken) == [("ready", 2, False), ("ready", 3, True)]
        newest = await store.take_session("race-3", "owner", "model", NOW, exact=False)
        assert isinstance(newest, SavedSession)
        assert newest.lease == 4


# --- a server and a token, opened by a crowd ----------------------------------------------------


@asynccontextmanager
async def server_on(place: list[str], folder: Path, **flags: Any) -> AsyncIterator[Server]:
    use, where, *prefix = place
    named: dict[str, Any] = {
        "store__use": use,
        "store__path" if use == "sqlite" else "store__url": where,
    }
    named |= {"store__prefix": prefix[0]} if prefix else {}
    async with serving(folder, **named, **flags) as server:
        yield server


async def test_a_hundred_sessions_that_open_at_once_with_seven_uses_are_seven(
    place: list[str], tmp_path: Path
) -> None:
    async with server_on(place, tmp_path, server__max_sessions=200) as server:
        async with httpx2.AsyncClient(base_url=server.url(), trust_env=False) as web:
            made = await web.post("/v1alpha/auth_tokens", json={"uses": 7})
        headers = {"authorization": f"Token {made.json()['name']}"}

        async def open_one() -> str:
            async with connected(server, additional_headers=headers) as client:
                await client.send(setup={"model": MODEL})
                try:
                    assert "setupComplete" in await client.receive()
                except Exception:
                    return (await client.closing())[1]
                await everybody.wait()
                return ""

        everybody = asyncio.Event()
        crowd = [asyncio.ensure_future(open_one()) for _ in range(100)]
        await until(lambda: sum(one.done() for one in crowd) >= 93, 20)
        everybody.set()
        outcomes = await asyncio.gather(*crowd)
    assert outcomes.count("") == 7
    assert outcomes.count("Token has been used too many times") == 93


# --- stores that go and come back in mid-conversation -------------------------------------------


async def not_resumable(client: Any) -> None:
    while (update := (await client.receive()).get("sessionResumptionUpdate")) != {}:
        assert update is None or update["resumable"]


async def test_redis_is_stopped_and_started_in_mid_conversation(tmp_path: Path) -> None:
    with redis_server() as redis:
        place = ["redis", redis.url, "outage"]
        async with (
            server_on(place, tmp_path, renew_leases_s=0.1) as server,
            connected(server) as client,
        ):
            await begin(client)
            await handle(client)
            await asyncio.to_thread(redis.stop)
            await not_resumable(client)
            assert await talk(client, "can you hear me") == "can you hear me"
            await asyncio.to_thread(redis.start)
            kept = await handle(client)
            async with connected(server) as new:
                await begin(new, kept)
                assert await talk(new, "What did I tell you before?") == "can you hear me"


async def test_sqlite_is_locked_and_freed_in_mid_conversation(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    store = SqliteStore(path, busy_s=0.1)
    async with (
        serving(tmp_path, store=store, renew_leases_s=0.1) as server,
        connected(server) as client,
    ):
        await begin(client)
        await handle(client)
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            await not_resumable(client)
            assert await talk(client, "can you hear me") == "can you hear me"
            other.execute("ROLLBACK")
        kept = await handle(client)
        async with connected(server) as new:
            await begin(new, kept)
            assert await talk(new, "What did I tell you before?") == "can you hear me"


# --- each store's own troubles ------------------------------------------------------------------


def _take_away(path: Path) -> None:
    for suffix in ("", "-wal", "-shm"):
        Path(f"{path}{suffix}").unlink(missing_ok=True)


async def test_a_state_file_that_is_taken_away_is_made_anew(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    async with opened(["sqlite", str(path)]) as store:
        await store.save_session(SAVED, "h1", NOW, LATER)
        _take_away(path)
        assert await store.renew_sessions({SAVED.session: 1}, NOW, LATER) == {}
        assert await store.save_session(SAVED, "h2", NOW, LATER)
    assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("content", [b"not a database at all, but long enough to be one" * 99])
async def test_a_file_of_something_else_is_no_store(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "state.sqlite3"
    path.write_bytes(content)
    with pytest.raises(ConfigError, match="cannot be used"):
        await build_store("sqlite", path).start()
    assert path.read_bytes() == content


async def test_a_file_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    with closing(sqlite3.connect(path)) as later:
        later.execute("PRAGMA user_version = 99")
    with pytest.raises(ConfigError, match="another version"):
        await build_store("sqlite", path).start()


async def test_a_redis_that_is_not_there_is_an_outage_and_a_wrong_password_a_mistake() -> None:
    absent = build_store("redis", url="redis://user:hunter2@127.0.0.1:9/0")
    with pytest.raises(StoreError) as away:
        await absent.start()
    assert "hunter2" not in str(away.value)
    await absent.aclose()
    with redis_server("--requirepass", "right") as server:
        wrong = build_store("redis", url=server.url.replace("//", "//:hunter2@"))
        with pytest.raises(ConfigError, match="refuses the login") as mistake:
            await wrong.start()
        assert "hunter2" not in str(mistake.value)
        await wrong.aclose()


@pytest.mark.parametrize("url", ["http://127.0.0.1", "nonsense", "redis://127.0.0.1:port/0"])
def test_an_address_that_is_none_of_redis_is_a_mistake(url: str) -> None:
    with pytest.raises(ConfigError, match=r"store\.url"):
        build_store("redis", url=url)
