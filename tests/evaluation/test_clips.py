from __future__ import annotations

import wave
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE
from vivavoce.engines.ports import Speech, SynthesizerCapabilities
from vivavoce.evaluation.clips import LEAD_S, TAIL_S, make_clip, to_pcm
from vivavoce.evaluation.human_speech import human_clips
from vivavoce.evaluation.labelled_speech import Overlap, overlaps, spoken_text
from vivavoce.evaluation.overlap_sounds import make_overlap


class HummingSynthesizer:
    """Hums 0.3 s for each word, with 0.05 s of silence behind it."""

    capabilities = SynthesizerCapabilities(voices=("Puck",))
    said = ""

    async def speak(self, text: str, voice: str, language: str = "") -> AsyncIterator[Speech]:
        self.said = text
        hum = 0.3 * np.sin(2 * np.pi * 220 * np.arange(int(0.3 * OUTPUT_RATE)) / OUTPUT_RATE)
        pcm = to_pcm(np.concatenate([hum, np.zeros(int(0.05 * OUTPUT_RATE))]))
        for number, word in enumerate(text.split()):
            yield Speech(pcm, f" {word}" if number else word)

    async def aclose(self) -> None: ...


async def test_the_voice_pauses_for_as_long_as_the_mark_says() -> None:
    synthesizer = HummingSynthesizer()
    spoken = spoken_text("I need eggs and [0.8] some bread.", "n", "conjunction", 0)
    clip = await make_clip(spoken, synthesizer)
    assert synthesizer.said == "I need eggs and, some bread.", "one sentence that goes on"
    [(begin, end)] = clip.pauses
    assert end - begin == pytest.approx(0.8, abs=0.011)
    assert clip.speech[0] == pytest.approx((LEAD_S, LEAD_S + 4 * 0.35 - 0.05), abs=0.02)
    assert clip.end_s == pytest.approx(clip.seconds - TAIL_S, abs=0.07)
    sound = np.frombuffer(clip.pcm, "<i2")
    inside = sound[round(begin * INPUT_RATE) + 800 : round(end * INPUT_RATE) - 800]
    loud = sound[round(clip.speech[0][0] * INPUT_RATE) : round(begin * INPUT_RATE)]
    assert 0 < np.abs(inside).max() < 0.1 * np.abs(loud).max(), "the room, and no voice"


async def test_other_lengths_replace_those_of_the_marks_and_the_samples_are_the_same() -> None:
    spoken = spoken_text("Eggs, [0.8] milk, [0.6] bread.", "n", "list", 0)
    clip = await make_clip(spoken, HummingSynthesizer(), (0.25, 1.5))
    assert [end - begin for begin, end in clip.pauses] == pytest.approx([0.25, 1.5], abs=0.011)
    assert clip == await make_clip(spoken, HummingSynthesizer(), (0.25, 1.5))


@pytest.mark.parametrize("overlap", overlaps(), ids=lambda overlap: overlap.spoken.name)
async def test_every_overlap_is_a_short_sound(overlap: Overlap) -> None:
    clip = await make_overlap(overlap, HummingSynthesizer())
    [(begin, end)] = clip.speech
    assert 0.1 < end - begin < 5
    assert np.abs(np.frombuffer(clip.pcm, "<i2")).max() > 300


def test_human_recordings_are_cut_behind_the_last_word(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    sound = to_pcm(0.1 * generator.standard_normal(2 * INPUT_RATE))
    with wave.open(str(tmp_path / "cards-001.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(INPUT_RATE)
        file.writeframes(sound)
    [clip] = human_clips([tmp_path / "absent", tmp_path, tmp_path])
    assert clip.name == "cards-001"
    assert clip.speech == ((LEAD_S + 0.17, LEAD_S + 1.09),)
    assert clip.seconds == pytest.approx(LEAD_S + 1.09 + 0.05 + TAIL_S, abs=0.001)
