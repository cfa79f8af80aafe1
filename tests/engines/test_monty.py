"""Monty as a sandbox: the contract, its workers, its settings, and last lines."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable

import psutil
import pytest

from vivavoce.domain.content import DEADLINE, FAILED, OK, CodeResult
from vivavoce.engines.monty import ENGINE, MontySandbox, create, keeping_last_value
from vivavoce.errors import ConfigError, EngineMissing, ToolError
from vivavoce.testing.sandbox_contract import SandboxContract

pytestmark = pytest.mark.integration


class TestMonty(SandboxContract):
    async def build(self, time_s: float) -> MontySandbox:
        # Less than half of it will do, since the start of its worker doesn't count.
        return await build(time_s=0.4 * time_s, output_bytes=self.output_bytes)


async def build(**settings: float) -> MontySandbox:
    return await create(settings, None)  # type: ignore[arg-type]


def workers() -> list[psutil.Process]:
    return [child for child in psutil.Process().children() if "monty" in child.name()]


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 -- another process tells nobody
            await asyncio.sleep(0.01)


def busy() -> list[psutil.Process]:
    return [each for each in workers() if each.cpu_times().user > 0.1]


# --- workers -----------------------------------------------------------------------------


async def test_the_code_runs_in_another_process() -> None:
    sandbox = await build()
    run = asyncio.ensure_future(sandbox.run("while True: pass"))
    await until(lambda: bool(busy()))
    (worker,) = busy()
    assert worker.pid != os.getpid()
    assert not worker.environ()
    worker.send_signal(signal.SIGKILL)
    assert await run == CodeResult(FAILED, "[The program broke the interpreter.]")
    assert await sandbox.run("1") == CodeResult(OK, "1\n")
    await sandbox.aclose()
    await until(lambda: not workers())


async def test_no_worker_is_left_for_another_run() -> None:
    sandbox = await build(workers=1)
    for _ in range(2):
        assert await sandbox.run("1") == CodeResult(OK, "1\n")
        await until(lambda: not workers())
    await sandbox.aclose()


async def test_a_cancelled_run_ends_its_worker() -> None:
    sandbox = await build(time_s=60)
    run = asyncio.ensure_future(sandbox.run("while True: pass"))
    await until(lambda: bool(busy()))
    (worker,) = busy()
    run.cancel()
    await until(lambda: not worker.is_running())
    assert run.cancelled()
    await sandbox.aclose()


async def test_more_than_may_wait_are_refused() -> None:
    sandbox = await build(workers=1)
    runs = [asyncio.ensure_future(sandbox.run("print(1)")) for _ in range(7)]
    results = await asyncio.gather(*runs, return_exceptions=True)
    assert results[:5] == [CodeResult(OK, "1\n")] * 5
    assert all(isinstance(each, ToolError) for each in results[5:])
    await sandbox.aclose()


async def test_who_waits_at_closing_is_refused() -> None:
    sandbox = await build(workers=1)
    runs = [asyncio.ensure_future(sandbox.run("while True: pass")) for _ in range(3)]
    await until(lambda: bool(busy()))
    async with asyncio.timeout(3):
        await sandbox.aclose()
        results = await asyncio.gather(*runs, return_exceptions=True)
    assert all(isinstance(each, ToolError) for each in results)


async def test_sleeping_takes_no_time() -> None:
    sandbox = await build(time_s=1)
    assert await sandbox.run("import time\ntime.sleep(60)\n1") == CodeResult(OK, "1\n")
    await sandbox.aclose()


async def test_a_timeout_of_the_codes_own_is_no_deadline() -> None:
    sandbox = await build()
    result = await sandbox.run("raise TimeoutError('mine')")
    assert result.outcome == FAILED
    assert result.output.endswith("TimeoutError: mine")
    assert (await sandbox.run("raise SystemExit")).outcome == OK
    await sandbox.aclose()


async def test_a_long_text_that_nothing_interrupts_ends_with_the_time() -> None:
    sandbox = await build(time_s=0.5)
    async with asyncio.timeout(2):
        result = await sandbox.run("x = []\nfor _ in range(40):\n    x = [x, x]\nx")
    assert result.outcome == DEADLINE
    await sandbox.aclose()


async def test_a_long_error_is_cut_at_its_beginning() -> None:
    sandbox = await build(output_bytes=256)
    result = await sandbox.run("raise ValueError('x' * 100_000)")
    assert result.output.startswith("[...]xxx")
    assert len(result.output) < 300
    await sandbox.aclose()


# --- settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"wokers": 2}, "wokers"),
        ({"workers": 0}, "`workers` should be greater"),
        ({"workers": True}, "`workers` should be a valid integer"),
        ({"workers": 2.5}, "workers"),
        ({"time_s": 0}, "`time_s` should be greater"),
        ({"time_s": float("nan")}, "`time_s` should be"),
        ({"time_s": "5"}, "`time_s` should be a valid number"),
        ({"memory_mib": 1}, "`memory_mib` should"),
        ({"output_bytes": 1 << 30}, "output_bytes"),
    ],
)
async def test_settings_that_can_not_work_are_refused(
    settings: dict[str, object], complaint: str
) -> None:
    with pytest.raises(ConfigError, match=complaint):
        await create(settings, None)  # type: ignore[arg-type]


async def test_without_its_program_the_fix_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MONTY_BIN", "/nowhere/monty")
    with pytest.raises(EngineMissing, match=f"{ENGINE}.*pip install"):
        await build()


# --- last lines --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "kept"),
    [
        ("1 + 1", "_ = 1 + 1"),
        ("x = 1\nx  # one", "x = 1\n_ = x  # one"),
        ("import math; math.pi", "import math; _ = math.pi"),
        ("f(a=1)\n", "_ = f(a=1)\n"),
        ("for x in y:\n    z\n[\n  1,\n]", "for x in y:\n    z\n_ = [\n  1,\n]"),
        ('"""a\n\nb"""\n\n# end', '_ = """a\n\nb"""\n\n# end'),
        ("a == b", "_ = a == b"),
        ("lambda x=1: x", "_ = lambda x=1: x"),
        ("lambda x=lambda y=1: y, z=2: x", "_ = lambda x=lambda y=1: y, z=2: x"),
        ("lambda x=1:\\\n x; y", "lambda x=1:\\\n x; _ = y"),
        ("f = lambda x=1: x", None),
        ("x: int = 1", None),
        ("d[lambda: 1] = lambda: 2", None),
        ("x = 1", None),
        ("a[0] = b = 2", None),
        ("for x in y:\n    z", None),
        ("", None),
        ("# nothing", None),
        ("f(", None),
        ("'''", None),
        ("  x\n y", None),
    ],
)
def test_the_last_statement_is_kept_if_it_can_be(code: str, kept: str | None) -> None:
    assert keeping_last_value(code) == kept
