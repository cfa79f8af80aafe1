"""flite: intelligible, thirty voices, safe from threads, stoppable, fetched without root."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import pytest
import soxr

from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, pcm_seconds
from vivavoce.domain.voices import VOICES
from vivavoce.engines.flite import FliteSynthesizer, create, fetch
from vivavoce.engines.flite.library import RATE, load
from vivavoce.engines.flite.synthesizer import plain
from vivavoce.engines.registry import House
from vivavoce.engines.voices import Speaker
from vivavoce.errors import ConfigError, EngineMissing

SENTENCES = (
    "What is the capital of France?",
    "Turn on the lights, please.",
    "She sells sea shells by the sea shore.",
    "The train to the city leaves at seven in the morning.",
    "There is plenty of time to read a good book.",
)


@pytest.fixture
async def flite() -> AsyncIterator[FliteSynthesizer]:
    """The engine, from the system or fetched earlier; no test fetches it."""
    try:
        engine = await create({"fetch": False, "workers": 2}, House())
    except EngineMissing as missing:
        pytest.skip(str(missing))
    yield engine
    await engine.aclose()


async def say(engine: FliteSynthesizer, text: str, voice: str) -> tuple[bytes, str]:
    pieces = [piece async for piece in engine.speak(text, voice)]
    assert all(len(piece.pcm) % 2 == 0 for piece in pieces)
    return b"".join(p.pcm for p in pieces), "".join(p.text for p in pieces)


def package_tools(
    folder: Path, monkeypatch: pytest.MonkeyPatch, apt_get: str, dpkg_deb: str
) -> None:
    """Stand-ins for Debian's tools, in shell, found before the real ones."""
    tools = folder / "tools"
    tools.mkdir()
    for name, lines in {"apt-get": apt_get, "dpkg-deb": dpkg_deb}.items():
        (tools / name).write_text(f"#!/bin/sh\n{lines}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:/usr/bin:/bin")


# --- without the library -----------------------------------------------------------------


def test_plain_keeps_every_position() -> None:
    text = "Café “naïve” — 5… 你好 ß 🙂 Ångström’s"
    said = plain(text)
    assert len(said) == len(text)
    assert said.isascii()
    assert said.startswith('Cafe "naive" , 5.')
    assert said.endswith("Angstrom's")


async def test_an_unknown_setting_is_refused() -> None:
    with pytest.raises(ConfigError, match="speed"):
        await create({"speed": 2}, House())


def test_where_there_is_no_package_client_the_fix_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(EngineMissing, match="brew install flite"):
        fetch.fetch(tmp_path / "flite", print)
    assert not (tmp_path / "flite").exists()


def test_without_a_network_nothing_is_left_and_the_reason_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    failure = "echo 'E: Temporary failure resolving archive' >&2; exit 100"
    package_tools(tmp_path, monkeypatch, apt_get=failure, dpkg_deb="exit 1")
    said: list[str] = []
    with pytest.raises(EngineMissing, match="Temporary failure resolving archive"):
        fetch.fetch(tmp_path / "data" / "flite", said.append)
    assert "13 MB" in said[0]
    assert list((tmp_path / "data").iterdir()) == []


def test_a_package_that_cannot_be_unpacked_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_tools(
        tmp_path,
        monkeypatch,
        apt_get="for last; do :; done; echo rubbish > $last.deb",
        dpkg_deb="echo 'dpkg-deb: error: not a Debian format archive' >&2; exit 2",
    )
    with pytest.raises(EngineMissing, match=r"can't be unpacked .*not a Debian format archive"):
        fetch.fetch(tmp_path / "data" / "flite", lambda _: None)
    assert list((tmp_path / "data").iterdir()) == []


def test_a_folder_that_cannot_be_written_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package_tools(tmp_path, monkeypatch, apt_get="exit 0", dpkg_deb="exit 0")
    (tmp_path / "data").write_text("a file where a folder is wanted")
    with pytest.raises(EngineMissing, match=r"can't be put into .*XDG_DATA_HOME"):
        fetch.fetch(tmp_path / "data" / "flite", lambda _: None)


