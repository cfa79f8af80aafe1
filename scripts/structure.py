"""Count the source's files, lines and imports, and the modules that one input passes through.

    .venv/bin/python scripts/structure.py            counts, by package and in all
    .venv/bin/python scripts/structure.py --walks    and three walks through a running server

A walk is the sequence of the project's modules whose functions run while a server with the scripted
engines handles one message on its event loop: a piece of sound, a function's result, a setup with a
handle. A return is a step into a module that the walk has left before. Of a handle's walk those
modules are counted, too, that are given the handle, or the checkpoint for which it stands.
"""

from __future__ import annotations

import argparse
import ast
import asyncio
import base64
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

SOURCE = Path(__file__).resolve().parent.parent / "src" / "vivavoce"
LIVE = "/ws/google.ai.generativelanguage.v1beta.GenerativeService.BidiGenerateContent"
SETTLE_S = 0.3
"""Patience for work that follows a message: checkpoints, transcripts."""


@dataclass
class ImportGraph:
    """Modules by name, with their lines and the modules of the project that each imports."""

    lines: dict[str, int] = field(default_factory=dict)
    imports: dict[str, set[str]] = field(default_factory=dict)

    def by_package(self) -> dict[str, set[str]]:
        """The packages that each package imports."""
        packages: dict[str, set[str]] = {}
        for name, targets in self.imports.items():
            own = package_of(name)
            packages.setdefault(own, set()).update({package_of(each) for each in targets} - {own})
        return packages


def package_of(name: str) -> str:
    return name.split(".")[0]


def read_imports(source: Path) -> ImportGraph:
    """The graph of the package at `source`; imports under `TYPE_CHECKING` count too."""
    graph = ImportGraph()
    paths = {}
    for path in sorted(source.rglob("*.py")):
        name = ".".join(path.relative_to(source).with_suffix("").parts)
        paths[name.removesuffix(".__init__")] = path
    for name, path in paths.items():
        text = path.read_text("utf-8")
        graph.lines[name] = text.count("\n")
        found = set(_imported(ast.parse(text), set(paths)))
        graph.imports[name] = found - {name}
    return graph


def _imported(tree: ast.AST, known: set[str]) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("vivavoce"):
            base = (node.module or "").removeprefix("vivavoce").removeprefix(".")
            for alias in node.names:
                inner = f"{base}.{alias.name}".removeprefix(".")
                if inner in known:
                    yield inner
                elif base in known:
                    yield base
        elif isinstance(node, ast.Import):
            for alias in node.names:
                name = alias.name.removeprefix("vivavoce.")
                if name in known:
                    yield name


def find_cycles(imports: dict[str, set[str]]) -> list[list[str]]:
    """The sets of nodes that reach each other, largest first (Tarjan's algorithm)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    found: list[list[str]] = []

    def visit(node: str) -> None:
        index[node] = low[node] = len(index)
        stack.append(node)
        for target in sorted(imports.get(node, ())):
            if target not in index:
                visit(target)
                low[node] = min(low[node], low[target])
            elif target in stack:
                low[node] = min(low[node], index[target])
        if low[node] == index[node]:
            members = stack[stack.index(node) :]
            del stack[stack.index(node) :]
            if len(members) > 1:
                found.append(sorted(members))

    for node in sorted(imports):
        if node not in index:
            visit(node)
    return sorted(found, key=len, reverse=True)


@dataclass
class Walk:
    """The modules through which one message went, in order, without repetitions in a row.

    `carriers` are those with a function that was given what `carries` finds.
    """

    modules: list[str] = field(default_factory=list)
    carries: Callable[[object], bool] = lambda value: False
    carriers: list[str] = field(default_factory=list)

    @property
    def distinct(self) -> int:
        return len(set(self.modules))

    @property
    def returns(self) -> int:
        """Steps into a module that was left before."""
        return len(self.modules) - self.distinct

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record the calls on the event loop's thread meanwhile."""
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(None)

    def _note(self, frame: FrameType, event: str, argument: object) -> None:
        path = frame.f_code.co_filename
        if event != "call" or not path.startswith(str(SOURCE)):
            return
        name = ".".join(Path(path).relative_to(SOURCE).with_suffix("").parts)
        if not self.modules or self.modules[-1] != name:
            self.modules.append(name)
        if name not in self.carriers:
            given = (value for key, value in frame.f_locals.items() if key != "self")
            if any(self.carries(value) for value in given):
                self.carriers.append(name)


def _holds_session(handle: str, value: object) -> bool:
    """Whether `value` holds the handle, or the checkpoint for which it stands."""
    if type(value).__name__ in ("Checkpoint", "SavedSession"):
        return True
    try:
        return handle in repr(value)
    except Exception:  # an object that is being made
        return False


