"""One connection: the loop that tells the core what happened and performs what it wants.

Three tasks in one group. `_read` turns frames into positions and events; `_write` sends what
is queued; `_converse` waits for an event or the core's deadline, tells the core, and performs
its effects. Performing never awaits: whatever takes time is an errand (`errands.py`) whose
outcome comes back as an event. So the core is the only place that decides, and this one the
only place that touches the world.

How it ends:
- the core says `CloseConnection`: what is queued is sent, then the close;
- the client leaves: the core is told, and nothing is sent;
- the client breaks the protocol (`ClientFault`): closed with the fault's code; the core is not
  told, since nothing it could decide would be heard;
- anything else is a bug of ours: logged with the session's last events, closed with 1011.

In every case the engines forget the conversation, and `run` returns.
"""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import Awaitable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import assert_never

from vivavoce.core.context_window import TokenCounter
from vivavoce.core.effects import (
    CancelGeneration,
    CloseConnection,
    DropTranscript,
    Effect,
    FinishTranscript,
    ForgetAudio,
    ForgetSession,
    PrepareGeneration,
    RefreshTranscript,
    ReleaseGeneration,
    ReportMismatch,
    RunTool,
    SaveCheckpoint,
    Send,
    StartGeneration,
    StartTranscript,
    StopTool,
)
from vivavoce.core.events import (
    AudioArrived,
    CheckpointLost,
    ClientGone,
    CloseRequested,
    ContextUpdated,
    MessageRead,
    SessionSuperseded,
    VoiceScored,
)
from vivavoce.core.lifetime import CloseReason
from vivavoce.core.messages import Message
from vivavoce.core.session import LiveSession
from vivavoce.domain.audio import Position
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.ids import SessionId
from vivavoce.domain.setup import SessionSetup
from vivavoce.engines.ports import Engines
from vivavoce.errors import ClientFault
from vivavoce.runtime.detection import Detection, VoiceScorer
from vivavoce.runtime.errands import Errands, is_end
from vivavoce.runtime.frame_reader import FrameReader
from vivavoce.runtime.generations import Generations, Pace
from vivavoce.runtime.hearing import Hearing
from vivavoce.runtime.intake import Intake
from vivavoce.runtime.keeping import Keeping
from vivavoce.runtime.mailbox import Mailbox
from vivavoce.runtime.metering import Metering
from vivavoce.runtime.outbox import Outbox
from vivavoce.runtime.ports import (
    Dialect,
    Disconnected,
    Keeper,
    Meter,
    Transport,
)
from vivavoce.runtime.rate_limit import ANSWER_S, RateLimiter, RateLimits
from vivavoce.runtime.recordings import Recordings
from vivavoce.runtime.report import TurnListener
from vivavoce.runtime.reporter import TurnReporter
from vivavoce.runtime.served import NoTools, ServedTools
from vivavoce.runtime.transcripts import Transcripts, recognition_options
from vivavoce.tools.ports import Tooling, Toolset

log = logging.getLogger(__name__)

FAREWELL_S = 5.0
"""How long a client may take to read the last messages and the close."""

RELEASE_S = 2.0
"""How long an engine may take to forget a conversation."""

LATE_RELEASE = "engine does not let go: engine=%s session=%s"

TRACE_LINES = 100
"""How much of the flight recorder is logged when a session breaks."""

QUICK_EVENTS = (AudioArrived, VoiceScored, MessageRead)
"""Events that come often and cost little; after any other, the event loop gives way."""

INTERNAL = (1011, "Internal error encountered.")


@dataclass(frozen=True, slots=True)
class Hosting:
    """What a connection gets from its profile, shared with the profile's other sessions."""

    engines: Engines
    scorer: VoiceScorer
    listener: TurnListener | None = None
    tools: Tooling | None = None
    pace: Pace = field(default_factory=Pace)
    gauge: TokenCounter = field(default_factory=TokenCounter)
    rates: RateLimits = field(default_factory=RateLimits)


@dataclass(frozen=True, slots=True)
class Ending:
    """How a connection ended. `by_client`: it was gone before we said anything."""

    code: int
    reason: str
    by_client: bool = False
    logged: str = ""  # the reason without anything that the client sent


