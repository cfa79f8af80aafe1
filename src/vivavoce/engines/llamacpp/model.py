"""The language model port over a GGUF in this process."""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import replace

import structlog

from vivavoce.domain.content import Content, Role, Text, Usage
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.engines.chat import messages as chat
from vivavoce.engines.chat.deltas import Deltas, MalformedCall
from vivavoce.engines.chat.names import Names
from vivavoce.engines.chat.sight import excuse, noted
from vivavoce.engines.chat.trim import first_kept
from vivavoce.engines.function_calling.planner import Plan, Planner
from vivavoce.engines.function_calling.turns import last_words
from vivavoce.engines.lanes import CancelToken, Lane
from vivavoce.engines.llamacpp import prompt
from vivavoce.engines.llamacpp.brevity import Brevity
from vivavoce.engines.llamacpp.llama import ENGINE, Chunk, Llama, text_of
from vivavoce.engines.llamacpp.memory import Place, Places
from vivavoce.engines.llamacpp.settings import SmolLMSettings
from vivavoce.engines.ports import (
    CallsRequested,
    CallUnreadable,
    Ended,
    LanguageModelCapabilities,
    ModelPart,
    TextDelta,
    UsageReported,
)
from vivavoce.errors import EngineBusy, EngineError

_log = structlog.get_logger(__name__)

_MARGIN = 16
_MESSAGE_TOKENS = 6
_REMEMBERED = 4096
_SIGNS_PER_TOKEN = 3
_USUAL_SIGNS = 4
_UNCOUNTED = 512


