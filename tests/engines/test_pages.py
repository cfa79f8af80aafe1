"""Documents of every kind become words; broken and hostile ones become a sentence, in time."""

from __future__ import annotations

import codecs
import contextlib
import time

import pytest

from engines.pdfs import pdf
from vivavoce.engines import pages
from vivavoce.engines.pages import ExtractedText, all_codecs, codec_of, decode_text, extract_text
from vivavoce.errors import ToolError

ARTICLE = """<!doctype html><html><head><title>Bread &amp; Salt</title>
<link rel="canonical" href="https://bakery.example/bread"><script>var tracking = 1</script></head>
<body><nav><a href="/">Home</a> <a href="/shop">Shop</a></nav>
<article><h1>Bread and salt</h1>
<p>The loaf rests for forty minutes before it goes into the oven, covered by a damp cloth.</p>
<p>Salt goes in last, because it slows the yeast; a teaspoon for each pound of flour will do.</p>
</article><footer>All rights reserved by somebody</footer></body></html>"""


def test_a_page_gives_its_main_text_without_what_is_around_it() -> None:
    reading = extract_text(ARTICLE.encode(), "text/html; charset=utf-8")
    assert reading.title == "Bread & Salt"
    assert reading.link == "https://bakery.example/bread"
    assert "forty minutes" in reading.text
    assert "a teaspoon for each pound" in reading.text
    assert "Home" not in reading.text
    assert "tracking" not in reading.text


def test_a_page_without_a_main_text_gives_all_of_it() -> None:
    assert "9 to 5" in extract_text(b"<div>Open: <span>9 to 5</span></div>", "text/html").text


def test_a_pdf_gives_its_pages_and_its_title() -> None:
    reading = extract_text(pdf("First page here", "Second page", title="Manual"), "application/pdf")
    assert reading == ExtractedText("Manual", "First page here\n\nSecond page")


def test_a_pdf_is_known_by_its_first_bytes() -> None:
    assert extract_text(pdf("Hello there"), "application/octet-stream").text == "Hello there"


def test_markdown_has_a_title_and_may_say_where_it_belongs() -> None:
    text = '---\ntitle: "Tides"\nsource: https://sea.example/tides\n---\n# Heading\n\nHigh at noon.'
    reading = extract_text(text.encode(), "", "file:///notes/tides.md")
    assert reading == ExtractedText(
        "Tides", "# Heading\n\nHigh at noon.", "https://sea.example/tides"
    )
    assert extract_text(b"# Only a heading #\n\nText.", "text/markdown").title == "Only a heading"


@pytest.mark.parametrize(
    "link",
    ["javascript:alert(1)", "file:///etc/passwd", "http://", "//x", "https://[x", "http://x/a b",
     "http://x/<b>", "http://x/\"y", "http://me:secret@x/"],
)  # fmt: skip
def test_a_link_that_is_no_http_address_is_none(link: str) -> None:
    reading = extract_text(f"---\nurl: {link}\n---\nText.".encode(), "text/markdown")
    assert reading == ExtractedText("", "Text.")


@pytest.mark.parametrize("kind", ["text/plain", "application/json", "application/ld+json", ""])
def test_what_is_text_is_read_as_it_is(kind: str) -> None:
    assert extract_text(b'{"a": "b"}\r\n', kind).text == '{"a": "b"}'


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        ("Größe".encode("latin-1"), "text/plain; charset=iso-8859-1"),
        ("Größe".encode("latin-1"), "text/plain"),
        ("Größe".encode("latin-1"), "text/plain; charset=no-such-thing"),
        ("Größe".encode(), "text/plain"),
        ("Größe".encode("utf-16"), "text/plain"),
        ("Größe".encode("utf-8-sig"), "text/plain"),
        ('<meta charset="macintosh"><p>Größe</p>'.encode("mac-roman"), "text/html"),
        ('<meta charset="utf-16"><p>Größe</p>'.encode(), "text/html"),
    ],
)
def test_characters_survive(data: bytes, kind: str) -> None:
    assert extract_text(data, kind).text == "Größe"


@pytest.mark.parametrize(
    ("charset", "data"),
    [
        ("punycode", b"b-" + b"a" * 300_000),
        ("idna", b"xn--mnchen-3ya"),
        ("utf-7", b"+2D0- " * 1000),
        ("unicode_escape", b"\\ud83d " * 1000),
        ("utf-32", b"text"),
    ],
)
def test_a_document_cannot_choose_any_codec_of_pythons(charset: str, data: bytes) -> None:
    """The first two are slow in the square of the length, the next two make half characters."""
    text = data.decode().strip()
    assert extract_text(data, f"text/plain; charset={charset}").text == text
    page = f"<meta charset={charset}><p>".encode() + data
    assert extract_text(page, "text/html").text == text


@pytest.mark.parametrize(("half", "becomes"), [("D83D", "\ufffd"), ("D83DDE00", "\U0001f600")])
def test_a_pdf_gives_no_halves_of_characters(half: str, becomes: str) -> None:
    reading = extract_text(pdf("baby", a_means=half), "application/pdf")
    assert reading.text == f"b{becomes}by"


def test_an_undeclared_alphabet_is_recognized() -> None:
    text = "Землетрясение произошло утром у побережья, и его почувствовали во многих городах."
    assert extract_text(text.encode("koi8-r"), "text/plain").text == text


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
        extract_text(data, kind)
    assert caught.value.problem.endswith(".")


