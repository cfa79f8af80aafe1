"""The further voices of hibari's author: one model each, on the publisher's hub only.

They are optional and never fetched unasked; after `vivavoce pull hibari-kore`, Kore speaks with
her own model. Sizes and hashes are those of the package's `voices.json`, version 0.2.1.
"""

from __future__ import annotations

from vivavoce.engines.weights import PublishedFile, Weights

_HUB = "https://huggingface.co/maureesewilliams/hibari/resolve/main/voices/"


def _voice(name: str, description: str, file: str, size_bytes: int, sha256: str) -> Weights:
    return Weights(
        name=f"hibari-{name}",
        description=f"further voice of hibari, {description}",
        version="0.2.1",
        license="Apache-2.0",
        origin="huggingface.co/maureesewilliams/hibari",
        wheels=(),
        disk_bytes=size_bytes + 20_000,
        license_text="Apache-2.0",
        joined=PublishedFile(file, sha256, size_bytes, _HUB + file),
    )


WEIGHTS = (
    _voice(
        "kore", "an American woman, for Kore", "af_kore.int8.onnx", 7_936_868,
        "346885752673e45d42f9864c9e2432094bc4b6385df060d4b83273da764d2fa9",
    ),
    _voice(
        "fenrir", "an American man, for Fenrir", "am_fenrir_v2.int8.onnx", 8_031_158,
        "f59fbd87908c91f827bc21b1b89443757b9a8580db9eee20aa948deb731321f4",
    ),
    _voice(
        "emma", "a British woman, for Erinome", "bf_emma.int8.onnx", 7_936_868,
        "f709f0488ee63b583a22189a955aaf4257b9806dd330be3490661e53af0a89c1",
    ),
    _voice(
        "fable", "a British man, for Iapetus", "bm_fable.int8.onnx", 7_936_868,
        "c28529302f2d27cd12f62625c24425888c4e3c2675583100ec530259136b8bc6",
    ),
)  # fmt: skip

FURTHER_VOICES = {
    "Kore": "hibari-kore",
    "Fenrir": "hibari-fenrir",
    "Erinome": "hibari-emma",
    "Iapetus": "hibari-fable",
}
"""The Live API voices that a further voice speaks for where it is present, by its weights."""


def model_file(weights: str) -> str:
    """The name of the one file of `weights`."""
    return next(each.files[0] for each in WEIGHTS if each.name == weights)
