"""Large frames reach the parser in fragments, and mean what they meant."""

from __future__ import annotations

import pytest
from websockets.frames import Frame, Opcode
from websockets.protocol import OPEN
from websockets.server import ServerProtocol

from vivavoce.http.frame_splitter import FRAGMENT_BYTES, FrameSplitter

LARGEST = 2**20


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
