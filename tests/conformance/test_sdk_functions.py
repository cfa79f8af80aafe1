"""Plain Python functions as tools of Google's SDK: whatever their signatures, they are called."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any, Literal

import pydantic
import pytest

from conformance.sdk import live
from conformance.servers import Running

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.e2e,
    pytest.mark.usefixtures("trusted"),
    pytest.mark.filterwarnings("default"),
]


class Lamp(pydantic.BaseModel):
    """A lamp."""

    level: int
    color: Literal["red", "blue"] | None = None


class Group(pydantic.BaseModel):
    """Lamps, and groups of them."""

    lamp: Lamp
    within: list[Group] = []


KINDS: list[tuple[Any, Any]] = [
    (Literal[1, 2, 3], 2),
    (int | None, 2),
    (int | str, 2),
    (list[int], [2]),
    (dict[str, int], {}),
    (tuple[int, bool], [2, True]),
    (Lamp, {"level": 2}),
    (Lamp | None, {"level": 2}),
    (list[Lamp], [{"level": 2}]),
    (Group, {"lamp": {"level": 2}}),
]


def function_of(kind: Any) -> Callable[..., str]:
    def set_volume_level(level: Any) -> str:
        """Set the volume level of the music."""
        return "ok"

    parameter = inspect.Parameter("level", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=kind)
    set_volume_level.__signature__ = inspect.Signature([parameter])  # type: ignore[attr-defined]
    set_volume_level.__annotations__ = {"level": kind, "return": str}
    return set_volume_level


async def first_calls(session: Any) -> list[Any]:
    """The calls of the first batch; none if the turn ends without."""
    async for message in session.receive():
        if message.tool_call:
            return list(message.tool_call.function_calls)
    return []


@pytest.mark.parametrize(("kind", "value"), KINDS, ids=lambda one: str(one)[:40])
async def test_a_function_of_any_signature_is_called(
    genai: Any, scripted: Running, kind: Any, value: Any
) -> None:
    options: dict[str, Any] = {"response_modalities": ["TEXT"], "tools": [function_of(kind)]}
    async with live(genai, scripted, **options) as session:
        await session.send_realtime_input(text="set the volume level to 2")
        async with asyncio.timeout(15):
            calls = await first_calls(session)
    assert [(call.name, call.args) for call in calls] == [("set_volume_level", {"level": value})]