class SmolLM:
    """Answers briefly, by SmolLM2 or another GGUF.

    `functions` is absent for models whose own template knows tools (`native`), and where
    MiniLM is not installed.
    """

    def __init__(
        self,
        llama: Llama,
        settings: SmolLMSettings,
        functions: Planner | None,
        native: bool,
        small: bool,
    ) -> None:
        self.capabilities = LanguageModelCapabilities(
            tools=native or functions is not None,
            context_tokens=settings.context,
            slots=settings.slots,
            repairs=native,
            count_tokens=self.count_tokens,
        )
        self._llama = llama
        self._settings = settings
        self._functions = functions
        self._native = native
        self._small = small
        self._greedy = small if settings.greedy is None else settings.greedy
        self._lane = Lane(ENGINE, workers=settings.slots + 1)
        self._places = Places(settings.slots)
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._uncounted: deque[str] = deque(maxlen=_UNCOUNTED)
        self._said_no_tools = False
        self._closed = False

    @property
    def idle(self) -> bool:
        """Whether an answer asked for now would begin now, with nothing left over from before."""
        return self._lane.idle and not (self._lane.running or self._lane.abandoned)

    @property
    def listener(self) -> tuple[str, str]:
        """The address that the library listens at, and the key that opens it."""
        return self._llama.address, self._llama.key

    def count_tokens(self, text: str) -> int:
        """Tokens of a text: known, once it was read ahead or answered; else by its length.

        The tokenizer is the library's, which may have to wait for an answer to be written.
        """
        known = self._counts.get(text)
        if known is not None:
            return max(0, known - _MESSAGE_TOKENS)
        if text:
            self._uncounted.append(text)
        return -(-len(text) // _USUAL_SIGNS)

    async def prepare(self, request: GenerationRequest) -> None:
        """Read instruction, examples, functions and history into the conversation's slot."""
        place = self._places.of(request.session)
        functions = self._functions

        def read(token: CancelToken) -> None:
            body = self._body(request, place)
            self._llama.stream({**body, "max_tokens": 0}, token, lambda chunk: None)
            if functions is not None and request.tools.offered:
                functions.prepare(request.tools, token)

        try:
            await self._lane.run(read)
        except EngineError as fault:  # the answer itself will say what is wrong
            _log.debug("not_read_ahead", engine=ENGINE, problem=fault.problem)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[ModelPart, None]:
        """The answer. Closing the iterator stops the model within a token."""
        if self._closed:
            raise EngineError(ENGINE, "it was closed.")
        if request.speculative and not self._lane.idle:
            raise EngineBusy(ENGINE, "it is answering somebody.")
        plan = await self._plan(request)
        if plan.calls:
            yield CallsRequested(plan.calls)
        if plan.text:
            yield TextDelta(f"{plan.text} " if plan.rest else plan.text)
        if plan.rest:
            request = _asked(request, plan.rest)
        elif plan.calls or plan.text:
            return
        if self._small and (unseen := excuse(request.history)):
            yield TextDelta(unseen)
            return
        answer = self._native_answer if self._native else self._plain_answer
        async with aclosing(answer(request)) as parts:
            async for part in parts:
                yield part

    async def release(self, session: str) -> None:
        self._places.release(session)

    async def aclose(self) -> None:
        """Stops every answer and frees the model, its threads and its listener."""
        self._closed = True
        await asyncio.to_thread(self._llama.close)
        self._lane.close()

    async def _plan(self, request: GenerationRequest) -> Plan:
        """Calls and what is said of them; a plan of nothing where the model answers by itself."""
        functions = self._functions
        if self._native or not request.history:
            return Plan()
        if functions is not None:
            return await self._lane.run(lambda token: functions.plan(request, token))
        if request.tools.offered and not self._said_no_tools:
            self._said_no_tools = True
            _log.warning("functions_ignored", engine=ENGINE, fix="Run `vivavoce pull`.")
        return Plan()

    async def _plain_answer(self, request: GenerationRequest) -> AsyncGenerator[ModelPart, None]:
        """Text only, kept short."""
        brevity = Brevity(self._settings.max_tokens // 3)
        meter = _Meter()
        stop = ""
        async with aclosing(self._chunks(request)) as chunks:
            async for chunk in chunks:
                meter.read(chunk)
                stop = _finish(chunk) or stop
                if text := brevity.shown(text_of(chunk)):
                    yield TextDelta(text)
                if self._small and brevity.enough:
                    break
        yield UsageReported(meter.usage)
        if stop == "length":
            yield Ended(EndReason.MAX_TOKENS)

    async def _native_answer(self, request: GenerationRequest) -> AsyncGenerator[ModelPart, None]:
        """Text, thoughts and calls, as the model's own template has them."""
        deltas = Deltas(Names(tool.name for tool in request.tools.offered))
        meter = _Meter()
        thoughts = bool(request.thinking and request.thinking.include_thoughts)
        async with aclosing(self._chunks(request)) as chunks:
            async for chunk in chunks:
                meter.read(chunk)
                for part in deltas.feed(chunk):
                    if not isinstance(part, TextDelta) or thoughts or not part.thought:
                        yield part
        for rest in deltas.rest():
            yield rest
        yield UsageReported(meter.usage)
        try:
            calls = deltas.calls()
        except MalformedCall as fault:
            yield CallUnreadable(fault.name, fault.written, fault.problem)
            return
        if calls is not None:
            yield calls
        if deltas.end is not EndReason.COMPLETE:
            yield Ended(deltas.end)

    async def _chunks(self, request: GenerationRequest) -> AsyncGenerator[Chunk, None]:
        place = self._places.of(request.session)

        def work(token: CancelToken, put: Callable[[Chunk], None]) -> None:
            self._llama.stream(self._body(request, place), token, put)

        async with aclosing(self._lane.stream(work)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _body(self, request: GenerationRequest, place: Place) -> Chunk:
        """The request to the library. Blocks: it counts tokens."""
        while self._uncounted:
            self._count(self._uncounted.popleft())
        settings, sampling = self._settings, request.sampling
        limit = min(sampling.max_output_tokens or settings.max_tokens, settings.context // 2)
        body: Chunk = {
            "max_tokens": limit,
            "id_slot": place.slot,
            "cache_prompt": True,
            "temperature": 0.0,
        }
        if not self._greedy:
            wishes = {
                "temperature": sampling.temperature,
                "top_p": sampling.top_p,
                "top_k": sampling.top_k,
                "presence_penalty": sampling.presence_penalty,
                "frequency_penalty": sampling.frequency_penalty,
                "seed": sampling.seed,
            }
            body |= {"temperature": 0.7} | {k: v for k, v in wishes.items() if v is not None}
        names = Names(tool.name for tool in request.tools.offered)
        if self._native and request.tools.offered:
            body["tools"] = chat.tools(request, names)
        most = settings.context * _SIGNS_PER_TOKEN // 3
        instruction = prompt.system(request, most)
        spent = sum(self._count(m["content"]) for m in prompt.opening(instruction))
        spent += self._count(str(body.get("tools", "")))
        budget = max(64, settings.context - limit - spent - _MARGIN)
        history = request.history if self._small else noted(request.history)
        place.first = first_kept(history, budget, self._cost, place.first)
        if self._native:
            plain, longest = request.instruction[:most], budget * _SIGNS_PER_TOKEN // 2
            body["messages"] = chat.messages(request, names, False, plain, place.first, longest)
        else:
            kept = _shortened(history[place.first :], budget * _SIGNS_PER_TOKEN // 2)
            body["messages"] = prompt.chat(instruction, kept)
        return body

    def _cost(self, content: Content) -> int:
        return _MESSAGE_TOKENS + self._count(prompt.readable(content))

    def _count(self, text: str) -> int:
        if (known := self._counts.get(text)) is None:
            known = self._llama.tokens(text) + _MESSAGE_TOKENS if text else 0
            self._counts[text] = known
            while len(self._counts) > _REMEMBERED:
                self._counts.popitem(last=False)
        return known


class _Meter:
    """Counts tokens as chunks go by; the last chunk has the exact figures."""

    def __init__(self) -> None:
        self.usage = Usage()
        self._pieces = 0

    def read(self, chunk: Chunk) -> None:
        if progress := chunk.get("prompt_progress"):
            self.usage = Usage(
                prompt_tokens=progress.get("total", 0), cached_tokens=progress.get("cache", 0)
            )
        if timings := chunk.get("timings"):
            cached = timings.get("cache_n", 0)
            self.usage = Usage(
                prompt_tokens=cached + timings.get("prompt_n", 0),
                cached_tokens=cached,
                response_tokens=timings.get("predicted_n", 0),
            )
        elif text_of(chunk):
            self._pieces += 1
            self.usage = Usage(
                prompt_tokens=self.usage.prompt_tokens,
                cached_tokens=self.usage.cached_tokens,
                response_tokens=self._pieces,
            )


def _asked(request: GenerationRequest, rest: str) -> GenerationRequest:
    """The conversation up to the user's last words, as if these had been said there."""
    place = max(0, last_words(request.history))
    words = Content(Role.USER, (Text(rest),))
    return replace(request, history=(*request.history[:place], words))


def _finish(chunk: Chunk) -> str:
    for choice in chunk.get("choices", ()):
        return str(choice.get("finish_reason") or "")
    return ""


def _shortened(history: tuple[Content, ...], most_signs: int) -> tuple[Content, ...]:
    """The history with a last content that alone would fill the window cut to its end."""
    if not history or len(history[-1].text) <= most_signs:
        return history
    return (*history[:-1], prompt.ending(history[-1], most_signs))
