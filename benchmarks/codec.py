"""Reading and writing 100 ms of sound, against the standard library in the same run.

    python benchmarks/codec.py

Prints microseconds a message and how many times as fast as `json` and `base64` it is. The
baseline does the least that any server must: parse, find the blob, decode it; or encode,
build the object, serialize it.
"""

from __future__ import annotations

import base64
import json
import random
import timeit
from collections.abc import Callable

from vivavoce.core.messages import ModelAudio
from vivavoce.protocol.dialect import GeminiDialect

ROUNDS = 7
CALLS = 2000

IN_PCM = random.Random(1).randbytes(16_000 * 2 // 10)
OUT_PCM = random.Random(2).randbytes(24_000 * 2 // 10)


def client_frame(*, url_safe: bool) -> str:
    """A frame as JavaScript writes it, or as Python does."""
    if url_safe:
        data = base64.urlsafe_b64encode(IN_PCM).decode()
        return json.dumps(
            {"realtime_input": {"audio": {"data": data, "mime_type": "audio/pcm;rate=16000"}}}
        )
    data = base64.b64encode(IN_PCM).decode()
    return json.dumps({"realtimeInput": {"audio": {"data": data, "mimeType": "audio/pcm"}}})


def plain_decode(frame: str) -> bytes:
    message = json.loads(frame)
    blob = (message.get("realtimeInput") or message["realtime_input"])["audio"]
    return base64.b64decode(blob["data"], altchars=b"-_" if "realtime_input" in message else None)


def plain_encode(pcm: bytes) -> bytes:
    data = base64.b64encode(pcm).decode()
    part = {"inlineData": {"mimeType": "audio/pcm;rate=24000", "data": data}}
    turn = {"role": "model", "parts": [part]}
    return json.dumps({"serverContent": {"modelTurn": turn}}).encode()


def microseconds(work: Callable[[], object]) -> float:
    """The best of several rounds, which is the one least disturbed."""
    return min(timeit.repeat(work, number=CALLS, repeat=ROUNDS)) / CALLS * 1e6


def compare(name: str, ours: Callable[[], object], plain: Callable[[], object]) -> None:
    own, reference = microseconds(ours), microseconds(plain)
    print(
        f"{name:28} {own:7.1f} µs   standard library {reference:7.1f} µs   "
        f"{reference / own:5.1f} times as fast"
    )


def main() -> None:
    dialect = GeminiDialect()
    for name, url_safe in (("decode 100 ms (JavaScript)", False), ("decode 100 ms (Python)", True)):
        frame = client_frame(url_safe=url_safe)
        [chunk] = dialect.decode(frame)
        assert getattr(chunk, "data", None) == plain_decode(frame) == IN_PCM
        compare(name, lambda f=frame: dialect.decode(f), lambda f=frame: plain_decode(f))  # type: ignore[misc]
    audio = ModelAudio(OUT_PCM)
    assert json.loads(dialect.encode(audio)) == json.loads(plain_encode(OUT_PCM))
    compare("encode 100 ms", lambda: dialect.encode(audio), lambda: plain_encode(OUT_PCM))


if __name__ == "__main__":
    main()
