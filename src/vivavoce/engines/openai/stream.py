"""Server-sent events of one chat completion, and what its failures mean to a user."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, aclosing
from typing import Any

import httpx2

from vivavoce.connection_errors import connection_failure
from vivavoce.engines.openai.settings import ENGINE, OpenAISettings
from vivavoce.errors import EngineBusy, EngineError, EngineMissing

Json = dict[str, Any]

_BUSY = frozenset({429, 503})
_QUOTED = 300
_JSON = {"Content-Type": "application/json"}


class ChatStream:
    """Asks the endpoint. One object serves all conversations over one pool of connections."""

    def __init__(self, settings: OpenAISettings) -> None:
        self._settings = settings
        headers = dict(settings.headers)
        if settings.key:
            headers.setdefault("Authorization", f"Bearer {settings.key}")
        self._client = httpx2.AsyncClient(
            headers=headers,
            timeout=httpx2.Timeout(
                settings.first_token_s,
                connect=settings.connect_s,
                # Only the last resort: the deadlines below tell the first word from the others.
                read=max(settings.first_token_s, settings.idle_s),
            ),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16),
        )

    async def chunks(self, body: bytes) -> AsyncGenerator[Json, None]:
        """The decoded chunks of one answer to a body of JSON. Closing it closes the connection.

        Raises `EngineBusy`, `EngineMissing` or `EngineError`, each with a sentence for users.
        """
        until = asyncio.get_running_loop().time() + self._settings.first_token_s
        try:
            async with AsyncExitStack() as stack:
                asking = self._client.stream(
                    "POST", self._settings.url, content=body, headers=_JSON
                )
                async with asyncio.timeout_at(until):
                    answer = await stack.enter_async_context(asking)
                if answer.status_code != httpx2.codes.OK:
                    raise await self._refusal(answer)
                if "json" in answer.headers.get("content-type", ""):
                    yield _decode((await answer.aread()).decode("utf-8", "replace"))
                    return
                async with aclosing(self._events(answer, until)) as events:
                    async for chunk in events:
                        yield chunk
        except TimeoutError as error:
            raise self._silent(self._settings.first_token_s) from error
        except httpx2.TimeoutException as error:
            raise EngineError(ENGINE, self._too_slow(error)) from error
        except httpx2.ConnectError as error:
            reason = connection_failure(error)
            raise EngineError(
                ENGINE, f"{self._settings.url} can't be reached ({reason}). Is the server running?"
            ) from error
        except httpx2.HTTPError as error:
            raise EngineError(ENGINE, f"the answer broke off ({_named(error)}).") from error

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _events(self, answer: httpx2.Response, until: float) -> AsyncGenerator[Json, None]:
        """The data of each event, the first of them by `until` (a time of the loop).

        Comments that keep the line open do not count as an answer.
        """
        loop = asyncio.get_running_loop()
        patience = self._settings.first_token_s
        lines = answer.aiter_lines()
        while True:
            try:
                async with asyncio.timeout_at(until):
                    line = await anext(lines)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise self._silent(patience) from error
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            yield _decode(data)
            patience = self._settings.idle_s
            until = loop.time() + patience

    async def _refusal(self, answer: httpx2.Response) -> EngineError:
        status = answer.status_code
        said = _sentence((await answer.aread()).decode("utf-8", "replace"))
        problem = f"{self._settings.url} answered {status}: {said}"
        if status in _BUSY:
            return EngineBusy(ENGINE, problem)
        if status in (401, 403):
            fix = "Set `api_key`, or `api_key_env` to the variable that holds the key."
            return EngineMissing(ENGINE, problem, fix)
        if status == httpx2.codes.NOT_FOUND:
            fix = f"Check `base_url` and that the model {self._settings.model!r} is there."
            return EngineMissing(ENGINE, problem, fix)
        return EngineError(ENGINE, problem)

    def _too_slow(self, error: httpx2.TimeoutException) -> str:
        if isinstance(error, httpx2.ConnectTimeout):
            return f"{self._settings.url} took no connection in {self._settings.connect_s:g} s."
        return f"{self._settings.url} stopped taking or sending data."

    def _silent(self, patience: float) -> EngineError:
        return EngineError(ENGINE, f"{self._settings.url} sent no word for {patience:g} s.")


def _decode(data: str) -> Json:
    try:
        chunk = json.loads(data)
    except ValueError as error:
        raise EngineError(ENGINE, f"the answer is not JSON: {data[:_QUOTED]!r}.") from error
    if not isinstance(chunk, dict):
        raise EngineError(ENGINE, f"the answer is no object: {data[:_QUOTED]!r}.")
    if chunk.get("error"):
        raise EngineError(ENGINE, f"the model failed: {_sentence(data)}")
    return chunk


def _sentence(body: str) -> str:
    """The message in an error body, whichever of the usual places it is in."""
    try:
        found = json.loads(body)
    except ValueError:
        return body.strip()[:_QUOTED] or "(nothing more)"
    for key in ("error", "detail", "message"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return str(found)[:_QUOTED]


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__
