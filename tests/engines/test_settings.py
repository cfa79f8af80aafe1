"""Settings of engines are read strictly, and every fault is named without its value."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field

from vivavoce.engines.settings import (
    BaseAddress,
    ExistingFile,
    ExistingFolder,
    HttpAddress,
    NoSettings,
    read_settings,
    resolve_key,
)
from vivavoce.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Toy:
    size: int
    share: Annotated[float, Field(gt=0, le=1)] = 0.5
    names: Mapping[str, str] = field(default_factory=dict)
    mode: bool | Literal["auto"] = True
    file: ExistingFile | None = None
    folder: ExistingFolder | None = None
    url: BaseAddress = "http://x"
    whole: HttpAddress = "http://x"

    def __post_init__(self) -> None:
        if self.size == 13:
            raise ValueError("13 is too many")


def faults(**table: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        read_settings("port.toy", table, Toy)
    return caught.value.problem


def test_settings_become_a_dataclass_with_its_own_defaults(tmp_path: Path) -> None:
    table = {
        "size": 1,
        "share": 1,
        "file": __file__,
        "folder": str(tmp_path),
        "url": "http://y/v1/",
    }
    read = read_settings("port.toy", table, Toy)
    assert read == Toy(1, 1.0, {}, True, Path(__file__), tmp_path, "http://y/v1", "http://x")


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ({}, "`size` is missing"),
        ({"size": True}, "`size` should be a valid integer"),
        ({"size": "1"}, "`size` should be a valid integer"),
        ({"size": 1, "share": 2}, "`share` should be less than or equal to 1"),
        ({"size": 1, "colour": 2}, "`colour` is not known"),
        ({"size": 1, "names": {"a": 3}}, "`names` should be a valid string"),
        ({"size": 1, "mode": "on"}, "`mode` should be a valid boolean, or should be 'auto'"),
        ({"size": 1, "file": "/nowhere"}, "`file` names no file: '/nowhere'"),
        ({"size": 1, "folder": __file__}, f"`folder` names no folder: {__file__!r}"),
        ({"size": 1, "url": "http://x/?a=b"}, "`url` is not an http address without a query"),
        ({"size": 1, "whole": "x"}, "`whole` is not an http address"),
        ({"size": 13}, "13 is too many"),
    ],
)
def test_what_is_wrong_is_named(table: dict[str, Any], fault: str) -> None:
    assert faults(**table) == f"The engine port.toy is set up wrongly: {fault}."


def test_all_faults_are_named_at_once_and_no_value() -> None:
    said = faults(size="a secret", share="a secret", colour="a secret")
    assert all(f"`{name}`" in said for name in ("size", "share", "colour"))
    assert "secret" not in said


def test_the_fix_gives_the_example_or_the_names() -> None:
    with pytest.raises(ConfigError, match=r"Give at least \{ use = 1 \}"):
        read_settings("port.toy", {}, Toy, "{ use = 1 }")
    with pytest.raises(ConfigError, match="Its settings are: size, share, names"):
        read_settings("port.toy", {}, Toy)
    with pytest.raises(ConfigError, match=r"`a` is not known.*It has no settings"):
        read_settings("port.toy", {"a": 1}, NoSettings)


def test_a_key_stands_in_the_settings_or_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOY_KEY", " k1\n")
    assert resolve_key("", "") == ""
    assert resolve_key("k2", "TOY_KEY") == resolve_key("k2", "NO_SUCH_VARIABLE") == "k2"
    assert resolve_key("", "TOY_KEY") == "k1"
    with pytest.raises(ValueError, match="NO_SUCH_VARIABLE is not set"):
        resolve_key("", "NO_SUCH_VARIABLE")
    with pytest.raises(ValueError, match="holds characters"):
        resolve_key("a\nb", "")
