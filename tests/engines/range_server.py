"""A file server on the loopback that serves ranges, breaks transfers off, and misleads."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class FileServer:
    """What the server does: `cuts` are the bytes after which each of the next answers ends."""

    content: bytes
    cuts: list[int] = field(default_factory=list)
    status: int = 200
    ranges: bool = True
    names_length: bool = True
    requested: list[str] = field(default_factory=list)
    """The `Range` header of each request, empty where there was none."""

    url: str = ""


@contextmanager
def serving_file(content: bytes) -> Iterator[FileServer]:
    """Serve `content`, as the yielded settings say, until the end of the block."""
    state = FileServer(content)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            _answer(self, state)

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        state.url = f"http://127.0.0.1:{server.server_address[1]}/toy.gguf"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield state
        finally:
            server.shutdown()
            thread.join()


def _answer(handler: BaseHTTPRequestHandler, state: FileServer) -> None:
    asked = handler.headers.get("Range", "")
    state.requested.append(asked)
    start = 0
    if (found := re.fullmatch(r"bytes=(\d+)-", asked)) and state.ranges:
        start = int(found[1])
    body = state.content[start:]
    if state.status != 200:
        handler.send_response(state.status)
    elif start:
        handler.send_response(206)
        size = len(state.content)
        handler.send_header("Content-Range", f"bytes {start}-{size - 1}/{size}")
    else:
        handler.send_response(200)
    if state.names_length:
        handler.send_header("Content-Length", str(len(body)))
    handler.end_headers()
    handler.wfile.write(body[: state.cuts.pop(0)] if state.cuts else body)
    handler.close_connection = True
