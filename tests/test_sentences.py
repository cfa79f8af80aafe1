"""The page of errors has every sentence that a client may be told, and no others."""

from __future__ import annotations

import ast

import pytest

from sentences import covers, documented, sentences
from support.source_tree import SOURCE, nodes

OF_LIBRARIES = {
    (400, "missing Sec-WebSocket-… header"),
    (400, "invalid … header: …"),
    (405, "unsupported HTTP method: …"),
    (1011, "keepalive ping timeout"),
}
"""Said by `websockets` and uvicorn."""


def test_every_sentence_is_on_the_page() -> None:
    known = documented()
    found = sentences()
    assert len(found) > 60
    missing = {
        sentence: where
        for sentence, where in found.items()
        if not any(covers(row, sentence) for row in known)
    }
    assert missing == {}


def test_the_page_has_no_sentence_that_nothing_says() -> None:
    said = {
        node.value
        for path in SOURCE.rglob("*.py")
        for node in nodes(path)
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    }
    text, found = "\n".join(said), sentences()
    for row in documented():
        longest = max(row[1].split("…"), key=len).strip(" .'\"():")
        said_here = longest in text or any(covers(row, sentence) for sentence in found)
        assert said_here or row in OF_LIBRARIES, row


@pytest.mark.parametrize(
    ("row", "sentence", "covered"),
    [
        ((1007, "Invalid value at '…': …"), (1007, "Invalid value at 'a': use b."), True),
        ((1007, "Invalid value at '…': …"), (1008, "Invalid value at 'a': use b."), False),
        ((1008, "'setup.…' is not served"), (1008, "'…' is not served"), True),
        ((1008, "A. …"), (1008, "B. …"), False),
    ],
)
def test_a_row_covers_the_sentences_of_its_form(
    row: tuple[int, str], sentence: tuple[int, str], covered: bool
) -> None:
    assert covers(row, sentence) is covered
