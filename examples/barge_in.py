"""Interrupt a long answer by speech, without a browser or a microphone.

vivavoce run -- python examples/barge_in.py question.wav
"""

import asyncio
import sys
import time
import wave

from google import genai
from google.genai import types
from google.genai.live import AsyncSession

MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"
CONFIG: types.LiveConnectConfigDict = {
    "response_modalities": [types.Modality.AUDIO],
    "input_audio_transcription": {},
    "output_audio_transcription": {},
}
PROMPT = "Please tell me a long story about a lighthouse and its keeper."
CHUNK_S = 0.1
LISTENED_S = 1.0


async def interrupt(session: AsyncSession, path: str) -> None:
    """Send a recording while the answer plays, as a microphone would: in chunks, then silence."""
    with wave.open(path) as file:
        rate, frames = file.getframerate(), round(file.getframerate() * CHUNK_S)
        chunks = iter(lambda: file.readframes(frames), b"")
        for chunk in [*chunks, *[bytes(2 * frames)] * 10]:
            await session.send_realtime_input(
                audio={"data": chunk, "mime_type": f"audio/pcm;rate={rate}"}
            )
            await asyncio.sleep(CHUNK_S)


async def turn(session: AsyncSession, began: float, sounding: asyncio.Event) -> None:
    """Print what happens until the turn is over; `sounding` is set at the answer's first sound."""
    heard, said, seconds = "", "", 0.0
    async for message in session.receive():
        content = message.server_content
        if not content:
            continue
        now = time.monotonic() - began
        if message.data:
            seconds += len(message.data) / 48_000
            sounding.set()
        if content.input_transcription:
            heard += content.input_transcription.text or ""
        if content.output_transcription:
            said += content.output_transcription.text or ""
        if content.interrupted:
            print(f"{now:5.2f} s  interrupted")
        if content.turn_complete:
            if heard:
                print(f"{now:5.2f} s  you said: {heard.strip()}")
            print(f"{now:5.2f} s  turn complete; {seconds:.1f} s of sound: {said.strip()}")


async def main(path: str) -> None:
    async with genai.Client().aio.live.connect(model=MODEL, config=CONFIG) as session:
        began, sounding = time.monotonic(), asyncio.Event()
        await session.send_client_content(turns={"parts": [{"text": PROMPT}]})
        first = asyncio.create_task(turn(session, began, sounding))
        await sounding.wait()
        await asyncio.sleep(LISTENED_S)
        speaking = asyncio.create_task(interrupt(session, path))
        await first
        await turn(session, began, sounding)
        await speaking


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
