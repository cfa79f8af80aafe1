"""hibari as a synthesizer: thirty level voices, true transcripts, other languages."""

from __future__ import annotations

import asyncio
import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import hibari
import numpy as np
import pytest

from vivavoce.domain.audio import OUTPUT_RATE, pcm_seconds
from vivavoce.domain.setup import VOICES
from vivavoce.engines.hibari import FURTHER_VOICES, WEIGHTS, HibariSynthesizer, create
from vivavoce.engines.registry import EngineBuilder
from vivavoce.engines.synthesis import LOUDNESS, measure_loudness
from vivavoce.errors import ConfigError

SENTENCE = "The train to the city leaves at seven in the morning."
MODEL = Path(hibari.__file__).parent / "assets" / "hibari.onnx"
TONES = {"use": "tones"}


@pytest.fixture(scope="module")
def engine() -> Iterator[HibariSynthesizer]:
    engine = asyncio.run(create({"other_languages": TONES}, EngineBuilder()))
    yield engine
    asyncio.run(engine.aclose())


async def say(
    engine: HibariSynthesizer, text: str, voice: str = "Kore", language: str = ""
) -> tuple[np.ndarray, str]:
    pieces = [piece async for piece in engine.speak(text, voice, language)]
    pcm = b"".join(piece.pcm for piece in pieces)
    sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    return sound, "".join(piece.text for piece in pieces)


# --- settings ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"speed": 2}, "`speed` is not known"),
        ({"workers": 0}, "`workers` should"),
        ({"model": "/no/such.onnx"}, "names no file: '/no/such.onnx'"),
        ({"voices": "Kore"}, "`voices` should"),
        ({"voices": {"Nobody": "x"}}, "names no voice: 'Nobody'"),
        ({"voices": {"Kore": "/no/such.onnx"}}, "names no file: '/no/such.onnx'"),
    ],
)
async def test_a_bad_setting_is_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        await create(settings, EngineBuilder())


def test_further_voices_are_on_the_hub_and_checked_by_hash() -> None:
    for weights in WEIGHTS:
        assert weights.joined is not None
        assert weights.joined.url.endswith("/" + weights.files[0])
        assert len(weights.joined.sha256) == 64
    assert set(FURTHER_VOICES) <= set(VOICES)


# --- the sound ---------------------------------------------------------------------------


@pytest.mark.embedded
async def test_thirty_voices_speak_level_and_unclipped_and_differ(
    engine: HibariSynthesizer,
) -> None:
    sounds = {voice: (await say(engine, SENTENCE, voice))[0] for voice in VOICES}
    for voice, sound in sounds.items():
        assert 2.0 < len(sound) / OUTPUT_RATE < 4.5, voice
        assert measure_loudness(sound) == pytest.approx(LOUDNESS, abs=1.5), voice
        assert np.abs(sound).max() < 0.99, voice
        assert abs(sound.mean()) < 0.001, voice
    assert len({sound.tobytes() for sound in sounds.values()}) == len(VOICES)


@pytest.mark.embedded
async def test_a_clause_begins_at_once_and_borders_have_no_click(
    engine: HibariSynthesizer,
) -> None:
    sound, _ = await say(engine, "All is well. Are you? Yes, I am.")
    loud = np.flatnonzero(np.abs(sound) > 0.0076)
    assert loud[0] / OUTPUT_RATE < 0.05
    pauses = [m.span() for m in re.finditer(rb"\x01{1200,}", (sound == 0).tobytes())]
    assert len(pauses) == 3
    for start, end in pauses:
        assert np.abs(sound[start - 12 : start]).max() < 0.003
        assert np.abs(sound[end : end + 12]).max(initial=0) < 0.003


@pytest.mark.embedded
@pytest.mark.parametrize(
    "text", ["", "...", "$", "你好", "\x00", "x" * 250, "<b>&amp;", "a  b\n\nc", "é", "-", "①" * 9]
)
async def test_any_text_is_survived_and_given_back(engine: HibariSynthesizer, text: str) -> None:
    sound, said = await say(engine, text, "Puck")
    assert said == text
    assert bool(len(sound)) == bool(text)


@pytest.mark.embedded
async def test_letters_of_other_scripts_are_silent(engine: HibariSynthesizer) -> None:
    sound, said = await say(engine, "Привет 你好")
    assert said == "Привет 你好"
    assert not sound.any()
    mixed, plain = [(await say(engine, text))[0] for text in ("Привет world", "world")]
    assert len(mixed) == len(plain)


