"""The recognizer with real ears: words, silence and means, and the processes that search them."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import wave
from pathlib import Path

import psutil
import pytest
from pocketsphinx import get_model_path

from vivavoce.engines import pocketsphinx
from vivavoce.engines.pocketsphinx.vulgar import VULGAR
from vivavoce.engines.pocketsphinx.worker import Decoding
from vivavoce.engines.ports import RecognitionOptions

CLIP = Path(__file__).parent / "data" / "turn-on-the-lights.wav"


class Host:
    """Asked for nothing: the model comes with the library."""

    def say(self, line: str) -> None:
        pass

    def weights(self, name: str) -> Path:
        raise AssertionError(name)

    async def build(self, port: str, choice: object) -> object:
        raise AssertionError(port)


def clip() -> bytes:
    with wave.open(str(CLIP)) as file:
        pcm: bytes = file.readframes(file.getnframes())
        return pcm


@pytest.mark.embedded
async def test_plain_words_are_heard_and_their_mean_is_kept() -> None:
    recognizer = await pocketsphinx.create({"workers": 1, "max_workers": 1}, Host())
    recognition = recognizer.open(RecognitionOptions())
    pcm = clip()
    texts, means = [], []
    for _ in range(2):
        async with recognition.utterance() as utterance:
            for at in range(0, len(pcm), 3200):
                await utterance.feed(pcm[at : at + 3200])
            partial = await utterance.hypothesis()
            texts.append(await utterance.finish())
        means.append(recognition.mean)
        assert set(partial) <= set("abcdefghijklmnopqrstuvwxyz' ")
        assert partial.split()[:2] == ["turn", "on"]
    assert texts == ["turn on the lights please"] * 2
    assert means[0] != means[1]
    assert all(len(mean.split(",")) == 13 for mean in means)
    await recognizer.aclose()


@pytest.mark.embedded
async def test_silence_and_nothing_are_no_words() -> None:
    recognizer = await pocketsphinx.create({"workers": 1, "max_workers": 1}, Host())
    recognition = recognizer.open(RecognitionOptions())
    for pcm in (b"", bytes(3200), bytes(64_000)):
        async with recognition.utterance() as utterance:
            await utterance.feed(pcm)
            assert await utterance.hypothesis() == ""
            assert await utterance.finish() == ""
    await recognizer.aclose()


@pytest.mark.embedded
async def test_the_event_loop_runs_on_while_words_are_searched() -> None:
    """The reason for processes: in a thread, the search stops the loop for 75 ms at a time."""
    recognizer = await pocketsphinx.create({"workers": 1, "max_workers": 1}, Host())
    loop = asyncio.get_running_loop()
    mine = psutil.Process().cpu_times()
    async with recognizer.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(clip() * 3)
        await utterance.finish()
    now = psutil.Process().cpu_times()
    spent = now.user + now.system - mine.user - mine.system
    assert loop.is_running()
    assert spent < 0.3, "the search, a second of work, is not done in this process"
    await recognizer.aclose()


@pytest.mark.embedded
def test_workers_end_with_the_server_that_started_them() -> None:
    program = """
import asyncio, os, signal
from vivavoce.engines.pocketsphinx.recognizer import create

async def main():
    recognizer = await create({"workers": 1, "max_workers": 1})
    print("ready", flush=True)
    await asyncio.Event().wait()

asyncio.run(main())
"""
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as server:
        assert server.stdout is not None
        assert server.stdout.readline() == b"ready\n"
        workers = psutil.Process(server.pid).children()
        assert len(workers) == 1
        server.kill()
    gone, alive = psutil.wait_procs(workers, timeout=10)
    assert len(gone) == 1
    assert not alive


@pytest.mark.embedded
def test_what_is_understood_depends_on_nothing_heard_in_other_conversations() -> None:
    with wave.open(str(CLIP)) as clip:
        words = clip.readframes(clip.getnframes())
    decoding = Decoding({})

    def heard(pcm: bytes) -> tuple[str, str]:
        decoding.begin("")
        decoding.feed(pcm)
        return decoding.finish()

    first = heard(words)
    heard(bytes(16_000 * 2 * 3))
    assert heard(words) == first


@pytest.mark.embedded
def test_an_utterance_starts_from_the_mean_of_its_own_conversation() -> None:
    words, decoding = clip(), Decoding({})

    def heard(mean: str, pcm: bytes = words) -> str:
        """The mean after an utterance that began with this one."""
        decoding.begin(mean)
        decoding.feed(pcm)
        return decoding.finish()[1]

    mine = heard("")
    after = heard(mine)
    yours = heard("", bytes(16_000 * 2 * 3))
    assert heard(mine) == after, "another conversation's mean was left in the decoder"
    assert heard(yours) != after, "the mean that the conversation brings is not used"


@pytest.mark.embedded
def test_the_decoder_does_not_remove_noise() -> None:
    """What the model's own folder orders overrules the options, and costs every fifth word."""
    assert Decoding({})._decoder.config["remove_noise"] is False


@pytest.mark.embedded
def test_no_vulgar_word_can_be_heard_and_its_neighbours_can() -> None:
    edited = Decoding({})._decoder
    bundled = Path(get_model_path()) / "en-us" / "cmudict-en-us.dict"
    whole = Decoding({"dictionary": str(bundled)})._decoder
    unknown = {word for word in VULGAR if whole.lookup_word(word) is None}
    assert unknown == set(), "the list holds words of the bundled dictionary, and no others"
    assert {word for word in VULGAR if edited.lookup_word(word)} == set()
    assert edited.lookup_word("retarded(2)") is None, "nor in another pronunciation"
    for plain in ("class", "assess", "cocktail", "dickens", "title", "lights"):
        assert edited.lookup_word(plain), plain
