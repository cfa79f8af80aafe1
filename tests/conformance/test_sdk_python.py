"""Google's Python SDK, newest, against the real server: speech, tools, interruption, errors."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from conformance.sdk import QUIET, heard, live, said, sound, speak, turn
from conformance.servers import Running, serving
from vivavoce.cli.demo import load_recording
from vivavoce.engines.scripted import hear, say

pytestmark = [
    pytest.mark.sdk,
    pytest.mark.e2e,
    pytest.mark.usefixtures("trusted"),
    # The SDK and what it stands on warn of matters of their own.
    pytest.mark.filterwarnings("default"),
]

STORY = "once upon a time there was a queen who had three daughters"
LIGHTS = [
    {"function_declarations": [{"name": "turn_on_the_lights"}, {"name": "turn_off_the_lights"}]}
]


async def test_every_turn_of_a_spoken_conversation(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted) as session:
        assert session.session_id
        for words in ("good day", "how are you", "good night"):
            await speak(session, say(words, 16_000) + QUIET, real_time=False)
            messages = await turn(session)
            assert heard(messages) == said(messages) == hear(sound(messages), 24_000) == words
            assert messages[-1].server_content.turn_complete
            assert messages[-1].usage_metadata.total_token_count > 0


async def test_barge_in(genai: Any, scripted: Running) -> None:
    """`interrupted`, then `turn_complete`, and no audio of the old answer after it."""
    async with live(genai, scripted) as session:
        await session.send_client_content(turns={"parts": [{"text": STORY}]})
        old = asyncio.create_task(turn(session))
        await asyncio.sleep(0.5)
        speaking = asyncio.create_task(speak(session, say("stop now", 16_000) + QUIET))
        cut = await old
        following = await turn(session)
        await speaking
    flags = [m.server_content.interrupted for m in cut if m.server_content]
    assert flags.count(True) == 1
    after = cut[flags.index(True) + 1 :]
    assert sound(after) == b""
    assert [bool(m.server_content.turn_complete) for m in after] == [True]
    assert heard(following) == "stop now"
    assert hear(sound(following), 24_000) == "stop now", "nothing of the story is in it"


async def test_text_modality(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted, response_modalities=["TEXT"]) as session:
        await session.send_realtime_input(text="good day")
        messages = await turn(session)
    assert "".join(m.text or "" for m in messages) == "good day"


async def test_a_tool_called_by_speech_answers_in_speech(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted, tools=LIGHTS) as session:
        await speak(session, say("turn on the lights please", 16_000) + QUIET, real_time=False)
        names, spoken = await with_tools(genai, session)
    assert names == ["turn_on_the_lights"]
    assert hear(spoken, 24_000) == "turn on the lights is done."


async def with_tools(genai: Any, session: Any, within_s: float = 15.0) -> tuple[list[str], bytes]:
    """One turn in which every call is answered: the names, and the sound after the last."""
    names: list[str] = []
    spoken = b""
    async with asyncio.timeout(within_s):
        async for message in session.receive():
            spoken += sound([message])
            if message.tool_call:
                spoken = b""
                answers = []
                for call in message.tool_call.function_calls:
                    names.append(call.name)
                    answers.append(
                        genai.types.FunctionResponse(
                            id=call.id, name=call.name, response={"result": "ok"}
                        )
                    )
                await session.send_tool_response(function_responses=answers)
    return names, spoken


async def test_manual_activity(genai: Any, scripted: Running) -> None:
    manual = {"automatic_activity_detection": {"disabled": True}}
    async with live(genai, scripted, realtime_input_config=manual) as session:
        await session.send_realtime_input(activity_start={})
        await speak(session, say("good day", 16_000), real_time=False)
        await session.send_realtime_input(activity_end={})
        assert heard(await turn(session)) == "good day"


async def test_a_clip_without_silence_and_audio_stream_end(genai: Any, scripted: Running) -> None:
    async with live(genai, scripted) as session:
        await speak(session, say("good day", 16_000), real_time=False)
        assert heard(await turn(session)) == "good day", "the clip simply stops"
        await speak(session, say("good night", 16_000), real_time=False)
        await session.send_realtime_input(audio_stream_end=True)
        assert heard(await turn(session)) == "good night"


async def test_models_are_listed(genai: Any, scripted: Running) -> None:
    client = genai.Client(api_key="any", http_options={"base_url": scripted.url})
    listed = [model async for model in await client.aio.models.list()]
    assert any("bidiGenerateContent" in (m.supported_actions or []) for m in listed)


@pytest.fixture(scope="module")
def keyed() -> Iterator[Running]:
    settings = {"VIVAVOCE_SERVER__KEYS": "right", "VIVAVOCE_MODELS": '{"known": "scripted"}'}
    with serving(None, **settings) as running:
        yield running


@pytest.mark.parametrize(
    ("key", "model", "code", "words"),
    [
        ("wrong", "known", 1007, "API key not valid"),
        ("right", "unknown", 1008, "models/unknown is not found for API version v1"),
    ],
)
async def test_refusals_reach_the_user_with_code_and_reason(
    genai: Any, keyed: Running, key: str, model: str, code: int, words: str
) -> None:
    from google.genai import errors

    with pytest.raises(errors.APIError, match=words) as fault:
        async with live(genai, keyed, key=key, model=model) as session:
            await turn(session)
    assert fault.value.code == code


# --- the embedded engines ----------------------------------------------------------------


@pytest.mark.embedded
async def test_embedded_question_is_understood_and_answered(genai: Any, embedded: Running) -> None:
    async with live(genai, embedded) as session:
        await speak(session, load_recording("question.wav") + QUIET)
        messages = await turn(session, within_s=60)
    assert heard(messages) == "What is the capital of France?"
    assert len(said(messages).split()) >= 2
    assert len(sound(messages)) > 24_000


@pytest.mark.embedded
@pytest.mark.parametrize("spoken", [True, False])
async def test_embedded_lights_are_turned_on(genai: Any, embedded: Running, spoken: bool) -> None:
    async with live(genai, embedded, tools=LIGHTS) as session:
        if spoken:
            await speak(session, load_recording("lights.wav") + QUIET)
        else:
            await session.send_client_content(
                turns={"parts": [{"text": "Turn on the lights please"}]}
            )
        names, answer = await with_tools(genai, session, within_s=60)
    assert names == ["turn_on_the_lights"]
    assert len(answer) > 12_000, "a spoken confirmation follows"


@pytest.mark.embedded
async def test_embedded_barge_in(genai: Any, embedded: Running) -> None:
    async with live(genai, embedded) as session:
        prompt = "Tell me a long story about a king and his three daughters."
        await session.send_client_content(turns={"parts": [{"text": prompt}]})
        old = asyncio.create_task(turn(session, within_s=60))
        await asyncio.sleep(3.0)
        speaking = asyncio.create_task(speak(session, load_recording("question.wav") + QUIET))
        cut = await old
        following = await turn(session, within_s=60)
        await speaking
    flags = [m.server_content.interrupted for m in cut if m.server_content]
    assert flags.count(True) == 1
    assert sound(cut[flags.index(True) + 1 :]) == b""
    assert "capital" in heard(following)
