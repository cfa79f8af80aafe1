"""The joined turn model: each part counts, and sound alone never closes a turn."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from vivavoce.core.turn_detection import SURE, UNFINISHED
from vivavoce.engines.ports import TurnModel, TurnPause
from vivavoce.engines.registry import EngineBuilder, required_weights
from vivavoce.engines.turn_combination import CombinedTurnModel, join_scores
from vivavoce.engines.turn_cues import TurnCues
from vivavoce.errors import ConfigError, EngineMissing
from vivavoce.testing.engine_contracts import TurnModelContract


class ConstantTurnModel:
    """Gives every pause the same score."""

    def __init__(self, probability: float) -> None:
        self._probability = probability
        self.closed = False

    def score(self, pauses: Sequence[TurnPause]) -> list[float]:
        return [self._probability] * len(pauses)

    async def aclose(self) -> None:
        self.closed = True


class TestContract(TurnModelContract):
    def engine(self) -> TurnModel:
        return CombinedTurnModel(ConstantTurnModel(0.9), TurnCues())


def test_without_words_the_sound_can_only_keep_a_turn_open() -> None:
    assert join_scores(0.99, 0.99, words_known=False) < SURE
    assert join_scores(0.05, 0.99, words_known=False) < UNFINISHED


def test_with_words_both_count() -> None:
    assert join_scores(0.95, 0.86, words_known=True) >= SURE
    assert join_scores(0.95, 0.05, words_known=True) < UNFINISHED, "the words ask for more"
    assert UNFINISHED <= join_scores(0.5, 0.5, words_known=True) < SURE
    for sound, words in ((0.2, 0.6), (0.6, 0.4), (0.5, 0.9)):
        joined = join_scores(sound, words, words_known=True)
        assert joined < join_scores(sound + 0.05, words, words_known=True)
        assert joined < join_scores(sound, words + 0.05, words_known=True)


def test_extreme_scores_are_no_fault() -> None:
    assert 0.0 < join_scores(0.0, 0.0, words_known=True) < UNFINISHED
    assert SURE < join_scores(1.0, 1.0, words_known=True) < 1.0


async def test_it_is_built_of_parts_that_are_closed_with_it() -> None:
    engine = await EngineBuilder().build(
        "turn_model", {"use": "combined", "sound": "cues", "words": "cues"}
    )
    assert engine.score([TurnPause(b"", "and the", "en")])[0] < UNFINISHED
    await engine.aclose()
    parts = ConstantTurnModel(0.5), ConstantTurnModel(0.5)
    await CombinedTurnModel(*parts).aclose()
    assert all(part.closed for part in parts)


async def test_bad_settings_are_named() -> None:
    with pytest.raises(ConfigError, match="`weight` is not known"):
        await EngineBuilder().build("turn_model", {"use": "combined", "weight": 1})


async def test_absent_weights_lead_to_the_fallback(
    monkeypatch: pytest.MonkeyPatch, tmp_path: object
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert required_weights("turn_model", "combined") == {"smart-turn"}
    with pytest.raises(EngineMissing, match="Smart Turn"):
        await EngineBuilder().build("turn_model", "combined")
    builder = EngineBuilder()
    choice = {"use": "combined", "otherwise": "cues"}
    assert isinstance(await builder.build("turn_model", choice), TurnCues)
    assert len(builder.fallbacks) == 1
