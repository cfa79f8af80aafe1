"""Lines for people and for machines; no key and no word of a person in them."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from vivavoce.logs import configure, scrub

KEY = "AIzaSyD-abcdefghijklmnopqrstuvwxyz0123"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()


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
    ],
)
def test_secrets_are_masked(text: str) -> None:
    assert "abcdefghijkl" not in scrub(text)


def test_ordinary_words_are_left_alone() -> None:
    text = "The key of F sharp: session=ab12 turn=3 tokens=17 Kore"

    assert scrub(text) == text


def test_both_kinds_of_lines_are_json_where_nobody_watches() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    logging.getLogger("a").info("turn", extra={"total_ms": 12, "tool_ms": None})
    structlog.get_logger("b").warning("model ready", load_s=1.5)

    first, second = lines(stream)
    assert (first["event"], first["total_ms"], first["level"]) == ("turn", 12, "info")
    assert "tool_ms" not in first
    assert (second["event"], second["load_s"], second["level"]) == ("model ready", 1.5, "warning")


def test_secrets_and_words_stay_out_of_both() -> None:
    stream = io.StringIO()
    configure(stream=stream)

    logging.getLogger("a").info("asked ?key=%s", KEY, extra={"heard": "my name is Ada"})
    structlog.get_logger("b").info("answered", said="hello Ada", url=f"http://x/?key={KEY}")

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
    structlog.get_logger("b").debug("two")

    assert len(lines(stream)) == count
