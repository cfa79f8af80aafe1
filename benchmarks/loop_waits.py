"""What a flood takes of the event loop while others wait for their first sound.

    python benchmarks/loop_waits.py [FLOOD ...] [--starts 25] [--seconds 0.25] [--talkers 4]

Processor time of the server's event loop between the arrival of a typed turn and the first audio
that is sent for it: the turn's own work, and what others did meanwhile, also while it waited for a
thread. A machine that is busy with other things changes it less than the waits of `floods.py`. Each
flood begins `--starts` times beside the talkers; turns that end within it count. `none` is the
talkers alone.
"""

from __future__ import annotations

import argparse
import json
import os
import runpy
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))  # the root, for a script

from benchmarks.flood_clients import FLOODS, Target
from benchmarks.floods import percentile, talking

from vivavoce.bench.server_process import wait_until_ready

PORT = 18_487
BETWEEN_S = 0.4
"""So long the talkers have the server for themselves again."""


def serve(port: int) -> None:
    """Our server, which answers each line of its standard input with the waits since the last."""
    from vivavoce.http.uvicorn_protocols import LiveSocket

    waits: list[float] = []
    arrived: dict[int, float] = {}
    take, send = LiveSocket.send_receive_event_to_app, LiveSocket.send

    def noted(socket: LiveSocket) -> None:
        if any(b'"hello"' in frame for frame in socket.frames):
            arrived[id(socket)] = time.thread_time()
        take(socket)

    async def sent(socket: LiveSocket, message: Any) -> None:
        content = message.get("bytes") or (message.get("text") or "").encode()
        if b'"modelTurn"' in content and (began := arrived.pop(id(socket), None)) is not None:
            waits.append(time.thread_time() - began)
        await send(socket, message)

    def report() -> None:
        for _ in sys.stdin:
            print(f"waits {json.dumps(waits)}", flush=True)
            waits.clear()

    LiveSocket.send_receive_event_to_app = noted  # type: ignore[assignment, method-assign]
    LiveSocket.send = sent  # type: ignore[assignment, method-assign]
    threading.Thread(target=report, daemon=True).start()
    sys.argv = ["vivavoce", "serve", "--port", str(port)]
    runpy.run_module("vivavoce", run_name="__main__")


def measure(name: str, starts: int, seconds: float, talkers: int) -> list[float]:
    """The waits within `starts` floods, in seconds."""
    found: list[float] = []
    with tempfile.TemporaryDirectory() as folder:
        state = {"VIVAVOCE_PROFILE": "scripted", "VIVAVOCE_STORE__PATH": f"{folder}/state.sqlite3"}
        log = Path(folder) / "server.log"
        command = [sys.executable, __file__, "--serve"]
        with (
            log.open("wb") as errors,
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors,
                env=os.environ | state,
            ) as server,
        ):  # fmt: skip
            try:
                wait_until_ready(server, PORT, log)
                with talking(PORT, talkers) as others:
                    others.measured_for(1.0)
                    for _ in range(starts):
                        time.sleep(BETWEEN_S)
                        waits_of(server)
                        if name == "none":
                            time.sleep(seconds)
                        else:
                            FLOODS[name](Target(PORT, seconds))
                        found += waits_of(server)
            finally:
                server.terminate()
    return found


def waits_of(server: subprocess.Popen[bytes]) -> list[float]:
    """The waits since this was last asked."""
    assert server.stdin is not None
    assert server.stdout is not None
    server.stdin.write(b"\n")
    server.stdin.flush()
    while not (line := server.stdout.readline()).startswith(b"waits "):
        if not line:
            raise SystemExit("The server ended.")
    return list(json.loads(line[6:]))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("floods", nargs="*", metavar="FLOOD", help=f"none, {', '.join(FLOODS)}")
    parser.add_argument("--starts", type=int, default=25)
    parser.add_argument("--seconds", type=float, default=0.25)
    parser.add_argument("--talkers", type=int, default=4)
    parser.add_argument("--serve", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.serve:
        serve(PORT)
        return
    print("| flood | turns | p50, ms | p90, ms |\n|---|---|---|---|")
    for name in options.floods or ["none", *FLOODS]:
        found = measure(name, options.starts, options.seconds, options.talkers)
        middle, late = (percentile(found, share) * 1e3 for share in (0.5, 0.9))
        print(
            f"| {name.replace('-', ' ')} | {len(found)} | {middle:.1f} | {late:.1f} |", flush=True
        )


if __name__ == "__main__":
    main()
