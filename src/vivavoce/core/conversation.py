"""Conversation: user turns, model turns, tool ledger and context, and the transitions between them.

A move is made by a rule or by an event; none of them looks at the clock or decides whether it is
time for it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeGuard

from vivavoce.core.context_window import Context
from vivavoce.core.effects import PrepareGeneration, Send, Step
from vivavoce.core.events import ContentReceived
from vivavoce.core.history import History
from vivavoce.core.interruptions import Interruptions
from vivavoce.core.messages import InputTranscript, Interrupted, TurnComplete, TurnReason
from vivavoce.core.model_output import OutputOptions, TurnCause
from vivavoce.core.model_turns import Basis, ModelTurns
from vivavoce.core.settings import (
    NON_BLOCKING_DEADLINE_S,
    BargeInHandling,
    Pacing,
    SessionSettings,
)
from vivavoce.core.token_counts import TokenCounter
from vivavoce.core.tool_calls import ResultStatus, ToolLedger, ToolTimeouts
from vivavoce.core.turn_detection import SpeechEdge, SpeechEvent
from vivavoce.core.user_turns import (
    Entry,
    FloorTaken,
    SpokenTurn,
    TurnState,
    TypedTurn,
    UserTurns,
    VideoBuffer,
)
from vivavoce.domain.audio import Position
from vivavoce.domain.checkpoint import Asked, Checkpoint, strip_server_tools
from vivavoce.domain.content import Content, Part, Role, Text, ToolResult
from vivavoce.domain.ids import IdSource, SessionId
from vivavoce.domain.model_family import FamilyBehavior, ModelFamily
from vivavoce.domain.setup import Modality, SessionSetup

_FILLERS = frozenset({"ah", "eh", "er", "erm", "hm", "hmm", "mm", "uh", "um"})


class Conversation:
    """User turns, model turns, tool ledger and context of one session."""

    def __init__(
        self,
        session: SessionId,
        setup: SessionSetup,
        behavior: FamilyBehavior,
        settings: SessionSettings,
        ids: IdSource,
        history: tuple[Content, ...] = (),
        counter: TokenCounter | None = None,
        scores: bool = False,
    ) -> None:
        self.setup = setup
        self.settings = settings
        self.behavior = behavior
        counter = counter or TokenCounter()
        kept = History(history, settings.history_contents, counter)
        self.context = Context(session, setup, kept, counter, settings.min_confidence)
        self.user = UserTurns(
            VideoBuffer(setup.realtime.coverage or behavior.coverage),
            streams=setup.input_transcription is not None,
            scores=scores,
        )
        timeouts = ToolTimeouts(
            blocking_s=settings.tool_deadline(setup.realtime.interrupts),
            non_blocking_s=settings.tool_deadline_s or NON_BLOCKING_DEADLINE_S,
            server_tools_s=settings.server_tool_deadline_s,
        )
        self.ledger = ToolLedger(ids, behavior.function_behavior, timeouts)
        spoken = setup.modality is Modality.AUDIO
        output = OutputOptions(
            modality=setup.modality,
            transcribes=spoken and setup.output_transcription is not None,
            thinks_aloud=setup.thinking is not None and setup.thinking.include_thoughts,
            paced=spoken and settings.pacing is Pacing.PACED,
            counter=counter,
            shows_search=behavior.shows_search,
            shows_calls=setup.shows_server_calls,
            finishes_transcripts=settings.finishes_transcripts,
        )
        self.model = ModelTurns(
            self.context,
            self.ledger,
            output,
            settings.early_turn_complete,
            settings.generation_stall_s,
        )
        self.interruptions = Interruptions(
            self.user,
            self.model,
            kept,
            settings.barge_in is BargeInHandling.DELIBERATE
            and setup.realtime.interrupts
            and not setup.realtime.detection.disabled,
            spoken_languages(setup),
        )
        self.seeding = setup.seeds_history
        self.asked = Asked.from_setup(setup)
        self._prepared: tuple[int, str] = (-1, "")
        self._transcribing = False

    @property
    def idle(self) -> bool:
        """True if both sides are idle and nothing is open: the session can be resumed from here."""
        return self.user.idle and self.model.idle and self.ledger.idle

    # --- speech ----------------------------------------------------------------------------

    def handle_speech(self, event: SpeechEvent, manual: bool, step: Step) -> bool:
        """Move the user's turns by a speech event; whether anything changed."""
        turn = self.user.open
        if not self.user.handle_speech(event, manual, step):
            return False
        if event.kind is SpeechEdge.ONSET:
            self.interruptions.begin_candidate(event, step)
        elif event.kind is SpeechEdge.END and turn is not None:
            self.interruptions.end_sound(turn)
        return True

    # --- client content ------------------------------------------------------------------

    def handle_content(self, event: ContentReceived, step: Step) -> None:
        """Process `clientContent`: queue its turns, and answer open calls by results in it."""
        turns, ends = self._answer_calls(event.turns, step), event.turn_complete
        if event.turns and not turns:
            return  # without turns it would be a stop
        if ends:
            turns = self._drop_wordless_end(turns)
        if ends and self.seeding:
            self._end_seeding(event.turns, turns, step)
        else:
            self.user.add_content(turns, ends, step)

    def _drop_wordless_end(self, turns: tuple[Content, ...]) -> tuple[Content, ...]:
        """Drop a last turn without words, unless there is nothing else to answer."""
        kept = drop_wordless_end(turns)
        return turns if not kept and self.context.history.empty and self.user.idle else kept

    def _end_seeding(
        self, said: tuple[Content, ...], turns: tuple[Content, ...], step: Step
    ) -> None:
        """Add the first content to the history: it seeds the conversation (`turns` of `said`)."""
        self.seeding = False
        last = (said or self.context.history.snapshot())[-1:]
        users = bool(last) and last[0].role is Role.USER
        answer = self.behavior.history_answers and users
        if turns or answer:  # else it only ended the seeding, and stops nothing
            self.user.add_content(turns, answer, step)

    def _answer_calls(self, turns: tuple[Content, ...], step: Step) -> tuple[Content, ...]:
        """Answer open calls by results in content; return the turns without these results."""
        parts = [part for turn in turns for part in turn.parts]
        if not any(isinstance(part, ToolResult) for part in parts):
            return turns
        open_ids = frozenset(self.ledger.open_ids)

        def answers(part: Part) -> TypeGuard[ToolResult]:
            return isinstance(part, ToolResult) and part.id in open_ids

        if not (given := tuple(part for part in parts if answers(part))):
            return turns
        step.report_mismatch("a function's result came in clientContent: it answers its call")
        self.handle_results(given, step)
        rest = (
            replace(turn, parts=tuple(part for part in turn.parts if not answers(part)))
            for turn in turns
        )
        return tuple(turn for turn in rest if turn.parts)

    def handle_text(self, text: str, step: Step) -> None:
        """Process `realtimeInput.text`; without words it only asks for an answer.

        Clients of 2.5 models do that without text alone: punctuation is a user turn of theirs.
        """
        wordless = not text.strip() or (
            self.behavior.family is not ModelFamily.LIVE_2_5 and only_punctuation(text)
        )
        self.interruptions.confirm_candidate()
        if wordless and not (self.context.history.empty and self.user.idle):
            self.user.add_trigger(step, urgent=self.setup.realtime.interrupts)
        else:
            self.user.add_text(text, step)

    def handle_results(self, results: tuple[ToolResult, ...], step: Step) -> None:
        """Process results of the client's calls, or errors in place of overdue ones."""
        for given in results:
            verdict, result = self.ledger.add_result(given, step.now)
            if verdict is ResultStatus.SILENT:
                self.context.history.add_results((result,))
        problems, self.ledger.problems = self.ledger.problems, []
        step.effects.extend(problems)

    # --- moves of the rules ----------------------------------------------------------------

    def handle_barge_in(self, step: Step) -> None:
        """Interrupt an open model turn because the user took the floor.

        Activity interrupts unless the setup says otherwise. Content that comes before anything was
        said in answer to speech joins that speech: clients end an activity and send content at
        once, and expect one answer. Content interrupts an answer, but no function of the client:
        it may be what that function reports.
        """
        taken, self.user.floor_taken = self.user.floor_taken, None
        turn = self.model.turn
        if turn is None or not self.model.busy:
            return
        if (
            taken in (FloorTaken.ACTIVITY, FloorTaken.TRIGGER)
            and not self.setup.realtime.interrupts
        ):
            return
        if taken in (FloorTaken.TRIGGER, FloorTaken.CONTENT) and self.model.awaits_client:
            self.model.interrupt_answer(step)
            return
        asks = any(isinstance(entry, TypedTurn) and entry.answer for entry in self.user.queue)
        joins = taken is FloorTaken.CONTENT and turn.cause is TurnCause.SPEECH and asks
        if joins and self.model.unseen:
            self.model.withdraw_turn(step)
        else:
            self.model.interrupt_turn(step)

    def unsent_transcripts(self) -> list[SpokenTurn]:
        """Return the spoken turns whose transcription may be sent now, in order.

        These are all ready turns; without any, the oldest unreported turn, as far as its words are
        stable, so that turns never mix.
        """
        if ready := self.user.ready():
            return [turn for turn in ready if isinstance(turn, SpokenTurn) and not turn.reported]
        spoken = [turn for turn in self.user.spoken if not turn.reported]
        return [t for t in spoken[:1] if t.state is TurnState.READY or self._sends_transcript(t)]

    def send_input_transcripts(self, step: Step) -> None:
        """Send `inputTranscription`, before anything of the answer to it."""
        for turn in self.unsent_transcripts():
            turn.reported = turn.state is TurnState.READY
            if self.setup.input_transcription is None:
                continue
            begun = bool(turn.sent)
            piece = turn.send_piece()
            if piece or begun:
                apart = " " if not begun and self._continues(step) else ""
                step.send(InputTranscript(apart + piece, finished=turn.reported))

    def _send_recorded_transcripts(self, entries: list[Entry], step: Step) -> None:
        """Send input transcription of recorded speech that asks for an answer."""
        if self.setup.input_transcription is None:
            return
        asking = (e for e in entries if isinstance(e, TypedTurn) and e.answer)
        for content in (content for entry in asking for content in entry.content):
            if content.role is Role.USER and content.heard_s and (words := content.text.strip()):
                apart = " " if self._continues(step) else ""
                step.send(InputTranscript(apart + words))

    def _sends_transcript(self, turn: SpokenTurn) -> bool:
        """Return whether this turn has new words and the client wants input transcription."""
        wanted = self.setup.input_transcription is not None and turn.barge_in is None
        return wanted and bool(turn.next_piece())

    def _continues(self, step: Step) -> bool:
        """Return whether clients will join the next transcription to the last one.

        They begin a new one after an answer that was not interrupted.
        """
        continues, cut = self._transcribing, False
        for effect in step.effects:
            match effect:
                case Send(message=InputTranscript()):
                    continues = True
                case Send(message=Interrupted()):
                    cut = True
                case Send(message=TurnComplete()):
                    continues, cut = continues and cut, False
                case _:
                    pass
        return continues

    def apply_update(self) -> None:
        """Apply the context update at the head of the queue."""
        if (update := self.user.take_update()) is not None:
            self.context.apply_update(update.instruction, update.tools)

    def start_turn(self, step: Step) -> None:
        """Add the ready user turns to the history, and start an answer if they ask for one."""
        entries = self.user.ready()
        self.user.take_entries(entries)
        self._send_recorded_transcripts(entries, step)
        asks = [entry for entry in entries if entry.answer]
        if asks:
            self.context.history.add_results(self.ledger.take_urgent())
        for entry in entries:
            self.context.history.add_contents(entry.contents())
        spoken = [entry for entry in entries if isinstance(entry, SpokenTurn)]
        if asks:
            typed = any(isinstance(entry, TypedTurn) for entry in asks)
            self.model.begin_turn(TurnCause.CONTENT if typed else TurnCause.SPEECH, step)
        elif spoken:
            failed = any(turn.failed for turn in spoken)
            step.send(TurnComplete(reason=TurnReason.GENERATED_OTHER if failed else None))

    def has_urgent_content(self) -> bool:
        """Return whether content asks for an answer while functions of the client run."""
        if not self.model.awaits_client:
            return False
        typed = (entry for entry in self.user.ready() if isinstance(entry, TypedTurn))
        return any(entry.answer and entry.urgent for entry in typed)

    def append_context(self) -> None:
        """Add content that arrived while functions run to the history, after their calls."""
        self._append(list(self.user.context()))

    def answer_urgent_content(self, step: Step) -> None:
        """Answer content that arrived while functions run, within the open model turn."""
        self.send_input_transcripts(step)
        self._send_recorded_transcripts(self.user.ready(), step)
        self._append(self.user.ready())
        self.model.answer_within_turn(step)

    def _append(self, entries: list[Entry]) -> None:
        self.user.take_entries(entries)
        for entry in entries:
            self.context.history.add_within_turn(entry.contents())

    def answer_results(self, step: Step) -> None:
        """Begin a model turn about non-blocking results that waited until both sides were idle."""
        self.context.history.add_results(self.ledger.take_waiting())
        self.model.begin_turn(TurnCause.RESULT, step)

    # --- speculation -----------------------------------------------------------------------

    def basis_of(self, turn: SpokenTurn) -> Basis:
        """Return the basis of a speculative answer to this turn now."""
        confidence = turn.known_confidence
        unclear = confidence is not None and confidence < self.settings.min_confidence
        return Basis(turn.id, _normalize_words(turn.words()), self.context.version, unclear)

    def speculated_turn(self) -> SpokenTurn | None:
        """Return the turn that the speculation answers, if nothing else has changed."""
        generation = self.model.generation
        if generation is None or generation.basis is None or len(self.user.queue) != 1:
            return None
        turn, basis = self.user.queue[0], generation.basis
        if not isinstance(turn, SpokenTurn) or turn.id != basis.turn:
            return None
        return turn if self.context.version == basis.version else None

    def speculation_holds(self) -> bool:
        """Return whether the turn is what the speculation was based on."""
        turn, generation = self.speculated_turn(), self.model.generation
        return (
            turn is not None and generation is not None and self.basis_of(turn) == generation.basis
        )

    def start_speculation(self, turn: SpokenTurn, step: Step) -> None:
        """Start a speculative answer to a turn that may have ended with this pause."""
        turn.speculations += 1
        turn.speculated_at = turn.paused_at
        parts: tuple[Part, ...] = (
            *self.user.frames.within(turn.start, turn.paused_at),
            Text(" ".join(turn.words())),
        )
        content = Content(Role.USER, parts, confidence=turn.known_confidence)
        self.model.start_speculation(self.basis_of(turn), (content,), step)

    def promote_speculation(self, step: Step) -> None:
        """Accept the speculative answer: add the turn to the history, and send the held output."""
        (turn,) = self.user.ready()
        self.user.take_entries([turn])
        self.context.history.add_contents(turn.contents())
        self.model.promote_generation(step)

    # --- idle -------------------------------------------------------------------------------

    def act_when_idle(self, step: Step) -> None:
        """Have an idle engine read the present prompt ahead; called after every step."""
        self._transcribing = self._continues(step) and not self.idle
        if self.idle:
            self.model.forget_interruption()
        if not self.model.idle:
            return
        turn = self.user.open if self.settings.speculation else None
        words = " ".join(turn.words()) if turn is not None and len(self.user.queue) == 1 else ""
        known = self.context.version, words
        if self._prepared == known or not (words or self.user.idle):
            return
        self._prepared = known
        spoken = (Content(Role.USER, (Text(words),)),) if words else ()
        step.emit(PrepareGeneration(self.context.request(extra=spoken)))

    @property
    def state(self) -> tuple[int, bool]:
        """Value that changes whenever there is something new to be saved."""
        return self.context.version, self.seeding

    def checkpoint(
        self, position: Position, now: float, spent_s: float, consumed: int | None
    ) -> Checkpoint:
        """Return the conversation as a checkpoint."""
        return Checkpoint(
            session=self.context.session,
            model=self.setup.model,
            instruction=self.context.instruction,
            tools=strip_server_tools(self.context.tools),
            history=self.context.history.snapshot(),
            position=position,
            asked=self.asked,
            calls=self.ledger.snapshot(now),
            frames=self.user.frames.snapshot(),
            seeding=self.seeding,
            spent_s=spent_s,
            consumed=consumed,
        )

    def finalize(self, step: Step) -> None:
        """Add unfinished turns to the history, up to what was heard: the connection ends."""
        self.model.stop_output(step)
        for entry in self.user.ready():
            self.context.history.add_contents(entry.contents())

    def restore(self, checkpoint: Checkpoint, now: float) -> None:
        """Continue from a checkpoint, of which instruction, tools and history are in place."""
        self.ledger.restore(checkpoint.calls, now)
        if self.ledger.blocked:
            self.model.resume_waiting()
        for position, frame in checkpoint.frames:
            self.user.frames.add_frame(position, frame)
        self.seeding = checkpoint.seeding


