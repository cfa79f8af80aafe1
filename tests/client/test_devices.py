from __future__ import annotations

import asyncio
import sys

import pytest

from vivavoce.client.devices import (
    LONGEST_QUEUE,
    AudioDevice,
    QueueMicrophone,
    available_backends,
    choose_backend,
    find_device,
    list_devices,
    open_devices,
)
from vivavoce.errors import ConfigError

LISTED = [
    AudioDevice(0, "USB Microphone", True, False),
    AudioDevice(1, "Built-in Audio", True, True),
    AudioDevice(2, "USB Headset", True, True),
]


def test_the_null_back_end_is_always_there() -> None:
    assert available_backends()[-1] == "null"
    assert choose_backend("null") == "null"
    assert list_devices("null") == [AudioDevice(0, "null", True, True)]
    assert choose_backend() == available_backends()[0]


def test_without_a_sound_library_the_command_that_installs_one_is_named(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("sounddevice", "miniaudio"):
        monkeypatch.setitem(sys.modules, name, None)  # Python takes it for one that is missing
    with pytest.raises(ConfigError, match=r"pip install .*miniaudio"):
        choose_backend()


def test_an_unknown_back_end_is_refused() -> None:
    with pytest.raises(ConfigError, match="no sound back end"):
        choose_backend("oss")


def test_devices_by_number_and_by_part_of_the_name() -> None:
    assert find_device(LISTED, "", output=True) is None
    assert find_device(LISTED, "1", output=True) == 1
    assert find_device(LISTED, "headset", output=True) == 2
    assert find_device(LISTED, "usb", output=True) == 2, "a microphone is no loudspeaker"


@pytest.mark.parametrize(
    ("wanted", "words"), [("usb", "More than one"), ("hdmi", "No input device"), ("7", "No input")]
)
def test_what_fits_nothing_or_too_much_lists_what_there_is(wanted: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words) as fault:
        find_device(LISTED, wanted, output=False)
    assert "USB Microphone" in fault.value.fix


async def test_sound_of_a_device_thread_arrives_in_order_and_the_oldest_goes_first() -> None:
    microphone = QueueMicrophone()

    def device() -> None:
        for number in range(LONGEST_QUEUE + 2):
            microphone.add_audio(number.to_bytes(2, "little"))

    await asyncio.to_thread(device)
    chunks = microphone.chunks()
    assert await anext(chunks) == (2).to_bytes(2, "little")
    assert await anext(chunks) == (3).to_bytes(2, "little")


async def test_null_devices_are_silent_and_keep_time() -> None:
    with open_devices("null") as (microphone, speaker):
        assert not any(await anext(microphone.chunks()))
        speaker.queue_audio(bytes(48_000))
        assert 0.5 < speaker.pending_s <= 1.0


async def test_real_streams_carry_sound_both_ways(monkeypatch: pytest.MonkeyPatch) -> None:
    """The library's own null device stands in for a sound card; everything else is real."""
    miniaudio = pytest.importorskip("miniaudio", reason="miniaudio is not installed")
    monkeypatch.setattr(
        "vivavoce.client.devices._real_backends", lambda library: [miniaudio.Backend.NULL]
    )
    played: list[bytes] = []
    with open_devices("miniaudio", on_output=played.append) as (microphone, speaker):
        speaker.queue_audio(b"\x01\x02" * 240)
        async with asyncio.timeout(10):
            heard = await anext(microphone.chunks())
            while speaker.pending_s:
                heard += await anext(microphone.chunks())
            heard += await anext(microphone.chunks())
    assert len(heard) % 2 == 0
    assert not any(heard)
    assert b"\x01\x02" * 240 in b"".join(played)
