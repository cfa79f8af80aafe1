"""What waits for the client: bounded, purged at an interruption, given up when nobody reads."""

from __future__ import annotations

import asyncio

import pytest

from support.host_rig import Client, PlainDialect
from vivavoce.core.messages import (
    GenerationComplete,
    Grounding,
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    ModelCode,
    ModelCodeResult,
    OutputTranscript,
    ServerCall,
    ServerResponse,
    TurnComplete,
    UrlContext,
)
from vivavoce.domain.content import Page, RetrievalStatus, Source, ToolCall, ToolKind
from vivavoce.domain.ids import CallId, GenerationId
from vivavoce.errors import ClientFault
from vivavoce.runtime.outbox import HIGH_WATER_BYTES, MAX_BYTES, STALL_TIMEOUT_S, Outbox
from vivavoce.testing.virtual_loop import run_virtually

OLD, NEW = GenerationId(1), GenerationId(2)


def sent_after(*puts: tuple[Message, GenerationId | None], purge: bool = False) -> list[Message]:
    async def send() -> list[Message]:
        client = Client()
        outbox = Outbox(lambda message: None)
        for message, generation in puts:
            outbox.put_message(message, generation)
        if purge:
            outbox.purge_generation(OLD)
        outbox.finish()
        await outbox.run(client, client.dialect)
        return client.messages

    return run_virtually(send())


def test_messages_leave_in_order() -> None:
    messages: list[Message] = [InputTranscript("hi"), ModelAudio(b"1"), GenerationComplete()]
    assert sent_after(*((message, OLD) for message in messages)) == messages


def test_a_purge_takes_a_generations_sound_and_words_and_nothing_else() -> None:
    assert sent_after(
        (InputTranscript("hi"), None),
        (ModelAudio(b"old"), OLD),
        (OutputTranscript("old"), OLD),
        (ModelAudio(b"new"), NEW),
        purge=True,
    ) == [InputTranscript("hi"), ModelAudio(b"new")]


def test_what_a_generation_ran_is_purged_with_what_it_said_and_weighs_what_it_is() -> None:
    id, text = CallId("c"), "x" * HIGH_WATER_BYTES
    ran: list[Message] = [
        ModelCode(id, text),
        ModelCodeResult(id, "OUTCOME_OK", text),
        ServerCall(ToolCall(id, "f", {}), ToolKind.MCP),
        ServerResponse(ToolCall(id, "f", {}), ToolKind.MCP, {"output": text}),
        Grounding(("q",), (Source("u", "t", text),), ()),
        UrlContext((Page("u", RetrievalStatus.SUCCESS),)),
    ]
    assert sent_after(*((message, OLD) for message in ran), purge=True) == []
    heavy = 0
    for message in ran:
        outbox = Outbox(lambda message: None)
        outbox.put_message(message, OLD)
        heavy += outbox.full
    assert heavy == 4, "the call and the address hold no text of others"


def test_interrupted_overtakes_everything_of_the_answer_it_interrupts() -> None:
    assert sent_after(
        (ModelAudio(b"first half"), OLD),
        (ModelAudio(b"second half, after a tool"), NEW),
        (Interrupted(), None),
        (TurnComplete(), None),
    ) == [Interrupted(), TurnComplete()]


def test_a_turn_that_was_complete_is_not_dropped_by_a_later_interruption() -> None:
    assert sent_after(
        (ModelAudio(b"complete"), OLD),
        (TurnComplete(), None),
        (ModelAudio(b"cut"), NEW),
        (Interrupted(), None),
    ) == [ModelAudio(b"complete"), TurnComplete(), Interrupted()]


def test_nothing_is_taken_after_the_end() -> None:
    async def send() -> list[Message]:
        client = Client()
        outbox = Outbox(lambda message: None)
        outbox.finish()
        outbox.put_message(TurnComplete())
        await outbox.run(client, client.dialect)
        return client.messages

    assert run_virtually(send()) == []


