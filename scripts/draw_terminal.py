"""Draw what the terminal shows, as SVG: docs/images/talk.svg and docs/images/start.svg.

    python scripts/draw_terminal.py talk [--url URL WAV WAV ...]
    python scripts/draw_terminal.py start LOG

`talk` holds a conversation: the last WAV interrupts the answer to the one before, and the screen is
drawn while it is spoken. Without --url it starts the scripted profile and speaks in tones. `start`
draws the output of `scripts/start.py --once --plain`.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import re
import tempfile
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Literal

from rich.console import Console

from vivavoce.cli.conversation_display import (
    ConversationView,
    Line,
    frame_block,
    styled_lines,
    turn_lines,
)
from vivavoce.cli.demo import INSTRUCTION, TAIL_S
from vivavoce.cli.session import requested_setup
from vivavoce.client.audio import ClockSpeaker, FileMicrophone, read_wav
from vivavoce.client.conversation import ClientConversation
from vivavoce.client.session import ServerEndpoint, connect
from vivavoce.client.tools import ToolModule
from vivavoce.config.loading import load_config
from vivavoce.domain.audio import INPUT_RATE
from vivavoce.engines.scripted import say
from vivavoce.server import Server

IMAGES = Path(__file__).resolve().parent.parent / "docs" / "images"
SCRIPTED = (
    "Good morning, can you hear me?",
    "Please turn on the lights in the kitchen",
    "This is a long story about a lighthouse and its keeper",
    "Wait, what was the name of the keeper?",
)
WAIT_S = 30.0
BEGIN_S = 5.0
"""A model reads its prompt when the session begins; a person takes as long to begin."""

ANSWER_S = 0.8
"""How much of an answer is played before the user speaks into it."""

SPOKEN = 0.8
"""The part of the last utterance that is spoken when the screen is drawn."""

FONTS = "ui-monospace, Menlo, DejaVu Sans Mono, monospace"


def turn_on_the_lights(room: Literal["kitchen", "hall"]) -> str:
    """Turn on the lights in a room."""
    return "ok"


async def draw_talk(url: str, sounds: list[bytes]) -> Console:
    """The screen while the last of `sounds`, 16 kHz PCM, is spoken into an answer."""
    tools = ToolModule([turn_on_the_lights])
    setup = requested_setup("", "", INSTRUCTION, tools)
    console = recording_console()
    console.print("$ vivavoce talk", style="bold")
    console.print("Connected to http://127.0.0.1:8482. Speak; Ctrl-C ends it.")
    *questions, last = sounds
    async with connect(ServerEndpoint(url), setup) as session:
        conversation = ClientConversation(session, ClockSpeaker(), tools)
        view = ConversationView(conversation.log, conversation.clock)

        async def course() -> bool:
            await asyncio.sleep(BEGIN_S)
            for number, question in enumerate(questions, 1):
                await conversation.send_microphone(FileMicrophone(question, tail_s=TAIL_S))
                if number < len(questions) and not await conversation.wait_for_turns(
                    number, WAIT_S
                ):
                    return False
            await until_played(conversation, ANSWER_S)
            await conversation.send_microphone(
                FileMicrophone(last[: round(len(last) * SPOKEN) & ~1])
            )
            return True

        if not await conversation.run_while_receiving(course()):
            raise SystemExit("A question was not answered.")
        for turn in view.finished_turns(conversation.played_s, everything=True):
            console.print(styled_lines(turn_lines(turn)))
        now = asyncio.get_running_loop().time()
        console.print(frame_block(view.frame(now, conversation.played_s), console))
    return console


async def until_played(conversation: ClientConversation, seconds: float) -> None:
    """Wait until so much of the open turn's answer has been played."""
    async with asyncio.timeout(WAIT_S):
        while not (  # noqa: ASYNC110
            (turn := conversation.log.open)
            and turn.audio_s
            and conversation.played_s >= turn.start_s + seconds
        ):
            await asyncio.sleep(0.02)


def draw_start(log: str) -> Console:
    """What was printed, with the styles that a terminal gets."""
    console = recording_console(max(map(len, log.splitlines())))
    console.print("$ python3 scripts/start.py", style="bold")
    for text in log.splitlines():
        label = text[:7].rstrip()
        if label in ("you", "tool", "voice"):
            line = Line(label, text[7:], "bold" if label == "voice" else "")
            console.print(styled_lines([line]))
        else:
            console.print(text, style="dim" if text.startswith("turn ") else "", markup=False)
    return console


def recording_console(columns: int = 88) -> Console:
    """A terminal that keeps what is printed."""
    return Console(
        record=True, width=columns, file=io.StringIO(), force_terminal=True, highlight=False
    )


async def talk(url: str, recordings: list[Path]) -> Console:
    """`draw_talk` with a server that runs, or with one of its own."""
    if url:
        return await draw_talk(url, [read_wav(path) for path in recordings])
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        options = {"profile": "scripted", "server.port": 0, "store.use": "memory"}
        server = Server(load_config(None, options), folder=folder)
        await server.start()
        stack.push_async_callback(server.stop)
        return await draw_talk(server.url(), [say(text, INPUT_RATE) for text in SCRIPTED])


def main() -> None:
    """Draw the picture that is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    kinds = parser.add_subparsers(dest="kind", required=True)
    talking = kinds.add_parser("talk")
    talking.add_argument("--url", default="")
    talking.add_argument("recordings", nargs="*", type=Path)
    kinds.add_parser("start").add_argument("log", type=Path)
    asked = parser.parse_args()
    if asked.kind == "talk":
        console = asyncio.run(talk(asked.url, asked.recordings))
    else:
        console = draw_start(asked.log.read_text(encoding="utf-8"))
    title = "vivavoce talk" if asked.kind == "talk" else "vivavoce"
    picture = console.export_svg(title=title, unique_id="terminal")
    # Without rich's font, which a viewer would have to fetch.
    picture = re.sub(r"@font-face \{.*?\}\s*", "", picture, flags=re.DOTALL)
    picture = picture.replace("Fira Code, monospace", FONTS)
    (IMAGES / f"{asked.kind}.svg").write_text(picture, encoding="utf-8")


if __name__ == "__main__":
    main()
