"""Join a language model and a synthesizer into a responder.

Two tasks and a queue of two pieces between them:

- *think* reads the model, emits thoughts and usage, and cuts the text into pieces;
- *speak* normalizes each piece, and emits its sound with the model's own words.

Calls travel through the queue like pieces do, so they are emitted after the speech that precedes
them. After a call that does not fit its declaration the model is asked again, see `ToolCallRetry`.
The texts of all speech together equal what the model wrote, also where the spoken form differs or
is empty: such words go with the next sound.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar, assert_never

from vivavoce.domain.content import Content, Part, Role, Text, ToolCall, ToolResult, Tools, Usage
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Modality
from vivavoce.engines.ports import (
    CallsRequested,
    CallUnreadable,
    Emit,
    Ended,
    EngineHost,
    LanguageModel,
    LanguageModelCapabilities,
    Milestone,
    ModelPart,
    ResponderCapabilities,
    Settings,
    Speech,
    Synthesizer,
    TextDelta,
    UsageReported,
)
from vivavoce.engines.settings import EngineChoice, read_settings
from vivavoce.engines.speech_text import (
    SentenceSplitter,
    TextNormalizer,
    normalize_text,
    symbol_names,
)
from vivavoce.engines.synthesis import Realigner, silence
from vivavoce.engines.tool_validation import InvalidCall, args_problem, check_calls
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import EngineError

T = TypeVar("T")

log = logging.getLogger(__name__)

_PIECES = 2
"""Pieces that may wait to be spoken: how far the model is read ahead."""

_UNSAID_S = 0.04
"""Silence that carries words with no sound of their own at the end of an answer."""

_CLOSE_S = 2.0


@dataclass(frozen=True, slots=True)
class CascadeSettings:
    """The choices of the language model and the synthesizer."""

    model: EngineChoice
    voice: EngineChoice


class Cascade:
    """Speaks the beginning of an answer while the model still writes. See `ports.Responder`."""

    def __init__(self, model: LanguageModel, synthesizer: Synthesizer) -> None:
        self.capabilities = ResponderCapabilities(
            tools=model.capabilities.tools,
            images=model.capabilities.images,
            thinking=model.capabilities.thinking,
            speaks=True,
            context_tokens=model.capabilities.context_tokens,
            count_tokens=model.capabilities.count_tokens,
            count_revision=model.capabilities.count_revision,
        )
        self._model = model
        self._synthesizer = synthesizer
        self._workers = WorkerPool("responder.cascade", queue=1024)

    async def prepare(self, request: GenerationRequest) -> None:
        await self._model.prepare(request)

    async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
        """Emit the whole answer, as text or as speech by the modality of the request.

        An unclear request is answered by a sentence that asks the user to repeat; in another
        language than English by the model, without tools.

        Raises `EngineError` when the model or the synthesizer fails; what was emitted stays.
        """
        model: LanguageModel = self._model
        if request.unclear:
            # Words that were hardly understood may start no function.
            request = replace(request, tools=Tools())
            model = ClarificationModel() if is_english(request.language) else model
        if request.modality is Modality.TEXT:
            return await _Writing(model, request, emit, self._workers).run()
        return await _Speaking(model, request, emit, self._workers, self._synthesizer).run()

    async def release(self, session: str) -> None:
        await self._model.release(session)

    async def aclose(self) -> None:
        self._workers.close()
        try:
            await self._model.aclose()
        finally:
            await self._synthesizer.aclose()


class _Thinking:
    """Reads the model, for both modalities."""

    def __init__(
        self, model: LanguageModel, request: GenerationRequest, emit: Emit, workers: WorkerPool
    ) -> None:
        self._model = model
        self._request = request
        self._emit = emit
        self._workers = workers
        self._reason = EndReason.COMPLETE
        self._began = False
        self._said_something = False

    async def _think(self) -> None:
        answer = ToolCallRetry(self._request, self._model.capabilities.repairs)
        while (request := answer.request) is not None:
            async with _closed(self._model.generate(request)) as parts:
                async for part in parts:
                    for checked in answer.take_part(await self._with_calls_checked(part)):
                        await self._on(checked)
                    if answer.invalid:
                        break
            for checked in answer.end_try():
                await self._on(checked)

    async def _with_calls_checked(self, part: ModelPart) -> AnswerPart:
        """Return the part, its calls checked in a thread."""
        if not isinstance(part, CallsRequested):
            return part
        return await self._workers.run(lambda _: check_batch(part, self._request.tools))

    async def _on(self, part: CheckedPart) -> None:
        if not self._began and not isinstance(part, UsageReported | Ended):
            self._began = True
            await self._emit(Milestone("first_token"))
        match part:
            case TextDelta(thought=True) | UsageReported():
                await self._emit(part)
            case TextDelta(text=text):
                self._said_something |= bool(text.strip())
                await self._on_text(part)
            case CallsRequested():
                self._said_something = True
                await self._on_calls(part)
            case Ended(reason=reason):
                self._reason = reason
            case _:
                assert_never(part)

    def _end(self) -> EndReason:
        """Return why the answer ended; after an empty one the model waits for the user."""
        if self._reason is EndReason.COMPLETE and not self._said_something:
            return EndReason.NEED_MORE_INPUT
        return self._reason

    async def _on_text(self, part: TextDelta) -> None:
        raise NotImplementedError

    async def _on_calls(self, part: CallsRequested) -> None:
        raise NotImplementedError


class _Writing(_Thinking):
    """Emits an answer in text."""

    async def run(self) -> EndReason:
        await self._think()
        return self._end()

    async def _on_text(self, part: TextDelta) -> None:
        await self._emit(part)

    async def _on_calls(self, part: CallsRequested) -> None:
        await self._emit(part)


class _Speaking(_Thinking):
    """Emits an answer in speech."""

    def __init__(
        self,
        model: LanguageModel,
        request: GenerationRequest,
        emit: Emit,
        workers: WorkerPool,
        synthesizer: Synthesizer,
    ) -> None:
        super().__init__(model, request, emit, workers)
        self._synthesizer = synthesizer
        self._splitter = SentenceSplitter()
        self._normalizer = TextNormalizer(request.language)
        self._queue: asyncio.Queue[str | CallsRequested | None] = asyncio.Queue(_PIECES)
        self._cut_something = False
        self._sounded = False
        self._silent_text = ""  # words that had no sound of their own yet

    async def run(self) -> EndReason:
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._think_aloud(), name="think")
                tasks.create_task(self._speak(), name="speak")
        except BaseExceptionGroup as group:
            raise _cause(group) from group
        return self._end()

    # --- think ---

    async def _think_aloud(self) -> None:
        await self._think()
        await self._hand_over(self._splitter.flush())
        await self._queue.put(None)

    async def _on_text(self, part: TextDelta) -> None:
        await self._hand_over(self._splitter.feed(part.text))

    async def _on_calls(self, part: CallsRequested) -> None:
        await self._hand_over(self._splitter.flush())
        await self._queue.put(part)

    async def _hand_over(self, pieces: list[str]) -> None:
        for piece in pieces:
            if not self._cut_something:
                self._cut_something = True
                await self._emit(Milestone("first_clause"))
            await self._queue.put(piece)

    # --- speak ---

    async def _speak(self) -> None:
        while (item := await self._queue.get()) is not None:
            if isinstance(item, CallsRequested):
                await self._settle()
                await self._emit(item)
            elif spoken := self._normalizer.normalize(item):
                await self._say(item, spoken)
            else:
                self._silent_text += item
        await self._settle()

    async def _say(self, original: str, spoken: str) -> None:
        """Speak `spoken`, with the words of `original` as its text."""
        words = Realigner(original, spoken)
        voice, language = self._request.voice, self._request.language
        async with _closed(self._synthesizer.speak(spoken, voice, language)) as pieces:
            async for piece in pieces:
                await self._sound(piece.pcm, words.original_of(piece.text))
        self._silent_text += words.remaining_words()

    async def _settle(self) -> None:
        """Emit the words that had no sound, as no more sound follows them."""
        text, self._silent_text = self._silent_text, ""
        if not self._sounded and (names := symbol_names(text)):
            await self._say(text, names)
            text, self._silent_text = self._silent_text, ""
        if text.strip() or (text and self._sounded):
            await self._sound(silence(_UNSAID_S), text)

    async def _sound(self, pcm: bytes, text: str) -> None:
        if not pcm:
            self._silent_text += text
            return
        if not self._sounded:
            self._sounded = True
            await self._emit(Milestone("first_audio"))
        text, self._silent_text = self._silent_text + text, ""
        await self._emit(Speech(pcm, text))


@asynccontextmanager
async def _closed(iterator: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Yield the iterator, and close it afterwards, so that its engine stops at once."""
    try:
        yield iterator
    finally:
        close: Any = getattr(iterator, "aclose", None)
        if close is not None:
            with suppress(TimeoutError):
                async with asyncio.timeout(_CLOSE_S):
                    await close()


