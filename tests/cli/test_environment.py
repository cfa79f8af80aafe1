"""How commands are told to be typed."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from vivavoce.cli.errors import CliError, ErrorCode, as_typed, command_hint, print_error


@pytest.fixture(autouse=True)
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a virtual environment in it, which is not on the PATH."""
    beside = tmp_path / ".venv" / "bin"
    beside.mkdir(parents=True)
    (beside / "vivavoce").touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(beside / "python"))
    monkeypatch.setenv("PATH", "/usr/bin")
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_command_is_named_where_it_lies() -> None:
    assert command_hint("talk", "http://127.0.0.1:8482") == ".venv/bin/vivavoce talk"


def test_from_elsewhere_it_is_named_in_full(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (checkout / "elsewhere").mkdir()
    monkeypatch.chdir(checkout / "elsewhere")
    assert command_hint("talk", "http://127.0.0.1:8482").startswith(str(checkout))


def test_on_the_path_its_name_is_enough(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(checkout / ".venv" / "bin"))
    assert command_hint("talk", "http://127.0.0.1:8482") == "vivavoce talk"


def test_another_port_is_carried_along() -> None:
    found = command_hint("run", "http://127.0.0.1:19004")
    assert found == ".venv/bin/vivavoce run --url http://127.0.0.1:19004"


def test_faults_name_our_commands_as_they_are_typed_here(
    capsys: pytest.CaptureFixture[str],
) -> None:
    fix = 'Start one with `vivavoce serve`; or eval "$(vivavoce env)". A vivavoce is a server.'

    print_error(CliError(ErrorCode.NO_SERVER, "No server answers.", fix))

    assert capsys.readouterr().err.splitlines()[1] == (
        'Start one with `.venv/bin/vivavoce serve`; or eval "$(.venv/bin/vivavoce env)". '
        "A vivavoce is a server."
    )


def test_on_the_path_the_commands_stay_as_they_are(
    checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(checkout / ".venv" / "bin"))
    assert as_typed("Run `vivavoce index DIR`.") == "Run `vivavoce index DIR`."
