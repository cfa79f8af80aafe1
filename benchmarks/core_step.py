"""A step of the core, in microseconds, beside what the standard library takes to read the frame.

    python benchmarks/core_step.py

The reference is the least that any server does with the 100 ms of sound that a step decides
about: `json.loads` and `base64.b64decode` of its frame, in the same run.
"""

from __future__ import annotations

import base64
import json
import timeit
from collections.abc import Callable
from itertools import count

from rich.console import Console
from rich.table import Table

from vivavoce.core.events import AudioArrived, AudioProduced, Event, TextReceived, VoiceScored
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE
from vivavoce.domain.ids import CountingIds, GenerationId, SessionId
from vivavoce.domain.model_family import family_behavior
from vivavoce.domain.setup import SessionSetup

ROUNDS, CALLS = 7, 5000
CHUNK = INPUT_RATE // 10
PIECE = bytes(OUTPUT_RATE // 10 * 2)


def session() -> LiveSession:
    """A conversation that has just begun."""
    setup = SessionSetup("models/any")
    begun = LiveSession(
        SessionId("bench"), setup, family_behavior("any"), SessionSettings(), CountingIds()
    )
    begun.open_session(0.0)
    return begun


def stepping(event: Callable[[int], Event], ready: LiveSession | None = None) -> float:
    """Microseconds a step, the best of several rounds."""
    talk = ready or session()
    numbers = count(1)

    def step() -> None:
        number = next(numbers)
        talk.handle_event(event(number), number / 10)

    return best(step)


def best(work: Callable[[], object]) -> float:
    return min(timeit.repeat(work, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def answering() -> LiveSession:
    """A conversation in which the first generation is speaking."""
    talk = session()
    talk.handle_event(TextReceived("hello"), 0.0)
    return talk


def main() -> None:
    frame = json.dumps(
        {"realtimeInput": {"audio": {"data": base64.b64encode(bytes(CHUNK * 2)).decode()}}}
    )
    reference = best(lambda: base64.b64decode(json.loads(frame)["realtimeInput"]["audio"]["data"]))
    steps = {
        "sound arrived": stepping(lambda n: AudioArrived(n * CHUNK)),
        "three frames scored, silence": stepping(lambda n: VoiceScored(n * 1536, (0.1,) * 3)),
        "three frames scored, speech": stepping(lambda n: VoiceScored(n * 1536, (0.9,) * 3)),
        "100 ms of an answer": stepping(
            lambda n: AudioProduced(GenerationId(1), PIECE, "word "), answering()
        ),
    }
    table = Table("step", "µs", "of json + base64 for its frame")
    for name, cost in steps.items():
        table.add_row(name, f"{cost:.1f}", f"{cost / reference:.2f}")
    table.add_row("json + base64 of the standard library", f"{reference:.1f}", "1")
    Console().print(table)


if __name__ == "__main__":
    main()
