"""Recognizing turns: fed in order, asked by position."""

from __future__ import annotations

import asyncio

from runtime.ears import END, HELLO, ONE, TWO, Host, Trouble, hosted, soon
from vivavoce.core.events import TranscriptUpdated
from vivavoce.domain.audio import AudioChunk
from vivavoce.domain.setup import SessionSetup, Transcription
from vivavoce.engines.ports import RecognitionOptions
from vivavoce.engines.scripted.tones import TonesRecognizer


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
        host.intake.hear(AudioChunk(bytes(2 * END)))
        host.transcripts.heard(500)
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
