"""Run code inside the sandbox, as a program of the standard library of Python 3.8 or later.

Its argument has the limits and the folders of packages; the code comes by standard input. The
limits are set before the code is parsed; it can lower them, but not raise them. The value of the
last line is shown if nothing was printed. The exit status is 1 if the code failed.
"""

from __future__ import annotations

import ast
import contextlib
import io
import json
import linecache
import os
import resource
import site
import sys
import traceback
from typing import Any, TextIO

NAME = "main.py"


class Printed(io.TextIOWrapper):
    """Standard output and error in one, which knows whether anything was written.

    Code may close it, but a thread or a library may still report an error, and without a file for
    that the interpreter reports it with addresses of its memory.
    """

    used = False

    def close(self) -> None:
        """Stay open: nothing is buffered, and the end of the process closes it."""

    def write(self, text: str) -> int:
        self.used = self.used or bool(text)
        return super().write(text)


def limit(options: dict[str, Any]) -> None:
    """Set the limits of this process, and lower its priority below the server's."""
    for name, (soft, hard) in options["limits"].items():
        kind = getattr(resource, name)
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))
    os.nice(10)


def run(code: str, printed: Printed) -> None:
    """Run `code` like a program, and print the value of its last line like a prompt."""
    tree = compile(code, NAME, "exec", ast.PyCF_ONLY_AST)
    assert isinstance(tree, ast.Module)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    names: dict[str, Any] = {"__name__": "__main__"}
    body = compile(tree, NAME, "exec")
    shown = None
    if isinstance(last, ast.Expr):
        shown = compile(ast.Expression(last.value), NAME, "eval")
    exec(body, names)
    if shown is not None:
        value = eval(shown, names)
        if value is not None and not printed.used:
            printed.write(f"{value!r}\n")


def main() -> int:
    """Run the code of standard input. Returns the exit status."""
    options = json.loads(sys.argv[1])
    code = sys.stdin.buffer.read().decode(errors="replace")
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(1, 2)
    printed = Printed(
        os.fdopen(1, "wb", buffering=0), "utf-8", errors="replace", write_through=True
    )
    sys.stdout = sys.stderr = printed
    linecache.cache[NAME] = (len(code), None, code.splitlines(keepends=True), NAME)
    for folder in options["packages"]:
        site.addsitedir(folder)
    sys.argv = [NAME]
    limit(options)
    try:
        run(code, printed)
    except SystemExit as end:
        if end.code is None or isinstance(end.code, int):
            return end.code or 0
        with stderr_file() as file:
            file.write(f"{end.code}\n")
        return 1
    except BaseException as error:
        report(error)
        return 1
    return 0


def report(error: BaseException) -> None:
    """Print the traceback, without the frames of this program."""
    where = error.__traceback__
    while where is not None and where.tb_frame.f_code.co_filename == __file__:
        where = where.tb_next
    with stderr_file() as file:
        traceback.print_exception(type(error), error, where, file=file)


def stderr_file() -> TextIO:
    """Open standard error anew, because the code may have replaced `sys.stdout`."""
    return open(2, "w", encoding="utf-8", errors="replace", closefd=False)


if __name__ == "__main__":
    status = 1
    # An error here would be reported by the interpreter, with addresses of its memory.
    with contextlib.suppress(BaseException):
        status = main()
    # Threads and exit handlers are not waited for.
    os._exit(status & 0xFF)
