"""The language of dialogues: what it reads, what it refuses, what it finds wrong."""

from __future__ import annotations

import pytest

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
from vivavoce.domain.content import Scheduling, ToolCall
from vivavoce.domain.ids import CallId
from vivavoce.testing import script as language
from vivavoce.testing.bare_stage import play
from vivavoce.testing.check import Mismatch, check
from vivavoce.testing.dialogue import (
    Answer,
    Contribution,
    Microphone,
    Speech,
    ToolAnswer,
    Typing,
)
from vivavoce.testing.script import ScriptError, parse

CALL = ToolCallRequest((ToolCall(CallId("1"), "lights", {}),))


def test_the_example_of_the_manual_is_played_as_it_says() -> None:
    manual = language.__doc__ or ""
    example = manual.split("\n\n")[1]
    script = parse(example)
    assert len(script.steps) == 3
    check(script.expectations, play(script))


def test_every_kind_of_line_is_read() -> None:
    script = parse(
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


@pytest.mark.parametrize(
    "line",
    ["user 1 'no span'", "setup loud", "sing", "model says nothing", "tool lights on", "count x y"],
)
def test_what_cannot_be_read_is_named_with_its_line(line: str) -> None:
    with pytest.raises(ScriptError, match="line 2"):
        parse(f"# first\n{line}")


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
    check(parse(expected).expectations, SAID)


@pytest.mark.parametrize(
    ("expected", "problem"),
    [
        ("expect turnComplete then audio", "audio did not come"),
        ('expect inputTranscription "turn off the lights"', "did not come"),
        ('expect says "they are off"', "did not come"),
        ("tool lights {} after 0.1\nexpect audio within 0.1", "came 0.200 s late"),
        ("tool report {}\nexpect audio within 0.1", "audio waits for call 1 of report"),
        ("never toolCall", "came 1 times, not 0"),
        ("count turnComplete 3", "came 2 times, not 3"),
        ("expect turnComplete GENERATED_OTHER then turnComplete", "did not come"),
    ],
)
def test_what_does_not_hold_is_told(expected: str, problem: str) -> None:
    with pytest.raises(Mismatch, match=problem):
        check(parse(expected).expectations, SAID)


def test_an_interruption_is_measured_from_the_beginning_of_speech() -> None:
    expected = parse('user 2-9 "stop"\nexpect interrupted within 0.5').expectations
    check(expected, [(2.4, Interrupted())])
    with pytest.raises(Mismatch, match="late"):
        check(expected, [(2.9, Interrupted())])
