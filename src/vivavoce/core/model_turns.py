"""Model turns: the state machine of answers, from speculation to the end of playback.

Everything that decides which generation may speak lives in this file. It knows nothing of the user:
when to begin, promote or interrupt is decided in rules.py.

A *generation* is one run of the responder and has an increasing number. At most one is current,
and only events of the current one are processed: this is the *fence*, one comparison in
`handle_production`. Output of any other was overtaken by a decision and is dropped, so correctness
never waits for a task to be cancelled.

A *model turn* is what the client sees up to one `turnComplete`: one generation, or several with
blocking calls between them. While the client runs functions no generation is running. Content that
asks for an answer is then answered within the turn, and the calls stay open.

A *speculative* generation belongs to no turn yet. Its events are held back in order: no message, no
call, no history. Promoting it creates the turn and replays the events through the GENERATING row.

    state        begin        speculate     part   call   blocks  finished  failed   refused
    IDLE         GENERATING   SPECULATING   -      -      -       -         -        -
    SPECULATING  -            -             hold   hold   hold    hold      IDLE     IDLE
    GENERATING   -            -             send   send   TOOLS   PLAYING   PLAYING  GENERATING
    TOOLS        -            -             -      send   send    send      PLAYING  -
    PLAYING      -            -             -      -      -       -         -        -

    state        answered     promote       discard  withdraw  played   interrupt
    IDLE         -            -             -        -         -        -
    SPECULATING  -            GENERATING    IDLE     -         -        -
    GENERATING   -            -             -        IDLE      -        IDLE
    TOOLS        GENERATING   -             -        -         -        IDLE
    PLAYING      -            -             -        -         IDLE     IDLE

    state        asked        cut           waits
    IDLE         -            -             -
    SPECULATING  -            -             -
    GENERATING   -            TOOLS         -
    TOOLS        GENERATING   -             -
    PLAYING      -            TOOLS         TOOLS

- Audio and text that follow a blocking call (*part* in TOOLS) are dropped: clients open a new,
  empty answer for them.
- *Failed* plays out what was said before the turn ends, since `turnComplete` makes some clients
  empty their speaker.
- *Refused* in GENERATING: the generation was speculative when it was started; it is started anew.
- *Withdraw* takes back a turn of which the client has seen nothing.
- *Asked*: content that asks for an answer while functions of the client run. After that answer was
  played or *cut*, the model *waits* for the functions again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import assert_never

from vivavoce.core.context_window import Context
from vivavoce.core.effects import (
    CancelGeneration,
    ReleaseGeneration,
    StartGeneration,
    Step,
    StopTool,
)
from vivavoce.core.events import (
    AudioProduced,
    GenerationEvent,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    TextProduced,
    ToolCallsProduced,
    UsageProduced,
)
from vivavoce.core.messages import TurnReason
from vivavoce.core.model_output import ModelOutput, OutputOptions, ServerToolOutput, TurnCause
from vivavoce.core.token_counts import Prompt
from vivavoce.core.tool_calls import CANCELLED, FAILED, LATE, ToolLedger
from vivavoce.domain.audio import pcm_seconds
from vivavoce.domain.content import Content, ToolCall, ToolOutcome, Tools
from vivavoce.domain.ids import CallId, GenerationId, TurnId
from vivavoce.domain.request import EndReason, GenerationRequest

MAX_HELD_S = 30.0
MAX_HELD_PARTS = 2000
"""Output that a speculative generation may hold; with more it is discarded."""

MAX_UNSENT_GENERATIONS = 8
"""Generations of one turn whose output may still be unsent."""

MAX_ROUNDS = 50
"""Times that one turn continues after blocking calls: models may call without end."""

REASONS = {
    EndReason.COMPLETE: None,
    EndReason.MAX_TOKENS: None,
    EndReason.NEED_MORE_INPUT: TurnReason.NEED_MORE_INPUT,
    EndReason.MALFORMED_CALL: TurnReason.MALFORMED_FUNCTION_CALL,
}


class ModelState(Enum):
    """State of the model side."""

    IDLE = "idle"
    SPECULATING = "speculating"
    GENERATING = "generating"
    TOOLS = "tools"
    PLAYING = "playing"


class ModelTrigger(Enum):
    """Trigger of a transition between model states."""

    BEGIN = "begin"
    SPECULATE = "speculate"
    PART = "part"
    CALL = "call"
    BLOCKS = "blocks"
    FINISHED = "finished"
    FAILED = "failed"
    REFUSED = "refused"
    ANSWERED = "answered"
    PROMOTE = "promote"
    DISCARD = "discard"
    WITHDRAW = "withdraw"
    PLAYED = "played"
    INTERRUPT = "interrupt"
    ASKED = "asked"
    CUT = "cut"
    WAITS = "waits"


_S, _T = ModelState, ModelTrigger

TRANSITIONS: dict[ModelState, dict[ModelTrigger, ModelState]] = {
    _S.IDLE: {_T.BEGIN: _S.GENERATING, _T.SPECULATE: _S.SPECULATING},
    _S.SPECULATING: {
        _T.PART: _S.SPECULATING, _T.CALL: _S.SPECULATING, _T.BLOCKS: _S.SPECULATING,
        _T.FINISHED: _S.SPECULATING, _T.FAILED: _S.IDLE, _T.REFUSED: _S.IDLE,
        _T.PROMOTE: _S.GENERATING, _T.DISCARD: _S.IDLE,
    },
    _S.GENERATING: {
        _T.PART: _S.GENERATING, _T.CALL: _S.GENERATING, _T.BLOCKS: _S.TOOLS,
        _T.FINISHED: _S.PLAYING, _T.FAILED: _S.PLAYING, _T.REFUSED: _S.GENERATING,
        _T.WITHDRAW: _S.IDLE, _T.INTERRUPT: _S.IDLE, _T.CUT: _S.TOOLS,
    },
    _S.TOOLS: {
        _T.CALL: _S.TOOLS, _T.BLOCKS: _S.TOOLS, _T.FINISHED: _S.TOOLS, _T.FAILED: _S.PLAYING,
        _T.ANSWERED: _S.GENERATING, _T.ASKED: _S.GENERATING, _T.INTERRUPT: _S.IDLE,
    },
    _S.PLAYING: {
        _T.PLAYED: _S.IDLE, _T.INTERRUPT: _S.IDLE, _T.CUT: _S.TOOLS, _T.WAITS: _S.TOOLS,
    },
}  # fmt: skip
"""The table above; absent transitions change nothing."""

BUSY = frozenset({ModelState.GENERATING, ModelState.TOOLS, ModelState.PLAYING})


class ModelTurns:
    """The current generation and the current turn."""

    def __init__(
        self,
        context: Context,
        ledger: ToolLedger,
        options: OutputOptions,
        early: bool,
        stall_s: float,
    ) -> None:
        self.state = ModelState.IDLE
        self.generation: Generation | None = None
        self.turn: ModelOutput | None = None
        self._context = context
        self._ledger = ledger
        self._options = options
        self._early = early
        self._stall_s = stall_s
        self._count = 0
        self._cut = False

    # --- questions ------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """True if a model turn is open and can be interrupted."""
        return self.state in BUSY

    @property
    def awaits_client(self) -> bool:
        """True if functions of the client are open, which content does not interrupt."""
        if self.state is ModelState.TOOLS:
            return bool(self._ledger.unanswered())
        return self.busy and self._ledger.waits

    @property
    def idle(self) -> bool:
        return self.state is ModelState.IDLE

    @property
    def unseen(self) -> bool:
        """True if nothing of the turn that is being generated was sent to the client."""
        turn = self.turn
        return (
            self.state is ModelState.GENERATING
            and turn is not None
            and not (turn.said or turn.called)
        )

    def played_out(self, now: float) -> bool:
        """Return whether `turnComplete` is due."""
        if self.state is not ModelState.PLAYING or self.turn is None:
            return False
        due = self.turn.completion_due()
        return due is None or now >= due

    def deadline(self) -> float | None:
        """Return the time at which playback ends or a silent generation counts as stalled."""
        if self.state is ModelState.PLAYING and self.turn is not None:
            return self.turn.completion_due()
        if self.state is ModelState.GENERATING and self.generation is not None:
            return self.generation.last_event_at + self._stall_s
        return None

    # --- beginning ------------------------------------------------------------------------

    def begin_turn(self, cause: TurnCause, step: Step) -> None:
        """Begin a turn that answers the history."""
        if self._change_state(ModelTrigger.BEGIN):
            self.turn = self._new_turn(cause)
            self._start_generation(step)

    def start_speculation(self, basis: Basis, extra: tuple[Content, ...], step: Step) -> None:
        """Start a speculative generation from the history and `extra`; its output is held."""
        if self._change_state(ModelTrigger.SPECULATE):
            self._start_generation(step, basis, extra)

    def promote_generation(self, step: Step) -> None:
        """Promote the speculative generation: send the held output, and let it continue."""
        generation = self.generation
        if generation is None or not self._change_state(ModelTrigger.PROMOTE):
            return
        self.turn = self._new_turn(TurnCause.SPEECH)
        self.turn.generations.append(generation.id)
        self.turn.prompt = generation.prompt
        generation.last_event_at = step.now
        step.emit(ReleaseGeneration(generation.id))
        held, generation.held = generation.held, []
        for event in held:
            self.handle_production(event, step)

    def continue_with_results(self, step: Step) -> None:
        """Continue the turn with a new generation, since the newest batch has its results."""
        if self.turn is None or not self._change_state(ModelTrigger.ANSWERED):
            return
        rounds = self.turn.rounds + 1
        turn = self._continued(self.turn, TurnCause.RESULT, step)
        turn.rounds = rounds
        self._context.history.add_results(self._ledger.take_batch() + self._ledger.take_urgent())
        self._start_generation(step)
        turn.continue_turn(step)

    def answer_within_turn(self, step: Step) -> None:
        """Start a generation within the turn, to answer content while client functions run."""
        if self.turn is None or not self._change_state(ModelTrigger.ASKED):
            return
        self._ledger.begin_batch()
        self._continued(self.turn, TurnCause.CONTENT, step).rounds = 0
        self._start_generation(step)

    def _continued(self, turn: ModelOutput, cause: TurnCause, step: Step) -> ModelOutput:
        """Return the turn for the next generation: a new one after an early `turnComplete`."""
        self._retire_generation(step, purge=False)
        if not turn.turn_complete_due:
            self._context.history.commit_draft()
            following = self._new_turn(cause, turn.server_tools)
            following.generations = turn.generations
            self.turn = turn = following
        turn.usage.next_generation()
        del turn.generations[:-MAX_UNSENT_GENERATIONS]
        return turn

    def handle_tool_outcome(self, call: CallId, outcome: ToolOutcome) -> None:
        """Enter the outcome of a tool of the server."""
        if (
            self._ledger.add_outcome(call, outcome.response, outcome.parts)
            and self.turn is not None
        ):
            self.turn.server_tools.add_outcome(call, outcome)

    def handle_overdue_calls(self, calls: list[CallId], step: Step) -> None:
        """Stop tools of the server that took too long."""
        for call in calls:
            step.emit(StopTool(call))
            self.handle_tool_outcome(call, ToolOutcome(LATE, failed=str(LATE["error"])))

    def forget_interruption(self) -> None:
        """Let the next turn begin a new output transcription."""
        self._cut = False

    def _new_turn(
        self, cause: TurnCause, server_tools: ServerToolOutput | None = None
    ) -> ModelOutput:
        cut, self._cut = self._cut, False
        return ModelOutput(cause, self._options, self._context.history, server_tools, resumes=cut)

    def _start_generation(
        self, step: Step, basis: Basis | None = None, extra: tuple[Content, ...] = ()
    ) -> None:
        if basis is None:
            self._context.fit_window()
            if self._context.overflow:
                return
        self._count += 1
        id = GenerationId(self._count)
        request = self._context.request(id, extra, speculative=basis is not None)
        prompt = self._context.prompt(extra)
        self.generation = Generation(request, prompt, basis, last_event_at=step.now)
        if basis is None and self.turn is not None:
            self.turn.generations.append(id)
            self.turn.prompt = self.generation.prompt
        step.emit(StartGeneration(request))

    # --- ending ---------------------------------------------------------------------------

    def complete_turn(self, step: Step) -> None:
        """Send `turnComplete`, since the turn has been played."""
        turn, waits = self.turn, self._ledger.waits
        if turn is not None and self._change_state(
            ModelTrigger.WAITS if waits else ModelTrigger.PLAYED
        ):
            self._context.history.commit_draft()
            turn.send_complete(step)
            if not waits:
                self._become_idle()

    def interrupt_turn(self, step: Step) -> None:
        """Interrupt the turn: keep in the history only what was heard of it."""
        turn = self.turn
        if turn is None or not self._change_state(ModelTrigger.INTERRUPT):
            return
        for generation in turn.generations:
            step.emit(CancelGeneration(generation))
        withdrawn = self._ledger.unanswered()
        self._stop_tools(step)
        self._context.history.add_results(self._ledger.take_all(CANCELLED))
        self._end_early(turn, withdrawn, step)
        self._become_idle()

    def interrupt_answer(self, step: Step) -> None:
        """Interrupt the answer, and leave functions of the client open."""
        turn, generation = self.turn, self.generation
        if not self.awaits_client:
            self.interrupt_turn(step)
        elif turn is not None and generation is not None and self._change_state(ModelTrigger.CUT):
            generation.running = False
            for each in turn.generations:
                step.emit(CancelGeneration(each))
            self._end_early(turn, (), step)

    def _end_early(self, turn: ModelOutput, withdrawn: tuple[CallId, ...], step: Step) -> None:
        self._cut = turn.has_words
        self._context.history.cut_to_heard(turn.playout.heard_s(step.now))
        turn.send_interrupted(withdrawn, step)

    def stop_output(self, step: Step) -> None:
        """Stop output because the connection ends; keep what was heard of the turn.

        Nothing is sent; the client may answer its calls on another connection.
        """
        turn = self.turn
        if turn is None or not self.busy:
            return
        waits = bool(self._ledger.unanswered())
        for call in self._ledger.running():
            self._ledger.add_outcome(call, CANCELLED)
            step.emit(StopTool(call))
        if not waits:
            self._context.history.add_results(self._ledger.take_all(CANCELLED))
        if waits and self.state is ModelState.TOOLS:
            self._context.history.commit_draft()
        else:
            self._context.history.cut_to_heard(turn.playout.heard_s(step.now))

    def resume_waiting(self) -> None:
        """Restore a turn that waits for calls of the client."""
        self.state = ModelState.TOOLS
        self.turn = self._new_turn(TurnCause.RESULT)

    def withdraw_turn(self, step: Step) -> None:
        """Withdraw the turn, of which nothing was sent to the client."""
        if self._change_state(ModelTrigger.WITHDRAW):
            self._retire_generation(step)
            self._become_idle()

    def discard_generation(self, step: Step) -> None:
        """Discard the speculative generation and its held output."""
        if self._change_state(ModelTrigger.DISCARD):
            self._retire_generation(step)
            self._become_idle()

    def abandon_turn(self, step: Step) -> None:
        """Cancel the generation and the server's tools: the conversation is over."""
        self._stop_tools(step)
        self._retire_generation(step)
        self._become_idle()
        self.state = ModelState.IDLE

    def _stop_tools(self, step: Step) -> None:
        for call in self._ledger.running():
            step.emit(StopTool(call))

    def _retire_generation(self, step: Step, purge: bool = True) -> None:
        if self.generation is not None and self.generation.running:
            self.generation.running = False
            step.emit(CancelGeneration(self.generation.id, purge))

    def _become_idle(self) -> None:
        self.turn = self.generation = None

    # --- what a generation says -----------------------------------------------------------

    def handle_production(self, event: GenerationEvent, step: Step) -> None:
        """Process output if its generation is current and running, else drop it: the fence."""
        generation = self.generation
        if generation is None or event.generation != generation.id or not generation.running:
            return
        generation.last_event_at = step.now
        if self.turn is None:
            self._hold_event(generation, event, step)
        else:
            self._process_event(generation, self.turn, event, step)

    def handle_stall(self, step: Step) -> None:
        """Fail the current generation if it has been silent for too long."""
        generation, turn = self.generation, self.turn
        if self.state is not ModelState.GENERATING or generation is None or turn is None:
            return
        if step.now >= generation.last_event_at + self._stall_s:
            self._retire_generation(step, purge=False)
            self._fail_generation(turn, step)

    def _hold_event(self, generation: Generation, event: GenerationEvent, step: Step) -> None:
        if isinstance(event, GenerationFailed | GenerationRefused):
            generation.running = False
            failed = isinstance(event, GenerationFailed)
            if self._change_state(ModelTrigger.FAILED if failed else ModelTrigger.REFUSED):
                self._become_idle()
            return
        if not generation.hold_event(event):
            self.discard_generation(step)

    def _process_event(
        self, generation: Generation, turn: ModelOutput, event: GenerationEvent, step: Step
    ) -> None:
        match event:
            case AudioProduced():
                if self._change_state(ModelTrigger.PART):
                    turn.send_audio(event.pcm, event.text, generation.id, step)
            case TextProduced():
                if self._change_state(ModelTrigger.PART):
                    turn.send_text(event.text, event.thought, generation.id, step)
            case UsageProduced():
                turn.usage.add_usage(event.usage)
            case ToolCallsProduced():
                self._open_calls(turn, event.calls, generation.request.tools, step)
            case GenerationFinished():
                generation.running = False
                self._finish_generation(turn, REASONS[event.reason], step)
            case GenerationFailed():
                generation.running = False
                self._fail_generation(turn, step)
            case GenerationRefused():
                generation.running = False
                if self._change_state(ModelTrigger.REFUSED):
                    turn.generations.remove(generation.id)
                    self._start_generation(step)
            case _:
                assert_never(event)

    def _open_calls(
        self, turn: ModelOutput, calls: tuple[ToolCall, ...], tools: Tools, step: Step
    ) -> None:
        """Open calls; `tools` are those of the generation's request, not of a later update."""
        if not calls:
            return
        offered = {tool.name for tool in tools.declarations}
        if not (offered.issuperset(c.name for c in calls) and self._ledger.room_for(calls)):
            self._retire_generation(step, purge=False)
            self._finish_generation(turn, TurnReason.MALFORMED_FUNCTION_CALL, step)
            return
        if turn.rounds >= MAX_ROUNDS:
            self._retire_generation(step, purge=False)
            self._finish_generation(turn, TurnReason.GENERATED_OTHER, step)
            return
        waited = bool(self._ledger.unanswered())
        named = self._ledger.open_calls(calls, tools, step.now)
        ids = {call.id for call in named}
        waits = ids.intersection(self._ledger.unanswered())
        self._change_state(
            ModelTrigger.BLOCKS if waits or ids & {*self._ledger.running()} else ModelTrigger.CALL
        )
        turn.send_calls(named, tools, waited, step)
        asked = any(tools.find_server_tool(call.name) is None for call in named)
        if self._early and (waits or (asked and not turn.turn_complete_due)):
            turn.turn_complete_due = True  # further calls are a further early turn
            turn.finish_generation(turn.generations[-1], step, early=True)
            turn.send_complete(step)

    def _finish_generation(self, turn: ModelOutput, reason: TurnReason | None, step: Step) -> None:
        self._change_state(ModelTrigger.FINISHED)
        if self.state is not ModelState.PLAYING:
            return
        if reason is None and not (turn.said or turn.called):
            reason = TurnReason.NEED_MORE_INPUT
        turn.reason = reason
        turn.finish_generation(turn.generations[-1], step)

    def _fail_generation(self, turn: ModelOutput, step: Step) -> None:
        calling = self.state is ModelState.TOOLS
        if not self._change_state(ModelTrigger.FAILED):
            return
        if calling:
            turn.withdraw_calls(self._ledger.unanswered(), step)
            self._stop_tools(step)
            self._context.history.add_results(self._ledger.take_all(FAILED))
        turn.reason = TurnReason.GENERATED_OTHER

    def _change_state(self, trigger: ModelTrigger) -> bool:
        """Apply a trigger; return whether the table has a transition for it."""
        state = TRANSITIONS[self.state].get(trigger)
        if state is None:
            return False
        self.state = state
        return True


@dataclass(frozen=True, slots=True)
class Basis:
    """Input on which a speculation is based; it is promoted only if nothing of it changed.

    `words` are normalized, and `version` is that of the context; `unclear` says that the
    words were recognized with too little confidence to be answered.
    """

    turn: TurnId
    words: str
    version: int
    unclear: bool = False


@dataclass(slots=True)
class Generation:
    """One run of the responder: its request, and output that is held while it is speculative.

    `prompt` counts the tokens of the request. It is `running` until it has finished, failed or been
    cancelled.
    """

    request: GenerationRequest
    prompt: Prompt
    basis: Basis | None = None
    running: bool = True
    last_event_at: float = 0.0
    held: list[GenerationEvent] = field(default_factory=list)
    _held_s: float = 0.0

    @property
    def id(self) -> GenerationId:
        return self.request.generation

    def hold_event(self, event: GenerationEvent) -> bool:
        """Hold an event; false if there are more than may be held."""
        self.held.append(event)
        if isinstance(event, AudioProduced):
            self._held_s += pcm_seconds(event.pcm)
        return self._held_s <= MAX_HELD_S and len(self.held) <= MAX_HELD_PARTS
