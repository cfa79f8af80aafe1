"""The language of dialogues: what it reads, what it refuses, what it finds wrong."""

from __future__ import annotations

import pytest

from support import script_parser as language
from support.core_runner import play_on_core
from support.dialogue import (
    Answer,
    ContextChange,
    Contribution,
    Microphone,
    Speech,
    Stray,
    ToolAnswer,
    Typing,
)
from support.expectations import Mismatch, check_expectations
from support.script_parser import ScriptError, parse_script
from vivavoce.core.messages import (
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    OutputTranscript,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
)
from vivavoce.domain.content import Json, Scheduling, ToolCall, ToolKind, Tools
from vivavoce.domain.ids import CallId

CALL = ToolCallRequest((ToolCall(CallId("1"), "lights", {}),))


def test_the_example_of_the_manual_is_played_as_it_says() -> None:
    manual = language.__doc__ or ""
    example = manual.split("\n\n")[1]
    script = parse_script(example)
    assert len(script.steps) == 3
    check_expectations(script.expectations, play_on_core(script))


def test_every_kind_of_line_is_read() -> None:
    script = parse_script(
        """
        setup   text, manual, silence: 300, tools: lights, report (non-blocking), early
        model   after 0.5 calls lights {"on": true} then says "Yes." over 2   # a comment
        model   is silent
        model   fails
        user    1-2.5 "go on"
        text    3 "#1"
        content 4 user "a" model "b" answer
        content 5 answer
        mic     6 end
        tool    report {} after 1 silent continues
        until   60
        """
    )
    assert script.answers == [
        Answer(0.5, "Yes.", 2.0, (("lights", {"on": True}),)),
        Answer(),
        Answer(fails=True),
    ]
    speech, typing, content, trigger, microphone, tool = script.steps
    assert speech == Speech(1.0, 2.5, "go on")
    assert typing == Typing(3.0, "#1")
    assert isinstance(content, Contribution)
    assert [turn.text for turn in content.turns] == ["a", "b"]
    assert trigger == Contribution(5.0, (), answer=True)
    assert microphone == Microphone(6.0, announced=True)
    assert tool == ToolAnswer("report", {}, 1.0, Scheduling.SILENT, will_continue=True)
    assert script.setup.realtime.detection.disabled
    assert script.setup.realtime.detection.silence_duration_ms == 300
    assert [f.name for f in script.setup.tools.functions] == ["lights", "report"]
    assert script.settings.early_turn_complete
    assert script.until == 60.0


def test_every_kind_of_line_about_tools_is_read() -> None:
    script = parse_script(
        """
        setup   tools: lights, find (search), run (code), deadline: 2, served-deadline: 3
        setup   shows-calls
        model   given {"a": 1} without "b" calls find {"query": "x and y"} and lights then fails
        model   after 0.2 calls run then says "Done." over 1 then fails after 0.4
        tool    find fails "No way." after 0.5
        tool    lights {"n": {"m": 1}} after 1 twice
        stray   2 lights {"ok": true}
        update  3 tools: read (url), ask (mcp), report (non-blocking) instruction "Be brief."
        update  4 tools: none
        update  5 instruction "Be kind."
        """
    )
    assert [f.name for f in script.setup.tools.functions] == ["lights"]
    assert [t.kind for t in script.setup.tools.server] == [ToolKind.SEARCH, ToolKind.CODE]
    assert (script.settings.tool_deadline_s, script.settings.server_tool_deadline_s) == (2.0, 3.0)
    assert script.setup.shows_server_calls
    calls: tuple[tuple[str, Json], ...] = (("find", {"query": "x and y"}), ("lights", {}))
    assert script.answers == [
        Answer(calls=calls, fails=True, given='{"a": 1}', without="b"),
        Answer(0.2, "Done.", 1.0, (("run", {}),), fails=True, fails_after_s=0.4),
    ]
    failed, twice, stray, update, cleared, instructed = script.steps
    assert failed == ToolAnswer("find", {"error": "No way."}, 0.5, fails="No way.")
    assert twice == ToolAnswer("lights", {"n": {"m": 1}}, 1.0, twice=True)
    assert stray == Stray(2.0, "lights", {"ok": True})
    assert isinstance(update, ContextChange)
    assert update.instruction == "Be brief."
    assert update.tools is not None
    assert [tool.name for tool in update.tools.declarations] == ["report", "read", "ask"]
    assert cleared == ContextChange(4.0, None, Tools())
    assert instructed == ContextChange(5.0, "Be kind.", None)
    assert [t.declaration.name for t in script.server_tools] == ["find", "run", "read", "ask"]


