"""What the client has played, by the clock."""

from __future__ import annotations

from vivavoce.core.model_output import Playout


def test_nothing_sent_is_over_and_unheard() -> None:
    playout = Playout()
    assert playout.over(0.0)
    assert playout.heard_s(9.0) == 0.0
    assert playout.ends_at is None


def test_sound_sent_in_a_burst_plays_from_the_first_piece() -> None:
    playout = Playout()
    assert playout.add_audio(1.0, now=10.0) == (0.0, 1.0)
    assert playout.add_audio(2.0, now=10.1) == (1.0, 3.0)
    assert playout.ends_at == 13.0
    assert [playout.heard_s(at) for at in (10.0, 10.5, 12.0, 13.0, 20.0)] == [0, 0.5, 2, 3, 3]
    assert not playout.over(12.9)
    assert playout.over(13.0)


def test_a_gap_in_production_is_a_gap_in_playing() -> None:
    playout = Playout()
    playout.add_audio(1.0, now=0.0)
    playout.add_audio(1.0, now=5.0)
    assert playout.ends_at == 6.0
    assert playout.heard_s(5.5) == 1.5