class Connection:
    """One client's conversation, from `setupComplete` to the close.

    `position` is where the count of heard samples goes on after a resumption. `toolset` is
    closed with the connection. `keeper` writes the session down, `meter` counts what it takes.
    """

    def __init__(
        self,
        session_id: SessionId,
        session: LiveSession,
        setup: SessionSetup,
        transport: Transport,
        dialect: Dialect,
        hosting: Hosting,
        position: Position = 0,
        toolset: Toolset | None = None,
        keeper: Keeper | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.session_id = session_id
        self._session = session
        self._transport = transport
        self._dialect = dialect
        self._hosting = hosting
        self._metering = Metering(meter)
        self._counts = setup.resumption is not None and setup.resumption.transparent
        self._mailbox = Mailbox()
        self._keeping = Keeping(keeper, session_id, self._mailbox.post)
        self._errands = Errands()
        detects = not setup.realtime.detection.disabled
        self._reporter = TurnReporter(session_id, hosting.listener, manual=not detects)
        self._rates = RateLimiter(hosting.rates)
        self._outbox = Outbox(
            partial(_count_sent, self._reporter, self._metering), self._rates.loop
        )
        self._frames = FrameReader(transport, dialect, self._metering, self._rates)
        intake = Intake(position)
        self._transcripts = Transcripts(
            hosting.engines.recognizer, setup, intake, self._errands, self._mailbox.post
        )
        self._hearing = Hearing(
            intake,
            Detection(hosting.scorer, intake, self._mailbox.post) if detects else None,
            self._transcripts,
            self._mailbox,
            self._reporter,
            self._rates,
            Recordings(
                hosting.engines.recognizer,
                recognition_options(setup),
                self._errands,
                self._rates,
                dialect.mismatch,
            ),
            dialect.mismatch,
        )
        self._generations = Generations(
            hosting.engines.responder,
            self._errands,
            self._outbox,
            self._mailbox.post,
            self._reporter,
            hosting.pace,
        )
        self._served = ServedTools(toolset or NoTools(), self._errands, self._mailbox.post)
        self._ending: Ending | None = None

    def leave(self, farewell: CloseReason, time_left_s: float) -> None:
        """The connection is to end in so many seconds, for this reason."""
        self._mailbox.post(CloseRequested(farewell, time_left_s))

    def taken(self) -> None:
        """The session goes on over a newer connection."""
        self._mailbox.post(SessionSuperseded())

    def surrender(self) -> asyncio.Future[Checkpoint | None]:
        """The same, and what is not on record of it yet is for that connection."""
        self._mailbox.post(SessionSuperseded(handover=True))
        return self._keeping.surrender()

    def lost(self) -> None:
        """What is on record of the session cannot be had now."""
        self._mailbox.post(CheckpointLost())

    async def run(self) -> Ending:
        """Hold the conversation until it ends. Raises nothing but `CancelledError`."""
        try:
            try:
                ending = await self._hold()
            except BaseExceptionGroup as group:
                ending = self._explain(group)
                traceback.clear_frames(group.__traceback__)  # one refers to the group
            finally:
                self._retire()
            if not ending.by_client:
                await self._close(ending)
            return ending
        finally:
            await self._let_go()

    async def _hold(self) -> Ending:
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(), name="read")
            writer = tasks.create_task(self._write(), name="write")
            await self._converse()
            reader.cancel()
            self._retire()
            self._outbox.finish()
            await asyncio.wait({writer}, timeout=FAREWELL_S)
            writer.cancel()
        return self._ending or Ending(*INTERNAL)

    # --- the three tasks ---------------------------------------------------------------

    async def _converse(self) -> None:
        session, mailbox, clock = self._session, self._mailbox, self._loop.time
        self._perform_all(session.open_session(clock()))
        while not session.closed:
            # Events before deadlines: sound that waited here while the loop was busy is not
            # a client that fell silent.
            if (event := mailbox.take()) is not None:
                now = clock()
                with self._rates.loop.working():
                    self._reporter.event(event, now)
                    self._perform_all(session.handle_event(event, now))
                    self._hearing.judged(event)
                if not isinstance(event, QUICK_EVENTS):
                    await asyncio.sleep(0)  # between two turns, others have theirs
                await self._rates.loop.give_way()
            elif (deadline := session.deadline()) is not None and deadline <= clock():
                self._perform_all(session.handle_deadline(clock()))
            else:
                await mailbox.wait(deadline)

    async def _read(self) -> None:
        try:
            while True:
                said, sound = await self._frames.read()
                for incoming in said:
                    if isinstance(incoming, ContextUpdated):
                        incoming = await self._served.read(incoming)
                    await self._hearing.receive(incoming)
                    self._metering.read(incoming)
                if self._counts:
                    self._mailbox.post(MessageRead(sound))
                # A transport with frames in stock never suspends; others want a turn.
                await asyncio.sleep(0)
                await self._mailbox.room()
        except Disconnected as gone:
            self._leave(gone)

    async def _write(self) -> None:
        try:
            await self._outbox.run(self._transport, self._dialect)
        except Disconnected as gone:
            self._leave(gone)

    def _leave(self, gone: Disconnected) -> None:
        self._ending = self._ending or Ending(gone.code, gone.reason, by_client=True)
        self._mailbox.post(ClientGone())

    # --- what the core wants -----------------------------------------------------------

    def _perform_all(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._reporter.effect(effect, self._loop.time())
            self._metering.effect(effect)
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(message=message, generation=generation):
                self._outbox.put(message, generation)
            case PrepareGeneration(request=request):
                self._generations.prepare(request)
            case StartGeneration(request=request):
                self._rates.loop.count_work(ANSWER_S)
                self._served.asked(request)
                self._generations.start(request)
            case ReleaseGeneration(generation=generation):
                self._generations.release(generation)
            case CancelGeneration(generation=generation, purge=purge):
                self._generations.cancel(generation, purge)
            case RunTool(call=call):
                self._served.run(call)
            case StopTool(call=id):
                self._served.stop(id)
            case StartTranscript(turn=turn, start=start):
                self._transcripts.start(turn, start)
            case RefreshTranscript(turn=turn, position=position, paused=paused):
                self._transcripts.refresh(turn, position, paused)
            case FinishTranscript(turn=turn, end=end, paused_at=paused_at):
                self._transcripts.finish(turn, end, paused_at)
            case DropTranscript(turn=turn):
                self._transcripts.drop(turn)
            case SaveCheckpoint(checkpoint=checkpoint, new_handle=told):
                self._keeping.save(checkpoint, told)
            case ForgetSession():
                self._keeping.forget()
            case ForgetAudio(position=position):
                self._hearing.forget(position)
            case ReportMismatch(sentence=sentence, code=code, quoted=told):
                self._dialect.mismatch(sentence, code, told=told)
            case CloseConnection(code=code, reason=reason):
                self._ending = self._ending or Ending(code, reason, logged=reason)
            case _:
                assert_never(effect)

    # --- the end -----------------------------------------------------------------------

    def _retire(self) -> None:
        """Nobody listens any more: engines are called back, and nobody waits for them yet."""
        self._generations.close()
        self._served.close()
        self._transcripts.close()

    def _explain(self, group: BaseExceptionGroup[BaseException]) -> Ending:
        """What to tell the client about what ended the three tasks. Re-raises cancellation."""
        failure: BaseException = group
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        if isinstance(failure, ClientFault):
            return Ending(failure.code, failure.reason, logged=failure.logged)
        if not isinstance(failure, Exception):
            raise failure
        log.error("session broke: session=%s", self.session_id, exc_info=failure)
        last = list(self._session.trace.lines())[-TRACE_LINES:]
        log.error("last events of session %s:\n%s", self.session_id, "\n".join(last))
        return Ending(*INTERNAL)

    async def _close(self, ending: Ending) -> None:
        with suppress(Disconnected, TimeoutError):
            async with asyncio.timeout(FAREWELL_S):
                await self._transport.close(ending.code, ending.reason)

    async def _let_go(self) -> None:
        """Everything that engines hold for this conversation is given back, whatever happens."""
        try:
            await self._keeping.aclose()
            await self._errands.aclose()
        finally:
            responder = self._hosting.engines.responder
            await self._release(
                recognizer=self._transcripts.aclose(),
                responder=responder.release(self.session_id),
                tools=self._served.toolset.aclose(),
            )

    async def _release(self, **engines: Awaitable[None]) -> None:
        """Let engines forget the conversation, but do not wait for one that will not."""
        # Errands: `asyncio.timeout` would wait for an engine that swallows its cancellation.
        work = {
            self._errands.start(f"release {engine}", self._forget(engine, release)): engine
            for engine, release in engines.items()
        }
        try:
            await asyncio.wait(work, timeout=RELEASE_S)
        finally:
            for task, engine in work.items():
                if not task.done():
                    log.error(LATE_RELEASE, engine, self.session_id)
                    self._errands.call_back(task)

    async def _forget(self, engine: str, release: Awaitable[None]) -> None:
        try:
            await release
        except BaseException as failure:
            if is_end(failure):
                raise
            log.exception("engine did not let go: engine=%s session=%s", engine, self.session_id)


def _count_sent(reporter: TurnReporter, metering: Metering, message: Message) -> None:
    reporter.sent(message, asyncio.get_running_loop().time())
    metering.sent(message)
