"""One connection in virtual time: it converses, is interrupted, and leaves no trace."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from itertools import pairwise

import pytest

from runtime.clients import (
    HELLO,
    MANUAL,
    SETUP,
    SILENCE,
    echo,
    kinds,
    played,
    speech,
    stream,
    talks,
)
from support.host_rig import Client, Pause, Step, StepResponder, open_connection
from vivavoce.core.events import ActivityEnded, ActivityStarted, AudioStreamEnded, TextReceived
from vivavoce.core.messages import (
    GenerationComplete,
    InputTranscript,
    Interrupted,
    ModelAudio,
    OutputTranscript,
    SetupComplete,
    TurnComplete,
)
from vivavoce.core.settings import BargeInHandling, SessionSettings
from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, AudioChunk
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.scripted import hear, say
from vivavoce.runtime.connection import Connection
from vivavoce.runtime.turn_metrics import TurnOutcome, TurnReport
from vivavoce.testing.virtual_loop import run_virtually

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
    played(speak_and_listen, StepResponder(slowly), listener=listener)
    (report,) = listener.reports
    assert report.outcome is TurnOutcome.COMPLETE
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
    polite = played(interrupt, StepResponder(story))
    responder = StepResponder(story, stubborn=True)
    stubborn = played(interrupt, responder)
    assert stubborn.heard == polite.heard
    assert responder.cancelled > 0
    assert Interrupted() in polite.messages


def test_nothing_of_the_old_answer_comes_after_interrupted() -> None:
    client = played(interrupt, StepResponder(story))
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

    client = played(interrupt_slowly, StepResponder(story))
    heard_s = len(client.pcm) / 2 / OUTPUT_RATE
    assert heard_s < 1.0, "queued sound was still sent"


def test_output_waits_while_an_interruption_is_decided() -> None:
    """The answer is produced at the pace of playing, so a gap of its pieces is the hold."""

    async def murmur(client: Client) -> None:
        client.say(TextReceived("tell me a story"))
        await client.until(ModelAudio, 5)
        await stream(client, say("ok", INPUT_RATE) + SILENCE)
        await client.until(TurnComplete)

    answer = [step for n in range(40) for step in (speech(0.1, f"w{n} "), Pause(0.1))]
    settings = SessionSettings(barge_in=BargeInHandling.DELIBERATE)
    client = played(murmur, StepResponder(lambda request: answer), settings=settings)
    times = [when for when, message in client.heard if isinstance(message, ModelAudio)]
    gaps = [after - before for before, after in pairwise(times)]
    assert max(gaps) == pytest.approx(0.4, abs=0.15), "held"
    assert Interrupted() not in client.messages
    assert len(client.pcm) == 40 * OUTPUT_RATE // 10 * 2


# --- leaving no trace ----------------------------------------------------------------------


def test_cancelled_at_any_moment_nothing_is_left_behind() -> None:
    """The connection's task is cancelled after the n-th turn of the loop, for every n."""

    async def cancel_after(turns: int) -> bool:
        client = Client()
        responder = talks(speech(0.3, "one two"), Pause(0.0), speech(0.3, " three"))
        connection = open_connection(client, responder, SETUP)
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
        connection: Connection = open_connection(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        await stream(client, say(words, INPUT_RATE) + SILENCE)
        await client.until(TurnComplete)
        client.leave()
        await running
        assert hear(client.pcm, OUTPUT_RATE) == words

    run_all(*(converse(f"I am number {n}") for n in range(10)))
