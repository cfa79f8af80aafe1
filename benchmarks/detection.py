"""Where to score voice: on the event loop, in a thread, or by the batcher's budget.

Sessions send 100 ms of sound ten times a second at random phase, as microphones do; Silero
scores it. Printed: CPU for each frame, and how late the event loop came to everybody else.

Run: python benchmarks/detection.py path/to/silero_vad_op18_ifless.onnx
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from pathlib import Path

from vivavoce.domain.audio import INPUT_RATE, AudioChunk
from vivavoce.engines.silero import SileroDetector
from vivavoce.runtime.audio_input import AudioBuffer
from vivavoce.runtime.event_queue import EventQueue
from vivavoce.runtime.voice_activity import VoiceActivityDetection, VoiceScorer

SECONDS = 4.0
CHUNK = AudioChunk(bytes(2 * INPUT_RATE // 10))
MODES = {"on the loop": 1e9, "in a thread": 0.0, "by budget": 0.15}


async def microphone(scorer: VoiceScorer, until: float) -> None:
    intake = AudioBuffer(ring_s=2.0)
    detection = VoiceActivityDetection(scorer, intake, EventQueue(lambda event: None))
    await asyncio.sleep(random.random() * 0.1)
    due = time.monotonic()
    while due < until:
        intake.add_chunk(CHUNK)
        if detection.takes_inline:
            detection.score_now()
        else:
            await detection.score_arrived()
        due += 0.1
        await asyncio.sleep(max(0.0, due - time.monotonic()))


async def watch(lags: list[float], until: float) -> None:
    while (now := time.monotonic()) < until:
        await asyncio.sleep(0.02)
        lags.append(time.monotonic() - now - 0.02)


async def measure(detector: SileroDetector, sessions: int, share: float) -> str:
    scorer = VoiceScorer(detector, inline_share=share)
    until = time.monotonic() + SECONDS
    lags: list[float] = []
    began = time.process_time()
    await asyncio.gather(watch(lags, until), *(microphone(scorer, until) for _ in range(sessions)))
    spent = time.process_time() - began
    scorer.close()
    frames = sessions * SECONDS * INPUT_RATE / detector.frame_samples
    late = sorted(lags)[int(len(lags) * 0.99)]
    return f"{spent / frames * 1e6:6.0f} us a frame   loop late by {late * 1e3:5.1f} ms (p99)"


def main() -> None:
    detector = SileroDetector(Path(sys.argv[1]))
    for sessions in (1, 16, 64):
        for mode, share in MODES.items():
            result = asyncio.run(measure(detector, sessions, share))
            print(f"{sessions:3} sessions, {mode:12} {result}", flush=True)


if __name__ == "__main__":
    main()
