"""espeak-ng as a program: languages, voices, failures, and nothing left behind."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import struct
from pathlib import Path

import numpy as np
import pytest

from vivavoce.domain.audio import pcm_seconds
from vivavoce.domain.setup import VOICES
from vivavoce.engines import espeak
from vivavoce.engines.espeak import EspeakSynthesizer, create
from vivavoce.engines.synthesis import LOUDNESS, measure_loudness
from vivavoce.errors import ConfigError, EngineError, EngineMissing

INSTALLED = shutil.which("espeak-ng") or shutil.which("espeak")
needs_espeak = pytest.mark.skipif(not INSTALLED, reason="espeak-ng is not installed")
TEXT = "Hello there. How are you today?"


async def say(
    engine: EspeakSynthesizer, text: str, voice: str = "Kore", language: str = ""
) -> tuple[bytes, str]:
    pieces = [piece async for piece in engine.speak(text, voice, language)]
    assert all(len(piece.pcm) % 2 == 0 for piece in pieces)
    return b"".join(p.pcm for p in pieces), "".join(p.text for p in pieces)


def program(folder: Path, body: str) -> str:
    """A stand-in for the program, in shell."""
    path = folder / "espeak-ng"
    path.write_text(
        f'#!/bin/sh\nif [ "$1" = --voices ]; then echo; echo "5 de x"; exit; fi\n{body}'
    )
    path.chmod(0o755)
    return str(path)


def silent(folder: Path, body: str) -> str:
    """A stand-in that does this even when it is asked for its voices."""
    path = folder / "espeak-ng"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(0o755)
    return str(path)


def wav(rate: int, samples: list[int]) -> bytes:
    data = struct.pack(f"<{len(samples)}h", *samples)
    head = struct.pack("<4sI8sIHHIIHH", b"RIFF", 0x7FFFF024, b"WAVEfmt ", 16, 1, 1, rate, 0, 2, 16)
    return head + struct.pack("<4sI", b"data", 0x7FFFF000) + data


# --- with a stand-in ---------------------------------------------------------------------


async def test_without_the_program_the_fix_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissing, match="apt-get install espeak-ng"):
        await create({}, None)  # type: ignore[arg-type]
    with pytest.raises(EngineMissing, match="no program missing-one"):
        await create({"program": "missing-one"}, None)  # type: ignore[arg-type]


async def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="speed"):
        await create({"speed": 1}, None)  # type: ignore[arg-type]


@pytest.mark.integration
async def test_any_rate_becomes_24_khz_trimmed_and_level(tmp_path: Path) -> None:
    quiet = [0] * 11025
    (tmp_path / "sound").write_bytes(wav(11025, quiet + ([3000] * 5 + [-3000] * 5) * 1102 + quiet))
    engine = EspeakSynthesizer(program(tmp_path, f"cat > /dev/null; cat {tmp_path}/sound"), ["de"])
    pcm, text = await say(engine, "one two three, four")
    assert text == "one two three, four"
    assert 1.05 < pcm_seconds(pcm) < 1.25
    sound = np.frombuffer(pcm, "<i2").astype(np.float32) / np.float32(32768)
    assert measure_loudness(sound) == pytest.approx(LOUDNESS, abs=1)
    await engine.aclose()


@pytest.mark.integration
@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ("echo broken voice >&2; exit 3", "status 3. broken voice"),
        ("cat > /dev/null; echo nonsense", "not a WAV"),
    ],
)
async def test_a_failing_program_is_an_engine_error(
    tmp_path: Path, body: str, problem: str
) -> None:
    engine = EspeakSynthesizer(program(tmp_path, body), ["de"])
    with pytest.raises(EngineError, match=problem):
        await say(engine, TEXT)
    await engine.aclose()


@pytest.mark.integration
async def test_a_program_that_is_gone_is_an_engine_error(tmp_path: Path) -> None:
    engine = EspeakSynthesizer(str(tmp_path / "gone"), ["de"])
    with pytest.raises(EngineError, match="can't be run"):
        await say(engine, TEXT)
    await engine.aclose()


@pytest.mark.integration
async def test_a_cancelled_clause_kills_the_program(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    engine = EspeakSynthesizer(program(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60"), [])
    speaking = asyncio.ensure_future(say(engine, TEXT))
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    speaking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await speaking
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)
    await engine.aclose()


@pytest.mark.integration
async def test_a_program_that_does_not_list_its_voices_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(espeak, "_LIMIT_S", 0.1)
    async with asyncio.timeout(10):
        with pytest.raises(EngineMissing, match=r"within 0\.1 s.*apt-get install espeak-ng"):
            await create({"program": silent(tmp_path, "exec sleep 60")}, None)  # type: ignore[arg-type]


@pytest.mark.integration
async def test_a_start_that_is_left_kills_the_program(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pid")
    name = silent(tmp_path, f"echo $$ > {tmp_path}/pid; exec sleep 60")
    starting = asyncio.ensure_future(create({"program": name}, None))  # type: ignore[arg-type]
    pid = int(await asyncio.to_thread((tmp_path / "pid").read_text))
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.parametrize(
    ("code", "name"),
    [
        ("", "en-us"), ("en", "en-us"), ("en-GB", "en-gb"), ("en_AU", "en-us"), ("de-DE", "de"),
        ("pt-BR", "pt-br"), ("zh-CN", "cmn"), ("iw", "he"), ("no", "nb"), ("xx", "en-us"),
    ],
)  # fmt: skip
async def test_language_codes_find_the_programs_names(code: str, name: str) -> None:
    known = ["cmn", "de", "en-gb", "en-us", "he", "nb", "pt-br"]
    engine = EspeakSynthesizer("espeak-ng", known)
    assert engine.language(code) == name
    await engine.aclose()


# --- with the program --------------------------------------------------------------------


@needs_espeak
async def test_it_speaks_and_gives_the_text_back() -> None:
    engine = await create({}, None)  # type: ignore[arg-type]
    pcm, text = await say(engine, TEXT)
    assert text == TEXT
    assert 1.0 < pcm_seconds(pcm) < 4.0
    assert "de" in engine.capabilities.languages
    await engine.aclose()


@needs_espeak
async def test_all_voices_speak_and_differ() -> None:
    engine = await create({}, None)  # type: ignore[arg-type]
    said = {voice: (await say(engine, "Hello.", voice))[0] for voice in VOICES}
    assert all(pcm_seconds(pcm) > 0.3 for pcm in said.values())
    assert len(set(said.values())) == len(VOICES)
    await engine.aclose()


@needs_espeak
@pytest.mark.parametrize(
    ("language", "text"),
    [("de-DE", "Guten Morgen."), ("fr-FR", "Bonjour à tous."), ("ru", "Доброе утро."), ("", "...")],
)
async def test_other_languages_and_odd_texts(language: str, text: str) -> None:
    engine = await create({}, None)  # type: ignore[arg-type]
    pcm, said = await say(engine, text, "Puck", language)
    assert said == text
    assert pcm
    await engine.aclose()


@needs_espeak
async def test_leaving_early_is_clean() -> None:
    engine = await create({}, None)  # type: ignore[arg-type]
    speaking = engine.speak("One sentence. " * 50, "Kore")
    async with contextlib.aclosing(speaking) as pieces:  # type: ignore[type-var]
        assert (await anext(pieces)).pcm
    pcm, _ = await say(engine, "Still here.")
    assert pcm
    await engine.aclose()
