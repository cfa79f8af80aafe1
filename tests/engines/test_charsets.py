"""Which charsets count, and what becomes of bytes that say nothing about theirs."""

from __future__ import annotations

import codecs

import pytest

from vivavoce.engines.charsets import CODECS, codec_of, decoded

HARSH = [bytes(range(256)), b"\xd8\x00", b"\x00\xd8", b"\x1b$B", b"+2D0-", b"\x83\x36\xc7\x39"]


@pytest.mark.parametrize("codec", sorted(set(CODECS.values())))
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
    assert decoded("Größe".encode(), "iso-2022-jp") == "Größe"
    assert decoded("Größe".encode("utf-16"), "utf-8") == "Größe"
    assert decoded("Größe".encode("utf-16-be"), "utf-16be") == "Größe"


def test_what_is_recognized_is_a_charset_of_the_web_too() -> None:
    # Looks like UTF-7 at its beginning, and like nothing at all further on.
    text = decoded(b"+/v8-\xff" + b"+2D0-\xfe" * 5000, "")
    text.encode()
    assert text.startswith("+/v8-")


@pytest.mark.parametrize("data", [b"abc\0\0def", "text".encode("utf-16-le")])
def test_bytes_that_are_no_text_are_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="not text"):
        decoded(data, "utf-8")
