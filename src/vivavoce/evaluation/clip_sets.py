"""The clips of an evaluation: the labelled set as sound, and human recordings where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vivavoce.engines.ports import Synthesizer
from vivavoce.evaluation.clips import LabelledClip, drawn_pauses, make_clip
from vivavoce.evaluation.human_speech import human_clips
from vivavoce.evaluation.labelled_speech import SpokenText, spoken_turns


@dataclass(frozen=True, slots=True)
class ClipSets:
    """Clips by use.

    `written` have the pauses that the set writes; `drawn` the same turns with lengths as they are
    distributed in human turns, for the curve; `human` are recordings.
    """

    written: tuple[LabelledClip, ...]
    drawn: tuple[LabelledClip, ...]
    human: tuple[LabelledClip, ...]


async def make_clip_sets(
    synthesizer: Synthesizer,
    folders: Sequence[Path] = (),
    turns: Sequence[SpokenText] | None = None,
) -> ClipSets:
    """Make all clips; `turns` instead of the whole set. About 80 ms of CPU for a clip."""
    chosen = spoken_turns() if turns is None else turns
    lengths = drawn_pauses([turn for turn in chosen if turn.pauses_s])
    written = {turn.name: await make_clip(turn, synthesizer) for turn in chosen}
    drawn = [
        await make_clip(turn, synthesizer, lengths[turn.name])
        if turn.pauses_s
        else written[turn.name]
        for turn in chosen
    ]
    return ClipSets(tuple(written.values()), tuple(drawn), tuple(human_clips(folders)))


def spread_out(clips: Sequence[LabelledClip], most: int) -> list[LabelledClip]:
    """Return at most `most` of the clips, evenly spread over the list."""
    if len(clips) <= most:
        return list(clips)
    return [clips[round(at * (len(clips) - 1) / max(1, most - 1))] for at in range(most)]
