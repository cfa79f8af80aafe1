"""What goes wrong under a store: disks, locks and servers that do not answer."""

from __future__ import annotations

import asyncio
import resource
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from store.redis_server import redis_server
from vivavoce.errors import ConfigError, StoreError
from vivavoce.store import build_store
from vivavoce.store.port import STORE_TIMEOUT_S, Refusal
from vivavoce.store.redis import RedisStore
from vivavoce.store.sqlite import WRITES_PER_SWEEP, SqliteStore
from vivavoce.testing.store_contract import LATER, NOW, SAVED, SESSION, TOKEN

pytestmark = pytest.mark.integration


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """The file, while somebody else writes."""
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def full_at(size: int) -> Iterator[None]:
    """No file of this process grows beyond so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def put_back(backup: Path, path: Path) -> None:
    """Put a backup in the place of a file, with what belongs to that gone."""
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    backup.replace(path)


def rows_in(path: Path, table: str) -> int:
    with closing(sqlite3.connect(path)) as reader:
        return int(reader.execute(f"SELECT count(*) FROM {table}").fetchone()[0])


async def test_a_disk_that_is_full_is_an_outage_and_loses_nothing(tmp_path: Path) -> None:
    store = build_store("sqlite", tmp_path / "state.sqlite3")
    await store.start()
    await store.save_session(SAVED, "h1", NOW, LATER)
    with full_at(100_000), pytest.raises(StoreError, match="cannot be used"):
        await store.save_session(replace(SAVED, data=bytes(500_000)), "h2", NOW, LATER)
    taken = await store.take_session("h1", "owner", "model", NOW, exact=False)
    assert taken == replace(SAVED, lease=2)
    await store.aclose()


async def test_a_locked_file_is_an_outage_at_the_start_and_no_mistake(
    tmp_path: Path,
) -> None:
    path = tmp_path / "state.sqlite3"
    path.touch()
    store = SqliteStore(path, busy_s=0.05)
    with locked(path), pytest.raises(StoreError, match="locked"):
        await store.start()
    await store.start()
    await store.aclose()


async def test_a_disk_that_does_not_answer_delays_no_other(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    store = SqliteStore(path, timeout_s=0.1)
    await store.start()
    with locked(path):
        calls = [store.add_usage("o", "calls", 1, NOW, LATER) for _ in range(5)]
        async with asyncio.timeout(STORE_TIMEOUT_S / 2):
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
            await store.aclose()
        assert [str(each) for each in outcomes] == ["The state file is busy."] * 5
    store = SqliteStore(path)
    assert await store.add_usage("o", "calls", 0, NOW, LATER) <= 1, (
        "who waited in line was not late"
    )
    await store.aclose()


async def test_a_backup_that_is_put_in_the_place_of_the_file_is_read(tmp_path: Path) -> None:
    path, backup = tmp_path / "state.sqlite3", tmp_path / "backup"
    other = build_store("sqlite", backup)
    await other.save_session(replace(SAVED, data=b"from the backup"), "h1", NOW, LATER)
    await other.aclose()
    store = build_store("sqlite", path)
    await store.start()
    put_back(backup, path)
    taken = await store.take_session("h1", "owner", "model", NOW, exact=False)
    assert taken == replace(SAVED, lease=2, data=b"from the backup")
    await store.aclose()


async def test_a_database_of_something_else_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "bookmarks.sqlite"
    with closing(sqlite3.connect(path)) as theirs:
        theirs.execute("CREATE TABLE bookmarks (address)")
    before = path.read_bytes()
    with pytest.raises(ConfigError, match="something else"):
        await build_store("sqlite", path).start()
    assert path.read_bytes() == before


async def test_a_call_wakes_the_event_loop_once_however_many_statements_it_has(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the processor is busy each time costs milliseconds, for all that stand in line."""
    store = build_store("sqlite", tmp_path / "state.sqlite3")
    await store.start()
    loop = asyncio.get_running_loop()
    wake, woken = loop.call_soon_threadsafe, []

    def counted(callback: Callable[..., object], *arguments: Any, **more: Any) -> asyncio.Handle:
        woken.append(callback)
        return wake(callback, *arguments, **more)

    monkeypatch.setattr(loop, "call_soon_threadsafe", counted)
    await store.save_session(SAVED, "h1", NOW, LATER)
    await store.take_session("h1", "owner", "model", NOW, exact=False)
    assert len(woken) == 2
    await store.aclose()


