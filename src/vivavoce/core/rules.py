"""Turn-taking rules: a table of conditions and actions, applied after each event until none holds.

The rules are tried in order; the first that applies acts, and the search starts again. Each rule
makes itself inapplicable, so this ends; `MAX_RULE_STEPS` catches one that does not.

*Busy* means that a model turn is open: GENERATING, TOOLS or PLAYING.

     when                                                     then
  1  the model turn has been played                           complete it
  2  the user has taken the floor                             interrupt, if busy and allowed
  3  an INTERRUPT result, model speaking                      interrupt
  4  all blocking calls are answered                          continue the turn
  5  content was added, model in TOOLS                        append it behind the calls
  6  content asks for an answer, client functions running     the same, and answer it
  7  a turn is ready or has stable words, model not busy      send input transcription
  8  the speculated turn is ready and unchanged               promote
  9  model SPECULATING, and the speculation cannot hold       discard
 10  a context update is next                                 apply it
 11  something is ready, model IDLE                           add it to the history; answer it
 12  a result waits, the user is idle, model IDLE             answer it
 13  user PAUSED, transcript covers the pause, model IDLE     speculate, if allowed and time for it
 14  a barge-in is being decided, or no longer                hold the output, or release it

Where activity does not interrupt, rule 2 does nothing, and the ready turn waits for rule 11.
`handle_barge_in` decides which client function calls survive new content.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vivavoce.core.conversation import Conversation
from vivavoce.core.effects import Step
from vivavoce.core.model_turns import ModelState
from vivavoce.core.user_turns import SpokenTurn, TurnState, Update

MAX_SPECULATIONS = 2
"""Speculations of one turn; a user who pauses more often is thinking aloud."""

MAX_RULE_STEPS = 1000


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table: a condition and an action."""

    name: str
    when: Callable[[Conversation, Step], bool]
    then: Callable[[Conversation, Step], None]


def _speculation_fails(c: Conversation, step: Step) -> bool:
    if c.model.state is not ModelState.SPECULATING:
        return False
    turn = c.speculated_turn()
    return turn is None or turn.state not in (TurnState.PAUSED, TurnState.ENDED)


def _may_speculate(c: Conversation, step: Step) -> SpokenTurn | None:
    turn = c.user.open
    if turn is None or not c.settings.speculation or not c.model.idle or len(c.user.queue) != 1:
        return None
    if turn.barge_in is not None:
        return None
    pausing = turn.state is TurnState.PAUSED and turn.covered >= turn.paused_at
    due = c.user.processed_until >= turn.speculate_from
    fresh = turn.speculations < MAX_SPECULATIONS and turn.speculated_at != turn.paused_at
    return turn if pausing and due and fresh and turn.text.strip() else None


def _speculate(c: Conversation, step: Step) -> None:
    if turn := _may_speculate(c, step):
        c.start_speculation(turn, step)


RULES = (
    Rule(
        "played out",
        lambda c, step: c.model.played_out(step.now),
        lambda c, step: c.model.complete_turn(step),
    ),
    Rule(
        "floor taken",
        lambda c, step: c.user.floor_taken is not None,
        lambda c, step: c.handle_barge_in(step),
    ),
    Rule(
        "urgent result",
        lambda c, step: (
            c.ledger.urgent and c.model.state in (ModelState.GENERATING, ModelState.PLAYING)
        ),
        lambda c, step: c.model.interrupt_answer(step),
    ),
    Rule(
        "calls answered",
        lambda c, step: c.model.state is ModelState.TOOLS and not c.ledger.blocked,
        lambda c, step: c.model.continue_with_results(step),
    ),
    Rule(
        "context added",
        lambda c, step: c.model.state is ModelState.TOOLS and bool(c.user.context()),
        lambda c, step: c.append_context(),
    ),
    Rule(
        "urgent content",
        lambda c, step: c.model.state is ModelState.TOOLS and c.has_urgent_content(),
        lambda c, step: c.answer_urgent_content(step),
    ),
    Rule(
        "transcription due",
        lambda c, step: not c.model.busy and bool(c.unsent_transcripts()),
        lambda c, step: c.send_input_transcripts(step),
    ),
    Rule(
        "speculation holds",
        lambda c, step: (
            c.model.state is ModelState.SPECULATING
            and len(c.user.ready()) == 1
            and c.speculation_holds()
        ),
        lambda c, step: c.promote_speculation(step),
    ),
    Rule(
        "speculation fails",
        _speculation_fails,
        lambda c, step: c.model.discard_generation(step),
    ),
    Rule(
        "update due",
        lambda c, step: bool(c.user.queue) and isinstance(c.user.queue[0], Update),
        lambda c, step: c.apply_update(),
    ),
    Rule(
        "turn ready",
        lambda c, step: c.model.idle and bool(c.user.ready()),
        lambda c, step: c.start_turn(step),
    ),
    Rule(
        "tool result pending",
        lambda c, step: c.model.idle and c.user.idle and bool(c.ledger.waiting),
        lambda c, step: c.answer_results(step),
    ),
    Rule(
        "pause",
        lambda c, step: _may_speculate(c, step) is not None,
        _speculate,
    ),
    Rule(
        "barge-in undecided",
        lambda c, step: c.interruptions.hold_is_wrong,
        lambda c, step: c.interruptions.switch_hold(step),
    ),
)


def apply_rules(conversation: Conversation, step: Step) -> None:
    """Apply the first rule whose condition holds, until none does."""
    for _ in range(MAX_RULE_STEPS):
        for rule in RULES:
            if rule.when(conversation, step):
                rule.then(conversation, step)
                break
        else:
            return
    raise RuntimeError(f"Rules did not settle after {MAX_RULE_STEPS} steps.")
