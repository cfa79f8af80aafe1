"""Any language model behind an OpenAI-compatible chat endpoint."""

from __future__ import annotations

import asyncio

from vivavoce.engines.function_calling import MINILM
from vivavoce.engines.ports import EngineHost, LanguageModel, Settings

WEIGHTS = (MINILM,)


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Names of the weights that it loads under these settings."""
    return (MINILM.name,) if settings.get("tools") == "router" else ()


async def create(settings: Settings, host: EngineHost) -> LanguageModel:
    """The engine `model.openai`. Raises `ConfigError`, `EngineMissing`.

    An endpoint that does not answer is reported and no more: it may start later than we do.
    """
    from vivavoce.engines.openai.endpoint import describe_endpoint
    from vivavoce.engines.openai.model import OpenAIModel
    from vivavoce.engines.openai.settings import ROUTER, read_settings

    read = read_settings(settings)
    host.say(await describe_endpoint(read))
    model = OpenAIModel(read)
    if read.tools != ROUTER:
        return model

    from vivavoce.engines.function_calling.completion import GeneratedCompletion
    from vivavoce.engines.function_calling.model import add_function_calling

    completion = GeneratedCompletion(model, asyncio.get_running_loop())
    folder = host.weights(MINILM.name)
    return await asyncio.to_thread(add_function_calling, model, completion, folder)
