"""What a client sends, frame by frame, at the rate at which it is taken."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from vivavoce.core.events import ClientInput
from vivavoce.domain.audio import AudioChunk
from vivavoce.runtime.decoding import run_in_decoder
from vivavoce.runtime.ports import Dialect, Transport
from vivavoce.runtime.rate_limit import RateLimiter
from vivavoce.runtime.usage_metering import UsageMetering


class FrameReader:
    """Receives frames and reads what they mean. `rates` say when the next is taken."""

    def __init__(
        self, transport: Transport, dialect: Dialect, metering: UsageMetering, rates: RateLimiter
    ) -> None:
        self._transport = transport
        self._dialect = dialect
        self._metering = metering
        self._rates = rates

    async def read(self) -> tuple[Sequence[ClientInput], bool]:
        """What the next frame means, in order, and whether it is nothing but sound.

        Raises `Disconnected`, and `ClientFault` for what cannot be read or comes too fast.
        """
        frame = await self._transport.receive()
        self._metering.message()
        said = await self._decode(frame)
        sound = bool(said) and all(isinstance(incoming, AudioChunk) for incoming in said)
        await self._rates.message(sound)
        await self._rates.loop.repay()
        await self._rates.loop.give_way()
        return said, sound

    async def _decode(self, frame: bytes | str) -> Sequence[ClientInput]:
        """What a frame means, read in a thread where that may take long."""
        if self._dialect.is_light(frame):
            with self._rates.loop.working():
                return self._dialect.decode(frame)
        measure = partial(self._rates.loop.measure, partial(self._dialect.decode, frame))
        said, taken_s = await run_in_decoder(measure)
        self._rates.loop.count_work(taken_s)
        return said
