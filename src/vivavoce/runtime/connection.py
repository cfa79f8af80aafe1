"""Run one connection: pass events to the core and perform its effects.

Three tasks in one group. `_read` turns frames into positions and events; `_write` sends what is
queued; `_converse` waits for an event or the core's deadline, passes it to the core, and performs
the effects. Performing never awaits: whatever takes time is a task (`tasks.py`) whose outcome comes
back as an event. So the core is the only place that decides, and this the only one that acts.

How it ends:
- the core gives `CloseConnection`: what is queued is sent, then the close;
- the client leaves: the core gets `ClientGone`, and nothing is sent;
- the client breaks the protocol (`ClientFault`): closed with the fault's code, without the core,
  since nothing that it could decide would reach the client;
- anything else is a bug of ours: logged with the session's last events, closed with 1011.

In every case the engines release the conversation, and `run` returns.
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

from vivavoce.core.effects import (
    CancelGeneration,
    CloseConnection,
    DropTranscript,
    Effect,
    FinishTranscript,
    ForgetAudio,
    ForgetSession,
    HoldOutput,
    IgnoreSpeech,
    PrepareGeneration,
    RefreshTranscript,
    ReleaseGeneration,
    ReportMismatch,
    RunTool,
    SaveCheckpoint,
    ScoreTurnEnd,
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
    Event,
    MessageRead,
    SessionSuperseded,
    VoiceScored,
)
from vivavoce.core.lifetime import CloseReason
from vivavoce.core.messages import Message
from vivavoce.core.session import LiveSession
from vivavoce.core.token_counts import TokenCounter
from vivavoce.domain.audio import Position
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.ids import SessionId
from vivavoce.domain.setup import SessionSetup
from vivavoce.engines.ports import Engines, RecognitionOptions, Recognizer
from vivavoce.errors import ClientFault
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.checkpoints import CheckpointWriter
from vivavoce.runtime.client_input import FrameReader, InputReceiver
from vivavoce.runtime.event_queue import EventQueue
from vivavoce.runtime.generation import Generations, OutputPace
from vivavoce.runtime.outbox import Outbox
from vivavoce.runtime.ports import (
    CheckpointStore,
    Dialect,
    Disconnected,
    Meter,
    Transport,
)
from vivavoce.runtime.rate_limit import ANSWER_COST_S, RateLimiter, RateLimits
from vivavoce.runtime.tasks import EngineTasks, is_end
from vivavoce.runtime.tool_runner import NoTools, ToolRunner
from vivavoce.runtime.transcription import Recordings, Transcripts
from vivavoce.runtime.turn_ends import TurnEnds, TurnScorer
from vivavoce.runtime.turn_metrics import TurnListener, TurnReporter, UsageMetering
from vivavoce.runtime.voice_activity import VoiceActivityDetection, VoiceScorer
from vivavoce.tools.ports import Tooling, Toolset

log = logging.getLogger(__name__)

CLOSE_TIMEOUT_S = 5.0
"""Timeout for a client to read the last messages and the close."""

RELEASE_TIMEOUT_S = 2.0
"""Timeout for an engine to release a conversation."""

TRACE_LINES = 100
"""Lines of the flight recorder that are logged when a session fails."""

FREQUENT_EVENTS = (AudioArrived, VoiceScored, MessageRead)
"""Frequent, cheap events; after any other, the connection yields to the event loop."""

AUDIO_RUN_S = 0.001
"""Processor time for which audio is handled before the reader yields to the event loop."""

INTERNAL = (1011, "Internal error encountered.")


@dataclass(frozen=True, slots=True)
class Backend:
    """The engines and settings of a profile, shared by its sessions."""

    engines: Engines
    scorer: VoiceScorer
    listener: TurnListener | None = None
    tools: Tooling | None = None
    pace: OutputPace = field(default_factory=OutputPace)
    gauge: TokenCounter = field(default_factory=TokenCounter)
    rates: RateLimits = field(default_factory=RateLimits)
    turn_scorer: TurnScorer | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """Outcome of a connection: close code and reason; `by_client` if the client left first."""

    code: int
    reason: str
    by_client: bool = False
    logged: str = ""  # the reason without anything that the client sent


class Connection:
    """Host of one client's session, from `setupComplete` to the close.

    `position` is where the count of heard samples goes on after a resumption. `toolset` is closed
    with the connection. `store` saves its checkpoints, `meter` counts its use.
    """

    def __init__(
        self,
        session_id: SessionId,
        session: LiveSession,
        setup: SessionSetup,
        transport: Transport,
        dialect: Dialect,
        backend: Backend,
        position: Position = 0,
        toolset: Toolset | None = None,
        store: CheckpointStore | None = None,
        meter: Meter | None = None,
    ) -> None:
        self.session_id = session_id
        self._session = session
        self._transport = transport
        self._dialect = dialect
        self._backend = backend
        self._counts = setup.resumption is not None and setup.resumption.transparent
        self._ending: Ending | None = None
        detects = not setup.realtime.detection.disabled
        engines, options = backend.engines, recognition_options(setup)

        # What the parts share: events for the core, tasks of engines, limits, measurements.
        self._events = EventQueue()
        self._tasks = EngineTasks()
        self._rates = RateLimiter(backend.rates)
        self._reporter = TurnReporter(session_id, backend.listener)
        self._metering = UsageMetering(meter)
        put_event, mismatch = self._events.put_event, dialect.report_mismatch

        # From the client to the core.
        audio = AudioBuffer(position)
        language = spoken_language(options, engines.recognizer)
        self._turn_ends = TurnEnds(backend.turn_scorer, audio, language, self._tasks, put_event)
        self._transcripts = Transcripts(
            engines.recognizer, options, audio, self._tasks, put_event, self._turn_ends.kept_samples
        )
        self._input = InputReceiver(
            audio,
            VoiceActivityDetection(backend.scorer, audio, self._events) if detects else None,
            self._transcripts,
            self._events,
            self._reporter,
            self._rates,
            Recordings(engines.recognizer, options, self._tasks, self._rates, mismatch),
            mismatch,
        )
        self._frames = FrameReader(
            transport, dialect, self._metering, self._rates, self._input.handle_audio_now
        )

        # From the core to the client, the engines, the tools and the store.
        sent = partial(_count_sent, self._reporter, self._metering)
        self._outbox = Outbox(sent, self._rates.loop)
        self._generations = Generations(
            engines.responder, self._tasks, self._outbox, put_event, self._reporter, backend.pace
        )
        self._tools = ToolRunner(toolset or NoTools(), self._tasks, put_event)
        self._checkpoints = CheckpointWriter(store, session_id, put_event)

    def schedule_close(self, reason: CloseReason, time_left_s: float) -> None:
        """Schedule the end of the connection in so many seconds, for this reason."""
        self._events.put_event(CloseRequested(reason, time_left_s))

    def supersede(self) -> None:
        """End the connection: its session goes on over a newer one."""
        self._events.put_event(SessionSuperseded())

    def hand_over(self) -> asyncio.Future[Checkpoint | None]:
        """Supersede the connection, and return a future of its last, unsaved checkpoint."""
        self._events.put_event(SessionSuperseded(handover=True))
        return self._checkpoints.request_handover()

    def lose_checkpoint(self) -> None:
        """Report to the core that the session's checkpoint cannot be loaded now."""
        self._events.put_event(CheckpointLost())

    async def run(self) -> Ending:
        """Run the conversation until it ends. Raises nothing but `CancelledError`."""
        try:
            try:
                ending = await self._run_tasks()
            except BaseExceptionGroup as group:
                ending = self._explain_failure(group)
                traceback.clear_frames(group.__traceback__)  # one refers to the group
            finally:
                self._cancel_engines()
            if not ending.by_client:
                await self._close(ending)
            return ending
        finally:
            await self._release_engines()

    async def _run_tasks(self) -> Ending:
        self._loop = asyncio.get_running_loop()
        async with asyncio.TaskGroup() as tasks:
            reader = tasks.create_task(self._read(), name="read")
            writer = tasks.create_task(self._write(), name="write")
            self._events.handle_at_once = self._handle_at_once
            try:
                await self._converse()
            finally:
                self._events.handle_at_once = None  # a closed session leaves no cycle
            reader.cancel()
            self._cancel_engines()
            self._outbox.finish()
            await asyncio.wait({writer}, timeout=CLOSE_TIMEOUT_S)
            writer.cancel()
        return self._ending or Ending(*INTERNAL)

    # --- the three tasks ---------------------------------------------------------------

    async def _converse(self) -> None:
        session, events, clock = self._session, self._events, self._loop.time
        self._perform_all(session.open_session(clock()))
        while not session.closed:
            # Events before deadlines: sound that waited while the loop was busy is no silence.
            if (event := events.take_event()) is not None:
                with self._rates.loop.working():
                    self._handle_event(event)
                if not isinstance(event, FREQUENT_EVENTS):
                    await asyncio.sleep(0)  # other connections have their turn
                await self._rates.loop.yield_to_loop()
            elif (deadline := session.deadline()) is not None and deadline <= clock():
                self._perform_all(session.handle_deadline(clock()))
            else:
                await events.wait_for_event(deadline)

    def _handle_event(self, event: Event) -> None:
        now = self._loop.time()
        self._reporter.record_event(event, now)
        self._perform_all(self._session.handle_event(event, now))
        self._transcripts.advance_audio(self._session.vad_processed_until)

    def _handle_at_once(self, event: Event) -> None:
        """Handle an event of the reader's in its own step: no wake-up of `_converse`."""
        with self._rates.loop.working():
            self._handle_event(event)
        deadline = self._session.deadline()
        if self._session.closed or (deadline is not None and deadline < self._events.wakes_at):
            self._events.wake()

    async def _read(self) -> None:
        share = self._rates.loop
        try:
            while True:
                inputs, audio_only = await self._frames.read_frame()
                for incoming in inputs:
                    if isinstance(incoming, ContextUpdated):
                        incoming = await self._tools.resolve_update(incoming)
                    await self._input.handle_incoming(incoming)
                    self._metering.count_input(incoming)
                if self._counts:
                    self._events.put_frequent(MessageRead(audio_only))
                # A transport with frames in stock never suspends.
                if not audio_only or share.unyielded_s > AUDIO_RUN_S:
                    share.unyielded_s = 0.0
                    await asyncio.sleep(0)
                await self._events.wait_for_room()
        except Disconnected as gone:
            self._disconnect(gone)

    async def _write(self) -> None:
        try:
            await self._outbox.run(self._transport, self._dialect)
        except Disconnected as gone:
            self._disconnect(gone)

    def _disconnect(self, gone: Disconnected) -> None:
        self._ending = self._ending or Ending(gone.code, gone.reason, by_client=True)
        self._events.put_event(ClientGone())

    # --- effects -----------------------------------------------------------------------

    def _perform_all(self, effects: list[Effect]) -> None:
        for effect in effects:
            self._reporter.record_effect(effect, self._loop.time())
            self._metering.count_effect(effect)
            self._perform(effect)

    def _perform(self, effect: Effect) -> None:
        match effect:
            case Send(message=message, generation=generation):
                self._outbox.put_message(message, generation)
            case HoldOutput(held=held):
                self._outbox.hold_output(held)
            case IgnoreSpeech():
                pass  # the reporter has it
            case PrepareGeneration(request=request):
                self._generations.prepare(request)
            case StartGeneration(request=request):
                self._rates.loop.count_work(ANSWER_COST_S)
                self._tools.note_request(request)
                self._generations.start(request)
            case ReleaseGeneration(generation=generation):
                self._generations.release(generation)
            case CancelGeneration(generation=generation, purge=purge):
                self._generations.cancel(generation, purge)
            case RunTool(call=call):
                self._tools.start_call(call)
            case StopTool(call=id):
                self._tools.stop_call(id)
            case StartTranscript(turn=turn, start=start):
                self._transcripts.start(turn, start)
            case RefreshTranscript(turn=turn, position=position, paused=paused):
                self._transcripts.refresh(turn, position, paused)
            case FinishTranscript(turn=turn, end=end, paused_at=paused_at):
                self._transcripts.finish(turn, end, paused_at)
            case ScoreTurnEnd():
                self._turn_ends.score(effect)
            case DropTranscript(turn=turn):
                self._transcripts.drop(turn)
            case SaveCheckpoint(checkpoint=checkpoint, new_handle=new_handle):
                self._checkpoints.save_checkpoint(checkpoint, new_handle)
            case ForgetSession():
                self._checkpoints.forget_session()
            case ForgetAudio(position=position):
                self._input.forget_audio(position)
            case ReportMismatch(sentence=sentence, code=code, quoted=quoted):
                self._dialect.report_mismatch(sentence, code, quoted=quoted)
            case CloseConnection(code=code, reason=reason):
                self._ending = self._ending or Ending(code, reason, logged=reason)
            case _:
                assert_never(effect)

    # --- the end -----------------------------------------------------------------------

    def _cancel_engines(self) -> None:
        """Cancel all work of engines, without waiting for it."""
        self._generations.close()
        self._tools.close()
        self._transcripts.close()
        self._turn_ends.cancel()

    def _explain_failure(self, group: BaseExceptionGroup[BaseException]) -> Ending:
        """Return the outcome for the failure of a task. Re-raises cancellation."""
        failure: BaseException = group
        while isinstance(failure, BaseExceptionGroup):
            failure = failure.exceptions[0]
        if isinstance(failure, ClientFault):
            return Ending(failure.code, failure.reason, logged=failure.logged)
        if not isinstance(failure, Exception):
            raise failure
        last = list(self._session.trace.lines())[-TRACE_LINES:]
        log.error(
            "session broke", extra={"session": self.session_id, "events": last}, exc_info=failure
        )
        return Ending(*INTERNAL)

    async def _close(self, ending: Ending) -> None:
        with suppress(Disconnected, TimeoutError):
            async with asyncio.timeout(CLOSE_TIMEOUT_S):
                await self._transport.close(ending.code, ending.reason)

    async def _release_engines(self) -> None:
        """Have all engines release what they hold for this conversation."""
        try:
            await self._checkpoints.aclose()
            await self._tasks.aclose()
        finally:
            responder = self._backend.engines.responder
            await self._release(
                recognizer=self._transcripts.aclose(),
                responder=responder.release(self.session_id),
                tools=self._tools.toolset.aclose(),
            )

    async def _release(self, **engines: Awaitable[None]) -> None:
        """Await the engines' releases, for at most `RELEASE_TIMEOUT_S`."""
        # Tasks: `asyncio.timeout` would wait for an engine that swallows its cancellation.
        work = {
            self._tasks.start_task(f"release {engine}", self._forget(engine, release)): engine
            for engine, release in engines.items()
        }
        try:
            await asyncio.wait(work, timeout=RELEASE_TIMEOUT_S)
        finally:
            for task, engine in work.items():
                if not task.done():
                    log.error("engine does not release the conversation", extra=self._about(engine))
                    self._tasks.cancel_task(task)

    async def _forget(self, engine: str, release: Awaitable[None]) -> None:
        try:
            await release
        except BaseException as failure:
            if is_end(failure):
                raise
            log.exception("engine failed to release the conversation", extra=self._about(engine))

    def _about(self, engine: str) -> dict[str, str]:
        return {"engine": engine, "session": self.session_id}


def _count_sent(reporter: TurnReporter, metering: UsageMetering, message: Message) -> None:
    reporter.record_sent(message, asyncio.get_running_loop().time())
    metering.count_sent(message)


def recognition_options(setup: SessionSetup) -> RecognitionOptions:
    """Return the recognizer's options for a setup: hints, or the language of the answers."""
    options = setup.input_transcription
    languages = () if options is None else options.language_codes
    if not languages and setup.language:
        languages = (setup.language,)
    return RecognitionOptions(languages, () if options is None else options.custom_vocabulary)


def spoken_language(options: RecognitionOptions, recognizer: Recognizer) -> str:
    """Return the language of the user's words: the hint, or the only one that is recognized."""
    known = recognizer.capabilities.languages
    return next(iter(options.language_codes), known[0] if len(known) == 1 else "")
