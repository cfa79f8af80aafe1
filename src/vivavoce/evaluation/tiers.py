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
from vivavoce.evaluation.measures import (
    DetectedTurn,
    OperatingPoint,
    OverlapOutcome,
    frontier,
    sweep_policies,
    sweep_windows,
)
from vivavoce.evaluation.overlap_sounds import make_overlap
from vivavoce.evaluation.pause_scoring import PauseScorer
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
from vivavoce.evaluation.turn_ends import (
    SILENCE_ONLY,
    ScoredClip,
    detection_lag_s,
    labelled_silences,
    outcomes,
    score_clip,
)

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

    async def detect_turns(
        self, tiers: Sequence[str], detector: VoiceDetector, scorer: PauseScorer | None = None
    ) -> None:
        """Run the tiers of turn detection: by silence alone, and with a turn model's scores."""
        self.say("Finding the ends of turns …")
        await self._detect(tiers, detector, scorer, "synthetic", self._sets.written)
        await self._detect(tiers, detector, scorer, "human, read aloud", self._sets.human)
        if "curve" in tiers:
            self.say("Trying policies …")
            await self._draw_curve(detector, scorer, "synthetic", self._sets.drawn)
            await self._draw_curve(detector, scorer, "human, read aloud", self._sets.human)

    async def _detect(
        self,
        tiers: Sequence[str],
        detector: VoiceDetector,
        scorer: PauseScorer | None,
        label: str,
        clips: Sequence[LabelledClip],
    ) -> None:
        for policy, found in await _detected(await _scored(clips, detector), scorer):
            if "turn-end" in tiers and found:
                self.report.rows += turn_end_rows(found, f"{label}: {policy}")
            if "pauses" in tiers:
                self.report.rows += pause_rows(found, f"{label}: {policy}")
            self.report.details[f"turn detection, {label}: {policy}"] = list(found)

    async def _draw_curve(
        self,
        detector: VoiceDetector,
        scorer: PauseScorer | None,
        label: str,
        clips: Sequence[LabelledClip],
    ) -> None:
        scored = await _scored(clips, detector)
        lag_s, count = detection_lag_s(scored), sum(len(clip.pauses) for clip in clips)
        if not count:
            return
        for policy, found in await _detected(scored, scorer):
            self.report.rows.append(default_row(found, f"{label}: {policy}"))
        for heard in (False, True):
            beyond_s = lag_s if heard else 0.0
            alone = [
                each.as_silence_alone()
                for clip in scored
                for each in labelled_silences(clip, SILENCE_ONLY, heard)
            ]
            silence = sweep_windows(alone, beyond_s)
            model: list[OperatingPoint] = []
            if scorer is not None:
                silences = [
                    each for clip in scored for each in await scorer.score_silences(clip, heard)
                ]
                model = sweep_policies(silences, beyond_s)
            counted = f"{label}, {'as heard' if heard else 'as eot-bench counts'}"
            self.report.rows += curve_rows(silence, model, counted, count, heard)
            self.report.details[f"curve, {counted}: silence only"] = list(silence)
            self.report.details[f"curve, {counted}: turn model"] = list(frontier(model))

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

        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(limited(item)) for item in items]
        except ExceptionGroup as failures:
            raise failures.exceptions[0] from None
        return [task.result() for task in tasks]


async def _scored(clips: Sequence[LabelledClip], detector: VoiceDetector) -> list[ScoredClip]:
    return [await asyncio.to_thread(score_clip, clip, detector) for clip in clips]


async def _detected(
    clips: Sequence[ScoredClip], scorer: PauseScorer | None
) -> list[tuple[str, list[DetectedTurn]]]:
    """Return what silence alone makes of clips, and what the turn model does."""
    found = [("silence only", outcomes(clips))]
    if scorer is not None:
        found.append(("turn model", [await scorer.detect_turn(clip) for clip in clips]))
    return found
