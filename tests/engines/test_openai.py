"""Any OpenAI-compatible endpoint as a language model, against real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

import pytest

from engines.fake_chat import Exchange, FakeChat, call, delta, end, fake_chat, words
from vivavoce.domain.content import (
    Blob,
    Content,
    FileRef,
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
    Usage,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Modality, Sampling, Thinking
from vivavoce.engines.chat.sight import UNSEEN
from vivavoce.engines.openai.model import OpenAIModel
from vivavoce.engines.openai.settings import read_settings
from vivavoce.engines.ports import (
    CallsRequested,
    Ended,
    LanguageModel,
    ModelPart,
    TextDelta,
    UsageReported,
)
from vivavoce.errors import ConfigError, EngineBusy, EngineError, EngineMissing
from vivavoce.testing.contracts import LanguageModelContract, request

WEATHER = ToolDeclaration(
    "get_weather", "The weather.", {"type": "object", "properties": {"city": {"type": "string"}}}
)


@pytest.fixture
async def chat() -> AsyncIterator[FakeChat]:
    async with fake_chat() as fake:
        yield fake


@pytest.fixture
async def models() -> AsyncIterator[list[OpenAIModel]]:
    """Every model built in a test; closed at its end."""
    built: list[OpenAIModel] = []
    yield built
    for model in built:
        await model.aclose()


class Build:
    def __init__(self, chat: FakeChat, models: list[OpenAIModel]) -> None:
        self._chat, self._models = chat, models

    def __call__(self, **settings: Any) -> OpenAIModel:
        table = {"base_url": self._chat.url, "model": "m", **settings}
        self._models.append(OpenAIModel(read_settings(table)))
        return self._models[-1]


@pytest.fixture
def build(chat: FakeChat, models: list[OpenAIModel]) -> Build:
    return Build(chat, models)


async def answer(model: LanguageModel, asked: GenerationRequest) -> list[ModelPart]:
    parts: Any = model.generate(asked)
    async with aclosing(parts):
        return [part async for part in parts]


def text_of(parts: list[ModelPart]) -> str:
    return "".join(p.text for p in parts if isinstance(p, TextDelta) and not p.thought).strip()


def calls_of(parts: list[ModelPart]) -> list[tuple[str, Any]]:
    return [(c.name, c.args) for p in parts if isinstance(p, CallsRequested) for c in p.calls]


def user(*parts: Any) -> Content:
    return Content(Role.USER, tuple(Text(p) if isinstance(p, str) else p for p in parts))


def model_said(*parts: Any, cut: bool = False) -> Content:
    return Content(Role.MODEL, tuple(Text(p) if isinstance(p, str) else p for p in parts), cut)


def told(*history: Content, **changes: Any) -> GenerationRequest:
    return replace(request(), history=history, **changes)


async def sent(build: Build, chat: FakeChat, asked: GenerationRequest, **settings: Any) -> Any:
    """The body that the endpoint got."""
    await answer(build(**settings), asked)
    return chat.asked[-1].body


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


async def test_a_call_that_cannot_be_read_is_asked_for_once_more(
    build: Build, chat: FakeChat
) -> None:
    async def reply(exchange: Exchange) -> None:
        good = len(chat.asked) > 1
        await exchange.stream(
            [delta(content="Well. "), *call(0, "get_weather", "{}" if good else "{'c"), end("stop")]
        )

    chat.answer = reply
    parts = await answer(build(), request("Weather?", functions=(WEATHER,)))
    assert calls_of(parts) == [("get_weather", {})]
    assert text_of(parts) == "Well."
    assert len(chat.asked) == 2


async def test_a_call_that_stays_unreadable_ends_as_malformed(build: Build, chat: FakeChat) -> None:
    chat.replies([*call(0, "get_weather", "[1]"), end("tool_calls")])
    parts = await answer(build(), request("Weather?", functions=(WEATHER,)))
    assert parts == [Ended(EndReason.MALFORMED_CALL)]
    assert len(chat.asked) == 2


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


# --- what is sent --------------------------------------------------------------------------


async def test_sampling_and_extra_fields_travel(build: Build, chat: FakeChat) -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, max_output_tokens=50, seed=7)
    asked = replace(request("Hi."), sampling=sampling)
    body = await sent(build, chat, asked, body={"keep_alive": "1h"}, headers={"X-Team": "a"})
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 0.9, 50)
    assert (body["seed"], body["keep_alive"], body["model"]) == (7, "1h", "m")
    assert "presence_penalty" not in body
    assert chat.asked[-1].headers["x-team"] == "a"
    assert chat.asked[-1].path == "/v1/chat/completions"


async def test_the_key_comes_from_the_settings_or_the_environment(
    build: Build, chat: FakeChat, monkeypatch: pytest.MonkeyPatch
) -> None:
    await answer(build(api_key="one"), request("Hi."))
    assert chat.asked[-1].headers["authorization"] == "Bearer one"
    monkeypatch.setenv("CHAT_KEY", "two")
    await answer(build(api_key_env="CHAT_KEY"), request("Hi."))
    assert chat.asked[-1].headers["authorization"] == "Bearer two"
    await answer(build(), request("Hi."))
    assert "authorization" not in chat.asked[-1].headers


async def test_spoken_answers_are_asked_to_be_speakable(build: Build, chat: FakeChat) -> None:
    aloud = await sent(build, chat, told(user("Hi."), instruction="Be kind."))
    written = await sent(
        build, chat, told(user("Hi."), instruction="Be kind.", modality=Modality.TEXT)
    )
    assert aloud["messages"][0]["content"].startswith("Be kind.\n\n")
    assert written["messages"][0]["content"] == "Be kind."


async def test_a_call_and_its_result_keep_their_id(build: Build, chat: FakeChat) -> None:
    made = ToolCall(CallId("c7"), "get_weather", {"city": "Paris"})
    result = ToolResult(CallId("c7"), "get_weather", {"sky": "grey"})
    body = await sent(build, chat, told(user("Weather?"), model_said(made), user(result)))
    assistant, tool = body["messages"][-2:]
    assert assistant["tool_calls"][0]["id"] == tool["tool_call_id"] == "c7"
    assert json.loads(assistant["tool_calls"][0]["function"]["arguments"]) == {"city": "Paris"}
    assert json.loads(tool["content"]) == {"sky": "grey"}


async def test_a_call_that_was_never_answered_still_has_a_tool_message(
    build: Build, chat: FakeChat
) -> None:
    made = ToolCall(CallId("c7"), "get_weather", {})
    body = await sent(build, chat, told(user("Weather?"), model_said(made), user("Never mind.")))
    assert [m["role"] for m in body["messages"][-3:]] == ["assistant", "tool", "user"]


async def test_a_result_that_comes_late_is_told_as_a_note(build: Build, chat: FakeChat) -> None:
    made = ToolCall(CallId("c7"), "get_weather", {})
    late = ToolResult(CallId("c7"), "get_weather", {"sky": "grey"})
    history = (user("Weather?"), model_said(made), user("Hello?"), model_said("Yes?"), user(late))
    body = await sent(build, chat, told(*history))
    assert body["messages"][-1]["role"] == "user"
    assert "grey" in body["messages"][-1]["content"]
    assert sum(m["role"] == "tool" for m in body["messages"]) == 1


async def test_results_without_ids_are_matched_by_name(build: Build, chat: FakeChat) -> None:
    calls = [ToolCall(CallId(""), "get_weather", {"n": n}) for n in (1, 2)]
    results = [ToolResult(CallId(""), "get_weather", {"got": n}) for n in (1, 2)]
    body = await sent(build, chat, told(user("?"), model_said(*calls), user(*results)))
    made = [c["id"] for c in body["messages"][-3]["tool_calls"]]
    assert [m["tool_call_id"] for m in body["messages"][-2:]] == made
    assert len(set(made)) == 2
    assert [json.loads(m["content"])["got"] for m in body["messages"][-2:]] == [1, 2]


async def test_video_frames_that_nobody_sees_are_one_note(build: Build, chat: FakeChat) -> None:
    frames = [Blob(b"\xff\xd8%d" % n, "image/jpeg") for n in range(3)]
    body = await sent(build, chat, told(user(*frames, "What am I holding?")))
    assert body["messages"][-1]["content"].split("\n") == [UNSEEN, "What am I holding?"]


async def test_an_image_from_a_function_is_noted_too(build: Build, chat: FakeChat) -> None:
    seen = ToolResult(CallId("1"), "look", {"ok": True}, parts=(Blob(b"\x89PNG", "image/png"),))
    made = ToolCall(CallId("1"), "look", {})
    body = await sent(build, chat, told(user("Look."), model_said(made), user(seen)))
    assert UNSEEN in body["messages"][-1]["content"]


async def test_neighbours_of_one_role_become_one_message(build: Build, chat: FakeChat) -> None:
    history = (user("One."), user("Two."), model_said("A", cut=True), user("Three."))
    body = await sent(build, chat, told(*history), spoken="")
    assert [(m["role"], m["content"]) for m in body["messages"]] == [
        ("user", "One.\nTwo."),
        ("assistant", "A…"),
        ("user", "Three."),
    ]


async def test_the_user_always_speaks_last(build: Build, chat: FakeChat) -> None:
    body = await sent(build, chat, told(user("One."), model_said("A.")))
    assert body["messages"][-1]["role"] == "user"


async def test_images_go_only_to_models_that_see(build: Build, chat: FakeChat) -> None:
    seen = user("What is this?", Blob(b"\xff\xd8", "image/jpeg"))
    blind = await sent(build, chat, told(seen))
    assert blind["messages"][-1]["content"].split("\n") == ["What is this?", UNSEEN]
    seeing = await sent(build, chat, told(seen), images=True)
    pieces = seeing["messages"][-1]["content"]
    assert pieces[1]["image_url"]["url"] == "data:image/jpeg;base64,/9g="


async def test_a_named_file_and_a_thought_are_handled(build: Build, chat: FakeChat) -> None:
    history = (
        user("Look.", FileRef("gs://a/b.pdf", "application/pdf")),
        model_said(Text("Secret.", thought=True), "Fine."),
        user("And?"),
    )
    body = await sent(build, chat, told(*history), spoken="")
    assert "gs://a/b.pdf" in body["messages"][0]["content"]
    assert body["messages"][1]["content"] == "Fine."


async def test_a_long_history_loses_its_oldest_turns_in_steps(build: Build, chat: FakeChat) -> None:
    model = build(context_tokens=2000, spoken="")
    history: list[Content] = []
    firsts = []
    for number in range(60):
        history += [user(f"Question {number}: {'word ' * 20}")]
        await answer(model, told(*history, instruction="Rule."))
        shown = chat.asked[-1].body["messages"]
        assert shown[0] == {"role": "system", "content": "Rule."}
        assert f"Question {number}:" in shown[-1]["content"]
        firsts.append(shown[1]["content"][:12])
        history += [model_said(f"Answer {number}.")]
    assert "Question 0:" not in firsts[-1]
    assert len(set(firsts)) < 10, "a beginning that changes every turn is read every turn"


async def test_tools_may_be_switched_off(build: Build, chat: FakeChat) -> None:
    asked = replace(request("Weather?"), tools=Tools((WEATHER,)))
    assert "tools" in await sent(build, chat, asked)
    assert "tools" not in await sent(build, chat, asked, tools=False)


# --- what goes wrong -----------------------------------------------------------------------


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
async def test_refusals_are_told_apart(
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


async def test_nobody_listening_is_said_with_the_address(models: list[OpenAIModel]) -> None:
    models.append(OpenAIModel(read_settings({"base_url": "http://127.0.0.1:9/v1", "model": "m"})))
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
        read_settings({"base_url": "ftp://x", "modle": "m", "slots": True, "first_token_s": 0})
    for fault in ("base_url", "modle", "slots", "first_token_s"):
        assert fault in str(caught.value)


def test_a_key_that_is_not_in_the_environment_is_said_at_start(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("CHAT_KEY", raising=False)
    with pytest.raises(ConfigError, match="CHAT_KEY"):
        read_settings({"base_url": "http://x/v1", "api_key_env": "CHAT_KEY"})
