from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from client.stub import READY, Peer, serving_in_a_thread, spoken
from vivavoce.cli.main import app

pytestmark = pytest.mark.integration

run = CliRunner()

SHORT = "settle_s = 0\n[[conversations]]\nsteps = [{ say = 'hi' }, { say = 'ho', pause_s = 0 }]"


@pytest.fixture
def scenario(tmp_path: Path) -> str:
    path = tmp_path / "short.toml"
    path.write_text(SHORT)
    return str(path)


async def answering(peer: Peer) -> None:
    await peer.take()
    await peer.say(READY)
    sound = np.full(2_400, 9_000, "<i2").tobytes()
    while True:
        for _ in range(8):
            await peer.take()
        await peer.say(spoken(sound), {"serverContent": {"turnComplete": True}})


def test_any_live_server_is_measured(tmp_path: Path, scenario: str) -> None:
    file = tmp_path / "figures.json"
    with serving_in_a_thread(answering) as url:
        command = ["bench", "--url", url, "--scenario", scenario, "--tones", "--json", str(file)]
        page = tmp_path / "page.html"
        result = run.invoke(app, [*command, "--model", "models/theirs", "--html", str(page)])
    assert result.exit_code == 0, result.output
    assert "2 of 2 turns answered" in result.stdout
    document = json.loads(file.read_text())
    assert (document["endpoint"], document["model"]) == (url, "models/theirs")
    assert document["summary"]["answered"] == 2
    assert document["stopped"] is False
    assert url in page.read_text("utf-8")


def test_the_sessions_that_fit_are_searched(tmp_path: Path, scenario: str) -> None:
    file = tmp_path / "figures.json"
    with serving_in_a_thread(answering) as url:
        command = ["bench", "--url", url, "--scenario", scenario, "--tones", "--json", str(file)]
        result = run.invoke(app, [*command, "--fit", "p95=20", "--most", "2", "--seconds", "2"])
    assert result.exit_code == 0, result.output
    assert "2 sessions fit p95 ≤ 20 s" in result.stdout
    document = json.loads(file.read_text())
    assert [level["sessions"] for level in document["levels"]] == [1, 2]
    assert document["sessions"] == 2
    assert document["limit"] == "p95 ≤ 20 s"


def test_a_server_that_refuses_is_reported_as_such(scenario: str) -> None:
    async def refusing(peer: Peer) -> None:
        await peer.take()
        await peer.close(1008, "API key not valid. Please pass a valid API key.")

    with serving_in_a_thread(refusing) as url:
        result = run.invoke(app, ["bench", "--url", url, "--scenario", scenario, "--tones"])
    assert result.exit_code == 4
    assert result.stderr.startswith("E-KEY-REFUSED: ")


def test_no_server_is_reported_as_such(scenario: str) -> None:
    command = ["bench", "--url", "http://127.0.0.1:1", "--scenario", scenario, "--tones"]
    result = run.invoke(app, command)
    assert result.exit_code == 3
    assert "E-NO-SERVER" in result.stderr


def test_a_server_that_never_answers_is_reported_as_such(scenario: str) -> None:
    async def silent(peer: Peer) -> None:
        await peer.take()
        await peer.say(READY)
        await peer.gone()

    with serving_in_a_thread(silent) as url:
        command = ["bench", "--url", url, "--scenario", scenario, "--tones", "--wait", "0.05"]
        result = run.invoke(app, command)
    assert result.exit_code == 5
    assert "0 of 2 turns answered" in result.stdout


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--fit", "fast"], "no limit of latency"),
        (["--scenario", "nowhere"], "can't be read"),
        (["--serve", "--url", "http://127.0.0.1:1"], "--serve starts a server"),
        (["--profile", "scripted"], "--profile is of the server"),
        (["--pid", "999999999"], "no process 999999999"),
        (["--json", "nowhere/figures.json"], "can't be written"),
        (["--html", "nowhere/page.html"], "can't be written"),
    ],
)
def test_wrong_use_is_named(options: list[str], problem: str) -> None:
    result = run.invoke(app, ["bench", *options])
    assert result.exit_code == 1
    assert problem in result.stderr


def test_it_measures_a_server_that_it_starts(tmp_path: Path, scenario: str) -> None:
    file = tmp_path / "figures.json"
    command = ["bench", "--serve", "--profile", "scripted", "--scenario", scenario]
    result = run.invoke(app, [*command, "--json", str(file)])
    assert result.exit_code == 0, result.output
    summary = json.loads(file.read_text())["summary"]
    assert summary["answered"] == 2
    assert summary["parts_s"]["source"] == "server log"
    assert summary["server"]["peak_mib"] > 10
