"""Live session: the conversation's state machine. Takes events, returns effects, does no I/O.

    open_session(now)         begin the session; return the first effects
    handle_event(event, now)  handle an event; return its effects
    handle_deadline(now)      handle the deadline that has come; return its effects
    deadline()                return the time of the next deadline, unless an event comes before

`now` is any clock in seconds that does not go back. This file only routes: user turns are in
user_turns.py, model turns in model_turns.py, the rules that join them in rules.py.
"""

from __future__ import annotations

from dataclasses import replace
from typing import assert_never

from vivavoce.core.conversation import Conversation
from vivavoce.core.effects import (
    CloseConnection,
    DropTranscript,
    Effect,
    ForgetAudio,
    SaveCheckpoint,
    Step,
)
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioStreamEnded,
    ClientEvent,
    ClientGone,
    ContentReceived,
    ContextUpdated,
    Event,
    GenerationEvent,
    LifecycleEvent,
    ReadingPaused,
    TextReceived,
    ToolRan,
    ToolResponsesReceived,
    TranscriptEvent,
    TranscriptFailed,
    TranscriptProgressed,
    TranscriptUpdated,
    TurnEndScored,
    VideoArrived,
    VoiceScored,
)
from vivavoce.core.lifetime import StallTimers
from vivavoce.core.messages import SetupComplete, TurnComplete, VoiceActivity
from vivavoce.core.resumption import SessionLifecycle
from vivavoce.core.rules import apply_rules
from vivavoce.core.settings import SessionSettings
from vivavoce.core.token_counts import TokenCounter
from vivavoce.core.trace import FlightRecorder
from vivavoce.core.turn_detection import (
    MAX_ONSET_MS,
    ActivityTracker,
    SpeechEdge,
    SpeechEvent,
    speculation_silence,
    vad_params,
)
from vivavoce.core.user_turns import MAX_FRAMES, Update
from vivavoce.domain.audio import INPUT_RATE, Position, seconds
from vivavoce.domain.checkpoint import Asked, Checkpoint
from vivavoce.domain.content import Tools
from vivavoce.domain.ids import IdSource, SessionId
from vivavoce.domain.model_family import FamilyBehavior
from vivavoce.domain.setup import SessionSetup

INVALID = 1007
"""Close code for a full context window, or an `activityEnd` out of place."""

ACTIVITY_OPEN = "activityStart within an activity: that one goes on"
NO_ACTIVITY = "Precondition check failed: activityEnd without activityStart."


