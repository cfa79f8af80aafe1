"""Exception classes of the project, each with a code, a problem and a fix.

    VivavoceError
    ├── ClientFault         the client broke the protocol: becomes a close code and a reason
    │   └── AuthError       no valid key or token (http.keys)
    ├── ConfigError         the configuration cannot work: said at start-up, with the fix
    │   └── AudioDeviceMissing    no microphone or loudspeaker can be opened (client)
    ├── EngineError         an engine failed: ends the generation or the transcript, not the session
    │   ├── EngineBusy      no capacity now; for a speculation this is an ordinary outcome
    │   └── EngineMissing   a part is not installed or not fetched: says what to do
    │       └── NamespacesForbidden   the kernel lets this user make no sandbox
    ├── StoreError          the state store cannot be used: talk goes on, not resumable meanwhile
    ├── ToolError           a tool that the server runs failed: the model gets the error
    │   └── PageError       a page could not be read: PagePaywalled, PageRefused (tools.ssrf)
    ├── ServerUnreachable   the bundled client finds no server (client)
    │   └── ServerUntrusted       its certificate cannot be verified
    ├── SessionClosed       the server ended a client's session (client)
    └── CliError            what a command prints when it ends: code, problem, fix, status (cli)

Anything else that escapes is a bug: the connection closes with 1011 and the
flight recorder is kept.
"""

from __future__ import annotations

import difflib
import os
import socket
import ssl
from collections.abc import Iterable

EXITS = (SystemExit, KeyboardInterrupt)
"""Exceptions that end the process. Any other one of an engine is its failure, also
what is no `Exception`: a panic of a library in Rust, a `GeneratorExit`."""


INVALID, POLICY, TOO_BIG, INTERNAL = 1007, 1008, 1009, 1011
"""Close codes of WebSocket connections (RFC 6455, 7.4.1), as the Live API uses them."""


class VivavoceError(Exception):
    """Base class of all errors: a code, the problem as a sentence, and a fix. Never raised itself.

    `code` is a code of docs/reference/errors.md, or a close code. Where a configuration has several
    mistakes, `problem` and `fix` have a line for each.
    """

    code: str | int = ""
    fix = ""

    def __init__(self, problem: str, fix: str = "") -> None:
        super().__init__(f"{problem} {fix}".rstrip())
        self.problem = problem
        self.fix = fix or self.fix


class ClientFault(VivavoceError):
    """Error for client input that the protocol does not allow, with a close code.

    `code` is the WebSocket close code and `reason` the problem as it travels with the code
    (`protocol.close` cuts it to 123 bytes on the wire). `logged` is what the log may hold of it:
    a sentence without any value that the client sent; the reason itself unless given.
    """

    def __init__(self, code: int, reason: str, logged: str = "") -> None:
        super().__init__(reason)
        self.code: int = code
        self.reason = reason
        self.logged = logged or reason


class ConfigError(VivavoceError):
    """Error in the configuration."""

    code = "E-CONFIG"


class EngineError(VivavoceError):
    """Failure of an engine. `engine` is its registry name."""

    code = "E-ENGINE-FAILED"
    fix = "See `vivavoce doctor`."

    def __init__(self, engine: str, problem: str, fix: str = "") -> None:
        super().__init__(problem, fix)
        self.args = (f"{engine}: {problem} {fix}".rstrip(),)
        self.engine = engine


class EngineBusy(EngineError):
    """Error of an engine without free capacity at this moment."""


class EngineMissing(EngineError):
    """Error for a library, weights or a program that an engine needs and lacks."""

    code = "E-ENGINE-MISSING"


class StoreError(VivavoceError):
    """Failure of the state store. `problem` holds no address with a password."""

    code = "E-STORE"
    fix = "Check [store], and that its server or folder is there."


class ToolError(VivavoceError):
    """Failure of a server-side tool.

    `tool` is its registry name (`search.searxng`), for the log. `problem` is one sentence for the
    model, which may pass it on: it holds no address, key or path of this machine, and nothing
    of the arguments, since it is logged. `words` are an outside service's own about it, which may
    repeat what was said: they are for the model, and personal in the log.
    """

    code = "E-TOOL-FAILED"
    fix = "Check its table in [tools]."

    def __init__(self, tool: str, problem: str, words: str = "") -> None:
        super().__init__(problem)
        self.args = (f"{tool}: {problem}",)
        self.tool = tool
        self.words = words

    @property
    def model_text(self) -> str:
        """Sentence about the failure for the model."""
        return f"{self.problem} {self.words}".rstrip()


def nearest_name(name: str, known: Iterable[str]) -> str:
    """Return the known name nearest to a misspelt `name`; empty if none is near."""
    return next(iter(difflib.get_close_matches(name, sorted(known), 1)), "")


def connection_failure(error: BaseException) -> str:
    """Describe why a connection failed, by the system's error behind `error` where there is one.

    Without error numbers, and without the Python tuples that asyncio puts into its errors.
    """
    cause: BaseException | None = error
    while cause is not None:
        match cause:
            case ssl.SSLError():
                return cause.reason or str(cause)
            case socket.gaierror(strerror=str(reason)):
                return reason
            case OSError(errno=int(number)):
                return os.strerror(number)
            case _:
                cause = cause.__cause__ or cause.__context__
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, OSError):  # asyncio's sum of the errors of several addresses
        return "none of its addresses accepts a connection"
    return str(error) or type(error).__name__
