"""Where conversations go, and with which key."""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.cli.errors import open_console
from vivavoce.cli.session import server_endpoint
from vivavoce.http import certificates as authority


@pytest.fixture(autouse=True)
def a_shell_with_a_key_of_googles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GOOGLE_GEMINI_BASE_URL", raising=False)
    monkeypatch.delenv("GOOGLE_API_KEY", raising=False)
    monkeypatch.setenv("GEMINI_API_KEY", "googles")


def test_our_own_server_gets_its_own_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VIVAVOCE_SERVER__KEYS", "ours,second")
    assert server_endpoint("", "", None).key == "ours"


def test_our_own_server_is_not_shown_a_key_that_it_did_not_give() -> None:
    assert server_endpoint("", "", None).key == ""


def test_a_key_that_was_given_is_used() -> None:
    assert server_endpoint("", "given", None).key == "given"
    assert server_endpoint("http://127.0.0.1:1", "given", None).key == "given"


def test_a_server_that_was_named_gets_the_shells_key(monkeypatch: pytest.MonkeyPatch) -> None:
    assert server_endpoint("http://127.0.0.1:1", "", None).key == "googles"
    monkeypatch.setenv("GOOGLE_GEMINI_BASE_URL", "http://127.0.0.1:2")
    assert server_endpoint("", "", None).key == "googles"
    monkeypatch.setenv("GOOGLE_API_KEY", "first")
    assert server_endpoint("", "", None).key == "first"


def test_this_machines_own_authority_is_trusted_on_https_where_there_is_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert server_endpoint("https://127.0.0.1:1", "", None).local_ca is None
    made = authority.prepare_for_server("127.0.0.1")
    assert server_endpoint("https://127.0.0.1:1", "", None).local_ca == made.ca
    assert server_endpoint("wss://127.0.0.1:1", "", None).local_ca == made.ca
    assert server_endpoint("http://127.0.0.1:1", "", None).local_ca is None


def test_a_certificate_of_the_users_own_takes_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = authority.prepare_authority(tmp_path).certificate
    monkeypatch.setenv("VIVAVOCE_SERVER__TLS__CERTIFICATE", str(own))
    monkeypatch.setenv(
        "VIVAVOCE_SERVER__TLS__KEY", str(authority.CertificateAuthority(tmp_path).key)
    )
    assert server_endpoint("https://127.0.0.1:1", "", None).local_ca == own


def test_without_styles_nothing_but_words_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    open_console(plain=True).print("word", style="bold red")
    assert capsys.readouterr().out == "word\n"
