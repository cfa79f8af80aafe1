"""Settings of `model.llamacpp`, checked as a whole, and the files that they lead to."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from vivavoce.engines.function_calling.router import THRESHOLD
from vivavoce.engines.llamacpp.llama import ENGINE
from vivavoce.engines.ports import EngineHost
from vivavoce.errors import ConfigError, EngineMissing


@dataclass(frozen=True, slots=True)
class SmolLMSettings:
    """Which model, and how much of the machine it may use.

    `path` names a GGUF file of your own; without it the fetched SmolLM2 is used. `context`
    counts tokens for each of `slots` conversations that keep what they have read; more
    conversations than slots share them. `threads` 0 means one core fewer than there are: two
    that fight for the last core are slower than one. `max_tokens` bounds an answer. `greedy`
    None means that SmolLM2 always takes the likeliest word, and other models what the
    client asks for. `router` is a folder with MiniLM; `tools` off never calls a function.
    """

    path: str = ""
    context: int = 2048
    slots: int = 4
    threads: int = 0
    cache_mib: int = 128
    max_tokens: int = 120
    greedy: bool | None = None
    gpu_layers: int = 0
    template: str = ""
    tools: bool = True
    router: str = ""
    threshold: float = THRESHOLD

    @property
    def thread_count(self) -> int:
        """Threads for the model: all cores but one."""
        if self.threads:
            return self.threads
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity else os.cpu_count() or 1
        return max(1, cores - 1)


_KINDS: dict[str, tuple[type, ...]] = {
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
}
_LEAST = {"context": 512, "slots": 1, "max_tokens": 8, "threads": 0, "cache_mib": 0}


def read_settings(table: Mapping[str, Any]) -> SmolLMSettings:
    """The settings in a configuration table. Raises `ConfigError` naming every fault."""
    faults = [f"`{key}` is not known" for key in table if key not in _KINDS]
    for key, value in table.items():
        allowed = _KINDS.get(key, (object,))
        if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
            faults.append(f"`{key}` can't be {value!r}")
        elif isinstance(value, int) and value < _LEAST.get(key, value):
            faults.append(f"`{key}` must be at least {_LEAST[key]}")
    if faults:
        raise ConfigError(
            f"The language model `smollm` is set up wrongly: {'; '.join(faults)}.",
            f"Known settings are {', '.join(sorted(_KINDS))}.",
        )
    plain: dict[str, Any] = {
        key: str(value) if isinstance(value, Path) else value for key, value in table.items()
    }
    return SmolLMSettings(**plain)


def model_file(settings: SmolLMSettings, host: EngineHost) -> Path:
    """The GGUF file. Raises `EngineMissing` when there is none."""
    if settings.path:
        return Path(settings.path).expanduser()
    folder = host.weights("smollm2")
    found = sorted(folder.rglob("*.gguf"))
    if not found:
        raise EngineMissing(
            ENGINE, f"there is no model in {folder}.", "Run `vivavoce pull` to fetch it again."
        )
    return found[0]


def router_folder(settings: SmolLMSettings, host: EngineHost) -> Path:
    """The folder with MiniLM's files. Raises `EngineMissing` when it isn't there."""
    folder = Path(settings.router).expanduser() if settings.router else host.weights("minilm")
    found = sorted(folder.rglob("model.safetensors"))
    if not found or not (found[0].parent / "vocab.txt").is_file():
        raise EngineMissing(
            ENGINE, f"MiniLM is not in {folder}.", "Run `vivavoce pull` to fetch it."
        )
    return found[0].parent
