"""What users complain of at the hosted service, each as a test of ours.

These are the nine rows of a survey of such complaints. Each test is named after its complaint, and
its docstring links to it. That a conversation goes on by a resumption handle, also after the server
was killed, is tested in tests/conformance/test_sessions_survive.py.
"""

from __future__ import annotations

import asyncio
import math
from array import array
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runtime.clients import HELLO, SETUP, SILENCE, echo, played, speech, stream, talks
from runtime.dialogues import SLACK_S, holds
from support.budget import budget
from support.expectations import check_expectations
from support.host_rig import Client, Fail, Hang, Step, StepResponder, open_connection
from support.host_runner import play_on_host
from support.script_parser import parse_script
from vivavoce.config.settings import SessionTable
from vivavoce.core.events import ContentReceived, TextReceived, ToolResponsesReceived
from vivavoce.core.lifetime import CloseReason
from vivavoce.core.messages import (
    GenerationComplete,
    GoAway,
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
)
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.audio import INPUT_RATE, AudioChunk, VideoFrame
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import (
    Content,
    Role,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId, CountingIds, SessionId
from vivavoce.domain.model_family import family_behavior
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import SessionSetup
from vivavoce.engines.ports import CallsRequested, Engines
from vivavoce.engines.scripted import EnergyDetector, TonesRecognizer
from vivavoce.engines.turn_cues import TurnCues
from vivavoce.errors import EngineError
from vivavoce.http.listener import Listener
from vivavoce.runtime.connection import Backend, Connection
from vivavoce.runtime.generation import OutputPace
from vivavoce.runtime.voice_activity import VoiceScorer
from vivavoce.testing.virtual_loop import run_virtually

HOUR_S = 3600.0


def count(client: Client, kind: type[Message]) -> int:
    return sum(isinstance(message, kind) for message in client.messages)


@pytest.mark.parametrize("trouble", [Hang(), Fail(EngineError("voice", "broke"))])
def test_audio_stops_mid_sentence_and_the_turn_ends_early_or_never(trouble: Step) -> None:
    """https://github.com/googleapis/python-genai/issues/2117 and /1657

    A turn always ends, once, and says so when it was cut short; what was said is played out
    before, and the next turn is answered. How long an engine may be silent is the operator's
    `engine_silence_s`: 30 s by default, where 2 s would be better.
    """
    client = Client()
    broken: Sequence[Step] = [speech(3.0, "This is a sentence that"), trouble]
    whole: Sequence[Step] = [speech(0.5, "I am back.")]
    answers = iter([broken, whole])
    detector = EnergyDetector()
    hosting = Backend(
        Engines(detector, TonesRecognizer(), StepResponder(lambda request: next(answers))),
        VoiceScorer(detector, inline_share=1e9),
        pace=OutputPace(silent_s=2.0),
    )
    session = LiveSession(
        SessionId("s"), SETUP, family_behavior(SETUP.model), SessionSettings(), CountingIds()
    )

    async def talk() -> None:
        connection = Connection(SessionId("s"), session, SETUP, client, client.dialect, hosting)
        running = asyncio.ensure_future(connection.run())
        client.say(TextReceived("tell me"))
        await client.until(TurnComplete)
        client.say(TextReceived("are you there"))
        await client.until(TurnComplete, 2)
        client.leave()
        await running

    run_virtually(talk())
    ends = [(at, m) for at, m in client.heard if isinstance(m, TurnComplete)]
    assert [m.reason for _, m in ends] == [TurnReason.GENERATED_OTHER, None]
    first = next(at for at, message in client.heard if isinstance(message, ModelAudio))
    assert 3.0 - SLACK_S <= ends[0][0] - first <= 3.0 + SLACK_S, "not before it was played"
    assert count(client, GenerationComplete) == 1


def test_1011_deadline_expired_at_58_minutes_although_unlimited() -> None:
    """https://discuss.ai.google.dev/t/186392

    No hidden deadline: seventy minutes of silence and of talk, and no close. And a close of our
    own is announced.
    """

    async def seventy_minutes() -> None:
        client = Client()
        connection = open_connection(client, echo(), SETUP)
        running = asyncio.ensure_future(connection.run())
        for minute in range(1, 8):
            await asyncio.sleep(600)
            client.say(TextReceived(f"minute {minute}0"))
            await client.until(TurnComplete, minute)
        assert asyncio.get_running_loop().time() > HOUR_S + 600
        assert client.closed is None
        client.say(TextReceived("and once more, at some length, so that it takes a while"))
        await client.until(ModelAudio, count(client, ModelAudio) + 1)
        connection.schedule_close(CloseReason.DRAIN, 1.0)
        ending = await running
        assert [type(m) for m in client.messages if isinstance(m, GoAway)] == [GoAway]
        assert client.closed == (ending.code, ending.reason)

    run_virtually(seventy_minutes())


def test_a_backend_failure_ends_the_session_for_good() -> None:
    """https://github.com/kazunori279/adk-streaming-guide/issues/11

    The failure of an engine ends a turn and not the session, which needs no resumption then.
    """
    holds(
        """
        setup   audio, transcribe
        model   fails
        model   says "Half of" over 0.4 then fails
        model   given "user: third" says "Here I am." over 0.4
        user    0.5-1.2 "first"
        expect  turnComplete GENERATED_OTHER
        text    4 "second"
        expect  audio then turnComplete GENERATED_OTHER
        text    6 "third"
        expect  says "Here I am." then turnComplete OK
        count   turnComplete 3
        until   8
        """
    )


@settings(max_examples=budget(6, 12), derandomize=True)
@given(st.integers(min_value=0, max_value=5_000), st.sampled_from(["word", "señor", "言葉"]))
def test_resumption_fails_with_instructions_of_more_than_200_tokens(words: int, word: str) -> None:
    """https://github.com/google-gemini/cookbook/issues/1197

    An instruction of any size reaches the model, and a checkpoint keeps it where the client that
    comes back says nothing of it.
    """
    instruction = " ".join([word] * words)
    setup = SessionSetup("models/scripted", instruction=instruction)
    responder = talks(speech(0.2, "Yes."))

    async def ask(client: Client) -> None:
        client.say(TextReceived("hello"))
        await client.until(TurnComplete)

    played(ask, responder, setup=setup)
    assert responder.requests[0].instruction == instruction
    old = _session(setup)
    old.open_session(0.0)
    assert _resumed(old.take_checkpoint()).take_checkpoint().instruction == instruction


def _session(setup: SessionSetup) -> LiveSession:
    behavior = family_behavior(setup.model)
    return LiveSession(SessionId("s"), setup, behavior, SessionSettings(), CountingIds())


def _resumed(checkpoint: Checkpoint) -> LiveSession:
    setup = SessionSetup("models/scripted")
    behavior = family_behavior(setup.model)
    return LiveSession.resume(checkpoint, setup, behavior, SessionSettings(), CountingIds())


@pytest.mark.parametrize("kind", ["lights", "lights (mcp)"])
def test_1008_while_audio_streams_during_a_pending_tool_call(kind: str) -> None:
    """https://github.com/autonomous-ai/autonomous-os/issues/231

    The microphone streams on while a call is open, of whatever kind: silence, and speech where
    that does not interrupt. Nothing is closed, nothing is lost.
    """
    holds(
        f"""
        setup   audio, transcribe, tools: {kind}, no-interruption
        model   calls lights
        model   given {{"ok": true}} says "The lights are on." over 0.4
        model   given "user: and the door" says "The door as well." over 0.4
        user    0.5-1.2 "turn on the lights"
        expect  inputTranscription "turn on the lights"
        tool    lights {{"ok": true}} after 5
        user    4-4.8 "and the door"
        expect  says "The lights are on." then turnComplete
        expect  inputTranscription "and the door" then says "The door as well." then turnComplete
        count   turnComplete 2
        until   14
        """
    )


def test_1008_while_audio_streams_during_a_pending_non_blocking_call() -> None:
    """https://github.com/autonomous-ai/autonomous-os/issues/231"""
    holds(
        """
        setup   audio, transcribe, tools: lights (non-blocking)
        model   calls lights
        model   given "user: and the door" says "The door as well." over 0.4
        model   given {"ok": true} says "The lights are on." over 0.4
        user    0.5-1.2 "turn on the lights"
        expect  inputTranscription "turn on the lights" then turnComplete
        tool    lights {"ok": true} after 6
        user    4-4.8 "and the door"
        expect  inputTranscription "and the door" then says "The door as well." then turnComplete
        expect  says "The lights are on." then turnComplete
        count   turnComplete 3
        until   14
        """
    )


def test_1007_audio_not_supported_in_mid_call() -> None:
    """https://github.com/hkjarral/AVA-AI-Voice-Agent-for-Asterisk/issues/496

    What a session was set up with holds until its end: forty turns of speech, text, content,
    pictures and calls in turn, and every kind is as welcome at the end as at the beginning.
    """
    lights = SessionSetup(
        "models/scripted", tools=Tools((ToolDeclaration("lights"),)),
        input_transcription=SETUP.input_transcription,
    )  # fmt: skip

    def answer(request: GenerationRequest) -> Sequence[Step]:
        last = request.history[-1]
        if "lights" in last.text:
            return [CallsRequested((ToolCall(CallId(""), "lights", {}),))]
        return [speech(0.3, "Yes.")]

    async def long_call(client: Client) -> None:
        for number in range(10):
            await stream(client, HELLO + SILENCE)
            await client.until(TurnComplete, 4 * number + 1)
            client.say(VideoFrame(b"jpeg", "image/jpeg"), TextReceived("look"))
            await client.until(TurnComplete, 4 * number + 2)
            client.say(ContentReceived((Content(Role.USER, (Text("and this"),)),), True))
            await client.until(TurnComplete, 4 * number + 3)
            client.say(TextReceived("lights"))
            asked = await client.until(ToolCallRequest, number + 1)
            assert isinstance(asked, ToolCallRequest)
            client.say(AudioChunk(SILENCE))
            result = ToolResult(asked.calls[0].id, "lights", {"ok": True})
            client.say(ToolResponsesReceived((result,)))
            await client.until(TurnComplete, 4 * number + 4)
        assert client.closed is None

    client = played(long_call, StepResponder(answer), setup=lights)
    assert count(client, InputTranscript) == 10
    assert all(m.reason is None for m in client.messages if isinstance(m, TurnComplete))


PAUSING = """
setup   audio, transcribe%s
model   given "I would like and a coffee" says "Gladly." over 0.4
user    0.5-1.2 "I would like"
user    2.2-3.0 "and a coffee"
expect  inputTranscription "I would like and a coffee" then says "Gladly." then turnComplete
never   interrupted
count   inputTranscription 1
count   turnComplete 1
until   7
"""


def test_a_pause_of_one_second_in_mid_sentence_closes_the_turn() -> None:
    """https://github.com/google-gemini/gemini-live-api-examples/issues/37

    A client that asks for 1.2 s of silence gets one turn.
    """
    holds(PAUSING % ", silence: 1200")


def test_a_pause_of_one_second_in_mid_sentence_is_no_end_by_default() -> None:
    """https://github.com/google-gemini/gemini-live-api-examples/issues/37

    A client that sets nothing gets one turn as well: the words before the pause ask for more. The
    model is the one that the embedded profile reads words with.
    """
    script = parse_script(PAUSING % "")
    script.settings = SessionTable().settings(early_turn_complete=False)
    for stubborn in (False, True):
        heard = play_on_host(script, stubborn, turn_model=TurnCues())
        check_expectations(script.expectations, heard, SLACK_S)


def hum(seconds: float, amplitude: int) -> bytes:
    """A voice-like hum, as a television in the next room or a phone's menu makes it."""
    wave = (
        math.sin(2 * math.pi * 200 * at / INPUT_RATE) for at in range(int(seconds * INPUT_RATE))
    )
    return array("h", (round(amplitude * value) for value in wave)).tobytes()


@pytest.mark.parametrize(
    ("noise", "interrupts"),
    [
        (hum(2.0, 60), False),  # far away
        ((hum(0.02, 8000) + bytes(2 * (8 * 512 - 320))) * 8, False),  # clicks within a frame
        (hum(2.0, 8000), True),  # somebody speaks
    ],
)
def test_interrupted_by_background_voices_and_menu_audio(noise: bytes, interrupts: bool) -> None:
    """https://github.com/google-gemini/cookbook/issues/1197

    What is quiet or short does not interrupt. A loud voice in the background does: who speaks is
    not told apart yet, and an interruption that came to nothing is not taken back.
    """

    async def listen(client: Client) -> None:
        client.say(TextReceived("tell me"))
        await client.until(ModelAudio)
        await stream(client, noise + bytes(INPUT_RATE))
        await client.until(TurnComplete)

    client = played(listen, talks(speech(4.0, "A story.")))
    assert (count(client, Interrupted) == 1) is interrupts


def test_1006_by_idle_proxies() -> None:
    """https://github.com/autonomous-ai/autonomous-os/issues/231

    The server pings every connection every 20 s, well before a proxy takes it for idle. That a
    ping is sent, answered and missed is tried over a socket in
    tests/http_server/test_uvicorn_protocols.py.
    """

    async def nothing(scope: object, receive: object, send: object) -> None:
        return None

    config = Listener(nothing)._config
    assert config.ws_ping_interval == config.ws_ping_timeout == 20.0
