"""Vision Agents' Realtime alone: no call, no account of Stream."""

from __future__ import annotations

import asyncio

from getstream.video.rtc.track_util import PcmData
from stage import INPUT_RATE, Stage
from vision_agents.core.edge.types import Participant
from vision_agents.core.llm import realtime
from vision_agents.plugins import gemini

USER = Participant(original=None, user_id="one", id="one")


def describe(stage: Stage, item: object) -> None:
    """Tell what one item of the output stream holds."""
    match item:
        case realtime.RealtimeAudioOutput():
            stage.tell("sound", item.data.to_bytes())
        case realtime.RealtimeAudioOutputDone():
            if item.interrupted:
                stage.tell("interrupted")
            stage.tell("turn")
        case realtime.RealtimeUserTranscript() if item.text:
            stage.tell("user", item.text)
        case realtime.RealtimeAgentTranscript() if item.text:
            stage.tell("model", item.text)


async def main() -> None:
    stage = Stage()
    llm = gemini.Realtime(model=stage.model)
    llm.set_instructions("Answer briefly.")

    @llm.register_function(description="Turns the lights on.")
    async def turn_on_the_lights() -> dict[str, str]:
        stage.tell("call", {"name": "turn_on_the_lights", "args": {}})
        return {"state": "on"}

    async def write(text: str) -> None:
        async for _ in llm.simple_response(text, participant=USER):
            pass

    async def listen() -> None:
        async for piece in stage.microphone():
            await llm.process_audio(PcmData.from_bytes(piece, INPUT_RATE), USER)

    async def follow() -> None:
        async for item in llm.output:
            describe(stage, item)

    await llm.connect()
    tasks = [asyncio.create_task(follow()), asyncio.create_task(listen())]
    await stage.perform(write)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await llm.close()


asyncio.run(main())
