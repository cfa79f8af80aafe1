"""What goes wrong between a search service and us is a sentence that gives nothing away."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engines.fake_web import Asked, FakeWeb, fake_web
from vivavoce.engines.ports import SearchQuery
from vivavoce.engines.registry import EngineBuilder
from vivavoce.engines.settings import read_settings
from vivavoce.engines.web_search import BRAVE, EXTERNAL, SEARXNG, TAVILY, Service, WebSearch
from vivavoce.errors import ConfigError, ToolError

KEY = "a-key-of-the-user"
ALL = [SEARXNG, BRAVE, TAVILY, EXTERNAL]
QUERY = SearchQuery("private words")


@pytest.fixture
async def web() -> AsyncIterator[FakeWeb]:
    async with fake_web() as fake:
        yield fake


async def built(service: Service, settings: dict[str, Any]) -> WebSearch:
    search: WebSearch = await EngineBuilder().build("search", {"use": service.name, **settings})
    return search


async def fault(service: Service, url: str, **settings: object) -> str:
    """What the search of `service` says when it fails."""
    made = await built(service, {"url": url, "api_key": KEY, **settings})
    with pytest.raises(ToolError) as caught:
        await made.search(QUERY)
    await made.aclose()
    said = str(caught.value)
    assert caught.value.tool == f"search.{service.name}"
    assert said.endswith(".")
    for secret in (KEY, "private", "words", "127.0.0.1", "http:"):
        assert secret not in said
    assert caught.value.__cause__ is None or KEY not in repr(caught.value.__cause__)
    return caught.value.problem


@pytest.mark.parametrize("service", ALL)
@pytest.mark.parametrize(
    ("status", "says"),
    [
        ("401 Unauthorized", "refused the key"),
        ("402 Payment Required", "used up"),
        ("404 Not Found", "404"),
        ("429 Too Many Requests", "too often"),
        ("500 Internal Server Error", "status 500"),
        ("204 No Content", "status 204"),
    ],
)
async def test_refusals_are_told_apart(
    web: FakeWeb, service: Service, status: str, says: str
) -> None:
    web.says(b"" if status.startswith("204") else {"error": f"{KEY} private"}, status)
    assert says in await fault(service, web.url)


async def test_searxng_without_json_says_what_to_set(web: FakeWeb) -> None:
    web.says(b"<h1>Forbidden</h1>", "403 Forbidden")
    assert "must list `json` under `search: formats:`" in await fault(SEARXNG, web.url)


async def test_searxng_whose_engines_are_all_away_is_a_fault(web: FakeWeb) -> None:
    web.says({"results": [], "unresponsive_engines": [["duckduckgo", "timeout"]]})
    assert "None of the engines" in await fault(SEARXNG, web.url)


@pytest.mark.parametrize("status", ["432 Over", "433 Over"])
async def test_tavily_names_a_spent_plan(web: FakeWeb, status: str) -> None:
    web.says({}, status)
    assert "used up" in await fault(TAVILY, web.url)


async def test_a_redirect_is_not_followed(web: FakeWeb) -> None:
    async with fake_web() as elsewhere:
        elsewhere.says({"results": []})
        for status in ("301 Moved", "302 Found", "307 Temporary", "308 Permanent"):
            web.says(b"", status, location=elsewhere.url + "/search")
            assert "redirects" in await fault(SEARXNG, web.url)
            assert "redirects" in await fault(EXTERNAL, web.url)
        assert elsewhere.asked == []


@pytest.mark.parametrize("service", ALL)
@pytest.mark.parametrize(
    "content",
    [b"", b"<html>", b'{"results"', b"[" * 100_000, b"3", b'"text"', b'{"a": 1}', b"[3]",
     b'{"results": [null]}', b'{"results": null}', b'{"web": {"results": ["x"]}}', b"\xff\xfe"],
)  # fmt: skip
async def test_answers_of_another_shape_are_faults_or_nothing(
    web: FakeWeb, service: Service, content: bytes
) -> None:
    web.says(content)
    made = await built(service, {"url": web.url, "api_key": KEY})
    try:
        assert list(await made.search(QUERY)) == []
        # The one answer that a service gives of its own accord, when there is nothing.
        assert service is BRAVE
        assert content in (b'{"a": 1}', b'{"results": [null]}', b'{"results": null}')
    except ToolError as error:
        assert "JSON" in error.problem or "form" in error.problem  # noqa: PT017
    await made.aclose()


async def test_an_answer_that_does_not_end_is_given_up(web: FakeWeb) -> None:
    async def drip(asked: Asked, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b" ")
            await writer.drain()
            await asyncio.sleep(0.02)

    web.answer = drip
    assert "did not answer within 0.2 s" in await fault(SEARXNG, web.url, timeout_s=0.2)


async def test_an_answer_that_is_too_large_is_not_read_to_its_end(web: FakeWeb) -> None:
    sent = 0

    async def pour(asked: Asked, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 900000000\r\n\r\n")
        while sent < 900_000_000:
            writer.write(bytes(65536))
            await writer.drain()
            sent += 65536

    web.answer = pour
    assert "too much" in await fault(EXTERNAL, web.url)
    assert sent < 50_000_000


async def test_an_answer_that_would_unpack_is_not_unpacked(web: FakeWeb) -> None:
    web.says(gzip.compress(bytes(50_000_000)), content_encoding="gzip")
    assert "compressed" in await fault(EXTERNAL, web.url)


async def test_a_service_that_is_away_is_said() -> None:
    async with fake_web() as gone:
        pass
    assert "can't be reached" in await fault(SEARXNG, gone.url)


async def test_a_service_that_hangs_up_is_said(web: FakeWeb) -> None:
    assert "broke off" in await fault(BRAVE, web.url)


async def test_the_log_of_a_fault_holds_no_key(
    web: FakeWeb, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    web.says({}, "401 Unauthorized")
    for service in ALL:
        await fault(service, web.url)
    assert KEY not in caplog.text


@pytest.mark.parametrize(
    ("service", "settings", "says"),
    [
        (SEARXNG, {}, ["`url` is missing", "http://127.0.0.1:8888"]),
        (EXTERNAL, {"url": "ftp://x"}, ["not an http address"]),
        (EXTERNAL, {"url": "http://[x"}, ["not an http address"]),
        (SEARXNG, {"url": "http://x/?q=1"}, ["not an http address"]),
        (EXTERNAL, {"url": "http://x/#q"}, ["not an http address"]),
        (BRAVE, {}, ["`api_key` or `api_key_env` is missing"]),
        (TAVILY, {"api_key_env": "NO_SUCH_VARIABLE"}, ["NO_SUCH_VARIABLE is not set"]),
        (TAVILY, {"api_key": "a\nb"}, ["the key holds characters"]),
        (
            SEARXNG,
            {"url": "x", "safesearch": 3, "language": 4, "timeout_s": 0, "colour": "red"},
            ["`url` is not an http address", "`safesearch` should be 0, 1 or 2",
             "`language` should be a valid string",
             "`timeout_s` should be greater than 0", "`colour` is not known"],
        ),
        (BRAVE, {"api_key": KEY, "timeout_s": True}, ["`timeout_s` should"]),
    ],
)  # fmt: skip
async def test_wrong_settings_are_named_all_at_once(
    service: Service, settings: dict[str, object], says: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        await built(service, settings)
    for each in says:
        assert each in str(caught.value)
    assert KEY not in str(caught.value)


async def test_the_key_may_come_from_the_environment(
    web: FakeWeb, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEARCH_KEY", KEY + "\n")
    made = await built(BRAVE, {"url": web.url, "api_key_env": "SEARCH_KEY"})
    web.says({})
    assert list(await made.search(QUERY)) == []
    await made.aclose()
    assert web.asked[-1].headers["x-subscription-token"] == KEY
    assert KEY not in repr(made)


async def test_the_built_in_addresses_are_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    for service in (BRAVE, TAVILY):
        made = await built(service, {"api_key": KEY})
        await made.aclose()
        assert read_settings("x", {"api_key": KEY}, service.settings).url.startswith("https://api.")
