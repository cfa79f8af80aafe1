"""What broke real clients, sections 2.3 to 2.7: JSON writing and its consequences.

Also the hard rules for encoders (live-api.md 3.1). The frames of a handful of conversations
are checked against every rule at once, and rules of their own follow.
"""

from __future__ import annotations

import asyncio
import base64
import json
import re
import signal
import time
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.servers import Running, serving
from conformance.wire import (
    BOTH_TRANSCRIPTS,
    LARGEST_FRAME,
    LIGHTS,
    SPOKEN,
    WRITTEN,
    Json,
    complete,
    content,
    kinds,
    parts,
    raw,
    setup,
    sound,
    talking,
    text,
    transcript,
)
from vivavoce.domain.audio import pcm_seconds

pytestmark = pytest.mark.e2e

PAYLOADS = {
    "setupComplete", "serverContent", "toolCall", "toolCallCancellation", "goAway",
    "sessionResumptionUpdate", "voiceActivity",
}  # fmt: skip
CONTENT_KEYS = {
    "modelTurn", "generationComplete", "turnComplete", "interrupted", "inputTranscription",
    "outputTranscription", "turnCompleteReason",
}  # fmt: skip
LONG = "a rather long answer that goes on for a while " * 2


@pytest.fixture(scope="module")
def recorded(scripted: Running) -> list[list[bytes | str]]:
    """The raw frames of conversations of every kind."""
    return asyncio.run(_record(scripted))


async def _record(scripted: Running) -> list[list[bytes | str]]:
    tapes: list[list[bytes | str]] = []
    async with talking(scripted.socket_url, setup(SPOKEN, **BOTH_TRANSCRIPTS)) as client:
        await client.speak("good day")
        await client.turn()
        await client.type(LONG)
        await client.until(lambda m: "modelTurn" in content(m))
        await client.speak("stop")
        await client.turn()
        await client.turn()
        tapes.append(client.raw)
    opening = setup(WRITTEN, tools=[LIGHTS], sessionResumption={}, **BOTH_TRANSCRIPTS)
    async with talking(scripted.socket_url, opening) as client:
        await client.type("turn on the lights")
        call = await client.until(lambda m: "toolCall" in m)
        (wanted,) = call[-1]["toolCall"]["functionCalls"]
        result = {"id": wanted["id"], "name": wanted["name"], "response": {"result": "ok"}}
        await client.send({"toolResponse": {"functionResponses": [result]}})
        await client.turn()
        await client.type("turn off the lights")
        await client.until(lambda m: "toolCall" in m)
        await client.send({"clientContent": {}})
        await client.turn()
        tapes.append(client.raw)
    return tapes


@pytest.fixture
def frames(recorded: list[list[bytes | str]]) -> list[Json]:
    return [json.loads(frame) for tape in recorded for frame in tape]


def objects(value: Any) -> Iterator[Json]:
    """Every object of the protocol inside a message; what belongs to the user is left out."""
    if isinstance(value, dict):
        yield value
        for key, inside in value.items():
            if key not in ("args", "response"):
                yield from objects(inside)
    elif isinstance(value, list):
        for inside in value:
            yield from objects(inside)


def test_setup_complete_is_first_and_once(recorded: list[list[bytes | str]]) -> None:
    for tape in recorded:
        assert ["setupComplete" in json.loads(frame) for frame in tape].index(True) == 0
        assert sum("setupComplete" in json.loads(frame) for frame in tape) == 1


def test_one_payload_kind_a_message(frames: list[Json]) -> None:
    for message in frames:
        assert len(PAYLOADS.intersection(message)) == 1, message
        assert set(message) <= PAYLOADS | {"usageMetadata"}, message


def test_one_statement_in_each_server_content(frames: list[Json]) -> None:
    """Neither `interrupted` nor `turnComplete` beside `modelTurn`, nor beside each other."""
    for message in frames:
        inside = set(content(message)) - {"turnCompleteReason"}
        assert inside <= CONTENT_KEYS, message
        assert len(inside) <= 1, message


def test_no_empty_messages(frames: list[Json]) -> None:
    assert all(message and message.get("serverContent") != {} for message in frames)


def test_false_booleans_zeros_and_empty_strings_are_left_out(frames: list[Json]) -> None:
    for message in frames:
        for thing in objects(message):
            assert all(v is not False and v != 0 and v != "" for v in thing.values()), message


