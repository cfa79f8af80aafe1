from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.client.tools import ToolModule
from vivavoce.domain.content import ToolCall
from vivavoce.domain.ids import CallId
from vivavoce.errors import ConfigError

MODULE = '''
from typing import Literal
from os.path import join

lights = []

def set_lights(state: Literal["on", "off"], level: int = 100) -> dict:
    """Switch the lights."""
    lights.append((state, level))
    return {"state": state, "level": level}

async def count(names: list[str]):
    return len(names)

def fail():
    raise RuntimeError("no lamp")

def _private():
    pass
'''


@pytest.fixture
def tools(tmp_path: Path) -> ToolModule:
    path = tmp_path / "house.py"
    path.write_text(MODULE)
    return ToolModule.load_file(path)


def call(name: str, **args: object) -> ToolCall:
    return ToolCall(CallId(f"id-{name}"), name, args)


def test_only_its_own_public_functions_are_declared(tools: ToolModule) -> None:
    assert [d.name for d in tools.declarations] == ["set_lights", "count", "fail"]
    lights, count, fail = tools.declarations
    assert lights.description == "Switch the lights."
    assert lights.parameters == {
        "type": "object",
        "properties": {
            "state": {"type": "string", "enum": ["on", "off"]},
            "level": {"type": "integer"},
        },
        "required": ["state"],
    }
    assert count.parameters is not None
    assert count.parameters["properties"]["names"] == {
        "type": "array",
        "items": {"type": "string"},
    }
    assert fail.parameters is None


async def test_calls_are_answered_side_by_side_with_errors_as_results(tools: ToolModule) -> None:
    answers = await tools.answer_calls(
        [
            call("set_lights", state="on"),
            call("count", names=["a", "b"]),
            call("fail"),
            call("unknown"),
            call("set_lights", colour="red"),
        ]
    )
    assert [a.id for a in answers[:2]] == ["id-set_lights", "id-count"]
    assert answers[0].response == {"state": "on", "level": 100}
    assert answers[1].response == {"result": 2}
    assert answers[2].response == {"error": "no lamp"}
    assert answers[3].response == {"error": "There is no function unknown."}
    assert "colour" in answers[4].response["error"]


@pytest.mark.parametrize(
    ("text", "word"),
    [(None, "not a Python file"), ("x = 1", "no public function"), ("def f(:", "imported")],
)
def test_a_bad_module_is_refused_with_a_sentence(
    tmp_path: Path, text: str | None, word: str
) -> None:
    path = tmp_path / "bad.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=word):
        ToolModule.load_file(path)
