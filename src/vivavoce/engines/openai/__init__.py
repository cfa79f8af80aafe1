"""Any language model behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

from vivavoce.engines.ports import EngineHost, LanguageModel, Settings


async def create(settings: Settings, host: EngineHost) -> LanguageModel:
    """The engine `model.openai`. Raises `ConfigError`.

    An endpoint that does not answer is said and no more: it may start later than we do.
    """
    from vivavoce.engines.openai.model import OpenAIModel
    from vivavoce.engines.openai.reach import unreachable
    from vivavoce.engines.openai.settings import read_settings

    read = read_settings(settings)
    if problem := await unreachable(read):
        host.say(problem)
    return OpenAIModel(read)
