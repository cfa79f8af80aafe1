"""Conformance tests for `Sandbox` implementations; subclass `SandboxContract` to test your own.

    class TestMySandbox(SandboxContract):
        async def build(self, time_s: float) -> Sandbox:
            return await create({"time_s": time_s, "output_bytes": self.output_bytes}, host)

Code that reaches for more than it may have can fail in any way; the tests check that it fails,
and that the next run works.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import ClassVar

from vivavoce.domain.content import DEADLINE, FAILED, OK, CodeResult
from vivavoce.engines.ports import Sandbox
from vivavoce.errors import ToolError

LONG_S = 20.0
SHORT_S = 1.0
PROMPT_S = 10.0
"""Upper bound on the time of what has to end by itself, on a crowded machine too."""

SECRET = "the colour of the door is turquoise"


class SandboxContract:
    """Tests of one implementation. Subclasses define `build`, which makes a fresh sandbox."""

    output_bytes: ClassVar[int] = 4096
    """The limit of output that `build` sets."""

    async def build(self, time_s: float) -> Sandbox:
        """Make a sandbox whose runs may take `time_s`."""
        raise NotImplementedError

    @asynccontextmanager
    async def sandbox(self, time_s: float = LONG_S) -> AsyncIterator[Sandbox]:
        """Context manager for a fresh sandbox."""
        sandbox = await self.build(time_s)
        try:
            yield sandbox
        finally:
            await sandbox.aclose()

    async def run_then_check(self, code: str, time_s: float = LONG_S) -> CodeResult:
        """Run `code`, check that the next run works, and return the result of `code`."""
        async with self.sandbox(time_s) as sandbox:
            async with asyncio.timeout(time_s + PROMPT_S):
                result = await sandbox.run(code)
            assert await sandbox.run("print(6 * 7)") == CodeResult(OK, "42\n")
        return result

    # --- running code --------------------------------------------------------------------

    async def test_what_is_printed_is_the_output(self) -> None:
        result = await self.run_then_check("for word in ('Grüße', '世界'):\n    print(word)")
        assert result == CodeResult(OK, "Grüße\n世界\n")

    async def test_the_value_of_the_last_line_is_shown_if_nothing_was_printed(self) -> None:
        async with self.sandbox() as sandbox:
            assert await sandbox.run("x = 6\nx * 7") == CodeResult(OK, "42\n")
            assert await sandbox.run("print('six')\n6 * 7") == CodeResult(OK, "six\n")
            assert await sandbox.run("[\n    'a',\n]  # a list") == CodeResult(OK, "['a']\n")

    async def test_code_without_output_gives_none(self) -> None:
        async with self.sandbox() as sandbox:
            for code in ("", "# nothing", "x = 1", "import math", "None", "if True:\n    7"):
                assert await sandbox.run(code) == CodeResult(OK, "")

    async def test_a_traceback_follows_the_output(self) -> None:
        result = await self.run_then_check("print('so far')\n1 / 0")
        assert result.outcome == FAILED
        assert result.output.startswith("so far\nTraceback")
        assert "line 2" in result.output
        assert result.output.splitlines()[-1].startswith("ZeroDivisionError: ")

    async def test_invalid_syntax_is_reported(self) -> None:
        for code in ("def (", "print('a'", "x = = 1", "\x00", "'\udc80"):
            result = await self.run_then_check(code)
            assert result.outcome == FAILED
            assert "SyntaxError" in result.output

    async def test_runs_share_no_state(self) -> None:
        async with self.sandbox() as sandbox:
            assert await sandbox.run("kept = 1") == CodeResult(OK, "")
            result = await sandbox.run("print(kept)")
        assert result.outcome == FAILED
        assert "NameError" in result.output

    async def test_concurrent_runs_are_isolated(self) -> None:
        async with self.sandbox() as sandbox:
            codes = [f"x = {number}\nprint(x)" for number in range(4)]
            results = await asyncio.gather(*map(sandbox.run, codes))
        assert [result.output for result in results] == ["0\n", "1\n", "2\n", "3\n"]

    # --- limits --------------------------------------------------------------------------

    async def test_an_endless_loop_ends(self) -> None:
        result = await self.run_then_check(
            "print('begun', flush=True)\nwhile True:\n    pass", SHORT_S
        )
        assert result.outcome == DEADLINE
        assert result.output.startswith("begun\n")

    async def test_a_loop_that_catches_everything_ends(self) -> None:
        stubborn = "while True:\n    try:\n        while True: pass\n    except BaseException: pass"
        assert (await self.run_then_check(stubborn, SHORT_S)).outcome == DEADLINE

    async def test_a_value_whose_text_is_gigabytes_ends(self) -> None:
        result = await self.run_then_check(
            "x = []\nfor _ in range(40):\n    x = [x, x]\nx", SHORT_S
        )
        assert result.outcome in (FAILED, DEADLINE)

    async def test_a_number_of_a_billion_digits_ends(self) -> None:
        result = await self.run_then_check("print(7 ** 10 ** 9)", SHORT_S)
        assert result.outcome in (FAILED, DEADLINE)

    async def test_endless_output_is_cut(self) -> None:
        for code in ("while True: print('x' * 99)", "print('é' * 9_000_000)"):
            result = await self.run_then_check(code)
            assert result.outcome == FAILED
            assert str(self.output_bytes) in result.output.splitlines()[-1]
            assert self.output_bytes <= len(result.output.encode()) < self.output_bytes + 200

    async def test_memory_is_limited(self) -> None:
        for code in ("x = 'x'\nwhile True: x += x", "x = []\nwhile True: x.append(bytes(9**7))"):
            result = await self.run_then_check(code)
            assert result.outcome == FAILED
            assert "MemoryError" in result.output

    async def test_recursion_without_end_ends(self) -> None:
        result = await self.run_then_check("def f():\n    return f()\nf()")
        assert result.outcome == FAILED
        assert "RecursionError" in result.output

    async def test_code_nested_beyond_reason_ends(self) -> None:
        for code in ("(" * 20_000 + ")" * 20_000, "-" * 50_000 + "1", "+".join("1" * 20_000)):
            async with self.sandbox() as sandbox, asyncio.timeout(LONG_S + PROMPT_S):
                await sandbox.run(code)
                assert await sandbox.run("1") == CodeResult(OK, "1\n")

    async def test_fork_is_limited(self) -> None:
        result = await self.run_then_check("import os\nwhile True:\n    os.fork()", SHORT_S)
        assert result.outcome in (FAILED, DEADLINE)

    # --- isolation -----------------------------------------------------------------------

    async def test_files_of_the_host_can_not_be_read(self, tmp_path: Path) -> None:
        secret = tmp_path / "secret"
        secret.write_text(SECRET)
        for path in (str(secret), "/etc/passwd", f"/proc/{os.getpid()}/environ", "/proc/1/maps"):
            result = await self.run_then_check(f"print(open({path!r}).read())")
            assert result.outcome == FAILED
            assert SECRET not in result.output
            assert "root:" not in result.output

    async def test_nothing_can_be_written_to_the_host(self, tmp_path: Path) -> None:
        for path in (tmp_path / "new", Path.cwd() / "vivavoce-escaped", Path("/vivavoce-escaped")):
            result = await self.run_then_check(
                f"with open({str(path)!r}, 'w') as file:\n    file.write('x')"
            )
            assert result.outcome == FAILED
            assert not path.exists()

    async def test_the_environment_of_the_server_is_hidden(self) -> None:
        os.environ["VIVAVOCE_CONTRACT"] = SECRET
        try:
            result = await self.run_then_check("import os\nprint(dict(os.environ))")
        finally:
            del os.environ["VIVAVOCE_CONTRACT"]
        assert SECRET not in result.output
        assert "VIVAVOCE_CONTRACT" not in result.output

    async def test_the_host_can_not_be_reached_by_its_network(self) -> None:
        connections: list[str] = []

        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            connections.append("accepted")
            writer.close()

        server = await asyncio.start_server(accept, "127.0.0.1", 0)
        async with server:
            host, port = server.sockets[0].getsockname()
            connect = f"import socket\nsocket.create_connection(({host!r}, {port}), 2)"
            result = await self.run_then_check(connect)
        assert result.outcome == FAILED
        assert not connections

    async def test_programs_of_the_host_can_not_be_run(self) -> None:
        for code in (
            "import subprocess\nprint(subprocess.run(['/bin/echo', 'out'], stdout=-1).stdout)",
            "import os\nos.system('/bin/echo out')\nos.popen('/bin/echo out').read()",
            "import os\nos.execv('/bin/echo', ['echo', 'out'])",
        ):
            result = await self.run_then_check(code)
            assert result.outcome == FAILED
            assert "out\n" not in result.output

    async def test_a_run_cannot_kill_the_server_or_another_run(self) -> None:
        for code in (
            "import os\nos.kill(os.getppid(), 9)\nos._exit(3)",
            f"import os\nos.kill({os.getpid()}, 9)",
            "import os\nos.kill(os.getpid(), 11)",
            "import os\nos.kill(-1, 9)",
            "import ctypes\nctypes.string_at(0)",
        ):
            assert (await self.run_then_check(code)).outcome == FAILED

    # --- ending --------------------------------------------------------------------------

    async def test_a_cancelled_run_leaves_at_once_and_the_next_one_works(self) -> None:
        async with self.sandbox() as sandbox:
            for _ in range(4):
                run = asyncio.ensure_future(sandbox.run("while True: pass"))
                done, _ = await asyncio.wait({run}, timeout=0.3)
                assert not done
                run.cancel()
                done, _ = await asyncio.wait({run}, timeout=PROMPT_S / 2)
                assert done
                assert run.cancelled()
            assert await sandbox.run("1") == CodeResult(OK, "1\n")

    async def test_closing_ends_what_runs_and_refuses_the_rest(self) -> None:
        sandbox = await self.build(LONG_S)
        run = asyncio.ensure_future(sandbox.run("while True: pass"))
        done, _ = await asyncio.wait({run}, timeout=0.3)
        assert not done
        async with asyncio.timeout(PROMPT_S):
            await sandbox.aclose()
            await sandbox.aclose()
            (ended,) = await asyncio.gather(run, return_exceptions=True)
        assert isinstance(ended, ToolError)
        (refused,) = await asyncio.gather(sandbox.run("1"), return_exceptions=True)
        assert isinstance(refused, ToolError)
