"""Deterministic engines without weights, for tests, demonstrations and load runs.

Words travel in sound as tones (`sound.py`), so the recognizer truly hears what the voice, or
a client, said. `echo` answers with what it heard and calls the function that was named.
"""

from vivavoce.engines.scripted.echo import create as create_echo
from vivavoce.engines.scripted.energy import create as create_energy
from vivavoce.engines.scripted.sound import hear, say
from vivavoce.engines.scripted.tones import create_recognizer as create_tone_recognizer
from vivavoce.engines.scripted.tones import create_synthesizer as create_tone_synthesizer

__all__ = [
    "create_echo",
    "create_energy",
    "create_tone_recognizer",
    "create_tone_synthesizer",
    "hear",
    "say",
]
