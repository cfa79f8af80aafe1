"""LiveKit's RealtimeSession driven directly: replies to instructions, their first sound in 5 s."""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import llm
from livekit.plugins.google.realtime import RealtimeModel
from stage import INPUT_RATE, PIECE, Stage


async def main() -> None:
    stage = Stage()
    session = RealtimeModel(model=stage.model).session()
    running: set[asyncio.Task[None]] = set()

    def keep(task: asyncio.Task[None]) -> None:
        running.add(task)
        task.add_done_callback(running.discard)

    async def follow(generation: llm.GenerationCreatedEvent) -> None:
        async for message in generation.message_stream:
            async for frame in message.audio_stream:
                stage.tell("sound", bytes(frame.data))
            stage.tell("model", "".join([text async for text in message.text_stream]))
        async for call in generation.function_stream:
            stage.tell("call", {"name": call.name, "args": call.arguments})
        stage.tell("turn")

    @session.on("generation_created")
    def created(event: llm.GenerationCreatedEvent) -> None:
        keep(asyncio.create_task(follow(event)))

    @session.on("input_audio_transcription_completed")
    def heard(event: llm.InputTranscriptionCompleted) -> None:
        if event.is_final:
            stage.tell("user", event.transcript)

    @session.on("error")
    def failed(event: llm.RealtimeModelError) -> None:
        stage.tell("error", str(event.error))

    async def write(text: str) -> None:
        try:
            await session.generate_reply(instructions=text)
        except llm.RealtimeError as error:
            stage.tell("error", str(error))

    async def listen() -> None:
        async for piece in stage.microphone():
            session.push_audio(rtc.AudioFrame(piece, INPUT_RATE, 1, PIECE // 2))

    microphone = asyncio.create_task(listen())
    await stage.perform(write)
    microphone.cancel()
    await session.aclose()


asyncio.run(main())
