"""Bytes as characters, by the charsets that the web has and no others.

Rules. A document names its charset itself, and Python knows codecs that take hours for a few
megabytes (`punycode`, `idna`) or make characters that there are none of (`utf-7`,
`unicode_escape`). So a name counts only if the Encoding Standard (https://encoding.spec.whatwg.org)
lists it, with Python's codec for it; another one is as good as none. Every codec here is linear.
"""

from __future__ import annotations

import codecs

_LABELS = """
utf-8: utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8
cp866: 866 cp866 csibm866 ibm866
iso8859-2: csisolatin2 iso-8859-2 iso-ir-101 iso8859-2 iso88592 iso_8859-2 l2 latin2
iso8859-3: csisolatin3 iso-8859-3 iso-ir-109 iso8859-3 iso88593 iso_8859-3 l3 latin3
iso8859-4: csisolatin4 iso-8859-4 iso-ir-110 iso8859-4 iso88594 iso_8859-4 l4 latin4
iso8859-5: csisolatincyrillic cyrillic iso-8859-5 iso-ir-144 iso8859-5 iso88595 iso_8859-5
iso8859-6: arabic asmo-708 csisolatinarabic ecma-114 iso-8859-6 iso8859-6 iso88596 iso_8859-6
iso8859-7: csisolatingreek ecma-118 elot_928 greek greek8 iso-8859-7 iso8859-7 iso88597 iso_8859-7
iso8859-8: csisolatinhebrew hebrew iso-8859-8 iso-8859-8-i iso8859-8 iso88598 iso_8859-8 logical
iso8859-10: csisolatin6 iso-8859-10 iso-ir-157 iso8859-10 iso885910 l6 latin6
iso8859-13: iso-8859-13 iso8859-13 iso885913
iso8859-14: iso-8859-14 iso8859-14 iso885914
iso8859-15: csisolatin9 iso-8859-15 iso8859-15 iso885915 iso_8859-15 l9
iso8859-16: iso-8859-16
koi8-r: cskoi8r koi koi8 koi8-r koi8_r
koi8-u: koi8-ru koi8-u
mac-roman: csmacintosh mac macintosh x-mac-roman
cp874: dos-874 iso-8859-11 iso8859-11 iso885911 tis-620 windows-874
cp1250: cp1250 windows-1250 x-cp1250
cp1251: cp1251 windows-1251 x-cp1251
cp1252: ansi_x3.4-1968 ascii cp1252 cp819 csisolatin1 ibm819 iso-8859-1 iso-ir-100 iso8859-1
cp1252: iso88591 iso_8859-1 l1 latin1 us-ascii windows-1252 x-cp1252
cp1253: cp1253 windows-1253 x-cp1253
cp1254: cp1254 csisolatin5 iso-8859-9 iso-ir-148 iso8859-9 iso88599 iso_8859-9 l5 latin5
cp1254: windows-1254 x-cp1254
cp1255: cp1255 windows-1255 x-cp1255
cp1256: cp1256 windows-1256 x-cp1256
cp1257: cp1257 windows-1257 x-cp1257
cp1258: cp1258 windows-1258 x-cp1258
mac-cyrillic: x-mac-cyrillic x-mac-ukrainian
gb18030: chinese csgb2312 csiso58gb231280 gb18030 gb2312 gb_2312 gb_2312-80 gbk iso-ir-58 x-gbk
big5hkscs: big5 big5-hkscs cn-big5 csbig5 x-x-big5
euc_jp: cseucpkdfmtjapanese euc-jp x-euc-jp
iso2022_jp: csiso2022jp iso-2022-jp
cp932: csshiftjis ms932 ms_kanji shift-jis shift_jis sjis windows-31j x-sjis
cp949: cseuckr csksc56011987 euc-kr iso-ir-149 korean ks_c_5601-1987 ks_c_5601-1989 ksc5601
cp949: ksc_5601 windows-949
utf-16-be: unicodefffe utf-16be
utf-16-le: csunicode iso-10646-ucs-2 ucs-2 unicode unicodefeff utf-16 utf-16le
"""
CODECS = {
    label: codec
    for codec, _, labels in (line.partition(":") for line in _LABELS.split("\n") if line)
    for label in (codec, *labels.split())
}
"""Python's codec for each name that a document may give its charset."""
_BOMS = ((codecs.BOM_UTF8, "utf-8-sig"), (codecs.BOM_UTF16_LE, "utf-16"),
         (codecs.BOM_UTF16_BE, "utf-16"))  # fmt: skip
_SAMPLE_BYTES = 65536
FEW_ODD_BYTES = 32


def codec_of(charset: str) -> str:
    """Python's codec for the name of a charset; empty if the web has no such charset."""
    return CODECS.get(charset.strip().lower(), "")


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

    # What is recognized has to be one of ours, too: bytes can be made to look like anything.
    best = from_bytes(sample, cp_isolation=sorted(set(CODECS.values()))).best()
    return best.encoding if best is not None else "cp1252"
