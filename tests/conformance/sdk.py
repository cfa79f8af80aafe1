"""Google's Python SDK as the tests use it: open a session, speak into it, read a turn."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from conformance.servers import Running

MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"
TRANSCRIBED: dict[str, Any] = {"input_audio_transcription": {}, "output_audio_transcription": {}}


@asynccontextmanager
async def live(
    genai: Any, server: Running, key: str = "any", model: str = MODEL, **config: Any
) -> AsyncIterator[Any]:
    """A Live session of the SDK."""
    client = genai.Client(api_key=key, http_options={"base_url": server.url})
    wanted = {"response_modalities": ["AUDIO"], **TRANSCRIBED, **config}
    async with client.aio.live.connect(model=model, config=wanted) as session:
        yield session


async def speak(session: Any, pcm: bytes, real_time: bool = True) -> None:
    """Stream 16 kHz sound in pieces of 64 ms."""
    loop = asyncio.get_running_loop()
    due = loop.time()
    for at in range(0, len(pcm), 2_048):
        due += 0.064
        if real_time:
            await asyncio.sleep(max(0.0, due - loop.time()))
        chunk = pcm[at : at + 2_048]
        await session.send_realtime_input(audio={"data": chunk, "mime_type": "audio/pcm"})


async def turn(session: Any, within_s: float = 15.0) -> list[Any]:
    """All messages of one `receive()`."""
    async with asyncio.timeout(within_s):
        return [message async for message in session.receive()]


def sound(messages: list[Any]) -> bytes:
    return b"".join(
        part.inline_data.data
        for m in messages
        if m.server_content and m.server_content.model_turn
        for part in m.server_content.model_turn.parts
        if part.inline_data
    )


def heard(messages: list[Any]) -> str:
    found = [m.server_content.input_transcription for m in messages if m.server_content]
    return "".join(t.text or "" for t in found if t)


def said(messages: list[Any]) -> str:
    found = [m.server_content.output_transcription for m in messages if m.server_content]
    return "".join(t.text or "" for t in found if t)


QUIET = bytes(32_000)
