"""Displays of a conversation: redrawn in a terminal, or a plain line for each event.

`ConversationView.frame` computes a `Frame` from the turn log, the time and the playing position;
it knows no terminal. `turn_lines` gives a turn as labelled lines, which `plain_text` and
`styled_lines` render, and a `ConversationDisplay` prints.
"""

from __future__ import annotations

import asyncio
import io
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from enum import Enum
from typing import IO, Any

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from vivavoce.cli.errors import open_console
from vivavoce.client.conversation import (
    SILENCE_DBFS,
    ClientConversation,
    ConversationObserver,
    SpeechClock,
    ToolUse,
    Turn,
    TurnLog,
)
from vivavoce.client.messages import ExecutableCodeMessage, ReconnectedMessage, ServerMessage

LABEL_CELLS = 7
UNLABELLED = ("times", "note")
"""Lines that begin at the left edge, without their label."""

METER_CELLS = 24
LOUDEST_DBFS = -6.0
"""The level that fills the meter: a voice close to the microphone."""

QUIET_S = 0.3
"""The user counts as having finished after this long without speech."""

MAX_VALUE_CHARS = 160
"""Characters of a function's arguments, and of its result, that are shown."""

LABEL_STYLE = "dim"
UNPLAYED_STYLE = "dim strike"
STATE_STYLES = {"listening": "green", "thinking": "yellow", "speaking": "cyan"}


class ConversationState(Enum):
    """Activity of the server in the conversation."""

    LISTENING = "listening"
    THINKING = "thinking"
    SPEAKING = "speaking"


@dataclass(frozen=True, slots=True)
class Line:
    """One labelled line of a turn; `unplayed` are the words that follow `text` and were cut off."""

    label: str
    text: str
    style: str = ""
    unplayed: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """Everything shown at one moment: the turns in progress, the state, the meter's cells."""

    lines: tuple[Line, ...]
    state: ConversationState
    meter: int


class ConversationView:
    """Derives frames from a conversation's log and clock."""

    def __init__(self, log: TurnLog, clock: SpeechClock) -> None:
        self._log = log
        self._clock = clock
        self._shown = 0

    def finished_turns(self, played_s: float, everything: bool = False) -> list[Turn]:
        """Return the turns that ended since the last call, played to their end, in order.

        With `everything` also those that are complete and play still.
        """
        first = self._shown
        for turn in self._log.turns[first:]:
            if not everything and turn.end_s > played_s:
                break
            self._shown += 1
        return self._log.turns[first : self._shown]

    def frame(self, now: float, played_s: float) -> Frame:
        """Return what to show at time `now`, with the speaker at `played_s`."""
        lines: list[Line] = []
        for turn in self._log.turns[self._shown :]:
            lines += turn_lines(turn, played_s)
        if self._log.open is not None:
            lines += turn_lines(self._log.open, played_s)
        share = (self._clock.level_dbfs(now) - SILENCE_DBFS) / (LOUDEST_DBFS - SILENCE_DBFS)
        meter = round(METER_CELLS * min(1.0, max(0.0, share)))
        return Frame(tuple(lines), self.state(now, played_s), meter)

    def state(self, now: float, played_s: float) -> ConversationState:
        """Return "speaking" while audio plays, "thinking" from a question's end to its answer."""
        if played_s < self._log.queued_s:
            return ConversationState.SPEAKING
        turn = self._log.open
        if turn is None or turn.produced or turn.interrupted:
            return ConversationState.LISTENING
        spoke = self._clock.last_speech
        if turn.has_answer or spoke is None or now - spoke >= QUIET_S:
            return ConversationState.THINKING
        return ConversationState.LISTENING


def turn_lines(turn: Turn, played_s: float | None = None) -> list[Line]:
    """Return a turn as lines: question, tools, answer, sources, times.

    With `played_s` the turn is still playing: of the answer come the words whose audio has begun,
    and nothing that is known only at its end.
    """
    lines = [Line("you", turn.question)] if turn.question.strip() else []
    lines += [tool_line(use) for use in turn.tools]
    lines += [code_line(code) for code in turn.code]
    said = turn.answer if played_s is None else turn.answer_until(played_s)
    if said.strip() or turn.unplayed.strip():
        lines.append(Line("voice", said, "bold", turn.unplayed))
    return lines if played_s is not None else lines + closing_lines(turn)


