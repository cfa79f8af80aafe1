"""A server in a process of its own, and speech to talk to it with, for benchmarks."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
import wave
from collections.abc import Iterable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import numpy as np
import platformdirs
import soxr

from vivavoce.client.audio import read_wav
from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE
from vivavoce.engines.registry import EngineBuilder

START_S = 180
SYNTHESIZER = "hibari"
CACHE = Path(platformdirs.user_cache_dir("vivavoce")) / "benchmarks" / "speech"
"""Synthesized speech is kept here, by text and voice, so that runs are alike."""


@dataclass(frozen=True, slots=True)
class LiveServer:
    """A running server: where it is reached, its process, and the file of its log lines."""

    url: str
    process_id: int
    log: Path


@contextmanager
def run_server(
    log: Path,
    port: int,
    *,
    model: str = "",
    speculation: bool | None = None,
    settings: Mapping[str, str] | None = None,
) -> Iterator[LiveServer]:
    """A server with embedded engines on `port`, stopped at the end.

    `settings` are configuration keys in the environment's spelling, without their prefix.
    Raises `SystemExit` if it does not become ready.
    """
    chosen = {"LOG__FORMAT": "json", "LOG__LEVEL": "info", "SESSION__TURN_COMPLETE": "immediate"}
    if speculation is not None:
        chosen["SESSION__SPECULATION"] = str(speculation).lower()
    chosen |= settings or {}
    environment = os.environ | {f"VIVAVOCE_{key}": value for key, value in chosen.items()}
    command = [sys.executable, "-m", "vivavoce", "serve", "--port", str(port)]
    if model:
        command += ["--model", model]
    with log.open("wb") as file:
        process = subprocess.Popen(command, env=environment, stderr=file, stdout=file)
        try:
            wait_until_ready(process, port, log)
            yield LiveServer(f"http://127.0.0.1:{port}", process.pid, log)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    """Wait for the server's readiness. Raises `SystemExit` with the end of its log."""
    until = time.monotonic() + START_S
    while time.monotonic() < until and process.poll() is None:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=2) as answer:
                if answer.status == 200:
                    return
        except (URLError, OSError):
            pass
        time.sleep(0.25)
    raise SystemExit(f"The server did not become ready.\n{log.read_text('utf-8')[-2000:]}")


async def synthesize(texts: Iterable[str], voice: str = "Charon") -> list[bytes]:
    """Each text as 16 kHz PCM, spoken by the embedded voice or taken from the cache."""
    texts = list(texts)
    paths = [_cache_path(text, voice) for text in texts]
    missing = {path: text for path, text in zip(paths, texts, strict=True) if not path.exists()}
    if missing:
        CACHE.mkdir(parents=True, exist_ok=True)
        synthesizer = await EngineBuilder({}).build("synthesizer", {"use": SYNTHESIZER})
        try:
            for path, text in missing.items():
                _write_wav(path, await _speak(synthesizer, text, voice))
        finally:
            await synthesizer.aclose()
    return [read_wav(path) for path in paths]


def _cache_path(text: str, voice: str) -> Path:
    name = hashlib.sha256(f"{SYNTHESIZER}\n{voice}\n{text}".encode()).hexdigest()[:24]
    return CACHE / f"{name}.wav"


async def _speak(synthesizer: Any, text: str, voice: str) -> bytes:
    async with aclosing(synthesizer.speak(text, voice)) as pieces:
        pcm = b"".join([piece.pcm async for piece in pieces])
    sound = soxr.resample(np.frombuffer(pcm, "<i2"), OUTPUT_RATE, INPUT_RATE, "HQ")
    return bytes(np.asarray(sound, "<i2").tobytes())


def _write_wav(path: Path, pcm: bytes) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(INPUT_RATE)
        file.writeframes(pcm)
