"""Language-model engine for OpenAI-compatible chat endpoints: settings, HTTP client, factory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass, field
from math import ceil
from typing import Annotated, Any, Literal

import httpx2
from pydantic import Field

from vivavoce.domain.content import Content, ToolResult
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality
from vivavoce.engines import chat
from vivavoce.engines.chat import Deltas, FunctionNames, first_kept
from vivavoce.engines.function_calling import MINILM
from vivavoce.engines.ports import (
    EngineHost,
    LanguageModel,
    LanguageModelCapabilities,
    ModelPart,
    Settings,
    TextDelta,
    UsageReported,
)
from vivavoce.engines.settings import BaseAddress, read_settings, resolve_key
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import EngineBusy, EngineError, EngineMissing, connection_failure

# --- settings ----------------------------------------------------------------------------

ENGINE = "model.openai"
WEIGHTS = (MINILM,)
ROUTER = "router"
EXAMPLE = '{ use = "openai", base_url = "http://host:port/v1", model = "name" }'
SPOKEN = (
    "Your answer is read aloud: use plain spoken sentences, no lists, no markdown, no emoji,"
    " and keep it short unless more is asked for."
)


Positive = Annotated[int, Field(gt=0)]
Seconds = Annotated[float, Field(gt=0)]


@dataclass(frozen=True, slots=True)
class OpenAISettings:
    """Address of the chat endpoint, and abilities of the model behind it.

    `base_url` ends before `/chat/completions`. `api_key_env` names an environment variable with
    the key. `body` is merged into every request. `spoken` is added to the instruction of an answer
    in speech; empty leaves it out. Times are in seconds: `first_token_s` until the first word,
    `idle_s` between two chunks after it. `tools = "router"` is for an endpoint without tools:
    functions are chosen by the router.
    """

    base_url: BaseAddress
    model: str = ""
    api_key: str = ""
    api_key_env: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    tools: bool | Literal["router"] = True
    images: bool = False
    thinking: bool = False
    context_tokens: Positive = 32768
    slots: Positive = 8
    spoken: str = SPOKEN
    connect_s: Seconds = 5.0
    first_token_s: Seconds = 30.0
    idle_s: Seconds = 30.0

    def __post_init__(self) -> None:
        resolve_key(self.api_key, self.api_key_env)

    @property
    def url(self) -> str:
        """The address of requests."""
        return f"{self.base_url}/chat/completions"

    @property
    def key(self) -> str:
        """The key, from the settings or the environment; empty if there is none."""
        return resolve_key(self.api_key, self.api_key_env)


# --- transport ---------------------------------------------------------------------------

Json = dict[str, Any]

_BUSY = frozenset({429, 503})
_QUOTED = 300
_JSON = {"Content-Type": "application/json"}


class ChatClient:
    """Client of the endpoint, for all conversations over one pool of connections."""

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
                # A fallback: the deadlines below differ for the first word and the others.
                read=max(settings.first_token_s, settings.idle_s),
            ),
            limits=httpx2.Limits(max_connections=None, max_keepalive_connections=16),
        )

    async def chunks(self, body: bytes) -> AsyncGenerator[Json, None]:
        """Yield the decoded chunks of the answer to a body. Closing it closes the connection.

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
            raise self._no_data_error(self._settings.first_token_s) from error
        except httpx2.TimeoutException as error:
            raise EngineError(ENGINE, self._timeout_message(error)) from error
        except httpx2.ConnectError as error:
            reason = connection_failure(error)
            raise EngineError(
                ENGINE, f"{self._settings.url} can't be reached ({reason}). Is the server running?"
            ) from error
        except httpx2.HTTPError as error:
            raise EngineError(
                ENGINE, f"the answer broke off ({str(error) or type(error).__name__})."
            ) from error

    async def aclose(self) -> None:
        await self._client.aclose()

    async def _events(self, answer: httpx2.Response, until: float) -> AsyncGenerator[Json, None]:
        """Yield the data of each event, the first of them by `until` (a time of the loop).

        Comments that keep the connection open do not count as an answer.
        """
        loop = asyncio.get_running_loop()
        limit_s = self._settings.first_token_s
        lines = answer.aiter_lines()
        while True:
            try:
                async with asyncio.timeout_at(until):
                    line = await anext(lines)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise self._no_data_error(limit_s) from error
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            yield _decode(data)
            limit_s = self._settings.idle_s
            until = loop.time() + limit_s

    async def _refusal(self, answer: httpx2.Response) -> EngineError:
        status = answer.status_code
        message = _sentence((await answer.aread()).decode("utf-8", "replace"))
        problem = f"{self._settings.url} answered {status}: {message}"
        if status in _BUSY:
            return EngineBusy(ENGINE, problem)
        if status in (401, 403):
            fix = "Set `api_key`, or `api_key_env` to the variable that holds the key."
            return EngineMissing(ENGINE, problem, fix)
        if status == httpx2.codes.NOT_FOUND:
            fix = f"Check `base_url` and that the model {self._settings.model!r} is there."
            return EngineMissing(ENGINE, problem, fix)
        return EngineError(ENGINE, problem)

    def _timeout_message(self, error: httpx2.TimeoutException) -> str:
        if isinstance(error, httpx2.ConnectTimeout):
            return f"{self._settings.url} took no connection in {self._settings.connect_s:g} s."
        return f"{self._settings.url} stopped taking or sending data."

    def _no_data_error(self, limit_s: float) -> EngineError:
        return EngineError(ENGINE, f"{self._settings.url} sent no word for {limit_s:g} s.")


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
    """Return the message of an error body, from one of the usual places."""
    try:
        found = json.loads(body)
    except ValueError:
        return body.strip()[:_QUOTED] or "(nothing more)"
    for key in ("error", "detail", "message"):
        if isinstance(found, dict) and found.get(key):
            found = found[key]
    return str(found)[:_QUOTED]


