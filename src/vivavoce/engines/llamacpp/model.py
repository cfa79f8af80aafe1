"""Language model engine that runs a GGUF file in this process with llama.cpp.

A prompt is rules, the client's instruction, and the conversation. Everything before the user's
newest words stays the same from turn to turn, so that it is read once. There are no examples: with
three, Qwen2.5-Coder-0.5B had 10 instead of 9 of 12 facts, but lost a name told two turns before
and a question's language, and named what was in an example.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections import OrderedDict, deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import aclosing

from vivavoce.domain.content import Content, Role, Text, ToolCall, ToolResult, Usage
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Modality
from vivavoce.engines import chat
from vivavoce.engines.chat import Deltas, FunctionNames, first_kept, no_vision_reply, note_images
from vivavoce.engines.function_calling import words
from vivavoce.engines.function_calling.model import FunctionCallingModel, add_function_calling
from vivavoce.engines.function_calling.planner import history_as_text
from vivavoce.engines.llamacpp import repetition
from vivavoce.engines.llamacpp.llama import (
    Chunk,
    Llama,
    LlamaOptions,
    TokenMeter,
    finish_reason,
    text_of,
    without_control_tokens,
)
from vivavoce.engines.llamacpp.repetition import MIN_WORDS, RepetitionGuard, words_of
from vivavoce.engines.llamacpp.settings import (
    ENGINE,
    QWEN_LARGE,
    QWEN_SMALL,
    LlamaCppSettings,
    model_file,
    router_folder,
)
from vivavoce.engines.llamacpp.slots import LlamaCompletion, SlotStates, SlotTable
from vivavoce.engines.ports import (
    Ended,
    EngineHost,
    LanguageModelCapabilities,
    ModelPart,
    TextDelta,
    UsageReported,
)
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import EngineBusy, EngineError, EngineMissing

log = logging.getLogger(__name__)

_MARGIN_TOKENS = 16
_MESSAGE_TOKENS = 6
_MAX_CACHED_COUNTS = 4096
_CHARS_PER_TOKEN = 3
_ESTIMATED_CHARS_PER_TOKEN = 4
_MAX_UNCOUNTED = 512
_WRITTEN_LENGTH_FACTOR = 4
"""Length limit of a written answer, relative to that of a spoken one."""

_MAX_QUICK_READ_S = 0.15
"""The longest reading of a hypothesis after which its end is read, too. Two cores: the 0.5B takes
65 to 130 ms for the words and 110 for the end, the 1.5B 75 to 210 and 260."""

_FIRST_WORD = re.compile(r"^\s?\S+")
_SENTENCE_END = re.compile(r"(?<!\s\d)(?<!^\d)[.!?…。！？][\"'”’)]*\s*$")

_DRY: Chunk = {
    "dry_base": 1.75,
    "dry_allowed_length": 3,
    "dry_penalty_last_n": 2048,
    "dry_sequence_breakers": ["\n"],
}
"""A penalty for each token that would continue a repetition of what is in the prompt or answer.

