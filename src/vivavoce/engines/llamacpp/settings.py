"""Settings of `model.llamacpp`, validated as a whole, and the files that they select."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivavoce.engines.function_calling.router import THRESHOLD
from vivavoce.engines.llamacpp.machine import usable_cores, usable_memory
from vivavoce.engines.llamacpp.weights import QWEN_LARGE, QWEN_SMALL
from vivavoce.engines.ports import EngineHost
from vivavoce.errors import ConfigError, EngineMissing

log = logging.getLogger(__name__)

AUTO = "auto"
MODELS = (QWEN_SMALL.name, QWEN_LARGE.name)
LARGE_CORES = 4
LARGE_MEMORY = 6 * 2**30
"""Bytes of memory from which on `auto` takes the larger model, which needs 1.9 GiB itself."""

_MOST_THREADS = 4


@dataclass(frozen=True, slots=True)
class LlamaCppSettings:
    """Which model, and how much of the machine it may use.

    `model` is `auto` or one of `MODELS`; `path` names any GGUF file instead. `context` counts
    tokens for each of `slots` conversations kept in memory; further ones are kept in files of at
    most `cache_mib`. `threads` 0 means two on two cores, else one less than there are, at most
    four. `max_tokens` bounds a spoken answer. `greedy` None means that the models in `MODELS`
    always take the likeliest token, and others follow the client's sampling parameters.
    `router` is a folder with MiniLM; `tools = false` never calls a function. `judge` lets the model
    help the router to choose; None means that only Qwen2.5-Coder 1.5B does.
    """

    model: str = AUTO
    path: str = ""
    context: int = 4096
    slots: int = 4
    threads: int = 0
    cache_mib: int = 256
    max_tokens: int = 120
    greedy: bool | None = None
    gpu_layers: int = 0
    template: str = ""
    tools: bool = True
    router: str = ""
    threshold: float = THRESHOLD
    judge: bool | None = None

    @property
    def thread_count(self) -> int:
        """Threads that compute one batch."""
        cores = usable_cores()
        return self.threads or min(max(min(cores, 2), cores - 1), _MOST_THREADS)


_KINDS: dict[str, tuple[type, ...]] = {
    "model": (str,),
    "path": (str, Path),
    "context": (int,),
    "slots": (int,),
    "threads": (int,),
    "cache_mib": (int,),
    "max_tokens": (int,),
    "greedy": (bool,),
    "gpu_layers": (int,),
    "template": (str,),
    "tools": (bool,),
    "router": (str, Path),
    "threshold": (int, float),
    "judge": (bool,),
}
_LEAST = {"context": 512, "slots": 1, "max_tokens": 8, "threads": 0, "cache_mib": 0}


def read_settings(table: Mapping[str, Any]) -> LlamaCppSettings:
    """Validate the engine's table of the configuration.

    Raises `ConfigError` that names every fault.
    """
    faults = [f"`{key}` is not known" for key in table if key not in _KINDS]
    for key, value in table.items():
        allowed = _KINDS.get(key, (object,))
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            faults.append(f"`{key}` can't be {value!r}")
        elif isinstance(value, int) and value < _LEAST.get(key, value):
            faults.append(f"`{key}` must be at least {_LEAST[key]}")
        elif key == "model" and str(value).lower() not in (AUTO, *MODELS):
            faults.append(f"`model` can't be {value!r}, only {AUTO}, {' or '.join(MODELS)}")
    if faults:
        raise ConfigError(
            f"The language model `llamacpp` has wrong settings: {'; '.join(faults)}.",
            f"Known settings are {', '.join(sorted(_KINDS))}; a file of your own is a `path`.",
        )
    plain: dict[str, Any] = {
        key: str(value) if isinstance(value, Path) else value for key, value in table.items()
    }
    return LlamaCppSettings(**plain)


def select_model(choice: str) -> str:
    """The name of the weights for `model = choice`; for `auto`, by cores and memory."""
    if choice.lower() in MODELS:
        return choice.lower()
    large = usable_cores() >= LARGE_CORES and usable_memory() >= LARGE_MEMORY
    return MODELS[1] if large else MODELS[0]


def model_file(settings: LlamaCppSettings, host: EngineHost) -> Path:
    """The GGUF file. Raises `EngineMissing` when there is none.

    With `auto`, the smaller model serves where only that one was fetched.
    """
    if settings.path:
        return Path(settings.path).expanduser()
    name = select_model(settings.model)
    try:
        return _gguf(host, name)
    except EngineMissing:
        if settings.model.lower() != AUTO or name == MODELS[0]:
            raise
        with suppress(EngineMissing):
            found = _gguf(host, MODELS[0])
            log.info("smaller model is used", extra={"fix": f"Run `vivavoce pull {name}`."})
            return found
        raise


def _gguf(host: EngineHost, name: str) -> Path:
    weights = QWEN_SMALL if name == MODELS[0] else QWEN_LARGE
    return host.weights(weights.name) / weights.files[0]


def router_folder(settings: LlamaCppSettings, host: EngineHost) -> Path:
    """The folder with MiniLM's files. Raises `EngineMissing` when it was not fetched."""
    return Path(settings.router).expanduser() if settings.router else host.weights("minilm")
