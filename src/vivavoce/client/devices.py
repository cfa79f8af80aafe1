"""Microphone and loudspeaker, by whichever library can reach them.

`sounddevice` has the better timing but needs PortAudio, which bare Debian lacks; `miniaudio`
brings everything in its wheel. `null` is for servers and tests: silence in, a clock out.
"""

from __future__ import annotations

import asyncio
import importlib
import os
from collections.abc import AsyncGenerator, Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from vivavoce.client.files import CHUNK_S, Microphone, SilentMicrophone
from vivavoce.client.playback import ClockSpeaker, PlaybackQueue, Speaker
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, OUTPUT_RATE
from vivavoce.errors import ConfigError
from vivavoce.installing import install_command

BACKENDS = ("sounddevice", "miniaudio", "null")
PERIOD_MS = 20
LONGEST_QUEUE = 250
"""Microphone chunks kept while the network is slow: five seconds, then the oldest go."""


class AudioDeviceMissing(ConfigError):
    """No microphone or loudspeaker can be opened on this machine."""


@dataclass(frozen=True, slots=True)
class AudioDevice:
    """A sound device as a library lists it."""

    index: int
    name: str
    inputs: bool
    outputs: bool


class QueueMicrophone:
    """Carries sound from a device's thread into the event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue(LONGEST_QUEUE)

    def add_audio(self, pcm: bytes) -> None:
        """Called by the device, from any thread."""
        self._loop.call_soon_threadsafe(self._put, pcm)

    def _put(self, pcm: bytes) -> None:
        if self._chunks.full():
            self._chunks.get_nowait()
        self._chunks.put_nowait(pcm)

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        """Pieces as the device gives them, for ever."""
        while True:
            yield await self._chunks.get()


def available_backends() -> list[str]:
    """The back ends whose library loads on this machine, the preferred one first."""
    return [name for name in BACKENDS if name == "null" or _import_library(name) is not None]


def _import_library(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):  # OSError: PortAudio isn't there
        return None


def choose_backend(wanted: str = "") -> str:
    """The back end to use. Raises `ConfigError` when `wanted` can't be had."""
    usable = available_backends()
    if not wanted and usable == ["null"]:
        fix = f"Run `{install_command('miniaudio')}`, or use recordings: --in FILE --out FILE."
        raise ConfigError("No library for microphones and loudspeakers is installed.", fix)
    if not wanted:
        return usable[0]
    if wanted not in BACKENDS:
        raise ConfigError(f"There is no sound back end {wanted!r}.", f"Use {', '.join(BACKENDS)}.")
    if wanted not in usable:
        fix = "Install PortAudio (Debian: libportaudio2), or use --backend miniaudio."
        raise ConfigError(f"The sound back end {wanted} doesn't load here.", fix)
    return wanted


def list_devices(backend: str) -> list[AudioDevice]:
    """Every sound device that the back end sees."""
    if backend == "sounddevice":
        library = _import_library(backend)
        try:
            with _silence_alsa():
                listed = library.query_devices()
        except library.PortAudioError:
            return []
        return [
            AudioDevice(i, d["name"], d["max_input_channels"] > 0, d["max_output_channels"] > 0)
            for i, d in enumerate(listed)
        ]
    if backend == "miniaudio":
        listed = _miniaudio_devices()
        return [AudioDevice(i, name, kind == "in", kind == "out") for i, (kind, name, _) in listed]
    return [AudioDevice(0, "null", True, True)]


def _miniaudio_devices() -> list[tuple[int, tuple[str, str, Any]]]:
    """Captures, then playbacks, numbered through: kind, name and the library's own id."""
    library = _import_library("miniaudio")
    try:
        with _silence_alsa():
            seen = library.Devices(_real_backends(library))
            captures = [("in", d["name"], d["id"]) for d in seen.get_captures()]
            playbacks = [("out", d["name"], d["id"]) for d in seen.get_playbacks()]
    except library.MiniaudioError:
        return []
    return list(enumerate(captures + playbacks))


def _real_backends(library: Any) -> list[Any]:
    """Every back end of the library but the one that only pretends."""
    return [backend for backend in library.Backend if backend is not library.Backend.NULL]


def find_device(listed: Sequence[AudioDevice], wanted: str, output: bool) -> int | None:
    """The index of the device that `wanted` names by number or by part of its name.

    `None` for the system's default (empty `wanted`). Raises `ConfigError` when nothing or
    more than one fits.
    """
    if not wanted:
        return None
    usable = [d for d in listed if (d.outputs if output else d.inputs)]
    if wanted.isdigit():
        fits = [d for d in usable if d.index == int(wanted)]
    else:
        fits = [d for d in usable if wanted.casefold() in d.name.casefold()]
    if len(fits) == 1:
        return fits[0].index
    kind = "output" if output else "input"
    names = ", ".join(f"{d.index} {d.name}" for d in fits or usable) or "none"
    problem = "More than one" if fits else "No"
    raise ConfigError(
        f"{problem} {kind} device fits {wanted!r}.", f"There are: {names}. See --list-devices."
    )


