"""Whether namespaces may be made is asked of the kernel, on a system that forbids them too."""

from __future__ import annotations

import subprocess
import sys

from engines.bwrap import program
from vivavoce.engines.bubblewrap.interpreter import namespaces_forbidden

ASKING = """
import asyncio, sys
from vivavoce.engines.bubblewrap import NamespacesForbidden, create
from vivavoce.engines.bubblewrap.interpreter import namespaces_forbidden

async def main():
    print(await namespaces_forbidden())
    try:
        await create({"program": sys.argv[1]}, None)
    except NamespacesForbidden as missing:
        print(missing.fix)

asyncio.run(main())
"""


def told(*without: str) -> str:
    """What is told of it by a Python that bubblewrap has started, with more or less rights."""
    outside = [program(), "--unshare-user", "--die-with-parent", *without, "--dev-bind", "/", "/"]
    inside = [sys.executable, "-c", ASKING, program()]
    done = subprocess.run([*outside, *inside], capture_output=True, text=True, timeout=60)
    assert not done.returncode, done.stderr
    return done.stdout


async def test_they_are_permitted_where_a_sandbox_works() -> None:
    assert program()
    assert not await namespaces_forbidden()


def test_where_they_are_forbidden_that_is_found_out_and_the_fix_is_said() -> None:
    answer, _, fix = told("--disable-userns").partition("\n")
    assert answer == "True"
    assert "seccomp profile" in fix
    assert "monty" in fix