@pytest.mark.embedded
@pytest.mark.parametrize("text", ["one two three four five six", "pay $5 at 3:30 or $20 at noon"])
async def test_words_go_with_the_sound_in_which_they_begin(
    engine: HibariSynthesizer, text: str
) -> None:
    at, starts = 0.0, {}
    async for piece in engine.speak(text, "Kore"):
        for word in piece.text.split():
            starts[word] = at
        at += pcm_seconds(piece.pcm)
    assert list(starts) == list(dict.fromkeys(text.split()))
    for word in set(starts) & {"six", "noon"}:
        alone, _ = await say(engine, word)
        assert starts[word] == pytest.approx(at - len(alone) / OUTPUT_RATE, abs=0.35)


@pytest.mark.embedded
async def test_what_is_said_at_once_is_the_same_as_alone(engine: HibariSynthesizer) -> None:
    voices = ["Kore", "Gacrux", "Leda", "Charon"]
    alone = [(await say(engine, SENTENCE, voice))[0] for voice in voices]
    together = await asyncio.gather(*(say(engine, SENTENCE, voice) for voice in voices * 2))
    for index, (sound, _) in enumerate(together):
        assert np.array_equal(sound, alone[index % 4])


@pytest.mark.embedded
async def test_leaving_early_costs_no_more_than_the_clause_at_hand(
    engine: HibariSynthesizer,
) -> None:
    made: list[str] = []
    speaking = engine.speak("One. " * 200, "Kore")
    async with contextlib.aclosing(speaking) as pieces:  # type: ignore[type-var]
        made.append((await anext(pieces)).text)
    assert made == ["One. "] or made == ["One."]
    assert engine._workers.idle


# --- languages and further voices --------------------------------------------------------


@pytest.mark.embedded
async def test_another_language_is_spoken_by_the_other_engine(
    engine: HibariSynthesizer,
) -> None:
    german, said = await say(engine, "Guten Morgen.", language="de-DE")
    english, _ = await say(engine, "Guten Morgen.", language="en-GB")
    assert said == "Guten Morgen."
    assert not np.array_equal(german, english)


@pytest.mark.embedded
async def test_without_another_engine_it_is_read_as_english_and_said_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    engine = await create(
        {"other_languages": {"use": "espeak", "program": "no-such"}}, EngineBuilder()
    )
    german, _ = await say(engine, "Guten Morgen.", language="de-DE")
    english, _ = await say(engine, "Guten Morgen.", language="")
    assert np.array_equal(german, english)
    warned = [vars(record) for record in caplog.records if record.levelname == "WARNING"]
    assert [record["language"] for record in warned] == ["de"]
    await engine.aclose()


@pytest.mark.embedded
async def test_a_voice_with_a_model_of_its_own_is_not_converted(
    engine: HibariSynthesizer, tmp_path: Path
) -> None:
    shutil.copy(MODEL, tmp_path / "af_kore.int8.onnx")
    shutil.copy(MODEL, tmp_path / "bm_fable.int8.onnx")
    builder = EngineBuilder(overrides={"hibari-fable": tmp_path})
    settings = {"voices": {"kore": str(tmp_path / "af_kore.int8.onnx")}, "other_languages": False}
    own = await create(settings, builder)
    for voice, same in (("Kore", False), ("Iapetus", False), ("Puck", True)):
        mine, _ = await say(own, "Ask the aunt.", voice)
        plain, _ = await say(engine, "Ask the aunt.", voice)
        assert np.array_equal(mine, plain) is same
        assert measure_loudness(mine) == pytest.approx(LOUDNESS, abs=2)
    american, british = [
        (await say(own, "Ask the aunt.", voice))[0] for voice in ("Kore", "Iapetus")
    ]
    assert not np.array_equal(american, british)
    await own.aclose()


@pytest.mark.embedded
async def test_a_model_that_tells_no_times_has_words_spread_over_its_sound(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    other.write_bytes(MODEL.read_bytes().replace(b"/CumSum_output_0", b"/Cumsum_output_0"))
    engine = await create({"model": str(other), "other_languages": False}, EngineBuilder())
    pieces = engine.synthesize(SENTENCE, "Kore")
    assert "".join(piece.text for piece in pieces) == SENTENCE
    assert sum(bool(piece.text) for piece in pieces) > 8
    await engine.aclose()
