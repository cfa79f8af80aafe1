"""The pace of reads, split frames, and freed memory."""

from __future__ import annotations

import asyncio
import ctypes
from collections.abc import Sequence

import psutil
import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from vivavoce.http.bounded_protocol import (
    FRAGMENT_BYTES,
    IDLE_TURN_READ_S,
    MAX_READ_S,
    MIN_PAUSE_S,
    MIN_READ_BYTES,
    READ_BURST_S,
    READ_SHARE,
    READ_YIELD_AFTER_S,
    FrameSplitter,
    ReadPace,
    trim_heap,
)
from vivavoce.testing.virtual_loop import run_virtually


class Reads:
    """Reads of one connection, each of which takes as long as a test says."""

    def __init__(self, largest: int = 4096) -> None:
        self.now = 0.0
        self.pace = ReadPace(asyncio.get_running_loop(), largest, lambda: self.now)

    async def read(self, count: int, taken_s: float) -> None:
        resumed = asyncio.Event()
        self.pace.begin_read()
        self.now += taken_s
        self.pace.end_read(count)
        if self.pace.pause_reading(resumed.set):
            await resumed.wait()


def test_reads_take_their_share_of_the_loop_after_a_burst() -> None:
    async def run(reads: int, taken_s: float) -> float:
        connection = Reads()
        for _ in range(reads):
            await connection.read(1, taken_s)
        return asyncio.get_running_loop().time()

    burst = int(READ_BURST_S / 0.0001)
    assert run_virtually(run(burst - 1, 0.0001)) == 0
    long = run_virtually(run(10 * burst, 0.0001))
    assert long == pytest.approx(9 * READ_BURST_S / READ_SHARE, abs=2 * MIN_PAUSE_S)


@pytest.mark.parametrize(
    ("taken_s", "others"), [(READ_YIELD_AFTER_S / 2, 0), (2 * READ_YIELD_AFTER_S, 10)]
)
def test_others_go_before_a_connection_whose_reads_took_much(taken_s: float, others: int) -> None:
    async def run() -> int:
        connection, steps = Reads(), 0
        await connection.read(1, taken_s)

        async def go() -> None:
            nonlocal steps
            for _ in range(10):
                steps += 1
                await asyncio.sleep(0)

        other = asyncio.create_task(go())
        await connection.read(1, IDLE_TURN_READ_S)
        before = steps
        await other
        return before

    assert run_virtually(run()) == others


def test_bytes_that_come_one_by_one_gather_while_their_connection_pauses() -> None:
    async def run() -> int:
        connection, pauses = Reads(), 0
        await connection.read(1, READ_BURST_S)
        for _ in range(100):
            before = asyncio.get_running_loop().time()
            await connection.read(1, 0.00002)
            pauses += asyncio.get_running_loop().time() >= before + MIN_PAUSE_S
        return pauses

    assert run_virtually(run()) == 2


@pytest.mark.parametrize(
    ("taken", "size"),
    [
        ([MAX_READ_S], 4096),
        ([8 * MAX_READ_S], 512),
        ([8 * MAX_READ_S, MAX_READ_S / 2], 1024),
        ([8 * MAX_READ_S, *[0.0] * 9], 4096),
        ([100 * MAX_READ_S], MIN_READ_BYTES),
    ],
)
def test_costly_reads_become_small_and_quick_ones_large_again(
    taken: Sequence[float], size: int
) -> None:
    async def run() -> int:
        connection = Reads()
        for taken_s in taken:
            await connection.read(4096, taken_s)
        return connection.pace.size

    assert run_virtually(run()) == size


def test_after_a_large_read_no_more_is_read_than_is_paced() -> None:
    async def run() -> int:
        connection = Reads(largest=2048)
        await connection.read(64 * 1024, 2 * MAX_READ_S)
        return connection.pace.size

    assert run_virtually(run()) == 2048


@pytest.mark.parametrize("taken_s", [2 * READ_YIELD_AFTER_S, 1.0])
def test_a_connection_that_is_lost_leaves_no_timer(taken_s: float) -> None:
    async def run() -> float:
        pace = Reads().pace
        pace._share.count_work(taken_s)
        pace._since_turn_s = taken_s
        assert pace.pause_reading(lambda: pytest.fail("it is gone"))
        pace.close()
        await asyncio.sleep(100)
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == 100


LARGEST = 2**20
PING_FRAME = Frame(Opcode.PING, b"").serialize(mask=True)