Not in first attempts: it would change long numbers and names of the conversation. Each breaker
costs 24 ms an answer.
"""

_RETRIES: tuple[Chunk, ...] = (
    {**_DRY, "dry_multiplier": 1.0, "temperature": 0.4, "presence_penalty": 0.3},
    {**_DRY, "dry_multiplier": 2.0, "temperature": 0.8, "presence_penalty": 0.6},
)
"""Sampling of further attempts after a repetition. They also begin with another word: an answer
that begins as before ends as before, or as nonsense ("..., and I was a ship.")."""


class LlamaCppModel:
    """Language model on a GGUF file: brief answers without repetition.

    `embedded` is true for the models that come with the project: they are greedy by default, and
    an image or a function is beyond them. `native` models get functions by their own template.
    """

    def __init__(
        self,
        llama: Llama,
        states: SlotStates,
        settings: LlamaCppSettings,
        native: bool,
        embedded: bool,
    ) -> None:
        self.capabilities = LanguageModelCapabilities(
            tools=native,
            context_tokens=settings.context,
            slots=settings.slots,
            repairs=native,
            count_tokens=self.count_tokens,
            count_revision=lambda: self._count_revision,
        )
        self._llama = llama
        self._states = states
        self._settings = settings
        self._native = native
        self._embedded = embedded
        self._greedy = embedded if settings.greedy is None else settings.greedy
        self._workers = WorkerPool(ENGINE, workers=settings.slots + 1)
        self._slots = SlotTable(settings.slots, states)
        self._counts: OrderedDict[str, int] = OrderedDict()
        self._uncounted: deque[str] = deque(maxlen=_MAX_UNCOUNTED)
        self._count_revision = 0
        self._tools_ignored = False
        self._closed = False

    @property
    def idle(self) -> bool:
        """True if nothing is computed, not even the end of a cancelled answer."""
        return self._workers.idle and not (self._workers.running or self._workers.abandoned)

    @property
    def listener(self) -> tuple[str, str]:
        """The address of the library's listener, and the key that it requires."""
        return self._llama.address, self._llama.key

    def count_tokens(self, text: str) -> int:
        """Return the tokens of a text: exact once it was in a prompt, else estimated by length.

        The tokenizer is the library's, which may have to wait for an answer to be written.
        """
        known = self._counts.get(text)
        if known is not None:
            return max(0, known - _MESSAGE_TOKENS)
        if text:
            self._uncounted.append(text)
        return -(-len(text) // _ESTIMATED_CHARS_PER_TOKEN)

    async def prepare(self, request: GenerationRequest) -> None:
        """Read rules, instruction, and history into the conversation's slot.

        What the user is still saying is read while the model does nothing else, and only then.
        """
        speaking = bool(request.history) and request.history[-1].role is Role.USER
        if speaking and not self.idle:
            return
        read = self._read_words if speaking and not self._native else self._read_history
        try:
            await self._workers.run(lambda token: read(request, token))
        except EngineError as fault:  # the answer itself will say what is wrong
            log.debug("prompt was not read ahead", extra={"problem": fault.problem})

    def _read_history(self, request: GenerationRequest, token: CancelToken) -> None:
        own, general = self._beginnings(request)
        with self._slots.use_slot(request.session, (own, general), token) as slot:
            if slot is None:
                return
            body = self._body(request, slot.index) | {"max_tokens": 0}
            self._llama.stream_chat(body, token, lambda chunk: None)
            if not (request.history or own in self._states or token.cancelled):
                self._states.save_state(own, slot.index)

    def _read_words(self, request: GenerationRequest, token: CancelToken) -> None:
        """Read up to the last word; if that was quick, also what the template writes after it.

        A reading can't be stopped within a few tokens, and an answer may be asked for meanwhile:
        what takes a slow model longer than `_MAX_QUICK_READ_S` would delay it more than it saves.
        """
        with self._slots.use_slot(request.session, self._beginnings(request), token) as slot:
            if slot is not None:
                body = self._body(request, slot.index) | {"max_tokens": 0}
                tail = str(body["messages"][-1]["content"]).rstrip("?.")  # marks that were added
                text = self._llama.render_chat({"messages": body["messages"]})
                end = text.rfind(tail) + len(tail)
                began = time.monotonic()
                self._llama.read_prompt(text[:end], slot.index, token)
                if time.monotonic() - began < _MAX_QUICK_READ_S and not token.cancelled:
                    self._llama.stream_chat(body, token, lambda chunk: None)

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[ModelPart, None]:
        """Generate the answer. Closing the iterator stops the model within a token.

        Raises `EngineError`; `EngineBusy` for a speculative request that would have to wait.
        """
        if self._closed:
            raise EngineError(ENGINE, "it was closed.")
        if request.speculative and not self._workers.idle:
            raise EngineBusy(ENGINE, "all slots are in use.")
        if request.tools.declarations and not (self._native or self._tools_ignored):
            self._tools_ignored = True
            log.warning("functions are ignored", extra={"fix": "Run `vivavoce pull`."})
        if self._embedded and (unseen := no_vision_reply(request.history)):
            yield TextDelta(unseen)
            return
        answer = self._native_answer if self._native else self._text_answer
        async with aclosing(answer(request)) as parts:
            async for part in parts:
                yield part

    async def release(self, session: str) -> None:
        """Free the conversation's slot and delete its saved state."""
        await asyncio.to_thread(self._slots.release_session, session)

    async def aclose(self) -> None:
        """Stop every answer; free the model, its threads, files and listener."""
        self._closed = True
        await asyncio.to_thread(self._llama.close)
        self._workers.close()

    async def _text_answer(self, request: GenerationRequest) -> AsyncGenerator[ModelPart, None]:
        """Generate text; after a repetition ask the model again, at last admit not to know."""
        past = repetition.read_past(request.history)
        usage = Usage()
        stop = ""
        passed_on = ""
        openings: list[str] = []
        for attempt in range(1 + len(_RETRIES)):
            guard = RepetitionGuard(past, passed_on)
            meter = TokenMeter()
            async with aclosing(self._chunks(request, attempt, passed_on, openings)) as chunks:
                async for chunk in chunks:
                    meter.read_chunk(chunk)
                    stop = finish_reason(chunk) or stop
                    if meter.is_report_due():
                        yield UsageReported(usage.update_with(meter.usage))
                    if text := guard.feed_text(text_of(chunk)):
                        passed_on += text
                        yield TextDelta(text)
                    if guard.stopped or self._is_enough(request, guard.text, meter):
                        break
            if text := guard.finish():
                passed_on += text
                yield TextDelta(text)
            usage = usage.update_with(meter.usage)
            if not guard.rejected:
                break
            openings += _FIRST_WORD.findall(guard.refused)
            log.debug("repetition was rejected", extra={"attempt": attempt})
        else:
            if len(words_of(passed_on)) < MIN_WORDS:
                yield TextDelta(repetition.fallback_reply(request.language, request.history))
        yield UsageReported(usage)
        if stop == "length":
            yield Ended(EndReason.MAX_TOKENS)

    def _is_enough(self, request: GenerationRequest, text: str, meter: TokenMeter) -> bool:
        """Return whether a spoken answer is long already and a sentence has just ended."""
        if request.modality is not Modality.AUDIO or request.sampling.max_output_tokens:
            return False
        long = meter.usage.response_tokens >= self._settings.max_tokens // 3
        return self._embedded and long and bool(_SENTENCE_END.search(text))

    async def _native_answer(self, request: GenerationRequest) -> AsyncGenerator[ModelPart, None]:
        """Generate text, thoughts and calls by the model's own template."""
        deltas = Deltas(FunctionNames(tool.name for tool in request.tools.declarations))
        meter = TokenMeter()
        thoughts = bool(request.thinking and request.thinking.include_thoughts)
        async with aclosing(self._chunks(request)) as chunks:
            async for chunk in chunks:
                meter.read_chunk(chunk)
                for part in deltas.read_chunk(chunk):
                    if not isinstance(part, TextDelta) or thoughts or not part.thought:
                        yield part
        for rest in deltas.flush_text():
            yield rest
        yield UsageReported(meter.usage)
        for part in deltas.finish():
            yield part

    async def _chunks(
        self,
        request: GenerationRequest,
        attempt: int = 0,
        begun: str = "",
        openings: Sequence[str] = (),
    ) -> AsyncGenerator[Chunk, None]:
        """Stream one attempt to continue `begun`, with none of the words `openings` first."""

        def work(token: CancelToken, put: Callable[[Chunk], None]) -> None:
            with self._slots.use_slot(request.session, self._beginnings(request), token) as slot:
                if slot is not None:
                    body = self._body(request, slot.index)
                    body |= self._retry(request, attempt, openings)
                    if begun.strip():
                        body["messages"].append({"role": "assistant", "content": begun.rstrip()})
                    self._llama.stream_chat(body, token, put)

        async with aclosing(self._workers.stream(work)) as chunks:
            async for chunk in chunks:
                yield chunk

    def _beginnings(self, request: GenerationRequest) -> tuple[str, str]:
        """Return the keys of states to begin from: of this instruction, and of any conversation."""
        shown = [tool.name for tool in request.tools.declarations] if self._native else []
        return f"beginning {system_prompt(request, self._most_chars)} {shown}", SPOKEN

    @property
    def _most_chars(self) -> int:
        return self._settings.context * _CHARS_PER_TOKEN // 3

    def _body(self, request: GenerationRequest, slot: int) -> Chunk:
        """Build the request to the library. Blocks: it counts tokens."""
        while self._uncounted:
            self._count(self._uncounted.popleft())
        body = self._sampling(request) | {"id_slot": slot, "cache_prompt": True}
        names = FunctionNames(tool.name for tool in request.tools.declarations)
        if self._native and request.tools.declarations:
            body["tools"] = chat.write_tools(request, names)
        instruction = system_prompt(request, self._most_chars)
        instruction = self._shortened(instruction, self._settings.context // 3)
        spent = self._count(instruction) + self._count(str(body.get("tools", "")))
        budget = max(64, self._settings.context - body["max_tokens"] - spent - _MARGIN_TOKENS)
        history = request.history if self._embedded else note_images(request.history)
        if not self._native:
            history = history_as_text(history)
        longest = budget * _CHARS_PER_TOKEN // 2
        first = first_kept(
            history,
            budget,
            lambda content: self._cost(content, longest),
            self._slots.first_shown(request.session),
        )
        self._slots.show_from(request.session, first)
        if self._native:
            body["messages"] = chat.write_messages(
                request, names, False, instruction, first, longest
            )
        else:
            shown = repetition.without_repetition(history[first:])
            if shown and self._count(shown[-1].text) > budget:
                tail = self._shortened(shown[-1].text, budget, from_start=True)
                shown = (*shown[:-1], keep_end(shown[-1], len(tail)))
            body["messages"] = write_prompt(instruction, shown)
        return body

    def _shortened(self, text: str, most_tokens: int, from_start: bool = False) -> str:
        """Return as much of a text as `most_tokens` hold; `from_start` cuts its start, not its end.

        By halves, since the tokens of a text are not spread evenly over its characters.
        """

        def part(size: int) -> str:
            return text[len(text) - size :] if from_start else text[:size]

        fits, over = 0, len(text) + 1
        while over - fits > 1:
            size = len(text) if over > len(text) else (fits + over) // 2
            if not size or self._llama.count_tokens(part(size)) <= most_tokens:
                fits = size
            else:
                over = size
        return part(fits)

    def _retry(self, request: GenerationRequest, attempt: int, openings: Sequence[str]) -> Chunk:
        """Return the sampling options of a further attempt."""
        if not attempt:
            return {}
        first = {self._llama.token_ids(word)[0] for word in openings}
        return {
            **_RETRIES[attempt - 1],
            "seed": (request.sampling.seed or 0) + attempt,
            "logit_bias": [[token, False] for token in sorted(first)],
        }

    def _sampling(self, request: GenerationRequest) -> Chunk:
        settings, wanted = self._settings, request.sampling
        spoken = request.modality is Modality.AUDIO
        limit = wanted.max_output_tokens or settings.max_tokens * (
            1 if spoken else _WRITTEN_LENGTH_FACTOR
        )
        body: Chunk = {"max_tokens": min(limit, settings.context // 2), "temperature": 0.0}
        if not self._greedy:
            options = chat.write_sampling(wanted)
            if wanted.top_k is not None:
                options["top_k"] = wanted.top_k
            body |= {"temperature": 0.7} | options
        return body

    def _cost(self, content: Content, longest: int) -> int:
        """Return the tokens of a content as shown; results take up to `longest` characters."""
        most = chat.share_of_result(content, longest)
        shown = [content.text]
        for part in content.parts:
            if isinstance(part, ToolCall):
                shown.append(f"{part.name}{part.args}")
            elif isinstance(part, ToolResult):
                shown.append(chat.show_result(part, most))
        return _MESSAGE_TOKENS + self._count("".join(shown))

    def _count(self, text: str) -> int:
        if (known := self._counts.get(text)) is None:
            known = self._llama.count_tokens(text) + _MESSAGE_TOKENS if text else 0
            self._counts[text] = known
            self._count_revision += 1
            while len(self._counts) > _MAX_CACHED_COUNTS:
                self._counts.popitem(last=False)
        return known


# --- the prompt ---------------------------------------------------------------------------

SPOKEN = (
    "You are a voice assistant. Your words are spoken aloud. Answer in one or two short plain"
    " sentences, in the language of the user. No lists, no markdown, no code."
)
WRITTEN = "You are a helpful assistant. Answer briefly, in the language of the user."
NAME = "Vivavoce"
"""Of the assistant where the client gives no instruction: asked for its name, the 0.5B invents one
and says that OpenAI created it. In this place and form it does not take it for the user's name."""

CHECK = "What is the capital of France?"

_LANGUAGES = {
    "de": "German", "es": "Spanish", "fr": "French", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "tr": "Turkish", "ru": "Russian", "zh": "Chinese",
    "ja": "Japanese", "ko": "Korean", "ar": "Arabic", "hi": "Hindi", "vi": "Vietnamese",
}  # fmt: skip
"""Names of languages for a rule of its own, where the session's language is not English."""

_PARTIAL_WORD = re.compile(r"^\S{0,40}\s")
"""What is left of a word whose beginning was cut off; not all scripts have spaces."""

_WORDLESS = "(something without words)"


def keep_end(content: Content, most_chars: int) -> Content:
    """Return a content with only the end of its text, cut at the start of a word if possible."""
    kept = content.text[len(content.text) - most_chars :]
    kept = _PARTIAL_WORD.sub("", kept, count=1)
    return Content(content.role, (Text(kept),), content.cut)


def system_prompt(request: GenerationRequest, most_chars: int) -> str:
    """Return the rules and the client's instruction, cut where it would fill the window.

    Without an instruction, the assistant is called `NAME`.
    """
    rules = SPOKEN if request.modality is Modality.AUDIO else WRITTEN
    language = _LANGUAGES.get(request.language.split("-")[0].lower())
    if language:
        rules += f" Speak {language}."
    instruction = request.instruction.strip()[:most_chars]
    if not instruction:
        return rules.replace("You are a ", f"You are {NAME}, a ", 1)
    return f"{rules}\n\n{instruction}"


def write_prompt(instruction: str, history: Sequence[Content]) -> list[chat.Message]:
    """Write the whole prompt of an answer to a history without calls and results."""
    messages: list[chat.Message] = [{"role": "system", "content": instruction}]
    for content in history:
        role = "assistant" if content.role is Role.MODEL else "user"
        if content.role is Role.MODEL:
            text = " ".join(content.text.split())
        else:
            text = words.punctuate(content.text) or _WORDLESS
        if not text:
            continue
        if messages[-1]["role"] == role:
            messages[-1] = {"role": role, "content": f"{messages[-1]['content']} {text}"}
        else:
            messages.append({"role": role, "content": text})
    if messages[-1]["role"] != "user":
        messages.append({"role": "user", "content": chat.GO_ON if history else _WORDLESS})
    return [one | {"content": without_control_tokens(one["content"])} for one in messages]


# --- the start ----------------------------------------------------------------------------


async def load_model(
    settings: LlamaCppSettings, host: EngineHost
) -> LlamaCppModel | FunctionCallingModel:
    """Load and check the model; wrap it unless it calls functions natively, or must not.

    Raises `EngineMissing`, `EngineError`.
    """
    path = model_file(settings, host)
    embedded = path.name in (*QWEN_SMALL.files, *QWEN_LARGE.files)
    options = LlamaOptions(
        path=path,
        context=settings.context,
        slots=settings.slots + 1,
        threads=settings.thread_count,
        template=settings.template,
        gpu_layers=settings.gpu_layers,
    )
    began = time.monotonic()
    llama = await asyncio.to_thread(Llama, options)
    try:
        states = SlotStates(llama, settings.cache_mib * 2**20)
        native = settings.tools and not embedded and await asyncio.to_thread(_knows_tools, llama)
        await asyncio.to_thread(_check, llama, path.name, time.monotonic() - began, embedded)
        host.say(f"Language model: {path.name}, in this process.")
        states.save_state(SPOKEN, 0)
        model = LlamaCppModel(llama, states, settings, native, embedded)
        if native or not settings.tools:
            return model
        folder = router_folder(settings, host)
        completion = LlamaCompletion(llama, states, settings.slots)
        judges = path.name in QWEN_LARGE.files if settings.judge is None else settings.judge
        return await asyncio.to_thread(
            add_function_calling, model, completion, folder, settings.threshold, judges
        )
    except EngineMissing as missing:  # MiniLM
        log.warning("no functions can be called", extra={"problem": str(missing)})
        return model
    except BaseException:
        await asyncio.to_thread(llama.close)
        raise


def _knows_tools(llama: Llama) -> bool:
    """Return whether the template shows functions to the model: many drop them silently."""
    name = "probe_of_the_template"
    probe = {"name": name, "parameters": {"type": "object", "properties": {}}}
    body = {
        "messages": [{"role": "user", "content": "hello"}],
        "tools": [{"type": "function", "function": probe}],
    }
    return name in llama.render_chat(body)


def _check(llama: Llama, name: str, loaded_s: float, embedded: bool) -> None:
    """Ask for the capital of France: a broken template or file is seen at once."""
    began = time.monotonic()
    messages = [
        {"role": "system", "content": SPOKEN},
        {"role": "user", "content": CHECK},
    ]
    body = {"messages": messages, "temperature": 0.0, "max_tokens": 24, "id_slot": 0}
    answer = llama.complete_chat(body, CancelToken()).strip()
    check_s = round(time.monotonic() - began, 2)
    facts = {"model": name, "load_s": round(loaded_s, 2), "check_s": check_s, "answer": answer}
    if "paris" in answer.lower() or not embedded:
        log.info("language model is ready", extra=facts)
    else:
        log.warning("language model answers wrongly", extra=facts | {"asked": CHECK})
