"""Any language model behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

from vivavoce.engines.ports import EngineHost, LanguageModel, Settings


async def create(settings: Settings, host: EngineHost) -> LanguageModel:
    """The engine `model.openai`. Opens no connection yet. Raises `ConfigError`."""
    from vivavoce.engines.openai.model import OpenAIModel
    from vivavoce.engines.openai.settings import read_settings

    return OpenAIModel(read_settings(settings))