async def test_what_is_expired_is_swept_from_the_file(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    store = build_store("sqlite", path)
    await store.save_session(SAVED, "h1", NOW, NOW + 10)
    await store.put_token(TOKEN)
    await store.acquire_slot("o", "a", 1, NOW, NOW + 10)
    await store.add_usage("o", "calls", 1, NOW, NOW + 10)
    tables = ("sessions", "handles", "tokens", "places", "counters")
    assert [rows_in(path, table) for table in tables] == [1] * 5
    late = NOW + 100_000
    for _ in range(WRITES_PER_SWEEP):
        await store.claim_token("none", late, resuming=False)
    assert [rows_in(path, table) for table in tables] == [0] * 5
    await store.aclose()


async def test_the_file_and_its_folder_are_this_users_alone(tmp_path: Path) -> None:
    path = tmp_path / "new" / "state.sqlite3"
    store = build_store("sqlite", path)
    await store.save_session(SAVED, "h1", NOW, LATER)
    for each in (path.parent, *path.parent.iterdir()):
        assert each.stat().st_mode & 0o077 == 0, each
    await store.aclose()


async def test_a_place_where_no_file_can_be_is_a_mistake(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    for path in (tmp_path, file / "state.sqlite3"):
        with pytest.raises(ConfigError, match=r"store\.path"):
            await build_store("sqlite", path).start()


async def test_a_file_that_cannot_be_written_is_seen_without_a_session(tmp_path: Path) -> None:
    path = tmp_path / "state.sqlite3"
    store = build_store("sqlite", path)
    await store.start()
    with full_at(1000), pytest.raises(StoreError, match="cannot be used"):
        await store.ping()
    await store.ping()
    assert rows_in(path, "places") == 0
    await store.aclose()


async def test_a_redis_that_hangs_is_away_and_comes_back() -> None:
    with redis_server() as server:
        store = RedisStore(server.url, timeout_s=0.2)
        await store.start()
        await store.save_session(SAVED, "h1", NOW, LATER)
        server.hang()
        async with asyncio.timeout(STORE_TIMEOUT_S / 2):
            with pytest.raises(StoreError):
                await store.ping()
        server.go_on()
        assert await store.renew_sessions({SESSION: 1}, NOW, LATER) == {SESSION: 1}
        await store.aclose()


class Forgetful:
    """Stands before a server, and cuts a connection instead of bringing it the next answer."""

    def __init__(self, port: int) -> None:
        self._port = port
        self.forgets = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        from_server, to_server = await asyncio.open_connection("127.0.0.1", self._port)

        async def ask() -> None:
            while asked := await reader.read(65_536):
                to_server.write(asked)
            to_server.close()

        asking = asyncio.ensure_future(ask())
        while answer := await from_server.read(65_536):
            if self.forgets:
                self.forgets = False
                break
            writer.write(answer)
        asking.cancel()
        to_server.close()
        writer.close()


async def test_what_redis_was_asked_twice_for_a_lost_answer_counts_once() -> None:
    with redis_server() as server:
        between = Forgetful(server.port)
        async with await asyncio.start_server(between, "127.0.0.1", 0) as proxy:
            port = proxy.sockets[0].getsockname()[1]
            store = build_store("redis", url=f"redis://127.0.0.1:{port}/0")
            await store.start()
            await store.put_token(replace(TOKEN, uses=2))
            await store.claim_token(TOKEN.digest, NOW, resuming=False)
            await store.add_usage("o", "calls", 1, NOW, LATER)
            between.forgets = True
            claimed = await store.claim_token(TOKEN.digest, NOW, resuming=False)
            assert not between.forgets
            assert claimed == replace(TOKEN, uses=0), "its one use left, although asked for twice"
            between.forgets = True
            assert await store.add_usage("o", "calls", 1, NOW, LATER) == 2
            assert not between.forgets
            again = await store.claim_token(TOKEN.digest, NOW, resuming=False)
            assert again is Refusal.EXHAUSTED
            await store.aclose()


async def test_a_redis_that_may_not_be_written_is_an_outage() -> None:
    with redis_server("--replicaof", "127.0.0.1", "9") as server:
        store = build_store("redis", url=server.url)
        with pytest.raises(StoreError, match="ReadOnly"):
            await store.ping()
        with pytest.raises(StoreError, match="ReadOnly"):
            await store.save_session(SAVED, "h1", NOW, LATER)
        with pytest.raises(StoreError, match="ReadOnly"):
            await store.put_token(TOKEN)
        await store.aclose()


async def test_everything_but_keys_has_an_end_in_redis() -> None:
    from redis.asyncio import Redis

    with redis_server() as server:
        store = build_store("redis", url=server.url)
        await store.save_session(SAVED, "h1", NOW, LATER)
        await store.save_session(SAVED, "h2", NOW, LATER)
        await store.take_session("h1", "owner", "model", NOW, exact=False)
        await store.put_token(TOKEN)
        await store.acquire_slot("o", "a", 1, NOW, NOW + 10)
        await store.add_usage("o", "calls", 1, NOW, NOW + 10)
        await store.claim_token(TOKEN.digest, NOW, resuming=False)
        async with Redis.from_url(server.url) as plain:
            names = await plain.keys("*")
            assert len(names) == 9
            assert [name for name in names if await plain.ttl(name) < 0] == []
        await store.aclose()
