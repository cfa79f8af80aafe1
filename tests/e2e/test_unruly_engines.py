"""Engines that misbehave end their own turn and nothing else."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from serving import connected, serving, spoken, until


def unruly(kind: str) -> str:
    return (
        'models = { "*" = "unruly" }\n[profiles.unruly]\ndetector = "energy"\n'
        f'recognizer = "tones"\nresponder = "unruly:{kind}"\n'
    )


@pytest.mark.parametrize(
    "kind", ["failing", "breaking", "panicking", "mistaken", "hanging", "stubborn"]
)
async def test_an_engine_that_misbehaves_ends_its_turn_and_nothing_else(
    tmp_path: Path, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    flags: dict[str, Any] = {"profile": None, "session__engine_silence_s": 0.3}
    async with serving(tmp_path, unruly(kind), **flags) as server, connected(server) as client:
        await client.set_up()
        await client.say("misbehave")
        ended = await client.turn()
        await client.say("and now properly")
        assert len(spoken(await client.turn())) == 24_000
    assert not any("interrupted" in message.get("serverContent", {}) for message in ended)


@pytest.mark.parametrize("kind", ["hanging", "stubborn"])
async def test_an_engine_that_ignores_cancellation_is_not_heard_again(
    tmp_path: Path, kind: str
) -> None:
    async with serving(tmp_path, unruly(kind), profile=None) as server:
        async with connected(server) as client:
            await client.set_up()
            await client.say("misbehave")
            await asyncio.sleep(0.1)
            await client.say("and now properly")
            first, second = await client.turn(), await client.turn()
        assert any("interrupted" in message.get("serverContent", {}) for message in first)
        assert len(spoken(second)) == 24_000
        await until(lambda: len(server.sessions) == 0)
