"""Resume a conversation on a second connection, with a token instead of a key.

    vivavoce run -- python examples/resume.py
    vivavoce run -- python examples/resume.py "I live in Lisbon." "Where do I live?"

A backend makes an ephemeral token. Its page connects with the token, talks, loses the connection,
and resumes with the handle that the server gave it.
"""

import asyncio
import sys
import warnings

from google import genai
from google.genai import types
from google.genai.live import AsyncSession

warnings.filterwarnings("ignore", message=".*experimental.*")  # so the SDK calls its tokens

MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"
ALPHA = types.HttpOptions(api_version="v1alpha")
WORDS = ("My dog is called Bruno.", "What is my dog called?")


async def talk(client: genai.Client, handle: str | None, text: str) -> str:
    """Say something on a new connection, print the answer, and return the handle to resume from."""
    config = types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        output_audio_transcription=types.AudioTranscriptionConfig(),
        session_resumption=types.SessionResumptionConfig(handle=handle),
    )
    async with client.aio.live.connect(model=MODEL, config=config) as session:
        print(f"connected {'anew, with the handle' if handle else 'with a token'}")
        print(f"  you:    {text}")
        await next_handle(session)  # the first one comes before any turn
        await session.send_client_content(
            turns=types.Content(role="user", parts=[types.Part(text=text)])
        )
        said = ""
        async for message in session.receive():
            content = message.server_content
            if content and content.output_transcription:
                said += content.output_transcription.text or ""
        print(f"  answer: {said.strip()}")
        return await next_handle(session)  # this one contains the turn


async def next_handle(session: AsyncSession) -> str:
    """Return the next handle that the server sends."""
    while True:
        async for message in session.receive():
            update = message.session_resumption_update
            if update and update.resumable and update.new_handle:
                return update.new_handle


async def main(before: str, after: str) -> None:
    backend = genai.Client(http_options=ALPHA)
    token = await backend.aio.auth_tokens.create(config={"uses": 1})

    page = genai.Client(api_key=token.name, http_options=ALPHA)
    handle = await talk(page, None, before)
    await talk(page, handle, after)


if __name__ == "__main__":
    asyncio.run(main(*(sys.argv[1:3] or WORDS)))
