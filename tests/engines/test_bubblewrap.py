"""All of CPython behind bubblewrap: the contract, what is in the sandbox, and what stays out."""

from __future__ import annotations

import ast
import asyncio
import logging
import sys
import time
import venv
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from engines.bwrap import build, program
from vivavoce.domain.content import DEADLINE, FAILED, OK, CodeResult
from vivavoce.engines.bubblewrap import BubblewrapSandbox, create
from vivavoce.engines.bubblewrap_process import NamespacesForbidden
from vivavoce.errors import ConfigError, EngineMissing, ToolError
from vivavoce.testing.sandbox_contract import SandboxContract

pytestmark = pytest.mark.integration

MARK = 333
"""So many MiB of memory no other sandbox on this machine has: it stands in the command line."""


class TestBubblewrap(SandboxContract):
    async def build(self, time_s: float) -> BubblewrapSandbox:
        return build(time_s=time_s, memory_mib=128, output_bytes=self.output_bytes)


async def result(code: str) -> CodeResult:
    return await run_in(build(), code)


async def run_in(sandbox: BubblewrapSandbox, code: str) -> CodeResult:
    try:
        return await sandbox.run(code)
    finally:
        await sandbox.aclose()


def guests() -> list[psutil.Process]:
    """Every process of a sandbox that has `MARK`."""
    mark = f'"RLIMIT_AS": [{MARK << 20}'
    found = []
    for process in psutil.process_iter(["cmdline"]):
        if any(mark in part for part in process.info["cmdline"] or ()):
            found.append(process)
    return found


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 -- another process tells nobody
            await asyncio.sleep(0.01)


# --- what is in there --------------------------------------------------------------------


async def test_the_standard_library_is_there() -> None:
    code = """
        import asyncio, bz2, ctypes, decimal, hashlib, lzma, sqlite3, ssl, statistics, zlib
        from fractions import Fraction
        database = sqlite3.connect("/tmp/numbers.db")
        database.execute("create table numbers (n)")
        database.executemany("insert into numbers values (?)", [(1,), (2,)])
        asyncio.run(asyncio.sleep(0))
        print(database.execute("select sum(n) from numbers").fetchone(), Fraction(1, 3))
    """
    code = "\n".join(line.strip() for line in code.splitlines())
    assert await result(code) == CodeResult(OK, "(3,) 1/3\n")


async def test_nothing_else_is_there() -> None:
    code = """
import os
found = []
for folder in ("/", "/dev/", "/etc/", "/tmp/", "/usr/"):
    found += [folder + name for name in os.listdir(folder)] if os.path.isdir(folder) else []
found
"""
    found = ast.literal_eval((await result(code)).output)
    allowed = """
        /dev /etc /guest.py /lib /lib64 /python /tmp /usr
        /dev/null /dev/urandom /dev/zero /etc/ld.so.cache /usr/bin /usr/lib /usr/lib64 /usr/share
    """
    assert set(found) <= set(allowed.split())


async def test_who_the_code_is() -> None:
    code = """
import os, sys
print(os.getuid(), os.getgid(), os.getpid() < 9, os.uname().nodename, os.getcwd(), sys.argv)
print(sorted(name for name in os.environ if name.startswith(("VIVA", "PYTEST", "PATH", "USER"))))
"""
    assert await result(code) == CodeResult(OK, "65534 65534 True sandbox /tmp ['main.py']\n[]\n")


async def test_a_traceback_shows_the_code_and_no_folder_of_the_host() -> None:
    failed = await result("import json\njson.loads('[')")
    assert 'File "main.py", line 2, in <module>\n    json.loads(' in failed.output
    assert "guest.py" not in failed.output
    if sys.base_prefix != "/usr":
        assert sys.base_prefix not in failed.output


async def test_packages_come_from_a_python_of_the_operators(tmp_path: Path) -> None:
    venv.create(tmp_path / "own", symlinks=True, with_pip=False)
    python = tmp_path / "own" / "bin" / "python"
    (packages,) = (tmp_path / "own" / "lib").glob("python*/site-packages")
    (packages / "seven.py").write_text("NUMBER = 7\n")
    told = packages / "seven_numbers-7.dist-info"
    told.mkdir()
    (told / "METADATA").write_text("Metadata-Version: 2.1\nName: seven-numbers\nVersion: 7\n")
    code = "import seven\n(seven.NUMBER, seven.__file__)"
    sandbox = await made(program=program(), python=str(python), time_s=20)
    assert sandbox.abilities.endswith("and with the packages seven-numbers.")
    assert await run_in(sandbox, code) == CodeResult(OK, "(7, '/packages/0/seven.py')\n")
    assert "ModuleNotFoundError" in (await result(code)).output


