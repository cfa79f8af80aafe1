"""One connection in virtual time: clients of every kind, engines of every temper."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress

import pytest

from vivavoce.core.effects import Effect
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioStreamEnded,
    Event,
    TextReceived,
)
from vivavoce.core.messages import (
    GenerationComplete,
    GoAway,
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    OutputTranscript,
    SetupComplete,
    TurnComplete,
)
from vivavoce.core.session import LiveSession
from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, AudioChunk, VideoFrame, samples
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import ActivityDetection, RealtimeInput, SessionSetup, Transcription
from vivavoce.engines.cascade import Cascade
from vivavoce.engines.ports import RecognitionOptions, RecognizerCapabilities, Responder, Speech
from vivavoce.engines.scripted.echo import EchoModel
from vivavoce.engines.scripted.energy import EnergyDetector
from vivavoce.engines.scripted.sound import hear, say
from vivavoce.engines.scripted.tones import TonesSynthesizer
from vivavoce.errors import EngineError
from vivavoce.runtime.connection import RELEASE_S, Connection, Ending
from vivavoce.runtime.mailbox import CROWDED
from vivavoce.runtime.outbox import PATIENCE_S, SLOW_CLIENT
from vivavoce.runtime.report import Outcome, TurnReport
from vivavoce.testing.loop import run_virtually
from vivavoce.testing.stage import (
    Client,
    Fail,
    Hang,
    Pause,
    ScriptedResponder,
    Step,
    stage,
)

SETUP = SessionSetup(
    "models/scripted",
    input_transcription=Transcription(),
    output_transcription=Transcription(),
)
MANUAL = SessionSetup(
    "models/scripted", realtime=RealtimeInput(detection=ActivityDetection(disabled=True))
)
HELLO = say("hello world", INPUT_RATE)
SILENCE = bytes(2 * INPUT_RATE)


def echo() -> Responder:
    return Cascade(EchoModel(), TonesSynthesizer())


def speech(seconds: float, text: str = "") -> Speech:
    return Speech(b"\1\0" * samples(seconds, OUTPUT_RATE), text)


def talks(*steps: Step, stubborn: bool = False) -> ScriptedResponder:
    return ScriptedResponder(lambda request: steps, stubborn)


async def stream(client: Client, pcm: bytes, chunk_s: float = 0.1) -> None:
    """Send `pcm` as a microphone does."""
    size = 2 * samples(chunk_s)
    for at in range(0, len(pcm), size):
        client.say(AudioChunk(pcm[at : at + size]))
        await asyncio.sleep(chunk_s)


Act = Callable[[Client], Awaitable[None]]


async def hold(
    act: Act, responder: Responder, client: Client | None = None, **options: object
) -> tuple[Client, Ending]:
    """Run a connection while the client acts; the client leaves when it has acted."""
    client = client or Client()
    connection = stage(client, responder, **{"setup": SETUP, **options})  # type: ignore[arg-type]
    running = asyncio.ensure_future(connection.run())
    await act(client)
    client.leave()
    ending = await running
    if not (isinstance(responder, ScriptedResponder) and responder.stubborn):
        assert asyncio.all_tasks() == {asyncio.current_task()}, "a task was left behind"
    return client, ending


def played(act: Act, responder: Responder, **options: object) -> Client:
    return run_virtually(hold(act, responder, **options))[0]  # type: ignore[arg-type]


def kinds(client: Client) -> list[type[Message]]:
    """The kinds of messages in order, repetitions taken together."""
    order: list[type[Message]] = []
    for message in client.messages:
        if not order or order[-1] is not type(message):
            order.append(type(message))
    return order


# --- a conversation ------------------------------------------------------------------------


async def speak_and_listen(client: Client) -> None:
    await stream(client, SILENCE + HELLO + SILENCE)
    await client.until(TurnComplete)


def test_what_was_said_is_answered_in_speech() -> None:
    client = played(speak_and_listen, echo())
    assert isinstance(client.messages[0], SetupComplete)
    assert [m.text for m in client.messages if isinstance(m, InputTranscript)] == ["hello world"]
    assert hear(client.pcm, OUTPUT_RATE) == "hello world"
    assert kinds(client)[-2:] == [GenerationComplete, TurnComplete]


def test_turn_complete_waits_until_the_answer_was_played() -> None:
    client = played(speak_and_listen, echo())
    first = next(when for when, message in client.heard if isinstance(message, ModelAudio))
    complete = client.heard[-1][0]
    assert complete - first == pytest.approx(len(client.pcm) / 2 / OUTPUT_RATE, abs=0.05)


def test_each_turn_is_reported_with_its_parts() -> None:
    class Listener:
        def __init__(self) -> None:
            self.reports: list[TurnReport] = []

        def turn_done(self, report: TurnReport) -> None:
            self.reports.append(report)

    def slowly(request: GenerationRequest) -> Sequence[Step]:
        return [Pause(0.2), speech(1.0, "Hello.")]

    listener = Listener()
    played(speak_and_listen, ScriptedResponder(slowly), listener=listener)
    (report,) = listener.reports
    assert report.outcome is Outcome.COMPLETE
    assert report.llm_first_token_s == pytest.approx(0.2)
    assert report.endpointing_s is not None
    assert 0.4 < report.endpointing_s < 1.1
    assert report.total_s == pytest.approx(report.endpointing_s + 0.2, abs=0.01)
    assert report.spoken_s == pytest.approx(1.0)


def test_typed_text_is_answered_without_a_microphone() -> None:
    async def type_text(client: Client) -> None:
        client.say(TextReceived("good morning"))
        await client.until(TurnComplete)

    assert hear(played(type_text, echo()).pcm, OUTPUT_RATE) == "good morning"


def test_with_manual_activity_the_turn_is_what_lies_between_the_signals() -> None:
    async def press_and_release(client: Client) -> None:
        client.say(AudioChunk(say("unheard", INPUT_RATE)))
        client.say(ActivityStarted(0))
        client.say(AudioChunk(HELLO))
        client.say(ActivityEnded(0))
        await client.until(TurnComplete)

    client = played(press_and_release, echo(), setup=MANUAL)
    assert hear(client.pcm, OUTPUT_RATE) == "hello world"


def test_a_clip_without_silence_is_answered_when_the_stream_ends() -> None:
    async def send_clip(client: Client) -> None:
        client.say(AudioChunk(HELLO))
        client.say(AudioStreamEnded(0))
        await client.until(TurnComplete)
        assert asyncio.get_running_loop().time() < 1.0

    assert hear(played(send_clip, echo()).pcm, OUTPUT_RATE) == "hello world"


def test_a_clip_is_answered_although_the_client_just_stops_sending() -> None:
    async def send_clip(client: Client) -> None:
        client.say(AudioChunk(HELLO))
        await client.until(TurnComplete)

    assert hear(played(send_clip, echo()).pcm, OUTPUT_RATE) == "hello world"


# --- clients of every kind -----------------------------------------------------------------


def test_ten_seconds_in_one_message_are_heard_in_their_own_time() -> None:
    async def burst(client: Client) -> None:
        client.say(AudioChunk(SILENCE * 3 + HELLO + SILENCE * 3 + say("again", INPUT_RATE)))
        client.say(AudioChunk(SILENCE * 2))
        await client.until(InputTranscript, 2)

    client = played(burst, echo())
    transcripts = [m.text for m in client.messages if isinstance(m, InputTranscript)]
    assert transcripts == ["hello world", "again"]


def test_a_long_message_does_not_keep_others_from_their_turn() -> None:
    async def burst() -> None:
        client = Client()
        connection = stage(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        client.say(AudioChunk(SILENCE * 60))
        turns = 0
        while connection._hearing._intake.position < 60 * INPUT_RATE:
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 100
        client.leave()
        await running

    run_virtually(burst())


def test_one_byte_frames_are_heard() -> None:
    async def drip(client: Client) -> None:
        pcm = say("hi", INPUT_RATE) + bytes(INPUT_RATE)
        for at in range(len(pcm)):
            client.say(AudioChunk(pcm[at : at + 1]))
        client.say(AudioStreamEnded(0))
        await client.until(TurnComplete)

    assert hear(played(drip, echo()).pcm, OUTPUT_RATE) == "hi"


def test_a_flood_of_messages_does_not_keep_others_from_their_turn() -> None:
    async def flood() -> None:
        client = Client()
        running = asyncio.ensure_future(stage(client, talks(), SETUP).run())
        await client.until(SetupComplete)
        for _ in range(2_000):
            client.say(VideoFrame(b"", "image/png"), ActivityEnded(0))
        client.leave()
        turns = 0
        while not running.done():
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 2_000 // CROWDED

    run_virtually(flood())


def test_minutes_of_silence_mean_nothing_and_hold_nothing() -> None:
    async def be_silent() -> None:
        client = Client()
        connection = stage(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        await stream(client, SILENCE * 180)
        held = connection._hearing._intake
        assert held.position - held.oldest < 3 * INPUT_RATE
        assert kinds(client) == [SetupComplete]
        client.leave()
        await running

    run_virtually(be_silent())


def test_a_client_that_never_reads_is_closed() -> None:
    async def never_read(client: Client) -> None:
        await client.until(SetupComplete)
        client.stop_reading()
        client.say(TextReceived("hello"))
        await asyncio.sleep(PATIENCE_S + 1)

    client, ending = run_virtually(hold(never_read, talks(speech(60.0))))
    assert (ending.code, ending.reason) == (1008, SLOW_CLIENT)
    assert client.closed == (1008, SLOW_CLIENT)


def test_a_slow_client_slows_the_engine_and_loses_nothing() -> None:
    async def read_slowly(client: Client) -> None:
        client.read_s = 0.2
        client.say(TextReceived("hello"))
        await client.until(TurnComplete)

    client = played(read_slowly, talks(*[speech(1.0, f" {n}") for n in range(40)]))
    assert len(client.pcm) == 40 * OUTPUT_RATE * 2
    words = "".join(m.text for m in client.messages if isinstance(m, OutputTranscript))
    assert words.split() == [str(n) for n in range(40)]


def test_a_client_that_vanishes_in_mid_turn_leaves_nothing_behind() -> None:
    responder = talks(speech(1.0), Hang())

    async def vanish(client: Client) -> None:
        client.say(TextReceived("hello"))
        await client.until(ModelAudio)

    client, ending = run_virtually(hold(vanish, responder))
    assert ending.by_client
    assert responder.cancelled == 1
    assert responder.released == ["session-1"]
    assert client.closed is None


def test_a_client_that_breaks_the_protocol_is_closed_with_the_faults_own_words() -> None:
    responder = talks(speech(1.0), Hang())

    async def misbehave(client: Client) -> None:
        client.say(TextReceived("hello"))
        await client.until(ModelAudio)
        client.misbehave(1007, "Request contains an invalid argument.")
        await asyncio.sleep(1)

    client, ending = run_virtually(hold(misbehave, responder))
    assert client.closed == (1007, "Request contains an invalid argument.")
    assert not ending.by_client
    assert responder.released == ["session-1"]


def test_an_oversized_video_frame_is_the_clients_fault() -> None:
    async def show(client: Client) -> None:
        client.say(VideoFrame(bytes(9 * 2**20), "image/png"))
        await asyncio.sleep(1)

    client = played(show, echo())
    assert client.closed is not None
    assert client.closed[0] == 1007


def test_a_draining_server_says_so_and_closes_in_time() -> None:
    async def drained() -> Client:
        client = Client()
        connection = stage(client, talks(speech(60.0)), SETUP)
        running = asyncio.ensure_future(connection.run())
        client.say(TextReceived("good morning"))
        await client.until(ModelAudio)
        connection.drain(5.0)
        await running
        assert asyncio.get_running_loop().time() == pytest.approx(5.0, abs=0.1)
        return client

    client = run_virtually(drained())
    assert GoAway(5.0) in client.messages
    assert client.closed is not None


# --- barge-in ------------------------------------------------------------------------------


async def interrupt(client: Client) -> None:
    """Ask, then speak over the answer."""
    client.say(TextReceived("tell me a story"))
    await client.until(ModelAudio)
    await stream(client, HELLO + SILENCE)
    await client.until(TurnComplete, 2)


def story(request: GenerationRequest) -> Sequence[Step]:
    if len(request.history) == 1:
        return [part for n in range(80) for part in (speech(0.5, f" old{n}"), Pause(0.05))]
    return [speech(0.5, "new")]


def test_polite_and_stubborn_engines_give_the_client_the_same() -> None:
    polite = played(interrupt, ScriptedResponder(story))
    responder = ScriptedResponder(story, stubborn=True)
    stubborn = played(interrupt, responder)
    assert stubborn.heard == polite.heard
    assert responder.cancelled > 0
    assert Interrupted() in polite.messages


def test_nothing_of_the_old_answer_comes_after_interrupted() -> None:
    client = played(interrupt, ScriptedResponder(story))
    after = client.messages[client.messages.index(Interrupted()) :]
    assert not [m for m in after if isinstance(m, OutputTranscript) and "old" in m.text]
    assert [type(m) for m in after[:2]] == [Interrupted, TurnComplete]
    assert len(b"".join(m.pcm for m in after if isinstance(m, ModelAudio))) == OUTPUT_RATE


def test_interrupted_overtakes_sound_that_waits_for_a_slow_client() -> None:
    async def interrupt_slowly(client: Client) -> None:
        client.read_s = 0.5
        client.say(TextReceived("tell me a story"))
        await client.until(ModelAudio)
        await stream(client, HELLO + SILENCE)
        await client.until(Interrupted)

    client = played(interrupt_slowly, ScriptedResponder(story))
    heard_s = len(client.pcm) / 2 / OUTPUT_RATE
    assert heard_s < 1.0, "queued sound was still sent"


# --- engines of every temper ---------------------------------------------------------------


def answer_after(failing: Sequence[Step]) -> ScriptedResponder:
    """Fails the first time, answers the second."""

    def script(request: GenerationRequest) -> Sequence[Step]:
        return failing if len(responder.requests) == 1 else [speech(0.2, "ok")]

    responder = ScriptedResponder(script)
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
        running = asyncio.ensure_future(stage(client, responder, SETUP).run())
        client.say(TextReceived("hello"))
        await client.until(ModelAudio)
        client.leave()
        left_at = asyncio.get_running_loop().time()
        await running
        assert asyncio.get_running_loop().time() - left_at < 5

    run_virtually(vanish())
    assert responder.released == ["session-1"]


def test_a_dead_detector_closes_the_session_and_says_why_in_the_log(
    caplog: pytest.LogCaptureFixture,
) -> None:
    class Dead(EnergyDetector):
        def score(
            self, frames: Sequence[bytes], states: Sequence[None]
        ) -> Sequence[tuple[float, None]]:
            raise EngineError("detector", "dead")

    async def speak(client: Client) -> None:
        client.say(AudioChunk(HELLO))
        await asyncio.sleep(1)

    client = played(speak, echo(), detector=Dead())
    assert client.closed == (1011, "Internal error encountered.")
    assert "detector: dead" in caplog.text


def test_a_bug_in_the_core_closes_with_1011_and_spares_the_process(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    handle = LiveSession.handle

    def broken(self: LiveSession, event: Event, now: float) -> list[Effect]:
        handle(self, event, now)
        raise RuntimeError("a bug")

    monkeypatch.setattr(LiveSession, "handle", broken)

    async def say_hello(client: Client) -> None:
        client.say(TextReceived("hello"))
        await asyncio.sleep(1)

    responder = talks(speech(1.0))
    client = played(say_hello, responder)
    assert client.closed == (1011, "Internal error encountered.")
    assert responder.released == ["session-1"]
    assert "RuntimeError: a bug" in caplog.text
    assert "TextReceived" in caplog.text, "the flight recorder was not kept"


class Clinging(ScriptedResponder):
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
        running = asyncio.ensure_future(stage(client, responder).run())
        await asyncio.sleep(1)
        client.leave()
        await running
        gone = asyncio.get_running_loop().time()
        assert responder.released == ["session-1"]
        await asyncio.sleep(3700)
        return gone

    assert run_virtually(leave()) <= 1 + RELEASE_S + 0.1
    assert "engine does not let go: engine=responder" in caplog.text


# --- leaving no trace ----------------------------------------------------------------------


def test_cancelled_at_any_moment_nothing_is_left_behind() -> None:
    """The connection's task is cancelled after the n-th turn of the loop, for every n."""

    async def cancel_after(turns: int) -> bool:
        client = Client()
        responder = talks(speech(0.3, "one two"), Pause(0.0), speech(0.3, " three"))
        connection = stage(client, responder, SETUP)
        running = asyncio.ensure_future(connection.run())
        acting = asyncio.ensure_future(_act_for_sweep(client))
        for _ in range(turns):
            await asyncio.sleep(0)
        finished = acting.done()
        running.cancel()
        await asyncio.wait({running})
        acting.cancel()
        await asyncio.wait({acting})
        await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}
        # A task that was cancelled before its first step never held anything.
        assert responder.released == (["session-1"] if turns else [])
        return finished

    turns = 0
    while not run_virtually(cancel_after(turns)):
        turns += 1
        assert turns < 400
    assert turns > 20


async def _act_for_sweep(client: Client) -> None:
    client.say(TextReceived("tell me a story"))
    client.say(AudioChunk(say("hi", INPUT_RATE)))
    client.say(AudioStreamEnded(0))
    for _ in range(40):
        await asyncio.sleep(0)


def run_all(*coroutines: Coroutine[None, None, None]) -> None:
    async def together() -> None:
        await asyncio.gather(*coroutines)

    run_virtually(together())


def test_conversations_side_by_side_do_not_hear_each_other() -> None:
    async def converse(words: str) -> None:
        client = Client()
        connection: Connection = stage(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        await stream(client, say(words, INPUT_RATE) + SILENCE)
        await client.until(TurnComplete)
        client.leave()
        await running
        assert hear(client.pcm, OUTPUT_RATE) == words

    run_all(*(converse(f"I am number {n}") for n in range(10)))


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

    async def hypothesis(self) -> str:
        return f"{self.seconds:.0f} seconds"

    async def finish(self) -> str:
        return f"{self.seconds:.0f} seconds"


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
