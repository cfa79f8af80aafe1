"""The thirty Live API voices as parameters of a voice, for synthesizers that have fewer models.

Gender and character of each name follow the published list of the Live API's voices; the numbers
are chosen so that no two voices of one gender coincide, and measured by `benchmarks/speaking.py`:
mean pitch, formant position, loudness, and words wrong to the embedded recognizer.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass

from vivavoce.domain.voices import DEFAULT_VOICE, VOICES, canonical_voice


@dataclass(frozen=True, slots=True)
class VoiceParameters:
    """One voice: what distinguishes it from another reading of the same text."""

    feminine: bool
    pitch_hz: float
    """Geometric mean of the fundamental frequency."""
    formant: float
    """Factor on the formant frequencies of the model voice; below 1: a longer vocal tract."""
    pace: float = 1.0
    """Speaking rate; above 1 is faster."""
    range: float = 1.0
    """Exponent on the pitch movement around its mean; below 1 is flatter."""
    tilt_db: float = 0.0
    """Spectral tilt in dB an octave around 1 kHz; above 0 is brighter."""
    breath_db: float = 0.0
    """Level of the aspiration noise in voiced sound, relative to the model voice."""


def _woman(
    pitch_hz: float, formant: float, pace: float = 1.0, range: float = 1.0,
    tilt_db: float = 0.0, breath_db: float = 0.0,
) -> VoiceParameters:  # fmt: skip
    return VoiceParameters(True, pitch_hz, formant, pace, range, tilt_db, breath_db)


def _man(
    pitch_hz: float, formant: float, pace: float = 1.0, range: float = 1.0,
    tilt_db: float = 0.0, breath_db: float = 0.0,
) -> VoiceParameters:  # fmt: skip
    return VoiceParameters(False, pitch_hz, formant, pace, range, tilt_db, breath_db)


_TABLE = {
    # feminine
    "Achernar": _woman(183, 0.99, 0.95, 0.85, -0.9, 5.0),  # soft
    "Aoede": _woman(200, 1.02, 1.06, 1.1, 0.0, 3.0),  # breezy
    "Autonoe": _woman(208, 1.03, 0.97, 1.05, 0.6),  # bright
    "Callirrhoe": _woman(187, 1.01, 0.92, 0.9, -0.3),  # easy-going
    "Despina": _woman(172, 1.02, 0.99, 0.8, -0.6, 1.0),  # smooth
    "Erinome": _woman(200, 0.98, 0.96, 0.95, 0.4),  # clear
    "Gacrux": _woman(150, 0.93, 0.95, 0.9, -0.3),  # mature
    "Kore": _woman(180, 0.95, 1.02, 0.85, 0.9),  # firm
    "Laomedeia": _woman(218, 1.0, 1.08, 1.2, 0.3),  # upbeat
    "Leda": _woman(232, 1.07, 1.03, 1.1, 0.0, 1.0),  # youthful
    "Pulcherrima": _woman(206, 0.97, 1.05, 1.1, 1.0),  # forward
    "Sulafat": _woman(164, 0.95, 0.97, 1.0, -0.6),  # warm
    "Vindemiatrix": _woman(170, 0.93, 0.9, 0.8, -0.5, 2.0),  # gentle
    "Zephyr": _woman(228, 1.05, 1.05, 1.0, 1.2),  # bright
    # masculine
    "Achird": _man(130, 0.92, 0.98, 1.1, -0.3, 1.0),  # friendly
    "Algenib": _man(84, 0.85, 0.95, 0.9, -0.4),  # gravelly
    "Algieba": _man(98, 0.88, 0.97, 0.85, -0.6, 1.0),  # smooth
    "Alnilam": _man(101, 0.84, 1.02, 0.85, 0.8),  # firm
    "Charon": _man(107, 0.88, 1.0, 1.0),  # informative
    "Enceladus": _man(112, 0.89, 0.96, 0.9, -0.5, 6.0),  # breathy
    "Fenrir": _man(132, 0.88, 1.1, 1.35, 0.5),  # excitable
    "Iapetus": _man(114, 0.9, 0.98, 0.95, 0.6),  # clear
    "Orus": _man(94, 0.87, 1.0, 0.85, 0.5),  # firm
    "Puck": _man(123, 0.94, 1.07, 1.25, 0.5),  # upbeat
    "Rasalgethi": _man(118, 0.83, 1.04, 1.0, -0.3),  # informative
    "Sadachbia": _man(140, 0.92, 1.05, 1.2, 0.2),  # lively
    "Sadaltager": _man(97, 0.93, 0.98, 1.1, 0.2),  # knowledgeable
    "Schedar": _man(118, 0.87, 0.98, 0.75),  # even
    "Umbriel": _man(109, 0.93, 0.92, 0.85, -0.5),  # easy-going
    "Zubenelgenubi": _man(120, 0.89, 0.96, 1.05, -0.3),  # casual
}


def resolve_voice(name: str) -> str:
    """The voice that speaks for `name`: itself in its own spelling, the default for an empty
    name, and for an unknown name always the same one of the thirty."""
    if not name:
        return DEFAULT_VOICE
    return canonical_voice(name) or VOICES[zlib.crc32(name.casefold().encode()) % len(VOICES)]


def voice_parameters(name: str) -> VoiceParameters:
    """The parameters of the voice called `name`; every name has some, see `resolve_voice`."""
    return _TABLE[resolve_voice(name)]
