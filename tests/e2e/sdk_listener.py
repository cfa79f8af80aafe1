"""What a real server makes of recorded sound that Google's Python SDK streams to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from e2e.speech_corpus import PAUSE_S, SILENCE_MS, Heard, Noise, Recording, Room, conversations
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, samples

MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"

QUIET_S = 5.0
"""How long an answer is waited for to what should have none."""


async def through_server(
    url: str,
    recordings: Iterable[Recording],
    snr_db: float | None = None,
    speed: float = 1.0,
    together: int = 1,
    noise: Noise | None = None,
    silence_ms: int = SILENCE_MS,
) -> list[Heard]:
    """What the server makes of them, streamed by the SDK at `speed` times real time.

    `together` conversations are held at once. The environment has to trust the server's CA.
    """
    gate = asyncio.Semaphore(together)

    async def hold(conversation: list[Recording]) -> list[Heard]:
        async with gate:
            rooms = [(each, Room(each, snr_db, noise)) for each in conversation]
            return await _converse(url, rooms, speed, silence_ms)

    held = await asyncio.gather(*map(hold, conversations(recordings)))
    return [heard for each in held for heard in each]


async def listen_only(
    url: str, sounds: Iterable[Recording], together: int, speed: float = 4.0
) -> list[Heard]:
    """What the server understands in sounds, each in a session of its own."""
    gate = asyncio.Semaphore(together)

    async def hold(sound: Recording) -> Heard:
        heard = Heard(sound)
        async with gate, _session(url, SILENCE_MS) as session:
            listening = asyncio.ensure_future(_listen(session, heard))
            try:
                await _stream(session, heard, sound.pcm + bytes(8 * INPUT_RATE), speed)
                await asyncio.sleep(QUIET_S)
            finally:
                listening.cancel()
                await asyncio.wait([listening])
        heard.turns = ["".join(piece for _, piece in heard.pieces)]
        return heard

    return list(await asyncio.gather(*map(hold, sounds)))


@asynccontextmanager
async def _session(url: str, silence_ms: int) -> AsyncIterator[Any]:
    from google import genai
    from google.genai import types

    client = genai.Client(api_key="any", http_options=types.HttpOptions(base_url=url))
    config = {
        "response_modalities": ["AUDIO"],
        "input_audio_transcription": {},
        "realtime_input_config": {
            "automatic_activity_detection": {"silence_duration_ms": silence_ms},
            "activity_handling": "NO_INTERRUPTION",
        },
    }
    async with client.aio.live.connect(model=MODEL, config=config) as session:  # type: ignore[arg-type]
        yield session


async def _converse(
    url: str, rooms: list[tuple[Recording, Room]], speed: float, silence_ms: int
) -> list[Heard]:
    found = []
    async with _session(url, silence_ms) as session:
        for recording, room in rooms:
            heard = Heard(recording)
            listening = asyncio.ensure_future(_listen(session, heard))
            try:
                await _stream(session, heard, room.voice, speed)
                await _until_answered(session, heard, room, speed)
            finally:
                listening.cancel()
                await asyncio.wait([listening])
            found.append(heard)
    return found


async def _until_answered(session: Any, heard: Heard, room: Room, speed: float) -> None:
    """Send the room alone until a turn came of the recording, and see whether a second does."""
    for _ in range(round((SILENCE_MS / 1000 + 20) / PAUSE_S)):
        if heard.turns:
            break
        await _stream(session, heard, room.pause, speed)
    for _ in range(2):
        await _stream(session, heard, room.pause, speed)


async def _stream(session: Any, heard: Heard, sound: bytes, speed: float) -> None:
    heard.sent += sound
    loop = asyncio.get_running_loop()
    due = loop.time()
    size = samples(0.1) * BYTES_PER_SAMPLE
    for at in range(0, len(sound), size):
        chunk = sound[at : at + size]
        due += len(chunk) / BYTES_PER_SAMPLE / INPUT_RATE / speed
        await asyncio.sleep(max(0.0, due - loop.time()))
        await session.send_realtime_input(
            audio={"data": chunk, "mime_type": f"audio/pcm;rate={INPUT_RATE}"}
        )
        before = heard.sent_at[-1][1] if heard.sent_at else 0
        heard.sent_at.append((loop.time(), before + len(chunk) // BYTES_PER_SAMPLE))


async def _listen(session: Any, heard: Heard) -> None:
    while True:
        words = ""
        async for message in session.receive():
            content = message.server_content
            if content and content.input_transcription:
                piece = content.input_transcription.text or ""
                heard.pieces.append((asyncio.get_running_loop().time(), piece))
                words += piece
            if content and content.turn_complete:
                heard.turns.append(words.strip())
