"""Model families: the behavior that clients expect, by the name of the model.

Frameworks choose their behavior by the model name in their configuration. Names are matched after
the last `/`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from vivavoce.domain.content import Behavior
from vivavoce.domain.setup import TurnCoverage


class ModelFamily(Enum):
    """Families of Live models whose clients expect different behavior."""

    LIVE_2_5 = "live-2.5"
    LIVE_3_1 = "live-3.1"
    LIVE_3_8 = "live-3.8"


@dataclass(frozen=True, slots=True)
class FamilyBehavior:
    """Server behavior that clients of one model family expect.

    `function_behavior` is the default of declarations. `history_answers`: `turnComplete` of the
    initial history is answered if the user spoke last. `shows_search`: a search is shown as code
    and its result, before the answer.
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
    """Return the last path segment of a model name, which identifies it."""
    return name.rsplit("/", 1)[-1]


def other_task(name: str) -> str:
    """Return the task of a model without conversations (`translates`, `transcribes`), or ""."""
    short = model_id(name)
    return next((does for pattern, does in _OTHER_TASKS if pattern.match(short)), "")


def family_behavior(name: str) -> FamilyBehavior:
    """Return the behavior that clients of this model expect; 2.5's for unknown names."""
    short = model_id(name)
    for pattern, behavior in _BY_PATTERN:
        if pattern.match(short):
            return behavior
    return _LIVE_2_5
