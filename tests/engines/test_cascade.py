"""The cascade: order, back-pressure, cancellation anywhere, and the model's own words."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from vivavoce.domain.content import Content, Role, Text, ToolCall, ToolDeclaration, Tools, Usage
from vivavoce.domain.ids import CallId, GenerationId, SessionId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.engines.cascade import Cascade, create
from vivavoce.engines.ports import (
    CallsRequested,
    Ended,
    GenerationPart,
    LanguageModelCapabilities,
    Milestone,
    ModelPart,
    Speech,
    SynthesizerCapabilities,
    TextDelta,
    UsageReported,
)
from vivavoce.engines.scripted import EchoModel, TonesSynthesizer
from vivavoce.errors import ConfigError, EngineError
from vivavoce.testing.engine_contracts import request

MODEL_CAPABILITIES = LanguageModelCapabilities(tools=True, images=True)
VOICE_CAPABILITIES = SynthesizerCapabilities(voices=("one",))
CALLS = CallsRequested((ToolCall(CallId(""), "lights", {"on": True}),))


@dataclass
class ScriptedModel:
    """Says its script, a step of the loop between parts; notes how it was left."""

    script: Sequence[ModelPart | Exception]
    given: int = 0
    open: int = 0
    calls: list[str] = field(default_factory=list)
    capabilities: LanguageModelCapabilities = MODEL_CAPABILITIES

    async def prepare(self, request: GenerationRequest) -> None:
        self.calls.append(f"prepare {request.session}")

    async def generate(self, request: GenerationRequest) -> AsyncIterator[ModelPart]:
        self.open += 1
        try:
            for part in self.script:
                await asyncio.sleep(0)
                if isinstance(part, Exception):
                    raise part
                self.given += 1
                yield part
        finally:
            self.open -= 1

    async def release(self, session: str) -> None:
        self.calls.append(f"release {session}")

    async def aclose(self) -> None:
        self.calls.append("close")


@dataclass
class ScriptedVoice:
    """Speaks each word as one sample per letter; can wait, and can fail at a word."""

    gate: asyncio.Event | None = None
    fails_at: str = ""
    heard: list[str] = field(default_factory=list)
    open: int = 0
    closed: bool = False
    capabilities: SynthesizerCapabilities = VOICE_CAPABILITIES

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        self.heard.append(text)
        self.open += 1
        try:
            for index, word in enumerate(text.split(" ")):
                if self.gate is not None:
                    await self.gate.wait()
                await asyncio.sleep(0)
                if word == self.fails_at:
                    raise EngineError("synthesizer.scripted", "The voice broke.")
                said = f" {word}" if index else word
                yield Speech(b"\x01\x00" * max(1, len(said)), said)
        finally:
            self.open -= 1

    async def aclose(self) -> None:
        self.closed = True


class Listener:
    """Keeps what was emitted; a step of the loop for each."""

    def __init__(self) -> None:
        self.parts: list[GenerationPart] = []

    async def __call__(self, part: GenerationPart) -> None:
        await asyncio.sleep(0)
        self.parts.append(part)

    @property
    def milestones(self) -> list[str]:
        return [part.name for part in self.parts if isinstance(part, Milestone)]

    @property
    def transcript(self) -> str:
        return "".join(part.text for part in self.parts if isinstance(part, Speech))


def deltas(*texts: str) -> list[ModelPart | Exception]:
    return [TextDelta(text) for text in texts]


def asked(modality: Modality = Modality.AUDIO) -> GenerationRequest:
    return GenerationRequest(
        session=SessionId("s"),
        generation=GenerationId(1),
        instruction="",
        history=(Content(Role.USER, (Text("hello"),)),),
        tools=Tools((ToolDeclaration("lights"),)),
        modality=modality,
        voice="Kore",
        language="",
        sampling=Sampling(),
    )


async def answer(
    script: Sequence[ModelPart | Exception],
    voice: ScriptedVoice | None = None,
    modality: Modality = Modality.AUDIO,
) -> tuple[Listener, EndReason]:
    listener = Listener()
    cascade = Cascade(ScriptedModel(script), voice or ScriptedVoice())
    return listener, await cascade.respond(asked(modality), listener)


# --- what is said ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "texts",
    [
        ("Hello there", ", how", " are", " you?", " Fine."),
        ("**Bold** claims cost $5.50", " or 20%. See [this](https://a.b)!"),
        ("Look:\n\n```python\nprint(1)\nx = 2\n```\n", "That is all. 🎉"),
        ("- one\n- two\n", "\n| a | b |\n|---|---|\n| 1 | 2 |\n"),
        ("  Leading and trailing space  \n\n",),
        ("🎉 Well done", "! 🎉"),
        ("🙂",),
        ("...",),
    ],
)
async def test_the_transcript_is_what_the_model_wrote(texts: tuple[str, ...]) -> None:
    listener, reason = await answer(deltas(*texts))
    assert listener.transcript == "".join(texts)
    assert all(part.pcm for part in listener.parts if isinstance(part, Speech))
    assert reason is EndReason.COMPLETE


async def test_the_voice_is_given_words_and_no_markdown() -> None:
    voice = ScriptedVoice()
    await answer(deltas("**Bold** it is. ", "```\ncode\n```\n", "It costs 24/7 ≥ $5. 🎉"), voice)
    assert voice.heard == ["Bold it is.", "Here is some code.", "It costs 24 7 at least $5."]


async def test_an_answer_of_nothing_but_an_emoji_is_named() -> None:
    voice = ScriptedVoice()
    await answer(deltas("🙂"), voice)
    assert voice.heard == ["slightly smiling face"]


async def test_milestones_come_in_their_order_each_once() -> None:
    listener, _ = await answer(deltas("One two three. ", "Four five six."))
    assert listener.milestones == ["first_token", "first_clause", "first_audio"]
    first_sound = next(i for i, p in enumerate(listener.parts) if isinstance(p, Speech))
    assert listener.parts[first_sound - 1] == Milestone("first_audio")


async def test_speech_begins_while_the_model_still_writes() -> None:
    listener = Listener()
    model = ScriptedModel(deltas("The first sentence. ", *["word "] * 200))
    given_at_first_sound = 0

    async def emit(part: GenerationPart) -> None:
        nonlocal given_at_first_sound
        if isinstance(part, Speech) and not given_at_first_sound:
            given_at_first_sound = model.given
        await listener(part)

    await Cascade(model, ScriptedVoice()).respond(asked(), emit)
    assert 0 < given_at_first_sound < 30


@pytest.mark.parametrize(
    "opening", ["One moment, my friend, ", "so this sentence has no mark at all for "]
)
async def test_speech_begins_before_the_first_sentence_is_written(opening: str) -> None:
    sentence = deltas(opening, *["a ", "while "] * 12, "and ends here.")
    listener, model = Listener(), ScriptedModel(sentence)
    given_at_first_sound = 0

    async def emit(part: GenerationPart) -> None:
        nonlocal given_at_first_sound
        if isinstance(part, Speech) and not given_at_first_sound:
            given_at_first_sound = model.given
        await listener(part)

    await Cascade(model, ScriptedVoice()).respond(asked(), emit)
    assert 0 < given_at_first_sound < len(sentence)
    assert listener.transcript == f"{opening}{'a while ' * 12}and ends here."


async def test_calls_come_after_the_speech_that_precedes_them() -> None:
    listener, reason = await answer([*deltas("I will do it"), CALLS, *deltas("Done.")])
    kinds = [p for p in listener.parts if isinstance(p, Speech | CallsRequested)]
    place = kinds.index(CALLS)
    assert "".join(p.text for p in kinds[:place] if isinstance(p, Speech)) == "I will do it"
    assert "".join(p.text for p in kinds[place:] if isinstance(p, Speech)) == "Done."
    assert reason is EndReason.COMPLETE


async def test_calls_alone_are_an_answer() -> None:
    listener, reason = await answer([CALLS])
    assert listener.parts == [Milestone("first_token"), CALLS]
    assert reason is EndReason.COMPLETE


async def test_thoughts_and_usage_are_passed_on_and_not_spoken() -> None:
    usage = UsageReported(Usage(prompt_tokens=3, response_tokens=2))
    voice = ScriptedVoice()
    listener, _ = await answer([TextDelta("hm", thought=True), *deltas("Yes."), usage], voice)
    assert voice.heard == ["Yes."]
    assert TextDelta("hm", thought=True) in listener.parts
    assert usage in listener.parts


async def test_text_modality_goes_straight_through() -> None:
    voice = ScriptedVoice()
    script = [*deltas("**a", "** b. "), CALLS]
    listener, reason = await answer(script, voice, Modality.TEXT)
    assert listener.parts == [Milestone("first_token"), *script]
    assert voice.heard == []
    assert reason is EndReason.COMPLETE


@pytest.mark.parametrize("modality", Modality)
async def test_an_empty_answer_needs_more_input(modality: Modality) -> None:
    listener, reason = await answer([], modality=modality)
    assert listener.parts == []
    assert reason is EndReason.NEED_MORE_INPUT
    assert (await answer(deltas("", " "), modality=modality))[1] is EndReason.NEED_MORE_INPUT


async def test_the_models_own_reason_is_kept() -> None:
    _, reason = await answer([*deltas("Half a"), Ended(EndReason.MAX_TOKENS)])
    assert reason is EndReason.MAX_TOKENS


# --- pace, failure, cancellation ---------------------------------------------------------


async def test_a_slow_voice_holds_the_model_back() -> None:
    gate = asyncio.Event()
    model = ScriptedModel(deltas(*["This is a sentence. "] * 50))
    listener = Listener()
    cascade = Cascade(model, ScriptedVoice(gate=gate))
    running = asyncio.ensure_future(cascade.respond(asked(), listener))
    await steps(500)
    assert 1 < model.given < 10
    gate.set()
    await running
    assert listener.transcript == "This is a sentence. " * 50


async def test_a_failing_model_is_an_engine_error_and_keeps_what_was_said() -> None:
    failure = EngineError("model.scripted", "The model broke.")
    voice = ScriptedVoice()
    with pytest.raises(EngineError) as raised:
        await answer([*deltas("A b. ", "C"), failure], voice)
    assert raised.value is failure
    assert voice.open == 0


async def test_a_failing_voice_is_an_engine_error_and_stops_the_model() -> None:
    model = ScriptedModel(deltas("One two three. ", *["More words here. "] * 100))
    voice, listener = ScriptedVoice(fails_at="three."), Listener()
    with pytest.raises(EngineError, match="The voice broke"):
        await Cascade(model, voice).respond(asked(), listener)
    assert listener.transcript == "One two"
    assert (model.open, voice.open) == (0, 0)
    assert model.given < 100


async def test_a_bug_in_an_engine_stays_what_it_is() -> None:
    with pytest.raises(ZeroDivisionError):
        await answer([ZeroDivisionError()])


async def test_cancelled_at_every_await_point() -> None:
    script = [*deltas("Hello there, friend. ", "It is $5 today. "), CALLS, *deltas("Bye.")]

    def build() -> tuple[ScriptedModel, ScriptedVoice, Listener]:
        return ScriptedModel(script), ScriptedVoice(), Listener()

    model, voice, whole = build()
    total = await run_for(Cascade(model, voice).respond(asked(), whole), None)
    assert total > 20
    for limit in range(total):
        model, voice, listener = build()
        before = asyncio.all_tasks()
        await run_for(Cascade(model, voice).respond(asked(), listener), limit)
        assert (model.open, voice.open) == (0, 0), f"left open when cancelled at step {limit}"
        assert asyncio.all_tasks() == before
        assert whole.transcript.startswith(listener.transcript)


async def steps(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def run_for(work: Coroutine[Any, Any, EndReason], limit: int | None) -> int:
    """Run `work` for `limit` turns of the loop, cancel it, and wait; or count the turns."""
    task = asyncio.ensure_future(work)
    turns = 0
    while not task.done() and (limit is None or turns < limit):
        await asyncio.sleep(0)
        turns += 1
    if task.cancel():
        with pytest.raises(asyncio.CancelledError):
            await task
    return turns


# --- being built -------------------------------------------------------------------------


class Host:
    """Builds from a table of parts; notes what was asked for."""

    def __init__(self, build: Callable[[str], Any]) -> None:
        self._build = build
        self.asked: list[tuple[str, Any]] = []

    def say(self, line: str) -> None:
        pass

    def weights(self, name: str) -> Any:
        raise AssertionError(name)

    async def build(self, port: str, choice: Any) -> Any:
        self.asked.append((port, choice))
        return self._build(port)


async def test_it_is_built_from_its_parts_and_passes_calls_on() -> None:
    model, voice = ScriptedModel([]), ScriptedVoice()
    host = Host({"model": model, "synthesizer": voice}.__getitem__)
    cascade = await create({"model": "echo", "voice": {"use": "tones"}}, host)
    assert host.asked == [("model", "echo"), ("synthesizer", {"use": "tones"})]
    assert (cascade.capabilities.tools, cascade.capabilities.images) == (True, True)
    await cascade.prepare(asked())
    await cascade.release("s")
    await cascade.aclose()
    assert model.calls == ["prepare s", "release s", "close"]
    assert voice.closed


@pytest.mark.parametrize("settings", [{}, {"model": "a"}, {"model": "a", "voice": "b", "x": 1}])
async def test_settings_that_cannot_work_are_said(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        await create(settings, Host(lambda port: ScriptedModel([])))


async def test_a_missing_voice_leaves_no_model_running() -> None:
    model = ScriptedModel([])

    def build(port: str) -> Any:
        if port == "model":
            return model
        raise EngineError("synthesizer.x", "gone")

    with pytest.raises(EngineError):
        await create({"model": "a", "voice": "b"}, Host(build))
    assert model.calls == ["close"]


# --- clarification -----------------------------------------------------------------------

MUSH = "the lights or the likes of"


async def asked_again(asked: GenerationRequest) -> list[GenerationPart]:
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
        said.append(words(await asked_again(asked)))
        heard = Content(Role.MODEL, (Text(said[-1]),))
        asked = replace(asked, history=(*asked.history, heard, *request(MUSH).history))
    assert said[0] == said[3] == "Sorry, I didn't catch that."
    assert len(set(said)) == 3


async def test_in_another_language_the_model_answers_but_calls_nothing() -> None:
    asked = unclear(language="de-DE")
    assert words(await asked_again(asked)) == MUSH
    calls = await asked_again(replace(asked, unclear=False))
    assert any(isinstance(part, CallsRequested) for part in calls)
