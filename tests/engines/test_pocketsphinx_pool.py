"""The recognizer port on worker processes: the pool with workers that misbehave."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest

from vivavoce.engines.pocketsphinx.pool import Pool, PoolSettings
from vivavoce.engines.pocketsphinx.recognizer import BUFFER_BYTES, PocketsphinxRecognizer
from vivavoce.engines.pocketsphinx.recognizer import create as build
from vivavoce.engines.ports import RecognitionOptions
from vivavoce.errors import ConfigError, EngineBusy, EngineError

BAD_WORKER = (sys.executable, str(Path(__file__).parent / "bad_worker.py"))


def sound(letters: str) -> bytes:
    """What the misbehaving worker hears as these letters."""
    return letters.encode("utf-16-le")


def pool(
    *, workers: int = 1, most: int = 1, wait_s: float = 30.0, deadline_s: float = 30.0
) -> Pool:
    return Pool(
        PoolSettings(BAD_WORKER, b"{}", workers, most, wait_s=wait_s, deadline_s=deadline_s)
    )


async def opened(pool: Pool) -> PocketsphinxRecognizer:
    await pool.open()
    return PocketsphinxRecognizer(pool)


async def say(recognizer: PocketsphinxRecognizer, letters: str) -> tuple[int, str]:
    """One utterance in a conversation of its own: which process heard it, and what."""
    async with recognizer.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(sound(letters))
        pid, text = (await utterance.finish()).split(":")
        return int(pid), text


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop run until it is so."""
    async with asyncio.timeout(30):
        while not holds():  # noqa: ASYNC110, the pool has no event for it, and needs none
            await asyncio.sleep(0)


def workers_here() -> list[psutil.Process]:
    """The worker processes that this one has."""
    children = psutil.Process().children()
    return [child for child in children if "bad_worker.py" in " ".join(child.cmdline())]


@pytest.fixture
async def one() -> AsyncIterator[PocketsphinxRecognizer]:
    """A recognizer of a single worker."""
    recognizer = await opened(pool())
    yield recognizer
    await recognizer.aclose()


async def test_sound_arrives_whole_and_in_order(one: PocketsphinxRecognizer) -> None:
    async with one.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(sound("ab"))
        assert await utterance.hypothesis() == "ab"
        await utterance.feed(sound("x" * 30_000))
        await utterance.feed(sound("yz"))
        assert (await utterance.finish()).endswith(":ab" + "x" * 30_000 + "yz")


async def test_what_a_voice_taught_stays_with_its_conversation(
    one: PocketsphinxRecognizer,
) -> None:
    mine, yours = one.open(RecognitionOptions()), one.open(RecognitionOptions())
    for _ in range(2):
        async with mine.utterance() as utterance:
            await utterance.finish()
    async with yours.utterance() as utterance:
        await utterance.finish()
    assert (mine.mean, yours.mean) == ("mm", "m")


@pytest.mark.parametrize("misdeed", "CEGL")
async def test_a_worker_that_goes_wrong_costs_one_utterance(
    misdeed: str, one: PocketsphinxRecognizer
) -> None:
    before, _ = await say(one, "a")
    with pytest.raises(EngineError, match=r"recognizer\.pocketsphinx"):
        await say(one, f"b{misdeed}")
    after, text = await say(one, "c")
    assert text == "c"
    assert after != before


async def test_a_worker_that_hangs_is_given_up_after_the_deadline() -> None:
    recognizer = await opened(pool(deadline_s=3.0))
    before, _ = await say(recognizer, "a")
    with pytest.raises(EngineError, match="did not answer within 3 s"):
        await say(recognizer, "H")
    assert (await say(recognizer, "b"))[1] == "b"
    assert not psutil.pid_exists(before)
    await recognizer.aclose()


async def test_an_utterance_that_failed_says_so_every_time(one: PocketsphinxRecognizer) -> None:
    async with one.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(sound("C"))
        with pytest.raises(EngineError):
            await utterance.hypothesis()
        with pytest.raises(EngineError):
            await utterance.feed(sound("a"))
        with pytest.raises(EngineError):
            await utterance.finish()


async def test_an_abandoned_utterance_frees_its_worker(one: PocketsphinxRecognizer) -> None:
    before, _ = await say(one, "a")
    recognition = one.open(RecognitionOptions())
    async with recognition.utterance() as utterance:
        await utterance.feed(sound("bcd"))
    assert await say(one, "e") == (before, "e"), "the same worker, and nothing left of before"
    assert recognition.mean == "", "an abandoned utterance teaches nothing"


async def test_a_cancelled_question_leaves_the_utterance_usable(
    one: PocketsphinxRecognizer,
) -> None:
    async with one.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(sound("ab"))
        asking = asyncio.ensure_future(utterance.hypothesis())
        await asyncio.sleep(0)
        asking.cancel()
        await utterance.feed(sound("c"))
        assert await utterance.hypothesis() == "abc"
        assert (await utterance.finish()).endswith(":abc")


