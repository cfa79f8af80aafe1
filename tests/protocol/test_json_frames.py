"""JSON frames: encodings, marks, stray surrogates, depth, size, and base64."""

from __future__ import annotations

import base64
import json
import random
from collections.abc import Callable
from typing import Any

import orjson
import pybase64
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.errors import TOO_BIG, ClientFault
from vivavoce.protocol import json_frames
from vivavoce.protocol.auth_tokens import read_token_request
from vivavoce.protocol.base import LENIENT, MAX_OBJECTS
from vivavoce.protocol.decode import Decoder
from vivavoce.protocol.json_frames import (
    LIGHT_VALUES,
    MAX_DEPTH,
    PIECE_BYTES,
    MessageLimits,
    check_depth,
    decode_base64,
    is_light,
    parse_frame,
)


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


LIMITS = MessageLimits(values=1000, text_bytes=300_000)
SOUND = base64.b64encode(bytes(range(256)) * 2000).decode()
LINES = base64.encodebytes(bytes(range(256)) * 2000).decode()


def decoded(frame: bytes | str) -> list[Any]:
    return Decoder(LENIENT, LIMITS).decode_frame(frame)


def refused(frame: bytes | str) -> str:
    with pytest.raises(ClientFault) as caught:
        decoded(frame)
    assert caught.value.code == TOO_BIG
    return caught.value.reason


def said(text: str) -> str:
    return json.dumps({"clientContent": {"turns": [{"parts": [{"text": text}]}]}})


BOMBS: dict[str, Callable[[int], str]] = {
    "lists": lambda size: '{"setup":{"a":[' + "[]," * size + "[]]}}",
    "objects": lambda size: '{"toolResponse":{"a":[' + "{}," * size + "{}]}}",
    "numbers": lambda size: '{"clientContent":{"turns":[' + "1," * size + "1]}}",
    "texts": lambda size: '{"realtimeInput":{"text":[' + '"",' * size + '""]}}',
    "names": lambda size: "{" + ",".join(f'"{n}":0' for n in range(size)) + "}",
    "halves": lambda size: '{"a":"\\ud800","b":[' + "1," * size + "1]}",
    "behind quotes": lambda size: '{"a":"\\\\\\"","b":[' + "[]," * size + "[]]}",
    "deep": lambda size: "[" * size,
    "no JSON": lambda size: "{," * size,
}