# --- check at the start ------------------------------------------------------------------

LIST_TIMEOUT_S = 3.0

LONGEST_LIST_BYTES = 1_000_000
"""Largest list of models that is read."""

SHOWN_MODELS = 5


async def describe_endpoint(settings: OpenAISettings) -> str:
    """Describe the model, its address, and whether the endpoint answers.

    Requests the list of models, which costs nothing; the model itself is not used.
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
    """Return the status of the request, and the names of the models, empty if unreadable."""
    headers = dict(settings.headers)
    if settings.key:
        headers.setdefault("Authorization", f"Bearer {settings.key}")
    body = b""
    async with (
        httpx2.AsyncClient(timeout=LIST_TIMEOUT_S, headers=headers) as client,
        client.stream("GET", f"{settings.base_url}/models") as answer,
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


# --- the model ---------------------------------------------------------------------------

_CHARS_PER_TOKEN = 3
_USUAL_CHARS = 4
_ENOUGH = 50
_TOKENS_PER_IMAGE = 500
_ANSWER_TOKENS = 1024


@dataclass(frozen=True, slots=True)
class _Prompt:
    """A request in JSON, and the number of characters of its text; 0 with images."""

    body: bytes
    characters: int


class OpenAIModel:
    """Streams answers of an OpenAI-compatible server, with tools. See `ports.LanguageModel`."""

    def __init__(self, settings: OpenAISettings) -> None:
        self.capabilities = LanguageModelCapabilities(
            tools=settings.tools is True,
            images=settings.images,
            thinking=settings.thinking,
            context_tokens=settings.context_tokens,
            slots=settings.slots,
            repairs=True,
            count_tokens=self.count_tokens,
            count_revision=lambda: self._calibrations,
        )
        self._settings = settings
        self._stream = ChatClient(settings)
        self._workers = WorkerPool(ENGINE, queue=1024)
        self._kept: dict[str, int] = {}
        self._chars_per_token = float(_USUAL_CHARS)
        self._calibrations = 0
        self._longest_result = min(
            chat.LONGEST_RESULT, settings.context_tokens * _CHARS_PER_TOKEN // 4
        )

    def count_tokens(self, text: str) -> int:
        """Estimate the tokens of a text, by the endpoint's count of the last prompt."""
        return ceil(len(text) / self._chars_per_token)

    async def prepare(self, request: GenerationRequest) -> None:
        """Do nothing: a server that caches prefixes does it by itself, and requests cost money."""

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[ModelPart, None]:
        """Yield the answer. Closing the iterator closes the connection."""
        names = FunctionNames(tool.name for tool in request.tools.declarations)
        deltas = Deltas(names)
        # Serializing a long conversation, or hundreds of functions, takes long.
        prompt = await self._workers.run(lambda _: self._prompt(request, names))
        async with aclosing(self._parts(prompt.body, deltas)) as parts:
            async for part in parts:
                if isinstance(part, UsageReported):
                    self._calibrate(prompt, part.usage.prompt_tokens)
                if not isinstance(part, TextDelta) or self._wanted(part, request):
                    yield part
        for part in deltas.finish():
            yield part

    async def release(self, session: str) -> None:
        self._kept.pop(session, None)

    async def aclose(self) -> None:
        self._workers.close()
        await self._stream.aclose()

    async def _parts(self, body: bytes, deltas: Deltas) -> AsyncGenerator[ModelPart, None]:
        async with aclosing(self._stream.chunks(body)) as chunks:
            async for chunk in chunks:
                for part in deltas.read_chunk(chunk):
                    yield part
        for rest in deltas.flush_text():
            yield rest
        if not deltas.finish_reason:
            raise EngineError(ENGINE, "the answer broke off before its end.")

    def _calibrate(self, prompt: _Prompt, counted: int) -> None:
        """Update the characters of a token, by a prompt that the endpoint has counted."""
        if counted >= _ENOUGH and prompt.characters:
            self._chars_per_token = min(8.0, max(1.0, prompt.characters / counted))
            self._calibrations += 1

    @staticmethod
    def _wanted(part: TextDelta, request: GenerationRequest) -> bool:
        return not part.thought or bool(request.thinking and request.thinking.include_thoughts)

    def _prompt(self, request: GenerationRequest, names: FunctionNames) -> _Prompt:
        body = self._body(request, names)
        text = json.dumps((body["messages"], body.get("tools")), ensure_ascii=False)
        written = json.dumps(body, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        return _Prompt(written.encode(), 0 if '"image_url"' in text else len(text))

    def _body(self, request: GenerationRequest, names: FunctionNames) -> dict[str, Any]:
        settings = self._settings
        instruction = request.instruction
        if request.modality is Modality.AUDIO and settings.spoken:
            instruction = f"{instruction}\n\n{settings.spoken}".strip()
        limit = request.sampling.max_output_tokens
        budget = settings.context_tokens - (limit or _ANSWER_TOKENS) - _tokens(instruction)
        longest = self._longest_result
        first = first_kept(
            request.history,
            max(budget, 0),
            lambda content: _cost(content, longest),
            self._kept.get(request.session, 0),
        )
        self._kept[request.session] = first
        body: dict[str, Any] = {
            "model": settings.model,
            "messages": chat.write_messages(
                request, names, settings.images, instruction, first, longest
            ),
            "stream": True,
            "stream_options": {"include_usage": True},
            **chat.write_sampling(request.sampling),
            **({"max_tokens": limit} if limit is not None else {}),
        }
        if settings.tools is True and request.tools.declarations:
            body["tools"] = chat.write_tools(request, names)
        if settings.thinking and request.thinking and request.thinking.level:
            body["reasoning_effort"] = request.thinking.level.lower()
        return {**body, **settings.body}


def _tokens(text: str) -> int:
    """Estimate tokens on the safe side: the endpoint's tokenizer is not known."""
    return len(text) // _CHARS_PER_TOKEN + 4


def _cost(content: Content, longest: int) -> int:
    """Estimate the tokens of a contribution, results as far as they are shown."""
    total = 0
    most = chat.share_of_result(content, longest)
    for part in content.parts:
        if isinstance(part, ToolResult):
            total += _tokens(chat.show_result(part, most)) + _TOKENS_PER_IMAGE * len(part.parts)
        elif isinstance(getattr(part, "data", None), bytes):
            total += _TOKENS_PER_IMAGE
        else:
            total += _tokens(repr(part))
    return total


# --- building ----------------------------------------------------------------------------


def required_weights(settings: Settings) -> tuple[str, ...]:
    """Return the names of the weights that it loads under these settings."""
    return (MINILM.name,) if settings.get("tools") == "router" else ()


async def create(settings: Settings, host: EngineHost) -> LanguageModel:
    """Build the engine `model.openai`. Raises `ConfigError`, `EngineMissing`.

    An endpoint that does not answer is only reported: it may start later.
    """
    read = read_settings(ENGINE, settings, OpenAISettings, EXAMPLE)
    host.say(await describe_endpoint(read))
    model = OpenAIModel(read)
    if read.tools != ROUTER:
        return model

    from vivavoce.engines.function_calling.completion import GeneratedCompletion
    from vivavoce.engines.function_calling.model import add_function_calling

    completion = GeneratedCompletion(model, asyncio.get_running_loop())
    folder = host.weights(MINILM.name)
    return await asyncio.to_thread(add_function_calling, model, completion, folder)
