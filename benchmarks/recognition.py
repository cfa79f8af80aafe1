"""Recorded human speech and sounds without words through a real server.

    python benchmarks/recognition.py [--together 2] [--write] [errors interim silence cost]

- *errors*: word error rate of recordings streamed at real-time pace by Google's Python SDK to a
  server in a process of its own, in a quiet room and in pink and white noise at 20 and 10 dB.
- *interim*: how long after a word is said it appears in `inputTranscription`. A word counts as said
  at the end of the shortest beginning of its recording (steps of 0.1 s, with 0.3 s of silence
  behind) in whose transcript, and in those of all longer beginnings, it stands at its place; its
  delay counts from when the chunk with that end was sent.
- *silence*: what is heard in five minutes of noise, music and typing.
- *cost*: CPU of the recognizer for a second of speech, hypotheses, pauses and final text included.

`--write` puts the tables into docs/reference/hearing.md, between its two marks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import SequenceMatcher
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conformance.servers import serving  # noqa: E402
from e2e import sdk_listener, wordless  # noqa: E402
from e2e import speech_corpus as corpus  # noqa: E402
from e2e.speech_corpus import Heard, Recording  # noqa: E402
from vivavoce.core.turn_detection import SILENCE_MS  # noqa: E402
from vivavoce.domain.audio import BYTES_PER_SAMPLE, INPUT_RATE, samples  # noqa: E402
from vivavoce.domain.setup import Sensitivity  # noqa: E402
from vivavoce.engines.moonshine import MoonshineNetwork, MoonshineRecognizer  # noqa: E402
from vivavoce.engines.ports import RecognitionOptions  # noqa: E402
from vivavoce.engines.registry import locate_weights  # noqa: E402
from vivavoce.http import certificates  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "hearing.md"
BEGIN, END = "<!-- benchmarks/recognition.py writes from here -->", "<!-- to here -->"
ROOMS: dict[str, tuple[float | None, corpus.Noise]] = {
    "quiet": (None, corpus.pink_noise),
    "pink noise, 20 dB": (20.0, corpus.pink_noise),
    "white noise, 20 dB": (20.0, corpus.white_noise),
    "pink noise, 10 dB": (10.0, corpus.pink_noise),
    "white noise, 10 dB": (10.0, corpus.white_noise),
}
STEP_S, SILENCE_BEHIND_S = 0.1, 0.3
HYPOTHESIS_S = 0.5
LONGEST_S = 12.0
"""Longer recordings have no delays of words: recognizing all of their beginnings takes minutes."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("parts", nargs="*", default=["errors", "interim", "silence", "cost"])
    parser.add_argument("--together", type=int, default=2, help="conversations at once")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    chosen = parser.parse_args()
    recordings = corpus.shared_recordings() + corpus.wheel_recordings()
    if not recordings:
        sys.exit("There are no recordings: set VIVAVOCE_SHARED to the folder above speech/.")
    os.environ["SSL_CERT_FILE"] = str(certificates.prepare_for_server("127.0.0.1").bundle)
    known = {
        "errors": lambda: errors(recordings, chosen.together),
        "interim": lambda: interim(recordings, chosen.together),
        "silence": lambda: silence(chosen.together),
        "cost": lambda: cost(recordings),
    }
    tables = []
    for part in chosen.parts:
        tables.append("\n".join(known[part]()))
        print(tables[-1], "\n", flush=True)
    if chosen.write:
        page = PAGE.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        text = "\n\n".join(tables)
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


@contextmanager
def server() -> Iterator[str]:
    """The URL of a server that hears as the embedded profile does."""
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.toml"
        settings.write_text(corpus.PROFILE)
        with serving("hearing", VIVAVOCE_CONFIG=str(settings)) as running:
            yield running.url


# --- errors ------------------------------------------------------------------------------


def errors(recordings: list[Recording], together: int) -> list[str]:
    """Word error rate in each room, and in the quiet one with the default end of a turn."""
    seconds = sum(each.seconds for each in recordings)
    words = sum(len(each.words.split()) for each in recordings)
    lines = [
        f"{len(recordings)} recordings, {seconds:.0f} s, {words} words.",
        "",
        "| room | silence that ends a turn | word error rate | one turn each |",
        "| --- | --- | --- | --- |",
    ]
    ways = [(room, corpus.SILENCE_MS) for room in ROOMS]
    with server() as url:
        for room, silence_ms in [*ways, ("quiet", SILENCE_MS[Sensitivity.UNSPECIFIED])]:
            snr_db, noise = ROOMS[room]
            heard = asyncio.run(
                sdk_listener.through_server(
                    url, recordings, snr_db, 1.0, together, noise, silence_ms
                )
            )
            rate = corpus.word_error_rate(heard)
            whole = sum(len(each.turns) == 1 for each in heard)
            row = f"| {room} | {silence_ms} ms | {rate:.1f} % | {whole} of {len(heard)} |"
            lines.append(row)
            print(row, file=sys.stderr, flush=True)
            print(*mistakes(heard), sep="\n", file=sys.stderr, flush=True)
    return lines


