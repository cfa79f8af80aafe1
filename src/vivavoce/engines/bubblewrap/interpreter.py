"""Requirements of a sandbox on this machine: the files of a Python, and namespaces."""

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

from vivavoce.errors import EngineMissing

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
        """Description for a model."""
        text = f"It is Python {self.version} with its standard library, in one process"
        if self.names:
            some = ", ".join(self.names[:_NAMED])
            text += f", and with the packages {some}{' and others' * (len(self.names) > _NAMED)}"
        return f"{text}."

    @property
    def inside(self) -> Path:
        """Path of the program in the sandbox."""
        return self.program if self.base == SYSTEM else PLACE / "bin" / "python3"

    def mounts(self) -> list[tuple[Path, Path]]:
        """Pairs of path and place in the sandbox: the program, its library, the packages.

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
        """Paths of the package folders in the sandbox."""
        return [PACKAGES / str(number) for number, _ in enumerate(self.packages)]


def own_interpreter() -> Interpreter:
    """The Python that runs the server, without any package."""
    base = getattr(sys, "_base_executable", None) or sys.executable
    version = "{}.{}".format(*sys.version_info)
    return Interpreter(Path(os.path.realpath(base)), Path(sys.base_prefix), version)


async def query_interpreter(python: str) -> Interpreter:
    """Ask the program `python` for its files and packages. Raises `OSError`."""
    _, said = await _run(python, "-I", "-c", _ASK)
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


# --- namespaces --------------------------------------------------------------------------

# bubblewrap says why it failed in a sentence, of which there are many, and they change. So where it
# failed, a process of ours tries the same: to make the namespaces, to name its user there, and to
# mount something. It is a process of its own, since it can't leave what it makes.
_REFUSED = 77
_TRY = f"""
import ctypes, os, sys

NEW = 0x10000000 | 0x00020000 | 0x08000000 | 0x04000000 | 0x20000000 | 0x40000000
SLAVE = 0x80000 | 0x4000
user, group = os.getuid(), os.getgid()
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(NEW):
    sys.exit({_REFUSED})
try:
    for name, text in (
        ("setgroups", "deny"), ("uid_map", f"65534 {{user}} 1"), ("gid_map", f"65534 {{group}} 1")
    ):
        with open("/proc/self/" + name, "w") as file:
            file.write(text)
except OSError:
    sys.exit({_REFUSED})
if libc.mount(None, b"/", None, SLAVE, None) or libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None):
    sys.exit({_REFUSED})
"""


class NamespacesForbidden(EngineMissing):
    """The kernel or its security module refuses this user the namespaces of a sandbox."""


async def namespaces_forbidden() -> bool:
    """Return whether the kernel refuses namespaces to this user; false if not known."""
    try:
        status, _ = await _run(sys.executable, "-I", "-S", "-c", _TRY)
    except TimeoutError:
        return False
    return status == _REFUSED


async def _run(*command: str) -> tuple[int | None, bytes]:
    """Exit status and standard output of a program. Raises `OSError`, `TimeoutError`."""
    process = await asyncio.create_subprocess_exec(
        *command, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL
    )
    try:
        async with asyncio.timeout(_LIMIT_S):
            output, _ = await process.communicate()
    finally:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
    return process.returncode, output
