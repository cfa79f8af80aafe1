from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.bench.scenario import (
    Expectation,
    builtin_scenarios,
    load_scenario,
    parse_scenario,
    record_scenario,
)
from vivavoce.client.audio import Recording
from vivavoce.engines.scripted import say
from vivavoce.errors import ConfigError


def steps(text: str) -> str:
    return f"[[conversations]]\nsteps = [{text}]"


@pytest.mark.parametrize("name", builtin_scenarios())
async def test_the_scenarios_that_ship_can_be_spoken(name: str) -> None:
    scenario, folder = load_scenario(name)
    recorded = await record_scenario(scenario, folder, tones=True)
    assert [len(each) for each in recorded] == [len(each.steps) for each in scenario.conversations]


def test_the_default_one_has_every_kind_of_step() -> None:
    scenario, _ = load_scenario("everyday")
    found = {step.expect for each in scenario.conversations for step in each.steps}
    assert found == set(Expectation)


def test_what_is_said_during_a_reply_interrupts_it_by_default() -> None:
    scenario = parse_scenario(
        steps(
            "{say='a'}, {say='b', during_reply_s=1}, {say='c', during_reply_s=1, expect='nothing'}"
        ),
        "x",
    )
    assert [step.expect for step in scenario.conversations[0].steps] == [
        Expectation.REPLY, Expectation.INTERRUPTION, Expectation.NOTHING,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("steps = [", "is not TOML"),
        ("", "conversations: Field required"),
        (steps(""), "at least 1 item"),
        (steps("{}"), "give either"),
        (steps("{say='a', wav='b.wav'}"), "give either"),
        (steps("{say=['a', 0.5]}"), "begins and ends with words"),
        (steps("{say='a', expect='interruption'}"), "during_reply_s"),
        (steps("{say='a', expect='laughter'}"), "conversations.0.steps.0.expect"),
        (steps("{say='a', colour='red'}"), "conversations.0.steps.0.colour"),
        ("[[functions]]\nname = 'a b'\n" + steps("{say='a'}"), "functions.0.name"),
    ],
)
def test_a_fault_is_named(text: str, fault: str) -> None:
    with pytest.raises(ConfigError, match=fault) as caught:
        parse_scenario(text, "mine.toml")
    assert "mine.toml" in caught.value.problem
    assert caught.value.fix


def test_a_missing_file_lists_what_there_is() -> None:
    with pytest.raises(ConfigError, match="can't be read") as caught:
        load_scenario("nowhere.toml")
    assert "everyday" in caught.value.fix


async def test_recordings_lie_beside_the_scenario(tmp_path: Path) -> None:
    silence = bytes(3_200)
    Recording(bytearray(silence + say("hi", 16_000) + silence), 16_000).save(tmp_path / "hi.wav")
    (tmp_path / "mine.toml").write_text(steps("{wav='hi.wav'}, {say='ho'}"))
    scenario, folder = load_scenario(str(tmp_path / "mine.toml"))
    [[recorded, spoken]] = await record_scenario(scenario, folder, tones=True)
    assert recorded.utterance.onset == pytest.approx(1_600, abs=20)
    assert recorded.step.label == "hi.wav"
    assert spoken.utterance.text == "ho"


async def test_a_silent_recording_is_refused(tmp_path: Path) -> None:
    Recording(bytearray(32_000), 16_000).save(tmp_path / "hush.wav")
    scenario = parse_scenario(steps("{wav='hush.wav'}"), "x")
    with pytest.raises(ConfigError, match=r"hush\.wav holds no speech"):
        await record_scenario(scenario, tmp_path, tones=True)
