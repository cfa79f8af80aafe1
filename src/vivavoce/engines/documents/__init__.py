"""The user's own documents, found without any network: a full-text index in one SQLite file.

`store` is the file, `passages` how a text is cut, `builder` how a folder gets into the file,
`question` what is looked for, `search` what is found.
"""

from __future__ import annotations

from pathlib import Path

from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.tool_ports import SearchEngine
from vivavoce.errors import ConfigError, EngineMissing

ENGINE = "search.local"


async def create(settings: Settings, host: EngineHost) -> SearchEngine:
    """The engine `search.local`. Raises `ConfigError` and `EngineMissing`.

    `path` is the index file, `store.default_path()` if it is absent.
    """
    from vivavoce.engines.documents.search import LocalSearch

    return LocalSearch(_index_in(settings))


def _index_in(settings: Settings) -> Path:
    from vivavoce.engines.documents.store import (
        Version,
        default_path,
        require_full_text,
        version_of,
    )

    if faults := [f"`{key}` is not known" for key in settings if key != "path"]:
        raise ConfigError(f"The search `local` is set up wrongly: {'; '.join(faults)}.", _KNOWN)
    given = settings.get("path", "")
    if not isinstance(given, str | Path):
        raise ConfigError(f"The search `local` is set up wrongly: `path` is {given!r}.", _KNOWN)
    path = Path(given).expanduser() if given else default_path()
    require_full_text()
    fix = "Run `vivavoce index DIR`" + (f" --into {path}." if given else ".")
    match version_of(path):
        case Version.ABSENT:
            raise EngineMissing(ENGINE, "There is no index of documents.", fix)
        case Version.FOREIGN:
            raise ConfigError(f"{path} is no index of documents.", "Name another `path`.")
        case Version.OLD:
            lack = "The index of documents was made by another version."
            raise EngineMissing(ENGINE, lack, fix)
    return path


_KNOWN = 'Write search = "local", or { use = "local", path = "documents.sqlite3" }.'
