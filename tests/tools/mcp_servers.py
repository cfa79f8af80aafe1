"""Real MCP servers for tests: in this process on loopback, or as programs of their own."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import json
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from mcp.server import Server
from mcp.server.mcpserver import MCPServer
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Receive, Scope, Send

Answer = Callable[[Request], Awaitable[Response]]
OBJECT = {"type": "object"}
EXAMPLE = Path(__file__).parents[2] / "examples" / "mcp_server.py"


def free_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextlib.asynccontextmanager
async def serving(app: ASGIApp, port: int = 0) -> AsyncIterator[str]:
    """Serve an application on loopback; its origin."""
    config = uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=1)
    server = uvicorn.Server(config)
    with socket.socket() as listening:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(("127.0.0.1", port))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        try:
            await until(lambda: server.started)
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            await task


@contextlib.asynccontextmanager
async def serving_mcp(
    server: MCPServer[Any] | Server[Any], older: bool = False, port: int = 0
) -> AsyncIterator[str]:
    """Serve an MCP server; its address. An `older` one keeps sessions and knows no discovery."""
    app: ASGIApp = server.streamable_http_app()
    async with serving(_older(app) if older else app, port) as origin:
        yield f"{origin}/mcp"


def _older(app: ASGIApp) -> ASGIApp:
    """The same as it was before 2026: what asks for discovery is not found."""

    async def answer(scope: Scope, receive: Receive, send: Send) -> None:
        if (b"mcp-method", b"server/discover") in scope.get("headers", ()):
            await PlainTextResponse("?", 404)(scope, receive, send)
        else:
            await app(scope, receive, send)

    return answer


@contextlib.asynccontextmanager
async def program(port: int) -> AsyncIterator[asyncio.subprocess.Process]:
    """The example as a program of its own, which may be killed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(EXAMPLE), "--port", str(port), stderr=asyncio.subprocess.DEVNULL
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def until(condition: Callable[[], bool], within_s: float = 15.0) -> None:
    """Wait for something that other tasks bring about."""
    async with asyncio.timeout(within_s):
        while not condition():  # noqa: ASYNC110 (there is nothing to be told by)
            await asyncio.sleep(0.01)


def count_logged(caplog: pytest.LogCaptureFixture, message: str, **fields: object) -> int:
    """Count the lines of the log with this message and these fields."""
    lines = [vars(record) for record in caplog.records if record.getMessage() == message]
    return sum(fields.items() <= line.items() for line in lines)


def app(answer: Answer) -> ASGIApp:
    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            await (await answer(Request(scope, receive)))(scope, receive, send)

    return serve


def scripted_server(**results: dict[str, Any]) -> ASGIApp:
    """A server by hand, with a tool for each result, which nothing checks on its way out."""
    answers: dict[str, dict[str, Any]] = {
        "initialize": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "odd", "version": "1"},
        },
        "tools/list": {"tools": [{"name": name, "inputSchema": OBJECT} for name in results]},
    }

    async def answer(request: Request) -> Response:
        message = await request.json()
        if "id" not in message:
            return Response(status_code=202)
        reply = {"jsonrpc": "2.0", "id": message["id"]}
        if message["method"] == "tools/call":
            result = results[message["params"]["name"]]
        elif (result := answers.get(message["method"], {})) == {}:
            return JSONResponse(reply | {"error": {"code": -32601, "message": "?"}})
        if message["method"] == "tools/call" and message["params"]["name"] == "packed":
            body = gzip.compress(json.dumps(reply | {"result": result}).encode())
            packed = {"content-encoding": "gzip"}
            return Response(body, media_type="application/json", headers=packed)
        if message["method"] == "tools/call" and message["params"]["name"] == "streamed":
            event = f"event: message\ndata: {json.dumps(reply | {'result': result})}\n\n"
            return Response(event, media_type="text/event-stream")
        return JSONResponse(reply | (result if "error" in result else {"result": result}))

    return app(answer)


def text_result(text: str) -> dict[str, Any]:
    return {"content": [{"type": "text", "text": text}]}
