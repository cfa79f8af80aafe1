"""A conversation over two connections, by a client that holds a token and no key.

    vivavoce run -- python examples/resume.py

What a backend does: make an ephemeral token. What its page does with it: connect, talk, lose the
connection, and go on where it was, with the handle that the server told it.
"""

import asyncio
import warnings

from google import genai
from google.genai import types
from google.genai.live import AsyncSession

warnings.filterwarnings("ignore", message=".*experimental.*")  # so the SDK calls its tokens

MODEL = "gemini-2.5-flash-native-audio-preview-12-2025"
ALPHA = types.HttpOptions(api_version="v1alpha")


async def talk(client: genai.Client, handle: str | None, text: str) -> tuple[str, str]:
    """Say something on a new connection; what was answered, and the handle that goes on from it."""
    config = types.LiveConnectConfig(
        response_modalities=[types.Modality.AUDIO],
        output_audio_transcription=types.AudioTranscriptionConfig(),
        session_resumption=types.SessionResumptionConfig(handle=handle),
    )
    async with client.aio.live.connect(model=MODEL, config=config) as session:
        await next_handle(session)  # there is one before anything was said
        await session.send_client_content(
            turns=types.Content(role="user", parts=[types.Part(text=text)])
        )
        said = ""
        async for message in session.receive():
            content = message.server_content
            if content and content.output_transcription:
                said += content.output_transcription.text or ""
        return said, await next_handle(session)  # this one contains the turn


async def next_handle(session: AsyncSession) -> str:
    """The next handle that the server tells."""
    while True:
        async for message in session.receive():
            update = message.session_resumption_update
            if update and update.resumable and update.new_handle:
                return update.new_handle


async def main() -> None:
    backend = genai.Client(http_options=ALPHA)
    token = await backend.aio.auth_tokens.create(config={"uses": 1})

    page = genai.Client(api_key=token.name, http_options=ALPHA)
    said, handle = await talk(page, None, "Please remember the number forty-two.")
    print(f"first connection: {said}")
    said, _ = await talk(page, handle, "What did I tell you before?")
    print(f"second connection: {said}")


asyncio.run(main())