def test_keys_are_in_camel_case(frames: list[Json]) -> None:
    for message in frames:
        for thing in objects(message):
            assert all(re.fullmatch(r"[a-z][A-Za-z0-9]*", key) for key in thing), message


def test_output_mime_is_exact_and_samples_are_whole(frames: list[Json]) -> None:
    blobs = [part["inlineData"] for m in frames for part in parts(m) if "inlineData" in part]
    assert blobs
    for blob in blobs:
        assert blob["mimeType"] == "audio/pcm;rate=24000"
        assert len(base64.b64decode(blob["data"], validate=True)) % 2 == 0


def test_audio_comes_in_small_pieces(frames: list[Json]) -> None:
    lengths = [pcm_seconds(sound([message])) for message in frames if sound([message])]
    assert max(lengths) <= 0.32


def test_one_part_a_message(frames: list[Json]) -> None:
    assert all(len(parts(message)) <= 1 for message in frames)


def test_frames_stay_below_what_python_takes(recorded: list[list[bytes | str]]) -> None:
    assert max(len(frame) for tape in recorded for frame in tape) < LARGEST_FRAME


def test_function_calls_have_ids_of_their_own_and_arguments(frames: list[Json]) -> None:
    calls = [call for m in frames for call in m.get("toolCall", {}).get("functionCalls", [])]
    assert len(calls) == 2
    assert len({call["id"] for call in calls}) == 2
    assert all(call["args"] == {} for call in calls)


def test_usage_rides_on_turn_complete_and_nowhere_else(frames: list[Json]) -> None:
    assert [m for m in frames if complete(m)]
    for message in frames:
        if "usageMetadata" in message:
            assert complete(message), message
    usage = next(m for m in frames if complete(m))["usageMetadata"]
    assert usage["totalTokenCount"] == usage["promptTokenCount"] + usage["responseTokenCount"]


async def test_long_text_is_split_below_the_largest_frame() -> None:
    limit = {"VIVAVOCE_SERVER__MAX_MESSAGE_TEXT_BYTES": "2000000"}
    with serving("scripted", **limit) as server:
        async with talking(server.socket_url, setup(WRITTEN)) as client:
            words = "x" * 1_500_000
            await client.type(words)
            await client.turn(within_s=30)
            await client.type("what did I tell you before?")
            assert text(await client.turn(within_s=30)) == words


# --- 2.4: what is missed when it is left out ---------------------------------------------


async def test_everything_that_frameworks_wait_for_is_there(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(SPOKEN, **BOTH_TRANSCRIPTS)) as client:
        await client.speak("good day")
        turn = await client.turn()
    assert transcript(turn, "input") == "good day"
    assert transcript(turn, "output") == "good day"
    assert kinds(turn)[-2:] == ["generationComplete", "turnComplete"]
    assert "usageMetadata" in turn[-1]


async def test_transcripts_come_only_when_asked_for(scripted: Running) -> None:
    async with talking(scripted.socket_url) as client:
        await client.speak("good day")
        turn = await client.turn()
    assert transcript(turn, "input") == transcript(turn, "output") == ""


# --- 2.5: closing ------------------------------------------------------------------------


async def test_a_server_that_stops_says_go_away_and_closes_with_1011() -> None:
    with serving("scripted", VIVAVOCE_SERVER__DRAIN_S="1") as server:
        async with talking(server.socket_url) as client:
            server.process.send_signal(signal.SIGTERM)
            code, reason = await client.closed(within_s=15)
        assert await asyncio.to_thread(server.process.wait, 15) == 0
    away = [message["goAway"] for message in client.frames if "goAway" in message]
    assert away
    assert re.fullmatch(r"\d+(\.\d{3}|\.\d{6}|\.\d{9})?s", away[0]["timeLeft"])
    assert code == 1011, "the one code from which every framework recovers"
    assert reason


async def test_close_frames_carry_a_reason(scripted: Running) -> None:
    async with raw(scripted.socket_url) as client:
        await client.send("this is no json")
        code, reason = await client.closed()
    assert code == 1007
    assert reason.startswith("Invalid JSON payload received.")


async def test_a_connection_per_setup_and_nothing_else_is_normal(scripted: Running) -> None:
    for _ in range(5):
        async with talking(scripted.socket_url):
            pass
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        await client.type("still here")
        assert text(await client.turn()) == "still here"


