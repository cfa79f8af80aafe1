"""Speech recognition by Moonshine base (English) on onnxruntime."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivavoce.engines.moonshine.graphs import CONVERTED_FILES, SOURCE_FILES
from vivavoce.engines.ports import EngineHost, Settings
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


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Names of the weights that it loads under these settings."""
    return () if settings.get("path") else ("moonshine",)


async def create(settings: Settings, host: EngineHost) -> MoonshineRecognizer:
    """The recognizer, loaded.

    Settings: `path`, a folder of converted graphs in place of the fetched one; `workers`, the
    threads that all sessions share (0: half of the cores).
    """
    # Imported here, so that the declarations above cost no numpy.
    from vivavoce.engines.moonshine import recognizer

    path, workers = recognizer.checked(settings)
    return await recognizer.create(path or host.weights("moonshine"), workers)
