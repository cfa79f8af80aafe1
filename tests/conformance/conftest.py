"""One server a profile for the whole run: starting them is what costs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.servers import Running, serving
from vivavoce.config.loading import load_config
from vivavoce.engines.registry import missing_weights
from vivavoce.http import certificates
from vivavoce.server import weights_in_use

DOCUMENTS = Path(__file__).parents[2] / "examples" / "documents"


@pytest.fixture(scope="session")
def scripted() -> Iterator[Running]:
    """A server with the scripted profile: deterministic, hears and speaks in tones."""
    with serving("scripted", VIVAVOCE_TOOLS__SEARCH="") as running:
        yield running


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An index of the examples' documents, made as a user makes one."""
    index = tmp_path_factory.mktemp("library") / "documents.sqlite3"
    command = ["index", str(DOCUMENTS), "--into", str(index)]
    subprocess.run([sys.executable, "-m", "vivavoce", *command], check=True, capture_output=True)
    return index


@pytest.fixture(scope="session")
def tooled(library: Path) -> Iterator[Running]:
    """A scripted server with search and code; addresses on loopback may be read."""
    settings = {
        "VIVAVOCE_TOOLS__SEARCH": json.dumps({"use": "local", "path": str(library)}),
        "VIVAVOCE_TOOLS__CODE": "monty",
    }
    with serving("scripted", **settings) as running:
        yield running


@pytest.fixture(scope="session")
def embedded(library: Path) -> Iterator[Running]:
    """A server with the embedded engines on their real weights, and with search and code."""
    settings = load_config(None, {"profile": "embedded", "model": "qwen-0.5b"})
    absent = missing_weights(weights_in_use(settings), settings.weights)
    if absent:
        names = ", ".join(each.name for each in absent)
        pytest.skip(f"weights are not here ({names}): run `vivavoce pull`")
    tools = {
        "VIVAVOCE_MODEL": "qwen-0.5b",
        "VIVAVOCE_TOOLS__SEARCH": json.dumps({"use": "local", "path": str(library)}),
        "VIVAVOCE_TOOLS__CODE": "monty",
    }
    with serving("embedded", **tools) as running:
        yield running


@pytest.fixture(scope="session")
def genai() -> Any:
    return pytest.importorskip("google.genai", reason="google-genai is not installed")


@pytest.fixture
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `vivavoce env` sets, apart from the address."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.prepare_for_server("127.0.0.1").bundle))
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "GEMINI_"))]:
        monkeypatch.delenv(name)
