"""The tool that runs a model's code, over the real default sandbox and over one that fails."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from tools.conversations import said
from vivavoce.domain.content import CodeResult, ToolKind
from vivavoce.engines.monty import MontySandbox, create
from vivavoce.errors import ToolError
from vivavoce.tools.code import MAX_CODE, CodeTool

ASKED = said("calculate")


class Broken:
    """A sandbox in which nothing runs."""

    name = "broken"
    abilities = ""

    async def run(self, code: str) -> CodeResult:
        raise ToolError("sandbox.broken", "The sandbox can't be started.")

    async def aclose(self) -> None:
        pass


@pytest.fixture
async def sandbox() -> AsyncIterator[MontySandbox]:
    built = await create({}, None)  # type: ignore[arg-type]
    yield built
    await built.aclose()


@pytest.mark.integration
async def test_the_models_description_says_what_it_can_do(sandbox: MontySandbox) -> None:
    spec = CodeTool(sandbox).spec
    assert spec.kind is ToolKind.CODE
    assert spec.declaration.name == "code_execution"
    assert "no network" in spec.declaration.description
    assert spec.declaration.description.endswith(sandbox.abilities)
    assert spec.declaration.parameters is not None
    assert spec.declaration.parameters["required"] == ["code"]


async def test_every_module_that_the_description_names_is_there(sandbox: MontySandbox) -> None:
    listed = sandbox.abilities.partition("modules: ")[2].partition(".")[0].split(", ")
    assert len(listed) > 15
    result = await sandbox.run("\n".join(f"import {name}" for name in listed))
    assert result == CodeResult("OUTCOME_OK", "")


@pytest.mark.integration
async def test_the_model_reads_what_the_client_gets(sandbox: MontySandbox) -> None:
    outcome = await CodeTool(sandbox).run({"code": "print(sum(range(11)))"}, ASKED)
    assert outcome.response == {"outcome": "OUTCOME_OK", "output": "55\n"}
    assert outcome.code == CodeResult("OUTCOME_OK", "55\n")
    assert not outcome.failed


@pytest.mark.integration
async def test_code_that_fails_is_no_failure_of_the_tool(sandbox: MontySandbox) -> None:
    outcome = await CodeTool(sandbox).run({"code": "1 / 0"}, ASKED)
    assert outcome.response["outcome"] == "OUTCOME_FAILED"
    assert outcome.response["output"].endswith("ZeroDivisionError: division by zero")
    assert not outcome.failed


@pytest.mark.parametrize("args", [{}, {"code": ""}, {"code": " \n"}, {"code": 5}])
async def test_without_code_nothing_runs(args: dict[str, object]) -> None:
    with pytest.raises(ToolError, match="no code"):
        await CodeTool(Broken()).run(args, ASKED)


@pytest.mark.integration
async def test_code_has_a_longest_length(sandbox: MontySandbox) -> None:
    tool = CodeTool(sandbox)
    longest = "#" * (MAX_CODE - 2) + "\n7"
    assert (await tool.run({"code": longest}, ASKED)).response["output"] == "7\n"
    with pytest.raises(ToolError, match=f"{MAX_CODE + 1} bytes, and may have {MAX_CODE}"):
        await tool.run({"code": "é" * (MAX_CODE // 2) + "#"}, ASKED)


async def test_a_sandbox_that_does_not_work_is_a_failure_of_the_tool() -> None:
    with pytest.raises(ToolError, match="can't be started"):
        await CodeTool(Broken()).run({"code": "1"}, ASKED)
