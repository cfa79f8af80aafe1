"""Speech recognition by Moonshine base (English) on onnxruntime."""

from __future__ import annotations

from vivavoce.engines.ports import Settings
from vivavoce.engines.weights import Weights, Wheel

_PACKAGE = "moonshine_cpp-0.1.4.data/purelib/moonshine_cpp"
_FILES = ("encoder_model.ort", "decoder_model_merged.ort", "tokenizer.bin")

WEIGHTS = (
    Weights(
        name="moonshine",
        description="speech recognizer Moonshine base, English",
        version="0.1.4",
        license="MIT",
        origin="huggingface.co/UsefulSensors/moonshine (the wheel is its makers' own)",
        disk_bytes=272_005_157,
        wheels=(
            Wheel(
                distribution="moonshine-cpp",
                version="0.1.4",
                filename="moonshine_cpp-0.1.4-py3-none-manylinux2014_x86_64.whl",
                sha256="f7afc662bdd3ef98815ee3b940438b456e77d5a77cea5396ed9c572785412ebd",
                size_bytes=54_645_697,
                members=tuple(f"{_PACKAGE}/models/base-en/{name}" for name in _FILES),
            ),
        ),
        convert="vivavoce.engines.moonshine.graphs:convert",
        converted_files=("encoder.f32.onnx", "first.onnx", "step.onnx", "tokenizer.bin"),
    ),
)


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Names of the weights that it loads under these settings."""
    return () if settings.get("path") else ("moonshine",)
