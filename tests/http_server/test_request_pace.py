"""Requests that come one behind another take no more than a share of the event loop."""

from __future__ import annotations

import asyncio
from typing import Any

from fuzz.connection_layers import FrameSink, MemoryTransport
from vivavoce.http.http_connection import REQUEST_S
from vivavoce.http.listener import Listener
from vivavoce.http.read_pace import READ_BURST_S, READ_SHARE
from vivavoce.testing.virtual_loop import run_virtually

REQUEST = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
REQUESTS = 1000


def test_pipelined_requests_are_answered_within_the_share_of_their_connection() -> None:
    async def answered_after(seconds: float) -> int:
        listener: Any = Listener(FrameSink(), "127.0.0.1", 0, None)
        transport = MemoryTransport(listener, listener._protocol)
        transport.deliver(REQUEST * REQUESTS)
        await asyncio.sleep(seconds)
        return transport.written.count(b"HTTP/1.1 200")

    allowed = (READ_BURST_S + 1.0 * READ_SHARE) / REQUEST_S
    found = run_virtually(answered_after(1.0))
    assert 0.5 * allowed < found < 1.1 * allowed
    whole = REQUESTS * REQUEST_S / READ_SHARE
    assert run_virtually(answered_after(whole)) == REQUESTS
