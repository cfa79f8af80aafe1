"""`vivavoce run -- COMMAND`: any program, with its Google SDK pointed at this server."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from vivavoce.cli.console import open_console
from vivavoce.cli.faults import Code, Fault, complain, fault_of, leave
from vivavoce.cli.server_readiness import accepts_connections, wait_until_ready
from vivavoce.cli.session_options import UNREACHABLE
from vivavoce.cli.surroundings import Key, Port, Url, place_of, variables
from vivavoce.client.session import ServerEndpoint
from vivavoce.config import load
from vivavoce.errors import VivavoceError

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""The statuses that shells use."""


def run(
    command: Annotated[list[str], typer.Argument(help="The program and its arguments.")],
    url: Url = "",
    port: Port = None,
    key: Key = "",
    config: Annotated[Path | None, typer.Option(help="Configuration file.")] = None,
) -> None:
    """Run a program whose Google SDK then finds and trusts this server.

    Waits for a server that is still starting; without one the program is not started, and the
    exit code is 3.
    """
    try:
        settings = load(config, {"server.port": port})
        place = place_of(settings, url)
        found = variables(settings, place=place, key=key)
        authority = found.get("NODE_EXTRA_CA_CERTS")
        endpoint = ServerEndpoint(place.url, local_ca=Path(authority) if authority else None)
        wait_until_ready(endpoint, open_console(to_stderr=True).print)
    except VivavoceError as error:
        raise leave(fault_of(error)) from None
    if not accepts_connections(place.url):
        problem = f"No server answers at {place.url}, so {command[0]} was not started."
        fix = "Start one with `vivavoce serve`, or give its address with --url."
        raise leave(Fault(Code.NO_SERVER, problem, fix), UNREACHABLE)
    raise typer.Exit(execute(command, {**os.environ, **found}))


def execute(command: list[str], surroundings: dict[str, str]) -> int:
    """The program's exit status, as a shell would give it."""
    program = shutil.which(command[0], path=surroundings.get("PATH"))
    if program is None:
        complain(
            Fault(Code.COMMAND_MISSING, f"There is no program {command[0]!r}.", "Check its name.")
        )
        return NOT_FOUND
    try:
        # An empty handler and not SIG_IGN, which the program would inherit: it could then not
        # be interrupted. Ctrl-C reaches it by the terminal; we wait for what it makes of that.
        with (
            _handled(signal.SIGINT, lambda _number, _frame: None),
            subprocess.Popen([program, *command[1:]], env=surroundings) as child,
            _handled(signal.SIGTERM, lambda number, _frame: child.send_signal(number)),
        ):
            status = child.wait()
    except OSError as error:
        complain(Fault(Code.COMMAND_MISSING, f"{program}: {error.strerror}.", "Check the file."))
        return NOT_EXECUTABLE
    return 128 - status if status < 0 else status


@contextmanager
def _handled(
    number: signal.Signals, act: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    before = signal.signal(number, act)
    try:
        yield
    finally:
        signal.signal(number, before)
