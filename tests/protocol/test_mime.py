"""MIME types of microphones and cameras."""

from __future__ import annotations

import pytest

from vivavoce.errors import ClientFault
from vivavoce.protocol import mime


@pytest.mark.parametrize(
    ("name", "rate"),
    [
        ("audio/pcm", 16000),
        ("audio/pcm;rate=16000", 16000),
        ("audio/pcm; rate=48000", 48000),
        ("Audio/PCM ; Rate = 8000", 8000),
        ('audio/pcm;rate="24000"', 24000),
        ("audio/x-pcm;rate=44100;channels=1", 44100),
        ("audio/L16;rate=24000", 24000),
        ("audio/pcm;endian=little", 16000),
        ("audio/pcm;", 16000),
        ("audio/wav", None),
        ("image/jpeg", None),
        ("", None),
        ("audio/pcm" + ";" * 200, None),
    ],
)
def test_the_rate_of_a_type(name: str, rate: int | None) -> None:
    assert mime.pcm_rate(name) == rate


@pytest.mark.parametrize("rate", ["9999999", "-16000", "16k", "", "1.5", "１６０００"])
def test_a_senseless_rate_is_refused_with_advice(rate: str) -> None:
    with pytest.raises(ClientFault, match="send audio/pcm;rate=16000") as caught:
        mime.pcm_rate(f"audio/pcm;rate={rate}")
    assert caught.value.code == 1007


def test_which_rates_can_be_heard_is_said_in_one_place() -> None:
    assert mime.pcm_rate("audio/pcm;rate=0") == 0
    assert mime.pcm_rate("audio/pcm;rate=384001") == 384001


def test_more_than_one_channel_is_refused() -> None:
    with pytest.raises(ClientFault, match="send one channel"):
        mime.pcm_rate("audio/pcm;rate=16000;channels=2")


def test_images() -> None:
    assert mime.image_type(" Image/JPEG") == "image/jpeg"
    assert mime.image_type("video/mp4") is None


def test_a_long_name_is_quoted_in_part() -> None:
    assert mime.unsupported_medium("audio", "x" * 99, "no").reason == (
        f'Unsupported audio MIME type "{"x" * 40}…": no.'
    )
