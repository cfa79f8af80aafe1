"""The thirty prebuilt voice names of the Live API."""

from __future__ import annotations

DEFAULT_VOICE = "Puck"

VOICES = (
    "Achernar", "Achird", "Algenib", "Algieba", "Alnilam", "Aoede", "Autonoe", "Callirrhoe",
    "Charon", "Despina", "Enceladus", "Erinome", "Fenrir", "Gacrux", "Iapetus", "Kore",
    "Laomedeia", "Leda", "Orus", "Puck", "Pulcherrima", "Rasalgethi", "Sadachbia",
    "Sadaltager", "Schedar", "Sulafat", "Umbriel", "Vindemiatrix", "Zephyr", "Zubenelgenubi",
)  # fmt: skip


def canonical_voice(name: str) -> str | None:
    """The voice's own spelling, whatever case the client used; `None` if there is no such voice."""
    wanted = name.casefold()
    return next((voice for voice in VOICES if voice.casefold() == wanted), None)
