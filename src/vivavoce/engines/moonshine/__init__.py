"""Speech recognition by Moonshine base (English) on onnxruntime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from pydantic import Field

from vivavoce.engines.moonshine.graphs import CONVERTED_FILES, ENGINE, SOURCE_FILES
from vivavoce.engines.ports import EngineHost, Settings
from vivavoce.engines.settings import ExistingFolder, read_settings
from vivavoce.engines.weights import Weights, Wheel

if TYPE_CHECKING:
    from vivavoce.engines.moonshine.recognizer import MoonshineRecognizer

_PACKAGE = "moonshine_cpp-0.1.4.data/purelib/moonshine_cpp"

WEIGHTS = (
    Weights(
        name="moonshine",
        description="speech recognizer Moonshine base, English",
        version="0.1.4",
        license="MIT",
        origin="huggingface.co/UsefulSensors/moonshine (the wheel is its makers' own)",
        disk_bytes=217_230_755,
        wheels=(
            Wheel(
                distribution="moonshine-cpp",
                version="0.1.4",
                filename="moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl",
                sha256="f7afc662bdd3ef98815ee3b940438b456e77d5a77cea5396ed9c572785412ebd",
                size_bytes=54_645_697,
                members=tuple(f"{_PACKAGE}/models/base-en/{name}" for name in SOURCE_FILES),
            ),
        ),
        convert="vivavoce.engines.moonshine.graphs:convert",
        converted_files=CONVERTED_FILES,
    ),
)


@dataclass(frozen=True, slots=True)
class MoonshineSettings:
    """`path` is a folder of converted graphs in place of the fetched one.

    `workers` are the threads that all sessions share; 0 for half of the cores.
    """

    path: ExistingFolder | None = None
    workers: Annotated[int, Field(ge=0)] = 0


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Names of the weights that it loads under these settings."""
    return () if settings.get("path") else ("moonshine",)


async def create(settings: Settings, host: EngineHost) -> MoonshineRecognizer:
    """Build and load the recognizer. Raises `ConfigError`, `EngineMissing`, `EngineError`."""
    # Imported here, so that the declarations above cost no numpy.
    from vivavoce.engines.moonshine import recognizer

    read = read_settings(ENGINE, settings, MoonshineSettings)
    return await recognizer.create(read.path or host.weights("moonshine"), read.workers)
