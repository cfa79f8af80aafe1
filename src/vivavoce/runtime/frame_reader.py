"""What a client sends, frame by frame, at the rate at which it is taken."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from vivavoce.domain.audio import AudioChunk
from vivavoce.runtime.metering import Metering
from vivavoce.runtime.ports import Dialect, Incoming, Transport
from vivavoce.runtime.rate_limit import RateLimiter

MANY_OBJECTS = 64
"""Objects in a message that take a few milliseconds to be read."""


class FrameReader:
    """Receives frames and reads what they mean. `rates` say when the next is taken."""

    def __init__(
        self, transport: Transport, dialect: Dialect, metering: Metering, rates: RateLimiter
    ) -> None:
        self._transport = transport
        self._dialect = dialect
        self._metering = metering
        self._rates = rates

    async def read(self) -> tuple[Sequence[Incoming], bool]:
        """What the next frame means, in order, and whether it is nothing but sound.

        Raises `Disconnected`, and `ClientFault` for what cannot be read or comes too fast.
        """
        frame = await self._transport.receive()
        self._metering.message()
        said = await self._decode(frame)
        sound = all(isinstance(incoming, AudioChunk) for incoming in said)
        await self._rates.message(sound)
        await self._rates.share()
        return said, sound

    async def _decode(self, frame: bytes | str) -> Sequence[Incoming]:
        """What a frame means. One with many objects is read in a thread."""
        objects = frame.count("{") if isinstance(frame, str) else frame.count(b"{")
        if objects > MANY_OBJECTS:
            return await asyncio.to_thread(self._decode_here, frame)
        return self._decode_here(frame)

    def _decode_here(self, frame: bytes | str) -> Sequence[Incoming]:
        with self._rates.working():
            return self._dialect.decode(frame)
