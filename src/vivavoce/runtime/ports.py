"""What the runtime asks of the HTTP server: a transport for frames, a dialect to spell them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vivavoce.core.events import ClientInput
from vivavoce.core.messages import Message
from vivavoce.domain.checkpoint import Checkpoint


class Disconnected(Exception):
    """The peer is gone; raised by `receive` and `send`, with the close code it gave."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """One client's frames, both ways."""

    async def receive(self) -> bytes | str:
        """The next frame. Raises `Disconnected`."""
        ...

    async def send(self, frame: bytes) -> None:
        """Hand over a frame; waits while the client reads slowly. Raises `Disconnected`."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close with a code and a reason, which the transport cuts to what a frame can hold."""
        ...


class Dialect(Protocol):
    """Reads what a client said after its setup, and spells what we say."""

    def is_light(self, frame: bytes | str) -> bool:
        """Whether a frame is read within a few milliseconds, and so on an event loop."""
        ...

    def decode(self, frame: bytes | str) -> Sequence[ClientInput]:
        """What the frame means, in order. Raises `ClientFault`."""
        ...

    def report_mismatch(self, sentence: str, code: int = 0, *, quoted: str = "") -> None:
        """Something that the client sent has another effect than it was sent for, or none.

        Told once to the operator; where there is a `code` and the dialect is strict, `ClientFault`.
        `quoted` is what the sentence leaves out of the client's words.
        """
        ...

    def encode(self, message: Message) -> bytes:
        """One frame of JSON; empty, and not to be sent, if the dialect has no words for it."""
        ...


class CheckpointStore(Protocol):
    """Writes one session down, under handles that only its client gets to know."""

    async def save_checkpoint(self, checkpoint: Checkpoint, new_handle: bool) -> str | None:
        """Write it down: the handle, which is a new one if the client is to be told of it.

        `None`: a newer connection holds the session, and nothing was written. Raises `StoreError`.
        """
        ...

    async def forget_session(self) -> None:
        """The session is over for good. Raises `StoreError`."""
        ...


class Meter(Protocol):
    """Counts what a connection takes against what its principal may. Nothing here waits."""

    def count_message(self) -> None:
        """A message of the client's. Raises `ClientFault` where they come too fast."""
        ...

    def count_audio(self, seconds: float) -> None:
        """Sound that was heard or spoken."""
        ...

    def count_tool_calls(self, count: int) -> None:
        """Calls of functions, the client's and the server's own."""
        ...
