"""Settings of `model.llamacpp`, validated as a whole, and the files that they select."""

from __future__ import annotations

import logging
import math
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field

from vivavoce.engines import settings
from vivavoce.engines.function_calling.router import THRESHOLD
from vivavoce.engines.llamacpp.weights import QWEN_LARGE, QWEN_SMALL
from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.settings import PathText
from vivavoce.errors import EngineMissing

log = logging.getLogger(__name__)

ENGINE = "model.llamacpp"

AUTO = "auto"
MODELS = (QWEN_SMALL.name, QWEN_LARGE.name)
LARGE_CORES = 4
LARGE_MEMORY = 6 * 2**30
"""Bytes of memory from which on `auto` takes the larger model, which needs 1.9 GiB itself."""

_MOST_THREADS = 4


def _known_model(name: str) -> str:
    if name.lower() not in (AUTO, *MODELS):
        raise ValueError(f"should be {AUTO}, {' or '.join(MODELS)}; a file of your own is a `path`")
    return name.lower()


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

    model: Annotated[str, AfterValidator(_known_model)] = AUTO
    path: PathText = ""
    context: Annotated[int, Field(ge=512)] = 4096
    slots: Annotated[int, Field(ge=1)] = 4
    threads: Annotated[int, Field(ge=0)] = 0
    cache_mib: Annotated[int, Field(ge=0)] = 256
    max_tokens: Annotated[int, Field(ge=8)] = 120
    greedy: bool | None = None
    gpu_layers: int = 0
    template: str = ""
    tools: bool = True
    router: PathText = ""
    threshold: float = THRESHOLD
    judge: bool | None = None

    @property
    def thread_count(self) -> int:
        """Threads that compute one batch."""
        cores = usable_cores()
        return self.threads or min(max(min(cores, 2), cores - 1), _MOST_THREADS)


def read_settings(table: Settings) -> LlamaCppSettings:
    """Return the settings in the engine's table. Raises `ConfigError` naming every fault."""
    return settings.read_settings(ENGINE, table, LlamaCppSettings)


def select_model(choice: str) -> str:
    """The name of the weights for `model = choice`; for `auto`, by cores and memory."""
    if choice in MODELS:
        return choice
    large = usable_cores() >= LARGE_CORES and usable_memory() >= LARGE_MEMORY
    return MODELS[1] if large else MODELS[0]


def model_file(chosen: LlamaCppSettings, host: EngineHost) -> Path:
    """The GGUF file. Raises `EngineMissing` when there is none.

    With `auto`, the smaller model serves where only that one was fetched.
    """
    if chosen.path:
        return Path(chosen.path).expanduser()
    name = select_model(chosen.model)
    try:
        return _gguf(host, name)
    except EngineMissing:
        if chosen.model != AUTO or name == MODELS[0]:
            raise
        with suppress(EngineMissing):
            found = _gguf(host, MODELS[0])
            log.info("smaller model is used", extra={"fix": f"Run `vivavoce pull {name}`."})
            return found
        raise


def _gguf(host: EngineHost, name: str) -> Path:
    weights = QWEN_SMALL if name == MODELS[0] else QWEN_LARGE
    return host.weights(weights.name) / weights.files[0]


def router_folder(chosen: LlamaCppSettings, host: EngineHost) -> Path:
    """The folder with MiniLM's files. Raises `EngineMissing` when it was not fetched."""
    return Path(chosen.router).expanduser() if chosen.router else host.weights("minilm")


# --- this machine ------------------------------------------------------------------------

CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Cores in the process's affinity mask, fewer where a control group limits CPU time."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def usable_memory(cgroup: Path = CGROUP) -> int:
    """Bytes of memory: all that the machine has, or what a control group allows.

    Not what is free at the moment: the choice of a model must not change from start to start.
    """
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (ValueError, OSError, AttributeError):  # no such name on this platform
        return 0
    limits = (_read(cgroup / name) for name in ("memory.max", "memory/memory.limit_in_bytes"))
    return min([memory, *(int(limit) for limit in limits if limit.isdigit())])


def _read(path: Path) -> str:
    try:
        return path.read_text().strip()
    except OSError:
        return ""
