"""`vivavoce talk` in a terminal, with the scripted engines: words that travel as tones."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path

import pytest

from serving import serving
from vivavoce.client.audio import Recording
from vivavoce.domain.audio import INPUT_RATE
from vivavoce.engines.scripted import say

pty = pytest.importorskip("pty", reason="there are no pseudo-terminals here")

STORY = "Once upon a time there was a king who lived in a castle"
pytestmark = pytest.mark.e2e


def silence(seconds: float) -> bytes:
    return bytes(2 * round(seconds * INPUT_RATE))


async def run_in_terminal(command: list[str]) -> tuple[int, str]:
    """The exit status of a command, and everything that it wrote to its terminal."""
    ours, theirs = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *command, stdin=theirs, stdout=theirs, stderr=theirs, env={**os.environ, "TERM": "xterm"}
    )
    os.close(theirs)
    written = bytearray()

    def read() -> None:
        try:
            while piece := os.read(ours, 65536):
                written.extend(piece)
        except OSError:
            pass  # the other side is closed

    try:
        await asyncio.to_thread(read)
        return await process.wait(), written.decode()
    finally:
        if process.returncode is None:
            process.kill()
        os.close(ours)


async def test_words_that_a_barge_in_cut_off_are_struck_out(tmp_path: Path) -> None:
    recording = Recording.empty(INPUT_RATE)
    # The answer repeats the story and begins about 0.9 s after it: the user speaks into it.
    for pcm in (say(STORY, INPUT_RATE), silence(1.5), say("stop that", INPUT_RATE), silence(1.0)):
        recording.add_audio(pcm)
    recording.save(tmp_path / "story.wav")
    transcript = tmp_path / "turns.jsonl"
    async with serving(tmp_path) as server:
        status, screen = await run_in_terminal(
            [
                *(sys.executable, "-m", "vivavoce", "talk", "--url", server.url()),
                *("--in", str(tmp_path / "story.wav"), "--transcript", str(transcript)),
            ]
        )
    assert status == 0, screen
    story, stop = [json.loads(line) for line in transcript.read_text().splitlines()]
    assert story["interrupted"]
    assert story["said"].startswith("Once upon")
    assert story["unheard"].endswith(" castle")
    assert story["said"] + story["unheard"] == STORY
    assert story["heard_s"] < story["answer_s"]
    assert (stop["said"], stop["unheard"]) == ("stop that", "")
    assert f"\x1b[1;2;9m{story['unheard'].split()[0]}" in screen, "struck out"
    assert "listening" in screen
    assert "speaking" in screen
