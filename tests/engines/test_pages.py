"""Documents of every kind become words; broken and hostile ones become a sentence, in time."""

from __future__ import annotations

import contextlib
import time

import pytest

from engines.pdfs import pdf
from vivavoce.engines import pages
from vivavoce.engines.pages import Reading, readable
from vivavoce.errors import ToolError

ARTICLE = """<!doctype html><html><head><title>Bread &amp; Salt</title>
<link rel="canonical" href="https://bakery.example/bread"><script>var tracking = 1</script></head>
<body><nav><a href="/">Home</a> <a href="/shop">Shop</a></nav>
<article><h1>Bread and salt</h1>
<p>The loaf rests for forty minutes before it goes into the oven, covered by a damp cloth.</p>
<p>Salt goes in last, because it slows the yeast; a teaspoon for each pound of flour will do.</p>
</article><footer>All rights reserved by somebody</footer></body></html>"""


def test_a_page_gives_its_main_text_without_what_is_around_it() -> None:
    reading = readable(ARTICLE.encode(), "text/html; charset=utf-8")
    assert reading.title == "Bread & Salt"
    assert reading.link == "https://bakery.example/bread"
    assert "forty minutes" in reading.text
    assert "a teaspoon for each pound" in reading.text
    assert "Home" not in reading.text
    assert "tracking" not in reading.text


def test_a_page_without_a_main_text_gives_all_of_it() -> None:
    assert "9 to 5" in readable(b"<div>Open: <span>9 to 5</span></div>", "text/html").text


def test_a_pdf_gives_its_pages_and_its_title() -> None:
    reading = readable(pdf("First page here", "Second page", title="Manual"), "application/pdf")
    assert reading == Reading("Manual", "First page here\n\nSecond page")


def test_a_pdf_is_known_by_its_first_bytes() -> None:
    assert readable(pdf("Hello there"), "application/octet-stream").text == "Hello there"


def test_markdown_has_a_title_and_may_say_where_it_belongs() -> None:
    text = '---\ntitle: "Tides"\nsource: https://sea.example/tides\n---\n# Heading\n\nHigh at noon.'
    reading = readable(text.encode(), "", "file:///notes/tides.md")
    assert reading == Reading("Tides", "# Heading\n\nHigh at noon.", "https://sea.example/tides")
    assert readable(b"# Only a heading #\n\nText.", "text/markdown").title == "Only a heading"


@pytest.mark.parametrize("link", ["javascript:alert(1)", "file:///etc/passwd", "http://", "//x"])
def test_a_link_that_is_no_http_address_is_none(link: str) -> None:
    reading = readable(f"---\nurl: {link}\n---\nText.".encode(), "text/markdown")
    assert reading == Reading("", "Text.")


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/ld+json", ""])
def test_what_is_text_is_read_as_it_is(kind: str) -> None:
    assert readable(b'{"a": "b"}\r\n', kind).text == '{"a": "b"}'


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("Größe".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        ("Größe".encode("latin-1"), "text/plain"),
        ("Größe".encode("latin-1"), "text/plain; charset=no-such-thing"),
        ("Größe".encode(), "text/plain"),
        ("Größe".encode("utf-16"), "text/plain"),
        ("Größe".encode("utf-8-sig"), "text/plain"),
        ('<meta charset="cp850"><p>Größe</p>'.encode("cp850"), "text/html"),
    ],
)
def test_characters_survive(data: bytes, kind: str) -> None:
    assert readable(data, kind).text == "Größe"


def test_an_undeclared_alphabet_is_recognized() -> None:
    text = "Землетрясение произошло утром у побережья, и его почувствовали во многих городах."
    assert readable(text.encode("koi8-r"), "text/plain").text == text


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"\x89PNG\r\n", "image/png", "image/png"),
        (b"abc\0\0def", "text/plain", "not text"),
        (b"", "text/plain", "no text"),
        (b"<html></html>", "text/html", "no text"),
        (b" \n\t ", "text/plain", "no text"),
        (b"%PDF-1.4 and then nothing of the kind", "application/pdf", "can't be read"),
        (pdf("Hello")[:300], "application/pdf", "can't be read"),
        (pdf(b"0 0 10 10 re f"), "application/pdf", "no text"),
    ],
)
def test_what_cannot_be_read_is_said(data: bytes, kind: str, says: str) -> None:
    with pytest.raises(ToolError, match=says) as caught:
        readable(data, kind)
    assert caught.value.problem.endswith(".")


def test_too_large_is_refused_and_too_long_is_cut() -> None:
    with pytest.raises(ToolError, match="larger than 20 MB"):
        readable(bytes(pages.MAX_BYTES + 1), "text/plain")
    assert len(readable(b"ab " * 900_000, "text/plain").text) <= pages.MAX_TEXT_CHARS


def test_a_broken_page_of_a_pdf_is_left_out() -> None:
    broken = b"BT /Nope 12 Tf (" + b"(" * 500
    assert "kept" in readable(pdf("kept", broken, "kept too"), "application/pdf").text


def test_a_pdf_with_too_many_pages_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_PAGES", 2)
    assert readable(pdf("one", "two", "three"), "application/pdf").text == "one\n\ntwo"


def test_a_stream_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    bomb = pdf("kept", b" " * (pages.MAX_STREAM_BYTES + 1000))
    assert len(bomb) < 100_000
    assert readable(bomb, "application/pdf").text == "kept"


def test_a_pdf_that_takes_too_long_is_left_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PDF_S", 0.5)
    monkeypatch.setattr(pages, "MAX_DRAWN", 10_000_000)
    long = b"BT /F1 12 Tf " + b"1 0 Td (word) Tj " * 40_000 + b"ET"
    began = time.monotonic()
    assert readable(pdf("first", *[long] * 50), "application/pdf").text == "first"
    assert time.monotonic() - began < 15


def test_a_page_with_endless_commands_is_left_out() -> None:
    endless = b"BT /F1 12 Tf " + b"1 0 Td (word) Tj " * 120_000 + b"ET"
    began = time.monotonic()
    assert readable(pdf("first", *[endless] * 2), "application/pdf").text == "first"
    assert time.monotonic() - began < 15


HOSTILE = {
    "nesting": "<div>" * 200_000 + "end",
    "never closed": "<p>some words of a text " * 60_000,
    "half a tag": "<a<" * 400_000,
    "comments": "<!--" * 300_000,
    "attributes": "<p " + " ".join(f"a{n}=b" for n in range(100_000)) + ">x</p>",
    "quoted attributes": "<p " + " ".join(f"a{n}='>'" for n in range(100_000)) + ">x</p>",
    "many tags": ("<p " + " ".join(f"a{n}=b" for n in range(20_000)) + ">x</p>") * 9,
    "entities": "&amp;" * 250_000,
    "blank": "<p>" + " \n" * 600_000 + "x</p>",
    "headings": "# " + " " * 1_500_000 + "x",
    "front matter": "---\n" + "title" + " " * 1_400_000 + ":\n---\n",
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("kind", ["text/html", "text/markdown"])
def test_hostile_text_ends_in_time(name: str, kind: str) -> None:
    began = time.monotonic()
    text = ""
    with contextlib.suppress(ToolError):
        text = readable(HOSTILE[name].encode(), kind).text
    assert len(text) <= pages.MAX_TEXT_CHARS
    assert time.monotonic() - began < 20
