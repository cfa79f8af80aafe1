"""Recognizing turns: fed in order, asked by position."""

from __future__ import annotations

import asyncio

from runtime.ears import END, HELLO, ONE, TWO, Host, Slow, Trouble, hosted, soon
from vivavoce.core.events import TranscriptUpdated
from vivavoce.domain.audio import INPUT_RATE, AudioChunk
from vivavoce.domain.setup import SessionSetup, Transcription
from vivavoce.engines.ports import RecognitionOptions
from vivavoce.engines.scripted import TonesRecognizer


def test_a_turn_is_fed_from_its_start_to_its_end_and_finished() -> None:
    async def act(host: Host) -> None:
        host.hear(bytes(2000) + HELLO)
        host.transcripts.start(ONE, 1000)
        host.hear(bytes(2000))
        await soon()
        host.hear(HELLO)
        host.transcripts.finish(ONE, 1000 + END)
        await soon()

    host = hosted(TonesRecognizer(), act)
    assert [type(event) for event in host.events] == [TranscriptUpdated]
    (event,) = host.events
    assert isinstance(event, TranscriptUpdated)
    assert (event.turn, event.final) == (ONE, True)
    assert event.text.startswith("hello")


def test_sound_that_comes_after_the_end_is_not_fed() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.transcripts.finish(ONE, 100)
        host.hear(bytes(600))
        await soon()

    host = hosted(Trouble(), act)
    assert host.events == [TranscriptUpdated(ONE, 100, "100 samples", True)]


def test_sound_is_not_fed_before_it_is_known_whose_turn_it_belongs_to() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.intake.add_chunk(AudioChunk(bytes(2 * END)))
        host.transcripts.advance_audio(500)
        await soon()
        host.transcripts.refresh(ONE, 500)
        await soon()
        host.transcripts.finish(ONE, 700)
        await soon()

    host = hosted(Trouble(), act)
    assert [e.text for e in host.events if isinstance(e, TranscriptUpdated)] == [
        "500 so far",
        "700 samples",
    ]


def test_a_refresh_says_what_was_understood_up_to_the_pause() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(600))
        host.transcripts.refresh(ONE, 300)
        await soon()
        host.hear(bytes(600))
        host.transcripts.finish(ONE, 600)
        await soon()

    host = hosted(Trouble(), act)
    assert host.events == [
        TranscriptUpdated(ONE, 300, "300 so far", False, "300"),
        TranscriptUpdated(ONE, 600, "600 samples", True),
    ]


def test_what_was_understood_at_the_last_pause_is_final_without_another_call() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(600))
        host.transcripts.refresh(ONE, 300, paused=True)
        await soon()
        host.hear(bytes(600))
        host.transcripts.finish(ONE, 600, paused_at=300)
        await soon()

    async def never() -> None:
        raise AssertionError("finish was called")

    host = hosted(Trouble(never), act)
    assert host.events == [
        TranscriptUpdated(ONE, 300, "300 at the pause", False, "", 0.5),
        TranscriptUpdated(ONE, 600, "300 at the pause", True, "", 0.5),
    ]


def test_a_pause_after_which_speech_went_on_is_not_final() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(600))
        host.transcripts.refresh(ONE, 300, paused=True)
        await soon()
        host.hear(bytes(600))
        host.transcripts.finish(ONE, 600)
        await soon()

    host = hosted(Trouble(), act)
    assert [e.text for e in host.events if isinstance(e, TranscriptUpdated)] == [
        "300 at the pause",
        "600 samples",
    ]


def test_an_end_that_overtakes_its_pause_asks_once() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        host.hear(bytes(1200))
        host.transcripts.refresh(ONE, 300, paused=True)
        host.transcripts.finish(ONE, 600, paused_at=300)
        await soon()

    host = hosted(Trouble(), act)
    assert host.events == [TranscriptUpdated(ONE, 600, "600 samples", True)]


def test_hypotheses_of_a_recognizer_that_is_behind_are_skipped() -> None:
    async def act(host: Host) -> None:
        host.transcripts.start(ONE, 0)
        for _ in range(20):
            host.hear(bytes(INPUT_RATE))
            host.transcripts.refresh(ONE, host.transcripts.judged)
            await asyncio.sleep(0.5)
        host.transcripts.finish(ONE, host.transcripts.judged)
        await asyncio.sleep(30)

    at_half_the_pace = hosted(Slow(0.5), act)
    in_time = hosted(Slow(4), act)
    told = [
        [e for e in host.events if isinstance(e, TranscriptUpdated)]
        for host in (at_half_the_pace, in_time)
    ]
    assert len(told[1]) == 21
    assert len(told[0]) < 8
    assert told[0][-1].text == told[1][-1].text


def test_a_recognizer_that_does_not_stream_is_asked_at_pauses_only() -> None:
    async def act(host: Host) -> None:
        host.hear(HELLO)
        host.transcripts.start(ONE, 0)
        host.transcripts.refresh(ONE, END)
        await soon()
        assert host.events == []
        host.transcripts.refresh(ONE, END, paused=True)
        await soon()
        assert [type(event) for event in host.events] == [TranscriptUpdated]

    hosted(TonesRecognizer(), act)


def test_a_dropped_turn_says_nothing() -> None:
    async def act(host: Host) -> None:
        host.hear(HELLO)
        host.transcripts.start(ONE, 0)
        await soon()
        host.transcripts.drop(ONE)
        host.transcripts.finish(ONE, END)
        await soon()

    assert hosted(Trouble(), act).events == []


def test_turns_of_one_conversation_are_recognized_one_after_the_other() -> None:
    async def slow() -> None:
        await asyncio.sleep(2)

    async def act(host: Host) -> None:
        host.hear(bytes(400))
        for turn, start in ((ONE, 0), (TWO, 100)):
            host.transcripts.start(turn, start)
            host.transcripts.finish(turn, start + 100)
            await soon()
        await asyncio.sleep(5)

    recognizer = Trouble(slow)
    host = hosted(recognizer, act)
    assert [event.turn for event in host.events if isinstance(event, TranscriptUpdated)] == [1, 2]
    assert len(recognizer.opened) == 1


def test_the_clients_hints_reach_the_recognizer() -> None:
    async def act(host: Host) -> None:
        host.hear(HELLO)
        host.transcripts.start(ONE, 0)
        await soon()

    recognizer = Trouble()
    wishes = Transcription(language_codes=("de-DE",), custom_vocabulary=("vivavoce",))
    hosted(recognizer, act, SessionSetup("m", language="en-US", input_transcription=wishes))
    assert recognizer.opened == [RecognitionOptions(("de-DE",), ("vivavoce",))]
    assert recognizer.closed == 1

    recognizer = Trouble()
    hosted(recognizer, act, SessionSetup("m", language="en-US"))
    assert recognizer.opened == [RecognitionOptions(("en-US",))]