def _cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """Return the failure of an engine, if there is one in the group, else the first failure."""
    found: list[BaseException] = []
    pending: list[BaseException] = [group]
    while pending:
        failure = pending.pop(0)
        if isinstance(failure, BaseExceptionGroup):
            pending.extend(failure.exceptions)
        else:
            found.append(failure)
    return next((f for f in found if isinstance(f, EngineError)), found[0])


# --- invalid calls -----------------------------------------------------------------------

CheckedPart = TextDelta | CallsRequested | UsageReported | Ended
"""A part whose calls, if it holds any, fit their declarations."""


@dataclass(frozen=True, slots=True)
class CallsChecked:
    """A batch of calls, each with the call that may be made or with what is wrong with it."""

    calls: tuple[ToolCall, ...]
    checked: tuple[ToolCall | InvalidCall, ...]


def check_batch(requested: CallsRequested, tools: Tools) -> CallsChecked:
    """Check the batch for `ToolCallRetry.take_part`. May take a tenth of a second: use a thread."""
    return CallsChecked(requested.calls, tuple(check_calls(requested.calls, tools)))


AnswerPart = TextDelta | CallsChecked | CallUnreadable | UsageReported | Ended
"""A part of a model's, its calls checked."""

_QUOTED = 500
_AGAIN = "Nothing was done. Correct this and make every call of that answer again."
_FINE = "Not done, because another call of the same answer was wrong. Make this one again, too."
_MADE = "This call was made. Don't make it again."


