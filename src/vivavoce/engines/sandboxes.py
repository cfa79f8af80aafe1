"""What all sandboxes have in common: their limits as settings, and output that has a bound.

Code that prints more than the limit is ended there and then: whoever prints without end would
go on printing, and a model has no use for the rest.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Sequence
from dataclasses import dataclass

from vivavoce.domain.content import FAILED, CodeResult
from vivavoce.engines.ports import Settings
from vivavoce.errors import ConfigError

BUSY = "Too many programs are running already."
CLOSED = "The sandbox is closed."
NO_START = "The sandbox can't be started."

_MOST_WORKERS = 64
_LONGEST_S = 600.0
_MOST_MIB = 65_536
_MOST_OUTPUT = 1 << 20


@dataclass(frozen=True, slots=True)
class SandboxLimits:
    """How many runs go on at once, and how much one of them may take.

    `time_s` is wall-clock time, `memory_mib` what the code may allocate, `output_bytes` how much
    it may print, in UTF-8. When `workers` runs go on, four times as many may wait; more are
    refused.
    """

    workers: int = 2
    time_s: float = 5.0
    memory_mib: int = 128
    output_bytes: int = 16 * 1024

    @property
    def queue(self) -> int:
        """How many runs may wait."""
        return 4 * self.workers


def read_limits(
    engine: str, settings: Settings, *, memory: tuple[int, int], others: Sequence[str] = ()
) -> SandboxLimits:
    """The limits in an engine's settings. `memory` are the least and the default MiB.

    `others` are settings that the engine reads itself. Raises `ConfigError`.
    """
    known = ("workers", "time_s", "memory_mib", "output_bytes", *others)
    if unknown := set(settings) - set(known):
        raise ConfigError(
            f"{engine} has no setting {min(unknown)!r}.", f"It knows {', '.join(known)}."
        )
    least, default = memory

    def whole(name: str, least: int, most: int, default: int) -> int:
        value = settings.get(name, default)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise _refused(engine, name, value, f"a whole number from {least} to {most}")
        return value

    time_s = settings.get("time_s", 5.0)
    number = isinstance(time_s, int | float) and not isinstance(time_s, bool)
    if not number or not math.isfinite(time_s) or not 0.1 <= time_s <= _LONGEST_S:
        raise _refused(engine, "time_s", time_s, f"a number from 0.1 to {_LONGEST_S:g}")
    return SandboxLimits(
        workers=whole("workers", 1, _MOST_WORKERS, 2),
        time_s=float(time_s),
        memory_mib=whole("memory_mib", least, _MOST_MIB, default),
        output_bytes=whole("output_bytes", 256, _MOST_OUTPUT, 16 * 1024),
    )


def _refused(engine: str, name: str, value: object, wanted: str) -> ConfigError:
    return ConfigError(f"{engine} can't work with {name} = {value!r}.", f"Give it {wanted}.")


class CodeOutput:
    """What code has printed so far: UTF-8, and never more than `limit` bytes of it."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._kept = bytearray()
        self.full = False

    def add(self, piece: bytes) -> bool:
        """Keep what there is room for; whether that was all of it."""
        room = self._limit - len(self._kept)
        self._kept += piece[:room]
        self.full = self.full or len(piece) > room
        return not self.full

    @property
    def empty(self) -> bool:
        """Whether nothing was printed."""
        return not self._kept and not self.full

    @property
    def text(self) -> str:
        """It as text; half a character at the cut is left out, other nonsense is replaced."""
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        return decoder.decode(bytes(self._kept), final=not self.full)

    def result(self, outcome: str, said: str = "") -> CodeResult:
        """The result, `said` on a line of its own at the end of the output.

        Code that printed too much has failed, whatever else became of it.
        """
        if self.full:
            outcome = FAILED
            said = f"[The program was ended here: it printed more than {self._limit} bytes.]"
        text = self.text
        if said and text and not text.endswith("\n"):
            text += "\n"
        return CodeResult(outcome, text + said)


def deadline_message(limits: SandboxLimits) -> str:
    """What is said of code that took too long."""
    return f"[The program was ended: it took more than {limits.time_s:g} s.]"
