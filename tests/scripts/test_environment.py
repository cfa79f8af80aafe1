"""The bootstrap that both commands of the README stand on."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPTS = Path(__file__).parent.parent.parent / "scripts"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The module, with a virtual environment of its own that installs nothing."""
    spec = importlib.util.spec_from_file_location("environment", SCRIPTS / "environment.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    (tmp_path / "pyproject.toml").write_text(
        '[dependency-groups]\ntest = ["pytest>=9"]\nlint = ["ruff", "mypy"]\n'
    )
    monkeypatch.setattr(module, "ROOT", tmp_path)
    monkeypatch.setattr(module, "FOLDER", tmp_path / ".venv")
    monkeypatch.setattr(module, "PYTHON", tmp_path / ".venv" / module.PYTHON.relative_to(
        SCRIPTS.parent / ".venv"
    ))  # fmt: skip
    return module


@pytest.fixture
def installs(environment: ModuleType, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, ...]]:
    asked: list[tuple[str, ...]] = []
    monkeypatch.setattr(environment, "_pip", lambda *arguments: asked.append(arguments))
    monkeypatch.setattr(environment, "make", lambda folder: _touch(environment.PYTHON))
    return asked


def _touch(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def test_what_was_installed_is_not_installed_again(
    environment: ModuleType, installs: list[tuple[str, ...]], tmp_path: Path
) -> None:
    assert environment.ready() == environment.PYTHON
    assert environment.ready() == environment.PYTHON
    assert installs == [("install", "--editable", f"{tmp_path}[embedded,tools,talk]")]


def test_another_pyproject_is_installed_anew(
    environment: ModuleType, installs: list[tuple[str, ...]], tmp_path: Path
) -> None:
    environment.ready()
    (tmp_path / "pyproject.toml").write_text('[dependency-groups]\ntest = ["pytest>=10"]\n')
    environment.ready(("test",))
    environment.ready()
    project = f"{tmp_path}[embedded,tools,talk]"
    assert installs[1] == ("install", "--editable", project, "pytest>=10")
    assert len(installs) == 3


def test_groups_are_read_without_a_pip_that_knows_them(
    environment: ModuleType, installs: list[tuple[str, ...]], tmp_path: Path
) -> None:
    environment.ready(("test", "lint"))
    assert installs[0][3:] == ("pytest>=9", "ruff", "mypy")


def test_an_old_python_gets_a_sentence(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "version_info", (3, 9, 2, "final", 0))
    with pytest.raises(SystemExit, match=r"needs Python 3\.11 or newer, and this is 3\.9\.2"):
        environment.ready()


def test_without_ensurepip_the_machines_pip_is_used(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[list[str]] = []

    def run(command: list[str], **_: object) -> subprocess.CompletedProcess[bytes]:
        ran.append(command)
        return subprocess.CompletedProcess(command, 0)

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "ensurepip" else real(name)
    )
    monkeypatch.setattr(subprocess, "run", run)
    environment.make(environment.FOLDER)
    assert "--without-pip" in ran[0]
    assert ran[1][1:4] == ["-m", "pip", "--python"]
    assert ran[1][4] == str(environment.PYTHON)


def test_without_any_pip_the_way_out_is_named(
    environment: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    monkeypatch.setattr(
        subprocess, "run", lambda command, **_: subprocess.CompletedProcess(command, 0)
    )
    with pytest.raises(SystemExit, match="sudo apt install python3-pip"):
        environment.make(environment.FOLDER)


def test_pips_warnings_are_hidden_and_its_errors_are_not(
    environment: ModuleType,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setattr(environment, "PYTHON", Path(sys.executable))
    # A folder that is not there is a warning to pip, a package that is not there an error.
    nowhere = ("--no-index", "--find-links", str(tmp_path / "absent"), "nowhere-to-be-found")

    with pytest.raises(SystemExit, match="pip could not install: see the lines above"):
        environment._pip("install", *nowhere)

    told = capfd.readouterr().err
    assert "ERROR: No matching distribution found for nowhere-to-be-found" in told
    assert "WARNING" not in told
