"""An address that nobody but the model has named is not read."""

from __future__ import annotations

import pytest

from vivavoce.domain.content import Content, FileRef, Part, Role, Text, ToolResult, Tools
from vivavoce.domain.ids import CallId, GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.tools.web.given import given

URL = "https://www.example.org/news/today"


def conversation(*contents: Content, instruction: str = "") -> GenerationRequest:
    return GenerationRequest(
        session=SessionId("s"),
        generation=GenerationId(1),
        instruction=instruction,
        history=contents,
        tools=Tools(),
        modality=Modality.AUDIO,
        voice="Puck",
        language="",
        sampling=Sampling(),
    )


def user(*parts: Part) -> Content:
    return Content(Role.USER, parts)


@pytest.mark.parametrize(
    "said",
    [
        f"what is on {URL}?",
        "read example.org/news/today, please",
        "Read HTTP://EXAMPLE.ORG/News/Today/.",
        "is (https://example.org/news/today) true",
    ],
)
def test_what_the_user_named_is_given(said: str) -> None:
    assert given(URL, conversation(user(Text(said))))


@pytest.mark.parametrize(
    "said",
    [
        "what is on example.org",
        "read example.org/news/today/more",
        "read example.org/news/todayish",
        "read notexample.org/news/today",
        "read example.org/news/today?secret=1",
    ],
)
def test_another_address_is_not(said: str) -> None:
    assert not given(URL, conversation(user(Text(said))))


def test_what_the_model_said_gives_nothing() -> None:
    said = Content(Role.MODEL, (Text(f"Shall I read {URL}?"),))
    assert not given(URL, conversation(user(Text("yes")), said))


def test_results_files_and_the_instruction_give_addresses() -> None:
    result = ToolResult(CallId("c"), "f", {"results": [{"url": URL}]})
    assert given(URL, conversation(user(result)))
    assert given(URL, conversation(user(FileRef(URL, "text/html"))))
    assert given(URL, conversation(instruction=f"Our page is {URL}."))
    assert not given("", conversation(instruction="anything"))


def test_an_address_with_more_in_it_than_was_said_is_not_given() -> None:
    secret = f"{URL}?words=what+the+user+said"
    assert not given(secret, conversation(user(Text(f"read {URL}"))))
