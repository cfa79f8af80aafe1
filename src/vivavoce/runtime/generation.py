"""Run a responder: turn its output into events, at the pace of playback.

A responder may produce as fast as it can, up to `OutputPace.ahead_s` before what the client can
have played; then `emit` waits. A speculative one may hold `held_s` of audio until promoted.

Whatever an engine does, the core learns exactly once how it ended: finished, failed or refused. An
engine's bug is a failed generation, never a dead session: it may raise whatever it likes, and what
it hands over is checked before the core relies on it.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from vivavoce.core.events import (
    AudioProduced,
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    TextProduced,
    ToolCallsProduced,
    UsageProduced,
)
from vivavoce.domain.audio import BYTES_PER_SAMPLE, OUTPUT_RATE, pcm_seconds, samples
from vivavoce.domain.ids import GenerationId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.serialization import find_mismatch
from vivavoce.domain.text import replace_surrogates
from vivavoce.engines.ports import (
    CallsRequested,
    GenerationPart,
    Milestone,
    Responder,
    Speech,
    TextDelta,
    UsageReported,
)
from vivavoce.engines.tool_validation import args_problem
from vivavoce.errors import EngineBusy, EngineError
from vivavoce.runtime.outbox import Outbox
from vivavoce.runtime.tasks import EngineTasks, EngineTimeout, is_end
from vivavoce.runtime.turn_metrics import TurnReporter

log = logging.getLogger(__name__)

BROKEN = "The engine broke down."


@dataclass(frozen=True, slots=True)
class OutputPace:
    """Limits of a generation in seconds: audio ahead of playback, and time without output."""

    ahead_s: float = 10.0
    held_s: float = 3.0
    silent_s: float = 30.0


class Generations:
    """The generations of one conversation: at most one current, and retired ones not yet ended."""

    def __init__(
        self,
        responder: Responder,
        tasks: EngineTasks,
        outbox: Outbox,
        post: Callable[[Event], None],
        reporter: TurnReporter,
        pace: OutputPace,
    ) -> None:
        self.responder = responder
        self.tasks = tasks
        self.outbox = outbox
        self.post = post
        self.reporter = reporter
        self.pace = pace
        self._running: dict[GenerationId, _Run] = {}
        self._preparing: asyncio.Task[None] | None = None

    def prepare(self, request: GenerationRequest) -> None:
        """Start reading a request ahead, in place of an earlier one."""
        self._stop_preparing()
        self._preparing = self.tasks.start_task("prepare", self._prepare(request))

    def start(self, request: GenerationRequest) -> None:
        """Start a generation, and stop reading ahead."""
        self._stop_preparing()
        run = _Run(self, request)
        self._running[request.generation] = run
        run.task = self.tasks.start_task(f"generation {request.generation}", run.answer())

    def release(self, generation: GenerationId) -> None:
        """Lift the output cap of a promoted speculative generation; it plays from now on."""
        if (run := self._running.get(generation)) is not None:
            run.release()

    def cancel(self, generation: GenerationId, purge: bool = True) -> None:
        """Cancel a generation; with `purge`, drop its unsent output."""
        if purge:
            self.outbox.purge_generation(generation)
        if (run := self._running.get(generation)) is not None:
            self.retire(run)

    def retire(self, run: _Run) -> None:
        """Cancel a run; its later output is ignored."""
        run.retired = True
        run.timeout.stop_timer()
        self._running.pop(run.generation, None)
        if run.task is not None and run.task is not asyncio.current_task():
            self.tasks.cancel_task(run.task)

    def close(self) -> None:
        """Cancel all generations."""
        for run in tuple(self._running.values()):
            self.retire(run)

    def _stop_preparing(self) -> None:
        if self._preparing is not None:
            self.tasks.cancel_task(self._preparing)
            self._preparing = None

    async def _prepare(self, request: GenerationRequest) -> None:
        try:
            await self.responder.prepare(request)
        except EngineError as failure:
            log.info("engine could not prepare", extra={"problem": str(failure)})
        except BaseException as failure:
            if is_end(failure):
                raise
            log.exception("engine broke down while preparing")


class _Run:
    """Run of one generation: the `emit` passed to its responder, its pace, and its end."""

    def __init__(self, home: Generations, request: GenerationRequest) -> None:
        self.generation = request.generation
        self.retired = False
        self.task: asyncio.Task[None] | None = None
        self.timeout = EngineTimeout(home.pace.silent_s)
        self._home = home
        self._request = request
        self._loop = asyncio.get_running_loop()
        self._pieces = AudioChunker()
        self._handing_over = 0
        self._held_s = 0.0
        self._playing_until = 0.0
        self._released = asyncio.Event()
        self._in_order = asyncio.Lock()
        if not request.speculative:
            self._released.set()

    def release(self) -> None:
        self._playing_until = self._loop.time() + self._held_s
        self._released.set()

    async def answer(self) -> None:
        """Run the responder to its end and post how it ended."""
        self.timeout.start_timer(self._time_out)
        try:
            await self._home.outbox.share.yield_to_loop()
            reason = await self._home.responder.respond(self._request, self.emit)
            if mismatch := find_mismatch(reason, EndReason, "reason"):
                raise TypeError(mismatch)
            await self._speak(self._pieces.take_remainder())
        except BaseException as failure:
            if is_end(failure) or (self.retired and isinstance(failure, asyncio.CancelledError)):
                raise
            self._end(self._failure(failure))
        else:
            self._end(GenerationFinished(self.generation, reason))
        finally:
            self._home.retire(self)

    async def emit(self, part: GenerationPart) -> None:
        """Post a part of the output as events; return when the next one may come.

        Raises `TypeError` for what is no part; the generation has failed then, whatever the engine
        makes of it.
        """
        if problem := _problem(part):
            failure = TypeError(problem)
            self._end(self._failure(failure))
            raise failure
        await asyncio.sleep(0)  # an engine that awaits nothing else would hold the event loop
        await self._home.outbox.share.yield_to_loop()
        if isinstance(part, Milestone):
            now = self._loop.time()
            self._home.reporter.record_milestone(self.generation, part.name, now)
            return
        await self._refuse_if_retired()
        self._handing_over += 1
        self.timeout.stop_timer()
        try:
            # A cascade emits from two tasks. One at a time, or a call would overtake the
            # speech that it was preceded by while that waits for the listener.
            async with self._in_order:
                await self._post_part(part)
        finally:
            self._handing_over -= 1
        await self._refuse_if_retired()
        if not self._handing_over:
            self.timeout.start_timer(self._time_out)

    async def _post_part(self, part: GenerationPart) -> None:
        match part:
            case Speech(pcm=pcm, text=text):
                await self._speak(self._pieces.cut_chunks(pcm, replace_surrogates(text)))
            case TextDelta(text=text, thought=thought):
                # Models write halves of characters, which nothing can spell.
                text = replace_surrogates(text)
                for start in range(0, len(text), MAX_TEXT_CHARS):
                    piece = text[start : start + MAX_TEXT_CHARS]
                    self._post(TextProduced(self.generation, piece, thought))
                    await self._home.outbox.wait_for_room()
            case CallsRequested(calls=calls):
                await self._speak(self._pieces.take_remainder())
                self._post(ToolCallsProduced(self.generation, calls))
            case UsageReported(usage=usage):
                self._post(UsageProduced(self.generation, usage))
            case Milestone():
                pass

    async def _speak(self, pieces: list[Speech]) -> None:
        for piece in pieces:
            await self._wait_for_listener()
            self._post(AudioProduced(self.generation, piece.pcm, piece.text))
            now = self._loop.time()
            duration = pcm_seconds(piece.pcm)
            self._held_s += duration
            self._playing_until = max(now, self._playing_until) + duration

    async def _wait_for_listener(self) -> None:
        pace = self._home.pace
        if self._held_s >= pace.held_s:
            await self._released.wait()
        if (early := self._playing_until - pace.ahead_s - self._loop.time()) > 0:
            await asyncio.sleep(early)
        await self._home.outbox.wait_for_room()

    async def _refuse_if_retired(self) -> None:
        if self.retired:
            # A second chance for an engine that lost its cancellation; the pause keeps one
            # that swallows this, too, from spinning.
            await asyncio.sleep(0.1)
            raise asyncio.CancelledError

    def _post(self, event: Event) -> None:
        if not self.retired:
            self._home.post(event)

    def _end(self, event: Event) -> None:
        self._post(event)
        self._home.retire(self)

    def _time_out(self) -> None:
        log.error("engine fell silent", extra={"generation": self.generation})
        silent_s = self._home.pace.silent_s
        self._end(GenerationFailed(self.generation, f"Nothing came for {silent_s:.0f} s."))

    def _failure(self, failure: BaseException) -> Event:
        if isinstance(failure, BaseExceptionGroup):
            known, unknown = failure.split(EngineError)
            if known is not None and unknown is None:
                failure = _first(known)
        if isinstance(failure, EngineBusy) and not self._released.is_set():
            return GenerationRefused(self.generation)
        if isinstance(failure, EngineError):
            log.warning("generation failed", extra={"problem": str(failure)})
            return GenerationFailed(self.generation, str(failure))
        if not self.retired:
            log.error("engine broke down", extra={"generation": self.generation}, exc_info=failure)
        return GenerationFailed(self.generation, BROKEN)


def _problem(part: GenerationPart) -> str:
    """Return why a part of the output is invalid; empty if it is valid."""
    problem = find_mismatch(part, GenerationPart, "part")
    if not problem and isinstance(part, CallsRequested):
        found = (
            args_problem(call.args) or args_problem({"name": call.name}) for call in part.calls
        )
        problem = next(filter(None, found), "")
    return problem


def _first(group: BaseExceptionGroup[EngineError]) -> BaseException:
    """Return the first leaf of an exception group."""
    failure: BaseException = group
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


# --- chunks of speech -------------------------------------------------------------------------

MIN_CHUNK_BYTES = samples(0.040, OUTPUT_RATE) * BYTES_PER_SAMPLE
MAX_CHUNK_BYTES = samples(0.100, OUTPUT_RATE) * BYTES_PER_SAMPLE

MAX_TEXT_CHARS = 100_000
"""Characters in one message of text: a frame of JSON stays below what clients can read. More than
that is sent without waiting for audio that contains it."""

_WORD = re.compile(r"\s*\S+\s*$|\s*\S+|\s+$")


class AudioChunker:
    """Chunker of a generation's speech: 40 to 100 ms each, with the words that begin in it.

    They are small enough to be dropped in time at an interruption, large enough to be cheap. The
    first leaves at once, however short; smaller ones after it are joined. A long stretch that
    carries several words spreads them over its chunks by their length in letters, so that an
    interruption cuts the transcript near the word that was heard last.
    """

    def __init__(self) -> None:
        self._pcm = b""
        self._words: list[str] = []
        self._chars = 0
        self._begun = False

    def cut_chunks(self, pcm: bytes, text: str) -> list[Speech]:
        """Add speech; return the chunks that can be sent."""
        words = _spread(text, len(pcm))
        pieces = []
        at = 0
        while at < len(pcm):
            take = min(MAX_CHUNK_BYTES - len(self._pcm), len(pcm) - at)
            self._pcm += pcm[at : at + take]
            at += take
            while words and words[0][0] < at:
                self._hold(words.popleft()[1])
            if not self._begun or len(self._pcm) >= MIN_CHUNK_BYTES:
                pieces.extend(self._leave())
        for _, word in words:
            self._hold(word)
        if self._chars > MAX_TEXT_CHARS:
            held = self._held_text()
            starts = range(0, len(held), MAX_TEXT_CHARS)
            pieces += [Speech(b"", held[start : start + MAX_TEXT_CHARS]) for start in starts]
        return pieces

    def take_remainder(self) -> list[Speech]:
        """Return the rest, however short."""
        return self._leave(everything=True)

    def _hold(self, word: str) -> None:
        self._words.append(word)
        self._chars += len(word)

    def _held_text(self) -> str:
        text = "".join(self._words)
        self._words, self._chars = [], 0
        return text

    def _leave(self, everything: bool = False) -> list[Speech]:
        # An engine that cuts inside a sample would turn every later sample into noise.
        whole = len(self._pcm) - len(self._pcm) % BYTES_PER_SAMPLE
        if not whole and not (everything and self._words):
            return []
        piece = Speech(self._pcm[:whole], self._held_text())
        self._pcm = self._pcm[whole:]
        self._begun = True
        return [piece]


def _spread(text: str, size: int) -> deque[tuple[int, str]]:
    """Return each word with an estimate of the byte of audio at which it begins."""
    chars = max(1, len(text))
    return deque((match.start() * size // chars, match[0]) for match in _WORD.finditer(text))
