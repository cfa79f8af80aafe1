"""Google's JavaScript SDK, newest, on Node: speech, tools, interruption, refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from conformance.samples import link_packages, node
from conformance.servers import Running, serving
from conformance.wire import BOTH_TRANSCRIPTS, LIGHTS, Json, kind, sound, transcript
from vivavoce.cli.demo import load_recording
from vivavoce.engines.scripted import hear, say

pytestmark = [pytest.mark.sdk, pytest.mark.e2e]

DRIVER = Path(__file__).parent / "node" / "driver.mjs"
SPOKEN: Json = {"responseModalities": ["AUDIO"], **BOTH_TRANSCRIPTS}
STORY = "once upon a time there was a queen who had three daughters"


def drive(server: Running, folder: Path, speech: bytes = b"", **wanted: Any) -> list[Json]:
    """What the SDK's application was told, to the close and with it."""
    program = node()
    link_packages(folder)
    (folder / "driver.mjs").write_text(DRIVER.read_text())
    if speech:
        (folder / "speech.pcm").write_bytes(speech)
        wanted["speech"] = "speech.pcm"
    asked = json.dumps({"config": SPOKEN, **wanted})
    lines = server.lines(folder, program, "driver.mjs", asked, wait_s=90)
    return [json.loads(line) for line in lines if line.startswith("{")]


def named_calls(told: list[Json]) -> list[str]:
    return [call["name"] for m in told for call in m.get("toolCall", {}).get("functionCalls", [])]


def test_speech_is_answered(scripted: Running, tmp_path: Path) -> None:
    told = drive(scripted, tmp_path, say("good day", 16_000))
    assert "setupComplete" in told[0]
    assert transcript(told, "input") == transcript(told, "output") == "good day"
    assert hear(sound(told), 24_000) == "good day"


def test_lights_are_turned_on_by_speech(scripted: Running, tmp_path: Path) -> None:
    told = drive(
        scripted, tmp_path, say("turn on the lights please", 16_000),
        config={**SPOKEN, "tools": [LIGHTS]},
    )  # fmt: skip
    assert named_calls(told) == ["turn_on_the_lights"]
    assert hear(sound(told), 24_000) == "turn on the lights is done."


def test_barge_in(scripted: Running, tmp_path: Path) -> None:
    stop = say("stop now", 16_000)
    told = drive(scripted, tmp_path, stop, text=STORY, after=300, turns=2)
    kinds = [kind(message) for message in told]
    cut = kinds.index("interrupted")
    assert kinds[cut + 1] == "turnComplete"
    assert kinds.count("interrupted") == 1
    assert transcript(told[cut:], "input") == "stop now"
    assert hear(sound(told[cut:]), 24_000) == "stop now", "nothing of the story is in it"


def test_a_refusal_reaches_the_application_with_its_reason(tmp_path: Path) -> None:
    # The SDK's connect never settles when it is refused; the application has only `onclose`.
    with serving("scripted", VIVAVOCE_SERVER__KEYS="right") as keyed:
        told = drive(keyed, tmp_path, key="wrong")
    assert told == [
        {"closed": {"code": 1007, "reason": "API key not valid. Please pass a valid API key."}}
    ]


@pytest.mark.embedded
def test_embedded_lights_are_turned_on_by_speech(embedded: Running, tmp_path: Path) -> None:
    told = drive(
        embedded, tmp_path, load_recording("lights.wav"), config={**SPOKEN, "tools": [LIGHTS]}
    )
    heard = transcript(told, "input").replace(",", "").strip(" .")  # punctuated as it hears it
    assert heard == "Turn on the lights please"
    assert named_calls(told) == ["turn_on_the_lights"]
    assert len(sound(told)) > 12_000, "a spoken confirmation follows"
