"""Pages fetched from loopback servers: where connections go, and how much comes back."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import ssl
import threading
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tools.web_site import Names, answer, fetcher, open_to, redirect, site
from vivavoce import __version__
from vivavoce.domain.content import RetrievalStatus
from vivavoce.http import certificates
from vivavoce.tools.fetch import MAX_REDIRECTS, Fetched, Fetcher
from vivavoce.tools.ssrf import SsrfGuard

pytestmark = pytest.mark.integration

ERROR, UNSAFE = RetrievalStatus.ERROR, RetrievalStatus.UNSAFE
HERE = ["127.0.0.1"]


def outcome(fetched: Fetched) -> tuple[RetrievalStatus, bytes]:
    return fetched.status, fetched.data


async def test_a_page_is_asked_for_by_its_name_and_without_anything_else() -> None:
    names = Names(page_example=[HERE])
    async with site() as web:
        web.pages["/a?b=c"] = answer("<p>Hello</p>")
        got = await fetcher(open_to(web.port), names).fetch(
            f"http://page.example:{web.port}/a?b=c#frag"
        )
    assert outcome(got) == (RetrievalStatus.SUCCESS, b"<p>Hello</p>")
    assert got.content_type == "text/html; charset=utf-8"
    request, *headers = web.heads[0].strip().split("\r\n")
    assert request == "GET /a?b=c HTTP/1.1"
    sent = dict(line.lower().split(": ", 1) for line in headers)
    assert sent["host"] == f"page.example:{web.port}"
    assert sent["user-agent"] == f"vivavoce/{__version__} (+url context)"
    assert sent.keys() == {"host", "user-agent", "accept", "accept-encoding"}


async def test_the_connection_goes_where_the_guard_looked_although_the_name_has_moved() -> None:
    names = Names(page_example=[HERE, ["127.0.0.2"]])
    async with site() as seen, site("127.0.0.2", seen.port) as moved:
        seen.pages["/"] = answer("seen")
        moved.pages["/"] = answer("moved")
        got = await fetcher(open_to(seen.port), names).fetch(f"http://page.example:{seen.port}/")
    assert outcome(got) == (RetrievalStatus.SUCCESS, b"seen")
    assert names.asked == ["page.example"]
    assert not moved.heads


async def test_a_name_that_moves_inside_between_two_redirects_is_refused() -> None:
    names = Names(page_example=[HERE, ["127.0.0.2"]])
    async with site() as seen, site("127.0.0.2", seen.port) as moved:
        seen.pages["/"] = redirect("/next")
        moved.pages["/next"] = answer("secret")
        got = await fetcher(open_to(seen.port), names).fetch(f"http://page.example:{seen.port}/")
    assert outcome(got) == (UNSAFE, b"")
    assert names.asked == ["page.example", "page.example"]
    assert seen.paths == ["/"]
    assert not moved.heads


@pytest.mark.parametrize(
    "to",
    [
        *("http://127.0.0.2:{port}/", "http://inside.example:{port}/", "//127.0.0.2:{port}/"),
        *(
            "http://169.254.169.254/latest/meta-data/",
            "http://[::1]:{port}/",
            "http://127.1:{port}",
        ),
        *("http://localhost:{port}/", "file:///etc/passwd", "http://user:pw@page.example:{port}/"),
        *("http://page.example:22/", "http://[::ffff:127.0.0.1]:{port}/", "gopher://page.example/"),
    ],
)
async def test_a_chain_of_redirects_is_left_where_it_leads_inside(to: str) -> None:
    names = Names(page_example=[HERE], other_example=[HERE], inside_example=[["127.0.0.2"]])
    async with site() as web, site("127.0.0.2", web.port) as inside:
        web.pages["/"] = redirect(f"http://other.example:{web.port}/2")
        web.pages["/2"] = redirect(to.format(port=web.port))
        got = await fetcher(open_to(web.port), names).fetch(f"http://page.example:{web.port}/")
    assert outcome(got) == (UNSAFE, b"")
    assert web.paths == ["/", "/2"]
    assert not inside.heads


async def test_redirects_are_followed_without_cookies_and_only_so_often() -> None:
    names = Names(page_example=[HERE])
    async with site() as web:
        for hop in range(MAX_REDIRECTS + 1):
            web.pages[f"/{hop}"] = redirect(f"{hop + 1}#x", ["Set-Cookie: a=b; Path=/"])
        web.pages[f"/{MAX_REDIRECTS + 1}"] = answer("end")
        pages = fetcher(open_to(web.port), names)
        right = await pages.fetch(f"http://page.example:{web.port}/1")
        assert outcome(right) == (RetrievalStatus.SUCCESS, b"end")
        assert right.url == f"http://page.example:{web.port}/{MAX_REDIRECTS + 1}"
        assert "cookie" not in "".join(web.heads).lower()
        assert "referer" not in "".join(web.heads).lower()
        long = await pages.fetch(f"http://page.example:{web.port}/0")
    assert outcome(long) == (ERROR, b"")
    assert "redirects" in long.problem


@pytest.mark.parametrize("to", ["http://[::zz]/", "http://\x7f/"])
async def test_a_redirect_to_nowhere_is_an_error(to: str) -> None:
    async with site() as web:
        web.pages["/"] = redirect(to)
        got = await fetcher(open_to(web.port), Names()).fetch(f"http://127.0.0.1:{web.port}/")
    assert got.status is ERROR


async def test_the_next_address_is_tried_after_a_refusal_and_ipv6_is_one() -> None:
    names = Names(page_example=[["127.0.0.2", "::1", "127.0.0.1"]])
    async with site() as web:
        web.pages["/"] = answer("here")
        settings = open_to(web.port, private=("127.0.0.0/8", "::1/128"))
        got = await fetcher(settings, names).fetch(f"http://page.example:{web.port}/")
        none = await fetcher(open_to(web.port, private=("127.0.0.2/32",)), names).fetch(
            f"http://127.0.0.2:{web.port}/"
        )
    assert outcome(got) == (RetrievalStatus.SUCCESS, b"here")
    assert outcome(none) == (ERROR, b"")


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    async with site() as web, site() as proxy:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.port}")
        web.pages["/"] = answer("direct")
        got = await fetcher(open_to(web.port), Names()).fetch(f"http://127.0.0.1:{web.port}/")
    assert outcome(got) == (RetrievalStatus.SUCCESS, b"direct")
    assert not proxy.heads


async def test_the_certificate_must_be_the_names_and_not_the_addresss(tmp_path: Path) -> None:
    # The local authority's certificates cover 127.0.0.1 as well.
    authority = certificates.prepare_authority(tmp_path, ["page.example"])
    server = certificates.server_context(authority.certificate, authority.key)
    asked: list[str | None] = []
    server.sni_callback = lambda _, name, __: asked.append(name)
    trust = ssl.create_default_context(cafile=str(authority.ca))
    names = Names(page_example=[HERE], other_example=[HERE], open_example=[HERE])
    async with site(tls=server) as web, site() as open_site:
        web.pages["/"] = answer("proved")
        web.pages["/down"] = redirect(f"http://open.example:{open_site.port}/")
        open_site.pages["/"] = answer("open")
        pages = fetcher(open_to(web.port, open_site.port), names, trust)
        right = await pages.fetch(f"https://page.example:{web.port}/")
        wrong = await pages.fetch(f"https://other.example:{web.port}/")
        down = await pages.fetch(f"https://page.example:{web.port}/down")
    assert outcome(right) == (RetrievalStatus.SUCCESS, b"proved")
    assert outcome(wrong) == (ERROR, b"")
    assert outcome(down) == (UNSAFE, b"")
    assert asked == ["page.example", "other.example", "page.example"]
    assert not open_site.heads


@pytest.mark.parametrize(
    ("code", "status"),
    [
        *((200, RetrievalStatus.SUCCESS), (203, RetrievalStatus.SUCCESS)),
        *((401, RetrievalStatus.PAYWALL), (402, RetrievalStatus.PAYWALL)),
        *((302, ERROR), (403, ERROR), (404, ERROR), (410, ERROR), (429, ERROR), (500, ERROR)),
    ],
)
async def test_what_the_server_says_becomes_a_status(code: int, status: RetrievalStatus) -> None:
    async with site() as web:
        web.pages["/"] = answer("page", status=code)
        got = await fetcher(open_to(web.port), Names()).fetch(f"http://127.0.0.1:{web.port}/")
    assert got.status is status
    assert got.data == (b"page" if status is RetrievalStatus.SUCCESS else b"")
    assert bool(got.problem) == (status is not RetrievalStatus.SUCCESS)


@pytest.mark.parametrize(
    ("kind", "taken"),
    [
        *(("text/html", True), ("TEXT/PLAIN; charset=x", True), ("application/pdf", True)),
        *(("application/xhtml+xml", True), ("application/json", True), ("text/csv", True)),
        *(("image/png", False), ("application/octet-stream", False), ("", False)),
        *(("video/mp4", False), ("application/zip", False)),
    ],
)
async def test_only_kinds_that_can_be_read_are_fetched(kind: str, taken: bool) -> None:
    async with site() as web:
        web.pages["/"] = answer("data", kind)
        got = await fetcher(open_to(web.port), Names()).fetch(f"http://127.0.0.1:{web.port}/")
    assert outcome(got) == ((RetrievalStatus.SUCCESS, b"data") if taken else (ERROR, b""))


async def test_a_packed_page_is_unpacked_and_its_size_is_what_it_unpacks_to() -> None:
    bomb = gzip.compress(bytes(60_000_000))
    head = "HTTP/1.1 200 X\r\nContent-Type: text/html\r\nContent-Encoding: {}\r\n\r\n"
    async with site() as web:
        web.pages["/small"] = answer("small " * 1000, packed=True)
        web.pages["/bomb"] = head.format("gzip").encode() + bomb
        web.pages["/twice"] = head.format("gzip, gzip").encode() + gzip.compress(bomb)
        web.pages["/broken"] = head.format("gzip").encode() + b"no gzip"
        pages = fetcher(open_to(web.port, max_bytes=100_000), Names())
        base = f"http://127.0.0.1:{web.port}"
        assert len((await pages.fetch(f"{base}/small")).data) == 6000
        tracemalloc.start()
        try:
            got = await pages.fetch(f"{base}/bomb")
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        twice = await pages.fetch(f"{base}/twice")
        broken = await pages.fetch(f"{base}/broken")
    assert outcome(got) == (ERROR, b"")
    assert "larger" in got.problem
    assert peak < 8_000_000
    assert outcome(twice) == (ERROR, b"")
    assert "packed" in twice.problem
    assert outcome(broken) == (ERROR, b"")


async def test_a_page_that_is_too_large_is_left_at_once() -> None:
    def endless() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 X\r\nContent-Type: text/plain\r\n\r\n"
        yield from itertools.repeat(b"x" * 1000)

    async with site() as web:
        web.pages["/full"] = answer("x" * 5000)
        web.pages["/over"] = answer("x" * 5001)
        web.pages["/endless"] = endless
        pages = fetcher(open_to(web.port, max_bytes=5000), Names())
        base = f"http://127.0.0.1:{web.port}"
        assert len((await pages.fetch(f"{base}/full")).data) == 5000
        for path in ("/over", "/endless"):
            web.done.clear()
            got = await pages.fetch(base + path)
            assert outcome(got) == (ERROR, b"")
            assert "larger" in got.problem
            await web.done.wait()  # the client has hung up


@pytest.mark.parametrize("said", [b"HTTP/1.1 103 X\r\n\r\n", b"HTTP/1.1 200 X\r\n", b""])
async def test_time_runs_for_all_of_it_and_not_for_each_byte(said: bytes) -> None:
    async with site() as web:
        # The first always has one more thing to say; the others begin, or don't, and fall silent.
        web.pages["/"] = lambda: itertools.repeat(said) if b"103" in said else iter([said])
        pages = fetcher(open_to(web.port, time_s=0.1), Names())
        got = await pages.fetch(f"http://127.0.0.1:{web.port}/")
        assert outcome(got) == (ERROR, b"")
        assert "0.1 seconds" in got.problem
        await web.done.wait()


async def test_names_and_redirects_count_as_time() -> None:
    async def silent(host: str, port: int) -> list[str]:
        await asyncio.Event().wait()
        raise AssertionError

    settings = open_to(80, time_s=0.05)
    got = await Fetcher(settings, SsrfGuard(settings, silent)).fetch("http://page.example/")
    assert outcome(got) == (ERROR, b"")
    assert "seconds" in got.problem


async def test_headers_without_end_are_not_collected() -> None:
    def endless() -> Iterator[bytes]:
        yield b"HTTP/1.1 200 X\r\n"
        yield from (b"X-%d: y\r\n" % number for number in itertools.count())

    async with site() as web:
        web.pages["/"] = endless
        got = await fetcher(open_to(web.port), Names()).fetch(f"http://127.0.0.1:{web.port}/")
    assert outcome(got) == (ERROR, b"")
    assert got.problem == "The connection failed."


async def test_a_cancelled_page_is_left() -> None:
    async with site() as web:
        web.pages["/"] = b"HTTP/1.1 200 X\r\n"
        pages = fetcher(open_to(web.port, time_s=60.0), Names())
        async with asyncio.timeout(10):
            task = asyncio.create_task(pages.fetch(f"http://127.0.0.1:{web.port}/"))
            await web.asked.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            await web.done.wait()  # the client has hung up


async def test_a_page_in_crumbs_is_taken_apart_elsewhere_than_on_the_loop() -> None:
    threads: set[str] = set()

    async def told(host: str, port: int) -> list[str]:
        threads.add(threading.current_thread().name)
        return HERE

    async with site() as web:
        web.pages["/"] = answer("page")
        settings = open_to(web.port)
        pages = Fetcher(settings, SsrfGuard(settings, told))
        got = await pages.fetch(f"http://page.example:{web.port}/")
        pages.close()
    assert got.status is RetrievalStatus.SUCCESS
    assert threads
    assert threading.current_thread().name not in threads
