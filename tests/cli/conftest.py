"""What every test of the command line may rely on."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_a_listener(monkeypatch: pytest.MonkeyPatch) -> None:
    """A refused port is reported at once, unless a test waits for one to open."""
    monkeypatch.setattr("vivavoce.cli.session.LISTENER_S", 0.0)
