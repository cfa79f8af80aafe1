from __future__ import annotations

import json

import pytest

from vivavoce.evaluation.clips import LabelledClip
from vivavoce.evaluation.live_turns import SpokenOutcome
from vivavoce.evaluation.measures import OperatingPoint, OverlapOutcome, TimedTurn, judge_ends
from vivavoce.evaluation.published import SOURCES, published_figures
from vivavoce.evaluation.results import (
    Comparability,
    EvaluationReport,
    curve_rows,
    dialogue_rows,
    overlap_rows,
    pause_rows,
    spoken_pause_rows,
    spoken_turn_rows,
    turn_end_rows,
)

PAUSED = LabelledClip("p", "list", b"", ((0.0, 1.0), (1.8, 3.0)))
WHOLE = LabelledClip("w", "short", b"", ((0.0, 1.0),))


def test_turn_detection_is_reported_by_kind() -> None:
    other = LabelledClip("q", "number", b"", ((0.0, 1.0), (1.8, 3.0)))
    found = [judge_ends(PAUSED, [1.5, 3.7]), judge_ends(other, [3.7]), judge_ends(WHOLE, [1.7])]
    [end] = turn_end_rows(found, "x")
    assert end.value == pytest.approx(0.7)
    assert end.count == 1
    turns, pauses = pause_rows(found, "x")
    assert (turns.value, turns.count, turns.measure) == (0.5, 2, "pauses")
    assert (pauses.value, pauses.count) == (0.5, 2)
    assert pauses.note == "list 1.00, number 0.00"


def test_a_model_stands_beside_silence_with_the_ratio() -> None:
    silence = [OperatingPoint("s", 0.3, 0.5), OperatingPoint("t", 1.0, 0.1)]
    model = [OperatingPoint("m", 0.25, 0.2)]
    rows = list(curve_rows(silence, model, "x", 10))
    assert [row.shown for row in rows[:2]] == ["0.50", "0.20, ratio 0.40"]
    assert rows[0].comparable is Comparability.RATIO
    assert rows[0].as_json()["published"]["Smart Turn v3.2"] == "35.2 %, 0.63"
    nothing = next(curve_rows([], [], "x", 10))
    assert (nothing.value, nothing.note) == (None, "no policy reaches it")


def test_sounds_over_speech_are_ignored_or_take_the_floor() -> None:
    rows = {
        row.name: row
        for row in overlap_rows(
            [
                OverlapOutcome("yeah", "backchannels", False, True, None),
                OverlapOutcome("okay", "backchannels", False, True, 0.3),
                OverlapOutcome("door", "noises", False, False, 0.1),
                OverlapOutcome("stop", "interruptions", True, True, 0.2, 0.9, 4),
                OverlapOutcome("wait", "interruptions", True, True, None),
            ]
        )
    }
    assert rows["backchannels ignored"].value == 0.5
    assert rows["backchannels ignored"].note == "stopped by: okay"
    assert "noises ignored" not in rows, "the model was silent: nothing could be ignored"
    assert rows["onset to `interrupted`"].shown == "p50 200 ms, at most 200 ms, 1 of 2 stopped"
    assert rows["onset to `interrupted`"].note.startswith("4 bytes of the old answer after it; 1 ")
    answer = rows["answer after an interruption: mean latency, take-over rate"]
    assert answer.shown == "900 ms, 0.50"


def test_what_a_server_made_of_spoken_turns() -> None:
    quick = SpokenOutcome("a", "short", False, 0.8, TimedTurn(0.8))
    silent = SpokenOutcome("b", "short", False, None, TimedTurn(None))
    early = SpokenOutcome("c", "list", True, 0.6, TimedTurn(0.6, 1.0, 1))
    [turns] = spoken_turn_rows([quick, silent])
    assert turns.shown == "800 ms, 0.50 (p50 800 ms)"
    [pauses] = spoken_pause_rows([early, quick])
    assert pauses.value == 0.5
    stopped = OverlapOutcome("stop", "interruptions", True, True, 0.5)
    [score] = dialogue_rows([quick, early], [stopped])
    assert score.value == pytest.approx((1 + 0.25 + 0.75) / 3)
    assert score.count == 3
    talked_on = OverlapOutcome("wait", "interruptions", True, True, None)
    [score] = dialogue_rows([quick, early], [stopped, talked_on])
    assert score.value == pytest.approx((1 + 0.25 + 0.75 + 0) / 4)


def test_a_report_is_json_with_the_published_figures_and_their_source() -> None:
    report = EvaluationReport()
    report.rows += pause_rows([judge_ends(PAUSED, [3.5])], "x")
    report.details["turns"] = [judge_ends(PAUSED, [3.5])]
    read = json.loads(json.dumps(report.as_json()))
    assert read["rows"][0]["source"] == SOURCES["pauses"]
    assert read["details"]["turns"][0]["name"] == "p"
    assert all(published_figures(measure) for measure in SOURCES)
