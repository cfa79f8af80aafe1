"""Starting the embedded model: load it, see what its template can do, ask it one thing."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence

import structlog

from vivavoce.domain.content import Tools
from vivavoce.engines.function_calling.completion import Message
from vivavoce.engines.function_calling.planner import Planner
from vivavoce.engines.function_calling.quotations import Quoter
from vivavoce.engines.function_calling.router import Router
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.lanes import CancelToken
from vivavoce.engines.llamacpp import prompt
from vivavoce.engines.llamacpp.llama import ENGINE, Llama, LlamaOptions
from vivavoce.engines.llamacpp.model import SmolLM
from vivavoce.engines.llamacpp.settings import SmolLMSettings, model_file, router_folder
from vivavoce.engines.ports import EngineHost
from vivavoce.errors import EngineMissing

_log = structlog.get_logger(__name__)


class _Completion:
    """Short questions to the model, in a slot of their own that no conversation uses."""

    def __init__(self, llama: Llama, slot: int) -> None:
        self._llama = llama
        self._slot = slot

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        body = {
            "messages": [dict(message) for message in messages],
            "temperature": 0,
            "max_tokens": max_tokens,
            "id_slot": self._slot,
            "cache_prompt": True,
        }
        return self._llama.complete(body, cancel)

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        return {}


async def start(settings: SmolLMSettings, host: EngineHost) -> SmolLM:
    """Load the model, look at what it can do, and ask it one thing."""
    path = model_file(settings, host)
    small = not settings.path or "smollm2" in path.name.lower()
    options = LlamaOptions(
        path=path,
        context=settings.context,
        slots=settings.slots + 1,
        threads=settings.thread_count,
        cache_mib=settings.cache_mib,
        template=settings.template or (prompt.TEMPLATE if small else ""),
        gpu_layers=settings.gpu_layers,
    )
    began = time.monotonic()
    llama = await asyncio.to_thread(Llama, options)
    try:
        native = settings.tools and await asyncio.to_thread(_knows_tools, llama)
        functions = None if native or not settings.tools else _functions(llama, settings, host)
        await asyncio.to_thread(_check, llama, path.name, time.monotonic() - began, small)
        if functions is not None:
            # The asides' prompt is the same for everybody: read here, it delays nobody's turn.
            await asyncio.to_thread(functions.prepare, Tools(), CancelToken())
    except BaseException:
        await asyncio.to_thread(llama.close)
        raise
    return SmolLM(llama, settings, functions, native, small)


def _functions(llama: Llama, settings: SmolLMSettings, host: EngineHost) -> Planner | None:
    try:
        folder = router_folder(settings, host)
    except EngineMissing as missing:
        _log.warning("no_functions", engine=ENGINE, problem=missing.problem)
        return None
    network = MiniLM(folder)
    router = Router(network, settings.threshold)
    return Planner(_Completion(llama, settings.slots), router, Quoter(network))


def _knows_tools(llama: Llama) -> bool:
    """Whether the template shows the model the functions it is given: many drop them silently."""
    name = "probe_of_the_template"
    probe = {"name": name, "parameters": {"type": "object", "properties": {}}}
    body = {
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"type": "function", "function": probe}],
    }
    return name in llama.render(body)


def _check(llama: Llama, name: str, loaded_s: float, small: bool) -> None:
    """Ask for the capital of France: a broken template or file is seen at once."""
    began = time.monotonic()
    messages = [*prompt.opening(prompt.VOICE), {"role": "user", "content": prompt.CHECK}]
    body = {"messages": messages, "temperature": 0.0, "max_tokens": 24, "id_slot": 0}
    answer = llama.complete(body, CancelToken()).strip()
    facts = {"engine": ENGINE, "model": name, "load_s": round(loaded_s, 2)}
    facts["check_s"] = round(time.monotonic() - began, 2)
    if "paris" in answer.lower() or not small:
        _log.info("language_model_ready", **facts, answer=answer)
    else:
        _log.warning("language_model_doubtful", **facts, asked=prompt.CHECK, answer=answer)