# --- what there is not -------------------------------------------------------------------


REFUSED = (
    "os.fork()",
    "os.posix_spawn('/bin/true', ['true'], {})",
    "socket.socket()",
    "socket.socket(socket.AF_UNIX)",
    "socket.socket(socket.AF_NETLINK, socket.SOCK_RAW)",
    "os.memfd_create('more')",
    "os.setuid(0)",
    "os.setgroups([0])",
    "os.chroot('/tmp')",
    "resource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "resource.setrlimit(resource.RLIMIT_CPU, (-1, -1))",
    "open('/guest.py', 'a')",
    "open('/dev/more', 'w')",
    "open('/new', 'w')",
    "os.mkdir('/usr/new')",
    "open('/dev/mem')",
    "input('> ')",
)


async def test_it_is_refused() -> None:
    code = f"""
import os, resource, socket
for attempt in {REFUSED}:
    try:
        eval(attempt)
    except (OSError, ValueError, EOFError):
        pass
    else:
        print(attempt)
"""
    done = await result(code)
    assert done == CodeResult(OK, "> ")


async def test_system_calls_that_python_has_no_name_for_are_refused() -> None:
    code = """
import ctypes, errno, platform
machines = {"x86_64": [56, 57, 58, 272, 101, 165, 321, 425, 29, 250],
            "aarch64": [220, 97, 117, 40, 280, 425, 194, 219]}
c = ctypes.CDLL(None, use_errno=True)
for number in machines[platform.machine()]:
    assert c.syscall(number, 0, 0, 0, 0, 0) == -1, number
    assert ctypes.get_errno() == errno.EPERM, number
assert c.syscall(435, 0, 0) == -1 and ctypes.get_errno() == errno.ENOSYS
"""
    assert await result(code) == CodeResult(OK, "")


async def test_the_scratch_folder_is_small() -> None:
    code = """
for number in range(9):
    with open(f"/tmp/{number}", "wb", buffering=0) as file:
        file.write(bytes(4 << 20))
"""
    full = await result(code)
    assert full.outcome == FAILED
    assert "No space left" in full.output


async def test_threads_are_there_but_not_without_end() -> None:
    code = """
import threading
threads = [threading.Thread(target=print, args=(number,)) for number in range(3)]
for thread in threads:
    thread.start()
    thread.join()
held = threading.Event()
try:
    for number in range(1000):
        threading.Thread(target=held.wait, daemon=True).start()
except RuntimeError:
    print("no more")
"""
    assert await result(code) == CodeResult(OK, "0\n1\n2\nno more\n")


async def test_a_segmentation_fault_is_an_outcome() -> None:
    fault = await result("import ctypes\nctypes.string_at(0)")
    assert fault == CodeResult(FAILED, "[The program was ended by the signal SIGSEGV.]")


async def test_an_exit_is_what_it_says() -> None:
    assert await result("raise SystemExit") == CodeResult(OK, "")
    assert await result("import sys\nsys.exit('sorry')") == CodeResult(FAILED, "sorry\n")
    odd = await result("import os\nprint('x', flush=True)\nos._exit(7)")
    assert odd == CodeResult(FAILED, "x\n[The program ended with the status 7.]")


@pytest.mark.parametrize("closing", ["stdout.close", "stdout.buffer.close", "stdout.detach"])
async def test_an_error_is_reported_when_the_output_has_been_closed(closing: str) -> None:
    told = await result(f"import sys\nsys.{closing}()\n1 / 0")
    assert told.outcome == FAILED
    assert told.output.startswith("Traceback")
    assert told.output.endswith("ZeroDivisionError: division by zero\n")


async def test_no_address_of_its_memory_is_shown() -> None:
    told = await result("import os, sys\nsys.stdout.close()\nos.close(1)\nprint(1)")
    assert told.outcome == FAILED
    assert "0x" not in told.output


async def test_no_file_is_open_but_the_three_that_every_program_has() -> None:
    code = """
import os
for number in range(64):
    try:
        os.fstat(number)
        print(number)
    except OSError:
        pass
"""
    assert await result(code) == CodeResult(OK, "0\n1\n2\n")


async def test_threads_do_not_hold_up_the_end() -> None:
    began = time.monotonic()
    code = "import threading\nthreading.Thread(target=threading.Event().wait).start()\nprint(1)"
    assert await result(code) == CodeResult(OK, "1\n")
    assert time.monotonic() - began < 15