@pytest.mark.parametrize("size", [1001, 1_000_000])
@pytest.mark.parametrize("bomb", BOMBS)
def test_too_many_values_are_refused_before_they_are_parsed(
    bomb: str, size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def never(*args: Any) -> Any:
        raise AssertionError("it was parsed")

    monkeypatch.setattr("vivavoce.protocol.json_frames.orjson.loads", never)
    frame = BOMBS[bomb](size)
    reason = refused(frame)
    assert refused(frame.encode()) == reason
    assert "more than 1,000 values" in reason or "300,000 bytes of anything but base64" in reason


def test_commas_and_brackets_within_a_text_are_no_values() -> None:
    text = '{"a":[1,2,"\\\\",3]},' * 2000
    (event,) = decoded(said(text))
    assert event.turns[0].text == text


@pytest.mark.parametrize("data", [SOUND, LINES, SOUND.replace("+", "-").replace("/", "_")])
def test_base64_may_be_large(data: str) -> None:
    blob = {"mimeType": "audio/pcm", "data": data}
    (chunk,) = decoded(json.dumps({"realtimeInput": {"audio": blob}}))
    part = {"inlineData": {"mimeType": "image/png", "data": data}}
    turn = {"parts": [{"text": "é" * 1000}, part, part]}
    (event,) = decoded(json.dumps({"clientContent": {"turns": [turn]}}, ensure_ascii=False))
    assert chunk.data == event.turns[0].parts[1].data == bytes(range(256)) * 2000


@pytest.mark.parametrize(
    "text", ["word " * 60_001, "é" * 150_001, "a" * 300_001, "\\n" * 150_001, "9" * 300_001]
)
def test_other_texts_may_not(text: str) -> None:
    assert "300,000 bytes of anything but base64" in refused(said(text))
    assert "300,000 bytes of anything but base64" in refused(said(text).encode())


@pytest.mark.parametrize(
    "message",
    [
        {"a" * 300_001: 1},
        {"realtimeInput": {"a" * 200_000: 1, "b" * 200_000: 1}},
        {"data": {"text": "a" * 300_001}},
        {"data": ["a" * 300_001]},
    ],
)
def test_names_that_look_like_base64_may_not_either(message: dict[str, Any]) -> None:
    assert "300,000 bytes of anything but base64" in refused(json.dumps(message))


def test_a_text_within_the_limit_may_hold_half_a_character_wherever() -> None:
    frame = said("word " * 10_000).replace("word", "\\ud83d", 1)
    (event,) = decoded(frame)
    assert event.turns[0].text.startswith("\ufffd word ")


@pytest.mark.parametrize(
    "message",
    [
        {"clientContent": {"turns": ["a"] * (MAX_OBJECTS // 2 + 1)}},
        {"clientContent": {"turns": [{"parts": ["a"] * MAX_OBJECTS}]}},
        {"toolResponse": {"functionResponses": [{"name": "f"}] * MAX_OBJECTS}},
        {"realtimeInput": {"mediaChunks": [{}] * MAX_OBJECTS}},
    ],
)
def test_turns_and_parts_have_a_limit_of_their_own(message: dict[str, Any]) -> None:
    decoder = Decoder(LENIENT)
    with pytest.raises(ClientFault, match="5,000 turns, parts and other objects") as caught:
        decoder.decode_frame(json.dumps(message))
    assert caught.value.code == TOO_BIG


def test_a_large_token_request_is_refused_alike() -> None:
    body = json.dumps({"bidiGenerateContentSetup": {"a": [[]] * 50_001}}).encode()
    with pytest.raises(ClientFault, match="more than 50,000 values"):
        read_token_request(body, 0.0, strict=False, digest="", owner="")


def test_what_is_light() -> None:
    sound = json.dumps({"realtimeInput": {"audio": {"data": SOUND[:100_000], "mimeType": "a"}}})
    for light in (said("hello"), said("word " * 10_000), sound, "{}", "nonsense"):
        assert is_light(light)
        assert is_light(light.encode())
    many = json.dumps({"a": [1] * LIGHT_VALUES})
    large = json.dumps({"realtimeInput": {"audio": {"data": SOUND}}})
    escaped = said("\n" * 10_000)
    for heavy in (many, large, escaped):
        assert not is_light(heavy)
        assert not is_light(heavy.encode())


def test_of_a_large_message_no_more_is_looked_at_than_may_be_in_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    looks: list[int] = []
    is_base64 = json_frames._is_base64

    def counted(block: bytes) -> bool:
        looks.append(len(block))
        return is_base64(block)

    monkeypatch.setattr(json_frames, "_is_base64", counted)
    refused("[" * 30_000_000)
    assert sum(looks) < 2 * LIMITS.text_bytes


def test_nothing_reads_a_large_medium_as_a_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []
    loads, b64decode = orjson.loads, pybase64.b64decode

    def parse(text: bytes) -> Any:
        sizes.append(len(text))
        return loads(text)

    def decode(text: bytes, **options: Any) -> bytes:
        sizes.append(len(text))
        return b64decode(text, **options)

    monkeypatch.setattr("vivavoce.protocol.json_frames.orjson.loads", parse)
    monkeypatch.setattr("vivavoce.protocol.json_frames.pybase64.b64decode", decode)
    raw = bytes(range(256)) * 20_000
    blob = {"mimeType": "image/png", "data": base64.b64encode(raw).decode()}
    turn = {"parts": [{"text": "look"}, {"inlineData": blob}]}
    (event,) = decoded(json.dumps({"clientContent": {"turns": [turn]}}))
    (frame,) = decoded(json.dumps({"realtimeInput": {"video": blob}}))
    assert event.turns[0].parts[1].data == frame.data == raw
    assert max(sizes) <= 2 * PIECE_BYTES
    assert sum(sizes) < 3 * len(raw)


@pytest.mark.parametrize("size", [196_605, 196_606, 196_607, 196_608, 262_143, 262_146])
@pytest.mark.parametrize(
    "spell",
    [
        json.dumps,
        lambda text: json.dumps(text).replace("/", "\\/"),
        lambda text: json.dumps(text).replace("=", "\\u003d"),
        lambda text: json.dumps(text).replace("+", "\\u002B").replace("\\n", "\\u000A"),
        lambda text: json.dumps(text.replace("\n", " ")).replace("/", "\\u002f"),
    ],
)
@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, base64.encodebytes])
def test_a_medium_is_whole_however_it_is_spelled(
    size: int, spell: Callable[[str], str], encode: Callable[[bytes], bytes]
) -> None:
    raw = random.Random(size).randbytes(size)
    data = spell(encode(raw).decode())
    (chunk,) = decoded(f'{{"realtimeInput":{{"audio":{{"mimeType":"audio/pcm","data":{data}}}}}}}')
    assert chunk.data == raw


@pytest.mark.parametrize(
    "odd", ["\\u0041", "\\\\u003d", "\\\\nu002f", "\\b", "%3D", "data:image/png,"]
)
def test_what_only_looks_like_base64_is_other_text(odd: str) -> None:
    data = SOUND[:150_000] + odd + SOUND[:150_000]
    frame = f'{{"realtimeInput":{{"audio":{{"mimeType":"audio/pcm","data":"{data}"}}}}}}'
    assert "300,000 bytes of anything but base64" in refused(frame)


def test_padding_within_a_medium_is_no_base64() -> None:
    data = SOUND[:100_000] + "AA==" + SOUND
    with pytest.raises(ClientFault, match="Base64 decoding failed"):
        decoded(json.dumps({"realtimeInput": {"audio": {"mimeType": "audio/pcm", "data": data}}}))


@pytest.mark.parametrize("field", ["data", "text", "n" * 9000])
def test_in_a_clients_own_json_base64_is_text(field: str) -> None:
    def answer(text: str) -> str:
        response = {"image": {field: text, "mimeType": "image/png"}}
        answers = [{"id": "1", "name": "f", "response": response}]
        return json.dumps({"toolResponse": {"functionResponses": answers}})

    (event,) = decoded(answer(SOUND[:280_000]))
    assert event.results[0].response["image"][field] == SOUND[:280_000]
    assert "300,000 bytes of anything but base64" in refused(answer(SOUND))


@pytest.mark.parametrize("around", ['"%s"', 'say "%s', '%s"', "\\%s\\", "word %s word", "\n%s"])
def test_a_text_may_hold_a_medium(around: str) -> None:
    text = around % SOUND[:270_000]
    (event,) = decoded(said(text))
    assert event.turns[0].text == text


@given(st.binary(max_size=300), st.booleans(), st.data())
def test_both_alphabets_mixed_padded_or_not_with_line_breaks(
    raw: bytes, padded: bool, data: st.DataObject
) -> None:
    text = base64.b64encode(raw).decode()
    if not padded:
        text = text.rstrip("=")
    swap = {"+": "-", "/": "_"}
    choices = data.draw(st.lists(st.booleans(), min_size=len(text), max_size=len(text)))
    text = "".join(swap.get(c, c) if other else c for c, other in zip(text, choices, strict=True))
    at = data.draw(st.integers(0, len(text)))
    text = text[:at] + data.draw(st.sampled_from(["", "\n", "\r\n", " \t"])) + text[at:]
    assert decode_base64(text) == raw


@pytest.mark.parametrize("text", ["A", "AAAAA", "A*==", "AA=A", "é", "\ud800", "AAAA\0", "😀"])
def test_what_is_not_base64_is_an_error(text: str) -> None:
    with pytest.raises(ValueError, match="not base64"):
        decode_base64(text)


@pytest.mark.parametrize("text", ["", "=", "====", "\n"])
def test_nothing_is_no_bytes(text: str) -> None:
    assert decode_base64(text) == b""


def test_generous_padding_is_taken() -> None:
    assert decode_base64("AQ======") == b"\x01"
