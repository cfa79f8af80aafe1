"""How fast a client may send, and what happens when it is faster."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import pytest

from runtime.clients import SETUP, echo, hold, talks
from support.host_rig import Client, PlainDialect, open_connection
from vivavoce.core.events import ClientInput, TextReceived
from vivavoce.core.messages import SetupComplete, TurnComplete
from vivavoce.domain.audio import INPUT_RATE, AudioChunk, VideoFrame
from vivavoce.runtime.client_input import FrameReader
from vivavoce.runtime.connection import Connection
from vivavoce.runtime.rate_limit import (
    ANSWER_COST_S,
    FREE_AUDIO_S,
    LOOP_BURST_S,
    MAX_EXCESS_S,
    RateLimiter,
    RateLimits,
    TokenBucket,
)
from vivavoce.runtime.turn_metrics import UsageMetering
from vivavoce.testing.virtual_loop import run_virtually

TEN_MS = AudioChunk(bytes(2 * INPUT_RATE // 100))
SECOND = AudioChunk(bytes(2 * INPUT_RATE))


def test_a_bucket_gives_what_it_holds_and_then_as_it_fills() -> None:
    bucket = TokenBucket(10, 20)
    assert bucket.take_tokens(20, 0.0) == 0
    assert bucket.take_tokens(1, 0.0) == pytest.approx(0.1)
    assert bucket.take_tokens(4, 0.0) == pytest.approx(0.5)
    assert bucket.take_tokens(5, 1.0) == 0
    assert bucket.take_tokens(20, 100.0) == 0
    assert bucket.take_tokens(1, 100.0) == pytest.approx(0.1), "it does not hold more than it can"


def position(connection: Connection) -> int:
    return connection._input._audio.position


async def heard_whole(connection: Connection, samples: int) -> float:
    """When everything has been heard, in the loop's time."""
    while position(connection) < samples:  # noqa: ASYNC110 (nothing tells of a position)
        await asyncio.sleep(0.1)
    return asyncio.get_running_loop().time()