def closing_lines(turn: Turn) -> list[Line]:
    """Return the lines known at the end of a turn: pages, sources, failure, times."""
    lines = evidence_lines(turn)
    if turn.failed:
        lines.append(Line("", "no answer: the server's log says why", "red"))
    lines.append(Line("times", turn.latency_line(), "dim"))
    return lines


def evidence_lines(turn: Turn) -> list[Line]:
    """Return the lines of the pages that were read and the sources of the answer."""
    lines = [Line("", f"read {url} ({status})", "dim") for url, status in turn.urls]
    return lines + [Line("", f"source: {title} ({uri})", "dim") for title, uri in turn.sources]


def code_line(code: str) -> Line:
    """Return the line of code that the server ran."""
    return Line("tool", f"ran {code}")


def tool_line(use: ToolUse) -> Line:
    """Return a function call as `name(key=value) → result`."""
    arguments = ", ".join(f"{name}={_json(value)}" for name, value in use.call.args.items())
    call = f"{use.call.name}({_shortened(arguments)})"
    if use.withdrawn:
        return Line("tool", f"{call} → withdrawn")
    if use.result is None:
        return Line("tool", f"{call} …")
    response = use.result.response
    value = response["result"] if set(response) == {"result"} else response
    return Line("tool", f"{call} → {_shortened(_json(value))}")


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, default=str)


def _shortened(text: str) -> str:
    return text if len(text) <= MAX_VALUE_CHARS else text[: MAX_VALUE_CHARS - 1] + "…"


def printable(text: str) -> str:
    """Return `text` as one line, without control characters, which a terminal would obey."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def plain_text(line: Line) -> str:
    """Render a line without styles; words that were not played stand in brackets."""
    unheard = f" [not heard: {printable(line.unplayed)}]" if line.unplayed.strip() else ""
    if line.label in UNLABELLED:
        return printable(line.text)
    return f"{line.label:<{LABEL_CELLS}}{printable(line.text)}{unheard}"


def styled_lines(lines: Sequence[Line]) -> RenderableType:
    """Render lines for a terminal: labels in a column, texts wrapped beside it."""
    blocks: list[RenderableType] = []
    table: Table | None = None
    for line in lines:
        if line.label in UNLABELLED:
            blocks.append(Text(printable(line.text), style=line.style))
            table = None
            continue
        if table is None:
            table = Table.grid()
            table.add_column(width=LABEL_CELLS, style=LABEL_STYLE, no_wrap=True)
            table.add_column(overflow="fold")
            blocks.append(table)
        text = Text(printable(line.text), style=line.style)
        if line.unplayed.strip():
            text.append(" " if text else "")
            text.append(printable(line.unplayed), UNPLAYED_STYLE)
        table.add_row(line.label, text)
    return Group(*blocks)


def status_line(frame: Frame, unicode: bool = True) -> Text:
    """Render the state and the microphone's level in one line."""
    full, empty = ("━", "━") if unicode else ("=", "-")
    name = frame.state.value
    text = Text(no_wrap=True, overflow="crop")
    text.append(f"{name:<10}", STATE_STYLES[name])
    text.append(full * frame.meter, "green")
    text.append(empty * (METER_CELLS - frame.meter), "dim")
    return text


PERIOD_S = 0.1
"""Time between two redrawings: about as fast as words follow each other."""


class ConversationDisplay(ConversationObserver, ABC):
    """A display of a conversation, open while `show_conversation` is entered.

    `failed` is whether the server could not answer one of its turns.
    """

    def __init__(self, console: Console, transcript: IO[str] | None = None) -> None:
        self.console = console
        self.failed = False
        self._transcript = transcript

    @asynccontextmanager
    async def show_conversation(self, conversation: ClientConversation) -> AsyncIterator[None]:
        """Show `conversation` until the end of the block."""
        yield

    @abstractmethod
    def print_lines(self, lines: list[Line]) -> None:
        """Print lines for good."""

    def print_note(self, text: str, style: str = "") -> None:
        """Print a remark that belongs to no turn."""
        self.print_lines([Line("note", text, style)])

    def on_message(self, message: ServerMessage, turn: Turn | None) -> None:
        if isinstance(message, ReconnectedMessage):
            self.print_note(f"{message.ended}. The conversation continues on a new connection.")

    def on_turn(self, turn: Turn) -> None:
        self.failed = self.failed or turn.failed
        if self._transcript:
            self._transcript.write(json.dumps(turn.as_json(), ensure_ascii=False) + "\n")
            self._transcript.flush()


