"""One server a profile for the whole run: starting them is what costs."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.servers import Running, serving
from vivavoce import config, wiring
from vivavoce.edge import ca
from vivavoce.engines import weights


@pytest.fixture(scope="session")
def scripted() -> Iterator[Running]:
    """A server with the scripted profile: deterministic, hears and speaks in tones."""
    with serving("scripted") as running:
        yield running


@pytest.fixture(scope="session")
def embedded() -> Iterator[Running]:
    """A server with the embedded engines on their real weights."""
    settings = config.load(None, {"profile": "embedded"})
    absent = weights.missing(wiring.weights_in_use(settings), settings.weights)
    if absent:
        names = ", ".join(each.name for each in absent)
        pytest.skip(f"weights are not here ({names}): run `vivavoce pull`")
    with serving("embedded") as running:
        yield running


@pytest.fixture(scope="session")
def genai() -> Any:
    return pytest.importorskip("google.genai", reason="google-genai is not installed")


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `vivavoce env` sets, apart from the address."""
    monkeypatch.setenv("SSL_CERT_FILE", str(ca.for_server("127.0.0.1").bundle))
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "GEMINI_"))]:
        monkeypatch.delenv(name)
