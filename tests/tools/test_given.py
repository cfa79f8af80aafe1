"""An address that nobody but the model has named is not read: who names one."""

from __future__ import annotations

import pytest

from tools.conversations import conversation, exchange, said, user
from vivavoce.domain.content import (
    Content,
    FileRef,
    Json,
    Role,
    ServerTool,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.tools.web.url_provenance import MOST, find_named_urls

URL = "https://www.example.org/news/today"
FOUND: Json = {"results": [{"title": "News", "url": URL, "text": "See https://other.example/x"}]}


def is_given(request: GenerationRequest, url: str = URL) -> bool:
    return find_named_urls([url], request) == {url}


def test_people_files_and_the_instruction_give_addresses() -> None:
    assert is_given(said(f"what is on {URL}?"))
    assert is_given(conversation(user(FileRef(URL, "text/html"))))
    assert is_given(conversation(instruction=f"Our page is {URL}."))
    assert not is_given(conversation(instruction="anything"), "")


def test_each_address_is_looked_for_by_itself() -> None:
    asked = [URL, "https://example.org/other", "https://third.example/"]
    assert find_named_urls(asked, said("read example.org/other", URL)) == set(asked[:2])


def test_what_the_model_said_gives_nothing() -> None:
    words = Content(Role.MODEL, (Text(f"Shall I read {URL}?"),))
    assert not is_given(conversation(user(Text("yes")), words))


def test_a_search_gives_the_addresses_that_it_found_and_not_those_in_texts() -> None:
    request = conversation(*exchange("google_search", {"query": "news"}, FOUND))
    assert is_given(request)
    assert not is_given(request, "https://other.example/x")


@pytest.mark.parametrize("response", [{"results": URL}, {"results": [URL, {"url": 1}, {}]}, {}])
def test_a_search_without_results_gives_nothing(response: Json) -> None:
    assert not is_given(conversation(*exchange("google_search", {"query": "news"}, response)))


@pytest.mark.parametrize("response", [{"page": URL}, {"pages": [{"links": (f"[a]({URL})",)}]}])
def test_a_function_gives_what_it_was_not_asked_for(response: Json) -> None:
    assert is_given(conversation(*exchange("pages", {"about": "news"}, response)))


@pytest.mark.parametrize("part", [URL, f"Go to {URL}.", "example.org/news/today"])
def test_a_result_that_repeats_what_was_asked_gives_nothing(part: str) -> None:
    args = {"note": {"text": [part]}}
    assert not is_given(conversation(*exchange("remember", args, {"noted": URL})))
    result = ToolResult(CallId("c"), "remember", {}, parts=(FileRef(URL, "text/html"),))
    call, _ = exchange("remember", args, {})
    assert not is_given(conversation(call, user(result)))
    other = ToolCall(CallId("c"), "remember", {"note": "milk"})
    assert is_given(conversation(Content(Role.MODEL, (other,)), user(result)))


def test_what_the_model_has_written_down_is_not_given_when_it_is_read_out() -> None:
    noted = exchange("remember", {"note": URL}, {"noted": True}, "1")
    read = exchange("recall", {}, {"notes": [URL]}, "2")
    assert not is_given(conversation(*noted, *read))
    assert is_given(conversation(*read, *noted)), "it was there before"
    assert is_given(conversation(*noted, *read, user(Text(URL)))), "now the user has named it"


def test_an_address_that_was_refused_can_still_be_found() -> None:
    refused = exchange("url_context", {"urls": [URL]}, {"pages": [{"url": URL}]}, "1")
    found = exchange("google_search", {"query": URL}, FOUND, "2")
    assert is_given(conversation(*refused, *found))
    assert is_given(conversation(*refused, *exchange("pages", {}, {"page": URL}, "2")))


@pytest.mark.parametrize("name", ["url_context", "url_context_2", "code_execution"])
def test_pages_and_programs_give_nothing(name: str) -> None:
    assert not is_given(conversation(*exchange(name, {}, {"output": URL})))


@pytest.mark.parametrize("kind", [ToolKind.URL, ToolKind.CODE, ToolKind.SEARCH])
def test_what_a_tool_does_counts_and_not_only_its_name(kind: ToolKind) -> None:
    tools = Tools(server=(ServerTool(ToolDeclaration("renamed"), kind),))
    assert not is_given(conversation(*exchange("renamed", {}, {"output": URL}), tools=tools))
    mcp = Tools(server=(ServerTool(ToolDeclaration("renamed"), ToolKind.MCP),))
    assert is_given(conversation(*exchange("renamed", {}, {"output": URL}), tools=mcp))


def test_calls_and_results_belong_together_by_id_or_else_by_name() -> None:
    call, result = exchange("pages", {}, {"page": URL})
    assert not is_given(conversation(result)), "nobody knows what was asked"
    (other,) = exchange("pages", {}, {}, "another")[:1]
    assert not is_given(conversation(other, result))
    unnumbered = user(ToolResult(CallId(""), "pages", {"page": URL}))
    assert is_given(conversation(call, unnumbered))
    assert not is_given(conversation(exchange("lights", {}, {})[0], unnumbered))


def test_only_the_newest_of_a_long_conversation_is_looked_through() -> None:
    long = user(Text("word " * (MOST // 5)))
    assert is_given(conversation(long, user(Text(URL))))
    assert not is_given(conversation(user(Text(f"{URL} {'and so on ' * 9}")), long))
    assert is_given(conversation(user(Text(f"{URL} {long.text}")))), "as far as it goes"
    noise = exchange("noise", {}, {"noise": [""] * MOST}, "2")
    told = exchange("pages", {}, {"page": URL}, "1")
    assert is_given(conversation(*noise, *told))
    assert not is_given(conversation(*told, *noise))
    assert is_given(conversation(user(Text(URL)), *noise)), "tools do not talk the user down"


def test_a_long_text_is_not_cut_within_an_address() -> None:
    address = "https://example.org/news/today"
    beginnings = [address[:end] for end in range(len("https://e"), len(address))]
    assert address[:24] in find_named_urls(beginnings, said(address[:24]))
    text = "x " * (MOST // 2 - 20) + address  # the last of it is beyond what is looked through
    assert len(text) > MOST - 16 > len(text) - len(address)
    assert not find_named_urls(beginnings, said(text))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["xa.bx ", "a.", "https://[", "xa.bx/........ ", '["', "x@y.z:"])
def test_the_work_does_not_grow_with_the_square_of_a_hostile_text(piece: str) -> None:
    text = piece * (20 * MOST // len(piece))
    wanted = ["https://xa.bx/nothing", "http://a.a/b"]
    assert not find_named_urls(wanted, said(text))
    assert not find_named_urls(wanted, conversation(*exchange("f", {"a": "b"}, {"text": text})))
    deep: list[object] = []
    for _ in range(MOST // 10):
        deep = [deep]
    assert not find_named_urls(wanted, conversation(*exchange("f", {"a": "b"}, {"deep": deep})))
