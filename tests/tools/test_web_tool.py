"""The tool `url_context`: what the model asks for, and what it and the client get."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any, TypeVar

import pytest

from tools.conversations import said
from tools.web_site import Names, Site, answer, fetcher, open_to, redirect, site
from vivavoce.domain.content import ToolKind
from vivavoce.domain.tool_outcome import Page, RetrievalStatus, ToolOutcome
from vivavoce.engines.workers import CancelToken, WorkerPool
from vivavoce.errors import ConfigError, EngineBusy, ToolError
from vivavoce.tools.web.tool import CUT, UrlContextTool, create_tool

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


async def test_a_page_that_hangs_does_not_keep_the_others(web: Site, workers: WorkerPool) -> None:
    base = f"http://127.0.0.1:{web.port}"
    web.pages["/text"] = answer("Hello there.", "text/plain")
    web.pages["/hangs"] = b"HTTP/1.1 200 X\r\n"
    urls = [f"{base}/hangs", f"{base}/text"]
    outcome = await tool(web, workers, time_s=1.5).run({"urls": urls}, said(*urls))
    assert statuses(outcome) == ["ERROR", "SUCCESS"]
    assert outcome.pages[1].text == "Hello there."
    assert "1.5 seconds" in outcome.response["pages"][0]["error"]


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
async def test_a_call_without_addresses_is_told_so(
    args: dict[str, Any], workers: WorkerPool
) -> None:
    opened = open_to(80)
    with pytest.raises(ToolError, match="list of web addresses"):
        await UrlContextTool(opened, fetcher(opened, Names()), workers).run(
            args, said("http://a.example/")
        )


async def test_one_address_alone_is_a_list_of_one(web: Site, workers: WorkerPool) -> None:
    web.pages["/"] = answer("text", "text/plain; charset=utf-8")
    url = f"http://127.0.0.1:{web.port}/"
    outcome = await tool(web, workers).run({"urls": url}, said(url))
    assert statuses(outcome) == ["SUCCESS"]


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


def test_what_the_model_is_told_of_it_fits_the_settings() -> None:
    about = create_tool({"max_urls": 3}).about
    assert about.kind is ToolKind.URL
    assert about.declaration.name == "url_context"
    assert about.declaration.parameters is not None
    assert about.declaration.parameters["required"] == ["urls"]
    assert about.declaration.parameters["properties"]["urls"]["maxItems"] == 3
    with pytest.raises(ConfigError):
        create_tool({"max_urls": 0})
