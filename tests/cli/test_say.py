from __future__ import annotations

import json
import wave
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.stub import READY, Peer, serving_in_a_thread, spoken
from vivavoce.cli.main import app
from vivavoce.protocol.close import UNREGISTERED

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


@pytest.mark.integration
def test_it_prints_the_answer_and_keeps_its_sound(tmp_path: Path) -> None:
    with serving_in_a_thread(answering) as url:
        result = run.invoke(app, ["say", "hello", "--url", url, "--out", str(tmp_path / "a.wav")])
    assert result.exit_code == 0, result.output
    assert result.stdout == "You said hello.\n"
    with wave.open(str(tmp_path / "a.wav")) as file:
        assert file.getnframes() == 2_400


@pytest.mark.integration
def test_json_and_text_and_standard_input() -> None:
    with serving_in_a_thread(answering) as url:
        result = run.invoke(app, ["say", "-", "--text", "--json", "--url", url], input="good day\n")
    turn = json.loads(result.stdout)
    assert turn["said"] == "You wrote good day."
    assert turn["answer_s"] == 0
    assert turn["first_text_ms"] >= 0


@pytest.mark.integration
def test_it_does_not_wait_for_ever() -> None:
    async def silent(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.gone()

    with serving_in_a_thread(silent) as url:
        result = run.invoke(app, ["say", "hello", "--url", url, "--wait", "0.05"])
    assert result.exit_code == 5
    assert result.stderr.startswith("E-NO-ANSWER: ")
    assert result.stdout == ""


async def failing(peer: Peer) -> None:
    await peer.take()
    await peer.say(READY)
    await peer.take()
    over = {"turnComplete": True, "turnCompleteReason": "GENERATED_OTHER"}
    await peer.say({"serverContent": {"generationComplete": True}}, {"serverContent": over})
    await peer.gone()


@pytest.mark.integration
def test_a_turn_that_the_server_could_not_answer_is_exit_code_6() -> None:
    with serving_in_a_thread(failing) as url:
        plain = run.invoke(app, ["say", "hello", "--url", url])
        as_json = run.invoke(app, ["say", "hello", "--json", "--url", url])
    assert plain.exit_code == as_json.exit_code == 6
    assert plain.stdout == ""
    assert plain.stderr.startswith("E-TURN-FAILED: The server could not answer this turn.")
    turn = json.loads(as_json.stdout)
    assert (turn["failed"], turn["reason"]) == (True, "GENERATED_OTHER")


@pytest.mark.integration
@pytest.mark.parametrize(
    ("code", "reason", "name"),
    [
        (1007, "API key not valid. Please pass a valid API key.", "E-KEY-REFUSED"),
        (1008, "Method doesn't allow unregistered callers (callers", "E-KEY-REFUSED"),
        (1008, UNREGISTERED.encode()[:123].decode(), "E-KEY-REFUSED"),
        (1008, "models/x is not found", "E-SESSION-CLOSED"),
        (1011, "", "E-SESSION-CLOSED"),
    ],
)
def test_a_session_that_the_server_ends_has_a_code_and_a_fix(
    code: int, reason: str, name: str
) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.take()
        await peer.close(code, reason)

    with serving_in_a_thread(refusing) as url:
        result = run.invoke(app, ["say", "hello", "--url", url])
    assert result.exit_code == 4
    problem, fix = result.stderr.splitlines()
    assert problem.startswith(f"{name}: The server closed the session ({code})")
    assert problem.endswith((".", "given", "found", "callers", "API …"))
    assert fix.endswith(".")


@pytest.mark.parametrize("words", ["", "  "])
def test_nothing_is_not_said(words: str) -> None:
    result = run.invoke(app, ["say", words, "--url", "http://127.0.0.1:9"])
    assert result.exit_code == 1
    assert "There is nothing to say." in result.stderr


def test_help_names_the_shells_keys_in_their_order() -> None:
    shown = run.invoke(app, ["say", "--help"]).output
    assert -1 < shown.find("GOOGLE_API_KEY") < shown.find("GEMINI_API_KEY")


async def grounded(peer: Peer) -> None:
    setup = await peer.take()
    await peer.say(READY)
    await peer.take()
    kinds = [kind for tool in setup["setup"]["tools"] for kind in tool]
    code = {"executableCode": {"language": "PYTHON", "code": "print(\n  1)"}}
    await peer.say({"serverContent": {"modelTurn": {"parts": [code]}}})
    part = {"parts": [{"text": f"With {', '.join(kinds)}."}]}
    chunks = [{"web": {"uri": "https://a.example/", "title": "A [b]"}}]
    page = {"retrievedUrl": "u", "urlRetrievalStatus": "URL_RETRIEVAL_STATUS_UNSAFE"}
    grounding = {
        "groundingMetadata": {"groundingChunks": chunks},
        "urlContextMetadata": {"urlMetadata": [page]},
    }
    await peer.say({"serverContent": {"modelTurn": part}}, {"serverContent": grounding})
    await peer.say({"serverContent": {"generationComplete": True}})
    await peer.gone()


@pytest.mark.integration
def test_the_servers_tools_are_asked_for_and_what_they_found_is_shown() -> None:
    with serving_in_a_thread(grounded) as url:
        result = run.invoke(app, ["say", "hello", "--text", "--use", "search,code", "--url", url])
    assert result.stdout == "With googleSearch, codeExecution.\n"
    told = "ran print( 1)\nread u (UNSAFE)\nsource: A [b] (https://a.example/)\n"
    assert result.stderr == told


@pytest.mark.integration
def test_tools_that_were_wanted_and_not_used_are_spoken_of() -> None:
    with serving_in_a_thread(answering) as url:
        result = run.invoke(app, ["say", "hello", "--text", "--use", "search", "--url", url])
    assert "The model used none of these tools." in result.stderr


def test_a_tool_that_is_none_is_named() -> None:
    result = run.invoke(app, ["say", "hello", "--use", "magic"])
    assert result.exit_code == 1
    assert "There is no tool 'magic'" in result.stderr
