"""What engines hand over and that is no part, or no end: their generation fails, at once."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, cast

import pytest

from runtime.test_generations import ID, Host, asked, hosted
from support.host_rig import StepResponder
from vivavoce.core.events import GenerationFailed, GenerationFinished
from vivavoce.domain.content import ToolCall, Usage
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.engines.ports import CallsRequested, Emit, Milestone, Speech, TextDelta, UsageReported
from vivavoce.runtime.generations import BROKEN

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
    CallsRequested((ToolCall(CallId(""), "f", {"when": object()}),)),
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
