"""The configuration: what may be set (`tables`, `tree`), and how it is read (`loading`)."""

from vivavoce.config.addresses import base_url, is_loopback
from vivavoce.config.loading import MODEL_KEY, find_file, load_config, model_choice
from vivavoce.config.tables import (
    DEFAULT_PORT,
    MIB,
    EngineChoice,
    LogTable,
    ProfileTable,
    QuotaTable,
    ServerTable,
    SessionTable,
    StoreTable,
    TlsTable,
    ToolsTable,
    split_words,
)
from vivavoce.config.tree import BUILTIN_PROFILES, EMBEDDED, SCRIPTED, Config

__all__ = [
    "BUILTIN_PROFILES",
    "DEFAULT_PORT",
    "EMBEDDED",
    "MIB",
    "MODEL_KEY",
    "SCRIPTED",
    "Config",
    "EngineChoice",
    "LogTable",
    "ProfileTable",
    "QuotaTable",
    "ServerTable",
    "SessionTable",
    "StoreTable",
    "TlsTable",
    "ToolsTable",
    "base_url",
    "find_file",
    "is_loopback",
    "load_config",
    "model_choice",
    "split_words",
]
