"""Running a responder: pace, speculation, failures, and engines that do not listen."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.budget import budget
from support.host_rig import Fail, Hang, Pause, Step, StepResponder
from vivavoce.core.events import (
    AudioProduced,
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    TextProduced,
    ToolCallsProduced,
)
from vivavoce.core.messages import ModelAudio
from vivavoce.domain.audio import OUTPUT_RATE, pcm_seconds, samples
from vivavoce.domain.content import ToolCall, Usage
from vivavoce.domain.ids import CallId, GenerationId, SessionId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.engines.ports import (
    CallsRequested,
    Emit,
    Milestone,
    Responder,
    Speech,
    TextDelta,
    UsageReported,
)
from vivavoce.errors import EngineBusy, EngineError
from vivavoce.runtime.generation import (
    BROKEN,
    MAX_CHUNK_BYTES,
    MAX_TEXT_CHARS,
    MIN_CHUNK_BYTES,
    AudioChunker,
    Generations,
    OutputPace,
)
from vivavoce.runtime.outbox import HIGH_WATER_BYTES, Outbox
from vivavoce.runtime.tasks import CANCEL_TIMEOUT_S, EngineTasks
from vivavoce.runtime.turn_metrics import TurnReporter
from vivavoce.testing.engine_contracts import request
from vivavoce.testing.virtual_loop import run_virtually

ID = GenerationId(1)
MINUTE = [Speech(b"\1\0" * OUTPUT_RATE, f" {n}") for n in range(60)]


class Panic(BaseException):
    """What a library in Rust raises where its author was sure."""


class Host:
    """Generations alone, and what they post with its time."""

    def __init__(self, responder: Responder) -> None:
        self.posted: list[tuple[float, Event]] = []
        self.engine_tasks = EngineTasks()
        self.outbox = Outbox(lambda message: None)
        reporter = TurnReporter(SessionId("s"), None)
        self.generations = Generations(
            responder, self.engine_tasks, self.outbox, self._post, reporter, OutputPace()
        )

    @property
    def events(self) -> list[Event]:
        return [event for _, event in self.posted]

    @property
    def audio_s(self) -> float:
        return pcm_seconds(sum(len(e.pcm) for e in self.events if isinstance(e, AudioProduced)))

    def _post(self, event: Event) -> None:
        self.posted.append((asyncio.get_running_loop().time(), event))


def asked(speculative: bool = False) -> GenerationRequest:
    return replace(request("hello"), speculative=speculative)


def hosted(responder: Responder, act: Callable[[Host], Awaitable[None]]) -> Host:
    async def run() -> Host:
        host = Host(responder)
        await act(host)
        host.generations.close()
        await host.engine_tasks.aclose()
        return host

    return run_virtually(run())


def played(*steps: Step, for_s: float = 120.0, speculative: bool = False) -> Host:
    async def act(host: Host) -> None:
        host.generations.start(asked(speculative))
        await asyncio.sleep(for_s)

    return hosted(StepResponder(lambda _: steps), act)


def test_parts_become_events_and_the_end_is_reported_once() -> None:
    call = ToolCall(CallId(""), "f", {})
    host = played(TextDelta("hm", thought=True), Speech(bytes(20), "So"), CallsRequested((call,)))
    assert host.events == [
        TextProduced(ID, "hm", thought=True),
        AudioProduced(ID, bytes(20), "So"),
        ToolCallsProduced(ID, (call,)),
        GenerationFinished(ID, EndReason.COMPLETE),
    ]


def test_speech_that_precedes_a_call_is_flushed_before_it() -> None:
    call = ToolCall(CallId(""), "f", {})
    host = played(Speech(bytes(20), "So"), Speech(bytes(20), " now"), CallsRequested((call,)))
    kinds = [type(event) for event in host.events]
    assert kinds == [AudioProduced, AudioProduced, ToolCallsProduced, GenerationFinished]


def test_it_runs_at_most_ten_seconds_ahead_of_the_listener() -> None:
    assert played(*MINUTE, for_s=0.0001).audio_s == pytest.approx(10.0, abs=0.11)
    assert played(*MINUTE, for_s=20.0).audio_s == pytest.approx(30.0, abs=0.11)
    finished = played(*MINUTE)
    assert finished.audio_s == 60.0
    assert finished.posted[-1][0] == pytest.approx(50.0, abs=0.2)


def test_waiting_for_the_listener_is_not_silence() -> None:
    host = played(*MINUTE, *MINUTE, for_s=300)
    assert not [event for event in host.events if isinstance(event, GenerationFailed)]


def test_a_speculative_one_holds_three_seconds_until_it_is_promoted() -> None:
    async def act(host: Host) -> None:
        host.generations.start(asked(speculative=True))
        await asyncio.sleep(5)
        assert host.audio_s == pytest.approx(3.0, abs=0.11)
        host.generations.release(ID)
        await asyncio.sleep(0.0001)
        assert host.audio_s == pytest.approx(10.0, abs=0.11)

    hosted(StepResponder(lambda _: MINUTE), act)


@pytest.mark.parametrize(
    ("failure", "speculative", "event"),
    [
        (EngineError("voice", "mute"), False, GenerationFailed(ID, "voice: mute")),
        (EngineBusy("voice", "busy"), False, GenerationFailed(ID, "voice: busy")),
        (EngineBusy("voice", "busy"), True, GenerationRefused(ID)),
        (ZeroDivisionError(), False, GenerationFailed(ID, BROKEN)),
        (asyncio.CancelledError(), False, GenerationFailed(ID, BROKEN)),
        (
            ExceptionGroup("both", [ExceptionGroup("", [EngineError("model", "gone")])]),
            False,
            GenerationFailed(ID, "model: gone"),
        ),
        (
            ExceptionGroup("both", [EngineError("model", "gone"), ZeroDivisionError()]),
            False,
            GenerationFailed(ID, BROKEN),
        ),
        (Panic(), False, GenerationFailed(ID, BROKEN)),
        (GeneratorExit(), False, GenerationFailed(ID, BROKEN)),
        (
            BaseExceptionGroup("both", [Panic(), EngineError("model", "gone")]),
            False,
            GenerationFailed(ID, BROKEN),
        ),
    ],
)
def test_a_failure_is_an_event(failure: BaseException, speculative: bool, event: Event) -> None:
    assert played(Fail(failure), speculative=speculative).events == [event]


def test_an_engine_that_says_nothing_for_thirty_seconds_has_failed() -> None:
    host = played(Speech(bytes(20), "So"), Hang())
    (when, event) = host.posted[-1]
    assert isinstance(event, GenerationFailed)
    assert when == pytest.approx(30.0)
    assert len(host.posted) == 2


def test_a_stubborn_engine_that_falls_silent_has_failed_all_the_same() -> None:
    class Deaf:
        capabilities = StepResponder.capabilities

        async def prepare(self, request: GenerationRequest) -> None: ...

        async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
            end = asyncio.get_running_loop().time() + 60
            while (left := end - asyncio.get_running_loop().time()) > 0:
                try:
                    await asyncio.sleep(left)
                except asyncio.CancelledError:
                    continue
            return EndReason.COMPLETE

        async def release(self, session: str) -> None: ...

        async def aclose(self) -> None: ...

    before = EngineTasks.uncancelled_total

    async def act(host: Host) -> None:
        host.generations.start(asked())
        await asyncio.sleep(30 + CANCEL_TIMEOUT_S + 1)
        assert [type(event) for event in host.events] == [GenerationFailed]
        assert EngineTasks.uncancelled_total == before + 1
        await asyncio.sleep(60)
        assert len(host.events) == 1

    hosted(Deaf(), act)


def test_a_cancelled_generation_says_nothing_more_and_its_sound_is_purged() -> None:
    async def act(host: Host) -> None:
        host.generations.start(asked())
        await asyncio.sleep(1)
        said = len(host.events)
        host.outbox.put_message(ModelAudio(bytes(100)), ID)
        host.generations.cancel(ID)
        assert host.outbox.bytes == 0
        await asyncio.sleep(60)
        assert len(host.events) == said

    hosted(StepResponder(lambda _: MINUTE, stubborn=True), act)


def test_what_was_said_before_a_stop_without_purge_still_leaves() -> None:
    async def act(host: Host) -> None:
        host.generations.start(asked())
        await asyncio.sleep(1)
        said = len(host.events)
        host.outbox.put_message(ModelAudio(bytes(100)), ID)
        host.generations.cancel(ID, purge=False)
        assert host.outbox.bytes > 0
        await asyncio.sleep(60)
        assert len(host.events) == said

    hosted(StepResponder(lambda _: MINUTE, stubborn=True), act)


def test_a_retired_engine_that_swallows_everything_does_not_spin() -> None:
    emitted = 0

    class Spinning(StepResponder):
        async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
            nonlocal emitted
            for _ in range(1000):
                emitted += 1
                try:
                    await emit(Speech(bytes(4800), ""))
                except asyncio.CancelledError:
                    continue
            return EndReason.COMPLETE

    async def act(host: Host) -> None:
        host.generations.start(asked())
        await asyncio.sleep(0.001)
        host.generations.cancel(ID)
        already = emitted
        await asyncio.sleep(5)
        assert emitted - already <= 51

    hosted(Spinning(lambda _: ()), act)


def test_it_waits_while_the_outbox_is_full() -> None:
    async def act(host: Host) -> None:
        host.outbox.put_message(ModelAudio(bytes(HIGH_WATER_BYTES)), GenerationId(0))
        host.generations.start(asked())
        await asyncio.sleep(1)
        assert host.events == []
        host.outbox.purge_generation(GenerationId(0))
        await asyncio.sleep(1)
        assert host.audio_s > 1

    hosted(StepResponder(lambda _: MINUTE), act)


class Preparing(StepResponder):
    async def prepare(self, request: GenerationRequest) -> None:
        await asyncio.sleep(1)
        self.prepared.append(request)


@pytest.mark.parametrize(("then", "prepared"), [("start", 0), ("prepare", 1)])
def test_reading_ahead_ends_with_an_answer_or_a_newer_request(then: str, prepared: int) -> None:
    responder = Preparing(lambda _: ())

    async def act(host: Host) -> None:
        host.generations.prepare(asked())
        await asyncio.sleep(0.5)
        getattr(host.generations, then)(asked())
        await asyncio.sleep(5)

    hosted(responder, act)
    assert len(responder.prepared) == prepared


def test_two_tasks_of_a_cascade_emit_in_order_even_while_one_waits() -> None:
    call = ToolCall(CallId(""), "f", {})

    class TwoTasks(StepResponder):
        async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(emit(Speech(bytes(2 * samples(20, OUTPUT_RATE)), "long")))  # type: ignore[arg-type]
                tasks.create_task(emit(CallsRequested((call,))))  # type: ignore[arg-type]
            return EndReason.COMPLETE

    async def act(host: Host) -> None:
        host.generations.start(asked())
        await asyncio.sleep(60)
        kinds = [type(event) for event in host.events]
        assert kinds[-2:] == [ToolCallsProduced, GenerationFinished]
        assert host.audio_s == 20

    hosted(TwoTasks(lambda _: ()), act)


def test_while_one_task_of_a_cascade_waits_for_the_listener_nothing_is_held_against_it() -> None:
    class TwoTasks(StepResponder):
        async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
            async def say(seconds: float) -> None:
                await emit(Speech(bytes(2 * samples(seconds, OUTPUT_RATE)), "so"))

            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(say(11))
                tasks.create_task(say(45))
            return EndReason.COMPLETE

    async def act(host: Host) -> None:
        host.generations.start(asked())
        await asyncio.sleep(100)
        assert isinstance(host.events[-1], GenerationFinished)

    hosted(TwoTasks(lambda _: ()), act)


def test_a_pause_of_the_engine_does_not_shorten_what_the_listener_is_given() -> None:
    host = played(*MINUTE[:1], Pause(25), *MINUTE[:1], for_s=26.5)
    assert host.audio_s == 2.0


SPEECHES = st.lists(st.tuples(st.integers(0, 20_000), st.text("ab c", max_size=30)), max_size=12)


@settings(max_examples=budget(10, 30))
@given(SPEECHES)
def test_nothing_is_lost_and_every_piece_has_its_size(speeches: list[tuple[int, str]]) -> None:
    pieces = AudioChunker()
    out: list[Speech] = []
    pcm = bytearray()
    for size, text in speeches:
        sound = bytes(n % 251 for n in range(len(pcm), len(pcm) + size))
        pcm += sound
        out += pieces.cut_chunks(sound, text)
    out += pieces.take_remainder()
    whole = len(pcm) - len(pcm) % 2
    assert b"".join(piece.pcm for piece in out) == pcm[:whole]
    assert "".join(piece.text for piece in out) == "".join(text for _, text in speeches)
    assert all(len(piece.pcm) % 2 == 0 and len(piece.pcm) <= MAX_CHUNK_BYTES for piece in out)
    assert all(len(piece.pcm) >= MIN_CHUNK_BYTES for piece in out[1:-1])


def test_the_first_piece_leaves_at_once_however_short() -> None:
    pieces = AudioChunker()
    assert pieces.cut_chunks(bytes(20), "So") == [Speech(bytes(20), "So")]
    assert pieces.cut_chunks(bytes(20), " what") == []
    assert pieces.take_remainder() == [Speech(bytes(20), " what")]


def test_the_words_of_a_long_stretch_go_with_the_sound_in_which_they_begin() -> None:
    pieces = AudioChunker().cut_chunks(bytes(MAX_CHUNK_BYTES * 4), "one two three four")
    assert [piece.text for piece in pieces] == ["one two", " three", " four", ""]


def test_words_without_sound_are_not_lost() -> None:
    pieces = AudioChunker()
    assert pieces.cut_chunks(b"", "hello") == []
    assert pieces.take_remainder() == [Speech(b"", "hello")]
    assert pieces.take_remainder() == []


def test_very_long_text_does_not_wait_for_sound() -> None:
    pieces = AudioChunker()
    pieces.cut_chunks(bytes(21), "a")
    assert pieces.cut_chunks(b"", "b" * MAX_TEXT_CHARS) == []
    assert pieces.cut_chunks(b"", "c") == [Speech(b"", "b" * MAX_TEXT_CHARS), Speech(b"", "c")]
    assert pieces.cut_chunks(bytes(MIN_CHUNK_BYTES), "d")[0].text == "d"


WRONG_PARTS: list[Any] = [
    None,
    "hello",
    Speech,
    Speech("hello", "hello"),  # type: ignore[arg-type]
    Speech(bytes(20), None),  # type: ignore[arg-type]
    TextDelta(5),  # type: ignore[arg-type]
    TextDelta("hello", None),  # type: ignore[arg-type]
    CallsRequested(None),  # type: ignore[arg-type]
    CallsRequested(({"name": "f", "args": {}},)),  # type: ignore[arg-type]
    CallsRequested((ToolCall(CallId(""), "f", None),)),  # type: ignore[arg-type]
    CallsRequested((ToolCall(CallId(""), "f", {1: 2}),)),  # type: ignore[dict-item]
    CallsRequested((ToolCall(CallId(""), "f", {"when": object}),)),
    CallsRequested((ToolCall(CallId(""), "f", {"x": float("nan")}),)),
    CallsRequested((ToolCall(CallId(""), "\ud800", {}),)),
    UsageReported(None),  # type: ignore[arg-type]
    UsageReported(Usage(prompt_tokens=1.5)),  # type: ignore[arg-type]
    Milestone(None),  # type: ignore[arg-type]
]


@pytest.mark.parametrize("part", WRONG_PARTS, ids=repr)
def test_what_is_no_part_fails_the_generation_even_if_the_engine_does_not_mind(part: Any) -> None:
    class Careless(StepResponder):
        async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
            with suppress(TypeError):
                await emit(part)
            await emit(TextDelta("never mind"))
            return EndReason.COMPLETE

    async def act(host: Host) -> None:
        host.generations.start(asked())
        await asyncio.sleep(1)

    assert hosted(Careless(lambda _: []), act).events == [GenerationFailed(ID, BROKEN)]


@pytest.mark.parametrize("reason", [None, "complete", 0, EndReason])
def test_an_end_without_a_reason_is_a_failure(reason: Any) -> None:
    class Speechless(StepResponder):
        async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
            return cast(EndReason, reason)

    async def act(host: Host) -> None:
        host.generations.start(asked())
        await asyncio.sleep(1)

    assert hosted(Speechless(lambda _: []), act).events == [GenerationFailed(ID, BROKEN)]


@pytest.mark.parametrize("part", [Speech(b"", "word "), TextDelta("word "), Milestone("now")])
def test_an_engine_that_awaits_nothing_leaves_the_event_loop_to_others(part: Any) -> None:
    class Hasty(StepResponder):
        async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
            for _ in range(500):
                await emit(part)
            return EndReason.COMPLETE

    turns = 0

    async def act(host: Host) -> None:
        nonlocal turns
        host.generations.start(asked())
        while not any(isinstance(event, GenerationFinished) for event in host.events):
            await asyncio.sleep(0)
            turns += 1

    hosted(Hasty(lambda _: ()), act)
    assert turns >= 500
