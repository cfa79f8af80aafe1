"""`vivavoce talk`: a conversation by microphone, or with files and pipes."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated

import typer
from rich.console import Console

from vivavoce.cli import conversing
from vivavoce.cli.conversing import TurnPrinter, plain_console, told
from vivavoce.client import devices, echo
from vivavoce.client.conversation import Conversation
from vivavoce.client.files import FileMicrophone, Microphone, PipeMicrophone, read_wav
from vivavoce.client.live import Endpoint, Session
from vivavoce.client.messages import Resumed, ServerMessage, Wishes
from vivavoce.client.playing import ClockSpeaker, PipeSpeaker, Speaker, drained
from vivavoce.client.resuming import resuming
from vivavoce.client.tools import ToolModule
from vivavoce.errors import ConfigError

PIPE = "-"
QUIET_S = 2.0
"""How long nothing may come, after the last turn of a file, until it counts as answered."""


@dataclass(frozen=True, slots=True)
class Sound:
    """Where sound comes from and goes to. Files and pipes, or else devices."""

    source: str = ""
    sink: str = ""
    fast: bool = False
    backend: str = ""
    microphone: str = ""
    speaker: str = ""
    echo: str = "auto"


def talk(
    url: conversing.Url = "",
    key: conversing.Key = "",
    ca: conversing.Ca = None,
    model: conversing.Model = "",
    voice: conversing.Voice = "",
    instruction: conversing.Instruction = "",
    tools: conversing.Tools = None,
    use: conversing.Use = "",
    source: Annotated[str, typer.Option("--in", help="WAV to say, or - for 16 kHz PCM.")] = "",
    sink: Annotated[str, typer.Option("--out", help="WAV for the answer, or - for PCM.")] = "",
    transcript: Annotated[
        Path | None, typer.Option(help="File for turns, a JSON line each.")
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Send a file faster than it lasts.")] = False,
    wait: conversing.Patience = 60.0,
    echo_mode: Annotated[
        str, typer.Option("--echo", help=f"Against echo: {', '.join(echo.MODES)}.")
    ] = "auto",
    backend: Annotated[
        str, typer.Option(help=f"Sound library: {', '.join(devices.BACKENDS)}.")
    ] = "",
    microphone: Annotated[str, typer.Option(help="Input device: number or part of name.")] = "",
    speaker: Annotated[str, typer.Option(help="Output device: number or part of name.")] = "",
    list_devices: Annotated[bool, typer.Option("--list-devices", help="List and end.")] = False,
) -> None:
    """Talk with a server: by microphone and loudspeaker, or with files.

    One line a turn tells how long its parts took, counted from the end of your speech. When the
    connection ends, by a restart of the server say, the conversation goes on by a new one.
    Exit codes: 1 wrong here, 3 no server, 4 ended by the server, 5 no answer in time, 6 a turn
    that the server could not answer.
    """
    console = plain_console(to_stderr=sink == PIPE)
    with told(console), ExitStack() as stack:
        if list_devices:
            _list(console, devices.choose_backend(backend))
            return
        module = ToolModule.load(tools) if tools else ToolModule()
        place = conversing.endpoint(url, key, ca)
        asked = conversing.wishes(model, voice, instruction, module, use)
        lines = stack.enter_context(_writable(transcript)) if transcript else None
        printer = TurnPrinter(console, lines)
        sound = Sound(source, sink, fast, backend, microphone, speaker, echo_mode)
        if source or sink:
            try:
                answered = asyncio.run(with_files(place, asked, module, sound, printer, wait))
            except KeyboardInterrupt:  # the ordinary end of a pipe from a microphone
                console.print("Over.")
                return
            conversing.judge(answered, printer.failed)
        else:
            try:
                asyncio.run(with_devices(place, asked, module, sound, printer, console))
            except KeyboardInterrupt:
                console.print("Over.")


def _writable(path: Path) -> IO[str]:
    try:
        return path.open("w", encoding="utf-8")
    except OSError as error:
        raise ConfigError(
            f"{path} can't be written: {error.strerror}.", "Choose another --transcript."
        ) from error


def _list(console: Console, backend: str) -> None:
    found = devices.devices(backend)
    if not found:
        console.print(f"{backend} sees no sound device.")
    for device in found:
        ways = " and ".join(
            way for way, is_so in (("in", device.inputs), ("out", device.outputs)) if is_so
        )
        console.print(f"{device.index}  {device.name}  ({ways})", markup=False)


async def with_files(
    place: Endpoint,
    asked: Wishes,
    tools: ToolModule,
    sound: Sound,
    on_turn: TurnPrinter,
    wait_s: float,
) -> bool:
    """Say a file or a pipe, and gather the answers. `False` if no answer came in time."""
    source: Microphone
    if sound.source == PIPE:
        source = PipeMicrophone(sys.stdin.buffer)
    elif sound.source:
        source = FileMicrophone(read_wav(Path(sound.source)), sound.fast)
    else:
        raise ConfigError("--out is given without --in.", "Say what is to be said with --in.")
    heard = ClockSpeaker(sound.fast)
    speaker: Speaker = PipeSpeaker(conversing.binary_stdout()) if sound.sink == PIPE else heard
    async with resuming(place, asked) as session:
        conversation = Conversation(session, speaker, tools, on_turn, teller(on_turn.console))
        try:
            return await conversation.held(_say(conversation, session, source, wait_s))
        finally:
            # However it ends: what was answered is the user's.
            if sound.sink == PIPE:
                await drained(speaker)
            elif sound.sink:
                heard.recording.save(Path(sound.sink))


def teller(console: Console) -> Callable[[ServerMessage], None]:
    """Says when the conversation has gone over to another connection."""

    def tell(message: ServerMessage) -> None:
        if isinstance(message, Resumed):
            console.print(f"{message.ended}. It goes on by a new one.", style="dim", markup=False)

    return tell


async def _say(
    conversation: Conversation, session: Session, source: Microphone, wait_s: float
) -> bool:
    await conversation.speak(source)
    await session.end_audio()
    return await conversation.settled(QUIET_S, wait_s)


async def with_devices(
    place: Endpoint,
    asked: Wishes,
    tools: ToolModule,
    sound: Sound,
    on_turn: TurnPrinter,
    console: Console,
) -> None:
    """Talk until the user or the server ends it."""
    guard = echo.guard(sound.echo)
    backend = devices.choose_backend(sound.backend)
    with devices.open_devices(backend, sound.microphone, sound.speaker, guard.played) as (
        microphone,
        speaker,
    ):
        async with resuming(place, asked) as session:
            console.print(f"Connected to {place.url}. Speak; Ctrl-C ends it.")
            console.print(guard.said, style="dim")
            conversation = Conversation(session, speaker, tools, on_turn, teller(on_turn.console))

            async def speak() -> bool:
                await conversation.speak(microphone, guard)
                await drained(speaker)
                return True

            await conversation.held(speak())
