"""Answers as a user hears them, from scripted peers that speak the Live API."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import numpy as np
import pytest

from client.stub import READY, Peer, serving, spoken
from vivavoce.client.messages import SessionOptions
from vivavoce.client.session import ServerEndpoint
from vivavoce.domain.audio import INPUT_RATE
from vivavoce.evaluation.clips import LabelledClip, to_pcm
from vivavoce.evaluation.labelled_speech import Overlap, overlaps
from vivavoce.evaluation.live_turns import HeardAnswer, LiveTalk, overlap_answer, talk_to

pytestmark = pytest.mark.integration

COMPLETE = {"serverContent": {"turnComplete": True}}
INTERRUPTED = {"serverContent": {"interrupted": True}}
LONG_WORD = LabelledClip("word", "short", to_pcm(np.full(INPUT_RATE, 0.5)), ((0.0, 1.0),))
"""One word of a second."""


def sound(seconds: float, level: int = 9_000) -> dict[str, object]:
    return spoken(np.full(round(24_000 * seconds), level, "<i2").tobytes())


async def talk(
    script: Callable[[Peer], Awaitable[None]], act: Callable[[LiveTalk], Awaitable[None]]
) -> list[HeardAnswer]:
    async def whole(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await script(peer)
        await peer.gone()

    async with (
        serving(whole) as url,
        talk_to(ServerEndpoint(url), SessionOptions()) as conversation,
    ):
        await act(conversation)
    return conversation.answers


async def test_audio_behind_an_interruption_is_late_while_the_user_still_speaks() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(sound(0.2), INTERRUPTED, COMPLETE, sound(0.1))

    async def act(conversation: LiveTalk) -> None:
        conversation.speak(LONG_WORD)
        await conversation.wait_until(
            lambda: bool(conversation.answers and conversation.answers[0].late_bytes),
            conversation.now + 5,
        )

    [answer] = await talk(script, act)
    assert answer.late_bytes == 2 * 2_400


async def test_an_answer_is_heard_behind_its_leading_silence() -> None:
    async def script(peer: Peer) -> None:
        await peer.say(sound(0.5, level=0), sound(0.5, level=0), sound(0.1))

    async def act(conversation: LiveTalk) -> None:
        began = conversation.now
        await conversation.wait_until(lambda: bool(conversation.answers), began + 5)
        assert conversation.answers[0].began_at - began >= 1.0

    assert len(await talk(script, act)) == 1


def interruption() -> Overlap:
    return next(each for each in overlaps() if each.kind.takes_floor)


async def test_an_interruption_before_the_sound_is_none_by_it() -> None:
    outcomes = []

    async def script(peer: Peer) -> None:
        await peer.say(sound(9.0), INTERRUPTED, COMPLETE)

    async def act(conversation: LiveTalk) -> None:
        outcomes.append(
            await overlap_answer(conversation, interruption(), LONG_WORD, "Tell a story.", 0.1)
        )

    await talk(script, act)
    assert outcomes[0].stopped_after_s is None