def test_too_large_is_refused_and_too_long_is_cut() -> None:
    with pytest.raises(ToolError, match="larger than 20 MB"):
        extract_text(bytes(pages.MAX_BYTES + 1), "text/plain")
    assert len(extract_text(b"ab " * 900_000, "text/plain").text) <= pages.MAX_TEXT_CHARS


def test_a_broken_page_of_a_pdf_is_left_out() -> None:
    broken = b"BT /Nope 12 Tf (" + b"(" * 500
    assert "kept" in extract_text(pdf("kept", broken, "kept too"), "application/pdf").text


def test_a_pdf_with_too_many_pages_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "MAX_PAGES", 2)
    assert extract_text(pdf("one", "two", "three"), "application/pdf").text == "one\n\ntwo"


def test_a_stream_that_unpacks_to_gigabytes_is_not_unpacked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # What comes last in it would be read if all of it were unpacked.
    drawn = b" " * 200_000 + b"BT /F1 12 Tf (end) Tj ET"
    assert extract_text(pdf("kept", drawn), "application/pdf").text == "kept\n\nend"
    monkeypatch.setattr(pages, "MAX_STREAM_BYTES", 100_000)
    assert extract_text(pdf("kept", drawn), "application/pdf").text == "kept"


@pytest.mark.long
def test_a_pdf_that_takes_too_long_is_left_where_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pages, "PDF_S", 0.5)
    monkeypatch.setattr(pages, "MAX_DRAWN", 10_000_000)
    long = b"BT /F1 12 Tf " + b"1 0 Td (word) Tj " * 40_000 + b"ET"
    began = time.thread_time()
    assert extract_text(pdf("first", *[long] * 50), "application/pdf").text == "first"
    assert time.thread_time() - began < 15


@pytest.mark.long
def test_a_page_with_endless_commands_is_left_out() -> None:
    endless = b"BT /F1 12 Tf " + b"1 0 Td (word) Tj " * 120_000 + b"ET"
    began = time.thread_time()
    assert extract_text(pdf("first", *[endless] * 2), "application/pdf").text == "first"
    assert time.thread_time() - began < 15


@pytest.mark.long
def test_a_page_with_endless_tags_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    many = "<pre>word</pre>" * (pages.MAX_TAGS + 1000)
    assert extract_text(many.encode(), "text/html").text.count("word") == pages.MAX_TAGS
    monkeypatch.setattr(pages, "MAX_TAGS", 3)
    for page in ("<br>a" * 5, "<p>a" * 4, "<p>a</p>" * 3, "<!---->a" * 4, "</p>a" * 4):
        assert extract_text(page.encode(), "text/html").text.count("a") <= 3 < page.count("<")


HOSTILE = {
    "blocks": "<pre>a</pre>" * 120_000,
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
@pytest.mark.long
def test_hostile_text_ends_in_time(name: str, kind: str) -> None:
    # Time of computing: how long it takes also depends on what else the machine does.
    began = time.thread_time()
    text = ""
    with contextlib.suppress(ToolError):
        text = extract_text(HOSTILE[name].encode(), kind).text
    assert len(text) <= pages.MAX_TEXT_CHARS
    assert time.thread_time() - began < 20


# --- charsets ----------------------------------------------------------------------------

HARSH = [bytes(range(256)), b"\xd8\x00", b"\x00\xd8", b"\x1b$B", b"+2D0-", b"\x83\x36\xc7\x39"]


@pytest.mark.parametrize("codec", all_codecs())
def test_every_codec_is_known_and_makes_whole_characters(codec: str) -> None:
    codecs.lookup(codec)
    for data in HARSH:
        (data * 1000).decode(codec, "replace").encode()  # halves can't be encoded


@pytest.mark.parametrize(
    ("name", "codec"),
    [("UTF-8", "utf-8"), (" Latin1 ", "cp1252"), ("ISO-8859-9", "cp1254"), ("x-sjis", "cp932"),
     ("GB2312", "gb18030"), ("utf-16", "utf-16-le"), ("windows-874", "cp874"),
     ("utf-7", ""), ("punycode", ""), ("idna", ""), ("unicode_escape", ""), ("utf-32", ""),
     ("raw_unicode_escape", ""), ("hz", ""), ("cp037", ""), ("", "")],
)  # fmt: skip
def test_names_mean_what_they_mean_on_the_web(name: str, codec: str) -> None:
    assert codec_of(name) == codec


def test_a_wrong_name_gives_way_to_what_it_is() -> None:
    assert decode_text("Größe".encode(), "iso-2022-jp") == "Größe"
    assert decode_text("Größe".encode("utf-16"), "utf-8") == "Größe"
    assert decode_text("Größe".encode("utf-16-be"), "utf-16be") == "Größe"


def test_what_is_recognized_is_a_charset_of_the_web_too() -> None:
    # Looks like UTF-7 at its beginning, and like nothing at all further on.
    text = decode_text(b"+/v8-\xff" + b"+2D0-\xfe" * 5000, "")
    text.encode()
    assert text.startswith("+/v8-")


@pytest.mark.parametrize("data", [b"abc\0\0def", "text".encode("utf-16-le")])
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not text"):
        decode_text(data, "utf-8")
