"""`vivavoce say`: one typed turn, one answer."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vivavoce.cli import session_options as options
from vivavoce.cli.console import open_console
from vivavoce.cli.conversation_view import code_line, evidence_lines, printable
from vivavoce.cli.server_readiness import wait_until_ready
from vivavoce.client.conversation import ClientConversation, ConversationObserver
from vivavoce.client.messages import (
    GenerationCompleteMessage,
    ServerMessage,
    SessionOptions,
    TurnCompleteMessage,
)
from vivavoce.client.playback import ClockSpeaker
from vivavoce.client.session import ServerEndpoint, connect
from vivavoce.client.tools import ToolModule
from vivavoce.client.turns import Turn
from vivavoce.errors import ConfigError

UNUSED = (
    "The model used none of these tools. Those that are turned off are named in the server's log."
)


def say(
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")],
    out: Annotated[Path | None, typer.Option("--out", help="WAV file for the answer.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the turn as JSON.")] = False,
    written: Annotated[bool, typer.Option("--text", help="Ask for text, not speech.")] = False,
    url: options.Url = "",
    key: options.Key = "",
    ca: options.Ca = None,
    model: options.Model = "",
    voice: options.Voice = "",
    instruction: options.Instruction = "",
    tools: options.Tools = None,
    use: options.Use = "",
    wait: options.Timeout = 60.0,
) -> None:
    """Send a typed turn and print the answer; with --out, keep it as sound.

    Exit codes: 1 a problem on this machine, 3 no server, 4 ended by the server, 5 no answer in
    time, 6 a turn that the server could not answer.
    """
    console = open_console(to_stderr=True)
    with options.exit_on_error():
        module = ToolModule.load_file(tools) if tools else ToolModule()
        endpoint = options.server_endpoint(url, key, ca)
        modality = "TEXT" if written else "AUDIO"
        setup = options.requested_setup(model, voice, instruction, module, use, modality)
        words = sys.stdin.read().strip() if text == "-" else text
        if not words.strip():
            raise ConfigError("There is nothing to say.", "Give some words, or pipe them into -.")
        wait_until_ready(endpoint, console.print)
        speaker = ClockSpeaker(fast=True)
        turn = asyncio.run(ask_question(endpoint, setup, module, words, speaker, wait))
        if turn is not None:
            if out:
                speaker.recording.save(out)
            if as_json:
                typer.echo(json.dumps(turn.as_json(), ensure_ascii=False))
            elif turn.answer.strip() or not turn.failed:
                typer.echo(turn.answer.strip())
                used = [*map(code_line, turn.code), *evidence_lines(turn)]
                for line in [printable(line.text) for line in used] or ([UNUSED] if use else []):
                    console.print(line, style="dim")
        options.exit_unless_answered(turn is not None, turn is not None and turn.failed)


class _AnswerWatcher(ConversationObserver):
    """Sets `produced` when the answer is complete.

    The turn itself ends only when the answer would have been played; where there is nothing to
    play, it ends at once and says why.
    """

    def __init__(self) -> None:
        self.produced = asyncio.Event()

    def on_message(self, message: ServerMessage, turn: Turn | None) -> None:
        made = (
            isinstance(message, GenerationCompleteMessage) and turn is not None and turn.has_answer
        )
        if made or isinstance(message, TurnCompleteMessage):
            self.produced.set()


async def ask_question(
    endpoint: ServerEndpoint,
    setup: SessionOptions,
    tools: ToolModule,
    words: str,
    speaker: ClockSpeaker,
    wait_s: float,
) -> Turn | None:
    """The answer to a typed turn; `None` if it isn't all there in time."""
    watcher = _AnswerWatcher()
    async with connect(endpoint, setup) as session:
        conversation = ClientConversation(session, speaker, tools, watcher)

        async def course() -> bool:
            await conversation.send_text(words)
            try:
                await asyncio.wait_for(watcher.produced.wait(), wait_s)
            except TimeoutError:
                return False
            return True

        if not await conversation.run_while_receiving(course()):
            return None
        return conversation.log.open or conversation.log.turns[-1]
