"""Check at the start whether the chat endpoint answers, and whether it lists the model."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import httpx2

from vivavoce.connection_errors import connection_failure
from vivavoce.engines.openai.settings import OpenAISettings

PATIENCE_S = 3.0

LONGEST_LIST_BYTES = 1_000_000
"""More of the list of models is not read."""

SHOWN_MODELS = 5


async def describe_endpoint(settings: OpenAISettings) -> str:
    """Say which model is used, where it runs, and whether the endpoint answers.

    Asks for the list of models, which costs nothing; a model is not made to answer.
    """
    model = f"Language model: {settings.model or 'the default one'} at {settings.base_url}"
    try:
        status, listed = await _list_models(settings)
    except httpx2.TimeoutException:
        return f"{model}, which does not answer yet. Turns end without an answer until it does."
    except httpx2.HTTPError as error:
        reason = connection_failure(error)
        return (
            f"{model}, which can't be reached ({reason}). Turns end without an answer until it "
            "runs."
        )
    if status in (401, 403):
        return (
            f"{model}, which refuses the key (status {status}). Set VIVAVOCE_MODEL_KEY, or "
            "`api_key` in a profile."
        )
    if settings.model and listed and settings.model not in listed:
        more = " and others" if len(listed) > SHOWN_MODELS else ""
        return (
            f"{model}, which answers and does not list this model. "
            f"It lists: {', '.join(listed[:SHOWN_MODELS])}{more}."
        )
    return f"{model}, which answers."


async def _list_models(settings: OpenAISettings) -> tuple[int, list[str]]:
    """The status of the request, and the names of the models; empty where they can't be read."""
    headers = dict(settings.headers)
    if settings.key:
        headers.setdefault("Authorization", f"Bearer {settings.key}")
    body = b""
    async with (
        httpx2.AsyncClient(timeout=PATIENCE_S, headers=headers) as client,
        client.stream("GET", settings.base_url.rstrip("/") + "/models") as answer,
    ):
        async for piece in answer.aiter_bytes():
            body += piece
            if len(body) > LONGEST_LIST_BYTES:
                return answer.status_code, []
        return answer.status_code, _names(body)


def _names(body: bytes) -> list[str]:
    try:
        entries: Any = json.loads(body)["data"]
    except (ValueError, TypeError, KeyError):
        return []
    if not isinstance(entries, list):
        return []
    return [str(each["id"]) for each in entries if isinstance(each, Mapping) and "id" in each]
