"""`vivavoce run -- COMMAND`: run a program with its Google SDK pointed at this server."""

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

from vivavoce.cli.environment import sdk_variables
from vivavoce.cli.errors import UNREACHABLE, CliError, ErrorCode, open_console
from vivavoce.cli.options import ConfigFile, Key, Port, Url, server_address
from vivavoce.cli.session import accepts_connections, wait_until_ready
from vivavoce.client.session import ServerEndpoint
from vivavoce.config.loading import load_config

NOT_FOUND, NOT_EXECUTABLE = 127, 126
"""Exit statuses, as shells have them."""


def run(
    command: Annotated[list[str], typer.Argument(help="The program and its arguments.")],
    url: Url = "",
    port: Port = None,
    key: Key = "",
    config: ConfigFile = None,
) -> None:
    """Run a program whose Google SDK then finds and trusts this server.

    Waits for a server that is still starting; without one the program is not started, and the
    exit code is 3.
    """
    settings = load_config(config, {"server.port": port})
    address = server_address(settings, url)
    variables = sdk_variables(settings, address=address, key=key)
    authority = variables.get("NODE_EXTRA_CA_CERTS")
    endpoint = ServerEndpoint(address.url, local_ca=Path(authority) if authority else None)
    wait_until_ready(endpoint, open_console(to_stderr=True).print)
    if not accepts_connections(address.url):
        problem = f"No server answers at {address.url}, so {command[0]} was not started."
        fix = "Start one with `vivavoce serve`, or give its address with --url."
        raise CliError(ErrorCode.NO_SERVER, problem, fix, UNREACHABLE)
    raise typer.Exit(run_program(command, {**os.environ, **variables}))


def run_program(command: list[str], environment: dict[str, str]) -> int:
    """Run a program and return its exit status, as a shell would give it."""
    program = shutil.which(command[0], path=environment.get("PATH"))
    if program is None:
        problem = f"There is no program {command[0]!r}."
        raise CliError(ErrorCode.COMMAND_MISSING, problem, "Check its name.", NOT_FOUND)
    try:
        # An empty handler and not SIG_IGN, which the program would inherit: it could then not
        # be interrupted. Ctrl-C reaches it by the terminal; we wait for what it makes of that.
        with (
            _handle_signal(signal.SIGINT, lambda _number, _frame: None),
            subprocess.Popen([program, *command[1:]], env=environment) as child,
            _handle_signal(signal.SIGTERM, lambda number, _frame: child.send_signal(number)),
        ):
            status = child.wait()
    except OSError as error:
        problem = f"{program}: {error.strerror}."
        fix = "Check the file."
        raise CliError(ErrorCode.COMMAND_MISSING, problem, fix, NOT_EXECUTABLE) from None
    return 128 - status if status < 0 else status


@contextmanager
def _handle_signal(
    number: signal.Signals, act: Callable[[int, FrameType | None], None]
) -> Iterator[None]:
    before = signal.signal(number, act)
    try:
        yield
    finally:
        signal.signal(number, before)
