"""Seeds made of frames that real clients sent, and the words that mean something to a reader."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from fuzz.mutation import MAX_BYTES
from vivavoce.protocol.base import Wire, spellings
from vivavoce.protocol.decode import ClientMessage

TESTS = Path(__file__).parents[1]
FRAMES = TESTS / "protocol" / "client_frames.jsonl"
SHARED = Path(os.environ.get("VIVAVOCE_SHARED") or TESTS.parents[1] / "shared")
"""Further recordings of real clients, where they are at hand."""

Json = dict[str, Any]


@cache
def client_frames() -> tuple[Json, ...]:
    """Recorded messages of clients, one of each shape."""
    shapes = {str(_shape(frame)): frame for frame in _recorded()}
    small = (frame for frame in shapes.values() if len(json.dumps(frame)) <= MAX_BYTES)
    return tuple(small)


def setups() -> list[Json]:
    """The setups among them, without their envelope."""
    return [frame["setup"] for frame in client_frames() if isinstance(frame.get("setup"), dict)]


def small_setups() -> list[Json]:
    """Setups with one field of the recorded ones each."""
    fields = {json.dumps({name: value}) for setup in setups() for name, value in setup.items()}
    return [{"model": "models/m", **json.loads(field)} for field in sorted(fields)]


def dumped(values: Iterator[Any] | list[Any] | tuple[Any, ...]) -> list[bytes]:
    """Values as JSON."""
    return [json.dumps(value).encode() for value in values]


@cache
def every_name(model: type[Wire] = ClientMessage) -> frozenset[str]:
    """Every spelling of every field of a model and of the models in it."""
    names = set(spellings(model))
    for field in model.model_fields.values():
        for inner in models_in(field.annotation):
            names |= every_name(inner)
    return frozenset(names)


VALUES: tuple[Any, ...] = (
    "AUDIO", "TEXT", "MODALITY_AUDIO", "audio/pcm", "audio/pcm;rate=16000", "image/jpeg", "AAAA",
    "AA-_", "A", "1.5s", "OBJECT", "STRING", "string", "user", "model", "system", "NON_BLOCKING",
    "INTERRUPT", "SILENT", "WHEN_IDLE", "START_SENSITIVITY_LOW", "NO_INTERRUPTION", "ANY", "NONE",
    "Kore", "en-US", "models/gemini-2.5-flash-native-audio-preview-12-2025",
    "models/gemini-3.8-live", "2030-01-01T00:00:00Z", "2030-01-01T00:00:00.123456789+02:00",
    {"parts": [{"text": "hi"}]}, {"mimeType": "audio/pcm", "data": "AAAA"}, {"googleSearch": {}},
    {"functionDeclarations": [{"name": "f", "parameters": {"type": "OBJECT"}}]},
)  # fmt: skip
"""Values that fields of the wire can have."""


def _recorded() -> Iterator[Json]:
    for line in FRAMES.read_text().splitlines():
        yield json.loads(line)["frame"]
    for recording in sorted(SHARED.glob("captures/*/*.jsonl")):
        for line in recording.read_text().splitlines():
            entry = json.loads(line)
            if "c2s" in (entry.get("dir"), entry.get("ev")):
                frame = json.loads(entry["raw"]) if "raw" in entry else entry["frame"]
                if isinstance(frame, dict):
                    yield _short(frame)


def _short(value: Any) -> Any:
    """The same with its long strings cut; base64 keeps whole groups of four."""
    if isinstance(value, str):
        return value if len(value) <= 200 else value[:40]
    if isinstance(value, list):
        return [_short(item) for item in value]
    if isinstance(value, dict):
        return {key: _short(item) for key, item in value.items()}
    return value


def _shape(value: Any) -> Any:
    if isinstance(value, list):
        return [_shape(item) for item in value[:2]]
    if isinstance(value, dict):
        return {key: _shape(item) for key, item in value.items()}
    return type(value).__name__


def models_in(annotation: Any) -> list[type[Wire]]:
    """The wire models that the annotation of a field names."""
    if isinstance(annotation, type) and issubclass(annotation, Wire):
        return [annotation]
    return [model for part in getattr(annotation, "__args__", ()) for model in models_in(part)]
