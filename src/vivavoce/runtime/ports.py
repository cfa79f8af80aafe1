"""Interfaces of a connection: transport, dialect, checkpoint store and meter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vivavoce.core.events import ClientInput
from vivavoce.core.messages import Message
from vivavoce.domain.checkpoint import Checkpoint


class Disconnected(Exception):
    """The client is gone; raised by `receive` and `send`, with the close code it gave."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """Receives and sends the frames of one client."""

    async def receive(self) -> bytes | str:
        """Return the next frame. Raises `Disconnected`."""
        ...

    async def send(self, frame: bytes) -> None:
        """Send a frame; waits while the client reads slowly. Raises `Disconnected`."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close with a code and a reason, which is cut to what a frame can hold."""
        ...


class Dialect(Protocol):
    """Decodes what a client sends after its setup, and encodes what it is sent."""

    def is_light(self, frame: bytes | str) -> bool:
        """Return whether a frame is decoded within a few milliseconds, and so on the event loop."""
        ...

    def decode(self, frame: bytes | str) -> Sequence[ClientInput]:
        """Decode a frame into inputs, in order. Raises `ClientFault`."""
        ...

    def report_mismatch(self, sentence: str, code: int = 0, *, quoted: str = "") -> None:
        """Report that something has another effect than the client sent it for, or none.

        It is logged once; with a `code`, a strict dialect raises `ClientFault`. `quoted` is what
        the sentence leaves out of the client's words.
        """
        ...

    def encode(self, message: Message) -> bytes:
        """Encode a message as a frame; empty, and not sent, if the dialect has none for it."""
        ...


class CheckpointStore(Protocol):
    """Saves the checkpoints of one session, under handles that only its client gets to know."""

    async def save_checkpoint(self, checkpoint: Checkpoint, new_handle: bool) -> str | None:
        """Save a checkpoint; returns its handle, which is a new one if `new_handle`.

        `None`: a newer connection holds the session, and nothing was saved. Raises `StoreError`.
        """
        ...

    async def forget_session(self) -> None:
        """Drop the session and its handles. Raises `StoreError`."""
        ...


class Meter(Protocol):
    """Counts a connection's use against the quota of its principal. Nothing here waits."""

    def count_message(self) -> None:
        """Count a message of the client. Raises `ClientFault` where they come too fast."""
        ...

    def count_audio(self, seconds: float) -> None:
        """Count sound, heard or spoken."""
        ...

    def count_tool_calls(self, count: int) -> None:
        """Count calls of functions, the client's and the server's own."""
        ...
