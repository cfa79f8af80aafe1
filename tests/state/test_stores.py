"""The three stores, by one contract."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from state.redis_server import RedisServer, redis_server
from vivavoce.state.build import build_store
from vivavoce.state.port import StateStore
from vivavoce.testing.store_contract import StateStoreContract


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


class TestMemory(StateStoreContract):
    async def open(self) -> StateStore:
        return build_store("memory")


class TestSqlite(StateStoreContract):
    @pytest.fixture(autouse=True)
    def _file(self, tmp_path: Path) -> None:
        self.path = tmp_path / "folder" / "state.sqlite3"

    async def open(self) -> StateStore:
        return build_store("sqlite", self.path)


class TestRedis(StateStoreContract):
    numbers = itertools.count()

    @pytest.fixture(autouse=True)
    def _server(self, redis: RedisServer) -> None:
        self.url, self.prefix = redis.url, f"test{next(self.numbers)}"

    async def open(self) -> StateStore:
        return build_store("redis", url=self.url, prefix=self.prefix)
