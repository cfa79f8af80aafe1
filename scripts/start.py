"""Install, fetch what the embedded engines need, start the server and talk to it.

    python3 scripts/start.py          and keep serving until Ctrl-C

    --once            stop after the conversation
    --port NUMBER     port to serve on; 0 takes a free one
    --profile NAME    engines that answer: embedded, scripted, or your own
    --out FILE        WAV for the answers; default: answer.wav
    --wait SECONDS    timeout while waiting for the server
    --plain           print a line for each event, without colors or redrawing

Needs Python 3.11 and pip, about 0.6 GB of disk and 1 GB of memory, nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys

import environment


def main() -> int:
    """The exit code of `vivavoce demo`."""
    if "--help" in sys.argv[1:]:
        print(__doc__)  # before anything is installed
        return 0
    python = str(environment.ready())
    command = [python, "-m", "vivavoce", "demo", *sys.argv[1:]]
    if os.name != "nt":
        # In our place, so that Ctrl-C and signals reach the server and nobody else.
        os.execv(python, command)
    return subprocess.run(command).returncode


if __name__ == "__main__":
    raise SystemExit(main())
