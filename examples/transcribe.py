"""Print the transcript of a WAV file.

vivavoce run -- python examples/transcribe.py question.wav
"""

import asyncio
import sys
import wave

from google import genai
from google.genai import types

MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"
CONFIG: types.LiveConnectConfigDict = {
    "response_modalities": [types.Modality.TEXT],
    "input_audio_transcription": {},
}


async def main(path: str) -> None:
    with wave.open(path) as file:
        pcm, rate = file.readframes(file.getnframes()), file.getframerate()
    async with genai.Client().aio.live.connect(model=MODEL, config=CONFIG) as session:
        # A whole file may be sent at once: speech is found by the time in the sound.
        await session.send_realtime_input(
            audio={"data": pcm, "mime_type": f"audio/pcm;rate={rate}"}
        )
        await session.send_realtime_input(audio_stream_end=True)
        async for message in session.receive():
            content = message.server_content
            if content and content.input_transcription:
                print(content.input_transcription.text, end="", flush=True)  # pieces join
    print()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
