"""What takes time with a power of the text's length is looked at for the beginning only.

The bound is far above what these take, and far below what they took: half a minute and more,
during which no other conversation was served.
"""

from __future__ import annotations

import time

import pytest

from engines.llamacpp_model import Host
from engines.talk import user
from vivavoce.domain.content import ServerTool, ToolDeclaration, ToolKind, Tools
from vivavoce.engines.function_calling.intents import IntentDetector
from vivavoce.engines.function_calling.router import Router
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.function_calling.utterances import strip_request

pytestmark = pytest.mark.embedded

BOUND_S = 5
TURN = ToolDeclaration("turn_on_the_lights", "Turn on the lights.")
TOOLS = Tools(
    functions=(TURN,),
    server=tuple(
        ServerTool(ToolDeclaration(kind.name.lower(), ""), kind)
        for kind in (ToolKind.SEARCH, ToolKind.CODE, ToolKind.URL)
    ),
)


@pytest.fixture(scope="module")
def router() -> Router:
    return Router(MiniLM(Host().weights("minilm")))


@pytest.mark.parametrize(
    "text",
    [
        "turn " + " " * 15_000 + "x",
        "what is" + "\n" * 15_000 + "x",
        "tell me about " + "? " * 30_000 + "x",
        "search for " + "a, " * 20_000,
        "please " * 9_000 + "x",
        "run " + "1+" * 30_000 + "1",
        "```" + "a" * 15_000,
        "say " + "a" * 15_000,
    ],
    ids=lambda text: text[:10].strip(),
)
def test_a_text_made_to_be_slow_is_not(router: Router, text: str) -> None:
    began = time.thread_time()
    IntentDetector(router, TOOLS).detect([user(text)], 0)
    assert time.thread_time() - began < BOUND_S


def test_a_plea_ends_with_its_last_word() -> None:
    assert strip_request("Could you turn on \n the lights,  please ?!") == "turn on the lights"
    assert strip_request("I displease. ") == "I displease."
    assert strip_request("please") == "please"


def test_a_long_text_is_still_asked_for_what_it_begins_with(router: Router) -> None:
    text = "Turn on the lights. " + "The rest is a long story. " * 2_000
    found = IntentDetector(router, TOOLS).detect([user(text)], 0)
    assert [intent.tool.name for intent in found.calls] == [TURN.name]
