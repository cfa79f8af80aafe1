"""An ADK agent run live, its model named by a plain string: the base URL is in the environment."""

from __future__ import annotations

import asyncio

from google.adk.agents import LlmAgent
from google.adk.agents.live_request_queue import LiveRequestQueue
from google.adk.agents.run_config import RunConfig, StreamingMode
from google.adk.events import Event
from google.adk.runners import InMemoryRunner
from google.genai import types
from stage import INPUT_RATE, Stage


def describe(stage: Stage, event: Event) -> None:
    """Tell what one event holds; whole transcriptions only, not the parts they came in."""
    if event.error_code:
        stage.tell("error", f"{event.error_code}: {event.error_message}")
    if event.interrupted:
        stage.tell("interrupted")
    for kind, words in (("user", event.input_transcription), ("model", event.output_transcription)):
        if words and words.text and not event.partial:
            stage.tell(kind, words.text)
    for part in event.content.parts or () if event.content else ():
        if part.inline_data and part.inline_data.data:
            stage.tell("sound", part.inline_data.data)
    if event.turn_complete:
        stage.tell("turn")


async def main() -> None:
    stage = Stage()

    def turn_on_the_lights() -> dict[str, str]:
        """Turns the lights on."""
        stage.tell("call", {"name": "turn_on_the_lights", "args": {}})
        return {"state": "on"}

    agent = LlmAgent(
        name="house", model=stage.model, instruction="Answer briefly.", tools=[turn_on_the_lights]
    )
    runner = InMemoryRunner(agent=agent, app_name="house")
    session = await runner.session_service.create_session(app_name="house", user_id="one")
    queue = LiveRequestQueue()
    config = RunConfig(
        response_modalities=["AUDIO"],
        streaming_mode=StreamingMode.BIDI,
        input_audio_transcription=types.AudioTranscriptionConfig(),
        output_audio_transcription=types.AudioTranscriptionConfig(),
        session_resumption=types.SessionResumptionConfig(),
    )

    async def write(text: str) -> None:
        queue.send_content(types.Content(role="user", parts=[types.Part(text=text)]))

    async def listen() -> None:
        async for piece in stage.microphone():
            queue.send_realtime(types.Blob(data=piece, mime_type=f"audio/pcm;rate={INPUT_RATE}"))

    async def follow() -> None:
        try:
            async for event in runner.run_live(
                user_id="one", session_id=session.id, live_request_queue=queue, run_config=config
            ):
                describe(stage, event)
        except Exception as error:
            stage.tell("error", f"{type(error).__name__}: {error}")

    tasks = [asyncio.create_task(follow()), asyncio.create_task(listen())]
    await stage.perform(write)
    queue.close()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


asyncio.run(main())
