"""The labelled set: spoken turns with pauses, sounds over the model's speech, and dialogues.

The texts are TOML files in the package (`assets/evaluation`); `evaluation.clips` makes sound of
them. They were written before any method of turn detection was tried on them, and no method may be
fitted to them.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from functools import cache
from importlib.resources import files
from typing import Any

_MARK = re.compile(r"\[(\d+(?:\.\d+)?)\]")

VOICES = (
    "Puck", "Kore", "Charon", "Aoede", "Orus", "Leda", "Umbriel", "Zephyr", "Algenib", "Sulafat",
    "Sadachbia", "Despina",
)  # fmt: skip
"""Voices of the users, by turns."""

SNRS_DB = (40.0, 30.0, 20.0)
"""Rooms by turns: how far their noise is below the voice."""


@dataclass(frozen=True, slots=True)
class SpokenText:
    """One turn of a user: phrases with a pause after each but the last, in seconds."""

    name: str
    kind: str
    phrases: tuple[str, ...]
    pauses_s: tuple[float, ...]
    voice: str
    snr_db: float

    @property
    def text(self) -> str:
        """The words, without the marks."""
        return " ".join(self.phrases)


class OverlapKind(Enum):
    """Kind of sound over the model's speech."""

    BACKCHANNEL = "backchannels"
    INTERRUPTION = "interruptions"
    NOISE = "noises"
    OTHER_SPEAKER = "others"

    @property
    def takes_floor(self) -> bool:
        """Return whether the model should stop speaking."""
        return self is OverlapKind.INTERRUPTION


@dataclass(frozen=True, slots=True)
class Overlap:
    """A sound over the model's speech: words, or the name of a noise."""

    kind: OverlapKind
    spoken: SpokenText
    onset_s: float
    """When it begins, counted from the first sound of the model's answer."""


@dataclass(frozen=True, slots=True)
class Dialogue:
    """A conversation: the user's turns in order."""

    name: str
    turns: tuple[SpokenText, ...]


def spoken_text(marked: str, name: str, kind: str, place: int) -> SpokenText:
    """Read a text with marks of pauses; voice and room follow from its place.

    Raises `ValueError` for a text without words between two marks.
    """
    parts = [part.strip() for part in _MARK.split(marked)]
    phrases, pauses = parts[::2], parts[1::2]
    if not all(phrases):
        raise ValueError(f"{name}: a mark needs words on both sides: {marked!r}")
    voice, snr_db = VOICES[place % len(VOICES)], SNRS_DB[place % len(SNRS_DB)]
    return SpokenText(name, kind, tuple(phrases), tuple(map(float, pauses)), voice, snr_db)


@cache
def spoken_turns() -> tuple[SpokenText, ...]:
    """Return the turns of `turns.toml`, with and without pauses."""
    return tuple(_turns())


def _turns() -> Iterator[SpokenText]:
    place = 0
    for kind, table in read_set("turns")["kinds"].items():
        for number, marked in enumerate(table["turns"], 1):
            yield spoken_text(marked, f"{kind}-{number}", kind, place)
            place += 1


_ONSETS_S = (1.5, 2.5, 3.5)


@cache
def overlaps() -> tuple[Overlap, ...]:
    """Return what `overlaps.toml` lists, kind by kind."""
    found: list[Overlap] = []
    table = read_set("overlaps")
    for kind in OverlapKind:
        listed = table[kind.value]
        for number, text in enumerate(listed.get("texts") or listed["sounds"], 1):
            place = len(found)
            spoken = spoken_text(text, f"{kind.value}-{number}", kind.value, place)
            found.append(Overlap(kind, spoken, _ONSETS_S[place % len(_ONSETS_S)]))
    return tuple(found)


@cache
def dialogues() -> tuple[Dialogue, ...]:
    """Return the conversations of `dialogues.toml`; each has one voice and one room."""
    return tuple(
        Dialogue(
            each["name"],
            tuple(
                spoken_text(marked, f"{each['name']}-{number}", "dialogue", place)
                for number, marked in enumerate(each["turns"], 1)
            ),
        )
        for place, each in enumerate(read_set("dialogues")["dialogue"])
    )


def versions() -> dict[str, int]:
    """Return the version of each file of the set, which a result belongs to."""
    return {
        name: read_set(name)["version"] for name in ("turns", "overlaps", "dialogues", "pauses")
    }


@cache
def read_set(name: str) -> dict[str, Any]:
    """Return one file of the set: `turns`, `overlaps`, `dialogues` or `pauses`."""
    text = (files("vivavoce") / "assets" / "evaluation" / f"{name}.toml").read_text("utf-8")
    return tomllib.loads(text)
