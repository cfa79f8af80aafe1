"""A conversation over two connections, by a client that holds a token and no key.

    vivavoce run -- python examples/resume.py

What a backend does: make an ephemeral token. What its page does with it: connect, talk, lose the
connection, and go on where it was, with the handle that the server told it.
"""

import asyncio
import warnings

from google import genai
from google.genai import types

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
    said, complete = "", False
    async with client.aio.live.connect(model=MODEL, config=config) as session:
        await session.send_client_content(turns={"role": "user", "parts": [{"text": text}]})
        while True:
            async for message in session.receive():
                content, update = message.server_content, message.session_resumption_update
                if content and content.output_transcription:
                    said += content.output_transcription.text or ""
                complete = complete or bool(content and content.turn_complete)
                # The handle that comes after the turn contains it.
                if complete and update and update.resumable:
                    return said, update.new_handle or ""


async def main() -> None:
    backend = genai.Client(http_options=ALPHA)
    token = await backend.aio.auth_tokens.create(config={"uses": 1})

    page = genai.Client(api_key=token.name, http_options=ALPHA)
    said, handle = await talk(page, None, "Please remember the number forty-two.")
    print(f"first connection: {said}")
    said, _ = await talk(page, handle, "What did I tell you before?")
    print(f"second connection: {said}")


asyncio.run(main())
