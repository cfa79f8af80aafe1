"""`vivavoce say`: one typed turn, one answer."""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from vivavoce.cli import conversing
from vivavoce.cli.conversing import plain_console, told
from vivavoce.client.conversation import Conversation
from vivavoce.client.live import Endpoint, connect
from vivavoce.client.messages import GenerationComplete, ServerMessage, TurnComplete, Wishes
from vivavoce.client.playing import ClockSpeaker
from vivavoce.client.tools import ToolModule
from vivavoce.client.turns import Turn
from vivavoce.errors import ConfigError

UNUSED = "No such tool was used. Is it turned on? The server's log tells of those that are not."


def say(
    text: Annotated[str, typer.Argument(help="What to say; - reads it from standard input.")],
    out: Annotated[Path | None, typer.Option("--out", help="WAV file for the answer.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the turn as JSON.")] = False,
    written: Annotated[bool, typer.Option("--text", help="Ask for text, not speech.")] = False,
    url: conversing.Url = "",
    key: conversing.Key = "",
    ca: conversing.Ca = None,
    model: conversing.Model = "",
    voice: conversing.Voice = "",
    instruction: conversing.Instruction = "",
    tools: conversing.Tools = None,
    use: conversing.Use = "",
    wait: conversing.Patience = 60.0,
) -> None:
    """Send a typed turn and print the answer; with --out, keep it as sound.

    Exit codes: 1 wrong here, 3 no server, 4 ended by the server, 5 no answer in time, 6 a turn
    that the server could not answer.
    """
    console = plain_console(to_stderr=True)
    with told(console):
        module = ToolModule.load(tools) if tools else ToolModule()
        place = conversing.endpoint(url, key, ca)
        modality = "TEXT" if written else "AUDIO"
        asked = conversing.wishes(model, voice, instruction, module, use, modality)
        words = sys.stdin.read().strip() if text == "-" else text
        speaker = ClockSpeaker(fast=True)
        if not words.strip():
            raise ConfigError("There is nothing to say.", "Give some words, or pipe them into -.")
        turn = asyncio.run(ask(place, asked, module, words, speaker, wait))
        if turn is not None:
            if out:
                speaker.recording.save(out)
            if as_json:
                typer.echo(json.dumps(turn.as_json(), ensure_ascii=False))
            elif turn.said.strip() or not turn.failed:
                typer.echo(turn.said.strip())
                for line in conversing.rests_on(turn) or ([UNUSED] if use else ()):
                    console.print(line, style="dim", markup=False)
        conversing.judge(turn is not None, turn is not None and turn.failed)


async def ask(
    place: Endpoint,
    asked: Wishes,
    tools: ToolModule,
    words: str,
    speaker: ClockSpeaker,
    wait_s: float,
) -> Turn | None:
    """The answer to a typed turn; `None` if it isn't all there in time."""
    produced = asyncio.Event()

    def watch(message: ServerMessage) -> None:
        # The turn itself ends only when the answer would have been played: nobody listens here.
        # Where there is nothing to play, it ends at once and says why.
        turn = conversation.log.open
        made = isinstance(message, GenerationComplete) and turn is not None and turn.begun
        if made or isinstance(message, TurnComplete):
            produced.set()

    async with connect(place, asked) as session:
        conversation = Conversation(session, speaker, tools, on_message=watch)

        async def course() -> bool:
            await conversation.type(words)
            try:
                await asyncio.wait_for(produced.wait(), wait_s)
            except TimeoutError:
                return False
            return True

        if not await conversation.held(course()):
            return None
        return conversation.log.open or conversation.log.turns[-1]
