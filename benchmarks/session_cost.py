"""What one session costs the host: CPU for each 100 ms of microphone sound, memory when idle.

Core and host with scripted engines and a transport in this process, so neither JSON nor a
socket is counted. `server` is everything between the frame that arrives and the frames that
leave. Run: python benchmarks/session_cost.py
"""

from __future__ import annotations

import asyncio
import gc
import platform
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from vivavoce.core.messages import TurnComplete
from vivavoce.domain.audio import INPUT_RATE, AudioChunk
from vivavoce.domain.setup import SessionSetup, Transcription
from vivavoce.engines.cascade import Cascade
from vivavoce.engines.scripted import EchoModel, TonesSynthesizer, say
from vivavoce.testing.virtual_loop import virtual_loop

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))  # for the rig

from support.host_rig import Client, open_connection

CHUNK = 2 * INPUT_RATE // 10
SETUP = SessionSetup(
    "models/scripted",
    input_transcription=Transcription(),
    output_transcription=Transcription(),
)


def echo() -> Cascade:
    return Cascade(EchoModel(), TonesSynthesizer())


def chunks(pcm: bytes, rate: int = INPUT_RATE) -> list[AudioChunk]:
    size = CHUNK * rate // INPUT_RATE
    return [AudioChunk(pcm[at : at + size], rate) for at in range(0, len(pcm), size)]


async def stream(client: Client, sound: list[AudioChunk]) -> None:
    for chunk in sound:
        client.say(chunk)
        await asyncio.sleep(0.1)


def cost_of_a_chunk(sound: list[AudioChunk], turns: int = 0) -> float:
    """Microseconds of CPU for each chunk, without what the test client itself costs."""
    with virtual_loop() as loop:

        async def run() -> float:
            client = Client()
            running = asyncio.ensure_future(open_connection(client, echo(), SETUP).run())
            began = time.process_time()
            await stream(client, sound)
            if turns:
                await client.until(TurnComplete, turns)
            spent = time.process_time() - began
            client.leave()
            await running
            return spent

        async def baseline() -> float:
            client = Client()

            async def read() -> None:
                while True:
                    client.dialect.decode(await client.receive())

            reading = asyncio.ensure_future(read())
            began = time.process_time()
            await stream(client, sound)
            reading.cancel()
            return time.process_time() - began

        spent = loop.run_until_complete(run()) - loop.run_until_complete(baseline())
    return spent / len(sound) * 1e6


def memory_of_an_idle_session(count: int = 500, seconds: int = 5) -> float:
    """Kilobytes a session, after it has heard some silence."""
    with virtual_loop() as loop:

        async def run() -> float:
            gc.collect()
            before = _resident_kb()
            clients = [Client() for _ in range(count)]
            running = [
                asyncio.ensure_future(open_connection(c, echo(), SETUP).run()) for c in clients
            ]
            silence = chunks(bytes(2 * INPUT_RATE * seconds))
            for chunk in silence:
                for client in clients:
                    client.say(chunk)
                await asyncio.sleep(0.1)
            gc.collect()
            grown = _resident_kb() - before
            for client in clients:
                client.leave()
            await asyncio.gather(*running)
            return grown / count

        return loop.run_until_complete(run())


def _resident_kb() -> float:
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * resource.getpagesize() / 1024
    except OSError:  # no /proc: the peak is the next best thing
        return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    minute = bytes(2 * INPUT_RATE * 60)
    phrase = say("turn on the lights please", INPUT_RATE)
    turn = bytes(INPUT_RATE) + phrase + bytes(2 * INPUT_RATE * 3)
    rows: list[tuple[str, Callable[[], float]]] = [
        ("silence, 16 kHz", lambda: cost_of_a_chunk(chunks(minute))),
        ("silence, 48 kHz", lambda: cost_of_a_chunk(chunks(minute * 3, 48_000))),
        ("turns with spoken answers", lambda: cost_of_a_chunk(chunks(turn * 10), turns=10)),
    ]
    print(f"Python {platform.python_version()}, {platform.machine()}; best of three")
    for name, measure in rows:
        print(f"{name:28} {min(measure() for _ in range(3)):7.0f} us CPU a 100 ms chunk")
    print(f"{'idle session':28} {memory_of_an_idle_session():7.0f} kB")


if __name__ == "__main__":
    main()
