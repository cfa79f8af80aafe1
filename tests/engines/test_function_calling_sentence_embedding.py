"""Sentence embeddings by the published weights."""

from __future__ import annotations

import pytest

from engines.llamacpp_model import Host
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.workers import CancelToken

pytestmark = pytest.mark.embedded


def test_sentence_vectors_are_those_of_the_published_model() -> None:
    network = MiniLM(Host().weights("minilm"))
    person = network.encode("That is a happy person")
    assert float(person @ network.encode("That is a very happy person")) == pytest.approx(
        0.943, abs=0.002
    )
    assert float(person @ network.encode("Today is a sunny day")) == pytest.approx(0.257, abs=0.002)


def test_a_cancelled_reading_embeds_nothing_more() -> None:
    network, token = MiniLM(Host().weights("minilm")), CancelToken()
    assert len(network.encode_all(["one", "two"], token)) == 2
    token.cancel()
    assert network.encode_all(["one", "three"], token) == []
