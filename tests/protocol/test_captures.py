"""Frames recorded from real clients, where the recordings are at hand.

They are looked for in the folder that VIVAVOCE_SHARED names, or beside the repository.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioStreamEnded,
    ContentReceived,
    ContextUpdated,
    TextReceived,
    ToolResponsesReceived,
)
from vivavoce.domain.audio import AudioChunk, VideoFrame
from vivavoce.errors import ClientFault
from vivavoce.protocol.dialect import GeminiDialect
from vivavoce.protocol.paths import parse_live_path

SHARED = Path(os.environ.get("VIVAVOCE_SHARED") or Path(__file__).parents[3] / "shared")
RECORDINGS = sorted(SHARED.glob("captures/*/*.jsonl"))
CUT = re.compile(r"\.\.\.<\d+ chars>$")

pytestmark = pytest.mark.skipif(not RECORDINGS, reason=f"no recordings under {SHARED}/captures")

EXPECTED: dict[str, type | tuple[type, ...]] = {
    "clientContent": ContentReceived,
    "toolResponse": ToolResponsesReceived,
    "contextUpdate": ContextUpdated,
    "audio": AudioChunk,
    "video": VideoFrame,
    "mediaChunks": (AudioChunk, VideoFrame),
    "text": TextReceived,
    "activityStart": ActivityStarted,
    "activityEnd": ActivityEnded,
    "audioStreamEnd": AudioStreamEnded,
}


def mended(value: Any) -> Any:
    """Long strings were cut when they were recorded; base64 keeps whole groups of four."""
    if isinstance(value, str):
        return value[:40] if CUT.search(value) else value
    if isinstance(value, list):
        return [mended(item) for item in value]
    if isinstance(value, dict):
        return {key: mended(item) for key, item in value.items()}
    return value


def lines(recording: Path) -> Iterator[dict[str, Any]]:
    with recording.open() as file:
        yield from (json.loads(line) for line in file)


def frames(recording: Path) -> Iterator[tuple[str, dict[str, Any]]]:
    for line in lines(recording):
        if "c2s" in (line.get("dir"), line.get("ev")):
            frame = line["raw"] if "raw" in line else json.dumps(mended(line["frame"]))
            yield frame, json.loads(frame)


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.title() for word in rest)


def kinds(payload: dict[str, Any]) -> list[str]:
    [(key, fields)] = payload.items()
    return [camel(name) for name in fields] if camel(key) == "realtimeInput" else [camel(key)]


def recorded(path: Path) -> str:
    return f"{path.parent.name}/{path.stem}"


def served(setup: dict[str, Any], *, strict: bool, enterprise: bool = False) -> dict[str, Any]:
    """The setup without the fields that a reader refuses because they are not served here."""
    for _ in range(20):
        try:
            GeminiDialect(strict=strict, enterprise=enterprise).read_setup(json.dumps(setup))
        except ClientFault as fault:
            if "not served here" not in fault.reason:
                raise
            named = re.search(r"'setup\.([\w.]+)'", fault.reason)
            path = named[1] if named else "generation_config.translation_config"
            setup = without(setup, "setup", *path.split("."))
        else:
            break
    return setup


def without(value: Any, *path: str) -> Any:
    """The JSON without what stands at a path in proto names, in every item of a list."""
    if isinstance(value, list):
        return [without(item, *path) for item in value]
    name, *rest = path
    return {
        key: without(item, *rest) if rest and camel(key) == camel(name) else item
        for key, item in value.items()
        if rest or camel(key) != camel(name)
    }


@pytest.mark.parametrize("recording", RECORDINGS, ids=recorded)
def test_every_frame_of_a_recording_means_what_it_says(recording: Path) -> None:
    unknown: list[tuple[str, str]] = []
    for frame, payload in frames(recording):
        dialect = GeminiDialect(on_unknown=lambda *where: unknown.append(where))
        if "setup" in payload:
            frame = json.dumps(served(payload, strict=False))
            setup = dialect.read_setup(frame)
            assert setup.model == payload["setup"]["model"]
            declared = [
                function["name"]
                for tool in payload["setup"].get("tools", [])
                for function in tool.get("functionDeclarations", [])
            ]
            assert [function.name for function in setup.tools.functions] == declared
            continue
        incoming = dialect.decode(frame)
        wanted = kinds(payload)
        assert len(incoming) == len(wanted), frame[:200]
        for kind in wanted:
            assert any(isinstance(one, EXPECTED[kind]) for one in incoming), frame[:200]
    assert unknown == []


@pytest.mark.parametrize("recording", RECORDINGS, ids=recorded)
def test_every_path_of_a_recording_is_a_live_path(recording: Path) -> None:
    for line in lines(recording):
        path = line.get("path", "")
        if line.get("dir", line.get("ev")) in ("open", "upgrade") and "/ws/" in path:
            found = parse_live_path(path)
            assert found is not None, path
            assert found.enterprise == ("LlmBidiService" in path)
            assert found.method.endswith("Constrained") == path.endswith("Constrained")


@pytest.mark.parametrize("recording", RECORDINGS, ids=recorded)
def test_a_strict_reader_takes_what_the_sdks_send(recording: Path) -> None:
    """The real service took these frames; only the lone modality of pipecat-js is our kindness.

    What is not served here is left out, as the sentence of the refusal says.
    """
    for frame, payload in frames(recording):
        if "setup" in payload:
            if recording.parent.name == "pipecat-js":
                continue
            enterprise = "projects/" in frame or "vertex" in recording.stem
            frame = json.dumps(served(payload, strict=True, enterprise=enterprise))
            assert GeminiDialect(strict=True, enterprise=enterprise).read_setup(frame).model
            continue
        dialect = GeminiDialect(strict=True)
        manual = any(mark in frame for mark in ("activityStart", "activityEnd"))
        detection = {"automaticActivityDetection": {"disabled": manual}}
        setup = {"setup": {"model": "m", "realtimeInputConfig": detection}}
        dialect.read_setup(json.dumps(setup))
        assert dialect.decode(frame)
