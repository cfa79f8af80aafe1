"""The same conversation on a new connection."""

from __future__ import annotations

from dataclasses import replace

from core.world import SETUP, World
from vivavoce.core.messages import Message, SetupComplete, TurnComplete
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.checkpoint import strip_server_tools
from vivavoce.domain.content import Content
from vivavoce.domain.ids import CountingIds
from vivavoce.domain.setup import Resumption, SessionSetup
from vivavoce.store.checkpoints import CheckpointEncoder, decode_checkpoint

WANTED = replace(SETUP, resumption=Resumption())
COUNTING = replace(SETUP, resumption=Resumption(transparent=True))
SETTINGS = SessionSettings(resumable=True)


def resumed(old: World, setup: SessionSetup | None = None) -> World:
    """The same conversation on a new connection, from a checkpoint written down here."""
    setup = setup or old.setup
    checkpoint = decode_checkpoint(
        *CheckpointEncoder().encode(old.session.take_checkpoint(old.now))
    )
    assert checkpoint is not None
    _, tools = checkpoint.merge_setup(setup)
    before = old.session.conversation.context.tools
    session = LiveSession.resume(
        checkpoint, setup, old.behavior, old.settings, _Continuing(old),
        before if strip_server_tools(before) == tools else tools,
    )  # fmt: skip
    new = World(setup, old.settings, session=session, now=old.now)
    new.position, new.words, new.steps = old.position, old.words, old.steps
    new.oracle.spoken, new.oracle.calls = old.oracle.spoken, old.oracle.calls
    new.said = [*old.said, *((at, m) for at, m in new.said if not isinstance(m, SetupComplete))]
    new.said_calls = old.said_calls
    new.calls, new.answered = old.calls[:], old.answered[:]
    return new


class _Continuing(CountingIds):
    """Names that go on counting where the session before stopped."""

    def __init__(self, old: World) -> None:
        super().__init__()
        for _ in range(old.said_calls):
            self.call()


def plain(messages: list[Message]) -> list[Message]:
    """Without the greeting, and without the cost: a pre-roll does not reach over the cut."""
    return [
        replace(message, usage=None) if isinstance(message, TurnComplete) else message
        for message in messages
        if not isinstance(message, SetupComplete)
    ]


def history(world: World) -> tuple[Content, ...]:
    return world.session.conversation.context.history.snapshot()
