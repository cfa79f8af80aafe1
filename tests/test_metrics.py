"""A turn's report as a log line and as numbers."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from vivavoce.domain.ids import SessionId
from vivavoce.metrics import Metrics, TurnLogger
from vivavoce.runtime.turn_metrics import SpeculationCounts, TurnOutcome, TurnReport

SPOKEN = TurnReport(
    SessionId("0123456789abcdef"),
    3,
    TurnOutcome.COMPLETE,
    endpointing_s=0.48,
    asr_final_s=0.02,
    llm_first_token_s=0.25,
    first_clause_s=0.1,
    tts_first_audio_s=0.05,
    send_first_audio_s=0.001,
    total_s=0.901,
    heard_s=1.25,
    spoken_s=2.5,
    tool_calls=1,
)


def test_one_line_holds_every_part_in_milliseconds(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)

    TurnLogger("embedded", Metrics()).turn_done(SPOKEN)

    (record,) = caplog.records
    fields = vars(record)
    assert record.getMessage() == "turn"
    assert (fields["session"], fields["turn"], fields["outcome"]) == ("01234567", 3, "complete")
    assert (fields["endpointing_ms"], fields["llm_first_token_ms"]) == (480, 250)
    assert fields["total_ms"] == 901
    assert "tool_ms" not in fields


def test_numbers_are_counted_once_a_turn() -> None:
    metrics = Metrics()
    recorder = TurnLogger("embedded", metrics)
    recorder.turn_done(SPOKEN)
    recorder.turn_done(TurnReport(SessionId("s"), 4, TurnOutcome.NO_SPEECH, ignored="no_words"))
    recorder.turn_done(TurnReport(SessionId("s"), 5, TurnOutcome.IGNORED, ignored="back_channel"))

    text = metrics.exposition().decode()
    for line in (
        'vivavoce_turns_total{outcome="complete"} 1.0',
        'vivavoce_turns_total{outcome="no_speech"} 1.0',
        'vivavoce_turns_total{outcome="ignored"} 1.0',
        'vivavoce_ignored_speech_total{reason="no_words"} 1.0',
        'vivavoce_ignored_speech_total{reason="back_channel"} 1.0',
        'vivavoce_turn_stage_seconds_sum{stage="endpointing"} 0.48',
        "vivavoce_turn_latency_seconds_count 1.0",
        'vivavoce_audio_seconds_total{direction="heard"} 1.25',
        "vivavoce_tool_calls_total 1.0",
    ):
        assert line in text


def test_speculations_are_counted_and_named_in_the_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics()
    counts = SpeculationCounts(2, 1, 1, 0, gained_s=0.3, wasted_s=0.5, wasted_audio_s=1.25)
    TurnLogger("embedded", metrics).turn_done(replace(SPOKEN, speculation=counts))
    TurnLogger("embedded", metrics).turn_done(SPOKEN)
    text = metrics.exposition().decode()
    for line in (
        'vivavoce_speculations_total{event="started"} 2.0',
        'vivavoce_speculations_total{event="promoted"} 1.0',
        'vivavoce_speculations_total{event="discarded"} 1.0',
        'vivavoce_speculations_total{event="refused"} 0.0',
        "vivavoce_speculation_gain_seconds_sum 0.3",
        "vivavoce_speculation_wasted_seconds_total 0.5",
    ):
        assert line in text
    first, second = (vars(record) for record in caplog.records)
    assert (first["speculations_started"], first["speculations_promoted"]) == (2, 1)
    assert (first["speculation_gained_ms"], first["speculation_wasted_ms"]) == (300, 500)
    assert first["speculation_wasted_audio_ms"] == 1250
    assert not [name for name in second if name.startswith("speculation")]


def test_words_are_written_down_only_on_request(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    report = TurnReport(SessionId("s"), 1, TurnOutcome.COMPLETE, heard="I am Ada", said="hello Ada")

    TurnLogger("embedded", Metrics()).turn_done(report)
    assert "Ada" not in str(vars(caplog.records[0]))

    TurnLogger("embedded", Metrics(), personal=True).turn_done(report)
    fields = vars(caplog.records[1])
    assert (fields["heard"], fields["said"]) == ("I am Ada", "hello Ada")


def test_tools_and_interruptions_are_timed(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    metrics = Metrics()

    TurnLogger("embedded", metrics).turn_done(
        TurnReport(SessionId("s"), 1, TurnOutcome.INTERRUPTED, tool_s=0.75, interruption_s=0.25)
    )

    text = metrics.exposition().decode()
    assert "vivavoce_tool_duration_seconds_sum 0.75" in text
    assert "vivavoce_interruption_latency_seconds_sum 0.25" in text
    assert vars(caplog.records[0])["interruption_ms"] == 250
