"""The functions that the embedded language model calls on its real weights, and those it leaves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from engines import function_calling_cases as cases
from engines.llamacpp_model import Host, calls_of, conversation, text_of
from engines.talk import answer, said, user
from vivavoce.domain.content import ToolCall, ToolDeclaration, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.engines.function_calling import MINILM, confirmations, words
from vivavoce.engines.function_calling.router import THRESHOLD, Router
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.llamacpp import create
from vivavoce.engines.llamacpp.settings import read_settings, router_folder
from vivavoce.engines.ports import LanguageModel
from vivavoce.errors import EngineMissing

pytestmark = pytest.mark.embedded


@pytest.mark.parametrize(
    ("spoken", "function"),
    [
        ("Turn on the lights please", cases.ON),
        ("turn on the light please", cases.ON),
        ("turn off the lights please", cases.OFF),
    ],
)
async def test_the_lights_by_name_alone(model: LanguageModel, spoken: str, function: str) -> None:
    parts = await answer(model, conversation(user(spoken), tools=cases.LIGHTS))
    assert calls_of(parts) == [(function, {})]


async def test_a_call_its_result_and_the_next_turn(model: LanguageModel) -> None:
    history = [user("turn on the lights please")]
    made = ToolCall(CallId("c1"), cases.ON, {})
    history += [said(made), user(ToolResult(CallId("c1"), cases.ON, {"result": "ok"}))]
    parts = await answer(model, conversation(*history, tools=cases.LIGHTS))
    assert "lights" in text_of(parts).lower()
    assert not calls_of(parts)
    history += [said(text_of(parts)), user("what is the capital of france")]
    parts = await answer(model, conversation(*history, tools=cases.LIGHTS))
    assert "Paris" in text_of(parts)
    history += [said(text_of(parts)), user("and turn them off again the lights")]
    parts = await answer(model, conversation(*history, tools=cases.LIGHTS))
    assert calls_of(parts) == [(cases.OFF, {})]


async def test_facts_from_a_function_are_told_as_they_came(model: LanguageModel) -> None:
    made = ToolCall(CallId("c1"), "get_weather", {"city": "Paris"})
    found = {"temperature": 21.5, "sky": "cloudy"}
    result = ToolResult(CallId("c1"), "get_weather", found)
    history = (user("what is the weather in Paris"), said(made), user(result))
    parts = await answer(model, conversation(*history, tools=cases.HOUSE))
    assert text_of(parts) == "The temperature is 21.5 and the sky is cloudy."


async def test_a_missing_value_is_asked_for_and_then_used(model: LanguageModel) -> None:
    history = [user("set a timer please")]
    parts = await answer(model, conversation(*history, tools=cases.HOUSE))
    assert not calls_of(parts)
    history += [said(text_of(parts)), user("twenty five")]
    parts = await answer(model, conversation(*history, tools=cases.HOUSE))
    assert calls_of(parts) == [("set_timer", {"minutes": 25})]


async def test_what_was_done_is_told_of_the_whole_request(model: LanguageModel) -> None:
    made = ToolCall(CallId("c1"), "set_timer", {"minutes": 7})
    history = [
        user("Set a timer."),
        said("How many minutes should it be?"),
        user("seven"),
        said(made),
        user(ToolResult(CallId("c1"), "set_timer", {"result": "ok"})),
    ]
    told = text_of(await answer(model, conversation(*history, tools=cases.HOUSE)))
    assert told == confirmations.DONE or "timer" in told, told


async def test_no_sentence_is_made_of_a_bare_success_of_what_fetches(model: LanguageModel) -> None:
    made = ToolCall(CallId("c1"), "get_weather", {"city": "London"})
    result = ToolResult(CallId("c1"), "get_weather", {"result": "ok"})
    history = (user("What is the weather in London?"), said(made), user(result))
    parts = await answer(model, conversation(*history, tools=cases.HOUSE))
    assert text_of(parts) == confirmations.DONE


@pytest.mark.parametrize("spoken", ["What is a timer?", "what does a timer do", "never mind"])
@pytest.mark.parametrize("asked_back", [False, True])
async def test_a_question_neither_calls_nor_asks_for_a_value(
    model: LanguageModel, spoken: str, asked_back: bool
) -> None:
    history = [user("Set a timer."), said("How many minutes should it be?")] if asked_back else []
    parts = await answer(model, conversation(*history, user(spoken), tools=cases.HOUSE[2:4]))
    assert not calls_of(parts)
    assert text_of(parts)
    assert "How many minutes" not in text_of(parts)


ARGUMENTS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("play some jazz", "play_music", {"query": "jazz"}),
    ("play yesterday by the beatles", "play_music", {"query": "yesterday by the beatles"}),
    ("what is the weather in Paris", "get_weather", {"city": "Paris"}),
    ("will it rain in london tomorrow", "get_weather", {"city": "london"}),
    ("tell me the weather forecast for san francisco", "get_weather", {"city": "san francisco"}),
    ("set a timer for ten minutes", "set_timer", {"minutes": 10}),
    ("timer 5 minutes", "set_timer", {"minutes": 5}),
    ("set the thermostat to twenty one point five degrees", "setThermostat", {"degrees": 21.5}),
    (
        "send a message to anna that i am late",
        "send_message",
        {"recipient": "anna", "text": "i am late"},
    ),
    (
        "send a message to bob saying happy birthday",
        "send_message",
        {"recipient": "bob", "text": "happy birthday"},
    ),
)


async def test_arguments_are_the_users_own_words(
    model: LanguageModel, record_property: Callable[[str, object], None]
) -> None:
    wrong = []
    for spoken, function, args in ARGUMENTS:
        parts = await answer(model, conversation(user(spoken), tools=cases.HOUSE))
        if calls_of(parts) != [(function, args)]:
            wrong.append((spoken, calls_of(parts)))
    record_property("arguments_right", len(ARGUMENTS) - len(wrong))
    assert len(wrong) <= 2, wrong


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(MiniLM(Host().weights("minilm")))


@pytest.mark.parametrize(
    ("tools", "wanted", "unwanted", "least_right", "least_quiet"),
    [
        (cases.LIGHTS, cases.LIGHTS_WANTED, cases.LIGHTS_UNWANTED, 13, 16),
        (cases.HOUSE, cases.HOUSE_WANTED, cases.HOUSE_UNWANTED, 25, 23),
        (cases.TRAVEL, cases.TRAVEL_WANTED, cases.TRAVEL_UNWANTED, 9, 10),
        (cases.LIGHTS, cases.MISHEARD, (), 7, 0),
        (cases.HOUSE, cases.FRESH_WANTED, cases.FRESH_UNWANTED, 14, 15),
    ],
    ids=["lights", "house", "travel", "misheard", "fresh"],
)
def test_the_right_function_is_chosen_or_none(
    router: Router,
    record_property: Callable[[str, object], None],
    tools: tuple[ToolDeclaration, ...],
    wanted: tuple[tuple[str, str], ...],
    unwanted: tuple[str, ...],
    least_right: int,
    least_quiet: int,
) -> None:
    def chosen(spoken: str) -> str:
        choice = router.choose(spoken, tools)
        return choice.tool.name if choice else ""

    right = sum(chosen(spoken) == name for spoken, name in wanted)
    quiet = sum(not chosen(spoken) for spoken in unwanted)
    record_property("right", right)
    record_property("quiet", quiet)
    assert right >= least_right, [(s, chosen(s)) for s, name in wanted if chosen(s) != name]
    assert quiet >= least_quiet, [(s, chosen(s)) for s in unwanted if chosen(s)]


@pytest.mark.parametrize(
    ("spoken", "wanted", "other"),
    [
        ("turn on the lights please", cases.ON, cases.OFF),
        ("turn off the lights please", cases.OFF, cases.ON),
    ],
)
def test_the_plain_commands_need_no_rules_beside_likeness(
    spoken: str, wanted: str, other: str
) -> None:
    network = MiniLM(Host().weights("minilm"))

    def likeness(name: str) -> float:
        return float(
            network.encode(spoken) @ network.encode(" ".join(words.split_identifier(name)))
        )

    assert likeness(wanted) > likeness(other)
    assert likeness(wanted) > THRESHOLD


@pytest.mark.parametrize("left_out", MINILM.files)
def test_each_file_that_is_kept_of_minilm_is_read(tmp_path: Path, left_out: str) -> None:
    whole = Host().weights("minilm")
    for name in MINILM.files:
        (tmp_path / name).symlink_to(whole / name)
    settings = read_settings({"router": str(tmp_path)})
    assert MiniLM(router_folder(settings, Host())).encode("hello").any()
    (tmp_path / left_out).unlink()
    with pytest.raises(EngineMissing):
        router_folder(settings, Host())


def test_sentence_vectors_are_those_of_the_published_model(router: Router) -> None:
    network = MiniLM(Host().weights("minilm"))
    person = network.encode("That is a happy person")
    assert float(person @ network.encode("That is a very happy person")) == pytest.approx(
        0.943, abs=0.002
    )
    assert float(person @ network.encode("Today is a sunny day")) == pytest.approx(0.257, abs=0.002)


async def test_without_the_router_it_answers_and_never_calls(own: list[LanguageModel]) -> None:
    model = await create({"slots": 1}, Host(absent="minilm"))
    own.append(model)
    assert not model.capabilities.tools
    parts = await answer(model, conversation(user("Turn on the lights"), tools=cases.LIGHTS))
    assert text_of(parts)
    assert not calls_of(parts)