async def walk_server() -> dict[str, Walk]:
    """The three walks through a server of this process, reached over loopback."""
    from websockets.asyncio.client import connect

    from vivavoce.config.loading import load_config
    from vivavoce.server import Server

    flags = {"server.port": 0, "profile": "scripted", "server.tls.enabled": False}
    walks = {name: Walk() for name in ("audio chunk", "tool response", "resumption handle")}
    server = Server(load_config(None, flags), say=lambda line: None)
    await server.start()
    try:
        address = server.url("ws") + LIVE
        declared = {"functionDeclarations": [{"name": "light", "parameters": {"type": "OBJECT"}}]}
        setup: dict[str, Any] = {"model": "models/any", "tools": [declared]}
        setup |= {"generationConfig": {"responseModalities": ["TEXT"]}, "sessionResumption": {}}
        async with connect(address, max_size=None) as client:
            await _send(client, {"setup": setup})
            await _receive(client, lambda message: "setupComplete" in message)
            sound = base64.b64encode(bytes(3200)).decode()
            blob = {"data": sound, "mimeType": "audio/pcm;rate=16000"}
            with walks["audio chunk"].recorded():
                await _send(client, {"realtimeInput": {"audio": blob}})
                await asyncio.sleep(SETTLE_S)
            turn = {"role": "user", "parts": [{"text": "call light {}"}]}
            await _send(client, {"clientContent": {"turns": [turn], "turnComplete": True}})
            called = await _receive(client, lambda message: "toolCall" in message)
            call = called["toolCall"]["functionCalls"][0]
            answer = {"id": call["id"], "name": "light", "response": {"on": True}}
            with walks["tool response"].recorded():
                await _send(client, {"toolResponse": {"functionResponses": [answer]}})
                await _receive(client, _completes_turn)
            update = await _receive(client, _offers_handle)
            handle = update["sessionResumptionUpdate"]["newHandle"]
        setup["sessionResumption"] = {"handle": handle}
        await asyncio.sleep(SETTLE_S)  # the first connection's own end is no part of the walk
        walks["resumption handle"].carries = partial(_holds_session, handle)
        async with connect(address, max_size=None) as client:
            with walks["resumption handle"].recorded():
                await _send(client, {"setup": setup})
                await _receive(client, lambda message: "setupComplete" in message)
    finally:
        await server.stop(drain_s=0)
    return walks


def _completes_turn(message: dict[str, Any]) -> bool:
    return bool(message.get("serverContent", {}).get("turnComplete"))


def _offers_handle(message: dict[str, Any]) -> bool:
    return bool(message.get("sessionResumptionUpdate", {}).get("newHandle"))


async def _send(client: Any, message: dict[str, Any]) -> None:
    await client.send(json.dumps(message))


async def _receive(client: Any, wanted: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The next message for which `wanted` is true."""
    async with asyncio.timeout(10):
        while True:
            message: dict[str, Any] = json.loads(await client.recv())
            if wanted(message):
                return message


def print_counts(graph: ImportGraph) -> None:
    sizes = sorted(graph.lines.values())
    packages = graph.by_package()
    print(f"{'package':16} {'files':>5} {'lines':>6} {'largest':>7}  imports")
    for package in sorted(packages):
        own = [lines for name, lines in graph.lines.items() if package_of(name) == package]
        targets = ", ".join(sorted(each for each in packages[package] if each))
        print(f"{package or '.':16} {len(own):5} {sum(own):6} {max(own):7}  {targets}")
    print(
        f"{len(sizes)} files, {sum(sizes):,} lines, median {statistics.median(sizes):g}, "
        f"largest {sizes[-1]}"
    )
    arrows = sum(map(len, graph.imports.values()))
    print(f"{arrows} imports between files, {sum(map(len, packages.values()))} between packages")
    for kind, imports in (("packages", packages), ("files", graph.imports)):
        cycles = find_cycles(imports)
        print(f"cycles of {kind}: {'; '.join(', '.join(each) for each in cycles) or 'none'}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--walks", action="store_true", help="walk three messages through a server")
    parser.add_argument("--steps", action="store_true", help="print each walk's modules")
    options = parser.parse_args()
    print_counts(read_imports(SOURCE))
    if options.walks or options.steps:
        with tempfile.TemporaryDirectory() as folder:
            os.environ["VIVAVOCE_STORE__PATH"] = str(Path(folder) / "state.db")
            for name, walk in asyncio.run(walk_server()).items():
                print(f"{name}: {walk.distinct} modules, {walk.returns} returns")
                if walk.carriers:
                    print(f"  carried by {len(walk.carriers)}: {', '.join(walk.carriers)}")
                if options.steps:
                    print("  " + " > ".join(walk.modules))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