@contextmanager
def open_devices(
    backend: str,
    microphone: str = "",
    speaker: str = "",
    on_output: Callable[[bytes], None] | None = None,
) -> Iterator[tuple[Microphone, Speaker]]:
    """A running microphone and loudspeaker. Raises `AudioDeviceMissing` where there are none."""
    if backend == "null":
        yield SilentMicrophone(), ClockSpeaker()
        return
    recorder, queue = QueueMicrophone(), PlaybackQueue(on_output)
    with (
        open_microphone(backend, microphone, recorder.add_audio),
        open_speaker(backend, speaker, queue.read_bytes),
    ):
        yield recorder, queue


@contextmanager
def open_microphone(
    backend: str, wanted: str = "", on_audio: Callable[[bytes], object] = bytes
) -> Iterator[None]:
    """A running microphone, which calls `heard` with 16 kHz PCM from any thread.

    Raises `AudioDeviceMissing` when it can't be opened, `ConfigError` when `wanted` names none.
    """
    with _open_stream(
        backend, wanted, False, lambda library, device: _INPUTS[backend](library, device, on_audio)
    ):
        yield


@contextmanager
def open_speaker(
    backend: str, wanted: str = "", read_audio: Callable[[int], bytes] = bytes
) -> Iterator[None]:
    """A running loudspeaker, which calls `read_audio` for 24 kHz PCM from any thread.

    Raises `AudioDeviceMissing` when it can't be opened, `ConfigError` when `wanted` names none.
    """
    with _open_stream(
        backend,
        wanted,
        True,
        lambda library, device: _OUTPUTS[backend](library, device, read_audio),
    ):
        yield


@contextmanager
def _open_stream(
    backend: str, wanted: str, output: bool, start: Callable[[Any, int | None], Any]
) -> Iterator[None]:
    library = _import_library(backend)
    device = find_device(list_devices(backend), wanted, output)
    try:
        with _silence_alsa():
            stream = start(library, device)
    except Exception as error:
        if not _is_library_error(library, error):
            raise
        raise AudioDeviceMissing(
            f"No {'loudspeaker' if output else 'microphone'} could be opened by {backend} "
            f"({_error_reason(error)}).",
            "See --list-devices; without a sound card use --in FILE --out FILE.",
        ) from error
    try:
        yield
    finally:
        stream.close()


@contextmanager
def _silence_alsa() -> Iterator[None]:
    """Without the pages that ALSA writes past Python when there is no sound card."""
    kept = os.dup(2)
    nothing = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nothing, 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def _is_library_error(library: Any, error: Exception) -> bool:
    """Whether a library raised its own kind of error, and not something of ours."""
    own = getattr(library, "PortAudioError", None) or getattr(library, "MiniaudioError", None)
    return own is not None and isinstance(error, own)


def _error_reason(error: Exception) -> str:
    """A library's error in words: both libraries pack sentences and codes into tuples."""
    return ", ".join(_error_words(error.args)) or type(error).__name__


def _error_words(parts: tuple[object, ...]) -> Iterator[str]:
    for part in parts:
        if isinstance(part, tuple):
            yield from _error_words(part)
        else:
            yield f"code {part}" if isinstance(part, int) else str(part)


def _start_sounddevice_input(
    library: Any, device: int | None, on_audio: Callable[[bytes], object]
) -> Any:
    def on_input(data: Any, _frames: int, _time: Any, _status: Any) -> None:
        on_audio(bytes(data))

    stream = library.RawInputStream(
        samplerate=INPUT_RATE, blocksize=INPUT_RATE * PERIOD_MS // 1000, device=device,
        callback=on_input, channels=1, dtype="int16", latency="low",
    )  # fmt: skip
    stream.start()
    return stream


def _start_sounddevice_output(
    library: Any, device: int | None, read_audio: Callable[[int], bytes]
) -> Any:
    def on_output(data: Any, _frames: int, _time: Any, _status: Any) -> None:
        data[:] = read_audio(len(data))

    stream = library.RawOutputStream(
        samplerate=OUTPUT_RATE, blocksize=OUTPUT_RATE * PERIOD_MS // 1000, device=device,
        callback=on_output, channels=1, dtype="int16", latency="low",
    )  # fmt: skip
    stream.start()
    return stream


def _start_miniaudio_input(
    library: Any, device: int | None, on_audio: Callable[[bytes], object]
) -> Any:
    def capture() -> Generator[None, bytes, None]:
        while True:
            on_audio(bytes((yield)))

    stream = library.CaptureDevice(sample_rate=INPUT_RATE, **_miniaudio_options(library, device))
    feed = capture()
    next(feed)
    stream.start(feed)
    return stream


def _start_miniaudio_output(
    library: Any, device: int | None, read_audio: Callable[[int], bytes]
) -> Any:
    def playback() -> Generator[bytes, int, None]:
        frames = yield b""
        while True:
            frames = yield read_audio(frames * BYTES_PER_SAMPLE)

    stream = library.PlaybackDevice(sample_rate=OUTPUT_RATE, **_miniaudio_options(library, device))
    feed = playback()
    next(feed)
    stream.start(feed)
    return stream


def _miniaudio_options(library: Any, device: int | None) -> dict[str, Any]:
    return {
        "nchannels": 1,
        "buffersize_msec": round(CHUNK_S * 1000),
        "app_name": "vivavoce",
        "backends": _real_backends(library),
        "device_id": None if device is None else dict(_miniaudio_devices())[device][2],
    }


_INPUTS = {"sounddevice": _start_sounddevice_input, "miniaudio": _start_miniaudio_input}
_OUTPUTS = {"sounddevice": _start_sounddevice_output, "miniaudio": _start_miniaudio_output}
