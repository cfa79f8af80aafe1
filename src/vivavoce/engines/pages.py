"""Extraction of the words of an HTML page, a PDF or a text.

Rules. A document may have been written by an enemy: whatever its bytes are, `readable` ends
within seconds, in bounded memory, with a `Reading` or a `ToolError`. So the bytes, the pages,
what a stream may unpack to, the time for a PDF and the length of the text have caps. What is too
large is refused; what is merely long is cut, since the beginning of a text is worth having.
Nothing is ever fetched from here: links, images and fonts stay unread.

This is work for a processor, up to some seconds of it: callers run it in a `WorkerPool`.
"""

from __future__ import annotations

import codecs
import html
import importlib
import logging
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from functools import cache, lru_cache
from itertools import islice
from typing import Any
from urllib.parse import urlsplit

import webencodings

from vivavoce.domain.text import replace_surrogates
from vivavoce.engines.ports import citable_host
from vivavoce.errors import ToolError
from vivavoce.installing import missing_library

TOOL = "pages"
MAX_BYTES = 20_000_000
"""More than that is not looked at."""
MAX_HTML_CHARS = 1_500_000
MAX_TAGS = 30_000
"""Where a page is cut, whichever comes first; extraction took up to 4 s for so many tags."""
MAX_TAG_CHARS = 30000
MAX_TEXT_CHARS = 2_000_000
MAX_PAGES = 500
PDF_S = 20.0
MAX_STREAM_BYTES = 16_000_000
"""What one stream of a PDF may unpack to; text takes kilobytes, bombs take gigabytes."""
MAX_DRAWN = 300_000
"""Commands and operands on one page of a PDF; a page full of text has some thousands."""

HTML_TYPES = ("text/html", "application/xhtml+xml")
PDF_TYPES = ("application/pdf", "application/x-pdf")
_ENDINGS = {
    ".html": "text/html", ".htm": "text/html", ".xhtml": "text/html", ".pdf": "application/pdf",
    ".md": "text/markdown", ".markdown": "text/markdown", ".json": "application/json",
}  # fmt: skip
_VAGUE = ("", "application/octet-stream", "binary/octet-stream")
_META_CHARSET = re.compile(rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w.:-]{2,40})", re.I)
_LONG_TAG = re.compile(
    r"<([a-zA-Z]\w{0,40})(?:[^>\"'=]|=\s*(?:\"[^\"]*(?:\"|\Z)|'[^']*(?:'|\Z))?|[\"'])*+>?"
)
_NODE = re.compile(r"<(?:[a-zA-Z!?]|/[pP]\b)")
"""What makes the parser build something; it opens a paragraph where one that is not open ends."""
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,8000}?)^---[ \t]*\n", re.S | re.M)
_FIELD = re.compile(r"^(title|source|url|canonical)[ \t]{0,4}:(.{1,2000})$", re.I | re.M)
_HEADING = re.compile(r"^#{1,6}[ \t](.{1,300})", re.M)


@dataclass(frozen=True, slots=True)
class Reading:
    """Text of a document. `title` is empty if it has none; `text` is never empty.

    `link` is the http address under which the document says that it belongs (the canonical link
    of a page, `source` or `url` in the front matter of a Markdown file), or empty. It is a claim
    of the document's own: good for citing it, not for trusting it.
    """

    title: str
    text: str
    link: str = ""


