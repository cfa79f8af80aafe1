"""Let the model call a function, and save its spoken answer.

vivavoce run -- python examples/tool.py
"""

import asyncio
import time
import wave

from google import genai
from google.genai import types

MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"
CURRENT_TIME: types.FunctionDeclarationDict = {
    "name": "current_time",
    "description": "Tell the current time of day.",
}
CONFIG: types.LiveConnectConfigDict = {
    "response_modalities": [types.Modality.AUDIO],
    "output_audio_transcription": {},
    "tools": [{"function_declarations": [CURRENT_TIME]}],
}


def current_time() -> dict[str, str]:
    return {"result": time.strftime("%H:%M")}


async def main() -> None:
    async with genai.Client().aio.live.connect(model=MODEL, config=CONFIG) as session:
        await session.send_client_content(
            turns={"parts": [{"text": "What is the current time, please?"}]}
        )
        said, sound = "", b""
        async for message in session.receive():
            if message.tool_call:
                answers = [
                    types.FunctionResponse(id=call.id, name=call.name, response=current_time())
                    for call in message.tool_call.function_calls or []
                ]
                print("called:", ", ".join(str(answer.name) for answer in answers))
                await session.send_tool_response(function_responses=answers)
            sound += message.data or b""
            content = message.server_content
            if content and content.output_transcription:
                said += content.output_transcription.text or ""
    print("answer:", said.strip())
    with wave.open("answer.wav", "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(24_000)
        file.writeframes(sound)


if __name__ == "__main__":
    asyncio.run(main())
