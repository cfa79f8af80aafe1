"""The stronger sandbox: all of CPython, in namespaces of its own, by the program bubblewrap.

`interpreter` finds the files that a Python needs, and whether namespaces may be made; `process`
starts and ends one sandbox; `seccomp` lists the system calls that are refused in it; `guest` is the
program that runs there; `sandbox` implements the port.
"""

from __future__ import annotations

from vivavoce.engines.bubblewrap.interpreter import NamespacesForbidden
from vivavoce.engines.bubblewrap.sandbox import BubblewrapSandbox, create

__all__ = ["BubblewrapSandbox", "NamespacesForbidden", "create"]
