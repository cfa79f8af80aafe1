"""Limits and output buffer shared by the code sandboxes.

Code that prints more than the limit is ended at once: a model has no use for the rest.
"""

from __future__ import annotations

import codecs
from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from vivavoce.domain.content import FAILED, CodeResult

BUSY = "Too many programs are running already."
CLOSED = "The sandbox is closed."
NO_START = "The sandbox can't be started."

MAX_MEMORY_MIB = 65_536


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """Number of simultaneous runs, and limits of each.

    `time_s` is wall-clock time, `memory_mib` what the code may allocate, `output_bytes` how much
    it may print, in UTF-8. When `workers` runs go on, four times as many may wait; more are
    refused.
    """

    workers: Annotated[int, Field(ge=1, le=64)] = 2
    time_s: Annotated[float, Field(ge=0.1, le=600)] = 5.0
    memory_mib: Annotated[int, Field(ge=16, le=MAX_MEMORY_MIB)] = 128
    output_bytes: Annotated[int, Field(ge=256, le=1 << 20)] = 16 * 1024

    @property
    def queue(self) -> int:
        """Number of runs that may wait."""
        return 4 * self.workers


class CodeOutput:
    """Output of a program: UTF-8, `limit` bytes of it at most."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.full = False

    def append(self, piece: bytes) -> bool:
        """Append what fits; return whether all of it fit."""
        room = self._limit - len(self._kept)
        self._kept += piece[:room]
        self.full = self.full or len(piece) > room
        return not self.full

    @property
    def empty(self) -> bool:
        """True if nothing was printed."""
        return not self._kept and not self.full

    @property
    def text(self) -> str:
        """The output as text, without half a character at its end."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        return decoder.decode(bytes(self._kept), final=not self.full)

    def result(self, outcome: str, note: str = "") -> CodeResult:
        """Return the result, with `note` on a line of its own at the end of the output.

        Code that printed too much has failed, whatever `outcome` says.
        """
        if self.full:
            outcome = FAILED
            note = f"[The program was ended here: it printed more than {self._limit} bytes.]"
        text = self.text
        if note and text and not text.endswith("\n"):
            text += "\n"
        return CodeResult(outcome, text + note)


def deadline_message(limits: SandboxLimits) -> str:
    """Return the note for code that took too long."""
    return f"[The program was ended: it took more than {limits.time_s:g} s.]"
