from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.bench.caller import ConversationRecord
from vivavoce.bench.load import MeasuredSession
from vivavoce.bench.measure import MeasuredTurn
from vivavoce.bench.scenario import Expectation
from vivavoce.bench.server_account import (
    PARTS,
    account_parts,
    attach_account,
    mean_stages,
    parse_stage_totals,
    read_turn_lines,
)
from vivavoce.metrics import Metrics

LINE = {
    "event": "turn", "session": "abcdefgh", "speech_end_ms": 2_080, "endpointing_ms": 730,
    "detecting_ms": 10, "asr_final_ms": 50, "llm_first_token_ms": 120, "first_clause_ms": 30,
    "tts_first_audio_ms": 40, "send_first_audio_ms": 2, "total_ms": 990,
}  # fmt: skip


def turn(end_s: float = 2.0, latency_s: float = 1.1) -> MeasuredTurn:
    return MeasuredTurn("words", Expectation.REPLY, 0.0, end_s, latency_s=latency_s)


def test_the_parts_of_a_turn_add_up_to_what_the_client_measured() -> None:
    parts = account_parts(turn(), LINE)
    assert list(parts) == list(PARTS)
    assert parts == pytest.approx(
        {"release_ms": 80, "window_ms": 720, "asr_final_ms": 50, "llm_first_token_ms": 120,
         "first_clause_ms": 30, "tts_first_audio_ms": 40, "send_first_audio_ms": 2, "own_ms": 58}
    )  # fmt: skip
    assert sum(parts.values()) == pytest.approx(1_100)


def test_what_a_speculation_did_before_the_end_costs_nothing() -> None:
    line = LINE | {"asr_final_ms": 0, "llm_first_token_ms": 500, "total_ms": 800}
    parts = account_parts(turn(latency_s=0.9), line)
    assert parts["llm_first_token_ms"] == 0, "it was over when the turn ended"
    assert parts["first_clause_ms"] == pytest.approx(28), "most of it was"
    assert parts["tts_first_audio_ms"] == 40
    assert sum(parts.values()) == pytest.approx(900)


def test_a_line_belongs_to_its_session_and_its_place_in_the_audio() -> None:
    turns = [turn(2.0), turn(9.0), turn(30.0)]
    session = MeasuredSession(0, ConversationRecord("abcdefgh-1234"), turns)
    other = MeasuredSession(1, ConversationRecord("ijklmnop"), [turn(2.0)])
    lines = [LINE | {"speech_end_ms": 9_020}, LINE, LINE | {"session": "zzzzzzzz"}]
    assert attach_account([session, other], lines) == 2
    assert turns[0].server["release_ms"] == pytest.approx(80)
    assert turns[1].server["release_ms"] == pytest.approx(20)
    assert turns[2].server == other.turns[0].server == {}


def test_a_log_may_hold_other_lines_and_an_unfinished_one(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(
        'Starting …\n{"event": "tool ran"}\n{"event": "turn", "total_ms": 5}\n'
        '{"event": "turn", "total_ms": null}\n{"event": "turn", "total_'
    )
    assert read_turn_lines(log) == [{"event": "turn", "total_ms": 5}]


def test_stages_are_means_between_two_readings() -> None:
    metrics = Metrics()
    metrics.turn_stage.labels("endpointing").observe(9)
    before = parse_stage_totals(metrics.exposition().decode())
    metrics.turn_stage.labels("endpointing").observe(0.5)
    metrics.turn_stage.labels("endpointing").observe(0.7)
    metrics.turn_stage.labels("asr_final").observe(0.1)
    after = parse_stage_totals(metrics.exposition().decode())
    assert mean_stages(before, after) == pytest.approx({"endpointing": 0.6, "asr_final": 0.1})
    assert mean_stages(after, after) == {}


@pytest.mark.parametrize("text", ["", "<html>", "a 1\nb{", "a_metric 3\n"])
def test_other_servers_have_no_stages(text: str) -> None:
    assert parse_stage_totals(text) == {}
