"""The joint rules: what follows when the state of both sides is looked at together.

After every event the rules are tried in order; the first that applies acts, and the looking
begins anew, until none applies. Each rule makes itself inapplicable, so this ends; `LIMIT`
is there for the day on which somebody writes one that does not.

*Busy* means that a model turn is open: GENERATING, TOOLS or PLAYING.

     when                                                     then
  1  the model's turn has been played out                     complete it
  2  the user has taken the floor                             interrupt, if busy and wished
  3  a result does not want to wait, model speaking           interrupt
  4  all blocking calls are answered                          go on with the turn
  5  content was added, model in TOOLS                        it stands behind the calls
  6  content is ready and asks, functions of the client's run the same; answer it
  7  a turn is ready or has stable words, model not busy      tell the client its words
  8  the guessed turn is ready and is what was guessed        promote
  9  model SPECULATING, and the guess can no longer hold      discard
 10  nothing waits before an update of the context            it holds
 11  something is ready, model IDLE                           take it up; begin, if it asks
 12  a result waits, nothing of the user's does, model IDLE   begin
 13  user PAUSED, hypothesis covers the pause, model IDLE     speculate, if allowed

Where activity does not interrupt, rule 2 only looks away, and the ready turn waits for rule 11.
What content leaves of the client's calls says `handle_barge_in`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from vivavoce.core.conversation import Conversation
from vivavoce.core.effects import Step
from vivavoce.core.model_turns import ModelState
from vivavoce.core.user_turns import SpokenTurn, TurnState, Update

MAX_TRIES = 2
"""Speculations a turn: a third would mean that the user is thinking aloud."""

LIMIT = 1000


@dataclass(frozen=True, slots=True)
class Rule:
    """One row of the table."""

    name: str
    when: Callable[[Conversation, Step], bool]
    then: Callable[[Conversation, Step], None]


def _guess_fails(c: Conversation, step: Step) -> bool:
    if c.model.state is not ModelState.SPECULATING:
        return False
    turn = c.guessed()
    return turn is None or turn.state not in (TurnState.PAUSED, TurnState.ENDED)


def _may_speculate(c: Conversation, step: Step) -> SpokenTurn | None:
    turn = c.user.open
    if turn is None or not c.settings.speculation or not c.model.idle or len(c.user.line) != 1:
        return None
    pausing = turn.state is TurnState.PAUSED and turn.covered >= turn.paused_at
    fresh = turn.tries < MAX_TRIES and turn.tried_at != turn.paused_at
    return turn if pausing and fresh and turn.text.strip() else None


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
        lambda c, step: c.model.yield_floor(step),
    ),
    Rule(
        "calls answered",
        lambda c, step: c.model.state is ModelState.TOOLS and not c.ledger.blocked,
        lambda c, step: c.model.handle_answer(step),
    ),
    Rule(
        "context added",
        lambda c, step: c.model.state is ModelState.TOOLS and bool(c.user.context()),
        lambda c, step: c.take_context(),
    ),
    Rule(
        "asked meanwhile",
        lambda c, step: c.model.state is ModelState.TOOLS and c.has_question_meanwhile(),
        lambda c, step: c.answer_meanwhile(step),
    ),
    Rule(
        "words to tell",
        lambda c, step: not c.model.busy and bool(c.unsent_transcripts()),
        lambda c, step: c.send_input_transcripts(step),
    ),
    Rule(
        "guess holds",
        lambda c, step: (
            c.model.state is ModelState.SPECULATING and len(c.user.ready()) == 1 and c.guess_holds()
        ),
        lambda c, step: c.promote_speculation(step),
    ),
    Rule(
        "guess fails",
        _guess_fails,
        lambda c, step: c.model.discard_generation(step),
    ),
    Rule(
        "update due",
        lambda c, step: bool(c.user.line) and isinstance(c.user.line[0], Update),
        lambda c, step: c.update(),
    ),
    Rule(
        "turn ready",
        lambda c, step: c.model.idle and bool(c.user.ready()),
        lambda c, step: c.start_turn(step),
    ),
    Rule(
        "result waits",
        lambda c, step: c.model.idle and c.user.quiet and bool(c.ledger.waiting),
        lambda c, step: c.take_results(step),
    ),
    Rule(
        "pause",
        lambda c, step: _may_speculate(c, step) is not None,
        _speculate,
    ),
)


def apply_rules(conversation: Conversation, step: Step) -> None:
    """Apply the rules until none applies."""
    for _ in range(LIMIT):
        for rule in RULES:
            if rule.when(conversation, step):
                rule.then(conversation, step)
                break
        else:
            return
    raise RuntimeError("The joint rules do not come to rest.")