def load_libraries() -> None:
    """Import what reads HTML and PDF. Raises `EngineMissing`."""
    for name in ("trafilatura", "pypdf", "charset_normalizer"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise missing_library(TOOL, error, name) from error


def readable(data: bytes, mime_type: str, url: str = "") -> Reading:
    """The title and the text of a document. Raises `ToolError` for what can't be read.

    `mime_type` may carry a charset. Where it says nothing (it is empty, or any bytes), the ending
    of `url` and the first bytes tell. Blocks for up to `PDF_S`.
    """
    if len(data) > MAX_BYTES:
        raise ToolError(TOOL, f"The document is larger than {MAX_BYTES // 1_000_000} MB.")
    kind, charset = _kind(data, mime_type, url)
    if kind in PDF_TYPES:
        reading = _pdf(data)
    elif kind in HTML_TYPES:
        reading = _html(_decoded(data, charset or _declared(data)))
    elif kind.startswith("text/") or kind.endswith(("/json", "+json", "/xml", "+xml")):
        reading = _plain(_decoded(data, charset), kind)
    else:
        raise ToolError(TOOL, f"Documents of the type {_short(kind)} can't be read.")
    # A PDF may map its signs to halves of characters, and nothing else could be done with those.
    text = _tidy(replace_surrogates(reading.text[:MAX_TEXT_CHARS]))
    if not text:
        raise ToolError(TOOL, "The document holds no text.")
    return Reading(_line(replace_surrogates(reading.title)), text, reading.link)


def _kind(data: bytes, mime_type: str, url: str) -> tuple[str, str]:
    """The MIME type in small letters, and the charset it carries."""
    named = mime_type.partition(";")[0].strip().lower()
    charset = _charset(" ".join(mime_type.split())[:200])
    if data[:1024].lstrip().startswith(b"%PDF-"):
        return "application/pdf", ""
    if named not in _VAGUE:
        return named, charset
    path = urlsplit(url).path.lower()
    ending = next((kind for end, kind in _ENDINGS.items() if path.endswith(end)), "")
    if not ending and re.match(rb"\s*(<!doctype html|<html|<head|<body)", data[:512], re.I):
        ending = "text/html"
    return ending or "text/plain", charset


@lru_cache(maxsize=128)
def _charset(mime_type: str) -> str:
    header = Message()
    header["content-type"] = mime_type
    return header.get_content_charset("") or ""


def _declared(data: bytes) -> str:
    found = _META_CHARSET.search(data[:2048])
    name = found[1].decode("ascii", "replace") if found else ""
    # What can be read as ASCII is none of UTF-16, whatever it says.
    return "utf-8" if codec_of(name).startswith("utf-16") else name


def _decoded(data: bytes, charset: str) -> str:
    try:
        return decoded(data, charset)
    except ValueError:
        raise ToolError(TOOL, "The document is not text.") from None


def _html(page: str) -> Reading:
    import trafilatura

    _hush("trafilatura")
    # A fragment without a head is taken for no page at all unless something is around it.
    framed = _LONG_TAG.sub(_bare, _begun(page[:MAX_HTML_CHARS]))
    if "<html" not in framed[:2000].lower():
        framed = f"<html><body>{framed}</body></html>"
    try:
        tree = trafilatura.load_html(framed)
        if tree is None:
            raise ToolError(TOOL, "The page can't be parsed.")
        title = _heading(tree)
        link = _http(_attribute(tree, ".//link[@rel='canonical']", "href"))
        main = trafilatura.bare_extraction(tree, options=_extraction())
        text = str(getattr(main, "text", "") or "") or trafilatura.html2txt(framed)
        text = _NEW_LINE.sub("\n\n", text)
    except ToolError:
        raise
    except Exception as failure:  # a parser may stumble over anything that an enemy writes
        raise ToolError(TOOL, f"The page can't be parsed ({type(failure).__name__}).") from failure
    return Reading(title, text, link)


@cache
def _extraction() -> Any:
    """The options of every extraction; making them takes as long as a short page."""
    from trafilatura.settings import Extractor

    # `fast` leaves out the comparison with other methods, and so half of the time.
    return Extractor(output_format="python", fast=True, comments=False)


_NEW_LINE = re.compile(r"(?<!\n)\n(?!\n)")
"""Where a block of the page ends; a single line's end is none, for the text of a file."""


def _begun(page: str) -> str:
    """The page up to its last tag that is parsed."""
    beyond = next(islice(_NODE.finditer(page), MAX_TAGS, None), None)
    return page if beyond is None else page[: beyond.start()]


def _bare(tag: re.Match[str]) -> str:
    """A tag, without its attributes if they go on and on: the parser compares each with all."""
    return tag[0] if len(tag[0]) < MAX_TAG_CHARS else f"<{tag[1]}>"


def _heading(tree: Any) -> str:
    return (
        _attribute(tree, ".//meta[@property='og:title']", "content")
        or tree.findtext(".//title")
        or "".join(first.itertext() if (first := tree.find(".//h1")) is not None else ())
    )


def _attribute(tree: Any, path: str, name: str) -> str:
    found = tree.find(path)
    return "" if found is None else str(found.get(name) or "")


class _TimeIsUp(Exception):
    pass


def _pdf(data: bytes) -> Reading:
    import io

    from pypdf import PdfReader, apply_configuration
    from pypdf import overwrite_configuration as overwritten

    _hush("pypdf")
    until = time.monotonic() + PDF_S

    def watch(*_: object) -> None:
        if time.monotonic() > until:
            raise _TimeIsUp

    limits = overwritten(
        zlib_maximum_output_length=MAX_STREAM_BYTES,
        lzw_maximum_output_length=MAX_STREAM_BYTES,
        run_length_maximum_output_length=MAX_STREAM_BYTES,
        array_based_stream_maximum_output_length=MAX_STREAM_BYTES,
        stream_parsing_work_maximum_count=MAX_DRAWN,
        jbig2dec_binary=None,
    )
    try:
        with apply_configuration(limits):
            reader = PdfReader(io.BytesIO(data))
            if reader.is_encrypted and not reader.decrypt(""):
                raise ToolError(TOOL, "The PDF is protected by a password.")
            title = str((reader.metadata and reader.metadata.title) or "")
            text = _pages(reader, watch)
    except ToolError:
        raise
    except Exception as failure:  # a broken PDF raises nearly anything
        raise ToolError(TOOL, f"The PDF can't be read ({type(failure).__name__}).") from failure
    if not text.strip():
        raise ToolError(TOOL, "The PDF holds no text; it may be made of pictures.")
    return Reading(title, text)


def _pages(reader: Any, watch: Callable[..., None]) -> str:
    """The text of as many pages as the caps allow. A page that is broken is left out."""
    texts: list[str] = []
    length = 0
    for number, page in enumerate(reader.pages):
        if number >= MAX_PAGES or length >= MAX_TEXT_CHARS:
            break
        try:
            watch()
            texts.append(page.extract_text(visitor_operand_before=watch))
        except _TimeIsUp:
            break
        except Exception:  # see `_pdf`
            continue
        length += len(texts[-1])
    return "\n\n".join(texts)


def _plain(text: str, kind: str) -> Reading:
    text = text[:MAX_TEXT_CHARS].replace("\r\n", "\n").replace("\r", "\n")
    if kind != "text/markdown":
        return Reading("", text)
    fields: dict[str, str] = {}
    if front := _FRONT_MATTER.match(text):
        fields = {name.lower(): value.strip(" \t\"'") for name, value in _FIELD.findall(front[1])}
        text = text[front.end() :]
    heading = _HEADING.search(text)
    title = fields.get("title") or (heading[1].strip(" \t#") if heading else "")
    links = (_http(fields.get(name, "")) for name in ("canonical", "source", "url"))
    return Reading(title, text, next(filter(None, links), ""))


def _http(address: str) -> str:
    """`address` if it is one that may be cited, else nothing."""
    address = address.strip()
    return address if citable_host(address) else ""


def _tidy(text: str) -> str:
    """No more than one empty line in a row, no blanks at the ends of lines, no control codes."""
    text = re.sub(r"[^\S\n]+", " ", re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", text))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", text)).strip()


