"""Hold the conversations of a scenario in several sessions at once, and measure them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from vivavoce.bench.caller import REPLY_TIMEOUT_S, Caller, ConversationRecord
from vivavoce.bench.measure import MeasuredTurn, measure_turns
from vivavoce.bench.scenario import RecordedStep, ScenarioFunction
from vivavoce.client.audio import CHUNK_S
from vivavoce.client.messages import SessionClosed, SessionOptions
from vivavoce.client.session import ServerEndpoint, ServerUnreachable, connect

SPREAD_S = 4.0
"""Users of one run begin within this time, evenly, as they do not call at the same moment."""


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Plan of every user of a run: the sessions' setup and the recorded conversations."""

    endpoint: ServerEndpoint
    options: SessionOptions
    conversations: Sequence[Sequence[RecordedStep]]
    functions: Sequence[ScenarioFunction] = ()
    settle_s: float = 0.0
    timeout_s: float = REPLY_TIMEOUT_S
    chunk_s: float = CHUNK_S


@dataclass(frozen=True, slots=True)
class MeasuredSession:
    """One conversation of the user `number`; `closed` says how the server ended it, if it did."""

    number: int
    record: ConversationRecord
    turns: list[MeasuredTurn]
    closed: str = ""


@dataclass(slots=True)
class Load:
    """The conversations of `users` at once. The results are there at any time, also after Ctrl-C.

    `refused` are the users who got no session at all, `first_refusal` says why. `began` is of the
    event loop's clock; `cpu_s` is what this process used itself.
    """

    plan: LoadPlan
    users: int
    sessions: list[MeasuredSession] = field(default_factory=list)
    refused: int = 0
    first_refusal: SessionClosed | ServerUnreachable | None = None
    began: float = 0.0
    lasted_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def turns(self) -> list[MeasuredTurn]:
        return [turn for session in self.sessions for turn in session.turns]

    async def hold_conversations(self, duration_s: float | None = None) -> None:
        """Run all users: through every conversation once, or over again for `duration_s`."""
        loop = asyncio.get_running_loop()
        self.began, cpu_before_s = loop.time(), time.process_time()
        spread_s = min(SPREAD_S, (duration_s or SPREAD_S) / 2)
        until = float("inf") if duration_s is None else self.began + duration_s
        try:
            async with asyncio.TaskGroup() as tasks:
                for number in range(self.users):
                    delay_s = spread_s * number / self.users
                    tasks.create_task(self._run_user(number, delay_s, until))
        finally:
            self.lasted_s = loop.time() - self.began
            self.cpu_s = time.process_time() - cpu_before_s

    async def _run_user(self, number: int, delay_s: float, until: float) -> None:
        await asyncio.sleep(delay_s)
        loop = asyncio.get_running_loop()
        held, count = 0, len(self.plan.conversations)
        while loop.time() + self.plan.settle_s < until and (until < float("inf") or held < count):
            steps = self.plan.conversations[(number + held) % count]
            try:
                await self._hold_conversation(number, steps, until)
            except (SessionClosed, ServerUnreachable) as refusal:
                self.refused += 1
                self.first_refusal = self.first_refusal or refusal
                return
            held += 1

    async def _hold_conversation(
        self, number: int, steps: Sequence[RecordedStep], until: float
    ) -> None:
        """Hold one conversation. Raises what `connect` raises."""
        async with connect(self.plan.endpoint, self.plan.options) as session:
            plan = self.plan
            caller = Caller(session, plan.functions, plan.timeout_s, plan.chunk_s)
            caller.record.session_id = session.id
            closed = ""
            try:
                await caller.hold_conversation(steps, plan.settle_s, until)
            except SessionClosed as ended:
                closed = str(ended)
            finally:
                record = caller.record
                turns = measure_turns(record.spoken, record.arrivals)
                for turn in turns:
                    turn.session = number
                self.sessions.append(MeasuredSession(number, record, turns, closed))
