"""PDF files for tests, written by hand: a line of text a page."""

from __future__ import annotations

import zlib


def stream(data: bytes) -> bytes:
    """A stream object that unpacks to `data`."""
    packed = zlib.compress(data, 9)
    head = f"<< /Length {len(packed)} /Filter /FlateDecode >>\nstream\n".encode()
    return head + packed + b"\nendstream"


def pdf(*pages: str | bytes, title: str = "", a_means: str = "") -> bytes:
    """A document with a page for each of `pages`: a line to be shown, or drawing commands.

    `a_means` is what the font says that the sign `a` stands for, as UTF-16 in hexadecimal.
    """
    drawn = [
        page if isinstance(page, bytes) else f"BT /F1 12 Tf 72 720 Td ({page}) Tj ET".encode()
        for page in pages
    ]
    kids = " ".join(f"{5 + 2 * n} 0 R" for n in range(len(drawn)))
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(drawn)} >>".encode(),
        b"<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>",
        f"<< /Title ({title}) >>".encode(),
    ]
    for number, commands in enumerate(drawn):
        page = (
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] "
            f"/Resources << /Font << /F1 3 0 R >> >> /Contents {6 + 2 * number} 0 R >>"
        )
        objects += [page.encode(), stream(commands)]
    if a_means:
        objects[2] = objects[2].replace(b" >>", f" /ToUnicode {len(objects) + 1} 0 R >>".encode())
        objects.append(stream(f"1 beginbfchar\n<61> <{a_means}>\nendbfchar".encode()))
    return _file(objects)


def _file(objects: list[bytes]) -> bytes:
    out = b"%PDF-1.4\n"
    places = []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += f"{number} 0 obj\n".encode() + one + b"\nendobj\n"
    rows = "".join(f"{place:010d} 00000 n \n" for place in places)
    size = len(objects) + 1
    trailer = f"trailer\n<< /Size {size} /Root 1 0 R /Info 4 0 R >>\nstartxref\n{len(out)}\n%%EOF"
    return out + f"xref\n0 {size}\n0000000000 65535 f \n{rows}{trailer}\n".encode()
