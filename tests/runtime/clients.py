"""Clients that act on one connection in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from support.host_rig import Client, Step, StepResponder, open_connection
from vivavoce.core.messages import Message
from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, AudioChunk, samples
from vivavoce.domain.setup import ActivityDetection, RealtimeInput, SessionSetup, Transcription
from vivavoce.engines.cascade import Cascade
from vivavoce.engines.ports import Responder, Speech
from vivavoce.engines.scripted import EchoModel, TonesSynthesizer, say
from vivavoce.runtime.connection import Ending
from vivavoce.testing.virtual_loop import run_virtually

SETUP = SessionSetup(
    "models/scripted",
    input_transcription=Transcription(),
    output_transcription=Transcription(),
)
MANUAL = SessionSetup(
    "models/scripted", realtime=RealtimeInput(detection=ActivityDetection(disabled=True))
)
HELLO = say("hello world", INPUT_RATE)
SILENCE = bytes(2 * INPUT_RATE)


def echo() -> Responder:
    return Cascade(EchoModel(), TonesSynthesizer())


def speech(seconds: float, text: str = "") -> Speech:
    return Speech(b"\1\0" * samples(seconds, OUTPUT_RATE), text)


def talks(*steps: Step, stubborn: bool = False) -> StepResponder:
    return StepResponder(lambda request: steps, stubborn)


async def stream(client: Client, pcm: bytes, chunk_s: float = 0.1) -> None:
    """Send `pcm` as a microphone does."""
    size = 2 * samples(chunk_s)
    for at in range(0, len(pcm), size):
        client.say(AudioChunk(pcm[at : at + size]))
        await asyncio.sleep(chunk_s)


Act = Callable[[Client], Awaitable[None]]


async def hold(
    act: Act, responder: Responder, client: Client | None = None, **options: object
) -> tuple[Client, Ending]:
    """Run a connection while the client acts; the client leaves when it has acted."""
    client = client or Client()
    connection = open_connection(client, responder, **{"setup": SETUP, **options})  # type: ignore[arg-type]
    running = asyncio.ensure_future(connection.run())
    await act(client)
    client.leave()
    ending = await running
    if not (isinstance(responder, StepResponder) and responder.stubborn):
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"
    return client, ending


def played(act: Act, responder: Responder, **options: object) -> Client:
    return run_virtually(hold(act, responder, **options))[0]  # type: ignore[arg-type]


def kinds(client: Client) -> list[type[Message]]:
    """The kinds of messages in order, repetitions taken together."""
    order: list[type[Message]] = []
    for message in client.messages:
        if not order or order[-1] is not type(message):
            order.append(type(message))
    return order
