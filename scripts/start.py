"""Install, fetch what the embedded engines need, start the server and talk to it.

    python3 scripts/start.py          and keep serving until Ctrl-C

    --once            stop after the conversation
    --port NUMBER     port to serve on; 0 takes a free one
    --profile NAME    engines that answer: embedded, scripted, or your own
    --out FILE        WAV for the answers; default: answer.wav
    --wait SECONDS    timeout while waiting for the server
    --plain           print a line for each event, without colors or redrawing

Needs Python 3.11 and pip, about 2 GB of disk and of memory, nothing else. Downloads 150 MB of
Python packages and 640 MB of weights once; twice as much where four cores and 6 GiB of memory let
it use the larger language model.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import environment

PORT = "8482"


def main() -> int:
    """The exit code of `vivavoce demo`."""
    if "--help" in sys.argv[1:]:
        print(__doc__)  # before anything is installed
        return 0
    environment.require_python()
    if not environment.is_installed():
        check_port(sys.argv[1:])
    python = str(environment.ready())
    command = [python, "-m", "vivavoce", "demo", *sys.argv[1:]]
    if os.name != "nt":
        # In our place, so that Ctrl-C and signals reach the server alone.
        os.execv(python, command)
    return subprocess.run(command).returncode


def check_port(arguments: list[str]) -> None:
    """End with a sentence if a server has the port already, before minutes go into installing.

    A port that a configuration file may set is left to `vivavoce demo`, which looks again.
    """
    if os.path.exists("vivavoce.toml") or "VIVAVOCE_CONFIG" in os.environ:
        return
    host = os.environ.get("VIVAVOCE_SERVER__HOST", "127.0.0.1")
    port = os.environ.get("VIVAVOCE_SERVER__PORT", PORT)
    for number, argument in enumerate(arguments):
        if argument.startswith("--port"):
            port = argument.partition("=")[2] or "".join(arguments[number + 1 : number + 2])
    if not port.isdigit() or not 0 < int(port) < 65536:
        return  # any free one, or a mistake that `vivavoce demo` describes
    try:
        socket.create_connection((host, int(port)), 1.0).close()
    except OSError:
        return
    environment.fail(
        f"{host}:{port} is in use by another server. Stop that one, or choose another port: "
        "python3 scripts/start.py --port NUMBER"
    )


if __name__ == "__main__":
    raise SystemExit(environment.interruptible(main))
