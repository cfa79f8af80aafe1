"""The stronger sandbox: all of CPython, in namespaces of its own, by the program bubblewrap.

`interpreter` finds out which files a Python needs, `command` says what the sandbox consists of,
`seccomp` which system calls are refused in it, `guest` is the program that runs there, `sandbox`
is the port. `namespaces` finds out whether it is they that are missing where nothing runs.
"""

from __future__ import annotations

from vivavoce.engines.bubblewrap.namespaces import NamespacesForbidden
from vivavoce.engines.bubblewrap.sandbox import BubblewrapSandbox, create

__all__ = ["BubblewrapSandbox", "NamespacesForbidden", "create"]
