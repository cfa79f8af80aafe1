from __future__ import annotations

import pytest

from vivavoce.bench.measure import (
    Arrival,
    ArrivalKind,
    MeasuredTurn,
    Reply,
    SpokenStep,
    measure_turns,
    play_reply,
    split_replies,
)
from vivavoce.bench.scenario import Expectation

TRANSCRIPTION, CALL = ArrivalKind.TRANSCRIPTION, ArrivalKind.CALL
INTERRUPTED, COMPLETE = ArrivalKind.INTERRUPTED, ArrivalKind.COMPLETE


def audio(at: float, seconds: float = 1.0, silent: float = 0.0) -> Arrival:
    return Arrival(at, ArrivalKind.AUDIO, seconds, silent)


def step(*stretches: tuple[float, float], expect: Expectation = Expectation.REPLY) -> SpokenStep:
    return SpokenStep("words", expect, stretches, stretches[-1][1])


def measure(step: SpokenStep, *arrivals: Arrival) -> MeasuredTurn:
    [turn] = measure_turns([step], arrivals)
    return turn


def reply(*chunks: tuple[float, float]) -> Reply:
    return Reply([[audio(at, seconds) for at, seconds in chunks]])


@pytest.mark.parametrize(
    ("chunks", "gaps"),
    [
        ([(0.0, 1.0), (0.5, 1.0), (1.9, 1.0)], []),
        ([(0.0, 1.0), (1.2, 1.0)], [0.2]),
        ([(5.0, 0.1), (5.1, 0.1), (5.35, 0.1), (5.9, 0.1)], [0.15, 0.45]),
        ([(0.0, 1.0), (1.004, 1.0)], []),
        ([(0.0, 0.1), (0.0, 2.0), (1.5, 0.1), (2.2, 0.1)], []),
    ],
)
def test_gaps_are_what_a_player_has_nothing_to_play_for(
    chunks: list[tuple[float, float]], gaps: list[float]
) -> None:
    played = play_reply(reply(*chunks))
    assert played.gaps_s == pytest.approx(gaps)
    assert (played.chunks, played.late_chunks) == (len(chunks), len(gaps))


def test_a_gap_delays_all_that_follows() -> None:
    """A player that was empty for a second plays the next chunk a second later."""
    played = play_reply(reply((0, 1), (2, 1), (2.9, 1), (3.9, 1)))
    assert played.gaps_s == pytest.approx([1.0])


def test_waiting_for_a_function_is_no_gap() -> None:
    [found] = split_replies([audio(0), Arrival(0.5, CALL), audio(9), audio(10.5)])
    assert play_reply(found).gaps_s == pytest.approx([0.5])


def test_replies_end_with_the_turn_or_an_interruption() -> None:
    arrivals = [audio(1), audio(2), Arrival(2.5, INTERRUPTED), Arrival(2.5, COMPLETE),
                audio(4), Arrival(5, COMPLETE), Arrival(6, COMPLETE), audio(7)]  # fmt: skip
    assert [(r.first_at, len(r.chunks)) for r in split_replies(arrivals)] == [
        (1, 2), (4, 1), (7, 1),
    ]  # fmt: skip


def test_the_latency_counts_from_the_last_word_and_its_parts_add_up() -> None:
    said = step((0, 1), (1.5, 2.0))
    turn = measure(
        said, Arrival(1.2, TRANSCRIPTION), Arrival(2.3, TRANSCRIPTION), audio(2.7, silent=0.25),
        Arrival(2.9, TRANSCRIPTION), Arrival(4, COMPLETE),
    )  # fmt: skip
    assert turn.answered
    assert not turn.cut_off
    assert turn.latency_s == pytest.approx(0.7)
    assert turn.transcript_s == pytest.approx(0.3), "the last transcription before the reply"
    assert turn.reply_s == pytest.approx(0.4)
    assert turn.leading_silence_s == pytest.approx(0.25)


def test_words_transcribed_before_the_last_one_cost_nothing() -> None:
    turn = measure(step((0, 2)), Arrival(1.2, TRANSCRIPTION), audio(2.7))
    assert (turn.transcript_s, turn.reply_s) == pytest.approx((0.0, 0.7))


def test_leading_silence_may_be_longer_than_a_chunk() -> None:
    chunks = [audio(3, 0.1, 0.1), audio(3.1, 0.1, 0.04), audio(3.2, 0.1, 0.1)]
    assert measure(step((0, 2)), *chunks).leading_silence_s == pytest.approx(0.14)


def test_a_reply_in_a_pause_is_a_cut_off() -> None:
    turn = measure(
        step((0, 1), (2, 3)), audio(1.8), Arrival(2.1, INTERRUPTED), Arrival(2.1, COMPLETE),
        audio(3.5),
    )  # fmt: skip
    assert turn.cut_off
    assert turn.answered
    assert turn.latency_s == pytest.approx(0.5), "of the reply to the whole sentence"


def test_without_a_reply_there_is_no_latency() -> None:
    turn = measure(step((0, 1)), Arrival(2, TRANSCRIPTION), Arrival(3, COMPLETE))
    assert not turn.answered
    assert turn.latency_s is None


def test_an_interruption_counts_from_its_onset() -> None:
    first = step((0, 1))
    second = step((3, 4), expect=Expectation.INTERRUPTION)
    _, turn = measure_turns(
        [first, second],
        [audio(1.5), audio(2.9), Arrival(3.25, INTERRUPTED), audio(3.3, 0.04),
         Arrival(3.35, COMPLETE), audio(4.6), Arrival(6, COMPLETE)],
    )  # fmt: skip
    assert turn.interrupted
    assert turn.barge_in_s == pytest.approx(0.25)
    assert turn.stale_audio_s == pytest.approx(0.04)
    assert turn.latency_s == pytest.approx(0.6)
    assert not turn.cut_off


def test_a_back_channel_leaves_the_reply_to_the_question_before() -> None:
    question = step((0, 1))
    small = step((2, 2.2), expect=Expectation.NOTHING)
    following = step((9, 10))
    arrivals = [audio(1.5), audio(2.6), Arrival(8, COMPLETE), audio(10.4)]
    first, second, third = measure_turns([question, small, following], arrivals)
    assert (first.reply_audio_s, first.latency_s) == pytest.approx((2.0, 0.5))
    assert not second.interrupted
    assert third.latency_s == pytest.approx(0.4)
    cut = [*arrivals[:1], Arrival(2.3, INTERRUPTED), *arrivals[1:]]
    assert measure_turns([question, small, following], cut)[1].barge_in_s == pytest.approx(0.3)


def test_a_call_is_timed_apart_from_the_reply() -> None:
    turn = measure(
        step((0, 1), expect=Expectation.CALL), Arrival(1.5, CALL), audio(2.5), audio(3.9)
    )
    assert turn.call_s == pytest.approx(0.5)
    assert turn.latency_s == pytest.approx(1.5)
    assert turn.playback.gaps_s == pytest.approx([0.4])
