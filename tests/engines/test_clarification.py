"""What is answered to speech that was recognized with too little confidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vivavoce.domain.content import Content, Role, Text, ToolDeclaration, Tools
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality
from vivavoce.engines.cascade import Cascade
from vivavoce.engines.ports import CallsRequested, GenerationPart, Speech, TextDelta
from vivavoce.engines.scripted.echo import EchoModel
from vivavoce.engines.scripted.tones import TonesSynthesizer
from vivavoce.testing.contracts import request

MUSH = "the lights or the likes of"


async def answer(asked: GenerationRequest) -> list[GenerationPart]:
    parts: list[GenerationPart] = []

    async def emit(part: GenerationPart) -> None:
        parts.append(part)

    await Cascade(EchoModel(), TonesSynthesizer()).respond(asked, emit)
    return parts


def words(parts: list[GenerationPart]) -> str:
    return "".join(part.text for part in parts if isinstance(part, Speech | TextDelta))


def unclear(modality: Modality = Modality.AUDIO, language: str = "") -> GenerationRequest:
    tools = Tools((ToolDeclaration("lights"),))
    asked = replace(request(MUSH), tools=tools, modality=modality, language=language)
    return replace(asked, unclear=True)


@pytest.mark.parametrize("modality", Modality)
async def test_it_is_asked_for_again_in_other_words_each_time(modality: Modality) -> None:
    asked = unclear(modality, "en-US")
    said = []
    for _ in range(4):
        said.append(words(await answer(asked)))
        heard = Content(Role.MODEL, (Text(said[-1]),))
        asked = replace(asked, history=(*asked.history, heard, *request(MUSH).history))
    assert said[0] == said[3] == "Sorry, I didn't catch that."
    assert len(set(said)) == 3


async def test_in_another_language_the_model_answers_but_calls_nothing() -> None:
    asked = unclear(language="de-DE")
    assert words(await answer(asked)) == MUSH
    calls = await answer(replace(asked, unclear=False))
    assert any(isinstance(part, CallsRequested) for part in calls)
