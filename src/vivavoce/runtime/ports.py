"""Interfaces of a connection: transport, dialect, checkpoint store and meter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from vivavoce.core.events import ClientInput
from vivavoce.core.messages import Message
from vivavoce.domain.checkpoint import Checkpoint


class Disconnected(Exception):
    """Error of `receive` and `send` when the client is gone, with its close code."""

    def __init__(self, code: int, reason: str = "") -> None:
        super().__init__(f"{code} {reason}".strip())
        self.code = code
        self.reason = reason


class Transport(Protocol):
    """Port to one client's WebSocket: receives and sends frames."""

    async def receive(self) -> bytes | str:
        """Return the next frame. Raises `Disconnected`."""
        ...

    async def send(self, frame: bytes) -> None:
        """Send a frame; waits while the client reads slowly. Raises `Disconnected`."""
        ...

    async def close(self, code: int, reason: str) -> None:
        """Close with a code and a reason, which is truncated to fit the close frame."""
        ...


class Dialect(Protocol):
    """Port to the wire format: decodes client messages after the setup, encodes server messages."""

    def is_light(self, frame: bytes | str) -> bool:
        """Return whether decoding a frame takes few milliseconds, so that it can block the loop."""
        ...

    def decode(self, frame: bytes | str) -> Sequence[ClientInput]:
        """Decode a frame into inputs, in order. Raises `ClientFault`."""
        ...

    def report_mismatch(self, sentence: str, code: int = 0, *, quoted: str = "") -> None:
        """Report client input that has another effect than intended, or none.

        It is logged once; with a `code`, a strict dialect raises `ClientFault`. `quoted` is what
        the sentence leaves out of the client's words.
        """
        ...

    def encode(self, message: Message) -> bytes:
        """Encode a message as a frame; empty, and not sent, if the dialect has no such message."""
        ...


class CheckpointStore(Protocol):
    """Port to the store of one session's checkpoints, under handles that only its client knows."""

    async def save_checkpoint(self, checkpoint: Checkpoint, new_handle: bool) -> str | None:
        """Save a checkpoint; returns its handle, which is a new one if `new_handle`.

        `None`: a newer connection holds the session, and nothing was saved. Raises `StoreError`.
        """
        ...

    async def forget_session(self) -> None:
        """Delete the session and its handles. Raises `StoreError`."""
        ...


class Meter(Protocol):
    """Port that counts a connection's use against the quota of its key. Nothing here waits."""

    def count_message(self) -> None:
        """Count a message of the client. Raises `ClientFault` if they come too fast."""
        ...

    def count_audio(self, seconds: float) -> None:
        """Count audio, received or sent."""
        ...

    def count_tool_calls(self, count: int) -> None:
        """Count calls of functions, the client's and the server's own."""
        ...
