"""A text model that calls functions by a planner."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from engines.llamacpp_model import Host, calls_of, conversation, text_of
from engines.talk import answer, said, user
from engines.text_model import TextModel
from vivavoce.domain.content import ToolCall, ToolDeclaration, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.engines.function_calling import MINILM
from vivavoce.engines.function_calling.model import FunctionCallingModel, add_function_calling
from vivavoce.engines.ports import LanguageModel
from vivavoce.errors import EngineMissing
from vivavoce.testing.engine_contracts import LanguageModelContract

pytestmark = pytest.mark.embedded

LIGHTS = (ToolDeclaration("turn_on_the_lights", "Turns on the lights."),)


def wrapped(model: TextModel) -> FunctionCallingModel:
    return add_function_calling(model, model, Host().weights("minilm"))


@pytest.fixture
async def text_model() -> TextModel:
    return TextModel()


@pytest.fixture
async def model(text_model: TextModel) -> AsyncIterator[FunctionCallingModel]:
    both = wrapped(text_model)
    yield both
    await both.aclose()


class TestContract(LanguageModelContract):
    def engine(self) -> LanguageModel:
        return wrapped(TextModel())


async def test_a_request_is_called_and_talk_is_the_text_models(
    model: FunctionCallingModel, text_model: TextModel
) -> None:
    assert model.capabilities.tools
    assert not model.capabilities.repairs
    parts = await answer(model, conversation(user("Turn on the lights."), tools=LIGHTS))
    assert calls_of(parts) == [("turn_on_the_lights", {})]
    assert not text_model.requests
    parts = await answer(model, conversation(user("How are you today?"), tools=LIGHTS))
    assert text_of(parts) == "You said: How are you today?"
    assert not text_model.requests[0].tools.declarations


async def test_what_the_report_leaves_open_is_asked_of_the_text_model(
    model: FunctionCallingModel,
) -> None:
    asked = user("Turn on the lights and tell me a joke.")
    parts = await answer(model, conversation(asked, tools=LIGHTS))
    (call,) = calls_of(parts)
    made = ToolCall(CallId("c"), call[0], call[1])
    result = user(ToolResult(CallId("c"), call[0], {"error": "no power"}))
    parts = await answer(model, conversation(asked, said(made), result, tools=LIGHTS))
    assert text_of(parts) == "Sorry, that did not work: no power. You said: tell me a joke."


@pytest.mark.parametrize("pause", [".", " ... "])
async def test_a_turn_without_words_asks_for_what_was_said_before(
    model: FunctionCallingModel, pause: str
) -> None:
    asked = (user("Turn on the lights."), user(pause))
    parts = await answer(model, conversation(*asked, tools=LIGHTS))
    assert calls_of(parts) == [("turn_on_the_lights", {})]
    gone_on = (user("Say hello."), said("Hello."), user(pause))
    assert not calls_of(await answer(model, conversation(*gone_on, tools=LIGHTS)))


async def test_the_text_model_is_prepared_released_and_closed(text_model: TextModel) -> None:
    model = wrapped(text_model)
    request: Any = replace(conversation(tools=LIGHTS), instruction="Be kind.")
    await model.prepare(request)
    await model.release("one")
    await model.aclose()
    assert [one.instruction for one in text_model.prepared] == ["Be kind."]
    assert text_model.released == ["one"]
    assert text_model.closed


@pytest.mark.parametrize("left_out", MINILM.files)
def test_a_folder_without_one_of_the_files_is_refused(tmp_path: Path, left_out: str) -> None:
    for name in set(MINILM.files) - {left_out}:
        (tmp_path / name).touch()
    model = TextModel()
    with pytest.raises(EngineMissing, match=left_out):
        add_function_calling(model, model, tmp_path)
