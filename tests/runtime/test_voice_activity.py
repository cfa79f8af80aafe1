"""Scores in order, before everything that the client said after the sound they are of."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Sequence
from typing import Any, cast

import pytest

from support.host_rig import PlainDialect
from vivavoce.core.events import (
    ActivityEnded,
    AudioArrived,
    AudioStreamEnded,
    ClientInput,
    Event,
    ReadingPaused,
    TextReceived,
    VideoArrived,
    VoiceScored,
)
from vivavoce.domain.audio import INPUT_RATE, AudioChunk, VideoFrame
from vivavoce.domain.ids import SessionId
from vivavoce.engines.ports import RecognitionOptions
from vivavoce.engines.scripted import EnergyDetector, TonesRecognizer, say
from vivavoce.errors import EngineError
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.client_input import InputReceiver
from vivavoce.runtime.event_queue import EventQueue
from vivavoce.runtime.rate_limit import RateLimiter, RateLimits
from vivavoce.runtime.tasks import EngineTasks
from vivavoce.runtime.transcription import Recordings, Transcripts
from vivavoce.runtime.turn_metrics import TurnReporter
from vivavoce.runtime.voice_activity import (
    MAX_BACKLOG_S,
    SILENCE_DB,
    VoiceActivityDetection,
    VoiceScorer,
    level_db,
)
from vivavoce.testing.virtual_loop import run_virtually

FRAME = EnergyDetector.frame_samples


class Microphone:
    """A receiver of a client's audio, and the events that it posts."""

    def __init__(
        self,
        detects: bool = True,
        inline_share: float = 1e9,
        limits: RateLimits = RateLimits(),  # noqa: B008 (frozen)
    ) -> None:
        self.buffer, self.queue = AudioBuffer(), EventQueue()
        self.scorer = VoiceScorer(EnergyDetector(), inline_share=inline_share)
        tasks, rates, mismatch = EngineTasks(), RateLimiter(limits), PlainDialect().report_mismatch
        options, recognizer = RecognitionOptions(), TonesRecognizer()
        self.receiver = InputReceiver(
            self.buffer,
            VoiceActivityDetection(self.scorer, self.buffer, self.queue) if detects else None,
            Transcripts(recognizer, options, self.buffer, tasks, self.queue.put_event),
            self.queue,
            TurnReporter(SessionId("s"), None),
            rates,
            Recordings(recognizer, options, tasks, rates, mismatch),
            mismatch,
        )


def heard(*said: ClientInput, detects: bool = True, inline_share: float = 1e9) -> list[Event]:
    """What the core is told when a client says all this."""

    async def run() -> list[Event]:
        microphone = Microphone(detects, inline_share)
        for incoming in said:
            await microphone.receiver.handle_incoming(incoming)
        microphone.scorer.close()
        return drain(microphone.queue)

    return run_virtually(run())


def drain(queue: EventQueue) -> list[Event]:
    return list(iter(queue.take_event, None))


def scores(events: list[Event]) -> list[float]:
    return [score for event in events if isinstance(event, VoiceScored) for score in event.scores]


def test_every_whole_frame_is_scored_once_and_in_order() -> None:
    events = heard(*[AudioChunk(bytes(2000))] * 10, AudioChunk(say("hello", INPUT_RATE)))
    scored = [event for event in events if isinstance(event, VoiceScored)]
    positions = [event.position for event in scored]
    assert positions == sorted(positions)
    assert len(scores(events)) == positions[-1] // FRAME
    assert max(scores(events)[:18]) < 0.5 < scores(events)[-1]


@pytest.mark.parametrize("inline_share", [0.0, 1e9])
def test_on_the_loop_or_in_a_thread_the_scores_are_the_same(inline_share: float) -> None:
    chunks = [AudioChunk(say("hello", INPUT_RATE)) for _ in range(3)]
    assert scores(heard(*chunks, inline_share=inline_share)) == scores(heard(*chunks))


def test_the_end_of_the_stream_comes_after_its_last_score_and_its_sound_is_whole() -> None:
    events = heard(AudioChunk(bytes(2 * (FRAME + 100))), AudioStreamEnded(0))
    assert [type(event) for event in events] == [
        AudioArrived, VoiceScored, AudioArrived, VoiceScored, AudioStreamEnded,
    ]  # fmt: skip
    assert events[-1] == AudioStreamEnded(2 * FRAME)
    assert scores(events) == pytest.approx([0, 0], abs=1e-6)


