"""Stands in for PyAudio where there is no sound card: a WAV is the microphone, a file the speaker.

Behaves as a device does in time. Reading blocks until the samples would have been heard, and
goes on with silence after the recording. Writing blocks while the device's own buffer is full;
what was accepted is played, and what a program never writes is never heard.

    STANDIN_MICROPHONE   16 kHz mono WAV to be heard
    STANDIN_SPEAKER      file to which everything played is appended, raw PCM
"""

from __future__ import annotations

import os
import time
import wave
from typing import Any

paInt16 = 8  # noqa: N816 (the library's own name)
BUFFER_S = 2 * 1024 / 24_000
"""What PortAudio keeps by default: two buffers of 1024 frames."""


class _Input:
    def __init__(self, rate: int) -> None:
        with wave.open(os.environ["STANDIN_MICROPHONE"], "rb") as file:
            assert (file.getframerate(), file.getnchannels()) == (rate, 1)
            self._sound = file.readframes(file.getnframes())
        self._rate = rate
        self._began = time.monotonic()
        self._at = 0

    def read(self, frames: int, exception_on_overflow: bool = True) -> bytes:
        self._at += frames
        time.sleep(max(0.0, self._began + self._at / self._rate - time.monotonic()))
        chunk, self._sound = self._sound[: frames * 2], self._sound[frames * 2 :]
        return chunk.ljust(frames * 2, b"\0")

    def close(self) -> None:
        pass


class _Output:
    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._playing_until = time.monotonic()

    def write(self, sound: bytes) -> None:
        with open(os.environ["STANDIN_SPEAKER"], "ab") as file:
            file.write(sound)
        now = time.monotonic()
        self._playing_until = max(self._playing_until, now) + len(sound) / 2 / self._rate
        time.sleep(max(0.0, self._playing_until - now - BUFFER_S))

    def close(self) -> None:
        pass


class PyAudio:
    """The part of the library that programs for the Live API use."""

    def get_default_input_device_info(self) -> dict[str, Any]:
        return {"index": 0, "name": "a recording"}

    def open(
        self,
        *,
        format: int,
        channels: int,
        rate: int,
        input: bool = False,
        output: bool = False,
        input_device_index: int | None = None,
        frames_per_buffer: int = 1024,
    ) -> _Input | _Output:
        assert format == paInt16
        assert channels == 1
        assert input != output
        return _Input(rate) if input else _Output(rate)

    def terminate(self) -> None:
        pass
