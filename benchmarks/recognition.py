"""Recorded human speech through a real server, beside the bare recognizer.

    python benchmarks/recognition.py [--together 2] [--write]

Every recording is streamed at real-time pace through Google's Python SDK to a server in a
process of its own, in a quiet room and with pink noise at 20 and 10 dB. `--write` puts the
tables into docs/reference/hearing.md, between its two marks.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from conformance.servers import serving  # noqa: E402
from e2e import speech_corpus as corpus  # noqa: E402
from e2e.speech_corpus import Heard, Recording  # noqa: E402
from vivavoce.edge import ca  # noqa: E402
from vivavoce.engines.registry import locate_weights  # noqa: E402
from vivavoce.engines.silero import MODEL, SileroDetector  # noqa: E402

PAGE = ROOT / "docs" / "reference" / "hearing.md"
BEGIN, END = "<!-- benchmarks/recognition.py writes from here -->", "<!-- to here -->"
ROOMS = {"quiet": None, "noise at 20 dB": 20.0, "noise at 10 dB": 10.0}
Condition = tuple[list[Heard], list[Heard], list[Heard]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--together", type=int, default=2, help="conversations at once")
    parser.add_argument("--write", action="store_true", help="put the tables into the docs")
    chosen = parser.parse_args()
    recordings = corpus.shared_recordings() + corpus.wheel_recordings()
    if not recordings:
        sys.exit("There are no recordings: set VIVAVOCE_SHARED to the folder above speech/.")
    os.environ["SSL_CERT_FILE"] = str(ca.for_server("127.0.0.1").bundle)
    found = listen(recordings, chosen.together)
    text = tables(recordings, found)
    print(text)
    if chosen.write:
        page = PAGE.read_text()
        before, after = page.split(BEGIN)[0], page.split(END)[1]
        PAGE.write_text(f"{before}{BEGIN}\n\n{text}\n\n{END}{after}")


def listen(recordings: list[Recording], together: int) -> dict[str, Condition]:
    """For each room: as recorded, as cut by the server, and through the server."""
    detector = SileroDetector(locate_weights("silero") / MODEL)
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        settings = Path(folder) / "settings.toml"
        settings.write_text(corpus.PROFILE)
        with serving("hearing", VIVAVOCE_CONFIG=str(settings)) as server:
            for room, snr_db in ROOMS.items():
                way = corpus.through_server(server.url, recordings, snr_db, together=together)
                through = asyncio.run(way)
                found[room] = (
                    corpus.bare(recordings, snr_db),
                    corpus.bare_on_the_same_cuts(through, detector),
                    through,
                )
    return found


def tables(recordings: list[Recording], found: dict[str, Condition]) -> str:
    """All rooms, then each speaker in the quiet one."""
    seconds = sum(each.seconds for each in recordings)
    words = sum(len(each.words.split()) for each in recordings)
    lines = [
        f"{len(recordings)} recordings, {seconds:.0f} s, {words} words.",
        "",
        "| room | bare, as recorded | bare, on the server's cuts | through the server "
        "| one turn each | first words: as recorded / on the cuts / server |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for room, (recorded, cut, through) in found.items():
        rates = " | ".join(
            f"{corpus.word_error_rate(each):.1f} %" for each in (recorded, cut, through)
        )
        whole = sum(len(each.turns) == 1 for each in through)
        firsts = " / ".join(
            str(sum(map(corpus.starts_right, each))) for each in (recorded, cut, through)
        )
        lines.append(f"| {room} | {rates} | {whole} of {len(through)} | {firsts} |")
    lines += ["", "| speaker, quiet | words | bare, as recorded | on the cuts | server |"]
    lines += ["| --- | --- | --- | --- | --- |"]
    for speaker in dict.fromkeys(each.speaker for each in recordings):
        row = [[h for h in each if h.recording.speaker == speaker] for each in found["quiet"]]
        count = sum(len(h.recording.words.split()) for h in row[0])
        rates = " | ".join(f"{corpus.word_error_rate(each):.0f} %" for each in row)
        lines.append(f"| {speaker} | {count} | {rates} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
