"""Send queue of one client: bound, purge and send messages.

Generations wait while more than `HIGH_WATER_BYTES` are queued, so that a slow client slows the
engine and fills no memory. A client that reads nothing for `STALL_TIMEOUT_S`, or lets `MAX_BYTES`
pile up in messages without a pace, is closed.

Messages are encoded only when they leave, so an interruption costs nothing: whatever is queued of
the interrupted answer is dropped, and `interrupted` is next. While an interruption is being
decided the output is held, and released in its order if it was none.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from vivavoce.core.messages import (
    Grounding,
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    ModelCode,
    ModelCodeResult,
    ModelText,
    OutputTranscript,
    ServerCall,
    ServerResponse,
    TurnComplete,
    UrlContext,
    VoiceActivity,
)
from vivavoce.domain.ids import GenerationId
from vivavoce.errors import ClientFault
from vivavoce.runtime.ports import Dialect, Transport
from vivavoce.runtime.rate_limit import LoopShare

HIGH_WATER_BYTES = 1024 * 1024
MAX_BYTES = 8 * 1024 * 1024
STALL_TIMEOUT_S = 10.0

SLOW_CLIENT = "The client does not read what it is sent."

_Entry = tuple[Message, GenerationId | None, int]


class Outbox:
    """Send queue of one connection; `sent` is called with every message that was sent.

    Writing is counted as the connection's `share` of the event loop.
    """

    def __init__(self, sent: Callable[[Message], None], share: LoopShare | None = None) -> None:
        self.bytes = 0
        self._entries: deque[_Entry] = deque()
        self._sent = sent
        self.share = share or LoopShare(0)
        self._finished = False
        self._more = asyncio.Event()
        self._room = asyncio.Event()
        self._room.set()
        self._overflowed = False
        self._held = False

    def put_message(self, message: Message, generation: GenerationId | None = None) -> None:
        """Append a message to the queue. `Interrupted` drops the unsent answer it interrupts."""
        if self._finished:
            return
        if isinstance(message, Interrupted):
            self._drop_open_turn()
        size = _size(message)
        self._entries.append((message, generation, size))
        self._count(size)
        self._more.set()

    def purge_generation(self, generation: GenerationId) -> None:
        """Drop the queued output of a generation."""
        self._keep(lambda entry: entry[1] != generation or not _is_output(entry[0]))

    def hold_output(self, held: bool) -> None:
        """Hold the output of the open answer and all that is queued behind it, or release it."""
        self._held = held
        self._more.set()

    def finish(self) -> None:
        """Accept no more messages: `run` returns once all are sent."""
        self._finished = True
        self._more.set()

    @property
    def full(self) -> bool:
        """True if so much is queued that generations should wait."""
        return self.bytes >= HIGH_WATER_BYTES

    async def wait_for_room(self) -> None:
        """Wait until there is room for more output."""
        while self.full and not self._finished:
            self._room.clear()
            await self._room.wait()

    async def run(self, transport: Transport, dialect: Dialect) -> None:
        """Send until finished. Raises `Disconnected`, or `ClientFault` for a client that stalls."""
        while True:
            while self._entries and not self._waits():
                message, _, size = self._entries.popleft()
                self._count(-size)
                with self.share.working():
                    frame = dialect.encode(message)
                if frame:
                    await _hand_over(frame, transport)
                    self._sent(message)
                if self._overflowed:
                    raise ClientFault(1008, SLOW_CLIENT)
                await self.share.yield_to_loop()
            if self._finished:
                return
            self._more.clear()
            await self._more.wait()

    def _waits(self) -> bool:
        """Whether the next message is held; an outbox that finishes holds nothing."""
        return self._held and not self._finished and not isinstance(self._entries[0][0], _PASSING)

    def _count(self, change: int) -> None:
        self.bytes += change
        if self.bytes > MAX_BYTES:
            self._overflowed = True
        if not self.full:
            self._room.set()

    def _keep(self, wanted: Callable[[_Entry], bool]) -> None:
        kept = [entry for entry in self._entries if wanted(entry)]
        self._entries = deque(kept)
        self._count(sum(entry[2] for entry in kept) - self.bytes)

    def _drop_open_turn(self) -> None:
        """Drop the queued output of the turn whose `turnComplete` is not queued."""
        index = len(self._entries)
        while index and not isinstance(self._entries[index - 1][0], TurnComplete):
            index -= 1
        closed = {id(entry) for _, entry in zip(range(index), self._entries, strict=False)}
        self._keep(lambda entry: id(entry) in closed or not _is_output(entry[0]))


async def _hand_over(frame: bytes, transport: Transport) -> None:
    try:
        async with asyncio.timeout(STALL_TIMEOUT_S):
            await transport.send(frame)
    except TimeoutError:
        raise ClientFault(1008, SLOW_CLIENT) from None


_OUTPUT = (
    ModelAudio, ModelText, OutputTranscript, ModelCode, ModelCodeResult, ServerCall,
    ServerResponse, Grounding, UrlContext,
)  # fmt: skip


_PASSING = (Interrupted, InputTranscript, VoiceActivity)
"""Messages about the user, which are not held."""


def _is_output(message: Message) -> bool:
    """Return whether a message is dropped with its answer; the end of a transcript is not."""
    ends = isinstance(message, OutputTranscript) and message.finished
    return isinstance(message, _OUTPUT) and not ends


def _size(message: Message) -> int:
    """Estimate the bytes of a message in memory; audio is encoded in base64 later."""
    match message:
        case ModelAudio(pcm=pcm):
            return len(pcm) + 200
        case ModelText(text=text) | OutputTranscript(text=text) | ModelCode(code=text):
            return len(text) + 200
        case ModelCodeResult(output=output):
            return len(output) + 200
        case ServerResponse(response=response):
            return len(str(response)) + 200
        case Grounding(sources=sources):
            return sum(len(source.text) + 400 for source in sources) + 400
        case _:
            return 400