def _line(text: str) -> str:
    return " ".join(html.unescape(text).split())[:300]


def _short(kind: str) -> str:
    return re.sub(r"[^\w/+.-]", "", kind)[:60]


@cache
def _hush(library: str) -> None:
    """A library that warns of every oddity of a document would fill the log with its words."""
    logging.getLogger(library).setLevel(logging.CRITICAL)


# --- charsets ----------------------------------------------------------------------------

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_SAMPLE_BYTES = 65536
FEW_ODD_BYTES = 32


def codec_of(charset: str) -> str:
    """Python's codec for the name of a charset; empty unless the Encoding Standard lists it.

    A document names its charset itself, and Python knows codecs that take hours for a few
    megabytes (`punycode`, `idna`) or make lone surrogates (`utf-7`, `unicode_escape`); those of
    https://encoding.spec.whatwg.org are all linear.
    """
    encoding = webencodings.lookup(charset)
    if encoding is None or encoding.name in ("replacement", "x-user-defined"):
        return ""
    codec: str = encoding.codec_info.name
    return "gb18030" if codec == "gbk" else codec


def decoded(data: bytes, charset: str) -> str:
    """The bytes as characters: by byte order mark, as declared, as UTF-8, or as it looks.

    Raises `ValueError` for what is not text. What can't be decoded becomes U+FFFD.
    """
    for mark, name in _BOMS:
        if data.startswith(mark):
            return data.decode(name, "replace")
    declared = codec_of(charset)
    if b"\0" in data[:4096] and not declared.startswith("utf-16"):
        raise ValueError("not text")
    for name in filter(None, (declared, "utf-8")):
        try:
            return data.decode(name)
        except UnicodeDecodeError:
            continue
    return data.decode(_looks(data[:_SAMPLE_BYTES]), "replace")


def _looks(sample: bytes) -> str:
    # A few odd bytes don't tell alphabets apart; then it is what browsers take it for.
    if sum(byte > 127 for byte in sample) < FEW_ODD_BYTES:
        return "cp1252"
    from charset_normalizer import from_bytes

    # The guess is held to the same codecs: bytes can be made to look like anything.
    best = from_bytes(sample, cp_isolation=_all_codecs()).best()
    return best.encoding if best is not None else "cp1252"


def _all_codecs() -> list[str]:
    return sorted({codec for label in webencodings.LABELS if (codec := codec_of(label))})
