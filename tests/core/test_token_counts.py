"""Sizes are exact whatever was added and dropped, and each is determined once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.resuming import resumed
from core.world import SETUP, World, requests
from support.budget import budget
from vivavoce.core import history as module
from vivavoce.core.effects import Send, StartGeneration
from vivavoce.core.events import ContentReceived, ContextUpdated, TextReceived
from vivavoce.core.messages import TurnComplete
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
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Compression, Modality

WINDOW = 10**6
IMAGE_TOKENS = SETUP.image_tokens


class Tokenizer:
    """Counts words, after `learn` otherwise than before, and what it was asked to count."""

    def __init__(self) -> None:
        self.counted: list[str] = []
        self.factor = 1

    def count(self, text: str) -> int:
        self.counted.append(text)
        return self.factor * len(text.split())

    def revision(self) -> int:
        return self.factor

    def learn(self) -> None:
        self.factor += 1

    @property
    def gauge(self) -> TokenCounter:
        return TokenCounter(WINDOW, self.count, self.revision)


def anew(request: GenerationRequest, gauge: TokenCounter) -> TokenCounts:
    """What a request weighs when everything is weighed anew."""
    fixed = CountedTexts([request.instruction, *tool_texts(request.tools)])
    contributions = tuple(map(Contribution, request.history))
    return Prompt(fixed, contributions, gauge, IMAGE_TOKENS).token_counts()


def told(complete: TurnComplete) -> TokenCounts:
    """What a turn was made from, as the client is told of its cost."""
    cost = complete.usage
    assert cost is not None
    text = cost.prompt + cost.tools - cost.prompt_audio - cost.prompt_images
    return TokenCounts(text, cost.prompt_audio, cost.prompt_images)


class Costs:
    """Compares what each turn is told to have cost with its request, weighed anew."""

    def __init__(self, world: World, gauge: TokenCounter) -> None:
        self._world, self._gauge = world, gauge
        self._seen = 0
        self._request: GenerationRequest | None = None
        self.compared = 0

    def compare(self) -> None:
        """Look at what has happened since the last time."""
        for effect in self._world.effects[self._seen :]:
            match effect:
                case StartGeneration(request):
                    self._request = request
                case Send(TurnComplete(usage=usage) as complete) if usage and self._request:
                    assert told(complete) == anew(self._request, self._gauge)
                    self.compared += 1
        self._seen = len(self._world.effects)


def answer(world: World, text: str = "yes") -> None:
    world.say(text, b"")
    world.finish()
    world.wait(1)


def picture(world: World) -> None:
    parts = (Blob(bytes(300), "image/png"), Text("look at this"))
    world.do(ContentReceived((Content(Role.USER, parts),), True))


def call(world: World) -> None:
    world.do(TextReceived("turn on the lights"))
    world.say("One moment.", bytes(480))
    world.call("lights")
    world.answer("lights", response={"on": True, "note": "the lights are on now", "W": [0.1, 1e22]})


def many(world: World) -> None:
    """More turns in one message than a history keeps, with calls and their results among them."""
    exchange = (
        Content(Role.USER, (Text("one two"),)),
        Content(Role.MODEL, (ToolCall(CallId("seeded"), "lights", {}),)),
        Content(Role.USER, (ToolResult(CallId("seeded"), "lights", {"on": True}),)),
    )
    world.do(ContentReceived((*exchange * 5, exchange[0]), True))


MOVES: dict[str, Callable[[World], object]] = {
    "text": lambda world: world.do(TextReceived("one two three four")),
    "speech": lambda world: world.speak("what was said"),
    "picture": picture,
    "call": call,
    "many": many,
    "update": lambda world: world.do(
        ContextUpdated("other rules", Tools((ToolDeclaration("lights", "of the house"),)))
    ),
}
ENDS: dict[str, Callable[[World], object]] = {
    "answer": answer,
    "cut": lambda world: world.say("so many words of an answer", bytes(9600)),
}


@settings(deadline=None, max_examples=budget(20, 100))
@given(
    st.lists(st.tuples(st.sampled_from(sorted(MOVES)), st.sampled_from(sorted(ENDS))), max_size=30),
    st.none() | st.integers(10, 60),
    st.booleans(),
)
def test_kept_weights_are_exact_whatever_is_cut_dropped_or_compressed(
    steps: list[tuple[str, str]], trigger: int | None, learns: bool
) -> None:
    tokenizer = Tokenizer()
    compression = None if trigger is None else Compression(trigger, trigger // 2)
    wanted = SessionSettings(history_contents=10)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "MAX_BYTES", 2000)
        world = World(replace(SETUP, compression=compression), wanted, gauge=tokenizer.gauge)
        costs = Costs(world, tokenizer.gauge)
        for move, end in steps:
            MOVES[move](world)
            costs.compare()
            if learns:
                tokenizer.learn()
            ENDS[end](world)
            costs.compare()
        world.do(TextReceived("and now"))
        costs.compare()
        answer(world)
        world.wait(5)
        costs.compare()
        assert costs.compared


def test_a_resumed_conversation_weighs_what_it_weighed() -> None:
    old = World(replace(SETUP, modality=Modality.TEXT), gauge=TokenCounter(WINDOW))
    for move in ("text", "picture", "call"):
        MOVES[move](old)
        answer(old)
    old.do(TextReceived("and now"))
    answer(old)
    new = resumed(old)
    new.do(TextReceived("and now"))
    answer(new)
    completes = [m for m in new.messages() if isinstance(m, TurnComplete) and m.usage]
    before, after = map(told, completes[-2:])
    assert after.total > before.total
    assert after == anew(requests(new)[-1], TokenCounter(WINDOW))


def test_a_text_is_counted_once_however_long_the_conversation_gets() -> None:
    tokenizer = Tokenizer()
    world = World(replace(SETUP, modality=Modality.TEXT), gauge=tokenizer.gauge)
    for number in range(100):
        world.do(TextReceived(f"question {number}"))
        answer(world, f"answer {number}")
    asked = [text for text in tokenizer.counted if text.startswith(("question", "answer"))]
    assert len(asked) == len(set(asked))


def test_content_is_counted_as_it_comes_and_not_with_the_answer() -> None:
    tokenizer = Tokenizer()
    setup = replace(SETUP, compression=Compression(trigger_tokens=500, target_tokens=100))
    world = World(setup, gauge=tokenizer.gauge)
    for number in range(100):
        contents = (Content(Role.MODEL, (Text(f"fact {number} of many words"),)),)
        world.do(ContentReceived(contents, turn_complete=False))
    counted = set(tokenizer.counted)
    assert {f"fact {number} of many words" for number in range(100)} <= counted
    tokenizer.counted.clear()
    world.do(TextReceived("question"))
    assert requests(world)
    assert tokenizer.counted == ["question"]


def test_declarations_are_counted_before_a_session_begins() -> None:
    tokenizer = Tokenizer()
    world = World(SETUP, gauge=tokenizer.gauge)
    assert set(tool_texts(SETUP.tools)) <= set(tokenizer.counted)
    tokenizer.counted.clear()
    world.do(TextReceived("question"))
    assert tokenizer.counted == ["question"]


def test_what_a_tokenizer_learns_during_a_turn_counts_in_its_cost() -> None:
    tokenizer = Tokenizer()
    world = World(replace(SETUP, tools=Tools(), modality=Modality.TEXT), gauge=tokenizer.gauge)
    world.do(TextReceived("one two"))
    tokenizer.learn()
    answer(world)
    (complete,) = [message for message in world.messages() if isinstance(message, TurnComplete)]
    assert complete.usage is not None
    assert complete.usage.prompt == 4
