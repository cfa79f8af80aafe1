"""hibari's network: what is read of a text, and when each word begins."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.engines.hibari.network import AcousticModel, pronounceable
from vivavoce.errors import EngineError

pytestmark = pytest.mark.embedded


@pytest.fixture(scope="module")
def model() -> AcousticModel:
    return AcousticModel()


def test_a_file_that_is_no_model_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "voice.onnx"
    file.write_bytes(b"no model")
    with pytest.raises(EngineError, match=r"voice\.onnx can't be loaded"):
        AcousticModel(file)


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("Привет, world", "      , world"),
        ("naïve Café Ångström ½ x²", "naïve Café Ångström ½ x²"),
        ("①②٣ 日本", "123   "),
        ("12345678901234567", "1 2 3 4 5 6 7 8 9 0 1 2 3 4 5 6 7"),
    ],
)
def test_what_can_not_be_pronounced_is_left_out(text: str, kept: str) -> None:
    assert pronounceable(text) == kept


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        ("$1,234.56", "one thousand two hundred thirty four dollars and fifty six cents"),
        ("3:30", "three thirty"),
        ("May 27, 1937", "May twenty-seventh, nineteen thirty seven"),
        ("No. 5", "number five"),
    ],
)
def test_numbers_and_dates_are_read_as_words(
    model: AcousticModel, written: str, spelled: str
) -> None:
    assert model.phonemes(written) == model.phonemes(spelled)


@settings(max_examples=60, deadline=None)
@given(text=st.text(max_size=30))
def test_any_text_is_read_or_left_out(model: AcousticModel, text: str) -> None:
    for phonemes in model.phonemes(text):
        frames = model.frames(phonemes, 1.0)
        assert frames is None or np.isfinite(frames.pitch).all()


def test_a_text_of_many_phonemes_is_cut_between_words(model: AcousticModel) -> None:
    parts = model.phonemes("extraordinary possibilities " * 40)
    assert len(parts) > 1
    assert all(len(part) <= 400 for part in parts)
    assert sum(len(part.split()) for part in parts) == 80


def test_each_word_begins_where_its_sound_does(model: AcousticModel) -> None:
    (phonemes,) = model.phonemes("One, two, three, four.")
    frames = model.frames(phonemes, 1.0)
    assert frames is not None
    assert len(frames.group_starts) == 4
    # The pauses between the words are unvoiced; each start is followed by voice within 200 ms.
    voiced = np.flatnonzero(frames.pitch > 40) * 0.0125
    onsets = [voiced[voiced >= start - 0.05][0] for start in frames.group_starts]
    assert np.abs(np.array(onsets) - frames.group_starts).max() < 0.2
    assert len(set(onsets)) == 4


def test_a_faster_pace_makes_it_shorter(model: AcousticModel) -> None:
    (phonemes,) = model.phonemes("The train leaves at seven in the morning.")
    slow, fast = model.frames(phonemes, 0.9), model.frames(phonemes, 1.1)
    assert slow is not None
    assert fast is not None
    assert 1.04 < len(slow.pitch) / len(fast.pitch) < 1.3
