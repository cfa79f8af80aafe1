"""`vivavoce demo`: fetch, serve, hold a spoken conversation, and keep serving."""

from __future__ import annotations

import asyncio
import os
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vivavoce import config, logs, wiring
from vivavoce.cli import conversing
from vivavoce.cli import stopping as stops
from vivavoce.cli.conversing import TurnPrinter, plain_console, told
from vivavoce.client.conversation import Conversation
from vivavoce.client.files import FileMicrophone, read_wav
from vivavoce.client.live import Endpoint, connect
from vivavoce.client.playing import ClockSpeaker
from vivavoce.client.tools import ToolModule
from vivavoce.engines import weights
from vivavoce.errors import ConfigError

RECORDINGS = ("question.wav", "lights.wav")
INSTRUCTION = "You are a helpful and friendly assistant. Answer in one short sentence."
TAIL_S = 1.0
"""The microphone stays on for a while after the words, as real ones do."""


def turn_on_the_lights() -> dict[str, str]:
    """Turn on the lights."""
    return {"result": "ok"}


def turn_off_the_lights() -> dict[str, str]:
    """Turn off the lights."""
    return {"result": "ok"}


def demo(
    once: Annotated[bool, typer.Option("--once", help="End after the conversation.")] = False,
    answer: Annotated[Path, typer.Option("--out", help="WAV for the answers.")] = Path(
        "answer.wav"
    ),
    profile: Annotated[str | None, typer.Option(help="Profile that answers.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve on; 0 takes a free one.")] = None,
    wait: conversing.Patience = 120.0,
) -> None:
    """Start a server, talk to it with a recording, and keep serving until Ctrl-C.

    Leaves the answers as a WAV file. Exit codes as of `talk`.
    """
    console = plain_console()
    logs.configure("warning")
    with told(console):
        settings = config.load(None, {"profile": profile, "server.port": port})
        weights.ensure(
            wiring.weights_in_use(settings),
            lambda line: console.print(line, markup=False),
            overrides=settings.weights,
        )
        try:
            answered = asyncio.run(_demo(console, settings, answer, wait, once))
        except (KeyboardInterrupt, stops.Stopped):
            console.print("Over.")
            raise typer.Exit(stops.STATUS) from None
        if not answered:
            console.print("No spoken answer came in time.", style="red")
            raise typer.Exit(conversing.SILENT)


async def _demo(
    console: Console, settings: config.Config, answer: Path, wait_s: float, once: bool
) -> bool:
    server = wiring.build(settings, say=lambda line: console.print(line, markup=False))
    stopping = stops.watch_signals()
    console.print("Starting the server and its engines …")
    try:
        await stops.start(server.start(), stopping)
    except OSError as error:
        raise ConfigError(
            f"Port {settings.server.port} can't be used: {os.strerror(error.errno or 0)}.",
            "Another server may be running; give another one with --port.",
        ) from error
    try:
        key = next(iter(settings.server.keys), "")
        place = Endpoint(server.url(), key)
        console.print(f"Serving at {place.url}; now a recording talks to it, in real time.\n")
        speaker = ClockSpeaker()
        answered = await stops.unless(stopping, converse(console, place, speaker, wait_s))
        speaker.recording.save(answer)
        console.print(f"\nThe answers are in {answer} ({speaker.recording.seconds:.1f} s).")
        if answered and not once:
            await _serve_on(console, place.url, stopping)
        return answered
    finally:
        await server.stop()


async def converse(console: Console, place: Endpoint, speaker: ClockSpeaker, wait_s: float) -> bool:
    """Say the recordings one after the other; whether each was answered by voice."""
    tools = ToolModule([turn_on_the_lights, turn_off_the_lights])
    asked = conversing.wishes("", "", INSTRUCTION, tools)
    async with connect(place, asked) as session:
        conversation = Conversation(session, speaker, tools, TurnPrinter(console))

        async def course() -> bool:
            for number, name in enumerate(RECORDINGS, 1):
                await conversation.speak(FileMicrophone(recording(name), tail_s=TAIL_S))
                if not await conversation.turns(number, wait_s):
                    return False
            return True

        complete = await conversation.held(course())
    return complete and all(turn.audio_s for turn in conversation.log.turns)


def recording(name: str) -> bytes:
    """A recording that ships with the project, as 16 kHz PCM."""
    with as_file(files("vivavoce") / "assets" / name) as path:
        return read_wav(path)


async def _serve_on(console: Console, url: str, stopping: asyncio.Event) -> None:
    console.print(
        f"\nStill serving at {url}. In another terminal, inside the same environment:\n"
        "  vivavoce talk                        talk by microphone\n"
        "  vivavoce say 'hello'                 type, and read the answer\n"
        "  vivavoce run -- python your.py       run any program of Google's SDKs against it\n"
        "Ctrl-C ends it.",
        markup=False,
    )
    await stopping.wait()
    console.print("Over.")
