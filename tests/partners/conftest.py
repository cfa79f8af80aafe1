"""One server a profile for all frameworks."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from conformance.servers import Running, serving
from vivavoce.config.loading import load_config
from vivavoce.engines.registry import missing_weights
from vivavoce.server import weights_in_use


@pytest.fixture(scope="session")
def scripted() -> Iterator[Running]:
    """Hears and speaks in tones."""
    with serving("scripted") as running:
        yield running


@pytest.fixture(scope="session")
def embedded() -> Iterator[Running]:
    """The embedded engines on their real weights."""
    settings = load_config(None, {"profile": "embedded", "model": "qwen-0.5b"})
    if absent := missing_weights(weights_in_use(settings), settings.weights):
        names = ", ".join(each.name for each in absent)
        pytest.skip(f"weights are not here ({names}): run `vivavoce pull`")
    with serving("embedded", VIVAVOCE_MODEL="qwen-0.5b") as running:
        yield running
