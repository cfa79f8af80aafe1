"""Plans with the server's own tools, several requests, and slow functions.

The router works on its real weights; the text model repeats what it is left to answer.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from engines import function_calling_cases as cases
from engines.llamacpp_model import Host, calls_of, conversation, text_of
from engines.talk import answer, said, user
from engines.text_model import TextModel
from vivavoce.domain.content import (
    Behavior,
    Blob,
    Content,
    Role,
    Scheduling,
    ServerTool,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.function_calling import planner
from vivavoce.engines.function_calling.arguments import fill_arguments
from vivavoce.engines.function_calling.model import FunctionCallingModel
from vivavoce.engines.function_calling.planner import ON_IT, IntentDetector, Planner
from vivavoce.engines.function_calling.results import DONE, NOTHING_FOUND, Quoter
from vivavoce.engines.function_calling.router import Router
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.function_calling.utterances import strip_request
from vivavoce.engines.ports import CallsRequested, ModelPart, TextDelta


@pytest.fixture(scope="module")
def encoder() -> MiniLM:
    return MiniLM(Host().weights("minilm"))


@pytest.fixture
async def text_model() -> TextModel:
    return TextModel()


@pytest.fixture
async def model(encoder: MiniLM, text_model: TextModel) -> AsyncIterator[FunctionCallingModel]:
    planner = Planner(text_model, Router(encoder), Quoter(encoder))
    both = FunctionCallingModel(text_model, planner)
    yield both
    await both.aclose()


def served(kind: ToolKind, name: str, argument: str = "", about: str = "") -> ServerTool:
    shape = {"type": "object", "properties": {argument: {"type": "string"}}} if argument else None
    return ServerTool(ToolDeclaration(name, about, shape), kind)


SEARCH = served(ToolKind.SEARCH, "google_search", "query", "Search the web.")
CODE = served(ToolKind.CODE, "code_execution", "code", "Run Python.")
PAGES = served(ToolKind.URL, "url_context", "urls", "Read pages.")
DISHES = served(ToolKind.MCP, "list_dishes", about="List the dishes on the menu of the canteen.")


@pytest.mark.embedded
def test_a_task_is_kept_whole(encoder: MiniLM) -> None:
    parts = {"task": {"type": "string"}, "due": {"type": "string"}}
    shape = {"type": "object", "properties": parts, "required": ["task"]}
    reminder = ToolDeclaration("create_reminder", "Create a reminder.", shape)
    spoken = "remind me to call the dentist tomorrow at nine"
    assert fill_arguments(reminder, spoken, encoder) == {
        "task": "call the dentist",
        "due": "tomorrow at nine",
    }


SEEDS_PROMPT = """
    Hey, I need you to do two things for me.

    1. Use Google Search to look up information about the largest earthquake in California the week of Dec 5 2024?
    2. Then turn on the lights

    Thanks!
    """  # noqa: E501
QUERY = "largest earthquake in California the week of Dec 5 2024"
QUAKE = "On December 5, 2024, a magnitude 7.0 earthquake struck off Humboldt County, California."
FOUND = {"results": [{"title": "Quakes", "url": "file:q", "text": f"It was a busy week. {QUAKE}"}]}


def asked(
    *history: Content,
    tools: tuple[ToolDeclaration, ...] = (),
    server: tuple[ServerTool, ...] = (),
) -> GenerationRequest:
    return replace(conversation(*history), tools=Tools(tools, server=server))


def called(*calls: tuple[str, dict[str, Any], dict[str, Any]]) -> tuple[Content, Content]:
    """Calls as the model made them, and their results."""
    made = [ToolCall(CallId(f"c{n}"), name, args) for n, (name, args, _) in enumerate(calls)]
    results = [
        ToolResult(call.id, call.name, response)
        for call, (_, _, response) in zip(made, calls, strict=True)
    ]
    return Content(Role.MODEL, tuple(made)), Content(Role.USER, tuple(results))


@pytest.mark.embedded
async def test_the_seeds_combined_sample(model: FunctionCallingModel) -> None:
    offered: dict[str, Any] = {"tools": cases.LIGHTS, "server": (SEARCH,)}
    parts = await answer(model, asked(user(SEEDS_PROMPT), **offered))
    assert len(parts) == 1
    assert calls_of(parts) == [("google_search", {"query": QUERY}), (cases.ON, {})]
    results = called(("google_search", {"query": QUERY}, FOUND), (cases.ON, {}, {"result": "ok"}))
    parts = await answer(model, asked(user(SEEDS_PROMPT), *results, **offered))
    assert not calls_of(parts)
    assert text_of(parts) == f"{QUAKE} {DONE}"


@pytest.mark.embedded
async def test_a_call_that_an_earlier_batch_left_out_is_made_once(
    model: FunctionCallingModel,
) -> None:
    offered: dict[str, Any] = {"tools": cases.LIGHTS, "server": (SEARCH,)}
    first = called(("google_search", {"query": QUERY}, FOUND))
    parts = await answer(model, asked(user(SEEDS_PROMPT), *first, **offered))
    assert calls_of(parts) == [(cases.ON, {})]
    assert not text_of(parts)
    second = called((cases.ON, {}, {"error": "The function did not answer in time."}))
    parts = await answer(model, asked(user(SEEDS_PROMPT), *first, *second, **offered))
    assert not calls_of(parts)
    late = "Sorry, that did not work: the function did not answer in time."
    assert text_of(parts) == f"{QUAKE} {late}"


@pytest.mark.embedded
async def test_a_call_that_was_made_otherwise_is_not_made_again(
    model: FunctionCallingModel,
) -> None:
    spoken = user("set a timer for ten minutes")
    results = called(("set_timer", {"minutes": 11}, {"message": "It is set"}))
    parts = await answer(model, asked(spoken, *results, tools=cases.HOUSE))
    assert parts == [TextDelta("It is set.")]


NO_RESULTS: dict[str, Any] = {"results": []}
BROKEN = {"error": "no answer came"}


@pytest.mark.embedded
async def test_a_commanded_search_without_an_answer_says_so(model: FunctionCallingModel) -> None:
    offered: dict[str, Any] = {"server": (SEARCH,), "tools": cases.HOUSE}
    spoken, query = user("Search for the capital of France."), "capital of France"
    parts = await answer(model, asked(spoken, **offered))
    assert calls_of(parts) == [("google_search", {"query": query})]
    for response, told in (
        (NO_RESULTS, NOTHING_FOUND),
        (FOUND, NOTHING_FOUND),
        (BROKEN, "Sorry, the search did not work: no answer came."),
    ):
        history = (spoken, *called(("google_search", {"query": query}, response)))
        assert text_of(await answer(model, asked(*history, **offered))) == told


@pytest.mark.embedded
async def test_a_search_by_name_is_left_to_a_function_that_fetches_what_is_named(
    model: FunctionCallingModel,
) -> None:
    offered: dict[str, Any] = {"server": (SEARCH,), "tools": cases.HOUSE}
    parts = await answer(model, asked(user("Look up the weather in Rome."), **offered))
    assert calls_of(parts) == [("get_weather", {"city": "Rome"})]


@pytest.mark.embedded
async def test_a_question_on_which_nothing_was_found_is_the_models_own(
    model: FunctionCallingModel,
) -> None:
    offered: dict[str, Any] = {"server": (SEARCH,), "tools": cases.HOUSE}
    question = user("What is the capital of France?")
    ((name, args),) = calls_of(await answer(model, asked(question, **offered)))
    assert (name, args) == ("google_search", {"query": "What is the capital of France"})
    for response in (NO_RESULTS, FOUND):
        history = (question, *called((name, args, response)))
        told = text_of(await answer(model, asked(*history, **offered)))
        assert told == "You said: What is the capital of France?"
    history = (question, *called((name, args, BROKEN)))
    told = text_of(await answer(model, asked(*history, **offered)))
    assert told == "Sorry, the search did not work: no answer came."


PRIMES = "What is the sum of the first 50 primes? Generate and run code for the calculation."


@pytest.mark.embedded
@pytest.mark.parametrize("spoken", [PRIMES, "What is 17 times 23?", "12 percent of 80"])
async def test_a_calculation_is_run_as_the_model_writes_it(encoder: MiniLM, spoken: str) -> None:
    text_model = TextModel(["```python\nprint(391)\n```"])
    model = FunctionCallingModel(text_model, Planner(text_model, Router(encoder), Quoter(encoder)))
    parts = await answer(model, asked(user(spoken), tools=cases.HOUSE, server=(SEARCH, CODE)))
    assert calls_of(parts) == [("code_execution", {"code": "print(391)"})]
    await model.aclose()


@pytest.mark.embedded
async def test_a_program_that_failed_is_corrected_once(encoder: MiniLM) -> None:
    text_model = TextModel(["print(17 ** '2')", "print(17 ** 2)", "print(17)"])
    model = FunctionCallingModel(text_model, Planner(text_model, Router(encoder), Quoter(encoder)))
    history = [user("What is 17 squared?")]
    for code, output in (("print(17 ** '2')", "TypeError: no"), ("print(17 ** 2)", "ValueError")):
        parts = await answer(model, asked(*history, server=(CODE,)))
        assert calls_of(parts) == [("code_execution", {"code": code})]
        failed = {"outcome": "OUTCOME_FAILED", "output": f"Traceback\n{output}\n"}
        history += called(("code_execution", {"code": code}, failed))
    assert "TypeError: no" in text_model.questions[1][-1]["content"]
    parts = await answer(model, asked(*history, server=(CODE,)))
    assert text_of(parts) == "Sorry, the code did not work: ValueError."
    await model.aclose()


@pytest.mark.embedded
async def test_a_story_and_its_question_are_one_calculation(model: FunctionCallingModel) -> None:
    spoken = user("A jacket costs 85 euros and is 30 percent off. What do I pay?")
    parts = await answer(model, asked(spoken, tools=cases.LIGHTS, server=(CODE,)))
    assert text_of(parts) == f"You said: {spoken.text}"


@pytest.mark.embedded
async def test_without_a_program_the_text_model_answers(model: FunctionCallingModel) -> None:
    parts = await answer(model, asked(user("What is 17 times 23?"), server=(CODE,)))
    assert text_of(parts) == "You said: What is 17 times 23?"
    parts = await answer(model, asked(user("What is 17 times 23?"), tools=cases.LIGHTS))
    assert text_of(parts) == "You said: What is 17 times 23?"


@pytest.mark.embedded
async def test_typed_python_is_run_as_it_is(model: FunctionCallingModel) -> None:
    spoken = user("run this: ```\nwhile True: pass\n```")
    parts = await answer(model, asked(spoken, tools=cases.HOUSE, server=(SEARCH, CODE)))
    code = {"code": "while True: pass"}
    assert calls_of(parts) == [("code_execution", code)]
    late = {"outcome": "OUTCOME_DEADLINE_EXCEEDED", "output": ""}
    history = (spoken, *called(("code_execution", code, late)))
    told = text_of(await answer(model, asked(*history, server=(CODE,))))
    assert told == "Sorry, the code took too long."


@pytest.mark.embedded
@pytest.mark.parametrize("spoken", ["How are you?", "What is your name?", "Thank you."])
async def test_small_talk_searches_nothing(model: FunctionCallingModel, spoken: str) -> None:
    parts = await answer(model, asked(user(spoken), server=(SEARCH, CODE, PAGES)))
    assert text_of(parts)
    assert not calls_of(parts)


PAGE = "Whales are mammals. The blue whale is 30 metres long. Whales breathe air."


@pytest.mark.embedded
@pytest.mark.parametrize(
    ("question", "pages", "told"),
    [
        (
            "how long is the blue whale according to",
            [{"status": "SUCCESS", "title": "Whales", "text": PAGE}],
            "The blue whale is 30 metres long.",
        ),
        ("summarize", [{"status": "SUCCESS", "title": "Whales", "text": PAGE}], PAGE),
        (
            "summarize",
            [{"status": "URL_RETRIEVAL_STATUS_UNSAFE", "url": "https://sea.example/w"}],
            "I may not open sea.example.",
        ),
        (
            "read",
            [{"status": "ERROR", "url": "https://sea.example/w"}],
            "I could not read sea.example.",
        ),
    ],
)
async def test_pages_are_read_and_spoken(
    model: FunctionCallingModel, question: str, pages: list[dict[str, str]], told: str
) -> None:
    spoken = user(f"{question} https://sea.example/w")
    offered: dict[str, Any] = {"server": (SEARCH, PAGES), "tools": cases.HOUSE}
    parts = await answer(model, asked(spoken, **offered))
    assert calls_of(parts) == [("url_context", {"urls": ["https://sea.example/w"]})]
    history = (spoken, *called(("url_context", calls_of(parts)[0][1], {"pages": pages})))
    assert text_of(await answer(model, asked(*history, **offered))) == told


@pytest.mark.embedded
async def test_tools_of_an_mcp_server_are_functions(model: FunctionCallingModel) -> None:
    spoken = user("please list the dishes and turn on the lights")
    offered: dict[str, Any] = {"server": (SEARCH, DISHES), "tools": cases.LIGHTS}
    parts = await answer(model, asked(spoken, **offered))
    assert calls_of(parts) == [("list_dishes", {}), (cases.ON, {})]
    results = called(
        ("list_dishes", {}, {"output": "Soup and pie."}), (cases.ON, {}, {"error": "x"})
    )
    parts = await answer(model, asked(spoken, *results, **offered))
    assert text_of(parts) == "Soup and pie. Sorry, that did not work: x."


SLOW = tuple(replace(one, behavior=Behavior.NON_BLOCKING) for one in cases.HOUSE)


@pytest.mark.embedded
async def test_a_function_that_takes_its_time_is_announced(model: FunctionCallingModel) -> None:
    spoken = user("lock the door and set a timer")
    parts: list[ModelPart] = await answer(model, asked(spoken, tools=SLOW))
    assert isinstance(parts[0], CallsRequested)
    question = "How many minutes should it be?"
    assert parts[1:] == [TextDelta(f"{ON_IT} {question}")]
    call, result = called(("lock_the_door", {}, {"error": "it is stuck"}))
    soon = (spoken, call, said(f"{ON_IT} {question}"), result)
    parts = await answer(model, asked(*soon, tools=SLOW))
    assert parts == [TextDelta("Sorry, that did not work: it is stuck.")]
    history = (spoken, call, said(f"{ON_IT} {question}"), user("ten"))
    parts = await answer(model, asked(*history, tools=SLOW))
    assert calls_of(parts) == [("set_timer", {"minutes": 10})]
    other = Content(Role.MODEL, (ToolCall(CallId("t"), "set_timer", {"minutes": 10}),))
    late = (*history, other, said(ON_IT), result)
    parts = await answer(model, asked(*late, tools=SLOW))
    assert parts == [TextDelta("Sorry, that did not work: it is stuck.")]


@pytest.mark.embedded
async def test_nothing_is_said_while_a_blocking_function_is_waited_for(
    model: FunctionCallingModel,
) -> None:
    tools = (SLOW[0], *cases.HOUSE[1:])
    parts = await answer(model, asked(user("turn on the lights and lock the door"), tools=tools))
    assert len(parts) == 1
    assert [name for name, _ in calls_of(parts)] == [cases.ON, "lock_the_door"]


@pytest.mark.embedded
async def test_what_is_missing_is_asked_for_after_the_rest_was_said(
    model: FunctionCallingModel,
) -> None:
    spoken = user("lock the door and set a timer")
    parts = await answer(model, asked(spoken, tools=cases.HOUSE))
    assert calls_of(parts) == [("lock_the_door", {})]
    results = called(("lock_the_door", {}, {"message": "It is locked"}))
    parts = await answer(model, asked(spoken, *results, tools=cases.HOUSE))
    assert text_of(parts) == "It is locked. How many minutes should it be?"
    history = (spoken, *results, said(text_of(parts)), user("seven"))
    parts = await answer(model, asked(*history, tools=cases.HOUSE))
    assert calls_of(parts) == [("set_timer", {"minutes": 7})]


@pytest.mark.embedded
async def test_what_needs_no_tool_is_answered_after_the_rest(model: FunctionCallingModel) -> None:
    spoken = user("lock the door and tell me what the capital of France is")
    parts = await answer(model, asked(spoken, tools=cases.HOUSE))
    assert calls_of(parts) == [("lock_the_door", {})]
    results = called(("lock_the_door", {}, {"message": "It is locked"}))
    told = text_of(await answer(model, asked(spoken, *results, tools=cases.HOUSE)))
    assert told == "It is locked. You said: tell me what the capital of France is"


@pytest.mark.embedded
async def test_a_result_that_is_not_the_last_is_spoken_as_progress(
    model: FunctionCallingModel,
) -> None:
    spoken = user("lock the door")
    call, _ = called(("lock_the_door", {}, {}))
    for response, told in (
        ({"bolts": 2}, "So far: the bolts is 2."),
        ({"result": "ok"}, "It is still under way."),
    ):
        part = ToolResult(CallId("c0"), "lock_the_door", response, will_continue=True)
        history = (spoken, call, said(ON_IT), user(part))
        assert text_of(await answer(model, asked(*history, tools=SLOW))) == told


@pytest.mark.embedded
async def test_a_silent_result_is_not_spoken_of_with_a_later_one(
    model: FunctionCallingModel,
) -> None:
    call, result = called(("lock_the_door", {}, {"message": "It is locked"}))
    quiet = ToolResult(CallId("s"), "get_weather", {"sky": "grey"}, scheduling=Scheduling.SILENT)
    history = (user("lock the door"), call, said(ON_IT), user(quiet), result)
    assert text_of(await answer(model, asked(*history, tools=SLOW))) == "It is locked."


@pytest.mark.embedded
async def test_no_sentence_is_made_of_a_bare_success_of_what_fetches(
    model: FunctionCallingModel,
) -> None:
    made = ToolCall(CallId("c1"), "get_weather", {"city": "London"})
    result = ToolResult(CallId("c1"), "get_weather", {"result": "ok"})
    history = (user("What is the weather in London?"), said(made), user(result))
    parts = await answer(model, asked(*history, tools=cases.HOUSE))
    assert text_of(parts) == DONE


@pytest.mark.embedded
@pytest.mark.parametrize("spoken", ["What is a timer?", "what does a timer do", "never mind"])
@pytest.mark.parametrize("asked_back", [False, True])
async def test_a_question_neither_calls_nor_asks_for_a_value(
    model: FunctionCallingModel, spoken: str, asked_back: bool
) -> None:
    history = [user("Set a timer."), said("How many minutes should it be?")] if asked_back else []
    parts = await answer(model, asked(*history, user(spoken), tools=cases.HOUSE[2:4]))
    assert not calls_of(parts)
    assert text_of(parts)
    assert "How many minutes" not in text_of(parts)


@pytest.mark.embedded
async def test_a_result_is_spoken_although_something_was_added_meanwhile(
    model: FunctionCallingModel,
) -> None:
    call, result = called(("lock_the_door", {}, {"message": "It is locked"}))
    history = (user("lock the door"), call, user("The screen shows the cart."), result)
    parts = await answer(model, asked(*history, tools=cases.HOUSE))
    assert text_of(parts) == "It is locked."


BOUND_S = 5
TURN = ToolDeclaration("turn_on_the_lights", "Turn on the lights.")
TOOLS = Tools(
    functions=(TURN,),
    server=tuple(
        ServerTool(ToolDeclaration(kind.name.lower(), ""), kind)
        for kind in (ToolKind.SEARCH, ToolKind.CODE, ToolKind.URL)
    ),
)


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(MiniLM(Host().weights("minilm")))


@pytest.mark.embedded
@pytest.mark.parametrize(
    "text",
    [
        "turn " + " " * 15_000 + "x",
        "what is" + "\n" * 15_000 + "x",
        "tell me about " + "? " * 30_000 + "x",
        "search for " + "a, " * 20_000,
        "please " * 9_000 + "x",
        "run " + "1+" * 30_000 + "1",
        "```" + "a" * 15_000,
        "say " + "a" * 15_000,
    ],
    ids=lambda text: text[:10].strip(),
)
def test_a_text_made_to_be_slow_is_not(router: Router, text: str) -> None:
    began = time.thread_time()
    IntentDetector(router, TOOLS).detect_intents([user(text)], 0)
    assert time.thread_time() - began < BOUND_S


@pytest.mark.embedded
def test_a_plea_ends_with_its_last_word() -> None:
    assert strip_request("Could you turn on \n the lights,  please ?!") == "turn on the lights"
    assert strip_request("I displease. ") == "I displease."
    assert strip_request("please") == "please"


@pytest.mark.embedded
def test_a_long_text_is_still_asked_for_what_it_begins_with(router: Router) -> None:
    text = "Turn on the lights. " + "The rest is a long story. " * 2_000
    found = IntentDetector(router, TOOLS).detect_intents([user(text)], 0)
    assert [intent.tool.name for intent in found.calls] == [TURN.name]


CALL = said(ToolCall(CallId("c"), "get_time", {}))
RESULT = user(ToolResult(CallId("c"), "get_time", {"time": "noon"}))
PICTURE = Blob(b"\x89PNG", "image/png")


@pytest.mark.parametrize(
    ("history", "texts"),
    [
        ((user("Hello."), said("Hi.")), ["Hello.", "Hi."]),
        ((user("The time?"), CALL, RESULT, said("Noon.")), ["The time?", "Noon."]),
        (
            (user("The time?"), CALL, RESULT, user("And the day?")),
            ["The time?", "(get time: The time is noon.) And the day?"],
        ),
        ((user("The time?"), CALL, RESULT), ["The time?", "(get time: The time is noon.)"]),
        ((user("Say hello."), user(".")), ["Say hello."]),
        ((user("Be kind."), said("I am."), user(" . ")), ["Be kind.", "I am."]),
        ((user("."),), ["."]),
    ],
)
def test_calls_vanish_and_results_become_words(
    history: tuple[Content, ...], texts: list[str]
) -> None:
    assert [content.text for content in planner.history_as_text(history)] == texts


def test_an_image_is_kept_without_words() -> None:
    history = (user("Look."), user(PICTURE, "."))
    assert planner.history_as_text(history) == history


def test_the_last_words_are_the_last_that_hold_a_word() -> None:
    history = (user("Turn on the lights."), user("."), CALL, RESULT, user(" ?! "))
    assert planner.find_last_words(history) == 0
