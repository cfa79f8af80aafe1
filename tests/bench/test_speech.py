from __future__ import annotations

import numpy as np

from vivavoce.bench.speech import line_text, tone_lines
from vivavoce.client.paced_microphone import MIN_PAUSE_S
from vivavoce.engines.scripted import hear


def test_pauses_last_as_long_as_the_line_says() -> None:
    line = ("turn on", 0.8, "the lights")
    [utterance] = tone_lines([line])
    (_, first_end), (second, end) = utterance.stretches
    sound = np.frombuffer(utterance.pcm, "<i2")
    assert second - first_end == 0.8 * 16_000
    assert not sound[first_end:second].any()
    assert (utterance.onset, utterance.end) == (0, end)
    assert end == len(sound), "the last sample is the last one of speech"


def test_tones_carry_the_words_of_a_line() -> None:
    line = ("turn on", MIN_PAUSE_S, "the lights")
    [utterance] = tone_lines([line])
    assert hear(utterance.pcm) == "turn on the lights"
    assert utterance.text == line_text(line) == "turn on … the lights"
