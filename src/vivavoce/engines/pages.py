"""Extract the text of an HTML page, a PDF or a text file.

Documents are untrusted: whatever its bytes are, `extract_text` ends within seconds, in bounded
memory, with an `ExtractedText` or a `ToolError`. So the bytes, the pages, the unpacked size of a
stream, the time for a PDF and the length of the text have limits. A document that is too large is
refused; a text that is too long is cut. Nothing is fetched: links, images and fonts stay unread.

This takes up to some seconds of a processor: callers run it in a `WorkerPool`.
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
from vivavoce.install_hints import missing_library

TOOL = "pages"
MAX_BYTES = 20_000_000
"""Largest document."""
MAX_HTML_CHARS = 1_500_000
MAX_TAGS = 30_000
"""Where a page is cut, whichever comes first; extraction took up to 4 s for so many tags."""
MAX_TAG_CHARS = 30000
MAX_TEXT_CHARS = 2_000_000
MAX_PAGES = 500
PDF_S = 20.0
MAX_STREAM_BYTES = 16_000_000
"""Unpacked size of one stream of a PDF; text takes kilobytes, bombs take gigabytes."""
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
"""A tag of which the parser makes a node; also `</p>`, since it opens a paragraph that ends."""
_FRONT_MATTER = re.compile(r"\A---[ \t]*\n(.{0,8000}?)^---[ \t]*\n", re.S | re.M)
_FIELD = re.compile(r"^(title|source|url|canonical)[ \t]{0,4}:(.{1,2000})$", re.I | re.M)
_HEADING = re.compile(r"^#{1,6}[ \t](.{1,300})", re.M)


@dataclass(frozen=True, slots=True)
class ExtractedText:
    """Text of a document. `title` is empty if it has none; `text` is never empty.

    `link` is the http address that the document claims (the canonical link of a page, `source` or
    `url` in the front matter of a Markdown file), or empty: for citing it, not for trusting it.
    """

    title: str
    text: str
    link: str = ""


def load_libraries() -> None:
    """Import the libraries for HTML and PDF. Raises `EngineMissing`."""
    for name in ("trafilatura", "pypdf", "charset_normalizer"):
        try:
            importlib.import_module(name)
        except ImportError as error:
            raise missing_library(TOOL, error, name) from error


def extract_text(data: bytes, mime_type: str, url: str = "") -> ExtractedText:
    """Return the title and the text of a document. Raises `ToolError` if it can't be read.

    `mime_type` may carry a charset. Where it is empty or generic, the ending of `url` and the
    first bytes decide. Blocks for up to `PDF_S`.
    """
    if len(data) > MAX_BYTES:
        raise ToolError(TOOL, f"The document is larger than {MAX_BYTES // 1_000_000} MB.")
    kind, charset = _media_type(data, mime_type, url)
    if kind in PDF_TYPES:
        extracted = _pdf(data)
    elif kind in HTML_TYPES:
        extracted = _html(_decoded(data, charset or _declared(data)))
    elif kind.startswith("text/") or kind.endswith(("/json", "+json", "/xml", "+xml")):
        extracted = _plain(_decoded(data, charset), kind)
    else:
        shown = re.sub(r"[^\w/+.-]", "", kind)[:60]
        raise ToolError(TOOL, f"Documents of the type {shown} can't be read.")
    # A PDF may map its glyphs to halves of characters, which can't be encoded.
    text = _tidy(replace_surrogates(extracted.text[:MAX_TEXT_CHARS]))
    if not text:
        raise ToolError(TOOL, "The document holds no text.")
    return ExtractedText(_line(replace_surrogates(extracted.title)), text, extracted.link)


def _media_type(data: bytes, mime_type: str, url: str) -> tuple[str, str]:
    """Return the MIME type in lower case, and the charset it carries."""
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
    # A page whose declaration can be read as ASCII is not UTF-16.
    return "utf-8" if codec_of(name).startswith("utf-16") else name


def _decoded(data: bytes, charset: str) -> str:
    try:
        return decode_text(data, charset)
    except ValueError:
        raise ToolError(TOOL, "The document is not text.") from None


def _html(page: str) -> ExtractedText:
    import trafilatura

    _silence("trafilatura")
    # A fragment without a head is taken for no page at all unless something is around it.
    framed = _LONG_TAG.sub(_short_tag, _within_tags(page[:MAX_HTML_CHARS]))
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
    except Exception as failure:  # a parser may fail with anything on hostile input
        raise ToolError(TOOL, f"The page can't be parsed ({type(failure).__name__}).") from failure
    return ExtractedText(title, text, link)


@cache
def _extraction() -> Any:
    """Return the options of extraction, which take as long to make as a short page."""
    from trafilatura.settings import Extractor

    # `fast` leaves out the comparison with other methods, and so half of the time.
    return Extractor(output_format="python", fast=True, comments=False)


_NEW_LINE = re.compile(r"(?<!\n)\n(?!\n)")
"""Where a block of the page ends; a single line's end is none, for the text of a file."""


