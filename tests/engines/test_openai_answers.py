"""What an OpenAI-compatible endpoint answers, as parts of an answer, against real sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from engines.fake_chat import Exchange, FakeChat, call, delta, end, fake_chat, words
from engines.openai_build import WEATHER, Build, calls_of, settings_of, text_of
from engines.talk import answer
from vivavoce.domain.content import ToolDeclaration, Usage
from vivavoce.domain.request import EndReason
from vivavoce.domain.setup import Thinking
from vivavoce.engines.openai import OpenAIModel, create
from vivavoce.engines.ports import CallUnreadable, Ended, LanguageModel, TextDelta, UsageReported
from vivavoce.engines.registry import EngineBuilder
from vivavoce.errors import ConfigError, EngineBusy, EngineError, EngineMissing
from vivavoce.testing.engine_contracts import LanguageModelContract, request

pytestmark = pytest.mark.integration


class TestContract(LanguageModelContract):
    """The public contract, over an endpoint that calls a function when it is offered one."""

    @pytest.fixture(autouse=True)
    def _endpoint(self, build: Build, chat: FakeChat) -> None:
        async def reply(exchange: Exchange) -> None:
            if exchange.body.get("tools"):
                name = exchange.body["tools"][0]["function"]["name"]
                await exchange.stream([*call(0, name, "{", "}"), end("tool_calls")])
            else:
                usage = {"usage": {"prompt_tokens": 3, "completion_tokens": 2}, "choices": []}
                await exchange.stream([*words("Hello there!"), usage])

        chat.answer = reply
        self.build = build

    def engine(self) -> LanguageModel:
        return self.build()


async def test_words_come_one_by_one_as_they_are_sent(build: Build, chat: FakeChat) -> None:
    heard = asyncio.Event()

    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="One "))
        await heard.wait()
        await exchange.event(delta(content="two."))
        await exchange.event(end("stop"))
        await exchange.raw("data: [DONE]\n\n")
        await exchange.finish()

    chat.answer = reply
    said = []
    async for part in build().generate(request("Count.")):
        said.append(part)
        heard.set()
    assert said == [TextDelta("One "), TextDelta("two.")]


async def test_parallel_calls_are_put_together_from_their_pieces(
    build: Build, chat: FakeChat
) -> None:
    first = call(0, "get_weather", '{"ci', 'ty": "Paris"}')
    second = call(1, "get_weather", '{"city":', ' "Rome"}')
    chat.replies([*first, second[0], *second[1:], end("tool_calls")])
    parts = await answer(build(), request("Weather?", functions=(WEATHER,)))
    assert calls_of(parts) == [
        ("get_weather", {"city": "Paris"}),
        ("get_weather", {"city": "Rome"}),
    ]


async def test_calls_without_an_index_stay_apart(build: Build, chat: FakeChat) -> None:
    whole = [
        {"id": "a", "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}},
        {"id": "b", "function": {"name": "get_weather", "arguments": {"city": "Rome"}}},
    ]
    chat.replies([delta(tool_calls=whole), end("tool_calls")])
    parts = await answer(build(), request("Weather?", functions=(WEATHER,)))
    assert [args["city"] for _, args in calls_of(parts)] == ["Paris", "Rome"]


@pytest.mark.parametrize(
    ("written", "problem"),
    [("{'c", "The arguments are no JSON: "), ("[1]", "The arguments are no JSON object.")],
)
async def test_a_call_that_cannot_be_read_is_shown_as_it_was_written(
    build: Build, chat: FakeChat, written: str, problem: str
) -> None:
    chat.replies([delta(content="Well. "), *call(0, "get_weather", written), end("stop")])
    parts = await answer(build(), request("Weather?", functions=(WEATHER,)))
    assert text_of(parts) == "Well."
    [fault] = [part for part in parts if isinstance(part, CallUnreadable)]
    assert (fault.name, fault.written) == ("get_weather", written)
    assert fault.problem.startswith(problem)
    assert calls_of(parts) == []
    assert len(chat.asked) == 1


async def test_names_that_chat_servers_refuse_are_respelled_and_back(
    build: Build, chat: FakeChat
) -> None:
    odd, twin = ToolDeclaration("home:lights.on"), ToolDeclaration("home.lights:on")
    chat.replies([*call(0, "home_lights_on_2", "{}"), end("tool_calls")])
    parts = await answer(build(), request("Lights!", functions=(odd, twin)))
    offered = [tool["function"]["name"] for tool in chat.asked[0].body["tools"]]
    assert offered == ["home_lights_on", "home_lights_on_2"]
    assert calls_of(parts) == [("home.lights:on", {})]


async def test_reasoning_is_a_thought_and_only_shown_when_asked_for(
    build: Build, chat: FakeChat
) -> None:
    chat.replies([delta(reasoning_content="Hm. "), delta(content="Four."), end("stop")])
    asked = request("Two and two?")
    assert await answer(build(), asked) == [TextDelta("Four.")]
    shown = await answer(build(), replace(asked, thinking=Thinking(include_thoughts=True)))
    assert shown == [TextDelta("Hm. ", thought=True), TextDelta("Four.")]


@pytest.mark.parametrize(
    "pieces",
    [
        ["<think>Hm.</think>Four."],
        ["<th", "ink>H", "m.</thi", "nk>", "\n\nFour."],
        ["\n<think>", "Hm.", "<", "/think>Fo", "ur."],
    ],
)
async def test_thoughts_in_tags_are_never_spoken(
    build: Build, chat: FakeChat, pieces: list[str]
) -> None:
    chat.replies([*(delta(content=piece) for piece in pieces), end("stop")])
    asked = replace(request("Two and two?"), thinking=Thinking(include_thoughts=True))
    parts = await answer(build(), asked)
    assert text_of(parts) == "Four."
    thought = "".join(p.text for p in parts if isinstance(p, TextDelta) and p.thought)
    assert thought == "Hm."


async def test_words_that_only_look_like_a_tag_are_kept(build: Build, chat: FakeChat) -> None:
    chat.replies([delta(content="<"), delta(content="3 you"), end("stop")])
    assert text_of(await answer(build(), request("Hi."))) == "<3 you"


async def test_usage_is_asked_for_and_reported(build: Build, chat: FakeChat) -> None:
    usage = {
        "prompt_tokens": 40,
        "completion_tokens": 9,
        "prompt_tokens_details": {"cached_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 4},
    }
    chat.replies([*words("Hi."), {"choices": [], "usage": usage}])
    parts = await answer(build(), request("Hi."))
    assert parts[-1] == UsageReported(Usage(40, 30, 5, 4))
    assert chat.asked[0].body["stream_options"] == {"include_usage": True}


async def test_an_answer_cut_by_its_limit_says_so(build: Build, chat: FakeChat) -> None:
    chat.replies([delta(content="Once upon"), end("length")])
    parts = await answer(build(), request("A story."))
    assert parts[-1] == Ended(EndReason.MAX_TOKENS)


async def test_an_endpoint_that_does_not_stream_is_understood(build: Build, chat: FakeChat) -> None:
    whole = {"choices": [{"message": {"content": "All at once."}, "finish_reason": "stop"}]}

    async def reply(exchange: Exchange) -> None:
        await exchange.refuse("200 OK", json.dumps(whole))

    chat.answer = reply
    assert text_of(await answer(build(), request("Hi."))) == "All at once."


@pytest.mark.parametrize(
    ("status", "kind", "fix"),
    [
        ("401 Unauthorized", EngineMissing, "api_key"),
        ("404 Not Found", EngineMissing, "base_url"),
        ("429 Too Many Requests", EngineBusy, ""),
        ("503 Service Unavailable", EngineBusy, ""),
        ("500 Internal Server Error", EngineError, ""),
        ("400 Bad Request", EngineError, ""),
    ],
)
async def test_refusals_are_distinguished(
    build: Build, chat: FakeChat, status: str, kind: type[EngineError], fix: str
) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.refuse(status, '{"error": {"message": "the reason"}}')

    chat.answer = reply
    with pytest.raises(EngineError, match="the reason") as caught:
        await answer(build(), request("Hi."))
    assert type(caught.value) is kind
    assert fix in str(caught.value)


async def test_a_stream_that_breaks_off_is_a_failure(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Half a sen"))
        exchange.writer.transport.abort()
        exchange.gone.set()

    chat.answer = reply
    with pytest.raises(EngineError, match="broke off"):
        await answer(build(), request("Hi."))


async def test_a_stream_that_ends_without_its_end_is_a_failure(
    build: Build, chat: FakeChat
) -> None:
    chat.replies([delta(content="Half a sen")])
    with pytest.raises(EngineError, match="broke off"):
        await answer(build(), request("Hi."))


@pytest.mark.parametrize(
    "data", ["data: {oops\n\n", "data: [1]\n\n", 'data: {"error": "boom"}\n\n']
)
async def test_garbage_in_the_stream_is_a_failure(build: Build, chat: FakeChat, data: str) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.raw(data)
        await exchange.finish()

    chat.answer = reply
    with pytest.raises(EngineError):
        await answer(build(), request("Hi."))


async def test_an_endpoint_that_says_nothing_is_given_up(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.gone.wait()

    chat.answer = reply
    with pytest.raises(EngineError, match=r"no word for 0\.1 s"):
        await answer(build(first_token_s=0.1), request("Hi."))


async def test_signs_of_life_are_no_answer(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        while not exchange.gone.is_set():
            await exchange.raw(": still here\n\n")

    chat.answer = reply
    with pytest.raises(EngineError, match=r"no word for 0\.1 s"):
        await answer(build(first_token_s=0.1), request("Hi."))


async def test_an_answer_that_stops_in_the_middle_is_given_up(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Half a "))
        await exchange.gone.wait()

    chat.answer = reply
    async with asyncio.timeout(10):
        with pytest.raises(EngineError, match=r"no word for 0\.1 s"):
            await answer(build(idle_s=0.1), request("Hi."))


async def test_an_endpoint_that_takes_the_question_and_no_more_is_given_up(
    build: Build, chat: FakeChat
) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.gone.wait()

    chat.answer = reply
    async with asyncio.timeout(10):
        with pytest.raises(EngineError, match=r"no word for 0\.1 s"):
            await answer(build(first_token_s=0.1), request("Hi."))


async def test_a_closed_port_is_reported_with_the_address(models: list[OpenAIModel]) -> None:
    models.append(OpenAIModel(settings_of({"base_url": "http://127.0.0.1:9/v1", "model": "m"})))
    with pytest.raises(EngineError, match=r"127\.0\.0\.1:9.*Is the server running"):
        await answer(models[0], request("Hi."))


async def test_leaving_early_hangs_up(build: Build, chat: FakeChat) -> None:
    async def reply(exchange: Exchange) -> None:
        await exchange.head()
        await exchange.event(delta(content="Once "))
        await exchange.gone.wait()

    chat.answer = reply
    parts: Any = build().generate(request("A story."))
    async with aclosing(parts):
        async for _ in parts:
            break
    async with asyncio.timeout(5):
        await chat.asked[0].gone.wait()


async def test_cancelling_hangs_up_before_the_first_word(build: Build, chat: FakeChat) -> None:
    arrived = asyncio.Event()

    async def reply(exchange: Exchange) -> None:
        arrived.set()
        await exchange.gone.wait()

    chat.answer = reply
    task = asyncio.ensure_future(answer(build(), request("A story.")))
    async with asyncio.timeout(5):
        await arrived.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await chat.asked[0].gone.wait()


# --- settings ------------------------------------------------------------------------------


def test_every_fault_of_the_settings_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        settings_of({"base_url": "ftp://x", "modle": "m", "slots": True, "first_token_s": 0})
    for fault in ("base_url", "modle", "slots", "first_token_s"):
        assert fault in str(caught.value)


def test_a_key_that_is_not_in_the_environment_is_said_at_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CHAT_KEY", raising=False)
    with pytest.raises(ConfigError, match="CHAT_KEY"):
        settings_of({"base_url": "http://x/v1", "api_key_env": "CHAT_KEY"})


async def said(base_url: str) -> str:
    lines: list[str] = []
    engine = await create(
        {"base_url": base_url, "model": "qwen3"}, EngineBuilder(report=lines.append)
    )
    await engine.aclose()
    (line,) = lines
    return line


@pytest.mark.parametrize(
    "listed", [[], [{"id": "qwen3"}, {"id": "b"}], "nothing", [{"name": "no id"}]]
)
async def test_the_name_is_said_and_that_the_endpoint_answers(listed: object) -> None:
    async with fake_chat() as chat:
        chat.models = {"data": listed}
        assert await said(chat.url) == f"Language model: qwen3 at {chat.url}, which answers."
        assert chat.looked == 1


async def test_a_model_that_the_endpoint_does_not_list_is_reported() -> None:
    async with fake_chat() as chat:
        chat.models = {"data": [{"id": f"model-{number}"} for number in range(7)]}
        line = await said(chat.url)
    assert "qwen3" in line
    assert "does not list this model. It lists: model-0, model-1" in line
    assert line.endswith("model-4 and others.")


async def test_a_refused_key_is_reported() -> None:
    async with fake_chat() as chat:
        chat.models_status = "401 Unauthorized"
        assert "refuses the key (status 401). Set VIVAVOCE_MODEL_KEY" in await said(chat.url)


async def test_an_endpoint_without_a_list_answers_all_the_same() -> None:
    async with fake_chat() as chat:
        chat.models_status = "404 Not Found"
        assert (await said(chat.url)).endswith("which answers.")


async def test_an_endpoint_that_is_not_there_is_reported() -> None:
    async with fake_chat() as chat:
        gone = chat.url
    line = await said(gone)
    assert f"qwen3 at {gone}, which can't be reached" in line
