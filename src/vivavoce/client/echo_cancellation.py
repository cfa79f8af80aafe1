"""Keep the loudspeaker's sound out of the microphone's: echo cancellation, gate or half duplex."""

from __future__ import annotations

import importlib
import time
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np

from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, OUTPUT_RATE, pcm_seconds
from vivavoce.errors import ConfigError
from vivavoce.install_hints import install_command

MODES = ("auto", "cancel", "half-duplex", "gate", "off")
ECHO_TAIL_S = 0.3
"""How long sound card and room go on sounding after the last sample was given to the device."""
GATE_RMS = 0.08
"""Loudness (root mean square, of 1) from which the gate lets a voice pass while an answer plays."""


class EchoGuard(Protocol):
    """Filters the microphone by what the loudspeaker plays."""

    description: str
    """One sentence for the user on what is done."""

    def add_playback(self, pcm: bytes) -> None:
        """Note 24 kHz audio, silence included, that goes to the loudspeaker now."""
        ...

    def process_microphone(self, pcm: bytes) -> bytes:
        """Return what is left of 16 kHz microphone audio. May hold back less than 10 ms."""
        ...


def make_echo_guard(mode: str = "auto") -> EchoGuard:
    """Create the guard of a mode. Raises `ConfigError` if it is unknown or not installed."""
    if mode not in MODES:
        raise ConfigError(f"There is no echo mode {mode!r}.", f"Use one of {', '.join(MODES)}.")
    if mode == "off":
        return EchoPassThrough()
    if mode == "half-duplex":
        return HalfDuplex()
    if mode == "gate":
        return EchoGate()
    try:
        return EchoCanceller(importlib.import_module("livekit.rtc"))
    except ImportError as error:
        if mode == "cancel":
            raise ConfigError(
                "Echo cancellation needs the package livekit.",
                f"Run `{install_command('livekit')}`, or choose another --echo.",
            ) from error
        return HalfDuplex()


class EchoPassThrough:
    """Passes everything, for headphones."""

    description = "Echo: nothing is done; use headphones."

    def add_playback(self, pcm: bytes) -> None:
        """Ignore it."""

    def process_microphone(self, pcm: bytes) -> bytes:
        return pcm


class HalfDuplex:
    """Passes silence while an answer plays, so that it can't be interrupted by voice."""

    description = (
        "Echo: the microphone is closed while an answer plays (half duplex). To interrupt by "
        f"voice: {install_command('livekit')}; or wear headphones and add --echo off."
    )

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._loud_until = 0.0

    def add_playback(self, pcm: bytes) -> None:
        if any(pcm):
            self._loud_until = self._clock() + pcm_seconds(pcm) + ECHO_TAIL_S

    def process_microphone(self, pcm: bytes) -> bytes:
        return pcm if self.passes_audio(pcm) else bytes(len(pcm))

    def passes_audio(self, pcm: bytes) -> bool:
        """Return whether this audio passes."""
        return self._clock() >= self._loud_until


class EchoGate(HalfDuplex):
    """Passes only what is clearly louder than an echo while an answer plays."""

    description = "Echo: only a raised voice is heard while an answer plays."

    def passes_audio(self, pcm: bytes) -> bool:
        if super().passes_audio(pcm):
            return True
        samples = np.frombuffer(pcm[: len(pcm) & ~1], "<i2").astype(np.float64) / 2**15
        return bool(samples.size) and float(np.sqrt(np.mean(samples**2))) >= GATE_RMS


class EchoCanceller:
    """Cancels the echo of what was played, by WebRTC's audio processing."""

    description = "Echo: cancelled, along with steady noise; you can interrupt by voice."

    def __init__(self, rtc: Any) -> None:
        self._frame = rtc.AudioFrame
        self._processing = rtc.AudioProcessingModule(
            echo_cancellation=True, noise_suppression=True, high_pass_filter=True
        )
        self._near = bytearray()
        self._far = bytearray()

    def add_playback(self, pcm: bytes) -> None:
        self._far += pcm
        for frame in self._take_frames(self._far, OUTPUT_RATE):
            self._processing.process_reverse_stream(frame)

    def process_microphone(self, pcm: bytes) -> bytes:
        self._near += pcm
        cleaned = bytearray()
        for frame in self._take_frames(self._near, INPUT_RATE):
            self._processing.process_stream(frame)
            cleaned += bytes(frame.data.cast("B"))
        return bytes(cleaned)

    def _take_frames(self, sound: bytearray, rate: int) -> list[Any]:
        """Remove the frames of 10 ms, which the library needs, from `sound` and return them."""
        samples = rate // 100
        size = samples * BYTES_PER_SAMPLE
        whole = len(sound) - len(sound) % size
        frames = [
            self._frame(bytearray(sound[at : at + size]), rate, 1, samples)
            for at in range(0, whole, size)
        ]
        del sound[:whole]
        return frames