class LiveSession:
    """Conversation of one client: takes events and the time, and returns effects."""

    def __init__(
        self,
        session_id: SessionId,
        setup: SessionSetup,
        behavior: FamilyBehavior,
        settings: SessionSettings,
        ids: IdSource,
        *,
        before: Checkpoint | None = None,
        counter: TokenCounter | None = None,
    ) -> None:
        history = () if before is None else before.history
        position = 0 if before is None else before.position
        self.closed = False
        self.trace = FlightRecorder(settings.trace_events, settings.trace_texts)
        params = vad_params(setup.realtime.detection, settings)
        scores = params.scored is not None
        self.conversation = Conversation(
            session_id, setup, behavior, settings, ids, history, counter, scores
        )
        """Turns, tools and context. Internal; exposed for tests."""
        self.vad_processed_until = position
        """The audio before this position belongs to a turn, or to none; transcripts may use it."""
        self._manual = setup.realtime.detection.disabled
        self._tracker = ActivityTracker(params, floor=position)
        self._timers = StallTimers(settings.stall_s, settings.transcript_deadline_s)
        self._lifecycle = SessionLifecycle(setup, settings, before)
        self._before = before
        self._position = position
        """Position up to which audio has arrived."""
        self._released = position
        """Audio before this position was released by `ForgetAudio`."""
        self._reported_unmarked = False

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
        counter: TokenCounter | None = None,
    ) -> LiveSession:
        """Continue a conversation with a new setup, merged by `checkpoint.merge_setup`.

        `tools` are the merged tools, resolved by the server.
        """
        instruction, unresolved = checkpoint.merge_setup(setup)
        session = cls(
            checkpoint.session,
            replace(setup, instruction=instruction, tools=unresolved if tools is None else tools),
            behavior,
            settings,
            ids,
            before=checkpoint,
            counter=counter,
        )
        session.conversation.asked = Asked.from_setup(setup).merge_over(checkpoint.asked)
        return session

    @property
    def idle(self) -> bool:
        """True if a checkpoint can be taken: both sides are idle and nothing is open."""
        return self.conversation.idle and self._tracker.idle and not self.closed

    def take_checkpoint(self, now: float = 0.0) -> Checkpoint:
        """Return the session as a checkpoint. Only while `idle`."""
        if not self.idle:
            raise RuntimeError("A checkpoint can be taken only while both sides are idle.")
        return self._as_checkpoint(now)

    def _as_checkpoint(self, now: float) -> Checkpoint:
        safe = self._position if self._manual else self._tracker.safe
        return self.conversation.checkpoint(
            self._position, now, self._lifecycle.spent_s(now), self._lifecycle.consumed(safe)
        )

    # --- public methods -------------------------------------------------------------------

    def open_session(self, now: float) -> list[Effect]:
        """Begin the session, or continue it from a checkpoint."""
        step = Step(now)
        self._lifecycle.start_clock(now)
        if self._before is not None:
            self.conversation.restore(self._before, now)
            self._before = None
        step.send(SetupComplete(self.conversation.context.session))
        if (self.conversation.setup.realtime.detection.prefix_padding_ms or 0) > MAX_ONSET_MS:
            step.report_mismatch(
                f"prefixPaddingMs above {MAX_ONSET_MS} makes the pre-roll longer alone"
            )
        self._act_when_idle(step)
        return step.effects

    def handle_event(self, event: Event, now: float) -> list[Effect]:
        """Process an event and return its effects; none, once the session is closed."""
        if self.closed:
            return []
        self.trace.record(now, event)
        step = Step(now)
        self._route(event, step)
        if isinstance(event, AudioArrived):
            return step.effects  # audio has no effect until it is scored
        if isinstance(event, VoiceScored) and not step.effects and self.idle:
            self._save_if_due(step)  # silence: no rule can apply
        else:
            self._apply_rules(step)
        return step.effects

    def handle_deadline(self, now: float) -> list[Effect]:
        """Process the deadline that has passed, and return the effects."""
        if self.closed:
            return []
        self.trace.record(now, None)
        step = Step(now)
        if (ending := self._lifecycle.handle_deadline(step)) is not None:
            self._close(ending, step)
            return step.effects
        if (stall_at := self._stall_at()) is not None and now >= stall_at:
            self._handle_speech(self._tracker.end_stream(self._position), step)
        for turn in self.conversation.user.awaiting_transcript():
            if now >= self._timers.transcript_at(turn.ended_at):
                step.emit(DropTranscript(turn.id))
                self.conversation.user.settle_turn(turn.id, step, failed=True)
        late, stuck = self.conversation.ledger.expire_calls(now)
        self.conversation.handle_results(tuple(late), step)
        self.conversation.model.handle_overdue_calls(stuck, step)
        self.conversation.model.handle_stall(step)
        self._apply_rules(step)
        return step.effects

    def deadline(self) -> float | None:
        """Return the time at which `handle_deadline` is due; `None` if it never is."""
        if self.closed:
            return None
        conversation = self.conversation
        deadlines = [
            self._lifecycle.deadline(self.idle),
            conversation.model.deadline(),
            conversation.ledger.deadline(),
            self._stall_at(),
        ]
        for turn in conversation.user.awaiting_transcript():
            deadlines.append(self._timers.transcript_at(turn.ended_at))
        return min((at for at in deadlines if at is not None), default=None)

    # --- routing --------------------------------------------------------------------------

    def _route(self, event: Event, step: Step) -> None:
        conversation = self.conversation
        if isinstance(event, VoiceScored):  # it and audio come most often
            self._handle_scores(event, step)
            return
        if isinstance(event, AudioArrived):
            self._lifecycle.note_activity(step.now)
            conversation.seeding = False
            self._handle_audio(event.position, step)
            return
        if isinstance(event, GenerationEvent):
            conversation.model.handle_production(event, step)
            return
        if isinstance(event, LifecycleEvent):
            if (ending := self._lifecycle.handle_event(event, self._position, step)) is not None:
                self._close(ending, step)
            return
        if isinstance(event, ClientEvent):
            self._lifecycle.note_activity(step.now)
            if not isinstance(event, ContentReceived | ContextUpdated | ToolResponsesReceived):
                conversation.seeding = False
        match event:
            case TranscriptUpdated() | TranscriptProgressed() | TranscriptFailed():
                self._handle_transcript(event, step)
            case TurnEndScored():
                self._handle_turn_score(event, step)
            case ContentReceived():
                conversation.handle_content(event, step)
            case TextReceived():
                conversation.handle_text(event.text, step)
            case VideoArrived():
                self._handle_video(event, step)
            case ActivityStarted() | ActivityEnded():
                self._mark_activity(event, step)
            case AudioStreamEnded():
                if not self._manual:
                    self._handle_speech(self._tracker.end_stream(event.position), step)
            case ToolResponsesReceived():
                conversation.handle_results(event.results, step)
            case ContextUpdated():
                conversation.user.add_update(Update(event.instruction, event.tools))
            case ToolRan():
                conversation.model.handle_tool_outcome(event.call, event.outcome)
            case ReadingPaused():
                self._timers.pause_timers(event.paused, step.now)
            case ClientGone():
                self._end_session(step)
            case _:
                assert_never(event)

    def _mark_activity(self, mark: ActivityStarted | ActivityEnded, step: Step) -> None:
        """Handle `activityStart` or `activityEnd` of a client that detects activity itself.

        It waits for `turnComplete` after `activityEnd`, whatever the activity held.
        """
        if not self._manual:
            return
        user, begins = self.conversation.user, isinstance(mark, ActivityStarted)
        if begins == (user.open is not None):
            step.report_mismatch(ACTIVITY_OPEN if begins else NO_ACTIVITY, 0 if begins else INVALID)
        if not begins and user.idle and self.conversation.model.idle:
            step.send(TurnComplete())
        kind = SpeechEdge.ONSET if begins else SpeechEdge.END
        self._handle_speech([SpeechEvent(kind, mark.position, mark.position)], step)

    # --- audio ----------------------------------------------------------------------------

    def _stall_at(self) -> float | None:
        """Return the time at which speech ends because the microphone has stopped sending."""
        listening = self._tracker.speaking and not self._manual
        return self._timers.stall_at() if listening else None

    def _handle_audio(self, position: Position, step: Step) -> None:
        """Note that audio arrived; voice scores or activity marks decide whether it is speech."""
        self._position = max(self._position, position)
        self._timers.note_audio(step.now)
        if self._manual:
            if self.conversation.user.open is None and not self._reported_unmarked:
                self._reported_unmarked = True
                step.report_mismatch("audio outside of an activity is ignored")
            self.vad_processed_until = self._position
            self.conversation.user.refresh_transcript(self._position, step)
            self._release_audio(position, step)

    def _handle_scores(self, event: VoiceScored, step: Step) -> None:
        if self._manual:
            return
        self._position = max(self._position, event.position, event.arrived)
        self._timers.note_audio(step.now)
        self.conversation.interruptions.note_scores(event)
        self._handle_speech(self._tracker.add_scores(event), step)
        self.conversation.interruptions.judge_sound(step)
        self.vad_processed_until = max(self.vad_processed_until, event.position)
        self.conversation.user.processed_until = self.vad_processed_until
        self.conversation.user.refresh_transcript(self._position, step)
        self._release_audio(event.position - self._tracker.params.pre_roll, step)

    def _handle_transcript(self, event: TranscriptEvent, step: Step) -> None:
        user = self.conversation.user
        self._timers.note_progress(step.now)
        if isinstance(event, TranscriptUpdated):
            user.handle_transcript(event, step)
            self.conversation.interruptions.judge_words(event, step)
            if event.final:
                user.settle_turn(event.turn, step)
        elif isinstance(event, TranscriptFailed):
            user.settle_turn(event.turn, step, failed=True)

    def _handle_turn_score(self, event: TurnEndScored, step: Step) -> None:
        """Apply the score of a pause, which may end the turn; older ones are ignored."""
        if self.conversation.user.is_pause(event):
            ends = self._tracker.apply_score(event.probability)
            begins = speculation_silence(self._tracker.required)
            self.conversation.user.delay_speculation(begins)
            self._handle_speech(ends, step)

    def _handle_video(self, event: VideoArrived, step: Step) -> None:
        if self.conversation.user.frames.add_frame(event.position, event.frame):
            step.report_mismatch(f"more than {MAX_FRAMES} images wait: the oldest are left out")

    def _handle_speech(self, events: list[SpeechEvent], step: Step) -> None:
        for event in events:
            changed = self.conversation.handle_speech(event, self._manual, step)
            if changed and self.conversation.setup.signals_activity:
                if event.kind is SpeechEdge.ONSET:
                    step.send(VoiceActivity(True, seconds(event.edge)))
                elif event.kind is SpeechEdge.END:
                    step.send(VoiceActivity(False, seconds(event.edge)))

    def _release_audio(self, position: Position, step: Step) -> None:
        """Release the audio before `position` if no turn needs it, once a second at most."""
        needed = self.conversation.user.needs_audio or not self._tracker.idle
        if not needed and position - self._released >= INPUT_RATE:
            self._released = position
            step.emit(ForgetAudio(position))

    # --- end of a step --------------------------------------------------------------------

    def _apply_rules(self, step: Step) -> None:
        if self.closed:
            return
        apply_rules(self.conversation, step)
        if self.conversation.context.overflow:
            self._close(CloseConnection(INVALID, self.conversation.context.overflow), step)
            return
        self._act_when_idle(step)

    def _act_when_idle(self, step: Step) -> None:
        """Let an idle engine read ahead, and save a checkpoint if one is due."""
        self.conversation.act_when_idle(step)
        if self.idle:
            self._save_if_due(step)

    def _save_if_due(self, step: Step) -> None:
        if self._lifecycle.is_save_due(self.conversation.state, step.now):
            self._lifecycle.save_checkpoint(
                self.conversation.state, self.take_checkpoint(step.now), step
            )

    def _close(self, ending: CloseConnection, step: Step) -> None:
        step.emit(ending)
        self._end_session(step)

    def _end_session(self, step: Step) -> None:
        self.closed = True
        if self._lifecycle.saves_at_end:
            self.conversation.finalize(step)
            if self._lifecycle.is_unsaved(self.conversation.state):
                step.emit(SaveCheckpoint(self._as_checkpoint(step.now), new_handle=False))
        self.conversation.model.abandon_turn(step)
        self.conversation.user.drop_turns(step)
