"""From settings to a store that has not been started."""

from __future__ import annotations

from pathlib import Path

import platformdirs

from vivavoce.store.memory import MemoryStore
from vivavoce.store.port import StateStore


def default_path() -> Path:
    """The file of a user who names none."""
    return Path(platformdirs.user_state_dir("vivavoce")) / "state.sqlite3"


def build_store(
    use: str, path: Path | None = None, url: str = "", prefix: str = "vivavoce"
) -> StateStore:
    """The store called `use`: `memory`, `sqlite` or `redis`. Raises `ConfigError`.

    A library is imported only for the store that needs it.
    """
    if use == "redis":
        from vivavoce.store.redis import RedisStore

        return RedisStore(url, prefix)
    if use == "memory":
        return MemoryStore()
    from vivavoce.store.sqlite import SqliteStore

    return SqliteStore((path or default_path()).expanduser())
