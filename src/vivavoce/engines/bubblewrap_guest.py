"""The program inside the sandbox. It imports only the standard library, of Python 3.8 or later.

Its arguments are the limits and the folders of packages; the code comes by standard input. The
limits are set here, before the code is looked at; they can be lowered afterwards, but not raised.
What the last line gives is shown if nothing was printed. The exit status is 1 if the code failed.
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

    Code may close it when it has said all, but a thread or a library may still have an error to
    tell, and without a place for that the interpreter tells it with addresses of its memory.
    """

    used = False

    def close(self) -> None:
        """Stay open: there is nothing to flush, and the end closes everything."""

    def write(self, text: str) -> int:
        self.used = self.used or bool(text)
        return super().write(text)


def limit(options: dict[str, Any]) -> None:
    """Set the limits of this process, and step back behind the server."""
    for name, (soft, hard) in options["limits"].items():
        kind = getattr(resource, name)
        _, most = resource.getrlimit(kind)
        if most != resource.RLIM_INFINITY:
            soft, hard = min(soft, most), min(hard, most)
        resource.setrlimit(kind, (soft, hard))
    os.nice(10)


def run(code: str, printed: Printed) -> None:
    """Run it like a program, and show the value of its last line like a prompt."""
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
    """Returns the exit status."""
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
        with at_the_end() as file:
            file.write(f"{end.code}\n")
        return 1
    except BaseException as error:
        report(error)
        return 1
    return 0


def report(error: BaseException) -> None:
    """The traceback as it would be without this program around it."""
    where = error.__traceback__
    while where is not None and where.tb_frame.f_code.co_filename == __file__:
        where = where.tb_next
    with at_the_end() as file:
        traceback.print_exception(type(error), error, where, file=file)


def at_the_end() -> TextIO:
    """Open standard error anew, because the code may have replaced `sys.stdout`."""
    return open(2, "w", encoding="utf-8", errors="replace", closefd=False)


if __name__ == "__main__":
    status = 1
    # What could not be told here the interpreter would tell, with addresses of its memory.
    with contextlib.suppress(BaseException):
        status = main()
    # Threads that are still at work, and what is to be done at the end, are not waited for.
    os._exit(status & 0xFF)
