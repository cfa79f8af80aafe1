"""State store: sessions, ephemeral tokens, keys and quotas, in memory, SQLite or Redis."""

from __future__ import annotations

from pathlib import Path

from vivavoce.store.port import StateStore


def build_store(
    use: str, path: Path | None = None, url: str = "", prefix: str = "vivavoce"
) -> StateStore:
    """Build the store called `use`: `memory`, `sqlite` or `redis`. Raises `ConfigError`.

    It is not started. A library is imported only for the store that needs it; `path` is the
    user's own state file unless it is given.
    """
    if use == "redis":
        from vivavoce.store.redis import RedisStore

        return RedisStore(url, prefix)
    if use == "memory":
        from vivavoce.store.memory import MemoryStore

        return MemoryStore()
    import platformdirs

    from vivavoce.store.sqlite import SqliteStore

    path = path or Path(platformdirs.user_state_dir("vivavoce")) / "state.sqlite3"
    return SqliteStore(path.expanduser())