def _within_tags(page: str) -> str:
    """Return the page up to the last tag that is parsed."""
    beyond = next(islice(_NODE.finditer(page), MAX_TAGS, None), None)
    return page if beyond is None else page[: beyond.start()]


def _short_tag(tag: re.Match[str]) -> str:
    """Return a tag, without very long attributes: the parser compares each with all."""
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


class _OutOfTime(Exception):
    pass


def _pdf(data: bytes) -> ExtractedText:
    import io

    from pypdf import PdfReader, apply_configuration
    from pypdf import overwrite_configuration as overwritten

    _silence("pypdf")
    until = time.monotonic() + PDF_S

    def watch(*_: object) -> None:
        if time.monotonic() > until:
            raise _OutOfTime

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
    return ExtractedText(title, text)


def _pages(reader: Any, watch: Callable[..., None]) -> str:
    """Return the text of as many pages as the limits allow, without broken ones."""
    texts: list[str] = []
    length = 0
    for number, page in enumerate(reader.pages):
        if number >= MAX_PAGES or length >= MAX_TEXT_CHARS:
            break
        try:
            watch()
            texts.append(page.extract_text(visitor_operand_before=watch))
        except _OutOfTime:
            break
        except Exception:  # see `_pdf`
            continue
        length += len(texts[-1])
    return "\n\n".join(texts)


def _plain(text: str, kind: str) -> ExtractedText:
    text = text[:MAX_TEXT_CHARS].replace("\r\n", "\n").replace("\r", "\n")
    if kind != "text/markdown":
        return ExtractedText("", text)
    fields: dict[str, str] = {}
    if front := _FRONT_MATTER.match(text):
        fields = {name.lower(): value.strip(" \t\"'") for name, value in _FIELD.findall(front[1])}
        text = text[front.end() :]
    heading = _HEADING.search(text)
    title = fields.get("title") or (heading[1].strip(" \t#") if heading else "")
    links = (_http(fields.get(name, "")) for name in ("canonical", "source", "url"))
    return ExtractedText(title, text, next(filter(None, links), ""))


def _http(address: str) -> str:
    """Return `address` if it may be cited, else nothing."""
    address = address.strip()
    return address if citable_host(address) else ""


def _tidy(text: str) -> str:
    """Remove control codes, blanks at the ends of lines, and repeated empty lines."""
    text = re.sub(r"[^\S\n]+", " ", re.sub(r"[\x00-\x08\x0b-\x1f\x7f]", " ", text))
    return re.sub(r"\n{3,}", "\n\n", re.sub(r" ?\n ?", "\n", text)).strip()


def _line(text: str) -> str:
    return " ".join(html.unescape(text).split())[:300]


@cache
def _silence(library: str) -> None:
    """Silence a library that logs every oddity of a document."""
    logging.getLogger(library).setLevel(logging.CRITICAL)


# --- charsets ----------------------------------------------------------------------------

_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_SAMPLE_BYTES = 65536
FEW_ODD_BYTES = 32


def codec_of(charset: str) -> str:
    """Return Python's codec for a charset; empty unless the Encoding Standard lists it.

    A document names its charset itself, and Python has codecs that take hours for a few
    megabytes (`punycode`, `idna`) or make lone surrogates (`utf-7`, `unicode_escape`); those of
    https://encoding.spec.whatwg.org are all linear.
    """
    encoding = webencodings.lookup(charset)
    if encoding is None or encoding.name in ("replacement", "x-user-defined"):
        return ""
    codec: str = encoding.codec_info.name
    return "gb18030" if codec == "gbk" else codec


def decode_text(data: bytes, charset: str) -> str:
    """Decode by byte order mark, as declared, as UTF-8, or by a guess.

    Raises `ValueError` if it is not text. Bytes that can't be decoded become U+FFFD.
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
    return data.decode(_guess_codec(data[:_SAMPLE_BYTES]), "replace")


def _guess_codec(sample: bytes) -> str:
    # A few odd bytes don't distinguish alphabets; browsers then assume this one.
    if sum(byte > 127 for byte in sample) < FEW_ODD_BYTES:
        return "cp1252"
    from charset_normalizer import from_bytes

    # Limited to the same codecs: bytes can be made to look like any charset.
    best = from_bytes(sample, cp_isolation=all_codecs()).best()
    return best.encoding if best is not None else "cp1252"


def all_codecs() -> list[str]:
    """Return the codecs of the Encoding Standard."""
    return sorted({codec for label in webencodings.LABELS if (codec := codec_of(label))})