class PlainDisplay(ConversationDisplay):
    """Prints a line for each question, tool, answer and turn's times, once it is complete."""

    def __init__(self, console: Console, transcript: IO[str] | None = None) -> None:
        super().__init__(console, transcript)
        self._question = ""
        self._printed: list[Line] = []

    def print_lines(self, lines: list[Line]) -> None:
        for line in lines:
            self.console.print(plain_text(line))
        self._printed += lines

    def on_message(self, message: ServerMessage, turn: Turn | None) -> None:
        super().on_message(message, turn)
        if turn is not None and turn.has_answer:
            self._print_question(turn)
        if isinstance(message, ExecutableCodeMessage):
            self.print_lines([code_line(message.code)])

    def on_tool_result(self, use: ToolUse) -> None:
        self.print_lines([tool_line(use)])

    def on_turn(self, turn: Turn) -> None:
        super().on_turn(turn)
        self._print_question(turn)
        lines = [line for line in turn_lines(turn) if line.label != "you"]
        self.print_lines([line for line in lines if line not in self._printed])
        self._question = ""
        self._printed.clear()

    def _print_question(self, turn: Turn) -> None:
        """Print the words that were recognized since the last call in this turn."""
        words = turn.question.removeprefix(self._question)
        if words.strip():
            self.print_lines([Line("you", words)])
        self._question = turn.question


class LiveDisplay(ConversationDisplay):
    """Redraws turns in progress and a status line below the finished turns of a terminal."""

    def __init__(self, console: Console, transcript: IO[str] | None = None) -> None:
        super().__init__(console, transcript)
        self._drawn: tuple[Frame, tuple[int, int]] | None = None

    @asynccontextmanager
    async def show_conversation(self, conversation: ClientConversation) -> AsyncIterator[None]:
        view = ConversationView(conversation.log, conversation.clock)
        with Live(
            console=self.console,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=False,
        ) as live:
            redrawing = asyncio.ensure_future(self._redraw(conversation, view, live))
            try:
                yield
            finally:
                redrawing.cancel()
                await asyncio.wait([redrawing])
                self._print_finished(view, conversation.played_s, everything=True)
                if conversation.log.open is not None:
                    self.print_lines(turn_lines(conversation.log.open, conversation.played_s))

    def print_lines(self, lines: list[Line]) -> None:
        if lines:
            self.console.print(styled_lines(lines))

    async def _redraw(
        self, conversation: ClientConversation, view: ConversationView, live: Live
    ) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self.draw_frame(view, live, loop.time(), conversation.played_s)
            await asyncio.sleep(PERIOD_S)

    def draw_frame(self, view: ConversationView, live: Live, now: float, played_s: float) -> None:
        """Print what has finished, and draw the frame anew if it has changed."""
        self._print_finished(view, played_s)
        frame = view.frame(now, played_s)
        size = (self.console.width, self.console.height)
        if (frame, size) == self._drawn:
            return
        self._drawn = frame, size
        live.update(frame_block(frame, self.console), refresh=True)

    def _print_finished(
        self, view: ConversationView, played_s: float, everything: bool = False
    ) -> None:
        for turn in view.finished_turns(played_s, everything):
            self.print_lines(turn_lines(turn))


def frame_block(frame: Frame, console: Console) -> RenderableType:
    """Render a frame: turns in progress, an empty line, the status line."""
    status = status_line(frame, unicode=console.encoding.startswith("utf"))
    return _Tail(Group(styled_lines(frame.lines), Text(), status))


class _Tail:
    """The last lines of a renderable, as many as the terminal can show at once."""

    def __init__(self, renderable: RenderableType) -> None:
        self._renderable = renderable

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        lines = console.render_lines(self._renderable, options, pad=False)
        for number, line in enumerate(lines[-max(1, options.size.height - 1) :]):
            if number:
                yield Segment.line()
            yield from line


def open_display(
    plain: bool = False, to_stderr: bool = False, transcript: IO[str] | None = None
) -> ConversationDisplay:
    """Open the live display on a terminal, unless `plain`; else the plain one."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # words of any language, in any terminal
    console = open_console(to_stderr, soft_wrap=False)
    if console.is_interactive and not plain:
        return LiveDisplay(console, transcript)
    return PlainDisplay(open_console(to_stderr, plain=True), transcript)
