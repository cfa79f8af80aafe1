"""The embedded language model on its real weights: answers, slots, functions, locks, leaving."""

from __future__ import annotations

import asyncio
import http.client
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from engines import smollm_cases as cases
from vivavoce.domain.content import (
    Blob,
    Content,
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId, SessionId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Sampling
from vivavoce.engines import weights
from vivavoce.engines.chat import sight
from vivavoce.engines.openai.model import OpenAIModel
from vivavoce.engines.openai.settings import read_settings as read_openai
from vivavoce.engines.ports import (
    CallsRequested,
    Ended,
    LanguageModel,
    ModelPart,
    TextDelta,
    UsageReported,
)
from vivavoce.engines.smollm import create, outcome, words
from vivavoce.engines.smollm.minilm import MiniLM
from vivavoce.engines.smollm.model import SmolLM
from vivavoce.engines.smollm.router import THRESHOLD, Router
from vivavoce.engines.smollm.settings import model_file, router_folder
from vivavoce.engines.smollm.settings import read_settings as read_smollm
from vivavoce.errors import ConfigError, EngineBusy, EngineError, EngineMissing
from vivavoce.testing.contracts import LanguageModelContract, request

pytestmark = pytest.mark.embedded

PICTURE = Blob(b"\x89PNG", "image/png")


class Host:
    """What a factory asks of the house; `absent` weights were never fetched."""

    def __init__(self, absent: str = "") -> None:
        self._absent = absent

    def say(self, line: str) -> None:
        pass

    def weights(self, name: str) -> Path:
        if name == self._absent:
            raise EngineMissing(name, "It is not on this machine.", "Fetch it.")
        try:
            return weights.locate(name)
        except EngineMissing as missing:
            pytest.skip(str(missing))

    async def build(self, port: str, choice: Any) -> Any:
        raise NotImplementedError


async def load(**settings: Any) -> SmolLM:
    model = await create({"slots": 2, **settings}, Host())
    assert isinstance(model, SmolLM)
    return model


@pytest.fixture(scope="module")
def model() -> Iterator[SmolLM]:
    loaded = asyncio.run(load())
    yield loaded
    asyncio.run(loaded.aclose())


@pytest.fixture
async def own() -> AsyncIterator[list[SmolLM]]:
    """Models that a test loads for itself."""
    loaded: list[SmolLM] = []
    yield loaded
    for one in loaded:
        await one.aclose()


def user(*parts: Any) -> Content:
    return Content(Role.USER, tuple(Text(p) if isinstance(p, str) else p for p in parts))


def said(*parts: Any) -> Content:
    return Content(Role.MODEL, tuple(Text(p) if isinstance(p, str) else p for p in parts))


def conversation(
    *history: Content, tools: tuple[ToolDeclaration, ...] = (), session: str = "one", **changes: Any
) -> GenerationRequest:
    asked = request(functions=tools, session=session)
    return replace(asked, history=history, **changes)


async def answer(model: LanguageModel, asked: GenerationRequest) -> list[ModelPart]:
    parts: Any = model.generate(asked)
    async with aclosing(parts):
        return [part async for part in parts]


def text_of(parts: list[ModelPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


def calls_of(parts: list[ModelPart]) -> list[tuple[str, Any]]:
    return [(c.name, dict(c.args)) for p in parts if isinstance(p, CallsRequested) for c in p.calls]


async def until(there: Callable[[], bool]) -> None:
    """Wait for a worker thread, which has no event to wait for."""
    async with asyncio.timeout(30):
        while not there():  # noqa: ASYNC110
            await asyncio.sleep(0.005)


class TestContract(LanguageModelContract):
    @pytest.fixture(autouse=True)
    def _loaded(self, model: SmolLM) -> None:
        self.model = model

    def engine(self) -> LanguageModel:
        return self.model


# --- answers -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spoken", ["What is the capital of France?", "what is the capital of france"]
)
async def test_it_knows_the_capital_of_france(model: SmolLM, spoken: str) -> None:
    parts = await answer(model, conversation(user(spoken)))
    assert "Paris" in text_of(parts)
    assert text_of(parts) == text_of(parts).strip()
    assert len(text_of(parts).split()) < 20


async def test_a_cold_prompt_is_read_ahead(model: SmolLM) -> None:
    rule = "You work in a hardware store. " * 12
    ahead = conversation(instruction=rule, session="prepared")
    await model.prepare(ahead)
    parts = await answer(model, replace(ahead, history=(user("Hello."),)))
    (usage,) = [part.usage for part in parts if isinstance(part, UsageReported)]
    assert usage.prompt_tokens > 150
    assert usage.prompt_tokens - usage.cached_tokens < 30
    assert usage.response_tokens > 0


async def test_each_conversation_keeps_what_was_read(model: SmolLM) -> None:
    histories: dict[str, tuple[Content, ...]] = {"red": (), "blue": ()}
    for turn in ("What is the capital of Italy?", "Thank you."):
        for name in histories:
            histories[name] += (user(f"{turn}"),)
            asked = conversation(
                *histories[name], session=name, instruction=f"The shop is {name}. " * 8
            )
            parts = await answer(model, asked)
            histories[name] += (said(text_of(parts)),)
            if turn == "Thank you.":
                (usage,) = [part.usage for part in parts if isinstance(part, UsageReported)]
                assert usage.cached_tokens > usage.prompt_tokens * 0.8
    await model.release("red")
    await model.release("blue")


async def test_two_conversations_are_answered_at_once(model: SmolLM) -> None:
    first_words: dict[str, float] = {}
    ends: dict[str, float] = {}

    async def ask(name: str) -> str:
        text = ""
        parts: Any = model.generate(
            conversation(user("Why is the sky blue?"), session=name, instruction=f"I am {name}.")
        )
        async with aclosing(parts):
            async for part in parts:
                if isinstance(part, TextDelta):
                    first_words.setdefault(name, time.monotonic())
                    text += part.text
        ends[name] = time.monotonic()
        return text

    async with asyncio.TaskGroup() as tasks:
        answers = [tasks.create_task(ask(name)) for name in ("left", "right")]
    assert all("light" in task.result() for task in answers)
    assert max(first_words.values()) < min(ends.values())


async def test_leaving_stops_the_model_at_once(model: SmolLM) -> None:
    parts: Any = model.generate(conversation(user("Tell me a very long story about the sea.")))
    async with aclosing(parts):
        async for _ in parts:
            break
    began = time.monotonic()
    await until(lambda: model.idle)
    assert time.monotonic() - began < 1.0


async def test_reading_a_cold_prompt_is_left_at_once_too(model: SmolLM) -> None:
    asked = conversation(user("word " * 900), session="long")
    task = asyncio.ensure_future(answer(model, asked))
    await until(lambda: not model.idle)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    began = time.monotonic()
    await until(lambda: model.idle)
    assert time.monotonic() - began < 3.0, "the whole prompt takes more than 5 s"
    await model.release("long")


async def test_a_history_longer_than_the_window_goes_on(own: list[SmolLM]) -> None:
    own.append(await load(context=512, slots=1))
    history: list[Content] = []
    for number in range(12):
        history.append(user(f"My friend number {number} has {number} cats and a very long name."))
        history.append(said("That is nice to hear, thank you for telling me about your friend."))
    history.append(user("What is the capital of France?"))
    parts = await answer(own[0], conversation(*history, instruction="Be kind."))
    assert "Paris" in text_of(parts)
    (usage,) = [part.usage for part in parts if isinstance(part, UsageReported)]
    assert usage.prompt_tokens <= 512


@pytest.mark.parametrize("where", ["words", "instruction"])
async def test_a_single_text_longer_than_the_window_is_cut(own: list[SmolLM], where: str) -> None:
    own.append(await load(context=512, slots=1))
    long = "the quick brown fox jumps over the lazy dog " * 200
    words = f"{long} What is the capital of France?" if where == "words" else "Hello."
    asked = conversation(user(words), instruction=long if where == "instruction" else "")
    assert text_of(await answer(own[0], asked))


async def test_the_small_model_always_takes_the_likeliest_word(model: SmolLM) -> None:
    answers = {
        text_of(
            await answer(
                model,
                conversation(
                    user("Why is the sky blue?"),
                    sampling=Sampling(temperature=2.0, top_k=1000, top_p=1.0, seed=seed),
                ),
            )
        )
        for seed in (1, 2, 3)
    }
    assert len(answers) == 1, "what the client wishes for makes this model babble"


async def test_an_answer_cut_by_the_clients_limit_says_so(model: SmolLM) -> None:
    asked = conversation(user("Why is the sky blue?"), sampling=Sampling(max_output_tokens=5))
    parts = await answer(model, asked)
    assert parts[-1] == Ended(EndReason.MAX_TOKENS)


@pytest.mark.parametrize("history", [(), (said("Hello!"),), (user(""),)])
async def test_odd_histories_are_answered(model: SmolLM, history: tuple[Content, ...]) -> None:
    assert text_of(await answer(model, conversation(*history)))


@pytest.mark.parametrize("spoken", ["What do you see?", "Describe the image.", ""])
async def test_it_invents_no_image(model: SmolLM, spoken: str) -> None:
    parts = await answer(model, conversation(user(PICTURE, spoken)))
    assert text_of(parts) == sight.EXCUSE


async def test_a_camera_changes_no_other_answer(model: SmolLM) -> None:
    parts = await answer(model, conversation(user(PICTURE, "What is the capital of France?")))
    assert "Paris" in text_of(parts)
    parts = await answer(
        model, conversation(user(PICTURE, "turn on the lights"), tools=cases.LIGHTS)
    )
    assert calls_of(parts) == [(cases.ON, {})]


async def test_a_model_of_the_users_own_is_told_of_images(
    own: list[SmolLM], tmp_path: Path
) -> None:
    gguf = tmp_path / "other.gguf"
    gguf.symlink_to(model_file(read_smollm({}), Host()).resolve())
    own.append(await load(slots=1, path=str(gguf)))
    read = []
    for parts in ((PICTURE, "What is this?"), (f"{sight.UNSEEN} What is this?",)):
        found = await answer(own[0], conversation(user(*parts), session=str(len(parts))))
        read.append(max(p.usage.prompt_tokens for p in found if isinstance(p, UsageReported)))
    assert read[0] == read[1]


async def test_a_guess_waits_for_nobody(own: list[SmolLM]) -> None:
    own.append(await load(slots=1))
    story = conversation(user("Tell me a very long story about the sea."))
    others: list[Any] = [own[0].generate(replace(story, session=SessionId(n))) for n in "ab"]
    firsts = [asyncio.ensure_future(anext(one)) for one in others]
    await until(lambda: not own[0].idle)
    with pytest.raises(EngineBusy):
        await answer(own[0], replace(story, speculative=True))
    for first, one in zip(firsts, others, strict=True):
        await first
        await one.aclose()


# --- functions -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spoken", "function"),
    [
        ("Turn on the lights please", cases.ON),
        ("turn on the light please", cases.ON),
        ("turn off the lights please", cases.OFF),
    ],
)
async def test_the_lights_by_name_alone(model: SmolLM, spoken: str, function: str) -> None:
    parts = await answer(model, conversation(user(spoken), tools=cases.LIGHTS))
    assert calls_of(parts) == [(function, {})]


async def test_a_call_its_result_and_the_next_turn(model: SmolLM) -> None:
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


async def test_facts_from_a_function_are_told_as_they_came(model: SmolLM) -> None:
    made = ToolCall(CallId("c1"), "get_weather", {"city": "Paris"})
    found = {"temperature": 21.5, "sky": "cloudy"}
    result = ToolResult(CallId("c1"), "get_weather", found)
    history = (user("what is the weather in Paris"), said(made), user(result))
    parts = await answer(model, conversation(*history, tools=cases.HOUSE))
    assert text_of(parts) == "The temperature is 21.5 and the sky is cloudy."


async def test_a_missing_value_is_asked_for_and_then_used(model: SmolLM) -> None:
    history = [user("set a timer please")]
    parts = await answer(model, conversation(*history, tools=cases.HOUSE))
    assert not calls_of(parts)
    history += [said(text_of(parts)), user("twenty five")]
    parts = await answer(model, conversation(*history, tools=cases.HOUSE))
    assert calls_of(parts) == [("set_timer", {"minutes": 25})]


async def test_what_was_done_is_told_of_the_whole_request(model: SmolLM) -> None:
    made = ToolCall(CallId("c1"), "set_timer", {"minutes": 7})
    history = [
        user("Set a timer."),
        said("How many minutes should it be?"),
        user("seven"),
        said(made),
        user(ToolResult(CallId("c1"), "set_timer", {"result": "ok"})),
    ]
    told = text_of(await answer(model, conversation(*history, tools=cases.HOUSE)))
    assert told == outcome.DONE or "timer" in told, told


async def test_no_sentence_is_made_of_a_bare_success_of_what_fetches(model: SmolLM) -> None:
    made = ToolCall(CallId("c1"), "get_weather", {"city": "London"})
    result = ToolResult(CallId("c1"), "get_weather", {"result": "ok"})
    history = (user("What is the weather in London?"), said(made), user(result))
    parts = await answer(model, conversation(*history, tools=cases.HOUSE))
    assert text_of(parts) == outcome.DONE


@pytest.mark.parametrize("spoken", ["What is a timer?", "what does a timer do", "never mind"])
@pytest.mark.parametrize("asked_back", [False, True])
async def test_a_question_neither_calls_nor_asks_for_a_value(
    model: SmolLM, spoken: str, asked_back: bool
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
    model: SmolLM, record_property: Callable[[str, object], None]
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
        return float(network.encode(spoken) @ network.encode(" ".join(words.of_name(name))))

    assert likeness(wanted) > likeness(other)
    assert likeness(wanted) > THRESHOLD


@pytest.mark.parametrize("left_out", weights.find("minilm").files)
def test_each_file_that_is_kept_of_minilm_is_read(tmp_path: Path, left_out: str) -> None:
    whole = Host().weights("minilm")
    for name in weights.find("minilm").files:
        (tmp_path / name).symlink_to(whole / name)
    settings = read_smollm({"router": str(tmp_path)})
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


async def test_without_the_router_it_answers_and_never_calls(own: list[SmolLM]) -> None:
    model = await create({"slots": 1}, Host(absent="minilm"))
    assert isinstance(model, SmolLM)
    own.append(model)
    assert not model.capabilities.tools
    parts = await answer(model, conversation(user("Turn on the lights"), tools=cases.LIGHTS))
    assert text_of(parts)
    assert not calls_of(parts)


# --- the room it lives in --------------------------------------------------------------------


def get(address: str, path: str, key: str = "") -> http.client.HTTPResponse:
    where = urlsplit(address)
    link = http.client.HTTPConnection(where.hostname or "", where.port, timeout=5)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    link.request("GET", path, headers={**headers, "Origin": "http://evil.example"})
    answered = link.getresponse()
    answered.read()
    link.close()
    return answered


def test_the_listener_is_locked_and_shows_no_page(model: SmolLM) -> None:
    address, key = model.listener
    assert urlsplit(address).hostname == "127.0.0.1"
    for path in ("/v1/models", "/props", "/slots", "/v1/chat/completions"):
        assert get(address, path).status == http.HTTPStatus.UNAUTHORIZED
        assert get(address, path, "wrong").status == http.HTTPStatus.UNAUTHORIZED
    assert get(address, "/v1/models", key).status == http.HTTPStatus.OK
    assert get(address, "/").status != http.HTTPStatus.OK
    assert not get(address, "/v1/models", key).getheader("access-control-allow-origin")


async def test_nothing_is_left_after_closing() -> None:
    before = {thread.ident for thread in threading.enumerate()}
    model = await load(slots=1)
    address, _ = model.listener
    port = urlsplit(address).port
    parts: Any = model.generate(conversation(user("Tell me a very long story about the sea.")))
    await anext(parts)
    await model.aclose()
    await parts.aclose()
    listening = [link.laddr.port for link in psutil.Process().net_connections("tcp") if link.laddr]
    assert port not in listening
    lanes = [t for t in threading.enumerate() if "lane" in t.name and t.ident not in before]
    for thread in lanes:
        await asyncio.to_thread(thread.join, 5)
        assert not thread.is_alive()
    with pytest.raises(EngineError):
        await answer(model, conversation(user("Hello.")))


async def test_a_second_implementation_of_the_chat_form_understands_us(model: SmolLM) -> None:
    address, key = model.listener
    remote = OpenAIModel(
        read_openai({"base_url": f"{address}/v1", "model": "any", "api_key": key, "spoken": ""})
    )
    try:
        parts = await answer(
            remote,
            conversation(
                user("What is the capital of France?"),
                instruction="Answer in one short sentence.",
                sampling=Sampling(temperature=0.0, max_output_tokens=40),
            ),
        )
        assert "Paris" in text_of(parts)
        (usage,) = [part.usage for part in parts if isinstance(part, UsageReported)]
        assert usage.prompt_tokens > 10
        assert usage.response_tokens > 3
        wrong = OpenAIModel(read_openai({"base_url": f"{address}/v1", "api_key": "wrong"}))
        with pytest.raises(EngineMissing, match="api_key"):
            await answer(wrong, conversation(user("Hello.")))
        await wrong.aclose()
    finally:
        await remote.aclose()


async def test_a_file_that_is_no_model_is_said_plainly(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match=r"nothing\.gguf"):
        await create({"path": str(tmp_path / "nothing.gguf")}, Host())
    (tmp_path / "text.gguf").write_text("this is no model")
    with pytest.raises(EngineError, match=r"text\.gguf can't be loaded"):
        await create({"path": str(tmp_path / "text.gguf")}, Host())


async def test_wrong_settings_are_named_at_once() -> None:
    with pytest.raises(ConfigError) as caught:
        await create({"slots": 0, "contxt": 5, "greedy": "yes"}, Host())
    for fault in ("slots", "contxt", "greedy"):
        assert fault in str(caught.value)


TOOLS_TEMPLATE = (
    "system\nYou are an assistant.{% if tools %} You have these functions:\n{{ tools | tojson }}"
    "{% endif %}<|im_end|>\n{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}"
    "<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


async def test_a_template_that_knows_tools_gets_them_natively(own: list[SmolLM]) -> None:
    own.append(await load(slots=1, template=TOOLS_TEMPLATE))
    assert own[0].capabilities.tools
    asked = conversation(user("Hello."), session="native")
    bare = await answer(own[0], asked)
    offered = await answer(own[0], replace(asked, tools=Tools(cases.HOUSE)))

    def read(parts: list[ModelPart]) -> int:
        return max(p.usage.prompt_tokens for p in parts if isinstance(p, UsageReported))

    assert read(offered) > read(bare) + 200
