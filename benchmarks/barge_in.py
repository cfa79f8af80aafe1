"""Barge-in on labelled sounds: how fast interruptions are found, and how much else is ignored.

    python benchmarks/barge_in.py [--choosing] [--handling immediate] [--each] [--json FILE]

Every clip of `barge_in_sounds.py` is a conversation of its own: a question, an answer that plays,
and the clip in its midst. The core, the detector and the recognizer are the real ones; the clock
is that of the sound, in which a transcript comes as much later as it took CPU. So the delays are
those of a machine that is not overloaded, and the load of this one changes little.

Printed for each kind: the share that was ignored; for interruptions the time from the first
audible sample to `interrupted`, and in how many the first word of the label is in the transcript.
The halves of the clips are kept apart: `--choosing` is the one that parameters were chosen on.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import count
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))  # the root, for a script

from benchmarks.barge_in_sounds import (
    ANSWERING,
    ANSWERS,
    QUESTION,
    USER_DB,
    Clip,
    Sound,
    at_input_rate,
    echo_of,
    labelled_clips,
    leveled,
)

from vivavoce.core.back_channels import plain_words
from vivavoce.core.effects import (
    DropTranscript,
    Effect,
    FinishTranscript,
    IgnoreSpeech,
    RefreshTranscript,
    Send,
    StartGeneration,
    StartTranscript,
)
from vivavoce.core.events import AudioProduced, GenerationFinished, TranscriptUpdated, VoiceScored
from vivavoce.core.messages import Interrupted
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import BargeInHandling, SessionSettings
from vivavoce.domain.audio import INPUT_RATE, Position, samples
from vivavoce.domain.ids import CountingIds, GenerationId, SessionId, TurnId
from vivavoce.domain.model_family import family_behavior
from vivavoce.domain.setup import SessionSetup, Transcription
from vivavoce.engines.hibari import AcousticModel, HibariSynthesizer
from vivavoce.engines.moonshine import MoonshineNetwork, MoonshineRecognizer
from vivavoce.engines.ports import RecognitionOptions, Speech, Transcript, Utterance
from vivavoce.engines.registry import locate_weights
from vivavoce.engines.silero import MODEL, SileroDetector
from vivavoce.runtime.voice_activity import level_db

CHUNK_S = 0.02
FIRST_SOUND_S = 0.4
ECHO_DELAY_S = 0.15
QUESTION_AT_S = 0.5
ROOM_DB = -65.0
AFTER_S = 2.5
SETUP = SessionSetup("models/gemini-2.5-flash", input_transcription=Transcription())


@dataclass(slots=True)
class Result:
    """What came of a clip; times in seconds of sound."""

    clip: Clip
    interrupted_s: float | None = None
    ignored: list[str] = field(default_factory=list)
    words: str = ""
    began_early: bool = False


class Engines:
    """The engines that all conversations share."""

    def __init__(self) -> None:
        self.detector = SileroDetector(locate_weights("silero") / MODEL)
        self.network = MoonshineNetwork(locate_weights("moonshine"))
        self.synthesizer = HibariSynthesizer(AcousticModel())

    def speak(self, text: str, voice: str) -> Sound:
        pieces = self.synthesizer.synthesize(text, voice)
        return at_input_rate(b"".join(piece.pcm for piece in pieces))

    def answer(self, text: str) -> list[Speech]:
        sentences = text.replace(". ", ".|").split("|")
        return [p for s in sentences for p in self.synthesizer.synthesize(f"{s} ", ANSWERING)]


class Conversation:
    """One clip in a session, on the clock of the sound."""

    def __init__(
        self, clip: Clip, engines: Engines, answer: list[Speech], handling: BargeInHandling
    ) -> None:
        self.result = Result(clip)
        self.clip = clip
        self.answer = answer
        self._engines = engines
        self._now = 0.0
        self._order = count()
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._session = LiveSession(
            SessionId("s"),
            SETUP,
            family_behavior(SETUP.model),
            replace(SessionSettings(), barge_in=handling),
            CountingIds(),
        )
        self._recognizer = MoonshineRecognizer(engines.network, 1, clock=lambda: self._now)
        self._open: dict[TurnId, _Transcript] = {}
        random = np.random.default_rng(3)
        question = leveled(engines.speak(QUESTION, "Puck"), USER_DB)
        self.microphone = random.standard_normal(samples(40.0)) * 10 ** (ROOM_DB / 20)
        self._mix(question, QUESTION_AT_S)
        self._until = 30.0
        self._scored = 0
        self._state = engines.detector.fresh()
        self.onset_s: float | None = None
        self._echo: tuple[Sound, int] | None = None

    def run(self) -> Result:
        self._perform(self._session.open_session(0.0))
        self._later(CHUNK_S, self._hear)
        while self._now < self._until:
            deadline = self._session.deadline()
            if deadline is not None and deadline <= self._coming[0][0]:
                self._now = max(self._now, deadline)
                self._perform(self._session.handle_deadline(self._now))
            else:
                self._now, _, act = heapq.heappop(self._coming)
                act()
        return self.result

    def _later(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (at, next(self._order), act))

    def _mix(self, sound: Sound, at_s: float) -> None:
        begin = samples(at_s)
        part = self.microphone[begin : begin + len(sound)]
        part += sound[: len(part)]

    def _hear(self) -> None:
        """A chunk has arrived: score its whole frames."""
        arrived = samples(self._now)
        size = self._engines.detector.frame_samples
        while self._scored + size <= arrived:
            frame = self.pcm(self._scored, self._scored + size)
            ((score, self._state),) = self._engines.detector.score([frame], [self._state])
            self._scored += size
            event = VoiceScored(self._scored, (score,), size, levels=(level_db(frame),))
            self._perform(self._session.handle_event(event, self._now))
        self._later(self._now + CHUNK_S, self._hear)

    def pcm(self, begin: Position, end: Position) -> bytes:
        sound = np.clip(self.microphone[begin:end], -1, 1) * 32767
        return bytes(sound.astype("<i2").tobytes())

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            match effect:
                case StartTranscript(turn, start):
                    self._open[turn] = _Transcript(self._recognizer, start)
                case RefreshTranscript(turn, position, paused):
                    self._transcribe(turn, position, "pause" if paused else "hypothesis")
                case FinishTranscript(turn, end):
                    self._transcribe(turn, end, "finish")
                case DropTranscript(turn):
                    self._open.pop(turn, None)
                case StartGeneration(request):
                    self._later(self._now + FIRST_SOUND_S, partial(self._say, request.generation))
                case Send(Interrupted()) if self.result.interrupted_s is None:
                    self._interrupted()
                case IgnoreSpeech(_, reason):
                    self.result.ignored.append(reason.value)
                case _:
                    pass

    def _interrupted(self) -> None:
        begins = self.onset_s or 0.0
        self.result.interrupted_s = self._now - begins
        self.result.began_early = self._now < begins
        if self._echo is not None:  # the client stops playing
            echo, at = self._echo
            silent = samples(self._now + ECHO_DELAY_S)
            self.microphone[silent : at + len(echo)] -= echo[max(0, silent - at) :]

    def _say(self, generation: GenerationId) -> None:
        if self.onset_s is None:
            self.onset_s = self._now + self.clip.at_s
            self._mix(self.clip.sound, self.onset_s)
            if self.clip.echo_db is not None:
                played = at_input_rate(b"".join(piece.pcm for piece in self.answer))
                echo = echo_of(played, self.clip.echo_db)
                self._mix(echo, self._now + ECHO_DELAY_S)
                self._echo = echo, samples(self._now + ECHO_DELAY_S)
            self._until = self.onset_s + len(self.clip.sound) / INPUT_RATE + AFTER_S
            for piece in self.answer:
                event = AudioProduced(generation, piece.pcm, piece.text)
                self._perform(self._session.handle_event(event, self._now))
        self._perform(self._session.handle_event(GenerationFinished(generation), self._now))

    def _transcribe(self, turn: TurnId, position: Position, how: str) -> None:
        if (open_turn := self._open.get(turn)) is None:
            return
        if how == "hypothesis" and open_turn.busy_until > self._now:
            return
        cpu = time.process_time()
        transcript = asyncio.run(open_turn.transcribe(self.pcm, position, how))
        took_s = time.process_time() - cpu
        open_turn.busy_until = max(self._now, open_turn.busy_until) + took_s
        if not transcript.fresh:
            return
        final = how == "finish"
        if final and self.onset_s is not None and self._now > self.onset_s:
            self.result.words += f"{transcript.text} "
        update = TranscriptUpdated(
            turn, position, transcript.text, final, transcript.stable, transcript.confidence
        )
        self._later(
            open_turn.busy_until,
            lambda: self._perform(self._session.handle_event(update, self._now)),
        )


class _Transcript:
    """One turn in the recognizer."""

    def __init__(self, recognizer: MoonshineRecognizer, start: Position) -> None:
        self.busy_until = 0.0
        self._position = start
        self._context = recognizer.open(RecognitionOptions()).utterance()
        self._utterance: Utterance | None = None

    async def transcribe(
        self, pcm: Callable[[Position, Position], bytes], position: Position, how: str
    ) -> Transcript:
        if self._utterance is None:
            self._utterance = await self._context.__aenter__()
        await self._utterance.feed(pcm(self._position, position))
        self._position = max(self._position, position)
        transcript: Transcript = await getattr(self._utterance, how)()
        return transcript


def report(results: list[Result]) -> dict[str, dict[str, float]]:
    """Return the figures of each kind."""
    table: dict[str, dict[str, float]] = {}
    for kind in dict.fromkeys(result.clip.kind for result in results):
        mine = [result for result in results if result.clip.kind == kind]
        row: dict[str, float] = {"clips": len(mine)}
        if kind.startswith("interruption"):
            delays = [r.interrupted_s for r in mine if r.interrupted_s is not None]
            early = sum(r.began_early for r in mine)
            found = [1000 * d for d in delays if d >= 0]
            row["missed"] = len(mine) - len(delays)
            row["cut before"] = early
            for name, share in (("p50 ms", 50), ("p90 ms", 90), ("p99 ms", 99)):
                row[name] = round(float(np.percentile(found, share))) if found else -1
            row["first word kept"] = sum(_first_word_kept(r) for r in mine)
        else:
            row["ignored"] = sum(r.interrupted_s is None for r in mine)
        table[kind] = row
    return table


def _first_word_kept(result: Result) -> bool:
    first = plain_words(result.clip.name)[0]
    return first in plain_words(result.words)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--choosing", action="store_true")
    parser.add_argument("--handling", default="deliberate", choices=["deliberate", "immediate"])
    parser.add_argument("--each", action="store_true", help="print every clip")
    parser.add_argument("--kinds", nargs="*", help="only kinds that begin so")
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    engines = Engines()
    answers = [engines.answer(text) for text in ANSWERS]
    results: list[Result] = []
    for clip in labelled_clips(engines.speak):
        if clip.choosing is not arguments.choosing:
            continue
        if arguments.kinds and not clip.kind.startswith(tuple(arguments.kinds)):
            continue
        handling = BargeInHandling(arguments.handling)
        result = Conversation(clip, engines, answers[clip.answer], handling).run()
        results.append(result)
        if arguments.each:
            late = "-" if result.interrupted_s is None else f"{1000 * result.interrupted_s:.0f} ms"
            print(f"{clip.kind}: {clip.name}: {late} {result.ignored} {result.words}", flush=True)
    table = report(results)
    for kind, row in table.items():
        print(f"{kind:24}", "  ".join(f"{name} {value:g}" for name, value in row.items()))
    others = [r for r in results if not r.clip.kind.startswith("interruption")]
    if others:
        share = sum(r.interrupted_s is None for r in others) / len(others)
        print(f"ignored of all but interruptions: {share:.0%}")
    if arguments.json:
        arguments.json.write_text(json.dumps(table, indent=1) + "\n")


if __name__ == "__main__":
    main()
