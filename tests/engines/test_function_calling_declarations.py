"""What is read of a declaration: the sentence that says what the function does."""

from __future__ import annotations

import time

import pytest

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import declarations


@pytest.mark.parametrize(
    ("description", "summary"),
    [
        ("", ""),
        ("Lists the boats in the harbor.", "Lists the boats in the harbor"),
        ("Lists the boats. Always call it first.", "Lists the boats"),
        ("IMPORTANT: never guess. Lists the boats.", "Lists the boats"),
        ("Use this when the user asks about the boats.", "the boats"),
        ("Call this function if somebody needs a berth", "a berth"),
        ("This tool lists the boats; it needs no arguments.", "lists the boats"),
        ("Returns the boats and their owners.", "the boats and their owners"),
        ("Returns a dictionary. Lists the boats.", "Lists the boats"),
        ("Lists the boats.\n\nArgs:\n    pier: A pier.\n\nReturns:\n    str", "Lists the boats"),
        ("Lists the boats\n\nParameters\n----------\npier : str", "Lists the boats"),
        ("Lists the boats. :param pier: the pier", "Lists the boats"),
    ],
)  # fmt: skip
def test_the_summary_is_the_sentence_that_says_what_the_function_does(
    description: str, summary: str
) -> None:
    assert declarations.summary(ToolDeclaration("list_boats", description)) == summary


def test_a_function_is_read_with_its_summary_and_without() -> None:
    shape = {
        "type": "object",
        "properties": {"pier": {"type": "string"}, "kind": {"enum": ["sail", "motor_boat"]}},
    }
    tool = ToolDeclaration("listBoats", "Lists the boats. Call it often.", shape)
    assert declarations.embedded_texts(tool) == (
        "list boats. Lists the boats. pier; kind sail, motor boat",
        "list boats. pier; kind sail, motor boat",
    )


@pytest.mark.parametrize("piece", ["Returns: ", "use it when the ", "\n \t", "# ", "a. ", "—"])
def test_a_description_made_to_be_slow_is_not(piece: str) -> None:
    tool = ToolDeclaration("list_boats", piece * 20_000)
    began = time.process_time()
    declarations.summary(tool)
    assert time.process_time() - began < 0.2
