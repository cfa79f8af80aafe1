"""Barge-in over a real socket: what comes of an answer after it was interrupted, or not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from conformance.socket_runner import on_a_socket
from conformance.wire import (
    BOTH_TRANSCRIPTS,
    Json,
    RawClient,
    content,
    kinds,
    raw,
    setup,
    sound,
    transcript,
)
from support.host_rig import Step
from vivavoce.core.settings import BargeInHandling, SessionSettings
from vivavoce.domain.content import Role
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import Speech

pytestmark = pytest.mark.e2e

PIECES, PIECE = 80, 4800 * 2
"""The first answer: sixteen seconds, in pieces of 0.2 s."""

NEXT = b"\x7f" * 4800


def answer(request: GenerationRequest) -> Sequence[Step]:
    """A long answer whose every piece has its number in each byte, then a short one."""
    if sum(each.role is Role.USER for each in request.history) > 1:
        return [Speech(NEXT, "Very well.")]
    return [Speech(bytes([n + 1]) * PIECE, f"w{n} ") for n in range(PIECES)]


@pytest.fixture
async def client() -> AsyncIterator[RawClient]:
    settings = SessionSettings(barge_in=BargeInHandling.DELIBERATE)
    async with on_a_socket(answer, settings, streams=True) as url, raw(url) as connected:
        await connected.send(setup(**BOTH_TRANSCRIPTS))
        await connected.receive()
        await connected.type("Tell me a story.")
        yield connected


def sound_comes(message: Json) -> bool:
    return bool(sound([message]))


def interrupted(message: Json) -> bool:
    return bool(content(message).get("interrupted"))


@pytest.mark.parametrize("unread_s", [0.0, 2.0])
async def test_no_byte_of_the_old_answer_follows_interrupted(
    client: RawClient, unread_s: float
) -> None:
    await client.until(sound_comes)
    await asyncio.sleep(unread_s)  # nothing is read meanwhile: the server's queue grows
    await client.speak("stop it now", fast=False)
    before = await client.until(interrupted)
    after = [*await client.turn(), *await client.turn()]
    assert sound(before)
    assert sound(after) == NEXT
    assert transcript(after, "output").strip() == "Very well."


async def test_after_a_back_channel_the_answer_goes_on_without_gap_or_repetition(
    client: RawClient,
) -> None:
    first = await client.until(sound_comes)
    speaking = asyncio.create_task(client.speak("yeah okay", tail_s=1.5, fast=False))
    messages = [*first, *await client.turn(within_s=30.0)]
    await speaking
    assert sound(messages) == b"".join(bytes([n + 1]) * PIECE for n in range(PIECES))
    assert "interrupted" not in kinds(messages)
    assert "inputTranscription" not in kinds(messages)
