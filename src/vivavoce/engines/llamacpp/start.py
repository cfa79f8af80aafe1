"""Start of the embedded model: load it, see what its template can do, ask it one thing."""

from __future__ import annotations

import asyncio
import logging
import time

from vivavoce.engines.function_calling.model import FunctionCallingModel, add_function_calling
from vivavoce.engines.llamacpp import prompt
from vivavoce.engines.llamacpp.completion import LlamaCompletion
from vivavoce.engines.llamacpp.llama import Llama, LlamaOptions
from vivavoce.engines.llamacpp.model import LlamaCppModel
from vivavoce.engines.llamacpp.settings import LlamaCppSettings, model_file, router_folder
from vivavoce.engines.llamacpp.slots import SlotStates
from vivavoce.engines.llamacpp.weights import QWEN_LARGE, QWEN_SMALL
from vivavoce.engines.ports import EngineHost
from vivavoce.engines.workers import CancelToken
from vivavoce.errors import EngineMissing

log = logging.getLogger(__name__)


async def start(
    settings: LlamaCppSettings, host: EngineHost
) -> LlamaCppModel | FunctionCallingModel:
    """Load and check the model; wrap it unless it calls functions natively, or must not.

    Raises `EngineMissing`, `EngineError`.
    """
    path = model_file(settings, host)
    embedded = path.name in (*QWEN_SMALL.files, *QWEN_LARGE.files)
    options = LlamaOptions(
        path=path,
        context=settings.context,
        slots=settings.slots + 1,
        threads=settings.thread_count,
        template=settings.template,
        gpu_layers=settings.gpu_layers,
    )
    began = time.monotonic()
    llama = await asyncio.to_thread(Llama, options)
    try:
        states = SlotStates(llama, settings.cache_mib * 2**20)
        native = settings.tools and not embedded and await asyncio.to_thread(_knows_tools, llama)
        await asyncio.to_thread(_check, llama, path.name, time.monotonic() - began, embedded)
        host.say(f"Language model: {path.name}, in this process.")
        states.save(prompt.SPOKEN, 0)
        model = LlamaCppModel(llama, states, settings, native, embedded)
        if native or not settings.tools:
            return model
        folder = router_folder(settings, host)
        completion = LlamaCompletion(llama, states, settings.slots)
        judges = path.name in QWEN_LARGE.files if settings.judge is None else settings.judge
        return await asyncio.to_thread(
            add_function_calling, model, completion, folder, settings.threshold, judges
        )
    except EngineMissing as missing:  # MiniLM
        log.warning("no functions can be called", extra={"problem": missing.problem})
        return model
    except BaseException:
        await asyncio.to_thread(llama.close)
        raise


def _knows_tools(llama: Llama) -> bool:
    """Whether the template shows the model the functions it is given: many drop them silently."""
    name = "probe_of_the_template"
    probe = {"name": name, "parameters": {"type": "object", "properties": {}}}
    body = {
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"type": "function", "function": probe}],
    }
    return name in llama.render(body)


def _check(llama: Llama, name: str, loaded_s: float, embedded: bool) -> None:
    """Ask for the capital of France: a broken template or file is seen at once."""
    began = time.monotonic()
    messages = [
        {"role": "system", "content": prompt.SPOKEN},
        {"role": "user", "content": prompt.CHECK},
    ]
    body = {"messages": messages, "temperature": 0.0, "max_tokens": 24, "id_slot": 0}
    answer = llama.complete(body, CancelToken()).strip()
    check_s = round(time.monotonic() - began, 2)
    facts = {"model": name, "load_s": round(loaded_s, 2), "check_s": check_s, "answer": answer}
    if "paris" in answer.lower() or not embedded:
        log.info("language model is ready", extra=facts)
    else:
        log.warning("language model answers wrongly", extra=facts | {"asked": prompt.CHECK})