def test_a_long_message_is_scored_in_pieces() -> None:
    events = heard(AudioChunk(bytes(2 * INPUT_RATE * 10)))
    arrived = [event.position for event in events if isinstance(event, AudioArrived)]
    assert arrived == [INPUT_RATE // 2 * n for n in range(1, 21)]


def test_what_is_said_between_sounds_stands_at_its_position() -> None:
    frame = VideoFrame(b"png", "image/png")
    events = heard(AudioChunk(bytes(2000)), frame, ActivityEnded(0), detects=False)
    assert [type(event) for event in events] == [AudioArrived, VideoArrived, ActivityEnded]
    assert [event.position for event in events] == [1000, 1000, 1000]  # type: ignore[union-attr]


def test_without_detection_nothing_is_scored() -> None:
    events = heard(AudioChunk(bytes(10_000)), AudioStreamEnded(0), detects=False)
    assert [type(event) for event in events] == [AudioArrived, AudioStreamEnded]


def test_video_is_thinned_to_a_few_frames_a_second() -> None:
    frame = VideoFrame(b"png", "image/png")
    assert len(heard(frame, frame, frame)) == 1


def test_other_things_pass_unchanged() -> None:
    assert heard(TextReceived("hi")) == [TextReceived("hi")]


class Faulty(EnergyDetector):
    """Does something else than to score a frame that begins with such a byte."""

    def __init__(self, fault: Callable[[], Any]) -> None:
        super().__init__()
        self._fault = fault

    def score(
        self, frames: Sequence[bytes], states: Sequence[None]
    ) -> Sequence[tuple[float, None]]:
        if any(frame.startswith(b"!") for frame in frames):
            return cast(Sequence[tuple[float, None]], self._fault())
        return super().score(frames, states)


class Panic(BaseException):
    pass


def raises(failure: BaseException) -> Callable[[], Any]:
    def fault() -> Any:
        raise failure

    return fault


FAULTS: dict[str, Callable[[], Any]] = {
    "raises": raises(ZeroDivisionError()),
    "says so": raises(EngineError("detector", "dead")),
    "panics": raises(Panic()),
    "ends its generator": raises(StopIteration()),
    "cancels": raises(asyncio.CancelledError()),
    "nothing": lambda: None,
    "too few": list,
    "too many": lambda: [(0.0, None), (0.0, None)],
    "no pair": lambda: [0.5],
    "no number": lambda: [("loud", None)],
    "not a number": lambda: [(float("nan"), None)],
}


@pytest.mark.parametrize("inline_share", [0.0, 1e9])
@pytest.mark.parametrize("fault", FAULTS)
async def test_a_frame_that_a_detector_fails_at_counts_as_silence(
    fault: str, inline_share: float
) -> None:
    loud = say("hello", INPUT_RATE)[: 2 * FRAME]
    buffer, events = AudioBuffer(), EventQueue()
    scorer = VoiceScorer(Faulty(FAULTS[fault]), inline_share=inline_share)
    detection = VoiceActivityDetection(scorer, buffer, events)
    for frame in (loud, b"!" * 2 * FRAME, loud):
        buffer.add_chunk(AudioChunk(frame))
    if detection.takes_inline:
        assert detection.score_now()
    else:
        await detection.score_arrived()
    scorer.close()
    first, missed, last = scores(drain(events))
    assert (first, missed) == (last, 0.0)
    assert first > 0.5


async def test_what_one_client_sends_fails_no_other_of_the_same_call() -> None:
    scorer = VoiceScorer(Faulty(FAULTS["raises"]), inline_share=0)
    frames = [b"!" * 2 * FRAME if n == 3 else bytes(2 * FRAME) for n in range(8)]
    found = await asyncio.gather(
        *(scorer.score(frame, None) for frame in frames), return_exceptions=True
    )
    scorer.close()
    failed = [n for n, score in enumerate(found) if isinstance(score, EngineError)]
    assert failed == [3]


async def test_a_detector_that_never_scores_ends_the_session() -> None:
    buffer, events = AudioBuffer(), EventQueue()
    scorer = VoiceScorer(Faulty(FAULTS["raises"]), inline_share=1e9)
    detection = VoiceActivityDetection(scorer, buffer, events)
    buffer.add_chunk(AudioChunk(b"!" * 2 * int(MAX_BACKLOG_S * INPUT_RATE)))
    await detection.score_arrived()
    assert not any(scores(drain(events)))
    buffer.add_chunk(AudioChunk(b"!" * 2 * FRAME))
    with pytest.raises(EngineError, match="ZeroDivisionError"):
        await detection.score_arrived()


def test_calls_are_made_in_a_thread_unless_the_detector_promises_not_to_wait() -> None:
    class Elsewhere(EnergyDetector):
        def score(
            self, frames: Sequence[bytes], states: Sequence[None]
        ) -> Sequence[tuple[float, None]]:
            threads.add(threading.current_thread())
            return super().score(frames, states)

    class NoPromise(Elsewhere):
        inline = False

    async def run(detector: EnergyDetector) -> None:
        scorer = VoiceScorer(detector)
        await scorer.score(bytes(2 * FRAME), None)
        scorer.close()

    for kind, here in ((Elsewhere, True), (NoPromise, False)):
        threads: set[threading.Thread] = set()
        asyncio.run(run(kind()))
        assert (threads == {threading.current_thread()}) is here


def test_a_detector_that_falls_behind_is_not_a_microphone_that_fell_silent() -> None:
    async def run(frame_s: float) -> list[Event]:
        class Slow(VoiceScorer):
            async def score(self, frame: bytes, state: object) -> tuple[float, object]:
                await asyncio.sleep(frame_s)
                return 0.9, None

        buffer, events = AudioBuffer(), EventQueue()
        detection = VoiceActivityDetection(Slow(EnergyDetector()), buffer, events)
        buffer.add_chunk(AudioChunk(bytes(2 * 4 * FRAME)))
        await detection.score_arrived()
        await asyncio.sleep(10)
        return [event for event in drain(events) if isinstance(event, ReadingPaused)]

    assert run_virtually(run(1.0)) == [ReadingPaused(True), ReadingPaused(False)]
    assert run_virtually(run(0.01)) == []


def test_the_frames_of_two_sessions_share_a_call() -> None:
    class Counting(EnergyDetector):
        sizes: list[int]

        def score(
            self, frames: Sequence[bytes], states: Sequence[None]
        ) -> Sequence[tuple[float, None]]:
            self.sizes.append(len(frames))
            return super().score(frames, states)

    async def run() -> list[int]:
        detector = Counting()
        detector.sizes = []
        scorer = VoiceScorer(detector, inline_share=0)
        frame = bytes(2 * FRAME)
        await asyncio.gather(*(scorer.score(frame, None) for _ in range(8)))
        scorer.close()
        return detector.sizes

    assert run_virtually(run()) == [8]


CHUNK = AudioChunk(say("hello", INPUT_RATE)[:3200])


@pytest.mark.parametrize("detects", [True, False])
def test_audio_that_waits_for_nothing_is_handled_in_one_step(detects: bool) -> None:
    async def run() -> list[Event]:
        microphone = Microphone(detects)
        for _ in range(4):
            assert microphone.receiver.handle_audio_now(CHUNK)
        return drain(microphone.queue)

    events, waiting = run_virtually(run()), heard(*[CHUNK] * 4, detects=detects)
    assert scores(events) == scores(waiting)
    assert bool(scores(events)) is detects
    reached = [event.arrived for event in events if isinstance(event, VoiceScored)]
    reached += [event.position for event in events if isinstance(event, AudioArrived)]
    assert reached == [event.position for event in waiting if isinstance(event, AudioArrived)]


@pytest.mark.parametrize(
    ("chunk", "inline_share", "limits"),
    [
        (AudioChunk(bytes(2 * INPUT_RATE)), 1e9, RateLimits()),
        (CHUNK, 0.0, RateLimits()),
        (CHUNK, 1e9, RateLimits(messages_per_s=1e-9)),
        (CHUNK, 1e9, RateLimits(audio_speed=1e-9)),
    ],
    ids=["long", "scored in a thread", "too many messages", "too fast"],
)
def test_audio_that_has_to_wait_is_left_as_it_is(
    chunk: AudioChunk, inline_share: float, limits: RateLimits
) -> None:
    async def run() -> None:
        microphone = Microphone(inline_share=inline_share, limits=limits)
        took = [microphone.receiver.handle_audio_now(chunk) for _ in range(700)]
        assert took == sorted(took, reverse=True)
        assert not took[-1]
        assert microphone.buffer.position == sum(took) * len(chunk.data) // 2
        microphone.scorer.close()

    run_virtually(run())


def test_the_level_of_a_voice_is_measured_and_that_of_silence_is_not() -> None:
    assert level_db(b"\xff\x7f" * 512) == pytest.approx(0.0, abs=0.01)
    assert level_db((3277).to_bytes(2, "little") * 512) == pytest.approx(-20.0, abs=0.01)
    assert level_db(bytes(1024)) == level_db(b"") == SILENCE_DB