def parser(splits: bool) -> ServerProtocol:
    protocol = ServerProtocol(state=OPEN, max_size=LARGEST)
    if splits:
        protocol.reader = FrameSplitter(LARGEST)
    protocol.parser = super(ServerProtocol, protocol).parse()
    next(protocol.parser)
    return protocol


def frames(data: bytes, cut: int, splits: bool = True) -> list[Frame]:
    protocol, received = parser(splits), []
    for piece in _cut(data, cut):
        protocol.receive_data(piece)
        received += protocol.events_received()
    assert protocol.parser_exc is None
    return [frame for frame in received if isinstance(frame, Frame)]


def _cut(data: bytes, size: int) -> list[bytes]:
    return [data[at : at + size] for at in range(0, len(data), size)]


def messages(received: list[Frame]) -> list[tuple[Opcode, bytes]]:
    """Whole messages, each where it ends; what stands between fragments comes first."""
    found: list[tuple[Opcode, bytes]] = []
    opcode, data = Opcode.CONT, b""
    for frame in received:
        if frame.opcode not in (Opcode.CONT, Opcode.TEXT, Opcode.BINARY):
            found.append((frame.opcode, bytes(frame.data)))
            continue
        opcode = opcode if frame.opcode is Opcode.CONT else frame.opcode
        data += frame.data
        if frame.fin:
            found.append((opcode, data))
            data = b""
    return found


def sent(*parts: Frame) -> bytes:
    return b"".join(part.serialize(mask=True) for part in parts)


PATTERN = bytes(range(251)) * (4 * FRAGMENT_BYTES // 251 + 1)


@pytest.mark.parametrize("cut", [1, 7, 4096, 100_000])
@pytest.mark.parametrize("extra", [0, 1, 3, 4, FRAGMENT_BYTES, 2 * FRAGMENT_BYTES + 5])
def test_a_large_frame_is_read_in_fragments_and_means_the_same(extra: int, cut: int) -> None:
    large = PATTERN[: FRAGMENT_BYTES + extra]
    data = sent(
        Frame(Opcode.TEXT, b"before"),
        Frame(Opcode.BINARY, large),
        Frame(Opcode.PING, b"between"),
        Frame(Opcode.BINARY, large, fin=False),
        Frame(Opcode.CONT, large),
        Frame(Opcode.TEXT, b"behind"),
    )
    received = frames(data, cut)
    assert messages(received) == messages(frames(data, 4096, splits=False))
    assert max(len(frame.data) for frame in received) <= FRAGMENT_BYTES


def test_what_is_missing_of_a_frame_may_be_read_at_once() -> None:
    protocol = parser(splits=True)
    reader = protocol.reader
    assert isinstance(reader, FrameSplitter)
    data = sent(Frame(Opcode.TEXT, bytes(4_000)))
    missing = []
    for piece in (data[:1], data[1:2_000], data[2_000:], PING_FRAME[:1], PING_FRAME[1:]):
        protocol.receive_data(piece)
        missing.append(reader.missing)
    assert missing == [0, len(data) - 2_000, 0, 0, 0]


@pytest.mark.parametrize(
    "frame",
    [
        Frame(Opcode.BINARY, bytes(LARGEST + 1)).serialize(mask=True),
        Frame(Opcode.BINARY, bytes(FRAGMENT_BYTES + 1)).serialize(mask=False),
        b"\xc2" + Frame(Opcode.BINARY, bytes(FRAGMENT_BYTES + 1)).serialize(mask=True)[1:],
        b"\x83" + Frame(Opcode.BINARY, bytes(FRAGMENT_BYTES + 1)).serialize(mask=True)[1:],
    ],
    ids=["too large", "not masked", "reserved bit", "reserved opcode"],
)
def test_a_frame_that_breaks_the_rules_is_refused_as_soon_as_without(frame: bytes) -> None:
    one, other = parser(splits=True), parser(splits=False)
    for piece in (frame[:14], frame[14:]):
        one.receive_data(piece)
        other.receive_data(piece)
        assert str(one.parser_exc) == str(other.parser_exc)
    assert one.parser_exc is not None


MIB = 1024 * 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_free_blocks_below_used_ones_are_returned() -> None:
    process = psutil.Process()
    blocks = [bytes(64 * 1024) for _ in range(2000)]
    held = process.memory_info().rss
    kept = blocks[::20]
    del blocks
    trim_heap()
    assert process.memory_info().rss < held - 50 * MIB
    assert len(kept) == 100
