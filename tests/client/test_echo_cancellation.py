from __future__ import annotations

import sys

import numpy as np
import pytest

from vivavoce.client.echo_cancellation import (
    EchoCanceller,
    EchoGate,
    EchoPassThrough,
    HalfDuplex,
    make_echo_guard,
)
from vivavoce.errors import ConfigError

SPEECH = np.full(320, 9_000, "<i2").tobytes()
ECHO = np.full(320, 900, "<i2").tobytes()


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_half_duplex_hears_nothing_while_the_answer_plays() -> None:
    clock = Clock()
    echo = HalfDuplex(clock)
    assert echo.process_microphone(SPEECH) == SPEECH
    echo.add_playback(SPEECH * 15)
    assert echo.process_microphone(SPEECH) == bytes(len(SPEECH))
    clock.now = 1.0
    assert echo.process_microphone(SPEECH) == SPEECH


def test_played_silence_does_not_close_the_microphone() -> None:
    echo = HalfDuplex(Clock())
    echo.add_playback(bytes(48_000))
    assert echo.process_microphone(SPEECH) == SPEECH


def test_a_gate_lets_a_raised_voice_through() -> None:
    echo = EchoGate(Clock())
    echo.add_playback(SPEECH)
    assert echo.process_microphone(SPEECH) == SPEECH
    assert echo.process_microphone(ECHO) == bytes(len(ECHO))


def test_modes_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    assert isinstance(make_echo_guard("off"), EchoPassThrough)
    assert type(make_echo_guard("gate")) is EchoGate
    assert type(make_echo_guard("half-duplex")) is HalfDuplex
    with pytest.raises(ConfigError, match="no echo mode"):
        make_echo_guard("loud")
    monkeypatch.setitem(sys.modules, "livekit.rtc", None)
    assert type(make_echo_guard("auto")) is HalfDuplex
    assert "-m pip install 'livekit>=" in make_echo_guard("auto").description
    with pytest.raises(ConfigError, match="package livekit"):
        make_echo_guard("cancel")


def test_cancelling_takes_the_echo_out_of_the_microphone() -> None:
    rtc = pytest.importorskip("livekit.rtc", reason="the extra `aec` is not installed")
    random = np.random.default_rng(5)
    # Bursts of noise, as speech comes in bursts; the room answers 40 ms later, at half strength.
    seconds = 6
    envelope = np.repeat(random.random(seconds * 8) > 0.4, 3_000)
    far = random.standard_normal(24_000 * seconds) * 0.1 * envelope
    near = 0.5 * np.concatenate([np.zeros(640), far[::3].repeat(2)])[: 16_000 * seconds]
    echo = EchoCanceller(rtc)
    cleaned = bytearray()
    played = (far * 2**15).astype("<i2").tobytes()
    heard = (near * 2**15).astype("<i2").tobytes()
    for at in range(0, seconds * 1_000, 20):
        echo.add_playback(played[at * 48 : (at + 20) * 48])
        cleaned += echo.process_microphone(heard[at * 32 : (at + 20) * 32])
    half = slice(8_000 * seconds, None)
    before = np.frombuffer(heard, "<i2").astype(float)[half]
    after = np.frombuffer(cleaned, "<i2").astype(float)[half]
    assert np.mean(after**2) < np.mean(before**2) / 10
