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

from typing import assert_never

from vivavoce.core.activity import ActivityTracker, Cue, Evidence, knobs
from vivavoce.core.conversation import Conversation
from vivavoce.core.effects import CloseConnection, DropTranscript, Effect, ForgetAudio
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioProduced,
    AudioStreamEnded,
    CheckpointSaved,
    ClientGone,
    ContentReceived,
    ContextUpdated,
    DrainRequested,
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    ListeningHeld,
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
from vivavoce.core.joint import settle
from vivavoce.core.limits import CLOSE_CODE, CLOSE_REASON, Limits
from vivavoce.core.messages import GoAway, ResumptionUpdate, SetupComplete, VoiceActivity
from vivavoce.core.settings import SessionSettings
from vivavoce.core.step import Step
from vivavoce.core.trace import FlightRecorder
from vivavoce.core.user_turns import Update
from vivavoce.domain.audio import INPUT_RATE, Position, seconds
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import Content
from vivavoce.domain.ids import IdSource, SessionId
from vivavoce.domain.profile import Behaviour
from vivavoce.domain.setup import SessionSetup


class LiveSession:
    """Every decision of one conversation."""

    def __init__(
        self,
        session_id: SessionId,
        setup: SessionSetup,
        behaviour: Behaviour,
        settings: SessionSettings,
        ids: IdSource,
        *,
        history: tuple[Content, ...] = (),
        position: Position = 0,
    ) -> None:
        self.closed = False
        self.trace = FlightRecorder(settings.trace_events, settings.trace_texts)
        self._talk = Conversation(session_id, setup, behaviour, settings, ids, history)
        self._manual = setup.realtime.detection.disabled
        wishes = knobs(setup.realtime.detection, settings.eager_silence_ms)
        self._tracker = ActivityTracker(wishes, floor=position)
        self._limits = Limits(settings.stall_s, settings.transcript_deadline_s)
        self._position = position
        self._forgotten = position
        self._messages = 0

    # --- resuming -------------------------------------------------------------------------

    @classmethod
    def resume(
        cls,
        checkpoint: Checkpoint,
        setup: SessionSetup,
        behaviour: Behaviour,
        settings: SessionSettings,
        ids: IdSource,
    ) -> LiveSession:
        """Continue a conversation. The new setup counts; where it is silent, the old one does."""
        session = cls(
            checkpoint.session,
            setup,
            behaviour,
            settings,
            ids,
            history=checkpoint.history,
            position=checkpoint.position,
        )
        context = session._talk.context
        context.heard_s = checkpoint.heard_s
        context.instruction = setup.instruction or checkpoint.instruction
        if not (setup.tools.functions or setup.tools.builtin):
            context.tools = checkpoint.tools
        return session

    @property
    def resting(self) -> bool:
        """Whether the session could be written down and resumed at this point."""
        return self._talk.resting and self._tracker.resting and not self.closed

    @property
    def ignored_answers(self) -> int:
        """Answers to calls that were unknown, cancelled, answered already, or not the client's."""
        return self._talk.ledger.ignored

    def checkpoint(self) -> Checkpoint:
        """The session written down. Only while `resting`."""
        if not self.resting:
            raise RuntimeError("A session can be written down only while both sides rest.")
        return self._talk.checkpoint(self._position, self._messages)

    # --- the verbs ------------------------------------------------------------------------

    def open(self, now: float) -> list[Effect]:
        """The session begins."""
        step = Step(now)
        step.send(SetupComplete(self._talk.context.session))
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
        if (close_at := self._limits.close_at) is not None and now >= close_at:
            self._close(step)
            return step.effects
        if (stall_at := self._stall_at()) is not None and now >= stall_at:
            self._hear(self._tracker.end_stream(self._position), step)
        for turn in self._talk.user.awaiting():
            if now >= self._limits.transcript_at(turn.ended_at):
                step.want(DropTranscript(turn.id))
                self._talk.user.settle(turn.id, step, failed=True)
        late, stuck = self._talk.ledger.expire(now)
        self._talk.results(tuple(late), now)
        self._talk.model.overdue(stuck, step)
        self._talk.model.stalled(step)
        self._settle(step)
        return step.effects

    def deadline(self) -> float | None:
        """When `elapse` is due; `None` if only events can change anything."""
        if self.closed:
            return None
        wishes = [self._limits.close_at, self._talk.model.deadline(), self._talk.ledger.deadline()]
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
            case CheckpointSaved():
                self._talk.saving = False
                if event.handle is not None:
                    step.send(ResumptionUpdate(event.handle))
            case DrainRequested():
                step.send(GoAway(event.time_left_s))
                self._limits.drain(event.time_left_s, step.now)
            case ListeningHeld():
                self._limits.hold(event.held, step.now)
            case ClientGone():
                self._end(step)
            case _:
                self._messages += 1
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
                    self._forget(event.position - self._tracker.knobs.pre_roll, step)
            case TranscriptUpdated():
                user.transcript(event.turn, event.position, event.text, event.final)
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
                talk.user.frames.add(event.position, event.frame)
            case ActivityStarted():
                if self._manual:
                    self._hear([Evidence(Cue.ONSET, event.position, event.position)], step)
            case ActivityEnded():
                if self._manual:
                    self._hear([Evidence(Cue.END, event.position, event.position)], step)
            case AudioStreamEnded():
                if not self._manual:
                    self._hear(self._tracker.end_stream(event.position), step)
            case ToolResponsesReceived():
                talk.results(event.results, step.now)
            case ContextUpdated():
                talk.user.update(Update(event.instruction, event.tools))
            case _:
                assert_never(event)

    # --- hearing --------------------------------------------------------------------------

    def _stall_at(self) -> float | None:
        """When speech whose end only more sound can tell is over without any."""
        listening = self._tracker.speaking and not self._manual
        return self._limits.stall_at() if listening else None

    def _sound(self, position: Position, step: Step) -> None:
        """Sound arrived. What it means is said by its scores, or by the client."""
        self._messages += 1
        self._talk.seeding = False
        self._position = max(self._position, position)
        self._limits.sound(step.now)
        if self._manual:
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
        self._rest(step)
        if self._limits.close_at is not None and self.resting and not self._talk.saving:
            self._close(step)  # nobody is cut off: no reason to keep the server waiting

    def _rest(self, step: Step) -> None:
        self._talk.rest(self._position, self._messages, step)

    def _close(self, step: Step) -> None:
        step.want(CloseConnection(CLOSE_CODE, CLOSE_REASON))
        self._end(step)

    def _end(self, step: Step) -> None:
        self.closed = True
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
