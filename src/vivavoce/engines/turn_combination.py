"""Turn model that joins Smart Turn, which hears the sound, and turn-yielding cues of the words.

While the words are not known, the sound can only say that a turn goes on: closing it would gain
nothing, since the answer needs the words. Once they are known, both count, in log-odds.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from math import exp, log

from vivavoce.engines.ports import EngineHost, Settings, TurnModel, TurnPause
from vivavoce.engines.settings import EngineChoice, read_settings

ENGINE = "turn_model.combined"

SOUND_WEIGHT = 0.5
SOUND_EVIDENCE = (-1.0, 0.6)
"""Least and most log-odds of the sound: many pauses after whole clauses sound like an end."""
UNSURE = 0.5


@dataclass(frozen=True, slots=True)
class CombinationSettings:
    """The turn models that are joined: `sound` and `words`."""

    sound: EngineChoice = "smart-turn"
    words: EngineChoice = "cues"


class CombinedTurnModel:
    """Scores pauses by two models. See `engines.ports.TurnModel`."""

    def __init__(self, sound: TurnModel, words: TurnModel) -> None:
        self._sound = sound
        self._words = words

    def score(self, pauses: Sequence[TurnPause]) -> list[float]:
        """Return the probability of each pause, from both models' scores of it."""
        pairs = zip(pauses, self._sound.score(pauses), self._words.score(pauses), strict=True)
        return [join_scores(sound, words, bool(pause.text)) for pause, sound, words in pairs]

    async def aclose(self) -> None:
        await asyncio.gather(self._sound.aclose(), self._words.aclose())


def join_scores(sound: float, words: float, words_known: bool) -> float:
    """Return the joint probability; at most `UNSURE` while the words are not known."""
    if not words_known:
        return min(sound, UNSURE)
    low, high = SOUND_EVIDENCE
    evidence = _log_odds(words) + min(max(SOUND_WEIGHT * _log_odds(sound), low), high)
    return 1.0 / (1.0 + exp(-evidence))


def _log_odds(probability: float) -> float:
    """Return the log-odds of a probability, of which none is certain."""
    bounded = min(max(probability, 0.01), 0.99)
    return log(bounded / (1.0 - bounded))


def required_parts(settings: Settings) -> tuple[tuple[str, str | Settings], ...]:
    """Return the parts that these settings need."""
    chosen = read_settings(ENGINE, settings, CombinationSettings)
    return (("turn_model", chosen.sound), ("turn_model", chosen.words))


async def create(settings: Settings, host: EngineHost) -> CombinedTurnModel:
    """Build the model with its parts. Raises `ConfigError`, `EngineMissing`."""
    chosen = read_settings(ENGINE, settings, CombinationSettings)
    sound = await host.build("turn_model", chosen.sound)
    return CombinedTurnModel(sound, await host.build("turn_model", chosen.words))
