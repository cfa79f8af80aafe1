"""Errors of commands, each with a code and a fix, and the console on which commands print."""

from __future__ import annotations

import errno
import re
import shlex
import shutil
import ssl
import sys
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

import typer
from rich.console import Console

from vivavoce.client.messages import SessionClosed
from vivavoce.config import base_url, load_config
from vivavoce.errors import ConfigError, EngineError, EngineMissing, StoreError


def open_console(to_stderr: bool = False, plain: bool = False, soft_wrap: bool = True) -> Console:
    """A console without markup, styled where there is a terminal and not `plain`.

    Lines stay whole, for the terminal to wrap, unless `soft_wrap` is `False`.
    """
    return Console(
        stderr=to_stderr,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=soft_wrap,
        color_system=None if plain else "auto",
    )


COMMAND = re.compile(r"(?<=[`(])vivavoce (?=[a-z])")


def program_name() -> str:
    """How this program is to be typed here: by its name only where that is on the `PATH`."""
    beside = Path(sys.executable).parent / "vivavoce"
    if shutil.which("vivavoce") == str(beside) or not beside.exists():
        return "vivavoce"
    inside = beside.is_relative_to(Path.cwd())
    return shlex.quote(str(beside.relative_to(Path.cwd()) if inside else beside))


def as_typed(text: str) -> str:
    """`text` with every command of ours in it, in backticks or `$(…)`, as it is typed here."""
    return COMMAND.sub(lambda _: program_name() + " ", text)


def command_hint(command: str, url: str) -> str:
    """How to type a command of ours, here, so that it reaches the server at `url`."""
    own = load_config().server
    known = url == base_url(own.host, own.port)
    return f"{program_name()} {command}" + ("" if known else f" --url {url}")


class ErrorCode(Enum):
    """The codes. A code never changes its meaning."""

    CONFIG = "E-CONFIG"
    PORT_BUSY = "E-PORT-BUSY"
    PORT_DENIED = "E-PORT-DENIED"
    ADDRESS = "E-ADDRESS"
    ENGINE_MISSING = "E-ENGINE-MISSING"
    ENGINE_FAILED = "E-ENGINE-FAILED"
    TOOL_FAILED = "E-TOOL-FAILED"
    NO_SERVER = "E-NO-SERVER"
    SERVER_NOT_READY = "E-SERVER-NOT-READY"
    TLS_TRUST = "E-TLS-TRUST"
    TLS_WRONG_VERSION = "E-TLS-WRONG-VERSION"
    COMMAND_MISSING = "E-COMMAND-MISSING"
    WEIGHTS_MISSING = "E-WEIGHTS-MISSING"
    NO_AUDIO_DEVICE = "E-NO-AUDIO-DEVICE"
    KEY_REFUSED = "E-KEY-REFUSED"
    SESSION_CLOSED = "E-SESSION-CLOSED"
    TURN_FAILED = "E-TURN-FAILED"
    NO_ANSWER = "E-NO-ANSWER"
    HOST = "E-HOST"
    STORE = "E-STORE"
    REFUSED = "E-REFUSED"


KEY_WORDS = ("API key not valid", "unregistered callers")
"""How servers of the Live API say that a key is wrong, and that there is none."""


@dataclass(frozen=True, slots=True)
class CliError:
    """One thing that is wrong."""

    code: ErrorCode
    problem: str
    fix: str


def describe_error(error: BaseException, address: str = "") -> CliError:
    """The fault behind an exception that a user can meet. Anything else is raised again."""
    match error:
        case ConfigError():
            return CliError(ErrorCode.CONFIG, error.problem, error.fix)
        case StoreError():
            return CliError(
                ErrorCode.STORE,
                error.problem,
                "Check [store], and that its server or folder is there.",
            )
        case EngineMissing():
            problem = str(error).removesuffix(error.fix).strip()
            return CliError(ErrorCode.ENGINE_MISSING, problem, error.fix)
        case EngineError():
            return CliError(ErrorCode.ENGINE_FAILED, str(error), "See `vivavoce doctor`.")
        case ssl.SSLError():
            return describe_tls_error(error)
        case OSError():
            return describe_address_error(error, address)
        case _:
            raise error


def describe_address_error(error: OSError, address: str) -> CliError:
    """Why an address could not be listened on."""
    if error.errno == errno.EADDRINUSE:
        return CliError(
            ErrorCode.PORT_BUSY,
            f"{address} is in use.",
            "Another server runs there; stop it, or choose another --port.",
        )
    if error.errno == errno.EACCES:
        return CliError(
            ErrorCode.PORT_DENIED, f"{address} is not allowed.", "Choose a --port above 1023."
        )
    return CliError(ErrorCode.ADDRESS, f"{address}: {error.strerror or error}.", "Check --host.")


def describe_tls_error(error: ssl.SSLError) -> CliError:
    """Why a TLS connection failed, by the names under which users meet it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return CliError(
            ErrorCode.TLS_TRUST,
            f"CERTIFICATE_VERIFY_FAILED: {error.verify_message}.",
            'Run the client through `vivavoce run -- COMMAND`, or `eval "$(vivavoce env)"`.',
        )
    if error.reason == "WRONG_VERSION_NUMBER":
        return CliError(
            ErrorCode.TLS_WRONG_VERSION,
            "WRONG_VERSION_NUMBER: something at this address answers in plain text.",
            "Set server.tls.enabled = true, and check that nothing else listens on this port.",
        )
    return CliError(
        ErrorCode.TLS_TRUST, f"TLS failed: {error.reason or error}.", "See `vivavoce doctor`."
    )


def describe_close(error: SessionClosed) -> CliError:
    """Why a server ended the session, as far as its close frame tells."""
    if any(words in error.reason for words in KEY_WORDS):
        fix = "Give one of the server's keys with --key, or set VIVAVOCE_KEY to it."
        return CliError(ErrorCode.KEY_REFUSED, str(error), fix)
    if error.code in (1007, 1008, 1009):
        return CliError(ErrorCode.SESSION_CLOSED, str(error), "Correct what the reason names.")
    return CliError(
        ErrorCode.SESSION_CLOSED, str(error), "Try again; the server's log may say why."
    )


def print_error(failure: CliError) -> None:
    """Print it on standard error, its commands as they are typed here."""
    console = open_console(to_stderr=True)
    console.print(f"{failure.code.value}: {as_typed(failure.problem)}", style="red")
    console.print(as_typed(failure.fix))


def print_and_exit(failure: CliError, status: int = 1) -> typer.Exit:
    """Print it; the exit to raise."""
    print_error(failure)
    return typer.Exit(status)
