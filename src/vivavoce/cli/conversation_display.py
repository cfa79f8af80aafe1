"""Displays of a conversation: redrawn in a terminal, or a plain line for each event."""

from __future__ import annotations

import asyncio
import io
import json
import sys
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import IO

from rich.console import Console, ConsoleOptions, Group, RenderableType, RenderResult
from rich.live import Live
from rich.segment import Segment
from rich.text import Text as StyledText

from vivavoce.cli.console import open_console
from vivavoce.cli.conversation_view import (
    ConversationView,
    Frame,
    Line,
    code_line,
    plain_text,
    status_line,
    styled_lines,
    tool_line,
    turn_lines,
)
from vivavoce.client.conversation import ClientConversation, ConversationObserver
from vivavoce.client.messages import ExecutableCodeMessage, ReconnectedMessage, ServerMessage
from vivavoce.client.turns import ToolUse, Turn

PERIOD_S = 0.1
"""Time between two redrawings: about as fast as words follow each other."""


class ConversationDisplay(ConversationObserver, ABC):
    """A display of a conversation, open while `show_conversation` is entered.

    `failed` is whether the server could not answer one of them.
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
        rest = [line for line in turn_lines(turn) if line.label != "you"]
        self.print_lines([line for line in rest if line not in self._printed])
        self._question = ""
        self._printed.clear()

    def _print_question(self, turn: Turn) -> None:
        """The words that were understood since this was last called in the turn."""
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
    """A frame for the console: turns in progress, an empty line, the status line."""
    status = status_line(frame, unicode=console.encoding.startswith("utf"))
    return _Tail(Group(styled_lines(frame.lines), StyledText(), status))


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
    """The live display where there is a terminal to draw on, unless `plain`; else the plain one."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # words of any language, in any terminal
    console = open_console(to_stderr, soft_wrap=False)
    if console.is_interactive and not plain:
        return LiveDisplay(console, transcript)
    return PlainDisplay(open_console(to_stderr, plain=True), transcript)
