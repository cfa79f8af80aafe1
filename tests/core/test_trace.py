"""The flight recorder keeps what happened, but not what was said."""

from __future__ import annotations

import json
import random

import pytest

from core.actions import ACTIONS
from core.world import PIECE, SETUP, World
from vivavoce.core.effects import Send
from vivavoce.core.events import AudioProduced, ContentReceived, TextReceived, VideoArrived
from vivavoce.core.messages import InputTranscript
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.core.trace import FlightRecorder, read_trace
from vivavoce.domain.content import Blob, Content, Role, Text, ToolCall
from vivavoce.domain.ids import CallId, CountingIds, GenerationId, SessionId
from vivavoce.domain.model_family import family_behavior

SECRET = ContentReceived(
    (Content(Role.USER, (Text("my secret"), Blob(b"face", "image/png"))),
     Content(Role.MODEL, (ToolCall(CallId("1"), "call", {"who": "my secret"}),))),
    turn_complete=True,
)  # fmt: skip


def test_words_are_kept_as_lengths_and_sound_as_sizes() -> None:
    recorder = FlightRecorder(10, texts=False)
    recorder.record(1.0, SECRET)
    recorder.record(2.0, AudioProduced(GenerationId(1), PIECE, "my secret"))
    recorder.record(3.0, TextReceived(" ."))
    lines = list(recorder.lines())
    assert "secret" not in "".join(lines)
    (_, content), (_, audio), (_, text) = read_trace(lines)
    assert isinstance(content, ContentReceived)
    assert content.turns[0].text == "xxxxxxxxx"
    assert isinstance(audio, AudioProduced)
    assert audio.pcm == bytes(len(PIECE))
    assert text == TextReceived(" .")


def test_the_operator_can_ask_for_the_words() -> None:
    recorder = FlightRecorder(10, texts=True)
    recorder.record(1.0, ContentReceived(SECRET.turns[1:], turn_complete=True))
    assert read_trace(recorder.lines()) == [(1.0, ContentReceived(SECRET.turns[1:], True))]


def test_the_ring_is_bounded_and_holds_no_media() -> None:
    recorder = FlightRecorder(3, texts=True)
    for at in range(9):
        recorder.record(float(at), VideoArrived(at, Blob(bytes(100_000), "image/png")))
    lines = list(recorder.lines())
    assert [json.loads(line)["now"] for line in lines] == [6.0, 7.0, 8.0]
    assert sum(map(len, lines)) < 1000


def test_of_thousands_of_turns_in_one_message_a_few_are_kept() -> None:
    recorder = FlightRecorder(10, texts=False)
    recorder.record(1.0, ContentReceived(SECRET.turns[:1] * 5000, turn_complete=True))
    (line,) = recorder.lines()
    assert len(line) < 20_000
    ((_, content),) = read_trace([line])
    assert isinstance(content, ContentReceived)
    assert 1 < len(content.turns) < 100


def test_a_long_text_is_hidden_without_a_look_at_what_is_in_it() -> None:
    recorder = FlightRecorder(10, texts=False)
    recorder.record(1.0, TextReceived("." * 1000))
    assert read_trace(recorder.lines()) == [(1.0, TextReceived("x" * 1000))]


@pytest.mark.parametrize("seed", range(3))
def test_a_trace_with_words_replays_to_the_same_effects(seed: int) -> None:
    settings = SessionSettings(speculation=True, trace_events=100_000, trace_texts=True)
    world = World(SETUP, settings)
    choose = random.Random(seed)
    names = [name for name in ACTIONS if name not in ("drain", "gone", "video")]
    for _ in range(60):
        ACTIONS[choose.choice(names)](world)
    again = LiveSession(
        SessionId("s"), SETUP, family_behavior(SETUP.model), settings, CountingIds()
    )
    effects = again.open_session(0.0)
    for now, event in read_trace(world.session.trace.lines()):
        effects += again.handle_deadline(now) if event is None else again.handle_event(event, now)
    assert effects == world.effects
    assert any(isinstance(e, Send) and isinstance(e.message, InputTranscript) for e in effects)
