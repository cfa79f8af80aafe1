from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
import wave
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from client.stub import READY, Peer, serving_in_a_thread, spoken
from vivavoce.cli.main import app
from vivavoce.client.audio import Recording

pytestmark = pytest.mark.integration

run = CliRunner()

OVER = {"serverContent": {"turnComplete": True}}
SECOND = b"\x01\x02" * 24_000


@pytest.fixture(autouse=True)
def short_quiet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vivavoce.cli.talk.QUIET_S", 0.05)


@pytest.fixture
def question(tmp_path: Path) -> Path:
    recording = Recording.empty(rate=16_000)
    recording.add_audio(np.full(3_200, 8_000, "<i2").tobytes())
    recording.save(tmp_path / "q.wav")
    return tmp_path / "q.wav"


async def answering(peer: Peer) -> None:
    await peer.take()
    await peer.say(READY)
    while not (await peer.take()).get("realtimeInput", {}).get("audioStreamEnd"):
        pass
    await peer.say(
        {"serverContent": {"inputTranscription": {"text": "what time is it"}}},
        spoken(SECOND),
        {"serverContent": {"outputTranscription": {"text": "Noon."}}},
        {"serverContent": {"generationComplete": True}},
        OVER,
    )
    await peer.gone()


def test_a_question_in_a_file_is_answered_in_a_file(question: Path, tmp_path: Path) -> None:
    answer, lines = tmp_path / "a.wav", tmp_path / "t.jsonl"
    with serving_in_a_thread(answering) as url:
        options = ["--in", str(question), "--out", str(answer), "--transcript", str(lines)]
        result = run.invoke(app, ["talk", "--url", url, "--fast", *options])
    assert result.exit_code == 0, result.output
    assert "you    what time is it" in result.output
    assert "voice  Noon." in result.output
    assert "turn 1 · transcript" in result.output
    assert "\x1b" not in result.output, "plain when piped"
    with wave.open(str(answer)) as file:
        assert file.readframes(file.getnframes()) == SECOND
    (turn,) = [json.loads(line) for line in lines.read_text().splitlines()]
    assert (turn["heard"], turn["said"], turn["answer_s"]) == ("what time is it", "Noon.", 1.0)
    assert turn["first_audio_ms"] >= 0


