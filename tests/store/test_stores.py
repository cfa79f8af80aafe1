"""The three stores, by one contract."""

from __future__ import annotations

import itertools
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from store.redis_server import RedisServer, redis_server
from vivavoce.store import build_store
from vivavoce.store.port import StateStore
from vivavoce.store.redis import RedisStore
from vivavoce.testing.store_contract import KEY, LATER, NOW, SAVED, StateStoreContract


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


IMAGE = bytes(range(256)) * 2048
KEPT = replace(SAVED, media={sha256(IMAGE).hexdigest(): IMAGE})


async def save_often(store: StateStore) -> None:
    """A conversation with an image in it, written down after each of eight turns."""
    for number in range(8):
        assert await store.save_session(
            replace(KEPT, data=b"%d" % number), f"h{number}", NOW, LATER
        )


class TestMemory(StateStoreContract):
    async def open(self) -> StateStore:
        return build_store("memory")


class TestSqlite(StateStoreContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "folder" / "state.sqlite3"

    async def open(self) -> StateStore:
        return build_store("sqlite", self.path)

    async def test_an_image_goes_to_the_disk_once(self) -> None:
        async with self.store() as store:
            await save_often(store)
            written = sum(file.stat().st_size for file in self.path.parent.iterdir())
            assert len(IMAGE) < written < 2 * len(IMAGE), "and so little that nothing was moved yet"

    async def test_a_file_without_media_is_taken_on(self) -> None:
        async with self.store() as store:
            await store.put_key(KEY)
        with closing(sqlite3.connect(self.path)) as file:
            file.executescript("DROP TABLE uses; DROP TABLE media; PRAGMA user_version = 1")
        async with self.store() as store:
            await save_often(store)
            assert await store.list_keys() == (KEY,)
            taken = await store.take_session("h7", "owner", "model", NOW, exact=False)
            assert taken == replace(KEPT, lease=2, data=b"7")


@pytest.mark.integration
class TestRedis(StateStoreContract):
    numbers = itertools.count()

    @pytest.fixture(autouse=True)
    def _server(self, redis: RedisServer) -> None:
        self.url, self.prefix = redis.url, f"test{next(self.numbers)}"

    async def open(self) -> StateStore:
        return build_store("redis", url=self.url, prefix=self.prefix)

    async def test_an_image_is_sent_once(self) -> None:
        async with self.store() as store:
            assert isinstance(store, RedisStore)
            before: Any = await store._redis.info("stats")
            await save_often(store)
            after: Any = await store._redis.info("stats")
            sent = after["total_net_input_bytes"] - before["total_net_input_bytes"]
            assert len(IMAGE) < sent < 2 * len(IMAGE)
