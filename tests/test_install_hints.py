"""The commands by which messages tell how to install a library."""

from __future__ import annotations

import ast
import re
import shlex
import sys
from pathlib import Path

import pytest

from support.source_tree import nodes
from vivavoce.install_hints import accepted_versions, install_command, missing_library

ROOT = Path(__file__).parent.parent


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The environment lies outside of the current folder."""
    monkeypatch.chdir(tmp_path)


def test_a_library_is_installed_beside_this_program() -> None:
    assert install_command("no-such") == f"{sys.executable} -m pip install no-such"


def test_inside_the_folder_of_a_checkout_the_path_is_short(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / ".venv" / "bin" / "python"))
    monkeypatch.chdir(tmp_path)
    command = install_command("redis", "--force-reinstall")
    assert command == (
        f".venv/bin/python -m pip install --force-reinstall 'redis{accepted_versions('redis')}'"
    )


def test_an_environment_without_pip_is_named_to_another_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert install_command("no-such") == f"pip --python {sys.executable} install no-such"


@pytest.mark.parametrize(
    ("asked", "together"),
    [("onnxruntime", {"onnx", "hibari-tts", "xllamacpp"}), ("mcp", {"trafilatura", "pypdf"})],
)
def test_the_libraries_of_an_extra_are_installed_together(asked: str, together: set[str]) -> None:
    words = shlex.split(install_command(asked))
    names = {re.split("[<>=]", word)[0] for word in words}
    assert names >= {asked} | together
    assert not names & {"redis", "livekit", "starlette"}


@pytest.mark.parametrize("name", ["redis", "livekit"])
def test_the_library_of_an_extra_has_its_accepted_versions(name: str) -> None:
    assert accepted_versions(name).startswith(">=")


def test_no_text_installs_the_project_from_an_index() -> None:
    """It is on none: a stranger could take the name."""
    sources = [*(ROOT / "src").rglob("*.py"), *(ROOT / "scripts").glob("*.py")]
    texts = {path: "\n".join(_strings(path)) for path in sources}
    texts |= {
        path: path.read_text("utf-8") for path in [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]
    }
    index = re.compile(r"(pip|uv|pipx)\b[^\n]*\binstall\b[^\n]*?\s['\"]?vivavoce\b")
    assert [str(path) for path, text in texts.items() if index.search(text)] == []


def _strings(path: Path) -> list[str]:
    return [
        n.value for n in nodes(path) if isinstance(n, ast.Constant) and isinstance(n.value, str)
    ]


def test_the_command_installs_into_this_environment() -> None:
    absent = ModuleNotFoundError("No module named 'no_such'", name="no_such.inner")
    error = missing_library("detector.toy", absent)
    assert str(error).startswith("detector.toy: no_such is not installed.")
    python, *rest = error.fix.removeprefix("Run `").removesuffix("`.").split()
    assert Path(python).absolute() == Path(sys.executable), "relative to the current folder"
    assert rest == ["-m", "pip", "install", "no_such"]


def test_a_library_that_is_there_and_breaks_says_why() -> None:
    error = missing_library("model.toy", ImportError("libomp.so.5: cannot open"), "toy_library")
    assert "toy_library can't be loaded (libomp.so.5: cannot open)." in str(error)


def test_the_command_names_the_versions_that_this_project_accepts() -> None:
    error = missing_library("edge", ModuleNotFoundError(name="uvicorn"))
    assert "'uvicorn<0.60,>=0.50'" in error.fix


def test_a_module_whose_distribution_has_another_name_is_found() -> None:
    error = missing_library("sandbox.monty", ModuleNotFoundError(name="pydantic_monty"))
    assert "'pydantic-monty>=" in error.fix