def test_generations_wait_while_it_is_full() -> None:
    async def send() -> float:
        client = Client()
        client.read_s = 1.0
        outbox = Outbox(lambda message: None)
        outbox.put_message(ModelAudio(bytes(HIGH_WATER_BYTES)), OLD)
        outbox.put_message(ModelAudio(bytes(HIGH_WATER_BYTES)), OLD)
        assert outbox.full
        writer = asyncio.ensure_future(outbox.run(client, client.dialect))
        await outbox.wait_for_room()
        now = asyncio.get_running_loop().time()
        outbox.finish()
        await writer
        return now

    assert run_virtually(send()) == pytest.approx(1.0, abs=0.01)


def test_a_purge_makes_room() -> None:
    async def wait() -> None:
        outbox = Outbox(lambda message: None)
        outbox.put_message(ModelAudio(bytes(HIGH_WATER_BYTES)), OLD)
        waiting = asyncio.ensure_future(outbox.wait_for_room())
        await asyncio.sleep(0)
        outbox.purge_generation(OLD)
        await waiting
        assert outbox.bytes == 0

    run_virtually(wait())


def test_a_client_that_takes_nothing_is_given_up() -> None:
    async def send() -> float:
        client = Client()
        client.stop_reading()
        outbox = Outbox(lambda message: None)
        outbox.put_message(TurnComplete())
        with pytest.raises(ClientFault) as fault:
            await outbox.run(client, client.dialect)
        assert fault.value.code == 1008
        return asyncio.get_running_loop().time()

    assert run_virtually(send()) == pytest.approx(STALL_TIMEOUT_S, abs=0.01)


def test_a_client_that_lets_too_much_pile_up_is_given_up() -> None:
    async def send() -> None:
        client = Client()
        outbox = Outbox(lambda message: None)
        outbox.put_message(ModelAudio(bytes(MAX_BYTES)), OLD)
        with pytest.raises(ClientFault):
            await outbox.run(client, client.dialect)

    run_virtually(send())


def test_what_the_dialect_has_no_words_for_is_not_sent() -> None:
    class Tacit(PlainDialect):
        def encode(self, message: Message) -> bytes:
            return b"" if isinstance(message, GenerationComplete) else super().encode(message)

    async def send() -> tuple[list[Message], list[Message]]:
        client, sent = Client(), list[Message]()
        client.dialect = Tacit()
        outbox = Outbox(sent.append)
        for message in (ModelAudio(b"1"), GenerationComplete(), TurnComplete()):
            outbox.put_message(message)
        outbox.finish()
        await outbox.run(client, client.dialect)
        return client.messages, sent

    said: list[Message] = [ModelAudio(b"1"), TurnComplete()]
    assert run_virtually(send()) == (said, said)


def test_output_that_is_held_leaves_in_its_order_once_released() -> None:
    async def hold() -> tuple[list[Message], list[Message]]:
        client = Client()
        outbox = Outbox(lambda message: None)
        task = asyncio.create_task(outbox.run(client, client.dialect))
        outbox.hold_output(True)
        for message in (InputTranscript("hi"), ModelAudio(b"1"), GenerationComplete()):
            outbox.put_message(message, OLD)
        await asyncio.sleep(1)
        held = list(client.messages)
        outbox.hold_output(False)
        outbox.finish()
        await task
        return held, client.messages

    held, sent = run_virtually(hold())
    assert held == [InputTranscript("hi")]
    assert sent == [InputTranscript("hi"), ModelAudio(b"1"), GenerationComplete()]


def test_an_interruption_passes_what_is_held_and_drops_it() -> None:
    async def interrupt() -> list[Message]:
        client = Client()
        outbox = Outbox(lambda message: None)
        task = asyncio.create_task(outbox.run(client, client.dialect))
        outbox.hold_output(True)
        outbox.put_message(ModelAudio(b"old"), OLD)
        await asyncio.sleep(1)
        outbox.put_message(Interrupted())
        outbox.hold_output(False)
        outbox.put_message(TurnComplete())
        outbox.finish()
        await task
        return client.messages

    assert run_virtually(interrupt()) == [Interrupted(), TurnComplete()]
