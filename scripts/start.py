"""Install, fetch what the embedded engines need, start the server and talk to it.

    python3 scripts/start.py          and keep serving until Ctrl-C
    python3 scripts/start.py --once   and stop after the conversation

Every further argument goes to `vivavoce demo`. Needs Python 3.11 and pip, nothing else.
"""

from __future__ import annotations

import os
import subprocess
import sys

import environment


def main() -> int:
    """The exit code of `vivavoce demo`."""
    python = str(environment.ready())
    command = [python, "-m", "vivavoce", "demo", *sys.argv[1:]]
    if os.name != "nt":
        # In our place, so that Ctrl-C and signals reach the server and nobody else.
        os.execv(python, command)
    return subprocess.run(command).returncode


if __name__ == "__main__":
    raise SystemExit(main())
