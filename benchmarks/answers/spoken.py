"""The long conversations by voice: synthesized speech, the real server, its own client."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

from benchmarks.live_server import run_server, synthesize

from vivavoce.client.conversation import Conversation
from vivavoce.client.files import FileMicrophone
from vivavoce.client.live import Endpoint, connect
from vivavoce.client.messages import SessionOptions
from vivavoce.client.playing import ClockSpeaker, drained

from .case import Persona
from .personas import PERSONAS
from .score import Score, count_turns

PORT = 18_483
PATIENCE_S = 90
"""Without a message for so long, a turn counts as not answered."""


async def converse(url: str, persona: Persona, turns: int) -> list[tuple[str, str]]:
    """What the server understood and said in each turn; fewer turns if it went silent."""
    lines = persona.lines[:turns]
    sounds = await synthesize(lines)
    options = SessionOptions(instruction=persona.instruction)
    async with connect(Endpoint(url), options) as session:
        speaker = ClockSpeaker()
        conversation = Conversation(session, speaker)

        async def course() -> bool:
            for sound in sounds:
                await conversation.speak(FileMicrophone(sound, tail_s=1.0))
                if not await conversation.settled(0.3, PATIENCE_S):
                    return False
                await drained(speaker)
            return True

        await conversation.held(course())
    return [(turn.heard, turn.said) for turn in conversation.log.turns]


def measure_spoken(model: str, limit: int) -> Score:
    """The conversations with all personas, one after the other."""
    score = Score()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "server.log"
        with run_server(log, PORT, model=model) as server:
            for persona in PERSONAS:
                turns = asyncio.run(converse(server.url, persona, limit))
                count_turns(
                    score, persona.name, [said for said, _ in turns], [said for _, said in turns]
                )
                missing = min(limit, len(persona.lines)) - len(turns)
                if missing > 0:
                    score.total += missing
                    score.failures.append(f"{persona.name}: {missing} turns without an answer")
    return score
