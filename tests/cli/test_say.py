from __future__ import annotations

import json
import wave
from pathlib import Path

import typer
from typer.testing import CliRunner

from client.stub import READY, Peer, serving_in_a_thread, spoken
from vivavoce.cli.say import say

app = typer.Typer()
app.command()(say)
run = CliRunner()


async def answering(peer: Peer) -> None:
    setup = await peer.take()
    await peer.say(READY)
    words = (await peer.take())["clientContent"]["turns"][0]["parts"][0]["text"]
    if setup["setup"]["generationConfig"]["responseModalities"] == ["TEXT"]:
        part = {"parts": [{"text": f"You wrote {words}."}]}
        await peer.say({"serverContent": {"modelTurn": part}})
    else:
        said = {"outputTranscription": {"text": f"You said {words}."}}
        await peer.say(spoken(bytes(4_800)), {"serverContent": said})
    await peer.say({"serverContent": {"generationComplete": True}})
    await peer.gone()


def test_it_prints_the_answer_and_keeps_its_sound(tmp_path: Path) -> None:
    with serving_in_a_thread(answering) as url:
        result = run.invoke(app, ["hello", "--url", url, "--out", str(tmp_path / "a.wav")])
    assert result.exit_code == 0, result.output
    assert result.stdout == "You said hello.\n"
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() == 2_400


def test_json_and_text_and_standard_input() -> None:
    with serving_in_a_thread(answering) as url:
        result = run.invoke(app, ["-", "--text", "--json", "--url", url], input="good day\n")
    turn = json.loads(result.stdout)
    assert turn["said"] == "You wrote good day."
    assert turn["answer_s"] == 0
    assert turn["first_text_ms"] >= 0


def test_it_does_not_wait_for_ever() -> None:
    async def silent(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.gone()

    with serving_in_a_thread(silent) as url:
        result = run.invoke(app, ["hello", "--url", url, "--wait", "0.05"])
    assert result.exit_code == 5
    assert result.stdout == ""
