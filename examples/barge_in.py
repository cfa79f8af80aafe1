"""Talk into a long answer and see it stop, without a browser or a microphone.

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
PROMPT = (
    "Please tell me a long story about a king and his three daughters, "
    "and do not leave out what became of the youngest of them."
)
CHUNK_S = 0.1


async def interrupt(session: AsyncSession, path: str) -> None:
    """Speak a recording into the answer, as a microphone would: piece by piece, then silence."""
    with wave.open(path) as file:
        rate, frames = file.getframerate(), round(file.getframerate() * CHUNK_S)
        chunks = iter(lambda: file.readframes(frames), b"")
        for chunk in [*chunks, *[bytes(2 * frames)] * 10]:
            await session.send_realtime_input(
                audio={"data": chunk, "mime_type": f"audio/pcm;rate={rate}"}
            )
            await asyncio.sleep(CHUNK_S)


async def turn(session: AsyncSession, began: float) -> None:
    """Print what happens until the turn is over."""
    said, seconds = "", 0.0
    async for message in session.receive():
        content = message.server_content
        if not content:
            continue
        now = time.monotonic() - began
        seconds += len(message.data or b"") / 48_000
        if content.input_transcription:
            print(f"{now:5.2f} s  you said: {content.input_transcription.text}")
        if content.output_transcription:
            said += content.output_transcription.text or ""
        if content.interrupted:
            print(f"{now:5.2f} s  interrupted")
        if content.turn_complete:
            print(f"{now:5.2f} s  turn complete; {seconds:.1f} s of sound: {said.strip()}")


async def main(path: str) -> None:
    async with genai.Client().aio.live.connect(model=MODEL, config=CONFIG) as session:
        began = time.monotonic()
        await session.send_client_content(turns={"parts": [{"text": PROMPT}]})
        first = asyncio.create_task(turn(session, began))
        await asyncio.sleep(2.0)
        speaking = asyncio.create_task(interrupt(session, path))
        await first
        await turn(session, began)
        await speaking


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
