"""Tool `url_context`: what it answers, and which addresses a conversation has named."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from tools.conversations import conversation, exchange, said, user
from tools.web_site import Names, Site, answer, fetcher, open_to, redirect, site
from vivavoce.domain.content import (
    Content,
    FileRef,
    Json,
    Page,
    RetrievalStatus,
    Role,
    ServerTool,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolOutcome,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import ConfigError, EngineBusy, ToolError
from vivavoce.tools.ssrf import MAX_URL
from vivavoce.tools.url_context import (
    CUT,
    MAX_SEARCHED_CHARS,
    UrlContextTool,
    UrlSet,
    create_tool,
    find_named_urls,
)

T = TypeVar("T")

PAGE = "<html><head><title>{0}</title></head><body><article><p>{1}</p></article></body></html>"
SENTENCE = "The harbour of Ravenna silted up, and the sea is now nine kilometres away. "


class Filling(WorkerPool):
    """Has room for some jobs, and then for none."""

    def __init__(self, engine: str, room: int) -> None:
        super().__init__(engine)
        self._room = room

    async def run(self, work: Callable[[CancelToken], T]) -> T:
        if not self._room:
            raise EngineBusy(self.engine, "Others were first.")
        self._room -= 1
        return await super().run(work)


@pytest.fixture
async def workers() -> AsyncIterator[WorkerPool]:
    one = WorkerPool("tools.url", workers=2)
    yield one
    one.close()


@pytest.fixture
async def web() -> AsyncIterator[Site]:
    async with site() as one:
        yield one


def tool(web: Site, workers: WorkerPool, **settings: Any) -> UrlContextTool:
    opened = open_to(web.port, **settings)
    return UrlContextTool(opened, fetcher(opened, Names()), workers)


def statuses(outcome: ToolOutcome) -> list[str]:
    return [page.status.value for page in outcome.pages]


@pytest.mark.integration
async def test_pages_are_read_side_by_side_and_each_fares_for_itself(
    web: Site, workers: WorkerPool
) -> None:
    base = f"http://127.0.0.1:{web.port}"
    web.pages["/good"] = answer(PAGE.format("Ravenna", SENTENCE * 3))
    web.pages["/pay"] = answer("pay", status=402)
    web.pages["/inside"] = redirect("http://127.0.0.2/")
    web.pages["/empty"] = answer("")
    urls = [f"{base}/{path}" for path in ("gone", "good", "pay", "inside", "empty")]
    outcome = await tool(web, workers).run({"urls": urls}, said(*urls))
    assert [page.url for page in outcome.pages] == urls
    assert statuses(outcome) == ["ERROR", "SUCCESS", "PAYWALL", "UNSAFE", "ERROR"]
    good = outcome.pages[1]
    assert good.title == "Ravenna"
    assert SENTENCE.strip() in good.text
    entries = outcome.response["pages"]
    assert entries[1] == {
        "url": urls[1], "status": "SUCCESS", "title": "Ravenna", "text": good.text
    }  # fmt: skip
    for page, entry in zip(outcome.pages, entries, strict=True):
        assert (entry["url"], entry["status"]) == (page.url, page.status.value)
        assert ("error" in entry) == (page.text == "")
    assert outcome.sources == ()
    assert outcome.queries == ()


@pytest.mark.integration
async def test_a_page_that_hangs_does_not_keep_the_others(web: Site, workers: WorkerPool) -> None:
    base = f"http://127.0.0.1:{web.port}"
    web.pages["/text"] = answer("Hello there.", "text/plain")
    web.pages["/hangs"] = b"HTTP/1.1 200 X\r\n"
    urls = [f"{base}/hangs", f"{base}/text"]
    outcome = await tool(web, workers, time_s=1.5).run({"urls": urls}, said(*urls))
    assert statuses(outcome) == ["ERROR", "SUCCESS"]
    assert outcome.pages[1].text == "Hello there."
    assert "1.5 seconds" in outcome.response["pages"][0]["error"]


@pytest.mark.integration
async def test_long_pages_are_cut_where_it_is_said(web: Site, workers: WorkerPool) -> None:
    web.pages["/"] = answer(SENTENCE * 100, "text/plain")
    url = f"http://127.0.0.1:{web.port}/"
    asked = {"urls": [url]}, said(url)
    cut = (await tool(web, workers, max_characters=500).run(*asked)).pages[0].text
    assert cut.startswith(SENTENCE)
    assert cut.endswith(CUT)
    assert 480 < len(cut) <= 500
    whole = (await tool(web, workers, max_characters=10_000).run(*asked)).pages[0].text
    assert whole == (SENTENCE * 100).strip()


@pytest.mark.integration
async def test_addresses_beyond_the_limit_are_said_to_be_left_out(
    web: Site, workers: WorkerPool
) -> None:
    web.pages.update({f"/{number}": answer("text", "text/plain") for number in range(4)})
    urls = [f"http://127.0.0.1:{web.port}/{number}" for number in (0, 0, 1, 2, 3)]
    outcome = await tool(web, workers, max_urls=2).run({"urls": urls}, said(*urls))
    assert statuses(outcome) == ["SUCCESS", "SUCCESS", "ERROR", "ERROR"]
    assert "2 addresses" in outcome.response["pages"][2]["error"]
    assert sorted(web.paths) == ["/0", "/1"]


async def test_what_was_not_given_is_not_even_resolved(workers: WorkerPool) -> None:
    names = Names(page_example=[["127.0.0.2"]])
    opened = open_to(80)
    reads = UrlContextTool(opened, fetcher(opened, names), workers)
    urls = ["http://page.example/given", "http://page.example/?q=secret"]
    outcome = await reads.run({"urls": urls}, said("read page.example/given"))
    assert statuses(outcome) == ["UNSAFE", "UNSAFE"]
    assert names.asked == ["page.example"]
    assert "not given" in outcome.response["pages"][1]["error"]


@pytest.mark.parametrize("args", [{}, {"urls": []}, {"urls": [1]}, {"urls": {"a": "b"}}])
async def test_a_call_without_addresses_gets_an_error(
    args: dict[str, Any], workers: WorkerPool
) -> None:
    opened = open_to(80)
    with pytest.raises(ToolError, match="list of web addresses"):
        await UrlContextTool(opened, fetcher(opened, Names()), workers).run(
            args, said("http://a.example/")
        )


@pytest.mark.integration
async def test_one_address_alone_is_a_list_of_one(web: Site, workers: WorkerPool) -> None:
    web.pages["/"] = answer("text", "text/plain; charset=utf-8")
    url = f"http://127.0.0.1:{web.port}/"
    outcome = await tool(web, workers).run({"urls": url}, said(url))
    assert statuses(outcome) == ["SUCCESS"]


@pytest.mark.integration
@pytest.mark.parametrize("jobs", [0, 1])
async def test_a_full_lane_costs_the_page_and_not_the_turn(web: Site, jobs: int) -> None:
    web.pages["/"] = answer("text", "text/plain")
    url = f"http://127.0.0.1:{web.port}/"
    full = Filling("tools.url", jobs)
    outcome = await tool(web, full).run({"urls": [url]}, said(url))
    full.close()
    assert outcome.pages == [Page(url, RetrievalStatus.ERROR)]
    assert len(web.paths) == jobs
    assert "error" in outcome.response["pages"][0]


def test_what_the_model_gets_of_it_fits_the_settings() -> None:
    spec = create_tool({"max_urls": 3}).spec
    assert spec.kind is ToolKind.URL
    assert spec.declaration.name == "url_context"
    assert spec.declaration.parameters is not None
    assert spec.declaration.parameters["required"] == ["urls"]
    assert spec.declaration.parameters["properties"]["urls"]["maxItems"] == 3
    with pytest.raises(ConfigError):
        create_tool({"max_urls": 0})


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


@pytest.mark.long
def test_only_the_newest_of_a_long_conversation_is_looked_through() -> None:
    long = user(Text("word " * (MAX_SEARCHED_CHARS // 5)))
    assert is_given(conversation(long, user(Text(URL))))
    assert not is_given(conversation(user(Text(f"{URL} {'and so on ' * 9}")), long))
    assert is_given(conversation(user(Text(f"{URL} {long.text}")))), "as far as it goes"
    noise = exchange("noise", {}, {"noise": [""] * MAX_SEARCHED_CHARS}, "2")
    told = exchange("pages", {}, {"page": URL}, "1")
    assert is_given(conversation(*noise, *told))
    assert not is_given(conversation(*told, *noise))
    assert is_given(conversation(user(Text(URL)), *noise)), "tools do not talk the user down"


def test_a_long_text_is_not_cut_within_an_address() -> None:
    address = "https://example.org/news/today"
    beginnings = [address[:end] for end in range(len("https://e"), len(address))]
    assert address[:24] in find_named_urls(beginnings, said(address[:24]))
    text = (
        "x " * (MAX_SEARCHED_CHARS // 2 - 20) + address
    )  # the last of it is beyond what is looked through
    assert len(text) > MAX_SEARCHED_CHARS - 16 > len(text) - len(address)
    assert not find_named_urls(beginnings, said(text))


@pytest.mark.timeout(60)
@pytest.mark.parametrize("piece", ["xa.bx ", "a.", "https://[", "xa.bx/........ ", '["', "x@y.z:"])
def test_the_work_does_not_grow_with_the_square_of_a_hostile_text(piece: str) -> None:
    text = piece * (20 * MAX_SEARCHED_CHARS // len(piece))
    wanted = ["https://xa.bx/nothing", "http://a.a/b"]
    assert not find_named_urls(wanted, said(text))
    assert not find_named_urls(wanted, conversation(*exchange("f", {"a": "b"}, {"text": text})))
    deep: list[object] = []
    for _ in range(MAX_SEARCHED_CHARS // 10):
        deep = [deep]
    assert not find_named_urls(wanted, conversation(*exchange("f", {"a": "b"}, {"deep": deep})))


PAGE_URL = "https://www.example.org/News/today"


def mentions(text: str, url: str = PAGE_URL) -> bool:
    return UrlSet([url]).find_in(text) == {url}


@pytest.mark.parametrize(
    "text",
    [
        f"what is on {PAGE_URL}?",
        "read example.org/News/today, please",
        "Read HTTP://EXAMPLE.ORG/News/today/.",
        "is (https://example.org/News/today) true",
        "[the news](https://example.org/News/today).",
        '{"url":"https://example.org/News/today"}',
        "**example.org/News/today**",
        "example.org/News/today#top",
        "ここはhttps://example.org/News/todayを読んで",
        "“https://example.org/News/today”",
        "see:\nhttps://example.org/News/today\n",
    ],
)
def test_an_address_is_found_however_it_stands_there(text: str) -> None:
    assert mentions(text)


@pytest.mark.parametrize(
    "text",
    [
        "what is on example.org",
        "read example.org/News/today/more",
        "read example.org/News/todayish",
        "read notexample.org/News/today",
        "read sub.example.org/News/today",
        "read example.org/News/today?secret=1",
        "read example.org:8080/News/today",
        "read example.org.evil.example/News/today",
        "read web.archive.example/web/example.org/News/today",
        "read https://web.archive.example/web/https://example.org/News/today",
        "read https://evil.example/?to=https://example.org/News/today",
        "read https://evil.example/#https://example.org/News/today",
        "read ftp://example.org/News/today",
        "read https://user@example.org/News/today",
        "read https://user:word@example.org/News/today",
        "write to someone@example.org/News/today",
        "read éxample.org/News/today",
    ],
)
def test_one_inside_of_another_or_beginning_like_it_is_not(text: str) -> None:
    assert not mentions(text)


@pytest.mark.parametrize(
    "asked",
    [
        "https://example.org/news/today",
        "https://example.org/News/TODAY",
        "https://example.org/News/today?words=what+the+user+said",
        "https://example.org/News/today.,;.,;",
        "https://example.org/News/today//",
        "https://example.org/News/today more",
        "https://someone@example.org/News/today",
        "see https://example.org/News/today",
        "example",
        "",
    ],
)
def test_what_is_asked_for_is_taken_to_the_letter(asked: str) -> None:
    assert not mentions(f"read {PAGE_URL}", asked)


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        ("http://EXAMPLE.org/News/today/", PAGE_URL),
        ("https://example.org/News/today#part", PAGE_URL),
        ("https://example.org", "is example.org, or www.example.com, down?"),
        ("https://example.org/", "https://example.org."),
        ("http://wiki/Page", "read http://wiki/Page"),
        ("http://[2001:db8::1]:8080/x", "on http://[2001:DB8::1]:8080/x it says"),
        ("http://127.0.0.1:80/x", "127.0.0.1:80/x"),
        ("https://example.org/A_(b)", "(see https://example.org/A_(b))"),
        ("https://example.org/x.", "https://example.org/x."),
        ("https://straße.example/", "read straße.example"),
        ("https://उदाहरण.example/", "read उदाहरण.example"),
    ],
)
def test_spellings_of_one_address_are_the_same(asked: str, text: str) -> None:
    assert mentions(text, asked)


def test_hosts_that_only_look_alike_are_two() -> None:
    assert not mentions("read strasse.example/x", "https://straße.example/x")


def test_all_spellings_that_were_asked_for_are_found() -> None:
    asked = {PAGE_URL, "http://example.org/News/today", "https://other.example/"}
    assert UrlSet(asked).find_in(f"{PAGE_URL} {PAGE_URL}") == asked - {"https://other.example/"}


def test_an_address_has_a_longest_length() -> None:
    longest = "https://a.example/".ljust(MAX_URL, "x")
    assert mentions(longest, longest)
    assert not mentions(longest + "x", longest + "x")
