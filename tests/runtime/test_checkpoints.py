"""Checkpoints beside the conversation: in order, waited for at the end, and left to an heir."""

from __future__ import annotations

import asyncio

from vivavoce.core.events import CheckpointSaved, Event, SessionSuperseded
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import Tools
from vivavoce.domain.ids import SessionId
from vivavoce.errors import StoreError
from vivavoce.runtime.checkpoints import CheckpointWriter
from vivavoce.testing.virtual_loop import run_virtually


def checkpoint(position: int = 0) -> Checkpoint:
    return Checkpoint(SessionId("s"), "m", "", Tools(), (), position)


class Slow:
    """A keeper that takes a second for everything, and does what `outcome` says."""

    def __init__(self, outcome: str | Exception | None = "handle") -> None:
        self.done: list[object] = []
        self._outcome = outcome

    async def save_checkpoint(self, checkpoint: Checkpoint, new_handle: bool) -> str | None:
        await asyncio.sleep(1)
        self.done.append((checkpoint.position, new_handle))
        if isinstance(self._outcome, Exception):
            raise self._outcome
        return self._outcome

    async def forget_session(self) -> None:
        await asyncio.sleep(1)
        self.done.append("forgotten")


def test_the_end_waits_for_what_was_begun_and_it_is_done_in_order() -> None:
    async def course() -> list[object]:
        keeper = Slow()
        keeping = CheckpointWriter(keeper, "s", lambda event: None)
        keeping.save_checkpoint(checkpoint(1), new_handle=True)
        keeping.save_checkpoint(checkpoint(2), new_handle=False)
        keeping.forget_session()
        await keeping.aclose()
        return keeper.done

    assert run_virtually(course()) == [(1, True), (2, False), "forgotten"]


def outcomes(keeper: Slow | None, told: bool = True) -> list[Event]:
    async def course() -> list[Event]:
        events: list[Event] = []
        keeping = CheckpointWriter(keeper, "s", events.append)
        keeping.save_checkpoint(checkpoint(), told)
        await keeping.aclose()
        return events

    return run_virtually(course())


def test_what_became_of_it_comes_back_as_an_event() -> None:
    assert outcomes(Slow("handle")) == [CheckpointSaved("handle")]
    assert outcomes(Slow(None)) == [SessionSuperseded()]
    assert outcomes(Slow(StoreError("away"))) == [CheckpointSaved(None)]
    assert outcomes(Slow(RuntimeError("a bug"))) == [CheckpointSaved(None)]
    assert outcomes(None) == [CheckpointSaved(None)]
    assert outcomes(Slow("handle"), told=False) == []


def test_the_last_checkpoint_goes_to_the_successor_and_not_to_the_store() -> None:
    async def course(*positions: int) -> tuple[object, list[object]]:
        keeper = Slow()
        keeping = CheckpointWriter(keeper, "s", lambda event: None)
        heir = keeping.request_handover()
        for position in positions:
            keeping.save_checkpoint(checkpoint(position), new_handle=False)
        await keeping.aclose()
        left = heir.result()
        return left and left.position, keeper.done

    assert run_virtually(course(7)) == (7, [])
    assert run_virtually(course()) == (None, []), "all was on record"
