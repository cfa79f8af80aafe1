"""The embedded language model: a small GGUF in this process, with functions it can call."""

from __future__ import annotations

from vivavoce.engines.ports import EngineHost, LanguageModel, Settings


async def create(settings: Settings, host: EngineHost) -> LanguageModel:
    """The engine `model.llamacpp`, loaded and checked: takes about two seconds.

    Raises `EngineMissing` without weights, `ConfigError` for bad settings.
    """
    from vivavoce.engines.llamacpp.settings import read_settings
    from vivavoce.engines.llamacpp.start import start

    return await start(read_settings(settings), host)