@pytest.mark.embedded
@pytest.mark.skipif(not fetch.can_fetch(), reason="this system has no Debian package tools")
def test_fetched_as_the_user_it_speaks_in_a_fresh_process(tmp_path: Path) -> None:
    folder = tmp_path / "flite"
    said: list[str] = []
    try:
        assert fetch.fetch(folder, said.append) == folder
    except EngineMissing as missing:
        pytest.skip(str(missing))
    assert said
    assert fetch.fetch(folder, lambda _: pytest.fail("fetched twice")) == folder
    program = (
        "import asyncio, sys\n"
        "from vivavoce.engines.flite import create\n"
        "from vivavoce.engines.registry import House\n"
        "async def main():\n"
        "    engine = await create({'folder': sys.argv[1]}, House())\n"
        "    pieces = [p async for p in engine.speak('Hello there.', 'Kore')]\n"
        "    print(sum(len(p.pcm) for p in pieces))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(folder)], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert 0.5 < pcm_seconds(int(done.stdout)) < 2.0


# --- with the library --------------------------------------------------------------------


@pytest.mark.embedded
async def test_the_sound_is_as_long_as_the_words_ask_for(flite: FliteSynthesizer) -> None:
    pcm, text = await say(flite, SENTENCES[3], "Kore")
    assert text == SENTENCES[3]
    assert 2.0 < pcm_seconds(pcm) < 5.0


@pytest.mark.embedded
async def test_nobody_waits_for_silence_at_the_start(flite: FliteSynthesizer) -> None:
    for voice in ("Kore", "Charon", "Iapetus", "Algenib"):
        pcm, _ = await say(flite, "All is well. Are you?", voice)
        loud = np.flatnonzero(np.abs(np.frombuffer(pcm, "<i2").astype(int)) > 250)
        assert loud[0] / OUTPUT_RATE < 0.06
        assert 0.15 < (len(pcm) // 2 - loud[-1]) / OUTPUT_RATE < 0.35


@pytest.mark.embedded
@pytest.mark.parametrize("voice", ["Kore", "Charon", "Puck"])
async def test_a_recognizer_understands_it(flite: FliteSynthesizer, voice: str) -> None:
    heard = [understood((await say(flite, text, voice))[0]) for text in SENTENCES]
    assert jiwer.wer([bare(text) for text in SENTENCES], heard) <= 0.2, heard


@pytest.mark.embedded
async def test_thirty_voices_all_speak_and_all_differ(flite: FliteSynthesizer) -> None:
    first, second = [
        {voice: (await say(flite, SENTENCES[3], voice))[0] for voice in VOICES} for _ in range(2)
    ]
    for voice, pcm in first.items():
        assert 1.5 < pcm_seconds(pcm) < 5.0
        itself = difference(pcm, second[voice])
        nearest = min(difference(first[other], pcm) for other in VOICES if other != voice)
        assert itself < nearest, f"{voice} sounds like another voice"


@pytest.mark.embedded
async def test_names_are_matched_in_any_case_and_unknown_ones_speak_too(
    flite: FliteSynthesizer,
) -> None:
    kore, _ = await say(flite, "Hello there.", "Kore")
    lower, _ = await say(flite, "Hello there.", "kORE")
    unknown, _ = await say(flite, "Hello there.", "en-us-nobody")
    assert abs(len(kore) - len(lower)) < OUTPUT_RATE * 2 * 0.05
    assert pcm_seconds(unknown) > 0.5


@pytest.mark.embedded
async def test_voices_at_once_do_not_change_each_other(flite: FliteSynthesizer) -> None:
    voices = ["Kore", "Gacrux", "Leda", "Charon"]
    alone = [len((await say(flite, SENTENCES[3], voice))[0]) for voice in voices]
    together = await asyncio.gather(*(say(flite, SENTENCES[3], voice) for voice in voices * 3))
    for index, (pcm, text) in enumerate(together):
        assert text == SENTENCES[3]
        assert abs(len(pcm) - alone[index % 4]) < OUTPUT_RATE * 2 * 0.1


@pytest.mark.embedded
async def test_it_stops_in_the_middle(flite: FliteSynthesizer) -> None:
    text = "This is one of very many sentences that nobody wants to hear. " * 40
    speaking = flite.speak(text, "Kore")
    async with contextlib.aclosing(speaking) as pieces:  # type: ignore[type-var]
        first = await anext(pieces)
    assert first.pcm
    started = time.perf_counter()
    await say(flite, "Hello.", "Kore")
    await say(flite, "Hello.", "Kore")
    assert time.perf_counter() - started < 1.0


@pytest.mark.embedded
async def test_the_loop_is_never_blocked(flite: FliteSynthesizer) -> None:
    worst, running = 0.0, True

    async def watch() -> None:
        nonlocal worst
        while running:
            before = time.perf_counter()
            await asyncio.sleep(0)
            worst = max(worst, time.perf_counter() - before)
            await asyncio.sleep(0.001)

    watching = asyncio.ensure_future(watch())
    await say(flite, " ".join(SENTENCES) * 4, "Puck")
    running = False
    await watching
    assert worst < 0.25


@pytest.mark.embedded
@pytest.mark.parametrize(
    "text", ["", "...", "$", "你好", "\x00", "x" * 250, "<b>&amp;", "1/0", "a  b\n\nc", "é", "-"]
)
async def test_any_text_is_survived_and_given_back(flite: FliteSynthesizer, text: str) -> None:
    pcm, said = await say(flite, text, "Puck")
    assert said == text
    assert bool(pcm) == bool(text)


@pytest.mark.embedded
async def test_words_go_with_the_sound_in_which_they_begin(flite: FliteSynthesizer) -> None:
    text = "one two three four five six seven eight nine ten"
    at, starts = 0.0, {}
    async for piece in flite.speak(text, "Kore"):
        for word in piece.text.split():
            starts[word] = at
        at += pcm_seconds(piece.pcm)
    times = [starts[word] for word in text.split()]
    assert times == sorted(times)
    assert len(set(times)) >= 8
    assert times[-1] > at * 0.7


@pytest.mark.embedded
def test_what_a_callback_raises_is_raised(flite: FliteSynthesizer) -> None:
    library = load()
    assert library is not None

    def take(sound: Any, tokens: Any) -> bool:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        library.synthesize(b"hello there", Speaker.SLT, 170, 1.0, take)


@pytest.mark.embedded
def test_the_library_is_safe_from_bare_threads(flite: FliteSynthesizer) -> None:
    library = load()
    assert library is not None
    lengths: list[int] = []

    def speak() -> None:
        total = 0

        def take(sound: Any, tokens: Any) -> bool:
            nonlocal total
            total += len(sound)
            return True

        library.synthesize(b"a quick brown fox", Speaker.RMS, 100, 1.0, take)
        lengths.append(total)

    threads = [threading.Thread(target=speak) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lengths) == 6
    assert len(set(lengths)) == 1
    assert 0.8 < lengths[0] / RATE < 3


def difference(one: bytes, other: bytes) -> float:
    """How far apart two renditions of a sentence are: by average spectrum and by pace."""
    spectra = np.abs(spectrum(one) - spectrum(other)).mean()
    return float(spectra + 4 * abs(np.log(len(one) / len(other))))


def spectrum(pcm: bytes) -> Any:
    """The average spectrum up to 5 kHz in log units, without its level."""
    sound = np.frombuffer(pcm, "<i2").astype(float)
    frames = np.lib.stride_tricks.sliding_window_view(sound, 4096)[::2048] * np.hanning(4096)
    power = (np.abs(np.fft.rfft(frames)) ** 2).mean(axis=0)[: 4096 * 5000 // OUTPUT_RATE]
    shares = np.log(np.sqrt(power) + 1)
    return shares - shares.mean()


def understood(pcm: bytes) -> str:
    from pocketsphinx import Decoder

    sound = np.frombuffer(pcm, "<i2").astype(np.float32) / 32768
    heard = (soxr.resample(sound, OUTPUT_RATE, INPUT_RATE) * 32767).astype("<i2")
    pad = bytes(INPUT_RATE // 2)
    decoder = Decoder(fwdflat=False, maxhmmpf=10000, maxwpf=20, loglevel="FATAL")
    decoder.start_utt()
    decoder.process_raw(pad + heard.tobytes() + pad, full_utt=True)
    decoder.end_utt()
    found = decoder.hyp()
    return found.hypstr if found else ""


def bare(text: str) -> str:
    return "".join(c for c in text.casefold() if c.isalnum() or c.isspace())
