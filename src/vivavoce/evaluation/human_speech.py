"""Labelled recordings of human speech, which do not ship: `assets/evaluation/pauses.toml`.

A recording is cut behind its last word and followed by noise as loud as its own quietest frames, so
that waiting for the end of the turn sees a silent room and not the end of a file.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from vivavoce.client.audio import read_wav
from vivavoce.domain.audio import samples
from vivavoce.evaluation.clips import (
    LEAD_S,
    TAIL_S,
    LabelledClip,
    Span,
    frame_levels,
    room_noise,
    to_pcm,
)
from vivavoce.evaluation.labelled_speech import read_set

KIND = "human"

_AFTER_END_S = 0.05


@dataclass(frozen=True, slots=True)
class LabelledRecording:
    """The labels of one recording: when the voice begins and ends, its pauses, and their places.

    A place is `inside` a phrase, after a `clause`, or between two of one reading: `sentence`.
    """

    name: str
    speech: Span
    pauses: tuple[Span, ...]
    places: tuple[str, ...]

    @property
    def stretches(self) -> tuple[Span, ...]:
        """Times at which the voice speaks."""
        begins = [self.speech[0], *(end for _, end in self.pauses)]
        ends = [*(begin for begin, _ in self.pauses), self.speech[1]]
        return tuple(zip(begins, ends, strict=True))


@cache
def labelled_recordings() -> tuple[LabelledRecording, ...]:
    """Return the labels of every recording, whether or not it is on this machine."""
    return tuple(
        LabelledRecording(
            each["name"],
            (each["speech"][0], each["speech"][1]),
            tuple((begin, end) for begin, end, _, _ in each["pauses"]),
            tuple(place for _, _, _, place in each["pauses"]),
        )
        for each in read_set("pauses")["recording"]
    )


def human_clips(folders: Iterable[Path]) -> list[LabelledClip]:
    """Return the labelled recordings that lie in `folders`, each once.

    Raises `ConfigError` for a file that can't be read.
    """
    places = list(folders)
    found = []
    for labels in labelled_recordings():
        paths = (folder / f"{labels.name}.wav" for folder in places)
        if (path := next(filter(Path.is_file, paths), None)) is not None:
            found.append(_clip(labels, read_wav(path)))
    return found


def _clip(labels: LabelledRecording, pcm: bytes) -> LabelledClip:
    sound = np.frombuffer(pcm, "<i2") / 32768
    spoken = sound[: samples(labels.speech[1] + _AFTER_END_S)]
    quiet = 10 ** (float(np.percentile(frame_levels(spoken), 3)) / 20)
    noise = quiet * room_noise(samples(LEAD_S + TAIL_S), labels.name)
    lead, tail = noise[: samples(LEAD_S)], noise[samples(LEAD_S) :]
    speech = tuple((LEAD_S + begin, LEAD_S + end) for begin, end in labels.stretches)
    return LabelledClip(labels.name, KIND, to_pcm(np.concatenate([lead, spoken, tail])), speech)
