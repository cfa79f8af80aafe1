"""A call that does not fit is asked for once more: over a real endpoint, and part by part."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from engines.fake_chat import Exchange, FakeChat, Json, call, delta, end
from engines.openai_build import Build
from vivavoce.domain.content import Role, ToolCall, ToolDeclaration, ToolResult, Usage
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Modality
from vivavoce.engines.cascade import AnswerPart, Cascade, CheckedPart, ToolCallRetry, check_batch
from vivavoce.engines.ports import (
    CallsRequested,
    CallUnreadable,
    Ended,
    GenerationPart,
    ModelPart,
    Speech,
    TextDelta,
    UsageReported,
)
from vivavoce.engines.scripted import TonesSynthesizer
from vivavoce.testing.engine_contracts import request

TIMER = ToolDeclaration(
    "set_timer",
    "Sets a timer.",
    {"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]},
)
LIGHTS = ToolDeclaration("lights", "Turns on the lights.")
ASKED = replace(
    request("A timer and the lights, please.", functions=(TIMER, LIGHTS)), modality=Modality.TEXT
)
RIGHT = call(0, "set_timer", '{"minutes": 5}')
WRONG = call(0, "set_timer", '{"minutes": "five"}')
CALLED = [end("tool_calls")]


def timer(minutes: Any) -> ToolCall:
    return ToolCall(CallId(""), "set_timer", {"minutes": minutes})


def script(chat: FakeChat, *answers: list[Json]) -> None:
    """One answer for each time that it is asked; there is no further one."""
    left = list(answers)

    async def reply(exchange: Exchange) -> None:
        await exchange.stream(left.pop(0))

    chat.answer = reply


async def heard(
    build: Build, asked: GenerationRequest = ASKED
) -> tuple[list[GenerationPart], EndReason]:
    parts: list[GenerationPart] = []

    async def emit(part: GenerationPart) -> None:
        parts.append(part)

    return parts, await Cascade(build(), TonesSynthesizer()).respond(asked, emit)


def calls(parts: list[GenerationPart]) -> list[tuple[str, Any]]:
    return [(c.name, c.args) for p in parts if isinstance(p, CallsRequested) for c in p.calls]


def words(parts: Sequence[GenerationPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta | Speech))


# --- over an endpoint ----------------------------------------------------------------------


@pytest.mark.integration
async def test_a_wrong_type_is_asked_for_again_with_what_was_wrong(
    build: Build, chat: FakeChat
) -> None:
    script(chat, [*WRONG, *CALLED], [*RIGHT, *CALLED])
    parts, reason = await heard(build)
    assert calls(parts) == [("set_timer", {"minutes": 5})]
    assert reason is EndReason.COMPLETE
    first, second = (exchange.body["messages"] for exchange in chat.asked)
    assert second[: len(first)] == first
    made, told = second[len(first) :]
    assert made["tool_calls"][0]["function"]["arguments"] == '{"minutes": "five"}'
    assert told["role"] == "tool"
    assert told["tool_call_id"] == made["tool_calls"][0]["id"]
    error = json.loads(told["content"])["error"]
    assert "minutes: 'five' is not of type 'integer'" in error
    assert json.dumps(TIMER.parameters) in error


@pytest.mark.integration
@pytest.mark.parametrize(
    "wrong",
    [
        WRONG,
        call(0, "set_timer", "{'minutes"),
        call(0, "set_timer", "[1]"),
        call(0, "set_timer", "[" * 100_000),
        call(0, "set_timer", '{"minutes": NaN}'),
        call(0, "set_timer", '{"minutes": 1' + "0" * 30 + "}"),
        call(0, "set_clock", "{}"),
        call(0, "", "{}"),
    ],
)
async def test_what_is_wrong_twice_is_malformed_and_never_sent(
    build: Build, chat: FakeChat, wrong: list[Json]
) -> None:
    script(chat, [*wrong, *CALLED], [*wrong, *CALLED])
    parts, reason = await heard(build)
    assert calls(parts) == []
    assert reason is EndReason.MALFORMED_CALL
    assert len(chat.asked) == 2


@pytest.mark.integration
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (call(0, "set_clock", "{}"), "no function 'set_clock'. There are: set_timer, lights."),
        (call(0, "set_timer", "{'min"), "are no JSON: Expecting property name"),
        (call(0, "set_timer", "[1]"), "no JSON object. You wrote: [1]"),
    ],
)
async def test_whatever_could_not_be_understood_may_be_put_right(
    build: Build, chat: FakeChat, wrong: list[Json], told: str
) -> None:
    script(chat, [*wrong, *CALLED], [*RIGHT, *CALLED])
    parts, reason = await heard(build)
    assert calls(parts) == [("set_timer", {"minutes": 5})]
    assert reason is EndReason.COMPLETE
    assert told in json.loads(chat.asked[1].body["messages"][-1]["content"])["error"]


@pytest.mark.integration
async def test_of_parallel_calls_one_that_is_wrong_holds_all_back(
    build: Build, chat: FakeChat
) -> None:
    lights = call(1, "lights", "{}")
    script(chat, [*WRONG, *lights, *CALLED], [*RIGHT, *lights, *CALLED])
    parts, _ = await heard(build)
    assert calls(parts) == [("set_timer", {"minutes": 5}), ("lights", {})]
    bad, fine = chat.asked[1].body["messages"][-2:]
    assert "is not of type" in bad["content"]
    assert "another call of the same answer was wrong" in fine["content"]


@pytest.mark.integration
async def test_what_was_spoken_is_not_spoken_again(build: Build, chat: FakeChat) -> None:
    said = delta(content="One moment. ")
    for modality in Modality:
        script(chat, [said, *WRONG, *CALLED], [said, *RIGHT, *CALLED])
        parts, _ = await heard(build, replace(ASKED, modality=modality))
        assert words(parts) == "One moment. "
        assert calls(parts) == [("set_timer", {"minutes": 5})]
    made = chat.asked[-1].body["messages"][-2]
    assert made["content"] == "One moment."


@pytest.mark.integration
async def test_what_both_tries_cost_is_counted(build: Build, chat: FakeChat) -> None:
    def used(prompt: int, answer: int) -> Json:
        return {"choices": [], "usage": {"prompt_tokens": prompt, "completion_tokens": answer}}

    script(chat, [*WRONG, *CALLED, used(40, 9)], [*RIGHT, *CALLED, used(60, 7)])
    parts, _ = await heard(build)
    last = [part for part in parts if isinstance(part, UsageReported)][-1]
    assert last.usage == Usage(prompt_tokens=60, response_tokens=16)


@pytest.mark.integration
async def test_cancelling_while_it_is_asked_again_hangs_up(build: Build, chat: FakeChat) -> None:
    again = asyncio.Event()

    async def reply(exchange: Exchange) -> None:
        if len(chat.asked) == 1:
            await exchange.stream([*WRONG, *CALLED])
        else:
            again.set()
            await exchange.gone.wait()

    chat.answer = reply
    task = asyncio.ensure_future(heard(build))
    async with asyncio.timeout(5):
        await again.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await chat.asked[1].gone.wait()


# --- part by part --------------------------------------------------------------------------


def checked(part: ModelPart) -> AnswerPart:
    return check_batch(part, ASKED.tools) if isinstance(part, CallsRequested) else part


def tries(
    *scripts: list[ModelPart], repairs: bool = True
) -> tuple[list[CheckedPart], ToolCallRetry]:
    """What becomes of these tries; a model asked more often than there are scripts is a fault."""
    answer, left = ToolCallRetry(ASKED, repairs), list(scripts)
    found: list[CheckedPart] = []
    while answer.request is not None:
        for part in left.pop(0):
            found += answer.take_part(checked(part))
            if answer.invalid:
                break
        found += answer.end_try()
    return found, answer


BAD = CallsRequested((timer("five"),))
GOOD = CallsRequested((timer(5),))
MALFORMED = Ended(EndReason.MALFORMED_CALL)


def test_a_model_that_does_not_repair_is_asked_once() -> None:
    assert tries([BAD], repairs=False)[0] == [MALFORMED]
    assert tries([GOOD], repairs=False)[0] == [GOOD]


def test_a_model_that_answers_in_words_instead_is_heard() -> None:
    assert tries([BAD], [TextDelta("How "), TextDelta("long?")])[0] == [
        TextDelta("How "),
        TextDelta("long?"),
    ]
    said = TextDelta("One moment. ")
    assert tries([said, BAD], [said, TextDelta("How long?")])[0] == [said, TextDelta(" How long?")]


def test_a_second_try_with_nothing_to_add_is_malformed() -> None:
    said = TextDelta("One moment. ")
    assert tries([BAD], [])[0] == [MALFORMED]
    assert tries([said, BAD], [said])[0] == [said, MALFORMED]
    assert tries([BAD], [TextDelta("Well, ", thought=True)])[0][-1] == MALFORMED


def test_words_after_a_good_call_are_spoken() -> None:
    said = TextDelta("One moment. ")
    assert tries([said, BAD], [said, GOOD, TextDelta("Done.")])[0] == [
        said,
        GOOD,
        TextDelta("Done."),
    ]


def test_the_end_of_a_try_that_went_wrong_is_not_the_end() -> None:
    limit = Ended(EndReason.MAX_TOKENS)
    assert tries([BAD, limit], [GOOD])[0] == [GOOD]
    assert tries([BAD], [GOOD, limit])[0] == [GOOD, limit]


def test_a_model_that_talks_on_after_a_bad_call_is_left_and_its_cost_is_known() -> None:
    cost = UsageReported(Usage(3, 0, 2))
    unheard = TextDelta("and so on")
    answer = ToolCallRetry(ASKED, repairs=True)
    assert list(answer.take_part(checked(BAD))) == []
    assert list(answer.take_part(cost)) == [cost]
    assert not answer.invalid
    assert list(answer.take_part(unheard)) == []
    assert answer.invalid


def test_calls_that_were_made_before_a_bad_one_are_not_made_again() -> None:
    answer = ToolCallRetry(ASKED, repairs=True)
    lights = CallsRequested((ToolCall(CallId(""), "lights", {}),))
    assert list(answer.take_part(checked(lights))) == [lights]
    assert list(answer.take_part(checked(BAD))) == []
    assert list(answer.end_try()) == []
    assert answer.request is not None
    model, user = answer.request.history[len(ASKED.history) :]
    assert (model.role, user.role) == (Role.MODEL, Role.USER)
    made, wrong = (part for part in user.parts if isinstance(part, ToolResult))
    assert (made.name, "output" in made.response) == ("lights", True)
    assert (wrong.name, "error" in wrong.response) == ("set_timer", True)
    assert [part.id for part in model.parts if isinstance(part, ToolCall)] == [made.id, wrong.id]


def test_arguments_too_large_to_be_made_are_not_shown_either() -> None:
    answer = ToolCallRetry(ASKED, repairs=True)
    list(answer.take_part(checked(CallsRequested((timer("x" * 100_000),)))))
    list(answer.end_try())
    assert answer.request is not None
    assert len(repr(answer.request.history)) < 10_000


def test_what_could_not_be_read_is_quoted_in_part() -> None:
    answer = ToolCallRetry(ASKED, repairs=True)
    list(answer.take_part(CallUnreadable("set_timer", "{" * 100_000, "The arguments are no JSON.")))
    list(answer.end_try())
    assert answer.request is not None
    assert "You wrote: {{{" in repr(answer.request.history)
    assert len(repr(answer.request.history)) < 10_000
