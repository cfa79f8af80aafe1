"""The long conversations by voice: synthesized speech, the real server, its own client."""

from __future__ import annotations

import asyncio
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from vivavoce.bench.server_process import run_server
from vivavoce.bench.speech import synthesize_texts
from vivavoce.client.audio import ClockSpeaker, FileMicrophone, wait_until_played
from vivavoce.client.conversation import ClientConversation
from vivavoce.client.messages import SessionClosed, SessionOptions
from vivavoce.client.session import ServerEndpoint, connect

from .case import Persona
from .personas import PERSONAS
from .score import Score, count_turns

PORT = 18_483
PATIENCE_S = 150
"""Without a message for so long, a line counts as not answered, and the next one is said."""

ENGINE_PATIENCE_S = 300
"""What is measured is what five at once are answered, not how soon, on a busy machine too."""


async def converse(
    url: str, persona: Persona, lines: Sequence[str], sounds: Sequence[bytes]
) -> list[tuple[str, str]]:
    """What the server understood and said in each turn."""
    options = SessionOptions(instruction=persona.instruction)
    async with connect(ServerEndpoint(url), options) as session:
        speaker = ClockSpeaker()
        conversation = ClientConversation(session, speaker)

        async def course() -> bool:
            for line, sound in zip(lines, sounds, strict=True):
                await conversation.send_microphone(FileMicrophone(sound, tail_s=1.0))
                if not await conversation.wait_until_quiet(0.3, PATIENCE_S):
                    print(f"{persona.name}: no answer to {line!r}", file=sys.stderr)
                await wait_until_played(speaker)
            return True

        try:
            await conversation.run_while_receiving(course())
        except SessionClosed as error:
            print(f"{persona.name}: {error}", file=sys.stderr)
    return [(turn.question.strip(), turn.answer.strip()) for turn in conversation.log.turns]


async def converse_with_all(url: str, limit: int) -> list[list[tuple[str, str]]]:
    """The turns of every persona, all talking to one server at the same time."""
    lines = [persona.lines[:limit] for persona in PERSONAS]
    sounds = [await synthesize_texts(each) for each in lines]
    talks = map(converse, [url] * len(PERSONAS), PERSONAS, lines, sounds)
    return list(await asyncio.gather(*talks))


def measure_spoken(model: str, limit: int) -> Score:
    """The conversations with all personas, side by side."""
    score = Score()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        patience = {
            "SESSION__ENGINE_SILENCE_S": str(ENGINE_PATIENCE_S),
            "SESSION__TURN_COMPLETE": "immediate",
        }
        with run_server(log, PORT, model=model, settings=patience) as server:
            talks = asyncio.run(converse_with_all(server.url, limit))
    for persona, turns in zip(PERSONAS, talks, strict=True):
        count_turns(score, persona.name, [said for said, _ in turns], [said for _, said in turns])
        missing = min(limit, len(persona.lines)) - len(turns)
        if missing > 0:
            score.total += missing
            score.failures.append(f"{persona.name}: {missing} turns without an answer")
    return score
