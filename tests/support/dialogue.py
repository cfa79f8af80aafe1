"""What a dialogue is made of. `script.parse_script` reads one from text."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import Content, Json, Scheduling, ServerTool, Tools
from vivavoce.domain.setup import SessionSetup


@dataclass(frozen=True, slots=True)
class Answer:
    """What one generation does: calls, then says, then ends, or fails.

    `given` must be in what it is made from, and `without` must not.
    """

    after_s: float = 0.1
    says: str = ""
    over_s: float = 0.0
    calls: tuple[tuple[str, Json], ...] = ()
    fails: bool = False
    fails_after_s: float = 0.0
    given: str = ""
    without: str = ""


@dataclass(frozen=True, slots=True)
class Speech:
    """The user speaks."""

    at: float
    until: float
    words: str


@dataclass(frozen=True, slots=True)
class Typing:
    """Realtime text."""

    at: float
    words: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """Client content."""

    at: float
    turns: tuple[Content, ...]
    answer: bool


@dataclass(frozen=True, slots=True)
class Microphone:
    """The sound ends: with a word (`announced`), or without."""

    at: float
    announced: bool


@dataclass(frozen=True, slots=True)
class Stray:
    """The client answers a call that there is not."""

    at: float
    name: str
    response: Json


@dataclass(frozen=True, slots=True)
class ContextChange:
    """`contextUpdate`; `None` keeps what was."""

    at: float
    instruction: str | None
    tools: Tools | None


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """What comes of the next call of this name that no earlier line is about.

    From the client, or, where the server runs the tool, from the tool: `fails` is then its
    sentence. `twice`: the client says it a second time at once.
    """

    name: str
    response: Json
    after_s: float = 0.0
    scheduling: Scheduling = Scheduling.WHEN_IDLE
    will_continue: bool = False
    twice: bool = False
    fails: str = ""


Step = Speech | Typing | Contribution | Microphone | Stray | ContextChange | ToolAnswer


@dataclass(frozen=True, slots=True)
class AfterCall:
    """So many seconds after the client was asked for this function for the `nth` time."""

    name: str
    nth: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Expectation:
    """A message that must come after those expected before it.

    `within_s` counts from `since`: a time, or the answer to a call (which comes when it comes).
    """

    line: int
    what: str
    words: str = ""
    within_s: float | None = None
    since: float | AfterCall = 0.0


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a message comes in all."""

    line: int
    what: str
    count: int


@dataclass(slots=True)
class Script:
    """A dialogue, parsed. `streams`: the recognizer gives words while they are spoken."""

    setup: SessionSetup = field(default_factory=lambda: SessionSetup(model="models/gemini-2.5"))
    settings: SessionSettings = field(default_factory=SessionSettings)
    answers: list[Answer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    expectations: list[Expectation | Tally] = field(default_factory=list)
    until: float = 0.0
    streams: bool = False

    @property
    def server_tools(self) -> tuple[ServerTool, ...]:
        """The tools that the server runs, those included which updates bring."""
        offered = [self.setup.tools]
        offered += [s.tools for s in self.steps if isinstance(s, ContextChange) and s.tools]
        found = {tool.declaration.name: tool for tools in offered for tool in tools.server}
        return tuple(found.values())

    def tool_answers(self) -> list[ToolAnswer]:
        """What comes of calls, in the order of the script."""
        return [step for step in self.steps if isinstance(step, ToolAnswer)]


def take_answers(left: list[ToolAnswer], name: str) -> Iterator[ToolAnswer]:
    """Use up the first line for this name; lines that continue go with the next."""
    for line in [line for line in left if line.name == name]:
        left.remove(line)
        yield line
        if not line.will_continue:
            return
