"""Which files a Python needs, so that it can be given those and no others."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import DEVNULL, PIPE
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEM = Path("/usr")
PLACE = Path("/python")
PACKAGES = Path("/packages")

_LIMIT_S = 30.0
_NAMED = 40
_ASK = """
import importlib.metadata, json, os, site, sys
program = getattr(sys, "_base_executable", None) or sys.executable
print(json.dumps({
    "program": os.path.realpath(program),
    "base": sys.base_prefix,
    "version": "%d.%d" % sys.version_info[:2],
    "packages": site.getsitepackages(),
    "names": sorted({each.metadata["Name"] or "" for each in importlib.metadata.distributions()}),
}))
"""


@dataclass(frozen=True, slots=True)
class Interpreter:
    """`program` without links, the folder that it was installed into, folders of packages.

    `version` is like `3.11`, `names` are the packages as their distributors call them.
    """

    program: Path
    base: Path
    version: str
    packages: tuple[Path, ...] = ()
    names: tuple[str, ...] = ()

    @property
    def abilities(self) -> str:
        """What a model is told of it."""
        text = f"It is Python {self.version} with its standard library, in one process"
        if self.names:
            some = ", ".join(self.names[:_NAMED])
            text += f", and with the packages {some}{' and others' * (len(self.names) > _NAMED)}"
        return f"{text}."

    @property
    def inside(self) -> Path:
        """Where the program is found in the sandbox."""
        return self.program if self.base == SYSTEM else PLACE / "bin" / "python3"

    def mounts(self) -> list[tuple[Path, Path]]:
        """What has to be readable, and where: itself, its library, the packages.

        A Python of the system's stays where it is. Another one is found at `PLACE`, since its
        own folder tells whose machine this is, and tracebacks tell the folder.
        """
        found = [(self.program, self.inside)]
        if self.base != SYSTEM:
            for name in ("lib", "lib64"):
                if (self.base / name).is_dir():
                    found.append((self.base / name, PLACE / name))
        return found + list(zip(self.packages, self.packages_inside(), strict=True))

    def packages_inside(self) -> list[Path]:
        """Where the folders of packages are found in the sandbox."""
        return [PACKAGES / str(number) for number, _ in enumerate(self.packages)]


def servers_own() -> Interpreter:
    """The Python that runs the server, without any package."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    version = "{}.{}".format(*sys.version_info)
    return Interpreter(Path(os.path.realpath(base)), Path(sys.base_prefix), version)


async def ask(python: str) -> Interpreter:
    """What the program `python` says of itself, packages included. Raises `OSError`."""
    process = await asyncio.create_subprocess_exec(
        python, "-I", "-c", _ASK, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    try:
        told: dict[str, Any] = json.loads(said)
        return Interpreter(
            Path(told["program"]),
            Path(told["base"]),
            told["version"],
            tuple(map(Path, told["packages"])),
            tuple(name for name in told["names"] if name not in ("", "pip", "setuptools")),
        )
    except (ValueError, KeyError, TypeError) as failure:
        raise OSError("it does not answer like a Python") from failure
