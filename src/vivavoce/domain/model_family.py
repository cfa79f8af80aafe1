"""How each family of Live models behaves towards a client.

Frameworks choose their own behavior by the model *name* that the user configured, so the
server keeps one behavior a name. Names are matched after everything up to the last `/`.
The table is the one of the protocol specification, section 0.2.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from vivavoce.domain.content import Behavior
from vivavoce.domain.setup import TurnCoverage


class ModelFamily(Enum):
    """The model families whose clients expect different things."""

    LIVE_2_5 = "live-2.5"
    LIVE_3_1 = "live-3.1"
    LIVE_3_8 = "live-3.8"


@dataclass(frozen=True, slots=True)
class FamilyBehavior:
    """What a client of one model family relies on.

    `function_behavior` is the default where a declaration leaves it open; `history_answers`
    says whether `turnComplete:true` produces a reply although the client asked for the
    initial-history phase (2.5 clients expect it when the user spoke last). `shows_search`: a
    search is shown as code and its result, before the answer.
    """

    family: ModelFamily
    function_behavior: Behavior
    coverage: TurnCoverage
    history_answers: bool
    shows_search: bool = False


_LIVE_2_5 = FamilyBehavior(
    ModelFamily.LIVE_2_5, Behavior.BLOCKING, TurnCoverage.ONLY_ACTIVITY, True, True
)
_LIVE_3_1 = FamilyBehavior(
    ModelFamily.LIVE_3_1, Behavior.BLOCKING, TurnCoverage.AUDIO_ACTIVITY_AND_ALL_VIDEO, False
)
_LIVE_3_8 = FamilyBehavior(
    ModelFamily.LIVE_3_8, Behavior.NON_BLOCKING, TurnCoverage.AUDIO_ACTIVITY_AND_ALL_VIDEO, False
)

_BY_PATTERN = (
    (re.compile(r"gemini-3\.1-"), _LIVE_3_1),
    (re.compile(r"gemini-(3\.[2-9]|[4-9])"), _LIVE_3_8),
)

_OTHER_TASKS = (
    (re.compile(r"gemini-[\w.]{1,40}-live-translate"), "translates"),
    (re.compile(r"gemini-[\w.]{1,40}-transcribe"), "transcribes"),
)


def model_id(name: str) -> str:
    """The last path segment of a model name, which is what identifies it."""
    return name.rsplit("/", 1)[-1]


def other_task(name: str) -> str:
    """What the model called `name` does instead of conversing: `translates`, `transcribes`.

    Empty for the others. Sessions with these models have no turns.
    """
    short = model_id(name)
    return next((does for pattern, does in _OTHER_TASKS if pattern.match(short)), "")


def family_behavior(name: str) -> FamilyBehavior:
    """The behavior that clients of the model called `name` expect; 2.5's for unknown names."""
    short = model_id(name)
    for pattern, behavior in _BY_PATTERN:
        if pattern.match(short):
            return behavior
    return _LIVE_2_5
