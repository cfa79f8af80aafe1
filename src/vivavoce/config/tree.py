"""Everything an operator can decide, as one tree, and the profiles that always exist."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from vivavoce.config.tables import (
    LogTable,
    ProfileTable,
    ServerTable,
    SessionTable,
    StoreTable,
    ToolsTable,
)

EMBEDDED = "embedded"
SCRIPTED = "scripted"
BUILTIN_PROFILES: dict[str, dict[str, Any]] = {
    EMBEDDED: {
        "detector": "silero",
        "recognizer": "moonshine",
        "responder": {
            "use": "cascade",
            "model": {"use": "llamacpp"},
            "voice": {"use": "hibari", "otherwise": {"use": "espeak", "otherwise": "silence"}},
        },
    },
    SCRIPTED: {
        "detector": "energy",
        "recognizer": "tones",
        "responder": {
            "use": "cascade",
            "model": {"use": "echo"},
            "voice": {"use": "tones"},
        },
    },
}


class Config(BaseModel):
    """Everything an operator can decide.

    `profile` answers for every model name that `[models]` does not name; where `[models]` is
    given and `profile` is not, those are refused. `model` swaps the language model of the
    embedded profile in one line: `openai:URL#NAME`, `qwen-0.5b`, `qwen-1.5b`, the path of a GGUF
    file, or an engine's name.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    server: ServerTable = ServerTable()
    session: SessionTable = SessionTable()
    store: StoreTable = StoreTable()
    tools: ToolsTable = ToolsTable()
    log: LogTable = LogTable()
    profile: str = EMBEDDED
    model: str = ""
    profiles: dict[str, ProfileTable] = {}
    models: dict[str, str] = {}
    weights: dict[str, Path] = {}

    def profile_of(self, model: str) -> str | None:
        """The profile that answers for a model name's last segment; `None` refuses it."""
        return self.models.get(model) or self.models.get("*")