@pytest.mark.parametrize(
    "line",
    [
        "user 1 'no span'", "setup loud", "sing", "model says nothing", "tool lights on",
        "count x y", "setup tools: lights (loud)", "update", "model calls lights and",
        "model given nothing fails", "stray 1 lights", "tool find fails",
    ],
)  # fmt: skip
def test_what_cannot_be_read_is_named_with_its_line(line: str) -> None:
    with pytest.raises(ScriptError, match="line 2"):
        parse_script(f"# first\n{line}")


SAID: list[tuple[float, Message]] = [
    (1.0, InputTranscript("Turn on, the lights!")),
    (1.1, CALL),
    (1.5, ModelAudio(b"")),
    (1.5, OutputTranscript("They are")),
    (1.6, OutputTranscript(" on.")),
    (2.0, TurnComplete()),
    (3.0, TurnComplete(reason=TurnReason.GENERATED_OTHER)),
]


@pytest.mark.parametrize(
    "expected",
    [
        'expect inputTranscription "turn on the lights" then toolCall lights then turnComplete',
        'expect says "they are on" then turnComplete OK then turnComplete GENERATED_OTHER',
        "tool lights {} after 0.3\nexpect audio within 0.1",
        "never interrupted\ncount turnComplete 2",
    ],
)
def test_what_holds_passes(expected: str) -> None:
    check_expectations(parse_script(expected).expectations, SAID)


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ("expect turnComplete then audio", "audio did not come"),
        ('expect inputTranscription "turn off the lights"', "did not come"),
        ('expect says "they are off"', "did not come"),
        ("tool lights {} after 0.1\nexpect audio within 0.1", "came 0.200 s late"),
        ("tool report {}\nexpect audio within 0.1", "audio waits for call 1 of report"),
        (
            "tool lights {}\ntool lights {}\nexpect audio within 0.1",
            "audio waits for call 2 of lights",
        ),
        ("never toolCall", "came 1 times, not 0"),
        ("count turnComplete 3", "came 2 times, not 3"),
        ("expect turnComplete GENERATED_OTHER then turnComplete", "did not come"),
    ],
)
def test_what_does_not_hold_is_reported(expected: str, problem: str) -> None:
    with pytest.raises(Mismatch, match=problem):
        check_expectations(parse_script(expected).expectations, SAID)


def test_an_interruption_is_measured_from_the_beginning_of_speech() -> None:
    expected = parse_script('user 2-9 "stop"\nexpect interrupted within 0.5').expectations
    check_expectations(expected, [(2.4, Interrupted())])
    with pytest.raises(Mismatch, match="late"):
        check_expectations(expected, [(2.9, Interrupted())])


PLAYED = """
setup   text, tools: search (search)
mic     0 off
model   calls search {"query": "x"}
model   %s says "Found." over 0.2
text    0.2 "find x"
tool    search {"results": []} after 0.2
until   2
"""


@pytest.mark.parametrize("known", ['given {"results": []}', 'given "find x"', 'without "found"'])
def test_what_the_model_is_given_is_looked_at(known: str) -> None:
    play_on_core(parse_script(PLAYED % known))


@pytest.mark.parametrize("known", ['given "find y"', 'without "find x"', 'without {"results": []}'])
def test_a_model_that_is_given_something_else_is_reported(known: str) -> None:
    with pytest.raises(Mismatch, match="given"):
        play_on_core(parse_script(PLAYED % known))


def test_a_model_that_is_never_asked_is_reported() -> None:
    with pytest.raises(Mismatch, match="never asked for 1"):
        play_on_core(parse_script(PLAYED % "" + 'model says "Again." over 0.2'))
