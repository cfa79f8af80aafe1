"""The scripted engines: contracts, and tones as a language."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import soxr

from vivavoce.domain.content import (
    Blob,
    Content,
    Role,
    ServerTool,
    Text,
    ToolDeclaration,
    ToolKind,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.cascade import Cascade
from vivavoce.engines.ports import (
    CallsRequested,
    LanguageModel,
    ModelPart,
    Recognizer,
    Responder,
    Synthesizer,
    TextDelta,
    VoiceDetector,
)
from vivavoce.engines.scripted import (
    EchoModel,
    EnergyDetector,
    TonesRecognizer,
    TonesSynthesizer,
    hear,
    say,
    understand,
)
from vivavoce.testing.engine_contracts import (
    LanguageModelContract,
    RecognizerContract,
    ResponderContract,
    SynthesizerContract,
    VoiceDetectorContract,
    request,
)

SENTENCE = "turn on the lights please, naïve 123!"


class TestEnergy(VoiceDetectorContract):
    speech = say("turn on the lights", 16_000)

    def engine(self) -> VoiceDetector:
        return EnergyDetector()


class TestTonesRecognizer(RecognizerContract):
    speech = say("turn on the lights", 16_000)
    words = "turn on the lights"

    def engine(self) -> Recognizer:
        return TonesRecognizer()


class TestTonesSynthesizer(SynthesizerContract):
    def engine(self) -> Synthesizer:
        return TonesSynthesizer()


class TestEcho(LanguageModelContract):
    def engine(self) -> LanguageModel:
        return EchoModel()


class TestScriptedCascade(ResponderContract):
    def engine(self) -> Responder:
        return Cascade(EchoModel(), TonesSynthesizer())


@pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 44_100, 48_000])
def test_words_survive_any_rate(rate: int) -> None:
    assert hear(say(SENTENCE, rate), rate) == SENTENCE


@pytest.mark.parametrize("rates", [(24_000, 16_000), (16_000, 24_000), (48_000, 16_000)])
def test_words_survive_resampling(rates: tuple[int, int]) -> None:
    sound = np.frombuffer(say(SENTENCE, rates[0]), dtype="<i2")
    other = soxr.resample(sound, *rates, quality="LQ")
    assert hear(other.tobytes(), rates[1]) == SENTENCE


@pytest.mark.parametrize("silent_samples", [1, 7, 133, 640, 4_001])
def test_words_are_heard_wherever_they_start(silent_samples: int) -> None:
    assert hear(bytes(2 * silent_samples) + say(SENTENCE, 16_000)) == SENTENCE


def test_words_survive_noise_at_ten_decibels() -> None:
    sound = np.frombuffer(say(SENTENCE, 16_000), dtype="<i2").astype(float)
    noise = np.random.default_rng(7).normal(0, np.sqrt((sound**2).mean() / 10), len(sound))
    assert hear((sound + noise).clip(-32768, 32767).astype("<i2").tobytes()) == SENTENCE


def test_a_pause_between_sayings_becomes_a_space() -> None:
    assert hear(say("hello", 16_000) + bytes(8_000) + say("world", 16_000)) == "hello world"


def test_sound_without_tones_is_understood_as_how_long_it_lasted() -> None:
    noise = np.random.default_rng(7).normal(0, 3000, 19_200).astype("<i2").tobytes()
    assert hear(noise) == ""
    assert understand(bytes(16_000) + noise + bytes(16_000)) == "speech of 1.2 seconds"


async def said_by_echo(asked: GenerationRequest) -> str:
    parts = [part async for part in EchoModel().generate(asked)]
    return "".join(part.text for part in parts if isinstance(part, TextDelta))


async def test_echo_repeats_what_was_said() -> None:
    assert await said_by_echo(request("hello there")) == "hello there"


async def calls_of(said: str, function: ToolDeclaration) -> list[tuple[str, object]]:
    parts: list[ModelPart] = [
        part async for part in EchoModel().generate(request(said, functions=(function,)))
    ]
    calls = [call for part in parts if isinstance(part, CallsRequested) for call in part.calls]
    return [(call.name, call.args) for call in calls]


async def test_arguments_come_from_the_words() -> None:
    function = ToolDeclaration(
        "setColor",
        parameters={
            "type": "object",
            "properties": {
                "room": {"type": "string"},
                "level": {"type": "integer"},
                "color": {"type": "string", "enum": ["red", "blue"]},
                "now": {"type": "boolean"},
                "note": {"type": "string"},
            },
            "required": ["room", "level", "color", "now"],
        },
    )
    said = 'Set the color of the "living room" to blue at 40 percent.'
    assert await calls_of(said, function) == [
        ("setColor", {"room": "living room", "level": 40, "color": "blue", "now": True})
    ]


async def test_a_function_that_was_not_named_is_not_called() -> None:
    assert await calls_of("Good morning.", ToolDeclaration("turn_on_the_lights")) == []


async def test_after_a_result_echo_says_that_it_is_done() -> None:
    asked = request("turn on the lights", functions=(ToolDeclaration("turn_on_the_lights"),))
    result = ToolResult(CallId("1"), "turn_on_the_lights", {"ok": True})
    history = (*asked.history, Content(Role.USER, (result,)))
    assert await said_by_echo(replace(asked, history=history)) == "turn on the lights is done."


def served(kind: ToolKind, name: str) -> ServerTool:
    return ServerTool(ToolDeclaration(name), kind)


SEARCH = served(ToolKind.SEARCH, "google_search")
CODE = served(ToolKind.CODE, "code_execution")
PAGES = served(ToolKind.URL, "url_context")
LIGHTS = (ToolDeclaration("turn_on_the_lights"), ToolDeclaration("turn_off_the_lights"))
ALL = Tools(LIGHTS, server=(SEARCH, CODE, PAGES, served(ToolKind.MCP, "list_files")))


async def all_calls(said: str, tools: Tools = ALL) -> list[tuple[str, object]]:
    asked = replace(request(said), tools=tools)
    parts: list[ModelPart] = [part async for part in EchoModel().generate(asked)]
    batches = [part.calls for part in parts if isinstance(part, CallsRequested)]
    assert len(batches) <= 1
    return [(call.name, dict(call.args)) for batch in batches for call in batch]


@pytest.mark.parametrize(
    ("said", "calls"),
    [
        ("search for whales", [("google_search", {"query": "search for whales"})]),
        ("who wrote hamlet", [("google_search", {"query": "who wrote hamlet"})]),
        ("And then?", [("google_search", {"query": "And then?"})]),
        ("read https://a.example/b.", [("url_context", {"urls": ["https://a.example/b"]})]),
        ("what is on https://a.example", [("url_context", {"urls": ["https://a.example"]})]),
        ("calculate 17 * 23?", [("code_execution", {"code": "print(17 * 23)"})]),
        ("run print(2 + 2)", [("code_execution", {"code": "print(2 + 2)"})]),
        ("run x = 3; print(x)", [("code_execution", {"code": "x = 3; print(x)"})]),
        ("list the files", [("list_files", {})]),
        ("can you turn on the lights?", [("turn_on_the_lights", {})]),
        (
            "Search for whales and then turn on the lights",
            [
                ("google_search", {"query": "Search for whales and then turn on the lights"}),
                ("turn_on_the_lights", {}),
            ],
        ),
        (
            "turn off the lights and list the files and go",
            [("turn_off_the_lights", {}), ("list_files", {})],
        ),
        ("turn on the lights and turn on the lights", [("turn_on_the_lights", {})]),
        ("turn on the radio and dim the lights", [("turn_on_the_lights", {})]),
        ("good morning", []),
    ],
)
async def test_echo_calls_what_was_named(said: str, calls: list[tuple[str, object]]) -> None:
    assert await all_calls(said) == calls


async def test_a_name_that_holds_an_and_is_one_name() -> None:
    tools = Tools((ToolDeclaration("lock_and_leave"), ToolDeclaration("lock"), *LIGHTS))
    assert await all_calls("lock and leave", tools) == [("lock_and_leave", {})]


@pytest.mark.parametrize(
    "said", ["search for whales", "calculate 3 * 4", "read https://a.example", "list the files"]
)
async def test_echo_calls_nothing_that_is_not_offered(said: str) -> None:
    assert await all_calls(said, Tools(LIGHTS)) == []


@pytest.mark.parametrize(
    ("name", "response", "report"),
    [
        (
            "google_search",
            {"results": [{"text": "A  7.0 quake struck."}, {"text": "More."}]},
            "A  7.0 quake struck.",
        ),
        ("google_search", {"results": []}, "nothing was found."),
        ("google_search", {"error": "no net"}, "google search failed."),
        ("code_execution", {"outcome": "OUTCOME_OK", "output": "391\n"}, "the output is 391."),
        (
            "code_execution",
            {"outcome": "OUTCOME_FAILED", "output": "ZeroDivisionError"},
            "code execution failed.",
        ),
        ("url_context", {"pages": [{"text": ""}, {"text": "w" * 300}]}, "w" * 200),
        ("list_files", {"output": ["a"]}, "list files is done."),
    ],
)
async def test_echo_reports_word_for_word(
    name: str, response: dict[str, object], report: str
) -> None:
    asked = replace(request("go"), tools=ALL)
    history = (*asked.history, Content(Role.USER, (ToolResult(CallId("1"), name, response),)))
    assert await said_by_echo(replace(asked, history=history)) == report


async def test_echo_counts_pictures() -> None:
    asked = request("")
    content = Content(Role.USER, (Blob(b"x", "image/png"), Text("what is this")))
    assert (
        await said_by_echo(replace(asked, history=(content,))) == "1 picture arrived. what is this"
    )


async def test_echo_counts_no_sound_as_a_picture_and_goes_on_when_asked() -> None:
    asked = request("")
    sound = Content(Role.USER, (Blob(b"x", "audio/mp3"), Text("what is this")))
    assert await said_by_echo(replace(asked, history=(sound,))) == "what is this"
    answered = (sound, Content(Role.MODEL, (Text("what is this"),)))
    assert await said_by_echo(replace(asked, history=answered)) == "I am listening."
