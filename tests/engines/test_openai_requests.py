"""What an OpenAI-compatible endpoint is sent, against real sockets."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from dataclasses import replace

import pytest

from engines.fake_chat import Exchange, FakeChat, end, words
from engines.llamacpp_model import Host
from engines.openai_build import WEATHER, Build, calls_of, sent, settings_of, text_of, told
from engines.talk import answer, user
from engines.talk import said as model_said
from vivavoce.domain.content import (
    Blob,
    Content,
    FileRef,
    ServerTool,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.engines.chat import UNSEEN
from vivavoce.engines.openai import create, required_weights
from vivavoce.errors import ConfigError
from vivavoce.testing.engine_contracts import request

pytestmark = pytest.mark.integration


async def test_sampling_and_extra_fields_travel(build: Build, chat: FakeChat) -> None:
    sampling = Sampling(temperature=0.5, top_p=0.9, max_output_tokens=50, seed=7)
    asked = replace(request("Hi."), sampling=sampling)
    body = await sent(build, chat, asked, body={"keep_alive": "1h"}, headers={"X-Team": "a"})
    assert (body["temperature"], body["top_p"], body["max_tokens"]) == (0.5, 0.9, 50)
    assert (body["seed"], body["keep_alive"], body["model"]) == (7, "1h", "m")
    assert "presence_penalty" not in body
    assert chat.asked[-1].headers["x-team"] == "a"
    assert chat.asked[-1].path == "/v1/chat/completions"


async def test_the_schema_of_a_result_stands_in_the_description(
    build: Build, chat: FakeChat
) -> None:
    plain = ToolDeclaration("plain", "Does it.")
    returning = ToolDeclaration("returning", "Does it.", returns={"type": "integer"})
    huge = ToolDeclaration("huge", "Does it.", returns={"enum": ["x" * 3000]})
    body = await sent(build, chat, request("Hi.", functions=(plain, returning, huge)))
    assert [one["function"]["description"] for one in body["tools"]] == [
        "Does it.",
        'Does it.\n\nReturns JSON of this schema: {"type": "integer"}',
        "Does it.",
    ]


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


async def test_what_was_added_while_a_function_ran_stands_behind_its_result(
    build: Build, chat: FakeChat
) -> None:
    made = ToolCall(CallId("c7"), "get_weather", {})
    result = ToolResult(CallId("c7"), "get_weather", {"sky": "grey"})
    history = (user("Weather?"), model_said(made), user("I am in Oslo."), user(result))
    body = await sent(build, chat, told(*history))
    assert [m["role"] for m in body["messages"][-3:]] == ["assistant", "tool", "user"]
    assert json.loads(body["messages"][-2]["content"]) == {"sky": "grey"}
    assert body["messages"][-1]["content"] == "I am in Oslo."


async def test_a_result_that_comes_late_is_given_as_a_note(build: Build, chat: FakeChat) -> None:
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


async def test_a_result_that_would_fill_the_window_is_cut_and_says_so(
    build: Build, chat: FakeChat
) -> None:
    made = ToolCall(CallId("c7"), "search", {})
    picture = Blob(b"\x89PNG", "image/png")
    huge = ToolResult(CallId("c7"), "search", {"text": "x" * 5_242_869}, parts=(picture,))
    earlier = (user("My name is Ada."), model_said("Hello, Ada."))
    history = (*earlier, user("Find it."), model_said(made), user(huge))
    body = await sent(build, chat, told(*history), images=True)
    content = body["messages"][-2]["content"]
    assert content.startswith('{"text":"xxx')
    assert content.endswith("xxx [cut: the result has 5,242,880 characters]")
    assert 20_000 < len(content) <= 32_050
    assert body["messages"][-1]["content"][0]["type"] == "image_url"
    assert "Ada" in body["messages"][1]["content"], "what is not shown costs no room"
    narrow = await sent(build, chat, told(*history), context_tokens=4000)
    assert len(narrow["messages"][-2]["content"]) < 3_100


async def test_results_of_one_contribution_share_the_room(build: Build, chat: FakeChat) -> None:
    calls = [ToolCall(CallId(f"c{n}"), "search", {}) for n in range(10)]
    results = [ToolResult(call.id, "search", {"text": "x" * 100_000}) for call in calls]
    body = await sent(build, chat, told(user("?"), model_said(*calls), user(*results)))
    shown = [m["content"] for m in body["messages"] if m["role"] == "tool"]
    assert len(shown) == 10
    assert sum(map(len, shown)) < 33_000


async def test_a_late_result_is_cut_too(build: Build, chat: FakeChat) -> None:
    late = ToolResult(CallId("c7"), "search", {"text": "x" * 100_000})
    body = await sent(build, chat, told(user("Hello?"), model_said("Yes?"), user(late)))
    assert "[cut: the result has 100,011 characters]]" in body["messages"][-1]["content"]
    assert len(body["messages"][-1]["content"]) < 32_100


async def test_a_result_that_only_python_calls_json_is_given_all_the_same(
    build: Build, chat: FakeChat
) -> None:
    odd = ToolResult(CallId("c7"), "count", {"n": 1 << 70, "sign": "\ud800"})
    body = await sent(build, chat, told(user("?"), user(odd)))
    assert str(1 << 70) in body["messages"][-1]["content"]


async def test_the_servers_own_tools_are_offered_like_the_clients(
    build: Build, chat: FakeChat
) -> None:
    search = ServerTool(ToolDeclaration("google_search", "Searches."), ToolKind.SEARCH)
    both = await sent(build, chat, told(user("?"), tools=Tools((WEATHER,), server=(search,))))
    names = [tool["function"]["name"] for tool in both["tools"]]
    assert names == ["get_weather", "google_search"]
    alone = await sent(build, chat, told(user("?"), tools=Tools(server=(search,))))
    assert [tool["function"]["name"] for tool in alone["tools"]] == ["google_search"]


async def test_unseen_video_frames_are_one_note(build: Build, chat: FakeChat) -> None:
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


async def test_tokens_are_counted_as_the_endpoint_counted_the_last_prompt(
    build: Build, chat: FakeChat
) -> None:
    model = build()
    assert model.capabilities.count_tokens is not None
    assert model.capabilities.count_tokens("x" * 400) == 100
    usage = {"prompt_tokens": 210, "completion_tokens": 1}
    chat.replies([*words("Hello."), {"choices": [], "usage": usage}])
    await answer(model, request("word " * 200))
    counted = model.capabilities.count_tokens("x" * 400)
    assert 60 < counted < 90, "about five characters in a token there"


LIGHTS = ToolDeclaration("turn_on_the_lights", "Turns on the lights.")
CODE = ServerTool(ToolDeclaration("code_execution", "Runs Python."), ToolKind.CODE)
TOOLS = Tools((LIGHTS,), server=(CODE,))


@pytest.mark.embedded
async def test_functions_are_routed_and_programs_written_by_the_endpoint(chat: FakeChat) -> None:
    settings = {"base_url": chat.url, "model": "m", "tools": "router"}
    model = await create(settings, Host())
    assert model.capabilities.tools
    chat.asked.clear()
    parts = await answer(model, told(user("Turn on the lights."), tools=TOOLS))
    assert calls_of(parts) == [("turn_on_the_lights", {})]
    assert not chat.asked
    chat.replies([*words("```python\nprint(17 * 23)\n```"), end("stop")])
    parts = await answer(model, told(user("What is 17 times 23?"), tools=TOOLS))
    assert calls_of(parts) == [("code_execution", {"code": "print(17 * 23)"})]
    body = chat.asked[-1].body
    assert body["messages"][-1]["content"] == "What is 17 times 23?"
    assert body["temperature"] == 0
    chat.replies([*words("Good morning."), end("stop")])
    parts = await answer(model, told(user("Good morning!"), tools=TOOLS))
    assert text_of(parts) == "Good morning."
    assert "tools" not in chat.asked[-1].body
    await model.aclose()


@pytest.mark.embedded
async def test_a_program_that_is_cancelled_closes_the_connection(chat: FakeChat) -> None:
    asked = asyncio.Event()

    async def hang(exchange: Exchange) -> None:
        asked.set()
        await exchange.gone.wait()

    chat.answer = hang
    model = await create({"base_url": chat.url, "model": "m", "tools": "router"}, Host())
    request = replace(told(user("What is 17 times 23?")), tools=TOOLS)
    task = asyncio.ensure_future(answer(model, request))
    await asyncio.wait_for(asked.wait(), 10)
    task.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.wait_for(task, 5)
    assert task.cancelled()
    await asyncio.wait_for(chat.asked[-1].gone.wait(), 5)
    await model.aclose()


def test_the_router_needs_minilm_and_no_other_word_is_known() -> None:
    assert required_weights({"tools": "router"}) == ("minilm",)
    assert required_weights({"tools": True}) == ()
    with pytest.raises(ConfigError, match="`tools`"):
        settings_of({"base_url": "http://127.0.0.1:1/v1", "tools": "magic"})
