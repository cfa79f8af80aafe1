"""Where conversations go, and with which key."""

from __future__ import annotations

import pytest

from vivavoce.cli.conversing import endpoint


@pytest.fixture(autouse=True)
def a_shell_with_a_key_of_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_GEMINI_BASE_URL", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "googles")


def test_our_own_server_gets_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_SERVER__KEYS", "ours,second")
    assert endpoint("", "", None).key == "ours"


def test_our_own_server_is_not_shown_a_key_that_it_did_not_give() -> None:
    assert endpoint("", "", None).key == ""


def test_a_key_that_was_given_is_used() -> None:
    assert endpoint("", "given", None).key == "given"
    assert endpoint("http://127.0.0.1:1", "given", None).key == "given"


def test_a_server_that_was_named_gets_the_shells_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert endpoint("http://127.0.0.1:1", "", None).key == "googles"
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:2")
    assert endpoint("", "", None).key == "googles"
    monkeypatch.setenv("GOOGLE_API_KEY", "first")
    assert endpoint("", "", None).key == "first"
