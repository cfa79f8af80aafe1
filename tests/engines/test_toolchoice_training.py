"""The router's training files share nothing with the labelled sets that it is measured on."""

from __future__ import annotations

import importlib
import re
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.toolchoice import measure, others, sets
from benchmarks.toolchoice.training import corpus


def plain(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.lower()))


@pytest.mark.parametrize("half", measure.HALVES)
def test_no_labelled_utterance_is_trained(half: str) -> None:
    domains, nothing = corpus.read()
    trained = {plain(text) for text in nothing}
    for domain in domains.values():
        trained |= {plain(text) for text, _ in domain.asks} | set(map(plain, domain.quiet))
    labelled = importlib.import_module(f"benchmarks.toolchoice.{half}").CASES
    assert not trained & {plain(case.said) for case in labelled}


def test_no_labelled_function_is_trained() -> None:
    domains, _ = corpus.read()
    trained = {tool.name for domain in domains.values() for tool in domain.tools}
    labelled = {str(one["name"]) for declared in sets.SETS.values() for one in declared}
    labelled |= {tool.name for declared in others.SETS.values() for tool in declared}
    assert trained
    assert not trained & labelled
