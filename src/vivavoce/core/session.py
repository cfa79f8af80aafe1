"""The conversation as its host sees it: three verbs, a question, and nothing of its own.

    open(now)           the session begins: the first effects
    handle(event, now)  something happened: what follows
    elapse(now)         the time that `deadline()` named has come: what follows
    deadline()          when the session next needs to be asked, if nothing happens before

`now` is any clock in seconds that does not go back. This file only routes: what the user
said is user_side.py's, what the model says model_side.py's, and what follows from both
joint.py's.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from vivavoce.core.activity import LONGEST_ONSET_MS, ActivityTracker, Cue, Evidence, knobs
from vivavoce.core.continuity import Continuity
from vivavoce.core.conversation import Conversation
from vivavoce.core.effects import (
    CloseConnection,
    DropTranscript,
    Effect,
    ForgetAudio,
    SaveCheckpoint,
)
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioProduced,
    AudioStreamEnded,
    CheckpointLost,
    CheckpointSaved,
    ClientGone,
    ContentReceived,
    ContextUpdated,
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    LeaveRequested,
    ListeningHeld,
    MessageRead,
    SessionTaken,
    TextProduced,
    TextReceived,
    ToolCallsProduced,
    ToolRan,
    ToolResponsesReceived,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
    UsageProduced,
    VideoArrived,
    VoiceScored,
)
from vivavoce.core.frames import MAX_FRAMES
from vivavoce.core.joint import settle
from vivavoce.core.limits import Limits
from vivavoce.core.messages import SetupComplete, TurnComplete, VoiceActivity
from vivavoce.core.settings import SessionSettings
from vivavoce.core.step import Step
from vivavoce.core.trace import FlightRecorder
from vivavoce.core.user_turns import Update
from vivavoce.core.window import Gauge
from vivavoce.domain.audio import INPUT_RATE, Position, seconds
from vivavoce.domain.checkpoint import Asked, Checkpoint
from vivavoce.domain.content import Tools
from vivavoce.domain.ids import IdSource, SessionId
from vivavoce.domain.model_family import FamilyBehavior
from vivavoce.domain.setup import SessionSetup

INVALID = 1007
"""How clients are told that a context window is full, or a mark out of place."""

AGAIN = "activityStart within an activity: that one goes on"
UNBEGUN = "Precondition check failed: activityEnd without activityStart."


class LiveSession:
    """Every decision of one conversation."""

    def __init__(
        self,
        session_id: SessionId,
        setup: SessionSetup,
        behavior: FamilyBehavior,
        settings: SessionSettings,
        ids: IdSource,
        *,
        before: Checkpoint | None = None,
        gauge: Gauge | None = None,
    ) -> None:
        self.closed = False
        self.trace = FlightRecorder(settings.trace_events, settings.trace_texts)
        history = () if before is None else before.history
        position = 0 if before is None else before.position
        self._talk = Conversation(session_id, setup, behavior, settings, ids, history, gauge)
        self._manual = setup.realtime.detection.disabled
        wishes = knobs(setup.realtime.detection, settings.eager_silence_ms)
        self._tracker = ActivityTracker(wishes, floor=position)
        self._limits = Limits(settings.stall_s, settings.transcript_deadline_s)
        self._continuity = Continuity(setup, settings, before)
        self._before = before
        self._position = position
        self._forgotten = position
        self._unmarked = False

    # --- resuming -------------------------------------------------------------------------

    @classmethod
    def resume(
        cls,
        checkpoint: Checkpoint,
        setup: SessionSetup,
        behavior: FamilyBehavior,
        settings: SessionSettings,
        ids: IdSource,
        tools: Tools | None = None,
        gauge: Gauge | None = None,
    ) -> LiveSession:
        """Continue a conversation with a new setup, as `checkpoint.merge_setup` says.

        `tools` are those it says, with what the server made of them.
        """
        instruction, unresolved = checkpoint.merge_setup(setup)
        session = cls(
            checkpoint.session,
            replace(setup, instruction=instruction, tools=unresolved if tools is None else tools),
            behavior,
            settings,
            ids,
            before=checkpoint,
            gauge=gauge,
        )
        session._talk.asked = Asked.from_setup(setup).merge_over(checkpoint.asked)
        return session

    @property
    def resting(self) -> bool:
        """Whether the session could be written down and resumed at this point."""
        return self._talk.resting and self._tracker.resting and not self.closed

    def checkpoint(self, now: float = 0.0) -> Checkpoint:
        """The session written down. Only while `resting`."""
        if not self.resting:
            raise RuntimeError("A session can be written down only while both sides rest.")
        return self._written(now)

    def _written(self, now: float) -> Checkpoint:
        safe = self._position if self._manual else self._tracker.safe
        return self._talk.checkpoint(
            self._position, now, self._continuity.spent_s(now), self._continuity.consumed(safe)
        )

    # --- the verbs ------------------------------------------------------------------------

    def open(self, now: float) -> list[Effect]:
        """The session begins, or goes on."""
        step = Step(now)
        self._continuity.open(now)
        if self._before is not None:
            self._talk.restore(self._before, now)
            self._before = None
        step.send(SetupComplete(self._talk.context.session))
        if (self._talk.setup.realtime.detection.prefix_padding_ms or 0) > LONGEST_ONSET_MS:
            step.report(f"prefixPaddingMs above {LONGEST_ONSET_MS} makes the pre-roll longer alone")
        self._rest(step)
        return step.effects

    def handle(self, event: Event, now: float) -> list[Effect]:
        """What follows from `event`; nothing, once the session is closed."""
        if self.closed:
            return []
        self.trace.note(now, event)
        step = Step(now)
        self._route(event, step)
        if not isinstance(event, AudioArrived):  # sound means nothing until it is scored
            self._settle(step)
        return step.effects

    def elapse(self, now: float) -> list[Effect]:
        """What follows from the passing of time."""
        if self.closed:
            return []
        self.trace.note(now, None)
        step = Step(now)
        if (ending := self._continuity.elapse(step)) is not None:
            self._close(ending, step)
            return step.effects
        if (stall_at := self._stall_at()) is not None and now >= stall_at:
            self._hear(self._tracker.end_stream(self._position), step)
        for turn in self._talk.user.awaiting():
            if now >= self._limits.transcript_at(turn.ended_at):
                step.want(DropTranscript(turn.id))
                self._talk.user.settle(turn.id, step, failed=True)
        late, stuck = self._talk.ledger.expire(now)
        self._talk.results(tuple(late), step)
        self._talk.model.overdue(stuck, step)
        self._talk.model.stalled(step)
        self._settle(step)
        return step.effects

    def deadline(self) -> float | None:
        """When `elapse` is due; `None` if only events can change anything."""
        if self.closed:
            return None
        wishes = [self._continuity.deadline(self.resting), self._talk.model.deadline()]
        wishes.append(self._talk.ledger.deadline())
        wishes += [self._limits.transcript_at(turn.ended_at) for turn in self._talk.user.awaiting()]
        wishes.append(self._stall_at())
        return min((wish for wish in wishes if wish is not None), default=None)

    # --- routing --------------------------------------------------------------------------

    def _route(self, event: Event, step: Step) -> None:
        match event:
            case AudioArrived():
                self._sound(event.position, step)
            case (
                AudioProduced()
                | TextProduced()
                | ToolCallsProduced()
                | UsageProduced()
                | GenerationFinished()
                | GenerationFailed()
                | GenerationRefused()
            ):
                self._talk.model.produced(event, step)
            case ToolRan():
                self._talk.model.ran(event.call, event.outcome)
            case VoiceScored() | TranscriptUpdated() | TranscriptProgressed() | TranscriptFailed():
                self._route_hearing(event, step)
            case (
                MessageRead()
                | CheckpointSaved()
                | CheckpointLost()
                | SessionTaken()
                | LeaveRequested()
            ):
                if (ending := self._continuity.happened(event, self._position, step)) is not None:
                    self._close(ending, step)
            case ListeningHeld():
                self._limits.hold(event.held, step.now)
            case ClientGone():
                self._end(step)
            case _:
                self._continuity.heard(step.now)
                self._route_client(event, step)

    def _route_hearing(
        self,
        event: VoiceScored | TranscriptUpdated | TranscriptProgressed | TranscriptFailed,
        step: Step,
    ) -> None:
        user = self._talk.user
        if not isinstance(event, VoiceScored):
            self._limits.sign(step.now)
        match event:
            case VoiceScored():
                if not self._manual:
                    self._position = max(self._position, event.position)
                    self._limits.sound(step.now)
                    self._hear(self._tracker.hear(event), step)
                    user.refresh(self._position, step)
                    self._forget(event.position - self._tracker.knobs.pre_roll, step)
            case TranscriptUpdated():
                user.transcript(event)
                if event.final:
                    user.settle(event.turn, step)
            case TranscriptFailed():
                user.settle(event.turn, step, failed=True)
            case TranscriptProgressed():
                pass
            case _:
                assert_never(event)

    def _route_client(self, event: FromClient, step: Step) -> None:
        talk = self._talk
        if not isinstance(event, ContentReceived | ContextUpdated | ToolResponsesReceived):
            talk.seeding = False
        match event:
            case ContentReceived():
                talk.content(event, step)
            case TextReceived():
                talk.text(event.text, step)
            case VideoArrived():
                if talk.user.frames.add(event.position, event.frame):
                    step.report(f"more than {MAX_FRAMES} images wait: the oldest are left out")
            case ActivityStarted() | ActivityEnded():
                if self._manual:
                    self._mark(event, step)
            case AudioStreamEnded():
                if not self._manual:
                    self._hear(self._tracker.end_stream(event.position), step)
            case ToolResponsesReceived():
                talk.results(event.results, step)
            case ContextUpdated():
                talk.user.update(Update(event.instruction, event.tools))
            case _:
                assert_never(event)

    def _mark(self, mark: ActivityStarted | ActivityEnded, step: Step) -> None:
        """The client says itself when the user speaks. Who marks an end waits for a turn's end."""
        user, begins = self._talk.user, isinstance(mark, ActivityStarted)
        if begins == (user.open is not None):
            step.report(AGAIN if begins else UNBEGUN, 0 if begins else INVALID)
        if not begins and user.quiet and self._talk.model.idle:
            step.send(TurnComplete())
        cue = Cue.ONSET if begins else Cue.END
        self._hear([Evidence(cue, mark.position, mark.position)], step)

    # --- hearing --------------------------------------------------------------------------

    def _stall_at(self) -> float | None:
        """When speech whose end only more sound can tell is over without any."""
        listening = self._tracker.speaking and not self._manual
        return self._limits.stall_at() if listening else None

    def _sound(self, position: Position, step: Step) -> None:
        """Sound arrived. What it means is said by its scores, or by the client."""
        self._talk.seeding = False
        self._continuity.heard(step.now)
        self._position = max(self._position, position)
        self._limits.sound(step.now)
        if self._manual:
            if self._talk.user.open is None and not self._unmarked:
                self._unmarked = True
                step.report("sound outside of an activity is not heard")
            self._talk.user.refresh(self._position, step)
            self._forget(position, step)

    def _hear(self, found: list[Evidence], step: Step) -> None:
        for evidence in found:
            changed = self._talk.user.evidence(evidence, self._manual, step)
            if changed and self._talk.setup.signals_activity:
                if evidence.cue is Cue.ONSET:
                    step.send(VoiceActivity(True, seconds(evidence.edge)))
                elif evidence.cue is Cue.END:
                    step.send(VoiceActivity(False, seconds(evidence.edge)))

    def _forget(self, position: Position, step: Step) -> None:
        """Nobody needs the sound of a quiet stream, but for the pre-roll of what may come."""
        unneeded = self._talk.user.deaf and self._tracker.resting
        if unneeded and position - self._forgotten >= INPUT_RATE:
            self._forgotten = position
            step.want(ForgetAudio(position))

    # --- after every step -----------------------------------------------------------------

    def _settle(self, step: Step) -> None:
        if self.closed:
            return
        settle(self._talk, step)
        if self._talk.context.overflow:
            self._close(CloseConnection(INVALID, self._talk.context.overflow), step)
            return
        self._rest(step)

    def _rest(self, step: Step) -> None:
        """Both sides may rest: the engine reads ahead, and the session is written down."""
        self._talk.rest(step)
        if self.resting and self._continuity.due(self._talk.state, step.now):
            self._continuity.keep(self._talk.state, self.checkpoint(step.now), step)

    def _close(self, ending: CloseConnection, step: Step) -> None:
        step.want(ending)
        self._end(step)

    def _end(self, step: Step) -> None:
        self.closed = True
        if self._continuity.keeps:
            self._talk.wind_up(step)
            if self._continuity.unkept(self._talk.state):
                step.want(SaveCheckpoint(self._written(step.now), told=False))
        self._talk.model.give_up(step)
        self._talk.user.give_up(step)


FromClient = (
    ContentReceived
    | TextReceived
    | VideoArrived
    | ActivityStarted
    | ActivityEnded
    | AudioStreamEnded
    | ToolResponsesReceived
    | ContextUpdated
)
