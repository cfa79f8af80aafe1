"""Lines for people and for machines; no key and no word of a person in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from vivavoce.logs import configure, scrub

KEY = "AIzaSyD-abcdefghijklmnopqrstuvwxyz0123"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(stream: io.StringIO) -> list[dict[str, Any]]:
    return [json.loads(line) for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize(
    "text",
    [
        f"GET /ws/x?key={KEY}&alt=ws",
        f"?access_token=auth_tokens/{KEY}",
        f"Authorization: Bearer {KEY}",
        f"Authorization: Token auth_tokens/{KEY}",
        f"found auth_tokens/{KEY} in it",
        f"just {KEY} by itself",
        f"api_key={KEY}",
        "X-Api-Key: abcdefghijkl",
        "x-goog-api-key=abcdefghijkl",
        "{'X-API-Key': 'abcdefghijkl', 'Accept': '*/*'}",
        '{"headers": {"apikey": "abcdefghijkl"}}',
        "[(b'x-auth-token', b'abcdefghijkl')]",
        "Authorization: Basic abcdefghijkl==",
        "Authorization: abcdefghijkl",
        "Proxy-Authorization: Digest abcdefghijkl",
        "Set-Cookie: sid=abcdefghijkl; Path=/",
        "CALENDAR_TOKEN=abcdefghijkl",
        "Client-Secret: abcdefghijkl",
        "Mcp-Session-Id: abcdefghijkl",
        "right behind a lettervv-abcdefghijklmnopqrstuvwx",
        "right behind a letterAIzaabcdefghijklmnopqrstuvwx",
    ],
)
def test_secrets_are_masked(text: str) -> None:
    assert "abcdefghijkl" not in scrub(text)


@pytest.mark.parametrize(
    "text",
    [
        "The key of F sharp: session=ab12 turn=3 tokens=17 Kore",
        "authorization was refused, cookie jar, no secret is told",
        "response_tokens: 17, max_token_count=3, X-Request-Id: 12",
    ],
)
def test_ordinary_words_are_left_alone(text: str) -> None:
    assert scrub(text) == text


def test_a_secret_is_masked_by_the_name_of_its_field_at_any_depth() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    headers = {"X-Api-Key": "abcdefgh", "Accept": "*/*"}
    logging.getLogger("a").info("sent", extra={"servers": [{"headers": headers}]})
    logging.getLogger("b").info("sent", extra={"authorization": "abcdefgh"})

    assert "abcdefgh" not in stream.getvalue()
    assert lines(stream)[0]["servers"] == [{"headers": {"X-Api-Key": "…", "Accept": "*/*"}}]


def test_the_text_of_a_foreign_page_is_personal() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    logging.getLogger("a").warning("tool failed", extra={"quoted": "no room called Ada"})

    assert "Ada" not in stream.getvalue()


@pytest.mark.parametrize("name", ["client", "mcp.client.stdio"])
def test_the_mcp_package_does_not_tell_what_it_could_not_read(name: str) -> None:
    stream = io.StringIO()
    configure("debug", stream=stream)

    logging.getLogger(name).error("Failed to parse: my name is Ada")

    assert lines(stream) == []


def test_lines_are_json_without_a_terminal() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    logging.getLogger("a").info("turn", extra={"total_ms": 12, "tool_ms": None})
    logging.getLogger("b").warning("model ready", extra={"load_s": 1.5})

    first, second = lines(stream)
    assert (first["event"], first["total_ms"], first["level"]) == ("turn", 12, "info")
    assert "tool_ms" not in first
    assert (second["event"], second["load_s"], second["level"]) == ("model ready", 1.5, "warning")


def test_secrets_and_words_stay_out() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    logging.getLogger("a").info("asked ?key=%s", KEY, extra={"heard": "my name is Ada"})
    url = f"http://x/?key={KEY}"
    logging.getLogger("b").info("answered", extra={"said": "hello Ada", "url": url})

    assert "Ada" not in stream.getvalue()
    assert "abcdefgh" not in stream.getvalue()
    assert lines(stream)[0]["heard"] == "(14 characters)"


def test_words_are_there_on_request() -> None:
    stream = io.StringIO()
    configure(personal=True, stream=stream)

    logging.getLogger("a").info("turn", extra={"heard": "my name is Ada"})

    assert lines(stream)[0]["heard"] == "my name is Ada"


def test_people_get_plain_lines_with_the_failure_in_them() -> None:
    stream = io.StringIO()
    configure(style="human", stream=stream)

    try:
        raise ValueError("broken")
    except ValueError:
        logging.getLogger("a").exception("it failed", extra={"engine": "x"})

    text = stream.getvalue()
    assert "it failed" in text
    assert "engine=x" in text
    assert "ValueError: broken" in text


def test_people_get_the_last_events_line_by_line() -> None:
    stream = io.StringIO()
    configure(style="human", stream=stream)

    logging.getLogger("a").error("session broke", extra={"events": ["one two", "three"]})

    assert stream.getvalue().splitlines()[1:] == ["  one two", "  three"]


def test_people_see_no_control_characters_of_a_field() -> None:
    stream = io.StringIO()
    configure(style="human", stream=stream)

    logging.getLogger("a").info(
        "asked", extra={"model": "x\x1b[2Jy", "label": "two words", "both": "a b\n", "names": ["f"]}
    )

    line = stream.getvalue()
    assert "model='x\\x1b[2Jy'" in line
    assert "label='two words'" in line
    assert r"both='a b\n'" in line
    assert "names=['f']" in line


def test_a_parser_does_not_tell_how_it_reads_every_text() -> None:
    from markdown_it import MarkdownIt

    stream = io.StringIO()
    configure("debug", stream=stream)

    MarkdownIt().parse("# Hello\n\n*you* there")

    assert lines(stream) == []


@pytest.mark.parametrize(("level", "count"), [("debug", 2), ("info", 1), ("error", 0)])
def test_the_level_holds_for_all(level: str, count: int) -> None:
    stream = io.StringIO()
    configure(level, stream=stream)

    logging.getLogger("a").info("one")
    logging.getLogger("b").debug("two")

    assert len(lines(stream)) == count


@pytest.mark.parametrize(
    "sentence",
    ["Token has been used too many times", "Token has expired", "auth token has expired",
     "Bearer tokens are compared"],
)  # fmt: skip
def test_sentences_about_tokens_are_no_tokens(sentence: str) -> None:
    assert scrub(sentence) == sentence


def test_keys_of_ours_are_masked_wherever_they_stand() -> None:
    secret = "vv-" + "aB3_-x" * 7
    assert secret not in scrub(f"somebody sent {secret} in the wrong field")
