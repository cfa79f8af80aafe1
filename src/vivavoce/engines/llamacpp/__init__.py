"""A small language model in this process, as a GGUF file, through llama.cpp."""

from __future__ import annotations

from vivavoce.engines.function_calling import MINILM
from vivavoce.engines.llamacpp.settings import QWEN_LARGE, QWEN_SMALL, read_settings, select_model
from vivavoce.engines.ports import EngineHost, LanguageModel, Settings

WEIGHTS = (QWEN_SMALL, QWEN_LARGE, MINILM)


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Return the names of the weights that these settings need. Raises `ConfigError`."""
    chosen = read_settings(settings)
    names = [] if chosen.path else [select_model(chosen.model)]
    if chosen.tools and not chosen.router:
        names.append(MINILM.name)
    return tuple(names)


async def create(settings: Settings, host: EngineHost) -> LanguageModel:
    """Load and check the engine `model.llamacpp`: takes two to five seconds.

    Raises `EngineMissing` without weights, `ConfigError` for bad settings.
    """
    from vivavoce.engines.llamacpp.model import load_model

    return await load_model(read_settings(settings), host)
