"""What each Live API voice name sounds like, for synthesizers with few voices of their own.

One recorded speaker becomes several by three knobs: the pitch of the sentence melody, the
pace, and a shift of the vocal tract. The shift plays the sound a little faster or slower
than it was made; outside 0.93 to 1.06 a listener begins to miss words (measured with a
recognizer), so no entry leaves that range.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from enum import Enum

from vivavoce.domain.voices import DEFAULT_VOICE, VOICES, canonical_voice


class Speaker(Enum):
    """The recorded speakers of flite that the table draws on."""

    SLT = "slt"
    RMS = "rms"
    AWB = "awb"
    KAL16 = "kal16"

    @property
    def feminine(self) -> bool:
        return self is Speaker.SLT


@dataclass(frozen=True, slots=True)
class VoicePrint:
    """One voice. `pitch_hz`: middle of the melody; `pace`: above 1 is slower; `shift`: above 1
    is a smaller vocal tract."""

    speaker: Speaker
    pitch_hz: float
    pace: float = 1.0
    shift: float = 1.0


_TABLE = {
    "Kore": VoicePrint(Speaker.SLT, 172),
    "Zephyr": VoicePrint(Speaker.SLT, 190, 0.98, 1.04),
    "Leda": VoicePrint(Speaker.SLT, 195, 0.97, 1.05),
    "Aoede": VoicePrint(Speaker.SLT, 180, 0.96, 1.02),
    "Callirrhoe": VoicePrint(Speaker.SLT, 165, 1.05, 0.98),
    "Autonoe": VoicePrint(Speaker.SLT, 185, 1.0, 1.03),
    "Despina": VoicePrint(Speaker.SLT, 160, 1.04, 0.97),
    "Erinome": VoicePrint(Speaker.SLT, 175, 1.02, 1.01),
    "Laomedeia": VoicePrint(Speaker.SLT, 190, 0.94, 1.03),
    "Achernar": VoicePrint(Speaker.SLT, 155, 1.08, 0.97),
    "Gacrux": VoicePrint(Speaker.SLT, 148, 1.05, 0.94),
    "Pulcherrima": VoicePrint(Speaker.SLT, 178, 0.95, 1.0),
    "Vindemiatrix": VoicePrint(Speaker.SLT, 158, 1.1, 0.98),
    "Sulafat": VoicePrint(Speaker.SLT, 152, 1.04, 0.95),
    "Charon": VoicePrint(Speaker.RMS, 95),
    "Puck": VoicePrint(Speaker.RMS, 115, 0.94, 1.05),
    "Fenrir": VoicePrint(Speaker.RMS, 112, 0.92, 1.03),
    "Orus": VoicePrint(Speaker.RMS, 92, 1.02, 0.97),
    "Enceladus": VoicePrint(Speaker.RMS, 88, 1.06, 0.96),
    "Umbriel": VoicePrint(Speaker.RMS, 100, 1.08, 1.0),
    "Algieba": VoicePrint(Speaker.RMS, 90, 1.05, 0.98),
    "Alnilam": VoicePrint(Speaker.RMS, 95, 0.98, 0.95),
    "Sadachbia": VoicePrint(Speaker.RMS, 118, 0.93, 1.05),
    "Sadaltager": VoicePrint(Speaker.RMS, 97, 1.03, 0.99),
    "Iapetus": VoicePrint(Speaker.AWB, 125),
    "Rasalgethi": VoicePrint(Speaker.AWB, 120, 1.0, 0.98),
    "Achird": VoicePrint(Speaker.AWB, 135, 1.0, 1.04),
    "Zubenelgenubi": VoicePrint(Speaker.AWB, 128, 1.05, 1.02),
    "Algenib": VoicePrint(Speaker.KAL16, 105),
    "Schedar": VoicePrint(Speaker.KAL16, 122, 0.96, 1.03),
}


def voice_name(name: str) -> str:
    """The Live API voice that speaks for `name`: itself in its own spelling, the default for
    an empty name, and for an unknown name always the same one of the thirty."""
    if not name:
        return DEFAULT_VOICE
    return canonical_voice(name) or VOICES[zlib.crc32(name.casefold().encode()) % len(VOICES)]


def voice_print(name: str) -> VoicePrint:
    """How the voice called `name` sounds; every name gets one, see `voice_name`."""
    return _TABLE[voice_name(name)]
