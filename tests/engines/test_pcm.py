"""Silence is cut to what a listener needs, and every other sample stays."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.engines.pcm import Trimmer, Upsampler, louder, pause_after, silence

RATE = 16_000


def pieces(*runs: tuple[int, int]) -> list[int]:
    """Samples from (level, count)."""
    return [level for level, count in runs for _ in range(count)]


def trimmed(samples: list[int], cuts: list[int], pause_s: float) -> tuple[list[int], Trimmer]:
    trimmer = Trimmer(RATE, pause_s)
    places = [0, *sorted(min(cut, len(samples)) for cut in cuts), len(samples)]
    out: list[int] = []
    for start, end in itertools.pairwise(places):
        out += trimmer.feed(np.array(samples[start:end], np.int16)).tolist()
    last = trimmer.finish()
    return out + ([] if last is None else last.tolist()), trimmer


@given(cuts=st.lists(st.integers(0, 12_000), max_size=8))
def test_however_it_arrives_only_the_edges_are_trimmed(cuts: list[int]) -> None:
    samples = pieces((3, 3000), (900, 2000), (0, 1500), (-700, 500), (1, 5000))
    out, trimmer = trimmed(samples, cuts, pause_s=0.1)
    lead = round(RATE * 0.02)
    assert out == pieces((3, lead), (900, 2000), (0, 1500), (-700, 500), (1, 1600))
    assert trimmer.dropped == 3000 - lead


def test_a_pause_that_is_too_short_is_made_longer() -> None:
    out, _ = trimmed(pieces((900, 100), (0, 10)), [], pause_s=0.1)
    assert len(out) == 100 + 1600


def test_nothing_but_silence_is_no_sound() -> None:
    out, _ = trimmed([0] * 5000, [1000], pause_s=0.1)
    assert out == []


def test_a_sentence_asks_for_a_longer_pause_than_a_clause() -> None:
    assert pause_after('He said "stop." ') == pause_after("好。") > pause_after("Well,")


@pytest.mark.parametrize("rate", [16_000, 16_000 * 1.05, 22_050, 24_000])
def test_the_length_is_kept_and_samples_stay_whole(rate: float) -> None:
    upsampler = Upsampler(rate)
    sound = (np.sin(np.arange(round(rate)) / 20) * 9000).astype(np.int16)
    parts = [upsampler.feed(sound[i : i + 1600]) for i in range(0, len(sound), 1600)]
    parts.append(upsampler.feed(sound[:0], last=True))
    assert all(len(part) % 2 == 0 for part in parts)
    assert abs(sum(map(len, parts)) / 2 - 24_000) <= 2


def test_louder_never_wraps_around() -> None:
    sound = np.array([-30_000, -100, 0, 100, 30_000], np.int16)
    assert louder(sound, 2.0).tolist() == [-32_768, -200, 0, 200, 32_767]


def test_silence_is_24_khz() -> None:
    assert silence(0.5) == bytes(24_000)
