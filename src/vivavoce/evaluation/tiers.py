"""The tiers of an evaluation, and the report that they fill."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar

from vivavoce.client.messages import SessionOptions
from vivavoce.client.session import ServerEndpoint
from vivavoce.engines.ports import Synthesizer, VoiceDetector
from vivavoce.evaluation.clip_sets import ClipSets, make_clip_sets, spread_out
from vivavoce.evaluation.clips import LabelledClip, make_clip
from vivavoce.evaluation.labelled_speech import Overlap, SpokenText, dialogues, overlaps
from vivavoce.evaluation.live_turns import (
    SpokenOutcome,
    hold_dialogue,
    overlap_answer,
    speak_turn,
    talk_to,
)
from vivavoce.evaluation.measures import OverlapOutcome
from vivavoce.evaluation.overlap_sounds import make_overlap
from vivavoce.evaluation.results import (
    EvaluationReport,
    curve_rows,
    default_row,
    dialogue_rows,
    overlap_rows,
    pause_rows,
    spoken_pause_rows,
    spoken_turn_rows,
    turn_end_rows,
)
from vivavoce.evaluation.turn_ends import ScoredClip, outcomes, score_clip, silence_curve

TIERS = ("turn-end", "pauses", "curve", "backchannels", "interruptions", "dialogues")
DETECTION_TIERS = ("turn-end", "pauses", "curve")
"""Tiers that need the detector in this process."""
LIVE_TIERS = ("turn-end", "pauses", "backchannels", "interruptions", "dialogues")
"""Tiers that need a server."""

ANSWER_WAIT_S = 10.0

PROMPT = (
    "There are seven days in a week, and each of them has a name. The first one is Monday, when "
    "most people go back to work. Then comes Tuesday, and after that Wednesday, the middle of the "
    "week. On Thursday many shops are open longer, and on Friday the weekend is near."
)
"""Text to which the model gives an answer of at least ten seconds: it repeats it, or speaks of
it."""

T = TypeVar("T")
U = TypeVar("U")


@dataclass(slots=True)
class Evaluation:
    """One run. `say` gets a sentence before each part that takes a while."""

    clip_count: int
    together: int
    say: Callable[[str], object]
    report: EvaluationReport = field(default_factory=EvaluationReport)
    _sets: ClipSets = field(default_factory=lambda: ClipSets((), (), ()))
    _overlaps: list[tuple[Overlap, LabelledClip]] = field(default_factory=list)
    _dialogues: list[list[LabelledClip]] = field(default_factory=list)
    _overlapped: list[OverlapOutcome] = field(default_factory=list)

    async def make_clips(
        self,
        synthesizer: Synthesizer,
        recordings: Iterable[Path] = (),
        turns: Sequence[SpokenText] | None = None,
    ) -> None:
        """Make the sound of the set; `turns` instead of all that it has."""
        self._sets = await make_clip_sets(synthesizer, list(recordings), turns)
        self._overlaps = [(each, await make_overlap(each, synthesizer)) for each in overlaps()]
        self._dialogues = [
            [await make_clip(turn, synthesizer) for turn in dialogue.turns]
            for dialogue in dialogues()
        ]
        if not self._sets.human:
            self.report.skipped.append("human speech: none of the labelled recordings is here")

    # --- in this process -----------------------------------------------------------------

    def detect_turns(self, tiers: Sequence[str], detector: VoiceDetector) -> None:
        """Run the tiers of turn detection. Blocks."""
        self.say("Finding the ends of turns …")
        written = [score_clip(clip, detector) for clip in self._sets.written]
        human = [score_clip(clip, detector) for clip in self._sets.human]
        found, found_human = outcomes(written), outcomes(human)
        self.report.details["turn detection"] = [*found, *found_human]
        if "turn-end" in tiers:
            self.report.rows += turn_end_rows(found, "synthetic")
            if human:
                self.report.rows += turn_end_rows(found_human, "human")
        if "pauses" in tiers:
            self.report.rows += pause_rows(found, "synthetic")
            self.report.rows += pause_rows(found_human, "human, read aloud")
        if "curve" in tiers:
            drawn = [score_clip(clip, detector) for clip in self._sets.drawn]
            self._draw_curve(drawn, "synthetic")
            if human:
                self._draw_curve(human, "human, read aloud")

    def _draw_curve(self, clips: Sequence[ScoredClip], label: str) -> None:
        silence = silence_curve(clips)
        count = sum(len(each.clip.pauses) for each in clips)
        self.report.rows.append(default_row(outcomes(clips), label))
        self.report.rows += curve_rows(silence, [], label, count)
        self.report.details[f"curve, silence only, {label}"] = list(silence)

    # --- spoken to a server --------------------------------------------------------------

    async def speak_turns(
        self, tiers: Sequence[str], endpoint: ServerEndpoint, model: str, instruction: str
    ) -> None:
        """Run the tiers in which the server's own answers count."""
        setup = SessionOptions(model=model, instruction=instruction)
        whole = [clip for clip in self._sets.written if not clip.pauses]
        paused = [clip for clip in self._sets.written if clip.pauses]

        async def speak(clip: LabelledClip) -> SpokenOutcome:
            async with talk_to(endpoint, setup) as talk:
                return await speak_turn(talk, clip, ANSWER_WAIT_S)

        if "turn-end" in tiers:
            found = await self._each("turns", spread_out(whole, self.clip_count), speak)
            self.report.rows += spoken_turn_rows(found)
            self.report.details["turns spoken to the server"] = list(found)
        if "pauses" in tiers:
            found = await self._each(
                "turns with pauses", spread_out(paused, self.clip_count), speak
            )
            self.report.rows += spoken_pause_rows(found)
            self.report.details["turns with pauses spoken to the server"] = list(found)

    async def overlap_answers(
        self, tiers: Sequence[str], endpoint: ServerEndpoint, model: str
    ) -> None:
        """Run the tiers of sounds over the model's speech."""
        wanted = [
            (overlap, clip)
            for overlap, clip in self._overlaps
            if ("interruptions" if overlap.kind.takes_floor else "backchannels") in tiers
        ]
        setup = SessionOptions(model=model)

        async def disturb(pair: tuple[Overlap, LabelledClip]) -> OverlapOutcome:
            async with talk_to(endpoint, setup) as talk:
                return await overlap_answer(talk, *pair, PROMPT, ANSWER_WAIT_S)

        if wanted:
            found = await self._each("sounds over an answer", wanted, disturb)
            self.report.rows += overlap_rows(found)
            self.report.details["overlaps"] = list(found)
            self._overlapped = found

    async def hold_dialogues(self, endpoint: ServerEndpoint, model: str, instruction: str) -> None:
        """Hold the dialogues; interruptions of this run count in their score."""
        setup = SessionOptions(model=model, instruction=instruction)

        async def converse(clips: list[LabelledClip]) -> list[SpokenOutcome]:
            async with talk_to(endpoint, setup) as talk:
                return await hold_dialogue(talk, clips, ANSWER_WAIT_S)

        held = await self._each("dialogues", self._dialogues, converse)
        found = [outcome for each in held for outcome in each]
        self.report.rows += dialogue_rows(found, self._overlapped)
        self.report.details["dialogues"] = list(found)

    async def _each(
        self, what: str, items: Sequence[T], run: Callable[[T], Awaitable[U]]
    ) -> list[U]:
        """Run all items, `together` at a time; raises the first error."""
        self.say(f"Speaking {len(items)} {what} to the server …")
        free = asyncio.Semaphore(self.together)

        async def limited(item: T) -> U:
            async with free:
                return await run(item)

        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(limited(item)) for item in items]
        return [task.result() for task in tasks]