@dataclass(slots=True)
class _Try:
    """Results of one try."""

    said: str = ""
    held: str = ""
    made: list[ToolCall] = field(default_factory=list)
    wrong: list[tuple[ToolCall, str]] = field(default_factory=list)
    """The calls of the batch that is not made, each with its error for the model."""
    ended: Ended | None = None


class ToolCallRetry:
    """Asks a model for an answer, and once more after an invalid call, with its error.

    - The calls that a model asks for together are made together or not at all.
    - Once one of them is invalid, or can't be read, the try is over. If the model repairs, it is
      asked once more: with its words and calls as a part of the history, and results that say what
      was wrong. Nothing of this reaches the session's own history.
    - Words of the first try were spoken and are not repeated: words of the second are held back
      until it calls, and dropped then. If it calls nothing they are its answer, without the
      beginning that was spoken before.
    - A second try that goes wrong, too, or has nothing to add, ends as malformed.
    - Both tries are paid for: their words are counted together. The prompt is counted once, as it
      is over the generations of a turn.

    `request` is the next request to the model, `None` when the answer is over. For each try:
    `take_part` until it ends or is `invalid`, then call `end_try`.
    """

    def __init__(self, request: GenerationRequest, repairs: bool) -> None:
        self.request: GenerationRequest | None = request
        self.invalid = False
        self._asked = request
        self._repairs = repairs
        self._now = _Try()
        self._before: _Try | None = None
        self._spent = Usage()
        self._usage = Usage()

    def take_part(self, part: AnswerPart) -> Iterator[CheckedPart]:
        """Take a part of the try; yields the parts to emit."""
        now = self._now
        match part:
            case UsageReported(usage=usage):
                self._usage = self._spent.update_with(usage)
                yield UsageReported(self._usage)
            case _ if now.wrong:
                self.invalid = True  # only its usage was still needed
            case TextDelta(text=text, thought=False) if self._may_repeat():
                now.held += text
            case TextDelta(text=text, thought=thought):
                now.said += "" if thought else text
                yield part
            case CallsChecked():
                yield from self._take_calls(part)
            case CallUnreadable(name=name, written=written, problem=problem):
                error = f"{problem} You wrote: {written[:_QUOTED]} {_AGAIN}"
                now.wrong.append((ToolCall(CallId(""), name or "unnamed", {}), error))
            case Ended():
                now.ended = part
            case _:
                assert_never(part)

    def end_try(self) -> Iterator[CheckedPart]:
        """End the try, whole or broken off. Sets `request`; yields the parts to emit."""
        now, before = self._now, self._before
        self.request = None
        if now.wrong:
            again = before is None and self._repairs
            names = [call.name for call, error in now.wrong if error != _FINE]
            log.warning(
                "model made an invalid call", extra={"functions": names, "asked_again": again}
            )
            if again:
                self.request = _corrected(self._asked, now)
                self._before, self._now = now, _Try()
                self._spent, self.invalid = self._usage, False
                return
        malformed = bool(now.wrong)
        if before is not None and not (now.wrong or now.made):
            rest = now.held.strip().removeprefix(before.said.strip()).strip()
            if rest:
                yield TextDelta(f" {rest}")
            malformed = not (rest or now.said.strip())
        if malformed:
            yield Ended(EndReason.MALFORMED_CALL)
        elif now.ended is not None:
            yield now.ended

    def _may_repeat(self) -> bool:
        before = self._before
        return before is not None and bool(before.said.strip()) and not self._now.made

    def _take_calls(self, batch: CallsChecked) -> Iterator[CallsRequested]:
        fit = tuple(one for one in batch.checked if isinstance(one, ToolCall))
        if len(fit) < len(batch.calls):
            errors = [
                f"{one} {_AGAIN}" if isinstance(one, InvalidCall) else _FINE
                for one in batch.checked
            ]
            self._now.wrong = list(zip(batch.calls, errors, strict=True))
            return
        self._now.made += fit
        yield CallsRequested(fit)


