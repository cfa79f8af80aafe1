"""`vivavoce demo`: start a server, play a spoken conversation with it, and keep serving."""

from __future__ import annotations

import asyncio
from importlib.resources import as_file, files
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vivavoce import logs
from vivavoce.cli import session as options
from vivavoce.cli.conversation_display import ConversationDisplay, open_display
from vivavoce.cli.errors import as_typed, command_hint, describe_error, open_console
from vivavoce.cli.options import check_port
from vivavoce.cli.pull import fetch_weights
from vivavoce.cli.serve import (
    STOPPED_STATUS,
    Stopped,
    freeze_started_objects,
    run_until_stopped,
    shorten_thread_turns,
    start_server,
    stop_server,
    watch_signals,
)
from vivavoce.client.audio import ClockSpeaker, FileMicrophone, read_wav
from vivavoce.client.conversation import ClientConversation
from vivavoce.client.session import ServerEndpoint, connect
from vivavoce.client.tools import ToolModule
from vivavoce.config.loading import load_config
from vivavoce.config.settings import Config
from vivavoce.server import Server, weights_in_use

RECORDINGS = ("question.wav", "lights.wav")
INSTRUCTION = "You are a helpful and friendly assistant. Answer in one short sentence."
TAIL_S = 1.0
"""Silence after the words, as a microphone that stays on sends it."""

FIRST_PAUSE_S = 2.0
"""Pause before the first question, as a person makes.

The model reads its prompt meanwhile: without, it delays the first answer by 1 to 4 s on two cores.
"""


def turn_on_the_lights() -> dict[str, str]:
    """Turn on the lights."""
    return {"result": "ok"}


def turn_off_the_lights() -> dict[str, str]:
    """Turn off the lights."""
    return {"result": "ok"}


def demo(
    once: Annotated[bool, typer.Option("--once", help="Exit after the conversation.")] = False,
    answer: Annotated[Path, typer.Option("--out", help="WAV file for the answers.")] = Path(
        "answer.wav"
    ),
    profile: Annotated[str | None, typer.Option(help="Profile of engines to use.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to serve on; 0 takes a free one.")] = None,
    plain: options.Plain = False,
    wait: options.Timeout = 120.0,
) -> None:
    """Start a server, talk to it with recordings, and keep serving until Ctrl-C.

    The answers are saved as a WAV file. Exit codes are those of `talk`.
    """
    console = open_console(plain=plain)
    settings = load_config(None, {"profile": profile, "server.port": port})
    log = settings.log
    # Log lines between those of the conversation only for those who asked for them.
    level = log.level if "level" in log.model_fields_set else "warning"
    logs.configure(level, log.format, log.personal)
    check_port(settings)
    fetch_weights(console, weights_in_use(settings), settings.weights)
    display = open_display(plain)
    try:
        answered = asyncio.run(_demo(display, console, settings, answer, wait, once))
    except (KeyboardInterrupt, Stopped):
        console.print("Stopped.")
        raise typer.Exit(STOPPED_STATUS) from None
    options.check_answered(answered, display.failed)
    if not once:
        console.print("Stopped.")


async def _demo(
    display: ConversationDisplay,
    console: Console,
    settings: Config,
    answer: Path,
    wait_s: float,
    once: bool,
) -> bool:
    server = Server(settings, say=lambda line: console.print(as_typed(line)))
    stopping = watch_signals()
    console.print("Starting the server and its engines …")
    try:
        shorten_thread_turns()
        await start_server(server.start(), stopping)
        freeze_started_objects()
    except OSError as error:
        address = f"{settings.server.host}:{settings.server.port}"
        raise describe_error(error, address) from None
    try:
        key = next(iter(settings.server.keys), "")
        endpoint = ServerEndpoint(server.url(), key)
        both = f" and {server.url('https')}" if settings.server.tls.enabled else ""
        console.print(f"Serving at {endpoint.url}{both}")
        console.print("Now a recording talks to it, in real time.\n")
        speaker = ClockSpeaker()
        answered = await run_until_stopped(stopping, play_demo(display, endpoint, speaker, wait_s))
        speaker.recording.save(answer)
        console.print(f"\nThe answers are in {answer} ({speaker.recording.seconds:.1f} s).")
        if answered and not once:
            _print_invitation(console, endpoint.url)
            await stopping.wait()
        return answered
    finally:
        await stop_server(server, stopping, console.print)


async def play_demo(
    display: ConversationDisplay, address: ServerEndpoint, speaker: ClockSpeaker, wait_s: float
) -> bool:
    """Play the recordings one after the other; return whether each was answered by voice."""
    tools = ToolModule([turn_on_the_lights, turn_off_the_lights])
    setup = options.requested_setup("", "", INSTRUCTION, tools)
    async with connect(address, setup) as session:
        conversation = ClientConversation(session, speaker, tools, display)

        async def course() -> bool:
            await asyncio.sleep(FIRST_PAUSE_S)
            for number, name in enumerate(RECORDINGS, 1):
                await conversation.send_microphone(
                    FileMicrophone(load_recording(name), tail_s=TAIL_S)
                )
                if not await conversation.wait_for_turns(number, wait_s):
                    return False
            return True

        async with display.show_conversation(conversation):
            complete = await conversation.run_while_receiving(course())
    return complete and all(turn.audio_s for turn in conversation.log.turns)


def load_recording(name: str) -> bytes:
    """Read a recording that ships with the project, as 16 kHz PCM."""
    with as_file(files("vivavoce") / "assets" / name) as path:
        return read_wav(path)


def _print_invitation(console: Console, url: str) -> None:
    console.print(
        "\nStill serving. In another terminal, in this folder:\n"
        f"  {command_hint('talk', url)}\n"
        "      talk to it yourself, by microphone and loudspeaker\n"
        f"  {command_hint('say', url)} 'hello'\n"
        "      type, and read the answer\n"
        f"  {command_hint('run', url)} -- python your.py\n"
        "      run any program of Google's SDKs against it\n"
        "Ctrl-C ends it."
    )
