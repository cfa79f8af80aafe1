"""ASGI's quirks, behind the transport that the runtime knows."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from vivavoce.http import websocket as edge_socket
from vivavoce.http.websocket import AsgiWebSocket
from vivavoce.runtime.ports import Disconnected


class Server:
    """An ASGI server's side: messages to give, messages taken, and how it fails."""

    def __init__(self, *messages: dict[str, Any]) -> None:
        self.messages = list(messages)
        self.taken: list[Any] = []
        self.failure: Exception | None = None
        self.stuck = False

    async def receive(self) -> Any:
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        if self.stuck:
            await asyncio.Event().wait()
        if self.failure is not None:
            raise self.failure
        self.taken.append(message)


def opened(server: Server, text: bool = False) -> AsgiWebSocket:
    return AsgiWebSocket(server.receive, server.send, text)


async def test_frames_of_both_kinds_are_received() -> None:
    received = {"type": "websocket.receive"}
    server = Server(
        received | {"text": "a"},
        received | {"bytes": b"b"},
        received | {"bytes": b"", "text": None},
        received | {"bytes": None, "text": "c"},
    )
    socket = opened(server)

    assert [await socket.receive() for _ in range(4)] == ["a", b"b", b"", "c"]


async def test_a_peer_that_leaves_is_disconnected_with_its_code() -> None:
    socket = opened(Server({"type": "websocket.disconnect", "code": 1000, "reason": "bye"}))

    with pytest.raises(Disconnected) as gone:
        await socket.receive()
    assert (gone.value.code, gone.value.reason, socket.closed) == (1000, "bye", 1000)


@pytest.mark.parametrize("failure", [OSError("gone"), RuntimeError("after close")])
async def test_whatever_the_server_raises_for_a_peer_that_left_is_one_thing(
    failure: Exception,
) -> None:
    server = Server()
    server.failure = failure

    with pytest.raises(Disconnected):
        await opened(server).send(b"{}")


async def test_a_close_is_sent_once_and_cut_to_what_a_frame_holds() -> None:
    server = Server()
    socket = opened(server)

    await socket.close(1008, "ü" * 100)
    await socket.close(1011, "again")

    (message,) = server.taken
    assert message == {"type": "websocket.close", "code": 1008, "reason": "ü" * 61}


async def test_a_close_behind_unread_output_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(edge_socket, "CLOSE_TIMEOUT_S", 0.01)
    server = Server()
    server.stuck = True

    with pytest.raises(TimeoutError):
        await opened(server).close(1008, "slow")


async def test_frames_are_binary_or_text_as_chosen() -> None:
    server = Server()
    await opened(server).send(b"{}")
    await opened(server, text=True).send(b"{}")

    assert server.taken == [
        {"type": "websocket.send", "bytes": b"{}"},
        {"type": "websocket.send", "text": "{}"},
    ]