def _corrected(asked: GenerationRequest, first: _Try) -> GenerationRequest:
    """Return the request with the first try and its errors added to the history."""
    spoken: list[Part] = [Text(first.said)] if first.said.strip() else []
    results: list[Part] = []
    made = [(call, {"output": _MADE}) for call in first.made]
    wrong = [(call, {"error": error}) for call, error in first.wrong]
    for number, (call, response) in enumerate(made + wrong, 1):
        id_ = CallId(f"again_{number}")
        # What is too large or too deep to be made is too much to be shown, too.
        args = {} if args_problem(call.args) else call.args
        spoken.append(ToolCall(id_, call.name, args))
        results.append(ToolResult(id_, call.name, response))
    contents = (Content(Role.MODEL, tuple(spoken)), Content(Role.USER, tuple(results)))
    return replace(asked, history=(*asked.history, *contents))


# --- clarification -----------------------------------------------------------------------

SENTENCES = (
    "Sorry, I didn't catch that.",
    "Could you say that again, please?",
    "I'm sorry, I still didn't understand. Please say it once more.",
)
"""Used in turn, so that no answer equals the one before."""


def is_english(language: str) -> bool:
    """Return whether a BCP-47 code is English, or empty."""
    return not language or language.split("-")[0].casefold() == "en"


class ClarificationModel:
    """A language model that asks the user to repeat, in fixed sentences."""

    capabilities = LanguageModelCapabilities()

    async def prepare(self, request: GenerationRequest) -> None:
        """Needs none."""

    async def generate(self, request: GenerationRequest) -> AsyncIterator[ModelPart]:
        """Yield the sentence after the one that ended the model's last turn."""
        said = [content.text.strip() for content in request.history if content.role is Role.MODEL]
        last = said[-1] if said else ""
        after = SENTENCES.index(last) + 1 if last in SENTENCES else 0
        yield TextDelta(SENTENCES[after % len(SENTENCES)])

    async def release(self, session: str) -> None:
        """Holds nothing."""

    async def aclose(self) -> None:
        """Holds nothing."""


# --- building ----------------------------------------------------------------------------


async def create(settings: Settings, host: EngineHost) -> Cascade:
    """Build the engine and its parts. Raises `ConfigError`, `EngineMissing`."""
    example = '{ use = "cascade", model = "llamacpp", voice = "hibari" }'
    parts = read_settings("responder.cascade", settings, CascadeSettings, example)
    normalize_text("ready")  # loads the Markdown parser now, not in the first answer
    model: LanguageModel = await host.build("model", parts.model)
    try:
        synthesizer: Synthesizer = await host.build("synthesizer", parts.voice)
    except BaseException:
        await model.aclose()
        raise
    return Cascade(model, synthesizer)


def required_parts(settings: Settings) -> tuple[tuple[str, str | Settings], ...]:
    """Return the choices of its parts, for `engines.registry`."""
    ports = {"model": "model", "voice": "synthesizer"}
    return tuple((port, settings[key]) for key, port in ports.items() if key in settings)
