"""The context window: what a prompt weighs, what slides out, and what ends a session."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.world import SETUP, World, requests, user
from support.budget import budget
from vivavoce.core.context_window import CompressionThresholds, count_to_drop
from vivavoce.core.effects import CloseConnection
from vivavoce.core.events import ContextUpdated, TextReceived, UsageProduced, VideoArrived
from vivavoce.core.messages import TokenCount, TurnComplete
from vivavoce.core.settings import SessionSettings
from vivavoce.core.token_counts import (
    Contribution,
    CountedTexts,
    Prompt,
    TokenCounter,
    TokenCounts,
    tool_texts,
)
from vivavoce.domain.content import (
    Blob,
    Content,
    FileRef,
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
    Usage,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.setup import Compression, Modality, SessionSetup

BARE = replace(SETUP, tools=Tools(), modality=Modality.TEXT)
SETTINGS = SessionSettings()


def words(text: str) -> int:
    return len(text.split())


def gauge(window: int = 1000) -> TokenCounter:
    return TokenCounter(window, words)


def weighed(*contents: Content, texts: Sequence[str] = (), image_tokens: int = 258) -> TokenCounts:
    """What contents weigh that have not been weighed before."""
    return Prompt(
        CountedTexts(texts), tuple(map(Contribution, contents)), gauge(), image_tokens
    ).token_counts()


# --- what it weighs -----------------------------------------------------------------------------

IMAGE = Blob(b"png", "image/png")


@pytest.mark.parametrize(
    ("content", "weight"),
    [
        (user("one two three"), TokenCounts(text=3)),
        (Content(Role.MODEL, (Text("one"), Text("two", thought=True))), TokenCounts(text=2)),
        (Content(Role.USER, (Text("spoken words"),), heard_s=2.0), TokenCounts(audio=50)),
        (
            Content(Role.USER, (IMAGE, Text("look here")), heard_s=1.0),
            TokenCounts(audio=25, images=258),
        ),
        (Content(Role.USER, (IMAGE, IMAGE)), TokenCounts(images=516)),
        (Content(Role.USER, (Blob(b"x", "audio/wav"), FileRef("u", "m"))), TokenCounts()),
        (Content(Role.MODEL, (ToolCall(CallId("1"), "f", {"a": "x y"}),)), TokenCounts(text=2)),
        (
            Content(Role.USER, (ToolResult(CallId("1"), "f", {"a": "x y z"}, parts=(IMAGE,)),)),
            TokenCounts(text=3, images=258),
        ),
    ],
)
def test_a_contribution_is_weighed_by_modality(content: Content, weight: TokenCounts) -> None:
    assert weighed(content) == weight


def test_declarations_weigh_what_a_model_reads_of_them() -> None:
    tools = Tools((ToolDeclaration("f", "does it well", {"type": "object"}),))
    assert weighed(texts=tool_texts(tools)) == TokenCounts(text=3)
    assert tool_texts(Tools()) == []


def turn(world: World, text: str, answer: str = "yes", usage: Usage | None = None) -> None:
    world.do(TextReceived(text))
    world.say(answer, b"")
    if usage:
        world.do(UsageProduced(world.current, usage))
    world.finish()
    world.wait(1)


def costs(world: World) -> list[TokenCount]:
    return [m.usage for m in world.messages() if isinstance(m, TurnComplete) and m.usage]


def test_the_prompt_is_the_whole_context_and_grows() -> None:
    world = World(replace(BARE, instruction="be kind"), SETTINGS, gauge=gauge())
    turn(world, "one two three", usage=Usage(prompt_tokens=99, response_tokens=1))
    turn(world, "four")
    assert [(cost.prompt, cost.response_text) for cost in costs(world)] == [(5, 1), (7, 0)]


def test_an_interrupted_turn_costs_what_it_was_made_from() -> None:
    world = World(BARE, SETTINGS, gauge=gauge())
    world.do(TextReceived("one two"))
    world.say("well", b"")
    world.do(TextReceived("stop"))
    assert costs(world)[0].prompt == 2


def test_images_count_as_the_client_wished() -> None:
    world = World(replace(BARE, image_tokens=64), SETTINGS, gauge=gauge())
    world.do(VideoArrived(0, IMAGE))
    turn(world, "look")
    assert (costs(world)[0].prompt, costs(world)[0].prompt_images) == (65, 64)


# --- where compression begins and how much it leaves --------------------------------------------


@pytest.mark.parametrize(
    ("wish", "bounds"),
    [
        (None, None),
        (Compression(), CompressionThresholds(800, 400)),
        (Compression(500), CompressionThresholds(500, 250)),
        (Compression(500, 100), CompressionThresholds(500, 100)),
        (Compression(None, 100), CompressionThresholds(800, 100)),
        (Compression(5000, 4000), CompressionThresholds(1000, 1000)),
        (Compression(100, 900), CompressionThresholds(100, 100)),
    ],
)
def test_bounds(wish: Compression | None, bounds: CompressionThresholds | None) -> None:
    assert CompressionThresholds.from_setup(wish, 1000) == bounds


def test_the_oldest_go_until_enough_has_gone() -> None:
    assert count_to_drop([5, 5, 5], 0) == 0
    assert count_to_drop([5, 5, 5], 6) == 2
    assert count_to_drop([5, 5, 5], 99) == 3


def compressing(trigger: int, target: int, **setup: object) -> World:
    wished = replace(BARE, compression=Compression(trigger, target), **setup)  # type: ignore[arg-type]
    return World(wished, SETTINGS, gauge=gauge())


def test_the_conversation_slides_when_the_trigger_is_passed() -> None:
    world = compressing(20, 10, instruction="be kind")
    for number in range(6):
        turn(world, f"question number {number}", "an answer")
    made_from = [[content.text for content in r.history] for r in requests(world)]
    assert [len(texts) for texts in made_from] == [1, 3, 5, 7, 3, 5], "2+5n+3 tokens, up to 20"
    assert made_from[4] == ["question number 3", "an answer", "question number 4"]
    assert {request.instruction for request in requests(world)} == {"be kind"}
    assert not world.session.closed


def test_a_trigger_that_is_not_passed_leaves_everything() -> None:
    world = compressing(20, 5)
    turn(world, " ".join(["word"] * 20))
    assert len(requests(world)[-1].history) == 1
    turn(world, "more")
    assert [content.text for content in requests(world)[-1].history] == ["more"]


def test_the_users_last_words_stay_whatever_they_weigh() -> None:
    world = compressing(20, 5)
    turn(world, "a b")
    turn(world, " ".join(["word"] * 50))
    (only,) = requests(world)[-1].history
    assert len(only.text.split()) == 50
    assert not world.session.closed


def test_sound_slides_out_with_its_words() -> None:
    world = World(replace(BARE, compression=Compression(80, 40)), SETTINGS, gauge=gauge())
    for text in ("one", "two", "three"):
        world.speak(text)
        world.say("yes", b"")
        world.finish()
        world.wait(1)
    sounds = [cost.prompt_audio for cost in costs(world)]
    assert sounds[1] > 60 > 40 > sounds[2], sounds


def test_what_was_changed_by_an_update_stays_too() -> None:
    world = compressing(20, 5)
    world.do(ContextUpdated("new rules", Tools((ToolDeclaration("f"),))))
    turn(world, " ".join(["word"] * 18))
    turn(world, "more")
    request = requests(world)[-1]
    assert (request.instruction, len(request.tools.functions)) == ("new rules", 1)
    assert [content.text for content in request.history] == ["more"]


def test_it_slides_within_a_turn_that_goes_on_after_its_calls() -> None:
    world = World(replace(SETUP, compression=Compression(40, 10)), SETTINGS, gauge=gauge())
    turn(world, "a b c d e f g h i j")
    world.do(TextReceived("go"))
    world.call("lights")
    world.answer("lights", response={"text": " ".join(["word"] * 40)})
    texts = [content.text for content in requests(world)[-1].history]
    assert texts[0] == "go"
    assert len(texts) == 3, "the call and its result stand after the user's last words"


# --- without it ---------------------------------------------------------------------------------


@pytest.mark.parametrize("compression", [None, Compression()])
def test_a_window_that_is_full_ends_the_session_clearly(compression: Compression | None) -> None:
    world = World(replace(BARE, compression=compression), SETTINGS, gauge=gauge(50))
    turn(world, "hello")
    effects = world.do(TextReceived(" ".join(["word"] * 60)))
    (ending,) = [effect for effect in effects if isinstance(effect, CloseConnection)]
    assert ending.code == 1007
    assert ending.reason.startswith("The context window of 50 tokens is full (6")
    assert ("contextWindowCompression" in ending.reason) is (compression is None)
    assert len(ending.reason) <= 123
    assert len(requests(world)) == 1, "nobody was asked"
    assert world.session.closed


def test_a_window_that_is_just_full_does_not() -> None:
    world = World(BARE, SETTINGS, gauge=gauge(50))
    turn(world, " ".join(["word"] * 50))
    assert not world.session.closed


# --- whatever the conversation ------------------------------------------------------------------

TURNS = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 6), st.booleans()), max_size=25)


@settings(max_examples=budget(20, 100))
@given(TURNS, st.integers(10, 60), st.integers(0, 60))
def test_after_sliding_it_begins_with_the_user_and_is_no_more_than_it_must_be(
    turns: list[tuple[int, int, bool]], trigger: int, target: int
) -> None:
    setup: SessionSetup = replace(SETUP, compression=Compression(trigger, target))
    world = World(setup, SETTINGS, gauge=TokenCounter(10**6, words))
    for said, answered, calls in turns:
        world.do(TextReceived(" ".join(["q"] * said)))
        if calls:
            world.call("lights")
            world.answer("lights")
        world.say(" ".join(["a"] * answered), bytes(480))
        world.finish()
        world.wait(1)
    bounds = CompressionThresholds.from_setup(setup.compression, 10**6)
    assert bounds is not None
    for request in requests(world):
        first = request.history[0]
        assert first.role is Role.USER
        assert not any(isinstance(part, ToolResult) for part in first.parts)
        calls_made = {p.id for c in request.history for p in c.parts if isinstance(p, ToolCall)}
        answered_ids = {p.id for c in request.history for p in c.parts if isinstance(p, ToolResult)}
        assert answered_ids <= calls_made
        fixed = [request.instruction, *tool_texts(request.tools)]
        total = weighed(*request.history, texts=fixed).total
        own = [c for c in request.history if c.role is Role.USER and c.text]
        assert total <= bounds.trigger or request.history.index(own[-1]) == 0
        assert request.tools == setup.tools
