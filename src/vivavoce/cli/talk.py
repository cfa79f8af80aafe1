"""`vivavoce talk` and `vivavoce say`: converse by microphone, with files, or by typing."""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from vivavoce.cli import session as options
from vivavoce.cli.conversation_display import (
    ConversationDisplay,
    code_line,
    evidence_lines,
    open_display,
    printable,
)
from vivavoce.cli.errors import open_console
from vivavoce.cli.session import open_output_file, wait_until_ready
from vivavoce.client import audio as sound
from vivavoce.client import echo_cancellation
from vivavoce.client.audio import (
    ClockSpeaker,
    FileMicrophone,
    Microphone,
    PipeMicrophone,
    PipeSpeaker,
    Speaker,
    read_wav,
    wait_until_played,
)
from vivavoce.client.conversation import ClientConversation, ConversationObserver, Turn
from vivavoce.client.messages import (
    GenerationCompleteMessage,
    ServerMessage,
    SessionOptions,
    TurnCompleteMessage,
)
from vivavoce.client.session import ClientSession, ServerEndpoint, connect, connect_resumably
from vivavoce.client.tools import ToolModule
from vivavoce.errors import ConfigError

PIPE = "-"
QUIET_S = 2.0
"""Silence from the server after which a file counts as answered."""

UNUSED = (
    "The model used none of these tools. Those that are turned off are named in the server's log."
)


@dataclass(frozen=True, slots=True)
class AudioOptions:
    """Source and destination of audio: files and pipes, or else devices."""

    source: str = ""
    sink: str = ""
    fast: bool = False
    backend: str = ""
    microphone: str = ""
    speaker: str = ""
    echo: str = "auto"


def talk(
    url: options.Url = "",
    key: options.Key = "",
    ca: options.Ca = None,
    model: options.Model = "",
    voice: options.Voice = "",
    instruction: options.Instruction = "",
    tools: options.Tools = None,
    use: options.Use = "",
    source: Annotated[
        str, typer.Option("--in", help="WAV file to send, or - for 16 kHz PCM.")
    ] = "",
    sink: Annotated[
        str, typer.Option("--out", help="WAV file for the answers, or - for PCM.")
    ] = "",
    transcript: Annotated[Path | None, typer.Option(help="File for turns, as JSON lines.")] = None,
    plain: options.Plain = False,
    fast: Annotated[
        bool, typer.Option("--fast", help="Send a file faster than real time.")
    ] = False,
    wait: options.Timeout = 60.0,
    echo_mode: Annotated[
        str, typer.Option("--echo", help=f"Echo handling: {', '.join(echo_cancellation.MODES)}.")
    ] = "auto",
    backend: Annotated[
        str, typer.Option(help=f"Sound back end: {', '.join(sound.BACKENDS)}.")
    ] = "",
    microphone: Annotated[str, typer.Option(help="Input device: number or part of name.")] = "",
    speaker: Annotated[str, typer.Option(help="Output device: number or part of name.")] = "",
    list_devices: Annotated[
        bool, typer.Option("--list-devices", help="List devices and exit.")
    ] = False,
) -> None:
    """Talk with a server: by microphone and loudspeaker, or with files.

    A terminal shows the microphone's level, your words as they are understood, and the answer's as
    they are played. One line a turn shows how long its parts took, counted from the end of your
    speech. When the connection ends, the conversation continues on a new one.

    Exit codes: 1 a problem on this machine, 3 no server, 4 ended by the server, 5 no answer in
    time, 6 a turn that the server could not answer.
    """
    if list_devices:
        _list(open_console(), sound.choose_backend(backend))
        return
    module = ToolModule.load_file(tools) if tools else ToolModule()
    endpoint = options.server_endpoint(url, key, ca)
    setup = options.requested_setup(model, voice, instruction, module, use)
    audio = AudioOptions(source, sink, fast, backend, microphone, speaker, echo_mode)
    with open_output_file(transcript, "--transcript") as lines:
        display = open_display(plain, to_stderr=sink == PIPE, transcript=lines)
        try:
            wait_until_ready(endpoint, display.print_note)
            if source or sink:
                course = talk_with_files(endpoint, setup, module, audio, display, wait)
                options.check_answered(asyncio.run(course), display.failed)
            else:
                asyncio.run(talk_with_devices(endpoint, setup, module, audio, display))
        except KeyboardInterrupt:  # the ordinary end of a microphone
            display.print_note("Stopped.")


def _list(console: Console, backend: str) -> None:
    found = sound.list_devices(backend)
    if not found:
        console.print(f"{backend} sees no sound device.")
    for device in found:
        console.print(f"{device.index}  {device.name}  ({'out' if device.output else 'in'})")


async def talk_with_files(
    endpoint: ServerEndpoint,
    setup: SessionOptions,
    tools: ToolModule,
    audio: AudioOptions,
    display: ConversationDisplay,
    wait_s: float,
) -> bool:
    """Send a file or a pipe, and collect the answers. `False` if no answer came in time."""
    source: Microphone
    if audio.source == PIPE:
        source = PipeMicrophone(sys.stdin.buffer)
    elif audio.source:
        source = FileMicrophone(read_wav(Path(audio.source)), audio.fast)
    else:
        raise ConfigError("--out is given without --in.", "Give what is to be sent with --in.")
    recorder = ClockSpeaker(audio.fast)
    speaker: Speaker = PipeSpeaker(sys.stdout.buffer) if audio.sink == PIPE else recorder
    async with connect_resumably(endpoint, setup) as session:
        conversation = ClientConversation(session, speaker, tools, display)
        try:
            async with display.show_conversation(conversation):
                return await conversation.run_while_receiving(
                    _send(conversation, session, source, wait_s)
                )
        finally:
            # The answers so far are saved however the session ends.
            if audio.sink == PIPE:
                await wait_until_played(speaker)
            elif audio.sink:
                recorder.recording.save(Path(audio.sink))


async def _send(
    conversation: ClientConversation, session: ClientSession, source: Microphone, wait_s: float
) -> bool:
    await conversation.send_microphone(source)
    await session.end_audio_stream()
    return await conversation.wait_until_quiet(QUIET_S, wait_s)


async def talk_with_devices(
    endpoint: ServerEndpoint,
    setup: SessionOptions,
    tools: ToolModule,
    audio: AudioOptions,
    display: ConversationDisplay,
) -> None:
    """Talk until the user or the server ends it."""
    guard = echo_cancellation.make_echo_guard(audio.echo)
    backend = sound.choose_backend(audio.backend)
    with sound.open_devices(backend, audio.microphone, audio.speaker, guard.add_playback) as (
        microphone,
        speaker,
    ):
        async with connect_resumably(endpoint, setup) as session:
            display.print_note(f"Connected to {endpoint.url}. Speak; Ctrl-C ends it.")
            display.print_note(guard.description, "dim")
            conversation = ClientConversation(session, speaker, tools, display)

            async def speak() -> bool:
                await conversation.send_microphone(microphone, guard)
                await wait_until_played(speaker)
                return True

            async with display.show_conversation(conversation):
                await conversation.run_while_receiving(speak())


def say(
    text: Annotated[str, typer.Argument(help="The text to send; - reads standard input.")],
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
    """Send a typed turn and print the answer; with --out, save its audio.

    Exit codes: 1 a problem on this machine, 3 no server, 4 ended by the server, 5 no answer in
    time, 6 a turn that the server could not answer.
    """
    console = open_console(to_stderr=True)
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
    options.check_answered(turn is not None, turn is not None and turn.failed)


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
    """Send a typed turn and return the answer; `None` if it is not complete in time."""
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
