"""Frames as objects: encodings, marks, stray surrogates, depth."""

from __future__ import annotations

from typing import Any

import pytest

from vivavoce.errors import ClientFault
from vivavoce.protocol.json_frames import MAX_DEPTH, check_depth, parse_frame


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        ('{"a": 1}', {"a": 1}),
        (b'{"a": 1}', {"a": 1}),
        ('\ufeff{"a": 1}', {"a": 1}),
        (b'\xef\xbb\xbf{"a": 1}', {"a": 1}),
        (' \n{"a": "\u00e9"}\n ', {"a": "é"}),
        ('{"a": 1, "a": 2}', {"a": 2}),
        ("{}", {}),
    ],
)
def test_text_and_binary_frames_hold_the_same(frame: str | bytes, expected: Any) -> None:
    assert parse_frame(frame) == expected


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (r'{"a": "\ud83d"}', {"a": "\ufffd"}),
        (rb'{"a": "\ude00 x \ud83d\ude00"}', {"a": "\ufffd x 😀"}),
        (
            r'{"\ud83d": [1, -2.5, "\ud83d", null, true]}',
            {"\ufffd": [1, -2.5, "\ufffd", None, True]},
        ),
        ('\ufeff{"a": "\\ud83d"}', {"a": "\ufffd"}),
        ('{"a": "\ud83d"}', {"a": "\ufffd"}),
        ('{"a": "\ud83d\ude00"}', {"a": "😀"}),
        (r'{"a": "\ud83d", "n": 99999999999999999999}', {"a": "\ufffd", "n": 1e20}),
        (r'{"a": "\ud83d", "n": 9}', {"a": "\ufffd", "n": 9}),
    ],
)
def test_unpaired_surrogates_are_replaced(frame: str | bytes, expected: Any) -> None:
    assert parse_frame(frame) == expected


@pytest.mark.parametrize(
    "frame",
    [
        "", b"", "nonsense", "{", b'{"a": "\xff"}', '{"a": NaN}', '{"a": Infinity}', '{"a": 1e999}',
        r'{"a": "\ud83d", "b": NaN}', r'{"a": "\ud83d", "b": 1e999}', r'{"a": "\ud83d", "b"}',
        r'{"a": "\ud83d", "b": ' + "1" * 5000 + "}", "'" + '{"a": 1}' + "'", '{"a": 1,}',
        '{"a": ' + "[" * 3000 + "]" * 3000 + "}",
        '{"s": "\\ud83d", "a": ' + "[" * 3000 + "]" * 3000 + "}",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(frame: str | bytes) -> None:
    with pytest.raises(ClientFault, match=r"payload received\. Expected JSON") as caught:
        parse_frame(frame)
    assert caught.value.code == 1007


@pytest.mark.parametrize("frame", ["[]", "3", '"setup"', "null", "true", r'"\ud800"'])
def test_json_that_is_no_object_is_refused(frame: str) -> None:
    with pytest.raises(ClientFault, match="must be a JSON object"):
        parse_frame(frame)


def nested(levels: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(levels - 1):
        value = {"a": [1, value]} if levels % 2 else {"a": value}
    return value


def test_depth_has_a_limit() -> None:
    check_depth(nested(MAX_DEPTH))
    with pytest.raises(ClientFault, match="nested more than 64 levels deep"):
        check_depth(nested(MAX_DEPTH + 2))
