"""Names to factories, fallbacks, and which weights a choice needs."""

from __future__ import annotations

import pytest

from vivavoce.engines.registry import House, factory, listing, required_weights
from vivavoce.engines.silence import Silence
from vivavoce.errors import ConfigError, EngineMissing


async def test_a_name_or_a_table_builds_the_same_engine() -> None:
    house = House()

    for choice in ("silence", {"use": "silence"}, "vivavoce.engines.silence:create"):
        assert isinstance(await house.build("synthesizer", choice), Silence)
    assert house.fallbacks == []


async def test_a_missing_part_falls_back_as_often_as_needed_and_says_so() -> None:
    house = House()
    choice = {"use": "unruly:absent", "otherwise": {"use": "unruly:absent", "otherwise": "silence"}}

    assert isinstance(await house.build("synthesizer", choice), Silence)
    assert house.fallbacks
    assert all("It is not here. Bring it." in each for each in house.fallbacks)


async def test_without_a_fallback_the_lack_is_raised() -> None:
    with pytest.raises(EngineMissing, match="Bring it"):
        await House().build("responder", "unruly:absent")


async def test_bad_settings_are_no_reason_to_fall_back() -> None:
    choice = {"use": "silence", "volume": 11, "otherwise": "tones"}

    with pytest.raises(ConfigError, match="no settings"):
        await House().build("synthesizer", choice)


def test_a_module_that_is_not_installed_is_told_with_the_command() -> None:
    with pytest.raises(EngineMissing) as missing:
        factory("model.no_such_package.engine:create")
    assert missing.value.fix == "Run `pip install no_such_package`."


def test_weights_of_a_cascade_are_those_of_its_parts() -> None:
    cascade = {"use": "cascade", "model": {"use": "llamacpp"}, "voice": "flite"}

    assert required_weights("responder", cascade) == {"smollm2", "minilm"}
    assert required_weights("detector", "silero") == {"silero"}
    assert required_weights("detector", "energy") == set()


def test_weights_that_the_settings_replace_or_switch_off_are_not_wanted() -> None:
    def of_model(**settings: object) -> set[str]:
        model = {"use": "llamacpp", **settings}
        return required_weights("responder", {"use": "cascade", "model": model, "voice": "flite"})

    assert of_model(path="/models/own.gguf") == {"minilm"}
    assert of_model(tools=False) == {"smollm2"}
    assert of_model(router="/models/minilm") == {"smollm2"}
    assert of_model(path="/models/own.gguf", tools=False) == set()
    assert required_weights("detector", {"use": "silero", "path": "/models/own.onnx"}) == set()


def test_the_listing_is_sorted_and_says_where_engines_come_from() -> None:
    names = [each.name for each in listing()]

    assert names == sorted(names)
    assert {each.source for each in listing() if each.name.startswith("detector.")} == {"built in"}
