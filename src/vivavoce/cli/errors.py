"""Errors that end a command, each with a code, a fix and an exit status, and how they are printed.

Exit codes: 0 done · 1 a problem on this machine · 2 wrong use · 3 no server there · 4 the server
ended the session · 5 no answer came in time · 6 the server could not answer a turn. The codes are
listed in docs/reference/errors.md.
"""

from __future__ import annotations

import errno
import re
import shlex
import shutil
import ssl
import sys
from enum import StrEnum
from pathlib import Path

from rich.console import Console

from vivavoce.config.loading import load_config
from vivavoce.config.settings import base_url
from vivavoce.errors import EngineError, VivavoceError

WRONG, UNREACHABLE, CLOSED, SILENT, FAILED = 1, 3, 4, 5, 6


class ErrorCode(StrEnum):
    """The codes of errors; a code never changes its meaning."""

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
"""Close reasons of the Live API for a wrong key and for a missing one."""

COMMAND = re.compile(r"(?<=[`(])vivavoce (?=[a-z])")


class CliError(VivavoceError):
    """A problem that ends a command: a code, a sentence, a fix, an exit status."""

    def __init__(self, code: ErrorCode, problem: str, fix: str, status: int = WRONG) -> None:
        super().__init__(problem, fix)
        self.code: ErrorCode = code
        self.status = status


def describe_error(error: BaseException, address: str = "") -> CliError:
    """Return the `CliError` for an exception that a user can meet; raise any other again.

    `address` is where a server was to listen.
    """
    from vivavoce.client.messages import SessionClosed
    from vivavoce.client.session import ServerUnreachable

    match error:
        case CliError():
            return error
        case ServerUnreachable():
            return CliError(ErrorCode(error.code), error.problem, error.fix, UNREACHABLE)
        case SessionClosed():
            return _describe_close(error.code, error.reason, str(error))
        case EngineError():
            return CliError(ErrorCode(error.code), f"{error.engine}: {error.problem}", error.fix)
        case VivavoceError(code=str(code)) if code:
            return CliError(ErrorCode(code), error.problem, error.fix)
        case ssl.SSLError():
            return _describe_tls_error(error)
        case OSError():
            return _describe_address_error(error, address)
        case _:
            raise error


def _describe_address_error(error: OSError, address: str) -> CliError:
    if error.errno == errno.EADDRINUSE:
        fix = "Another server runs there; stop it, or choose another --port."
        return CliError(ErrorCode.PORT_BUSY, f"{address} is in use.", fix)
    if error.errno == errno.EACCES:
        fix = "Choose a --port above 1023."
        return CliError(ErrorCode.PORT_DENIED, f"{address} is not allowed.", fix)
    return CliError(ErrorCode.ADDRESS, f"{address}: {error.strerror or error}.", "Check --host.")


def _describe_tls_error(error: ssl.SSLError) -> CliError:
    """Name a failure of TLS as users find it in the errors of their own clients."""
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = f"CERTIFICATE_VERIFY_FAILED: {error.verify_message}."
        fix = 'Run the client through `vivavoce run -- COMMAND`, or `eval "$(vivavoce env)"`.'
        return CliError(ErrorCode.TLS_TRUST, problem, fix)
    if error.reason == "WRONG_VERSION_NUMBER":
        problem = "WRONG_VERSION_NUMBER: something at this address answers in plain text."
        fix = "Set server.tls.enabled = true, and check that nothing else listens on this port."
        return CliError(ErrorCode.TLS_WRONG_VERSION, problem, fix)
    problem = f"TLS failed: {error.reason or error}."
    return CliError(ErrorCode.TLS_TRUST, problem, "See `vivavoce doctor`.")


def _describe_close(code: int, reason: str, problem: str) -> CliError:
    """Say why a server ended the session, as far as its close frame does."""
    if any(words in reason for words in KEY_WORDS):
        fix = "Give one of the server's keys with --key, or set VIVAVOCE_KEY to it."
        return CliError(ErrorCode.KEY_REFUSED, problem, fix, CLOSED)
    fix = "Try again; the server's log may say why."
    if code in (1007, 1008, 1009):
        fix = "Correct what the reason names."
    return CliError(ErrorCode.SESSION_CLOSED, problem, fix, CLOSED)


def print_error(failure: CliError) -> None:
    """Print an error on standard error, its commands as they are typed here."""
    console = open_console(to_stderr=True)
    console.print(f"{failure.code.value}: {as_typed(failure.problem)}", style="red")
    console.print(as_typed(failure.fix))


def open_console(to_stderr: bool = False, plain: bool = False, soft_wrap: bool = True) -> Console:
    """Open a console that prints texts as they are, styled on a terminal unless `plain`.

    Rich would take `[aec]` in a text for markup and drop it. Lines stay whole, for the terminal to
    wrap, unless `soft_wrap` is `False`.
    """
    return Console(
        stderr=to_stderr,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=soft_wrap,
        color_system=None if plain else "auto",
    )


def program_name() -> str:
    """Return how to type this program here: its name where that is on the `PATH`, else its path."""
    beside = Path(sys.executable).parent / "vivavoce"
    if shutil.which("vivavoce") == str(beside) or not beside.exists():
        return "vivavoce"
    inside = beside.is_relative_to(Path.cwd())
    return shlex.quote(str(beside.relative_to(Path.cwd()) if inside else beside))


def as_typed(text: str) -> str:
    """Rewrite the commands in `text`, in backticks or `$(…)`, as they are typed here."""
    return COMMAND.sub(lambda _: program_name() + " ", text)


def command_hint(command: str, url: str) -> str:
    """Return how to type a command, here, so that it reaches the server at `url`."""
    own = load_config().server
    known = url == base_url(own.host, own.port)
    return f"{program_name()} {command}" + ("" if known else f" --url {url}")