# Clients ask for an answer by turns without words: LiveKit ends every request with a user turn ".",
# Pipecat and ADK send such a text. In the protocol `turnComplete` alone says it.
PUNCTUATION = frozenset(".,;:!?…-–—'\"()")
MAX_PUNCTUATION = 64


def spoken_languages(setup: SessionSetup) -> tuple[str, ...]:
    """Return the language codes of a setup."""
    options = setup.input_transcription
    return (setup.language, *(options.language_codes if options is not None else ()))


def only_punctuation(text: str) -> bool:
    """Return whether a short text has no words in it."""
    marks = (char.isspace() or char in PUNCTUATION for char in text)
    return len(text) <= MAX_PUNCTUATION and all(marks)


def is_wordless(content: Content) -> bool:
    """Return whether a user turn has no words, media or anything else."""
    if content.role is not Role.USER or len(content.parts) > MAX_PUNCTUATION:
        return False
    return all(isinstance(p, Text) and only_punctuation(p.text) for p in content.parts)


def drop_wordless_end(turns: tuple[Content, ...]) -> tuple[Content, ...]:
    """Return the turns without wordless ones at their end.

    If only model turns are left, they say what the answer is to be. They become user turns, since
    models don't follow instructions in their own words.
    """
    end = len(turns)
    while end and is_wordless(turns[end - 1]):
        end -= 1
    kept = turns[:end]
    if end < len(turns) and kept and all(turn.role is Role.MODEL for turn in kept):
        return tuple(replace(turn, role=Role.USER) for turn in kept)
    return kept


def _normalize_words(words: list[str]) -> str:
    """Return words in the form that is compared: no case, punctuation or fillers."""
    letters = "".join(c if c.isalnum() else " " for c in " ".join(words).casefold())
    return " ".join(word for word in letters.split() if word not in _FILLERS)