# --- its processes -----------------------------------------------------------------------


async def test_nothing_is_left_of_a_run_that_is_cancelled() -> None:
    sandbox = build(time_s=60, memory_mib=MARK)
    code = "import signal\nsignal.pthread_sigmask(0, range(1, 32))\nwhile True: pass"
    run = asyncio.ensure_future(sandbox.run(code))
    await until(lambda: len(guests()) >= 2)
    run.cancel()
    await asyncio.wait({run})
    await until(lambda: not guests())
    await sandbox.aclose()


async def test_nothing_is_left_of_runs_that_are_cancelled_while_they_start() -> None:
    sandbox = build(time_s=60, memory_mib=MARK)
    for step in range(0, 40, 2):
        run = asyncio.ensure_future(sandbox.run("while True: pass"))
        done, _ = await asyncio.wait({run}, timeout=step / 500)
        assert not done
        run.cancel()
        await asyncio.wait({run})
    await sandbox.aclose()
    await until(lambda: not guests())


async def test_nothing_is_left_of_a_run_that_took_too_long() -> None:
    sandbox = build(time_s=0.5, memory_mib=MARK)
    assert (await sandbox.run("while True: pass")).outcome == DEADLINE
    await until(lambda: not guests())
    await sandbox.aclose()


@pytest.mark.parametrize("inside", [True, False])
async def test_a_sandbox_that_is_killed_from_outside_is_an_outcome(inside: bool) -> None:
    sandbox = build(time_s=60, memory_mib=MARK)
    run = asyncio.ensure_future(sandbox.run("while True: pass"))

    def python() -> list[psutil.Process]:
        return [guest for guest in guests() if "bwrap" not in guest.name()]

    await until(lambda: bool(python()))
    (outer,) = (each for each in psutil.Process().children() if "bwrap" in each.name())
    (python()[0] if inside else outer).kill()
    async with asyncio.timeout(10):
        assert await run == CodeResult(FAILED, "[The program was ended by the signal SIGKILL.]")
    await until(lambda: not guests())
    assert await sandbox.run("1") == CodeResult(OK, "1\n")
    await sandbox.aclose()


async def test_more_than_may_wait_are_refused_at_once() -> None:
    sandbox = build(workers=1, time_s=60)
    runs = [asyncio.ensure_future(sandbox.run("while True: pass")) for _ in range(7)]
    done, waiting = await asyncio.wait(runs, return_when=asyncio.FIRST_COMPLETED)
    assert len(done) == 2
    assert all(isinstance(run.exception(), ToolError) for run in done)
    async with asyncio.timeout(10):
        await sandbox.aclose()
        results = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(each, ToolError) for each in results)


# --- where it can't be had ---------------------------------------------------------------


def stand_in(folder: Path, body: str) -> str:
    path = folder / "bwrap"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


async def made(**settings: object) -> BubblewrapSandbox:
    return await create(settings, None)  # type: ignore[arg-type]


async def test_without_the_program_the_fix_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissing, match=r"no program bwrap.*apt-get install bubblewrap"):
        await made()


async def test_a_program_that_is_no_bubblewrap_is_refused(tmp_path: Path) -> None:
    assert program()  # where namespaces are forbidden, that would be the reason
    with pytest.raises(EngineMissing, match=r"can't run Python here \(hello\).*0\.7") as told:
        await made(program=stand_in(tmp_path, "echo hello"))
    assert not isinstance(told.value, NamespacesForbidden)


async def test_a_sandbox_that_stops_working_is_an_error_of_the_tool(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    works = tmp_path / "works"
    works.touch()
    body = f"if [ -e {works} ]; then echo 2; else echo 'bwrap: no more' >&2; exit 1; fi"
    sandbox = await made(program=stand_in(tmp_path, body))
    works.unlink()
    with caplog.at_level(logging.ERROR), pytest.raises(ToolError, match="can't be started") as told:
        await sandbox.run("1")
    assert "no more" in vars(caplog.records[-1])["reason"]
    assert "no more" not in told.value.problem
    await sandbox.aclose()


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"network": True}, "network"),
        ({"memory_mib": 16}, "`memory_mib` should"),
        ({"python": 3}, "`python` should be a valid string"),
        ({"python": "/nowhere/python"}, "/nowhere/python"),
        ({"python": "/bin/echo"}, "does not answer like a Python"),
    ],
)
async def test_settings_that_can_not_work_are_refused(
    settings: dict[str, object], complaint: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        await made(program=stand_in(tmp_path, "echo 2"), **settings)
