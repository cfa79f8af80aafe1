"""The embedded language model: a small GGUF in this process, with functions it can call."""

from __future__ import annotations

from vivavoce.engines.function_calling import MINILM
from vivavoce.engines.llamacpp.weights import QWEN_LARGE, QWEN_SMALL, SMOLLM2
from vivavoce.engines.ports import EngineHost, LanguageModel, Settings

WEIGHTS = (QWEN_SMALL, QWEN_LARGE, SMOLLM2, MINILM)


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Names of the weights that it loads under these settings."""
    names = [] if settings.get("path") else [SMOLLM2.name]
    if settings.get("tools", True) and not settings.get("router"):
        names.append(MINILM.name)
    return tuple(names)


async def create(settings: Settings, host: EngineHost) -> LanguageModel:
    """The engine `model.llamacpp`, loaded and checked: takes about two seconds.

    Raises `EngineMissing` without weights, `ConfigError` for bad settings.
    """
    from vivavoce.engines.llamacpp.settings import read_settings
    from vivavoce.engines.llamacpp.start import start

    return await start(read_settings(settings), host)
