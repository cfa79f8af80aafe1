"""A LiveKit AgentSession without a room: a microphone and a loudspeaker of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from livekit import rtc
from livekit.agents import Agent, AgentSession, function_tool
from livekit.agents.voice import io
from livekit.plugins.google.realtime import RealtimeModel
from stage import INPUT_RATE, PIECE, Stage


class Microphone(io.AudioInput):
    """20 ms at a time."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(label="microphone")
        self._pieces: AsyncIterator[bytes] = stage.microphone()

    async def __anext__(self) -> rtc.AudioFrame:
        return rtc.AudioFrame(await anext(self._pieces), INPUT_RATE, 1, PIECE // 2)


class Loudspeaker(io.AudioOutput):
    """Plays in real time what it is given, until told to stop."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(label="loudspeaker", capabilities=io.AudioOutputCapabilities(pause=False))
        self._stage = stage
        self._segment: list[rtc.AudioFrame] = []
        self._playing: asyncio.Task[None] | None = None
        self._played = 0.0
        self._flushed = asyncio.Event()

    async def capture_frame(self, frame: rtc.AudioFrame) -> None:
        await super().capture_frame(frame)
        self._segment.append(frame)
        if self._playing is None:
            self._played = 0.0
            self._flushed.clear()
            self._playing = asyncio.create_task(self._play())

    def flush(self) -> None:
        super().flush()
        self._flushed.set()

    def clear_buffer(self) -> None:
        if self._playing is not None:
            self._playing.cancel()
            self._finish(interrupted=True)

    async def _play(self) -> None:
        while self._segment or not self._flushed.is_set():
            if not self._segment:
                await asyncio.sleep(0.01)
                continue
            frame = self._segment.pop(0)
            await asyncio.sleep(frame.duration)
            self._played += frame.duration
            self._stage.tell("sound", bytes(frame.data))
        self._finish(interrupted=False)

    def _finish(self, *, interrupted: bool) -> None:
        self._playing = None
        self._segment.clear()
        self.on_playback_finished(playback_position=self._played, interrupted=interrupted)
        self._stage.tell("interrupted" if interrupted else "turn")


class House(Agent):
    """Has one function."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(instructions="Answer briefly.")
        self._stage = stage

    @function_tool
    async def turn_on_the_lights(self) -> dict[str, str]:
        """Turns the lights on."""
        self._stage.tell("call", {"name": "turn_on_the_lights", "args": {}})
        return {"state": "on"}


async def main() -> None:
    stage = Stage()
    session: AgentSession[None] = AgentSession(llm=RealtimeModel(model=stage.model))
    session.input.audio = Microphone(stage)
    session.output.audio = Loudspeaker(stage)

    @session.on("user_input_transcribed")
    def heard(event: object) -> None:
        if event.is_final:  # type: ignore[attr-defined]
            stage.tell("user", event.transcript)  # type: ignore[attr-defined]

    @session.on("conversation_item_added")
    def added(event: object) -> None:
        item = event.item  # type: ignore[attr-defined]
        if getattr(item, "role", "") == "assistant":
            stage.tell("model", item.text_content)

    @session.on("error")
    def failed(event: object) -> None:
        stage.tell("error", str(event.error))  # type: ignore[attr-defined]

    async def write(text: str) -> None:
        await session.generate_reply(user_input=text)

    await session.start(House(stage))
    await stage.perform(write)
    await session.aclose()
    items = [f"{i.role}: {i.text_content}" for i in session.history.items if i.type == "message"]
    stage.tell("context", items)


asyncio.run(main())
