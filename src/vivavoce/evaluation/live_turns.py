"""Speak to a Live server in real time, and note when it answers, stops and goes on.

Times are of the event loop's clock. What the user hears is reckoned from what arrives: an answer's
audio plays from its arrival on, or behind what is still playing, and `interrupted` drops the rest.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np

from vivavoce.client.conversation import SPEECH_AMPLITUDE
from vivavoce.client.messages import (
    AudioMessage,
    InterruptedMessage,
    OutputTranscriptionMessage,
    ServerMessage,
    SessionOptions,
    TurnCompleteMessage,
)
from vivavoce.client.paced_microphone import PacedMicrophone, RecordedUtterance, SpokenUtterance
from vivavoce.client.session import ClientSession, ServerEndpoint, connect
from vivavoce.domain.audio import pcm_seconds, samples
from vivavoce.evaluation.clips import LabelledClip
from vivavoce.evaluation.labelled_speech import Overlap
from vivavoce.evaluation.measures import OverlapOutcome, TimedTurn

TAKES_OVER_S = 1.0
"""Speech of this length takes the floor; a shorter one may be a back-channel."""

AFTER_OVERLAP_S = 2.0
"""How long after a sound over its speech the model may still stop because of it."""

FIRST_SOUND_S = 0.5
"""Silence before anything is said, in which a detector settles."""


@dataclass(slots=True)
class HeardAnswer:
    """One turn of the model: when it is heard, and how it ended."""

    began_at: float
    """When its first audible sample plays."""
    plays_until: float
    interrupted_at: float | None = None
    complete_at: float | None = None
    words: str = ""
    late_bytes: int = 0
    """Audio that came after `interrupted`, or after its `turnComplete` while the user still spoke:
    messages of the wire do not say to which answer audio belongs."""

    def heard_s(self, until: float) -> float:
        """Return how long it has been heard at a time."""
        return max(0.0, min(until, self.plays_until) - self.began_at)


@dataclass(slots=True)
class LiveTalk:
    """One session: a microphone that is always on, and the answers in order."""

    session: ClientSession
    microphone: PacedMicrophone
    answers: list[HeardAnswer] = field(default_factory=list)
    _open: HeardAnswer | None = None
    _cut: HeardAnswer | None = None
    _silence_until: float = 0.0
    _spoken_until: float = 0.0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def now(self) -> float:
        """The event loop's time."""
        return asyncio.get_running_loop().time()

    @property
    def speaking(self) -> HeardAnswer | None:
        """The answer that is playing, or `None`."""
        last = self.answers[-1] if self.answers else None
        return last if last is not None and last.plays_until > self.now else None

    def speak(self, clip: LabelledClip, delay_s: float = 0.0) -> SpokenUtterance:
        """Speak a clip `delay_s` from now."""
        spoken = self.microphone.speak_utterance(as_utterance(clip), delay_s)
        self._spoken_until = spoken.end_at
        return spoken

    async def wait_until(self, met: Callable[[], bool], deadline: float) -> bool:
        """Wait until `met` after a message or a moment; `False` if it is not by `deadline`."""
        while not met():
            left = deadline - self.now
            if left <= 0:
                return False
            self._changed.clear()
            try:
                async with asyncio.timeout(min(left, 0.05)):
                    await self._changed.wait()
            except TimeoutError:
                pass
        return True

    async def receive_messages(self) -> None:
        """Note every message. Raises `SessionClosed` when the server ends the session."""
        async for message in self.session:
            self._note(message, self.now)
            self._changed.set()

    async def send_microphone(self) -> None:
        """Send chunks until the microphone is switched off."""
        async for chunk in self.microphone.chunks():
            await self.session.send_audio(chunk)

    def _note(self, message: ServerMessage, now: float) -> None:
        match message:
            case AudioMessage(pcm, rate):
                self._note_audio(pcm, rate, now)
            case OutputTranscriptionMessage(text):
                if self._open is not None:
                    self._open.words += text
            case InterruptedMessage():
                if self._open is not None:
                    self._open.interrupted_at = now
                    self._open.plays_until = min(self._open.plays_until, now)
                    self._cut = self._open
            case TurnCompleteMessage():
                if self._open is not None:
                    self._open.complete_at = now
                self._open, self._silence_until = None, 0.0
            case _:
                pass

    def _note_audio(self, pcm: bytes, rate: int, now: float) -> None:
        if self._open is None:
            if self._cut is not None and now < self._spoken_until:
                self._cut.late_bytes += len(pcm)
                return
            plays_at = max(now, self._silence_until)
            lead_s = _silent_lead_s(pcm, rate)
            if lead_s is None:
                self._silence_until = plays_at + pcm_seconds(pcm, rate)
                return
            self._open, self._cut = HeardAnswer(plays_at + lead_s, plays_at), None
            self.answers.append(self._open)
        if self._open.interrupted_at is not None:
            self._open.late_bytes += len(pcm)
            return
        self._open.plays_until = max(now, self._open.plays_until) + pcm_seconds(pcm, rate)


