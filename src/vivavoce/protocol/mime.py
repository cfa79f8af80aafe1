"""MIME types of realtime media: which PCM rate, or which image."""

from __future__ import annotations

from functools import lru_cache

from vivavoce.domain.audio import INPUT_RATE
from vivavoce.errors import ClientFault
from vivavoce.protocol import close

PCM_TYPES = frozenset({"audio/pcm", "audio/x-pcm", "audio/l16"})

WAV_TYPES = frozenset({"audio/wav", "audio/x-wav", "audio/wave", "audio/vnd.wave"})

SOUND_TYPES = WAV_TYPES | {
    "audio/raw", "audio/x-raw", "audio/lpcm", "audio/x-lpcm", "audio/s16le",
    "audio/linear16", "audio/x-linear16", "audio/x-l16", "audio/pcm16",
}  # fmt: skip
"""Names that clients give to PCM or to WAV files; read when lenient."""

_HEADS = {
    b"\xff\xd8\xff": "image/jpeg",
    b"\x89PNG\r\n\x1a\n": "image/png",
    b"GIF8": "image/gif",
}

_LONGEST = 128
"""Longer names are nonsense, and would stay in the cache."""


def pcm_rate(mime_type: str) -> int | None:
    """Samples a second of a PCM type, 16000 when it names none; `None` if it isn't PCM.

    Case, blanks, quotes and the order of parameters don't matter. Raises `ClientFault` for PCM
    that can't be understood: a rate that is no number, or more than one channel. Which rates
    can be heard, the intake says.
    """
    return _pcm_rate(mime_type) if len(mime_type) <= _LONGEST else None


@lru_cache(maxsize=64)
def _pcm_rate(mime_type: str) -> int | None:
    kind, *parameters = mime_type.lower().split(";")
    if kind.strip() not in PCM_TYPES:
        return None
    rate = INPUT_RATE
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        name, value = name.strip(), value.strip().strip('"')
        if name == "rate":
            rate = _rate(value, mime_type)
        elif name == "channels" and value != "1":
            raise unsupported_medium("audio", mime_type, "send one channel")
    return rate


def _rate(value: str, mime_type: str) -> int:
    if not (value.isascii() and value.isdigit() and len(value) <= 6):
        raise unsupported_medium("audio", mime_type, "send audio/pcm;rate=16000")
    return int(value)


def sound_rate(mime_type: str) -> int | None:
    """The rate of a type that clients give to PCM, or to WAV files, besides; else `None`.

    A WAV file says its own rate, which the intake honours.
    """
    kind, semicolon, parameters = mime_type.lower().partition(";")
    if kind.strip() not in SOUND_TYPES or len(mime_type) > _LONGEST:
        return None
    return _pcm_rate(f"audio/pcm{semicolon}{parameters}")


def image_type(mime_type: str) -> str | None:
    """The type of a still image as it is kept; `None` for anything else."""
    kind = mime_type.strip().lower()
    return kind if kind.startswith("image/") else None


def sniff_image_type(data: bytes) -> str:
    """The type of an image by its first bytes; empty for anything else."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "image/webp"
    return next((kind for head, kind in _HEADS.items() if data.startswith(head)), "")


def sniff_media_type(data: bytes) -> str:
    """The type of an image or a WAV file by its first bytes; empty for anything else."""
    return "audio/wav" if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else sniff_image_type(data)


def unsupported_medium(medium: str, mime_type: str, advice: str) -> ClientFault:
    """The refusal of a medium that the server can't take, with what to send instead."""
    shown = mime_type if len(mime_type) <= 40 else mime_type[:40] + "…"
    return close.invalid(f'Unsupported {medium} MIME type "{{}}": {advice}.', shown)
