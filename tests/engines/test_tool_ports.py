"""Which addresses may be cited."""

from __future__ import annotations

import pytest

from vivavoce.engines.tool_ports import MAX_URI_CHARS, citable_host


@pytest.mark.parametrize(
    ("address", "host"),
    [
        ("https://Tower.Example/a?b=c#d", "tower.example"),
        ("http://[::1]:80/", "::1"),
        ("https://größe.example/ä", "größe.example"),
        ("https://x.example/" + "y" * (MAX_URI_CHARS - 18), "x.example"),
        ("https://x.example/" + "y" * (MAX_URI_CHARS - 17), ""),
        ("ftp://x.example/", ""),
        ("https://me:secret@x.example/", ""),
        ("https://x.example/a b", ""),
        ("https://x.example/\u2028", ""),
        ("https://x.example/<b>", ""),
        ('https://x.example/"', ""),
        ("https://x.example/\ud83d", ""),
        ("https://[x/", ""),
        ("https:///", ""),
        ("x.example/a", ""),
    ],
)
def test_only_whole_addresses_have_a_host(address: str, host: str) -> None:
    assert citable_host(address) == host
