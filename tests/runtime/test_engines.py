"""One connection in virtual time, with engines of every temper."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from runtime.clients import HELLO, SETUP, SILENCE, echo, played, speech, talks
from support.host_rig import Client, Fail, Hang, Pause, Step, StepResponder, open_connection
from vivavoce.core.effects import Effect
from vivavoce.core.events import Event, TextReceived
from vivavoce.core.messages import InputTranscript, ModelAudio, OutputTranscript, TurnComplete
from vivavoce.core.session import LiveSession
from vivavoce.domain.audio import INPUT_RATE, AudioChunk
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import RecognitionOptions, RecognizerCapabilities, Transcript
from vivavoce.engines.scripted import EnergyDetector
from vivavoce.errors import EngineError
from vivavoce.runtime.connection import RELEASE_TIMEOUT_S
from vivavoce.testing.virtual_loop import run_virtually


def answer_after(failing: Sequence[Step]) -> StepResponder:
    """Fails the first time, answers the second."""

    def script(request: GenerationRequest) -> Sequence[Step]:
        return failing if len(responder.requests) == 1 else [speech(0.2, "ok")]

    responder = StepResponder(script)
    return responder


async def ask_twice(client: Client) -> None:
    client.say(TextReceived("hello"))
    await client.until(TurnComplete)
    client.say(TextReceived("and again"))
    await client.until(TurnComplete, 2)


@pytest.mark.parametrize(
    "failing",
    [
        [Fail(EngineError("model", "out of memory"))],
        [speech(0.3), Fail(EngineError("model", "out of memory"))],
        [Fail(ZeroDivisionError())],
        [Fail(ExceptionGroup("two tasks", [EngineError("voice", "mute")]))],
        [Fail(asyncio.CancelledError())],
        [Hang()],
        [speech(0.3), Hang()],
    ],
)
def test_a_failing_engine_ends_the_turn_and_not_the_session(failing: Sequence[Step]) -> None:
    client = played(ask_twice, answer_after(failing))
    assert client.closed is None
    words = "".join(m.text for m in client.messages if isinstance(m, OutputTranscript))
    assert words == "ok"


def test_an_engine_that_ignores_cancellation_does_not_hold_the_connection() -> None:
    responder = talks(speech(1.0), *[Pause(1.0)] * 100, stubborn=True)

    async def vanish() -> None:
        client = Client()
        running = asyncio.ensure_future(open_connection(client, responder, SETUP).run())
        client.say(TextReceived("hello"))
        await client.until(ModelAudio)
        client.leave()
        left_at = asyncio.get_running_loop().time()
        await running
        assert asyncio.get_running_loop().time() - left_at < 5

    run_virtually(vanish())
    assert responder.released == ["session-1"]


def test_a_dead_detector_ends_what_can_only_be_heard_and_says_why_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Dead(EnergyDetector):
        def score(
            self, frames: Sequence[bytes], states: Sequence[None]
        ) -> Sequence[tuple[float, None]]:
            raise EngineError("detector", "dead")

    async def speak(client: Client) -> None:
        client.say(AudioChunk(HELLO))
        client.say(TextReceived("and typed"))
        await client.until(TurnComplete)
        for _ in range(11):
            client.say(AudioChunk(bytes(2 * INPUT_RATE)))
        await asyncio.sleep(1)

    client = played(speak, echo(), detector=Dead())
    assert client.closed == (1011, "Internal error encountered.")
    assert "detector: dead" in caplog.text


def test_a_bug_in_the_core_closes_with_1011_and_spares_the_process(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = LiveSession.handle_event

    def broken(self: LiveSession, event: Event, now: float) -> list[Effect]:
        handle(self, event, now)
        raise RuntimeError("a bug")

    monkeypatch.setattr(LiveSession, "handle_event", broken)

    async def say_hello(client: Client) -> None:
        client.say(TextReceived("hello"))
        await asyncio.sleep(1)

    responder = talks(speech(1.0))
    client = played(say_hello, responder)
    assert client.closed == (1011, "Internal error encountered.")
    assert responder.released == ["session-1"]
    assert "RuntimeError: a bug" in caplog.text
    (broke,) = [vars(each) for each in caplog.records if each.message == "session broke"]
    assert any("TextReceived" in line for line in broke["events"])


class Clinging(StepResponder):
    """Does not let go of a conversation, whatever is said to it."""

    async def release(self, session: str) -> None:
        await super().release(session)
        loop = asyncio.get_running_loop()
        until = loop.time() + 3600
        while (left := until - loop.time()) > 0:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(left)


def test_a_connection_does_not_wait_for_an_engine_that_will_not_let_go(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def leave() -> float:
        client, responder = Client(), Clinging(lambda request: [])
        running = asyncio.ensure_future(open_connection(client, responder).run())
        await asyncio.sleep(1)
        client.leave()
        await running
        gone = asyncio.get_running_loop().time()
        assert responder.released == ["session-1"]
        await asyncio.sleep(3700)
        return gone

    assert run_virtually(leave()) <= 1 + RELEASE_TIMEOUT_S + 0.1
    held = [
        vars(each)
        for each in caplog.records
        if each.message == "engine does not release the conversation"
    ]
    assert [each["engine"] for each in held] == ["responder"]


# --- a recognizer slower than its client --------------------------------------------------------


class SlowEar:
    """Understands how many seconds it was fed, at `speed` times real time."""

    capabilities = RecognizerCapabilities(streaming=True, languages=())

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def open(self, options: RecognitionOptions) -> SlowEar:
        return self

    @asynccontextmanager
    async def utterance(self) -> AsyncIterator[SlowUtterance]:
        yield SlowUtterance(self.speed)

    async def aclose(self) -> None:
        """Holds nothing."""


class SlowUtterance:
    def __init__(self, speed: float) -> None:
        self.speed = speed
        self.seconds = 0.0

    async def feed(self, pcm: bytes) -> None:
        self.seconds += len(pcm) / 2 / INPUT_RATE
        await asyncio.sleep(len(pcm) / 2 / INPUT_RATE / self.speed)

    async def hypothesis(self) -> Transcript:
        return Transcript(f"{self.seconds:.0f} seconds")

    async def pause(self) -> Transcript:
        return await self.hypothesis()

    async def finish(self) -> Transcript:
        return await self.hypothesis()


def hum(seconds: int) -> bytes:
    return (b"\0\x20" * 20 + b"\0\xe0" * 20) * (400 * seconds)


@pytest.mark.parametrize(
    ("speed", "seconds", "pauses"), [(4.0, 300, 0), (0.5, 90, 0), (4.0, 20, 11), (0.5, 700, 0)]
)
def test_a_file_sent_at_once_is_heard_whole_by_a_slow_recognizer(
    speed: float, seconds: int, pauses: int
) -> None:
    async def send_file(client: Client) -> None:
        client.say(AudioChunk((hum(seconds) + SILENCE) * (pauses + 1)))
        await client.until(TurnComplete)

    client = played(send_file, talks(speech(0.1, "ok")), recognizer=SlowEar(speed))
    heard = [m.text for m in client.messages if isinstance(m, InputTranscript)]
    assert len(heard) == pauses + 1
    assert all(int(text.split()[0]) in (seconds, seconds + 1) for text in heard)
    (complete,) = [m for m in client.messages if isinstance(m, TurnComplete)]
    assert complete.reason is None
