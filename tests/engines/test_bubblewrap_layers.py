"""Each wall by itself: what namespaces keep out without the filter, and the filter without them.

Together each hides the holes of the other. Where both are down the code does get through, so
these tests would see it.
"""

from __future__ import annotations

import contextlib
import socket
import struct
import uuid
from collections.abc import Iterator, Mapping, Sequence

import pytest

from engines.bwrap import program
from vivavoce.engines.bubblewrap import seccomp
from vivavoce.engines.bubblewrap.interpreter import own_interpreter
from vivavoce.engines.bubblewrap.process import ENVIRONMENT, SandboxProcess, command
from vivavoce.engines.sandboxes import CodeOutput, SandboxLimits

ALLOWS_ALL = struct.pack("=HBBI", 0x06, 0, 0, 0x7FFF0000)
"""A filter of one step: everything may be called."""

NOTHING: Mapping[str, Sequence[str]] = {}
SHARED = {"--unshare-user": ("--unshare-user", "--share-net")}
"""The network is the host's."""
RIGHTS = {"--cap-drop": ("--cap-add",)}
"""All that there are in a namespace of one's own."""

REACHING = """
import socket
for kind, address in ((socket.AF_INET, ("127.0.0.1", PORT)), (socket.AF_UNIX, NAME)):
    try:
        with socket.socket(kind) as end:
            end.settimeout(5)
            end.connect(address)
        print("reached")
    except OSError as error:
        print(type(error).__name__)
"""

RISING = """
import ctypes, errno, os, socket
libc = ctypes.CDLL(None, use_errno=True)
tries = {
    "mount": lambda: libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None),
    "unshare": lambda: libc.unshare(0x20000),
    "sethostname": lambda: libc.sethostname(b"x", 1),
    "chroot": lambda: libc.chroot(b"/tmp"),
    "setuid": lambda: libc.setuid(0),
    "setgroups": lambda: libc.setgroups(1, (ctypes.c_uint * 1)(0)),
}
print([name for name, attempt in tries.items() if attempt() != -1])
print(socket.if_nameindex())
"""


def output(code: str, *, filtered: bool, instead: Mapping[str, Sequence[str]] = NOTHING) -> str:
    """What `code` prints in a sandbox with or without the filter, and with other arguments."""
    filter_ = seccomp.program() if filtered else ALLOWS_ALL
    assert filter_ is not None
    printed = CodeOutput(1 << 16)

    def setup(filter_fd: int, report_fd: int) -> list[str]:
        limits = SandboxLimits(memory_mib=512)
        arguments = command(program(), own_interpreter(), limits, filter_fd, report_fd)
        assert set(instead) < set(arguments)
        return [part for each in arguments for part in instead.get(each, (each,))]

    ended = SandboxProcess(filter_, ENVIRONMENT).run(setup, code.encode(), 60, printed.add)
    assert not ended.complaint
    return printed.text


@pytest.fixture
def reaching() -> Iterator[str]:
    """Code that goes to two servers of the host: one at its loopback, one that has only a name."""
    name = f"\0vivavoce-{uuid.uuid4().hex}"
    with contextlib.ExitStack() as stack:
        by_port = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        by_name = stack.enter_context(socket.socket(socket.AF_UNIX))
        by_name.bind(name)
        by_name.listen()
        yield REACHING.replace("PORT", str(by_port.getsockname()[1])).replace("NAME", repr(name))


def test_with_both_walls_down_the_host_is_reached(reaching: str) -> None:
    assert output(reaching, filtered=False, instead=SHARED) == "reached\nreached\n"


def test_the_namespace_of_the_network_keeps_the_host_away_without_the_filter(reaching: str) -> None:
    refused = "ConnectionRefusedError\n"
    assert output(reaching, filtered=False) == refused * 2


def test_the_filter_keeps_the_host_away_in_its_own_network(reaching: str) -> None:
    refused = "PermissionError\n"
    assert output(reaching, filtered=True, instead=SHARED) == refused * 2


def test_without_the_filter_the_code_still_has_no_rights_and_one_interface() -> None:
    rights, interfaces = output(RISING, filtered=False).splitlines()
    assert rights == "[]"
    assert interfaces == "[(1, 'lo')]"


def test_with_rights_it_would_have_them() -> None:
    rights, _ = output(RISING, filtered=False, instead=RIGHTS).splitlines()
    assert "mount" in rights
    assert "sethostname" in rights