# --- 2.6: by model name ------------------------------------------------------------------

SEEDED: Json = {"historyConfig": {"initialHistoryInClientContent": True}}
GEMINI_2 = "models/gemini-2.5-flash-native-audio-preview-12-2025"
GEMINI_3 = "models/gemini-3.1-flash-live-preview"


def seed(*turns: tuple[str, str]) -> Json:
    listed = [{"role": role, "parts": [{"text": words}]} for role, words in turns]
    return {"clientContent": {"turns": listed, "turnComplete": True}}


async def test_a_seed_is_answered_on_2_when_the_user_spoke_last(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN, GEMINI_2, **SEEDED)) as client:
        await client.send(seed(("model", "hello"), ("user", "hi")))
        assert text(await client.turn()) == "hi"


async def test_a_seed_is_not_answered_on_2_when_the_model_spoke_last(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN, GEMINI_2, **SEEDED)) as client:
        await client.send(seed(("user", "hi"), ("model", "hello")))
        await client.nothing_for(0.5)
        await client.type("go on")
        assert text(await client.turn()) == "go on"


@pytest.mark.parametrize("trigger", [" ", "."])
async def test_a_seed_is_never_answered_on_3_and_a_dot_means_go(
    scripted: Running, trigger: str
) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN, GEMINI_3, **SEEDED)) as client:
        await client.send(seed(("user", "hi")))
        await client.nothing_for(0.5)
        await client.send({"realtimeInput": {"text": trigger}})
        assert text(await client.turn()) == "hi"


async def test_without_history_config_client_content_is_answered_on_3(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN, GEMINI_3)) as client:
        await client.type("hi")
        assert text(await client.turn()) == "hi"


@pytest.mark.parametrize(
    ("agent", "model", "early"),
    [
        ("google-genai-sdk/3.4.0 gl-python/3.11", GEMINI_2, False),
        ("google-adk/2.13.0 google-genai-sdk/3.4.0", GEMINI_2, True),
        ("google-adk/2.13.0 google-genai-sdk/3.4.0", GEMINI_3, False),
    ],
)
async def test_turn_complete_after_a_tool_call_is_for_adk_on_2_only(
    scripted: Running, agent: str, model: str, early: bool
) -> None:
    opening = setup(WRITTEN, model, tools=[LIGHTS])
    headers = {"x-goog-api-client": agent}
    async with talking(scripted.socket_url, opening, headers=headers) as client:
        await client.type("turn on the lights")
        (call,) = (await client.receive())["toolCall"]["functionCalls"]
        if early:
            assert kinds(await client.turn()) == ["generationComplete", "turnComplete"]
        await client.nothing_for(0.3)
        result = {"id": call["id"], "name": call["name"], "response": {}}
        await client.send({"toolResponse": {"functionResponses": [result]}})
        assert text(await client.turn()) == "turn on the lights is done."


# --- 2.7: timing -------------------------------------------------------------------------


async def test_turn_complete_waits_until_the_sound_would_have_been_played(
    scripted: Running,
) -> None:
    async with talking(scripted.socket_url) as client:
        await client.type("twenty four letters long")
        turn = await client.turn()
    at = client.times[-len(turn) :]
    named = [next(iter(content(message)), "") for message in turn]
    began, ended = at[named.index("modelTurn")], at[-1]
    lasts = pcm_seconds(sound(turn))
    assert lasts > 0.9
    assert began + lasts - 0.02 <= ended <= began + lasts + 0.5
    generated = at[named.index("generationComplete")]
    assert generated < began + lasts - 0.3, "generationComplete does not wait"


async def test_text_is_complete_at_once(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(WRITTEN)) as client:
        began = time.monotonic()
        await client.type(LONG)
        await client.turn()
    assert time.monotonic() - began < 1.0


async def test_the_first_content_comes_well_within_five_seconds(scripted: Running) -> None:
    async with talking(scripted.socket_url) as client:
        began = time.monotonic()
        await client.type("hi")
        await client.until(lambda m: "modelTurn" in content(m))
    assert time.monotonic() - began < 1.0


async def test_the_transcription_comes_before_the_answer(scripted: Running) -> None:
    async with talking(scripted.socket_url, setup(SPOKEN, **BOTH_TRANSCRIPTS)) as client:
        await client.speak("good day")
        turn = await client.turn()
    assert kinds(turn)[0] == "inputTranscription"
