from __future__ import annotations

import pytest

from vivavoce.evaluation.clips import SURVIVAL, drawn_pauses
from vivavoce.evaluation.human_speech import labelled_recordings
from vivavoce.evaluation.labelled_speech import (
    OverlapKind,
    dialogues,
    overlaps,
    spoken_text,
    spoken_turns,
)


def test_marks_divide_a_text_into_phrases_and_pauses() -> None:
    spoken = spoken_text("My number is [0.7] four, [0.65] two.", "n", "number", 0)
    assert spoken.phrases == ("My number is", "four,", "two.")
    assert spoken.pauses_s == (0.7, 0.65)
    assert spoken.text == "My number is four, two."


@pytest.mark.parametrize("marked", ["[0.5] Hello.", "Hello. [0.5]", "a [0.5] [0.6] b", ""])
def test_a_mark_needs_words_on_both_sides(marked: str) -> None:
    with pytest.raises(ValueError, match="words on both sides"):
        spoken_text(marked, "n", "number", 0)


def test_the_set_is_whole() -> None:
    turns = spoken_turns()
    assert len({turn.name for turn in turns}) == len(turns)
    assert sum(not turn.pauses_s for turn in turns) >= 40
    assert sum(len(turn.pauses_s) for turn in turns) >= 60
    assert all(0.5 <= pause <= 2 for turn in turns for pause in turn.pauses_s)
    assert {overlap.kind for overlap in overlaps()} == set(OverlapKind)
    assert all(len(dialogue.turns) >= 3 for dialogue in dialogues())


def test_lengths_are_drawn_as_the_published_pauses_are_distributed() -> None:
    turns = [turn for turn in spoken_turns() if turn.pauses_s]
    drawn = drawn_pauses(turns)
    assert {name: len(each) for name, each in drawn.items()} == {
        turn.name: len(turn.pauses_s) for turn in turns
    }
    lengths = [length for each in drawn.values() for length in each]
    for longer_than_s, share in SURVIVAL[:-1]:
        found = sum(length > longer_than_s for length in lengths) / len(lengths)
        assert found == pytest.approx(share, abs=1 / len(lengths))


def test_human_pauses_lie_inside_their_recording_in_order() -> None:
    for labels in labelled_recordings():
        times = [time for stretch in labels.stretches for time in stretch]
        assert times == sorted(times), labels.name
        assert all(end - begin >= 0.2 for begin, end in labels.pauses)
        assert set(labels.places) <= {"inside", "clause", "sentence"}
