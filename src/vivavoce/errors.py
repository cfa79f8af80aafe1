"""Every error this project raises, as one tree.

    VivavoceError
    ├── ClientFault         the client broke the protocol: becomes a close code and a reason
    ├── ConfigError         the configuration cannot work: said at start-up, with the fix
    ├── EngineError         an engine failed: ends the generation or the transcript, not the session
    │   ├── EngineBusy      no capacity now; for a speculation this is an ordinary outcome
    │   └── EngineMissing   a part is not installed or not fetched: says what to do
    │       └── NamespacesForbidden   the kernel lets this user make no sandbox
    ├── StoreError          the state store cannot be used: talk goes on, not resumable meanwhile
    └── ToolError           a tool that the server runs failed: the model is told, the turn goes on

Anything else that escapes is a bug of ours: the connection closes with 1011 and the
flight recorder is kept.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

EXITS = (SystemExit, KeyboardInterrupt)
"""What ends the process. Everything else that an engine raises is a failure of that engine, also
what is no `Exception`: a panic of a library in Rust, a `GeneratorExit`."""


INVALID, POLICY, TOO_BIG, INTERNAL = 1007, 1008, 1009, 1011
"""Close codes of WebSocket connections (RFC 6455, 7.4.1), as the Live API uses them."""


class VivavoceError(Exception):
    """The root of the tree; never raised itself."""


class ClientFault(VivavoceError):
    """The client sent something the protocol does not allow.

    `code` is the WebSocket close code and `reason` the sentence that travels with it
    (`protocol.close` cuts it to 123 bytes on the wire). `logged` is what the log may hold of it:
    a sentence without any value that the client sent; the reason itself unless given.
    """

    def __init__(self, code: int, reason: str, logged: str = "") -> None:
        super().__init__(reason)
        self.code = code
        self.reason = reason
        self.logged = logged or reason


class ConfigError(VivavoceError):
    """The configuration cannot work. `fix` is one sentence that says what to change.

    Where several things are wrong, both have a line for each.
    """

    def __init__(self, problem: str, fix: str) -> None:
        super().__init__(f"{problem} {fix}")
        self.problem = problem
        self.fix = fix


class EngineError(VivavoceError):
    """An engine could not do what it was asked. `engine` is its registry name."""

    def __init__(self, engine: str, problem: str) -> None:
        super().__init__(f"{engine}: {problem}")
        self.engine = engine
        self.problem = problem


class EngineBusy(EngineError):
    """The engine has no free capacity at this moment."""


class EngineMissing(EngineError):
    """A library, weights or a program the engine needs is absent.

    `lack` says what, `fix` what to do about it; `problem` is both.
    """

    def __init__(self, engine: str, lack: str, fix: str) -> None:
        super().__init__(engine, f"{lack} {fix}")
        self.lack = lack
        self.fix = fix


class StoreError(VivavoceError):
    """The state store cannot be reached, or failed. `problem` holds no address with a password."""

    def __init__(self, problem: str) -> None:
        super().__init__(problem)
        self.problem = problem


class ToolError(VivavoceError):
    """A tool that the server runs could not do what it was asked.

    `tool` is its registry name (`search.searxng`), for the log. `problem` is one sentence that
    the model is told and may pass on: no address, key or path of this machine stands in it, and
    nothing of the arguments, since it is logged. `words` are a stranger's own about it, which
    may repeat what somebody said: they are for the model, and personal in the log.
    """

    def __init__(self, tool: str, problem: str, words: str = "") -> None:
        super().__init__(f"{tool}: {problem}")
        self.tool = tool
        self.problem = problem
        self.words = words

    @property
    def model_text(self) -> str:
        """What the model is told."""
        return f"{self.problem} {self.words}".rstrip()


def nearest_name(name: str, known: Iterable[str]) -> str:
    """The setting that a misspelt `name` was probably to be; empty if none is near."""
    return next(iter(difflib.get_close_matches(name, sorted(known), 1)), "")