def mistakes(heard: list[Heard]) -> Iterator[str]:
    """Each recording that was not understood word by word, for a look at them."""
    for each in heard:
        spoken, understood = each.recording.words.split(), corpus.normalized(each.text).split()
        for what, a, b, c, d in SequenceMatcher(None, spoken, understood, False).get_opcodes():
            if what != "equal":
                yield f"    {each.recording.name}: {spoken[a:b]} -> {understood[c:d]}"


# --- interim -----------------------------------------------------------------------------


def interim(recordings: list[Recording], together: int) -> list[str]:
    """Delay of each word between being sent and being shown."""
    short = [each for each in recordings if each.seconds <= LONGEST_S]
    network = MoonshineNetwork(locate_weights("moonshine"))
    ends = {each.name: word_ends(each, network) for each in short}
    with server() as url:
        heard = asyncio.run(sdk_listener.through_server(url, short, together=together))
    delays = sorted(delay for each in heard for delay in word_delays(each, ends))
    count = sum(map(len, ends.values()))
    return [
        "| words | shown | p50 | p90 |",
        "| --- | --- | --- | --- |",
        f"| {count} | {len(delays)} | {percentile(delays, 50)} | {percentile(delays, 90)} |",
    ]


def percentile(delays: list[float], percent: int) -> str:
    return f"{1000 * float(np.percentile(delays, percent)):.0f} ms"


def word_ends(recording: Recording, network: MoonshineNetwork) -> list[tuple[str, float]]:
    """The words of a recording as they are recognized, and when each was said, in seconds."""
    voice = corpus.Room(recording, None).recording
    behind = bytes(samples(SILENCE_BEHIND_S) * BYTES_PER_SAMPLE)
    total = len(voice) // BYTES_PER_SAMPLE
    stops = [*range(samples(STEP_S), total, samples(STEP_S)), total]
    texts: list[list[str]] = []
    tokens: tuple[int, ...] = ()
    for stop in stops:
        tokens = network.transcribe(voice[: stop * BYTES_PER_SAMPLE] + behind, tokens).tokens
        texts.append(corpus.normalized(network.text(tokens)).split())
    found = []
    for at, word in enumerate(texts[-1]):
        wrong = [n for n, text in enumerate(texts) if text[at : at + 1] != [word]]
        first = wrong[-1] + 1 if wrong else 0
        found.append((word, stops[first] / INPUT_RATE))
    return found


def word_delays(heard: Heard, ends: dict[str, list[tuple[str, float]]]) -> Iterator[float]:
    """How long after it was sent each word was shown; words never shown are left out."""
    shown: list[tuple[str, float]] = []
    text = ""
    for when, piece in heard.pieces:
        text += piece
        words = corpus.normalized(text).split()
        shown = [*shown[: len(words)], *((word, when) for word in words[len(shown) :])]
    said = ends[heard.recording.name]
    matcher = SequenceMatcher(None, [w for w, _ in said], [w for w, _ in shown], False)
    for block in matcher.get_matching_blocks():
        for offset in range(block.size):
            end = samples(corpus.LEAD_S + said[block.a + offset][1])
            sent = next(when for when, count in heard.sent_at if count >= end)
            yield shown[block.b + offset][1] - sent


# --- silence -----------------------------------------------------------------------------


def silence(together: int) -> list[str]:
    """What is heard in a minute of each sound that has no words."""
    sounds = [Recording(f"{name}-1", "", wordless.pcm(name, 60.0)) for name in wordless.SOUNDS]
    lines = ["| a minute of | words heard |", "| --- | --- |"]
    with server() as url:
        heard = asyncio.run(sdk_listener.listen_only(url, sounds, together))
    for each in heard:
        words = f'"{each.text}"' if each.text else "none"
        lines.append(f"| {wordless.SOUNDS[each.recording.speaker][0]} | {words} |")
    return lines


# --- cost --------------------------------------------------------------------------------


def cost(recordings: list[Recording]) -> list[str]:
    """CPU of the recognizer alone, asked as the server asks it, for a second of speech."""
    lines = ["| speech | CPU for a second of it |", "| --- | --- |"]
    for least, most in ((0.0, 4.0), (4.0, LONGEST_S), (LONGEST_S, 1e9)):
        some = [each for each in recordings if least <= each.seconds < most]
        seconds = sum(each.seconds for each in some)
        spent = asyncio.run(recognize(some))
        names = f"{len(some)} recordings, {seconds / len(some):.1f} s on average"
        lines.append(f"| {names} | {1000 * spent / seconds:.0f} ms |")
    return lines


async def recognize(recordings: list[Recording]) -> float:
    """CPU seconds for these recordings: a hypothesis every half second, then a pause."""
    network = MoonshineNetwork(locate_weights("moonshine"))
    now = 0.0
    recognizer = MoonshineRecognizer(network, workers=1, clock=lambda: now)
    size = samples(HYPOTHESIS_S) * BYTES_PER_SAMPLE
    began = time.process_time()
    for recording in recordings:
        async with recognizer.open(RecognitionOptions()).utterance() as utterance:
            for at in range(0, len(recording.pcm), size):
                await utterance.feed(recording.pcm[at : at + size])
                await utterance.hypothesis()
                now += HYPOTHESIS_S
            await utterance.pause()
    spent = time.process_time() - began
    await recognizer.aclose()
    return spent


if __name__ == "__main__":
    main()
