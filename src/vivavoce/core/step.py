"""One step of the core: the present time, and what the step asks for.

A step is made by the verb that the host called, handed down to whatever decides, and its
effects are what the verb returns. So time is an argument everywhere, and no effect can be
left behind in a drawer.
"""

from __future__ import annotations

from vivavoce.core.effects import Effect, ReportMismatch, Send
from vivavoce.core.messages import Message
from vivavoce.domain.ids import GenerationId


class Step:
    """`now` is the host's clock in seconds; `effects` grow in the order of their deciding."""

    __slots__ = ("effects", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        self.effects: list[Effect] = []

    def emit(self, effect: Effect) -> None:
        """Ask the host for something."""
        self.effects.append(effect)

    def report_mismatch(self, sentence: str, code: int = 0) -> None:
        """Say that something of the client's has another effect than it was sent for, or none."""
        self.effects.append(ReportMismatch(sentence, code))

    def send(self, message: Message, generation: GenerationId | None = None) -> None:
        """Say something to the client; what names a generation is purged when it is cancelled."""
        self.effects.append(Send(message, generation))