def as_utterance(clip: LabelledClip) -> RecordedUtterance:
    """Return a clip as the paced microphone speaks it."""
    stretches = tuple((samples(begin), samples(end)) for begin, end in clip.speech)
    return RecordedUtterance(clip.pcm, stretches, clip.name)


def _silent_lead_s(pcm: bytes, rate: int) -> float | None:
    """Return the silence before the first audible sample; `None` if none is audible."""
    sound = np.frombuffer(pcm[: len(pcm) & ~1], "<i2").astype(np.int32)
    loud = np.flatnonzero(np.abs(sound) >= SPEECH_AMPLITUDE * 2**15)
    return float(loud[0]) / rate if loud.size else None


@asynccontextmanager
async def talk_to(endpoint: ServerEndpoint, options: SessionOptions) -> AsyncIterator[LiveTalk]:
    """Open a session with the microphone on. Raises `ServerUnreachable`, `SessionClosed`."""
    async with connect(endpoint, options) as session:
        talk = LiveTalk(session, PacedMicrophone())
        tasks = [
            asyncio.create_task(talk.receive_messages()),
            asyncio.create_task(talk.send_microphone()),
        ]
        try:
            yield talk
            for task in tasks:
                if task.done():
                    task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


# --- turns -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SpokenOutcome:
    """Outcome of a spoken turn: whether the model took over in it, and answered after it.

    `latency_s` is from the last word to the first sound of the answer, `None` without one.
    """

    name: str
    kind: str
    took_over: bool
    latency_s: float | None
    times: TimedTurn


async def speak_turn(talk: LiveTalk, clip: LabelledClip, wait_s: float) -> SpokenOutcome:
    """Speak one turn and listen until its answer is clearly one, or `wait_s` after its end."""
    first = len(talk.answers)
    spoken = talk.speak(clip, FIRST_SOUND_S)
    end = spoken.end_at

    def answered() -> bool:
        return any(
            each.began_at >= end and each.heard_s(talk.now) >= TAKES_OVER_S
            for each in talk.answers[first:]
        )

    await talk.wait_until(answered, end + wait_s)
    answers = talk.answers[first:]
    early = [each for each in answers if each.began_at < end]
    after = next((each for each in answers if each.began_at >= end), None)
    latency_s = None if after is None else after.began_at - end
    overlap_s = sum(_overlap_s(each, spoken) for each in early)
    took_over = any(each.heard_s(end) >= TAKES_OVER_S for each in early)
    times = TimedTurn(latency_s, overlap_s, len(early))
    return SpokenOutcome(clip.name, clip.kind, took_over, latency_s, times)


def _overlap_s(answer: HeardAnswer, spoken: SpokenUtterance) -> float:
    return sum(
        max(0.0, min(end, answer.plays_until) - max(begin, answer.began_at))
        for begin, end in spoken.stretches_at
    )


async def hold_dialogue(
    talk: LiveTalk, clips: Sequence[LabelledClip], wait_s: float
) -> list[SpokenOutcome]:
    """Speak the turns one after the other, each when the answer to the one before is over."""
    outcomes = []
    for clip in clips:
        outcomes.append(await speak_turn(talk, clip, wait_s))
        await talk.wait_until(lambda: talk.speaking is None, talk.now + wait_s)
    return outcomes


# --- overlaps ----------------------------------------------------------------------------


async def overlap_answer(
    talk: LiveTalk, overlap: Overlap, clip: LabelledClip, prompt: str, wait_s: float
) -> OverlapOutcome:
    """Ask for a long answer by text, make a sound over it, and note what the model does."""
    spoken, kind = overlap.spoken, overlap.kind
    await talk.session.send_text(prompt)
    if not await talk.wait_until(lambda: bool(talk.answers), talk.now + wait_s):
        return OverlapOutcome(spoken.name, kind.value, kind.takes_floor, False, None)
    answer = talk.answers[0]
    sounded = talk.speak(clip, max(0.0, answer.began_at + overlap.onset_s - talk.now))
    onset, end = sounded.onset_at, sounded.end_at
    await talk.wait_until(
        lambda: answer.interrupted_at is not None and answer.interrupted_at >= onset,
        end + AFTER_OVERLAP_S,
    )
    spoke = answer.plays_until > onset
    stopped = answer.interrupted_at
    if stopped is not None and stopped < onset:
        stopped = None  # by something else
    reply_s = None
    if stopped is not None and kind.takes_floor:
        await talk.wait_until(lambda: len(talk.answers) > 1, end + wait_s)
        reply_s = talk.answers[1].began_at - end if len(talk.answers) > 1 else None
    return OverlapOutcome(
        spoken.name,
        kind.value,
        kind.takes_floor,
        spoke,
        None if stopped is None else stopped - onset,
        reply_s,
        answer.late_bytes,
    )
