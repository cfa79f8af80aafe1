"""An MCP server with a shopping list, for spoken requests.

.venv/bin/python examples/mcp_server.py            # streamable HTTP on http://127.0.0.1:8765/mcp
.venv/bin/python examples/mcp_server.py --stdio    # as a program that vivavoce starts itself

Configuration:  [tools.mcp.kitchen]
                url = "http://127.0.0.1:8765/mcp"
"""

import argparse
import asyncio
import struct
import zlib

from mcp.server.mcpserver import Image, MCPServer
from mcp.server.mcpserver.exceptions import ToolError

server = MCPServer("kitchen", log_level="WARNING")
shopping: list[str] = []


@server.tool()
def add_to_shopping_list(item: str, quantity: int = 1) -> str:
    """Put something on the shopping list."""
    shopping.append(f"{quantity} {item}")
    return f"{quantity} {item} added, {len(shopping)} on the list."


@server.tool()
def read_shopping_list() -> list[str]:
    """Read everything that stands on the shopping list."""
    return shopping


@server.tool()
def show_color(red: int, green: int, blue: int) -> Image:
    """Show a color as a small picture."""

    row = b"\0" + bytes((red, green, blue)) * 8
    head = struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", head), (b"IDAT", zlib.compress(row * 8)), (b"IEND", b""))
    return Image(data=b"\x89PNG\r\n\x1a\n" + b"".join(map(chunk, chunks)), format="png")


def chunk(named: tuple[bytes, bytes]) -> bytes:
    kind, data = named
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


@server.tool()
async def brew_tea(seconds: float = 3.0) -> str:
    """Brew a pot of tea, which takes its time."""
    await asyncio.sleep(seconds)
    return "The tea is ready."


@server.tool()
def order_shopping() -> str:
    """Have everything on the list delivered."""
    raise ToolError("The shop is closed.")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--stdio", action="store_true")
    parser.add_argument("--port", type=int, default=8765)
    arguments = parser.parse_args()
    if arguments.stdio:
        server.run("stdio")
    else:
        server.run("streamable-http", host="127.0.0.1", port=arguments.port)
