"""The recognizer that works everywhere: pocketsphinx, in processes of its own.

pocketsphinx holds the interpreter's lock while it searches, up to 90 ms at a time, so it may
not live in the server's process. `worker` is the program of one such process, `pipes` what
is said between them, `pool` keeps them alive, `recognizer` is the port.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from vivavoce.engines.ports import EngineHost, Settings

if TYPE_CHECKING:
    from vivavoce.engines.pocketsphinx.recognizer import PocketsphinxRecognizer


async def create(settings: Settings, host: EngineHost) -> PocketsphinxRecognizer:
    """The factory; returns when the workers that are kept ready have loaded their models."""
    # Imported here because every worker imports this package too, and needs none of it.
    from vivavoce.engines.pocketsphinx import recognizer

    return await recognizer.create(settings)