async def test_who_finds_all_workers_busy_is_heard_when_one_is_free(
    one: PocketsphinxRecognizer,
) -> None:
    async with one.open(RecognitionOptions()).utterance() as first:
        await first.feed(sound("a"))
        await first.hypothesis()
        second = asyncio.ensure_future(say(one, "later"))
        await first.feed(sound("b"))
        assert (await first.finish()).endswith(":ab")
        assert (await second)[1] == "later"


async def test_who_waits_too_long_is_told_that_all_are_busy() -> None:
    recognizer = await opened(pool(wait_s=0.2))
    async with recognizer.open(RecognitionOptions()).utterance() as first:
        await first.feed(sound("a"))
        await first.hypothesis()
        with pytest.raises(EngineBusy, match="all 1 workers were busy"):
            await say(recognizer, "b")
        assert (await first.finish()).endswith(":a")
    await recognizer.aclose()


async def test_the_buffer_of_who_waits_is_bounded(one: PocketsphinxRecognizer) -> None:
    async with one.open(RecognitionOptions()).utterance() as first:
        await first.hypothesis()
        async with one.open(RecognitionOptions()).utterance() as second:
            await second.feed(bytes(BUFFER_BYTES))
            more = asyncio.ensure_future(second.feed(bytes(2)))
            done, _ = await asyncio.wait([more], timeout=0.05)
            assert not done, "a minute is held, and not a sample more"
            await first.finish()
            await more
            assert (await second.finish()).endswith(f":{BUFFER_BYTES // 2 + 1} samples")


async def test_more_workers_come_with_a_crowd_and_go_with_it() -> None:
    crowd = Pool(PoolSettings(BAD_WORKER, b"{}", workers=1, most=3, idle_s=0.0))
    recognizer = await opened(crowd)
    assert crowd.workers == 1
    async with recognizer.open(RecognitionOptions()).utterance() as first:
        await first.hypothesis()
        async with recognizer.open(RecognitionOptions()).utterance() as second:
            await second.hypothesis()
            assert crowd.workers == 2
            await second.finish()
        await first.finish()
    await until(lambda: crowd.workers == 1)
    assert (await say(recognizer, "a"))[1] == "a"
    await recognizer.aclose()


async def test_a_conversation_that_ends_in_line_leaves_no_worker_behind() -> None:
    crowd = pool()
    recognizer = await opened(crowd)
    async with recognizer.open(RecognitionOptions()).utterance() as first:
        await first.hypothesis()
        async with recognizer.open(RecognitionOptions()).utterance() as second:
            await second.feed(sound("never mind"))
            await until(lambda: crowd.waiting == 1)
        await first.finish()
    assert (await say(recognizer, "a"))[1] == "a"
    assert crowd.waiting == 0
    await recognizer.aclose()


async def test_closing_ends_every_process_and_every_wait() -> None:
    recognizer = await opened(pool(workers=2, most=2))
    running = workers_here()
    assert len(running) == 2
    async with recognizer.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(sound("H"))
        asking = asyncio.ensure_future(utterance.finish())
        await asyncio.sleep(0)
        await recognizer.aclose()
        with pytest.raises(EngineError):
            await asking
    assert not any(child.is_running() for child in running)
    with pytest.raises(EngineError, match="closed"):
        await say(recognizer, "a")


async def test_a_worker_that_cannot_load_is_said_at_the_start() -> None:
    with pytest.raises(EngineError, match="no model"):
        await Pool(PoolSettings(BAD_WORKER, b"refuse", workers=2)).open()
    with pytest.raises(EngineError, match="can't be started"):
        await Pool(PoolSettings(("/does/not/exist",), b"{}")).open()


async def test_a_start_that_is_left_leaves_no_process_behind(tmp_path: Path) -> None:
    loaded = tmp_path / "loaded"
    crowd = Pool(PoolSettings(BAD_WORKER, f"one at {loaded}".encode(), workers=2, most=2))
    opening = asyncio.ensure_future(crowd.open())
    await until(loaded.exists)
    for _ in range(20):  # its answer lies in the pipe; these let the pool read it
        await asyncio.sleep(0)
    running = workers_here()
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    assert len(running) == 2
    assert workers_here() == []


async def test_half_a_sample_is_refused(one: PocketsphinxRecognizer) -> None:
    async with one.open(RecognitionOptions()).utterance() as utterance:
        with pytest.raises(ValueError, match="whole number of samples"):
            await utterance.feed(b"abc")


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"beam": 3}, "knows no setting 'beam'"),
        ({"workers": "two"}, "workers is 'two'"),
        ({"workers": -1}, "workers is -1"),
        ({"dictionary": "/does/not/exist"}, "there is no '/does/not/exist'"),
    ],
)
async def test_bad_settings_are_named(settings: dict[str, object], sentence: str) -> None:
    with pytest.raises(ConfigError, match=sentence):
        await build(settings)