def test_pipes_carry_pcm_and_nothing_else(question: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with wave.open(str(question)) as file:
        pcm = file.readframes(file.getnframes())
    with serving_in_a_thread(answering) as url:
        result = run.invoke(app, ["talk", "--url", url, "--in", "-", "--out", "-"], input=pcm)
    assert result.exit_code == 0, result.stderr
    assert result.stdout_bytes == SECOND
    assert "voice  Noon." in result.stderr


def test_no_answer_is_exit_code_5(question: Path) -> None:
    async def silent(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.gone()

    with serving_in_a_thread(silent) as url:
        arguments = ["--url", url, "--in", str(question), "--fast", "--wait", "0.1"]
        result = run.invoke(app, ["talk", *arguments])
    assert result.exit_code == 5
    assert "No answer came in time." in result.output


def test_a_turn_that_the_server_could_not_answer_is_exit_code_6(question: Path) -> None:
    async def failing(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.take_until("realtimeInput")
        over = {"turnComplete": True, "turnCompleteReason": "GENERATED_OTHER"}
        await peer.say({"serverContent": over})
        await peer.gone()

    with serving_in_a_thread(failing) as url:
        result = run.invoke(app, ["talk", "--url", url, "--in", str(question), "--fast"])
    assert result.exit_code == 6
    assert "no answer: the server's log says why" in result.output
    assert "failed: GENERATED_OTHER" in result.output
    assert "E-TURN-FAILED" in result.stderr


def test_an_end_by_the_server_is_exit_code_4_with_its_reason(question: Path) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.take()
        await peer.close(1008, "models/x is not found")

    with serving_in_a_thread(refusing) as url:
        result = run.invoke(app, ["talk", "--url", url, "--in", str(question)])
    assert result.exit_code == 4
    assert "1008" in result.output
    assert "models/x is not found" in result.output


def test_what_was_answered_before_the_server_closed_is_kept(question: Path, tmp_path: Path) -> None:
    async def leaving(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.take()
        await peer.say(spoken(SECOND))
        await peer.close(1011, "going")

    answer = tmp_path / "a.wav"
    with serving_in_a_thread(leaving) as url:
        result = run.invoke(
            app, ["talk", "--url", url, "--in", str(question), "--out", str(answer)]
        )
    assert result.exit_code == 4
    with wave.open(str(answer)) as file:
        assert file.readframes(file.getnframes()) == SECOND


def test_a_conversation_goes_on_when_the_server_ends_the_connection(question: Path) -> None:
    asked: list[object] = []

    async def restarting(peer: Peer) -> None:
        setup = await peer.take()
        asked.append(setup["setup"]["sessionResumption"])
        if len(asked) > 1:
            await peer.say(READY)
            await peer.take_until("realtimeInput")
            await peer.say(spoken(SECOND), OVER)
            await peer.gone()
        update = {"newHandle": "h-1", "resumable": True}
        await peer.say(READY, {"sessionResumptionUpdate": update})
        await peer.take_until("realtimeInput")
        await peer.close(1011, "The server is going away")

    with serving_in_a_thread(restarting) as url:
        result = run.invoke(app, ["talk", "--url", url, "--in", str(question)])
    assert result.exit_code == 0, result.output
    assert asked == [{}, {"handle": "h-1"}]
    assert (
        "(1011): The server is going away. The conversation continues on a new connection."
        in result.output
    )
    assert "turn 1" in result.output


@pytest.mark.e2e
@pytest.mark.parametrize("end", ["interrupt", "close"])
def test_a_pipe_that_stays_open_ends_well(end: str, tmp_path: Path) -> None:
    answered, status = threading.Event(), 0 if end == "interrupt" else 4

    async def talking(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        for _ in range(3):  # all that the pipe holds: from now on its reader waits
            await peer.take_until("realtimeInput")
        await peer.say(spoken(SECOND), OVER)
        answered.set()
        if end == "close":
            await peer.close(1011, "going")
        await peer.gone()

    answer = tmp_path / "a.wav"
    with serving_in_a_thread(talking) as url:
        options = ["--url", url, "--in", "-", "--out", str(answer), "--fast"]
        with subprocess.Popen(
            [sys.executable, "-u", "-m", "vivavoce", "talk", *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            try:
                process.stdin.write(bytes(3_200))
                process.stdin.flush()
                assert answered.wait(20)
                assert b"turn 1" in process.stdout.readline()
                if end == "interrupt":
                    process.send_signal(signal.SIGINT)
                assert process.wait(10) == status
            finally:
                process.kill()
    with wave.open(str(answer)) as file:
        assert file.readframes(file.getnframes()) == SECOND


def test_no_server_is_exit_code_3_with_what_to_do(question: Path) -> None:
    result = run.invoke(app, ["talk", "--url", "http://127.0.0.1:9", "--in", str(question)])
    assert result.exit_code == 3
    assert "vivavoce serve" in result.output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--in", "nowhere.wav"], "can't be read"),
        (["--out", "a.wav"], "without --in"),
        (["--tools", "nowhere.py"], "not a Python file"),
        (["--backend", "oss"], "no sound back end"),
        (["--echo", "loud"], "no echo mode"),
        (["--url", "localhost", "--backend", "null"], "not the address"),
        (["--transcript", "nowhere/t.jsonl"], "can't be written"),
    ],
)
def test_what_is_wrong_on_this_side_is_exit_code_1(arguments: list[str], words: str) -> None:
    result = run.invoke(app, ["talk", *arguments])
    assert result.exit_code == 1
    assert words in result.output


def test_devices_are_listed() -> None:
    result = run.invoke(app, ["talk", "--list-devices", "--backend", "null"])
    assert result.exit_code == 0
    assert result.output == "0  null  (in)\n1  null  (out)\n"


def test_a_conversation_by_devices_ends_with_the_server() -> None:
    async def short(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.take_until("realtimeInput")
        await peer.close(1011, "going")

    with serving_in_a_thread(short) as url:
        result = run.invoke(app, ["talk", "--url", url, "--backend", "null", "--echo", "off"])
    assert result.exit_code == 4
    assert "Speak" in result.output
    assert "use headphones" in result.output


def test_functions_of_a_module_are_offered_and_answer(question: Path, tmp_path: Path) -> None:
    module = tmp_path / "house.py"
    module.write_text("def lights(on: bool):\n    return {'on': on}\n")
    seen: list[object] = []

    async def calling(peer: Peer) -> None:
        setup = await peer.take()
        seen.append(setup["setup"]["tools"][0]["functionDeclarations"][0]["name"])
        await peer.say(READY)
        await peer.take()
        call = {"id": "1", "name": "lights", "args": {"on": True}}
        await peer.say({"toolCall": {"functionCalls": [call]}})
        answer = await peer.take_until("toolResponse")
        seen.append(answer["toolResponse"]["functionResponses"][0]["response"])
        await peer.say(spoken(SECOND), OVER)
        await peer.gone()

    sys.modules.pop("house", None)
    with serving_in_a_thread(calling) as url:
        arguments = ["--url", url, "--in", str(question), "--fast", "--tools", str(module)]
        result = run.invoke(app, ["talk", *arguments])
    assert result.exit_code == 0, result.output
    assert seen == ["lights", {"on": True}]
    assert 'tool   lights(on=true) → {"on": true}\n' in result.output


def test_a_machine_without_a_sound_card_is_reported_in_two_lines(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    miniaudio = pytest.importorskip("miniaudio", reason="miniaudio is not installed")
    # A back end that no machine of this kind has.
    other = miniaudio.Backend.COREAUDIO if sys.platform == "linux" else miniaudio.Backend.ALSA
    monkeypatch.setattr("vivavoce.client.audio._real_backends", lambda library: [other])
    result = run.invoke(app, ["talk", "--backend", "miniaudio", "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    problem = r"^E-NO-AUDIO-DEVICE: No microphone .* by miniaudio \([a-z ]+, code -\d+\)\.$"
    assert re.search(problem, result.output, re.MULTILINE)
    assert "--in FILE" in result.output
    assert capfd.readouterr().err == ""
