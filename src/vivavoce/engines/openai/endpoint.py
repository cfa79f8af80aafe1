"""Check at the start whether the chat endpoint answers."""

from __future__ import annotations

import httpx2

from vivavoce.engines.openai.settings import OpenAISettings

PATIENCE_S = 3.0


async def unreachable(settings: OpenAISettings) -> str:
    """Why the endpoint can't be reached, in a sentence; empty if it answers, with any status."""
    address = settings.base_url.rstrip("/") + "/models"
    headers = {"Authorization": f"Bearer {settings.key}"} if settings.key else {}
    try:
        async with (
            httpx2.AsyncClient(timeout=PATIENCE_S, headers=headers) as client,
            client.stream("GET", address),
        ):
            return ""
    except httpx2.TimeoutException:
        return f"The language model at {settings.base_url} does not answer yet."
    except httpx2.HTTPError as error:
        return (
            f"The language model at {settings.base_url} can't be reached ({error}). Turns will "
            "end without an answer until it runs."
        )