def test_small_pieces_in_real_time_are_never_held_up() -> None:
    async def run() -> None:
        client = Client()
        connection = open_connection(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        for number in range(1, 20 * 100 + 1):
            client.say(TEN_MS)
            if number % 10 == 0:
                client.say(VideoFrame(b"jpeg", "image/jpeg"))
            await asyncio.sleep(0.01)
            assert position(connection) == number * INPUT_RATE // 100
        client.leave()
        await running

    run_virtually(run())


def test_what_a_stall_kept_back_is_taken_at_once() -> None:
    async def run() -> None:
        client = Client()
        connection = open_connection(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        await client.until(SetupComplete)
        for _ in range(800):
            client.say(TEN_MS)
        assert await heard_whole(connection, 8 * INPUT_RATE) <= 0.11
        client.leave()
        await running

    run_virtually(run())


def test_a_file_sent_as_fast_as_it_goes_is_heard_whole_at_the_rate_of_the_limit() -> None:
    async def run(seconds: int, speed: float) -> float:
        client = Client()
        connection = open_connection(
            client, echo(), SETUP, rates=RateLimits(audio_speed=speed, loop_share=0)
        )
        running = asyncio.ensure_future(connection.run())
        for _ in range(seconds):
            client.say(SECOND)
        at = await heard_whole(connection, seconds * INPUT_RATE)
        client.leave()
        await running
        return at

    assert run_virtually(run(int(FREE_AUDIO_S), 4.0)) < 0.5
    assert run_virtually(run(int(FREE_AUDIO_S) + 200, 4.0)) == pytest.approx(50, abs=0.5)
    assert run_virtually(run(int(FREE_AUDIO_S) + 200, 0)) < 0.5


def test_one_long_message_counts_like_many_short_ones() -> None:
    async def run() -> float:
        client = Client()
        connection = open_connection(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        client.say(AudioChunk(bytes(2 * INPUT_RATE * 100)))
        at = await heard_whole(connection, 100 * INPUT_RATE)
        client.leave()
        await running
        return at

    assert run_virtually(run()) == pytest.approx(10, abs=0.5)


def turns(count: int, rate: float) -> float:
    """How long it takes until so many turns, sent at once, are answered."""

    async def run() -> float:
        client = Client()
        running = asyncio.ensure_future(
            open_connection(client, talks(), SETUP, rates=RateLimits(rate, loop_share=0)).run()
        )
        for number in range(count):
            client.say(TextReceived(f"turn {number}"))
        await client.until(TurnComplete, count)
        client.leave()
        assert (await running).by_client
        return asyncio.get_running_loop().time()

    return run_virtually(run())


def test_a_burst_of_turns_is_answered_whole() -> None:
    assert turns(100, 100) < 0.01
    assert turns(300, 100) == pytest.approx(2.0, abs=0.1)
    assert turns(300, 0) < 0.01, "0 is no limit"


def test_a_client_that_keeps_sending_too_many_messages_gets_the_reason() -> None:
    async def flood(client: Client) -> None:
        await client.until(SetupComplete)
        for number in range(500):
            client.say(TextReceived(f"turn {number}"))
        await asyncio.sleep(MAX_EXCESS_S * 2)

    client, ending = run_virtually(hold(flood, talks(), rates=RateLimits(20, loop_share=0)))
    assert (ending.code, ending.by_client) == (1008, False)
    assert ending.reason == (
        "More than 20 messages a second for 10 s: send fewer and larger ones, "
        "or raise session.messages_per_s."
    )
    complete = sum(isinstance(message, TurnComplete) for message in client.messages)
    assert 200 <= complete <= 222, "what came before the close was taken at the allowed rate"


class Processor:
    """A clock of processor time that goes as a test says."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_costly_messages_take_a_share_of_the_loop_and_no_more() -> None:
    async def run(share: float) -> float:
        processor = Processor()
        rates = RateLimiter(RateLimits(0, 0, share), processor)
        for _ in range(10):
            with rates.loop.working():
                processor.now += 0.125
            await rates.loop.repay()
        return asyncio.get_running_loop().time()

    assert run_virtually(run(0.1)) == pytest.approx((10 * 0.125 - LOOP_BURST_S) / 0.1)
    assert run_virtually(run(0)) == 0


def test_answers_count_as_work() -> None:
    async def run() -> float:
        rates = RateLimiter(RateLimits(0, 0, 0.1), Processor())
        for _ in range(1000):
            rates.loop.count_work(ANSWER_COST_S)
            await rates.loop.repay()
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == pytest.approx((1000 * ANSWER_COST_S - LOOP_BURST_S) / 0.1)


def test_work_that_fails_counts_too() -> None:
    async def run() -> float:
        processor = Processor()
        rates = RateLimiter(RateLimits(0, 0, 0.5), processor)
        with suppress(KeyError), rates.loop.working():
            processor.now += 1.25
            raise KeyError
        await rates.loop.repay()
        await rates.loop.repay()
        return asyncio.get_running_loop().time()

    assert run_virtually(run()) == pytest.approx((1.25 - LOOP_BURST_S) / 0.5)


def test_work_of_another_thread_counts_once_the_loop_adds_it() -> None:
    async def run() -> tuple[float, float]:
        processor = Processor()
        rates, clock = (
            RateLimiter(RateLimits(0, 0, 0.5), processor),
            asyncio.get_running_loop().time,
        )

        def work() -> str:
            processor.now += 1.25
            return "done"

        result, taken_s = rates.loop.measure(work)
        assert result == "done"
        await rates.loop.repay()
        measured_at = clock()
        rates.loop.count_work(taken_s)
        await rates.loop.repay()
        return measured_at, clock()

    measured_at, counted_at = run_virtually(run())
    assert measured_at == 0
    assert counted_at == pytest.approx((1.25 - LOOP_BURST_S) / 0.5)


class Heavy(PlainDialect):
    """Says that every frame takes long to be read; it is read in another thread."""

    def __init__(self, processor: Processor) -> None:
        super().__init__()
        self.processor = processor

    def is_light(self, frame: bytes | str) -> bool:
        return False

    def decode(self, frame: bytes | str) -> Sequence[ClientInput]:
        self.processor.now += 0.125
        return super().decode(frame)


def reading_s(client: Client, rates: RateLimiter, frames: int) -> float:
    """How long it takes to read so many frames."""

    async def run() -> float:
        reader = FrameReader(
            client, client.dialect, UsageMetering(None), rates, lambda chunk: False
        )
        for _ in range(frames):
            await reader.read_frame()
        return asyncio.get_running_loop().time()

    return run_virtually(run())


def test_a_frame_that_is_read_in_a_thread_takes_of_the_share() -> None:
    processor, client = Processor(), Client()
    client.dialect = Heavy(processor)
    for number in range(10):
        client.say(TextReceived(f"turn {number}"))
    rates = RateLimiter(RateLimits(0, 0, 0.1), processor)
    assert reading_s(client, rates, 10) == pytest.approx((10 * 0.125 - LOOP_BURST_S) / 0.1)


@pytest.mark.parametrize(
    ("said", "counts"), [([TEN_MS], 0.1), ([TEN_MS, TextReceived("a")], 1), ([], 1)]
)
def test_only_sound_counts_a_tenth_of_a_message(said: list[ClientInput], counts: float) -> None:
    client = Client()
    for _ in range(60):
        client.say(*said)
    expected = max(0.0, (60 * counts - 10) / 10)
    assert reading_s(client, RateLimiter(RateLimits(10, 0, 0)), 60) == pytest.approx(expected)
