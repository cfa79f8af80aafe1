"""The microphone stream: any split, any rate, any header; positions that never go back."""

from __future__ import annotations

import struct
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from support.budget import budget
from vivavoce.domain.audio import INPUT_RATE, AudioChunk
from vivavoce.engines.scripted import hear, say
from vivavoce.errors import ClientFault
from vivavoce.runtime.audio_input import AudioBuffer

SPEECH = say("turn on the lights", INPUT_RATE)


def wav(pcm: bytes, rate: int = INPUT_RATE, channels: int = 1, bits: int = 16) -> bytes:
    block = channels * bits // 8
    form = struct.pack("<HHIIHH", 1, channels, rate, rate * block, block, bits)
    extra = b"LIST" + struct.pack("<I", 5) + b"notes" + b"\0"
    body = b"WAVEfmt " + struct.pack("<I", 16) + form + extra
    body += b"data" + struct.pack("<I", len(pcm)) + pcm
    return b"RIFF" + struct.pack("<I", len(body)) + body


def heard(buffer: AudioBuffer) -> bytes:
    return buffer.read_audio(0, buffer.position)


@settings(max_examples=budget(10, 30))
@given(st.lists(st.integers(0, 700), max_size=40))
def test_however_the_stream_is_split_the_sound_is_the_same(sizes: list[int]) -> None:
    buffer = AudioBuffer()
    at = 0
    for size in sizes:
        buffer.add_chunk(AudioChunk(SPEECH[at : at + size]))
        at += size
    buffer.add_chunk(AudioChunk(SPEECH[at:]))
    assert heard(buffer) == SPEECH[: len(SPEECH)]
    assert buffer.position == len(SPEECH) // 2


def test_one_byte_frames_are_heard() -> None:
    buffer = AudioBuffer()
    for at in range(1000):
        buffer.add_chunk(AudioChunk(SPEECH[at : at + 1]))
    assert heard(buffer) == SPEECH[:1000]


@pytest.mark.parametrize("rate", [8_000, 22_050, 24_000, 44_100, 48_000])
@pytest.mark.parametrize("chunk_bytes", [333, 4_096])
def test_other_rates_are_resampled_with_their_state_kept(rate: int, chunk_bytes: int) -> None:
    buffer = AudioBuffer()
    pcm = say("turn on the lights", rate)
    for at in range(0, len(pcm), chunk_bytes):
        buffer.add_chunk(AudioChunk(pcm[at : at + chunk_bytes], rate))
    buffer.end_stream()
    assert hear(heard(buffer)) == "turn on the lights"
    assert buffer.position == pytest.approx(len(SPEECH) / 2, abs=16)


def test_the_rate_may_change_in_mid_stream() -> None:
    buffer = AudioBuffer()
    buffer.add_chunk(AudioChunk(say("turn on ", 24_000), 24_000))
    buffer.add_chunk(AudioChunk(say("the ", 16_000), 16_000))
    buffer.add_chunk(AudioChunk(say("lights", 48_000), 48_000))
    buffer.end_stream()
    assert hear(heard(buffer)) == "turn on the lights"


@pytest.mark.parametrize("chunk_bytes", [1, 7, 50_000])
def test_a_wav_header_is_taken_off_and_its_rate_honoured(chunk_bytes: int) -> None:
    buffer = AudioBuffer()
    file = wav(say("lights", 24_000), 24_000)
    for at in range(0, len(file), chunk_bytes):
        buffer.add_chunk(AudioChunk(file[at : at + chunk_bytes]))
    buffer.end_stream()
    assert hear(heard(buffer)) == "lights"
    assert buffer.position == pytest.approx(len(say("lights", 16_000)) / 2, abs=16)


@pytest.mark.parametrize("chunk_bytes", [3, 50_000])
def test_a_stereo_file_is_heard_as_one_voice(chunk_bytes: int) -> None:
    mono = np.frombuffer(say("lights", INPUT_RATE), dtype="<i2")
    file = wav(np.repeat(mono, 2).tobytes(), channels=2)
    buffer = AudioBuffer()
    for at in range(0, len(file), chunk_bytes):
        buffer.add_chunk(AudioChunk(file[at : at + chunk_bytes]))
    assert heard(buffer) == mono.tobytes()


def test_each_stream_may_begin_with_a_header_and_the_next_without() -> None:
    buffer = AudioBuffer()
    buffer.add_chunk(AudioChunk(wav(b"\1\0" * 10)))
    buffer.end_stream()
    buffer.add_chunk(AudioChunk(wav(b"\2\0" * 10)))
    buffer.end_stream()
    buffer.add_chunk(AudioChunk(b"\3\0" * 10))
    assert heard(buffer) == b"\1\0" * 10 + b"\2\0" * 10 + b"\3\0" * 10


@pytest.mark.parametrize("chunk_bytes", [1, 640, 1_000_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_header_holds_for_its_own_sound_only(chunk_bytes: int, channels: int) -> None:
    mono = np.frombuffer(say("turn on ", 24_000), dtype="<i2")
    stream = wav(np.repeat(mono, channels).tobytes(), 24_000, channels) + say("the lights", 16_000)
    buffer = AudioBuffer()
    for at in range(0, len(stream), chunk_bytes):
        buffer.add_chunk(AudioChunk(stream[at : at + chunk_bytes]))
    buffer.end_stream()
    assert hear(heard(buffer)) == "turn on the lights"
    assert buffer.position == pytest.approx(len(SPEECH) / 2, abs=32)


def test_every_chunk_may_have_a_header_of_its_own() -> None:
    buffer = AudioBuffer()
    for value in (b"\1\0", b"\2\0", b"\3\0"):
        buffer.add_chunk(AudioChunk(wav(value * 10)))
    buffer.add_chunk(AudioChunk(b"R\0"))
    buffer.end_stream()
    assert heard(buffer) == b"\1\0" * 10 + b"\2\0" * 10 + b"\3\0" * 10 + b"R\0"


@pytest.mark.parametrize("size", [0, 0xFFFFFFFF, 0x7FFFFFFF])
def test_a_header_without_a_size_holds_to_the_end(size: int) -> None:
    sound = say("turn on the lights", 24_000)
    header = wav(b"", 24_000)[:-4] + struct.pack("<I", size)
    buffer = AudioBuffer()
    buffer.add_chunk(AudioChunk(header + sound[:20_000]))
    buffer.add_chunk(AudioChunk(sound[20_000:]))
    buffer.end_stream()
    assert hear(heard(buffer)) == "turn on the lights"


def test_a_header_that_comes_byte_by_byte_is_read_once() -> None:
    """By the work it takes beside sound of the same size: it has hundreds of chunks to read."""

    def feed(data: bytes) -> tuple[bytes, float]:
        buffer, began = AudioBuffer(), time.process_time()
        for at in range(len(data)):
            buffer.add_chunk(AudioChunk(data[at : at + 1]))
        return heard(buffer), time.process_time() - began

    notes = b"".join(b"LIST" + struct.pack("<I", 2) + bytes(2) for _ in range(800))
    file = wav(b"\1\0" * 10)
    sound, taken_s = feed(file[:12] + notes + file[12:])
    assert sound == b"\1\0" * 10
    _, floor_s = feed(bytes(len(notes)))
    assert taken_s < 3 * floor_s


def test_sound_that_begins_like_a_header_is_sound() -> None:
    buffer = AudioBuffer()
    pcm = b"RIFFRAFF" + bytes(100)
    buffer.add_chunk(AudioChunk(pcm))
    assert heard(buffer) == pcm


@pytest.mark.parametrize(
    "file",
    [wav(bytes(100), bits=8), wav(bytes(100), channels=6), b"RIFF\0\0\0\0WAVE" + bytes(70_000)],
)
def test_other_wav_files_are_the_clients_fault(file: bytes) -> None:
    with pytest.raises(ClientFault) as fault:
        AudioBuffer().add_chunk(AudioChunk(file))
    assert fault.value.code == 1007
    assert "WAV" in fault.value.reason


@pytest.mark.parametrize("rate", [0, 1, 3_999, 1_000_000])
def test_an_absurd_rate_is_the_clients_fault(rate: int) -> None:
    with pytest.raises(ClientFault) as fault:
        AudioBuffer().add_chunk(AudioChunk(bytes(100), rate))
    assert fault.value.code == 1007


def test_at_the_end_of_a_stream_the_last_frame_is_filled_with_silence() -> None:
    buffer = AudioBuffer()
    buffer.add_chunk(AudioChunk(b"\1\0" * 700))
    assert buffer.end_stream(512) == 1024
    assert buffer.read_audio(700, 1024) == bytes(2 * 324)
    assert buffer.end_stream(512) == 1024


def test_frames_are_counted_from_where_a_resumed_session_stood() -> None:
    buffer = AudioBuffer(start=1_000)
    buffer.add_chunk(AudioChunk(b"\1\0" * 700))
    assert buffer.end_stream(512) == 1_000 + 1_024


def test_an_odd_byte_does_not_shift_the_next_stream() -> None:
    buffer = AudioBuffer()
    buffer.add_chunk(AudioChunk(b"\1\0\1"))
    buffer.end_stream()
    buffer.add_chunk(AudioChunk(b"\2\0"))
    assert heard(buffer) == b"\1\0\2\0"


def test_the_ring_is_bounded_and_positions_go_on() -> None:
    buffer = AudioBuffer(ring_s=1.0)
    for second in range(5):
        buffer.add_chunk(AudioChunk(bytes([second, 0]) * INPUT_RATE))
    assert buffer.position == 5 * INPUT_RATE
    assert buffer.oldest == 4 * INPUT_RATE
    assert buffer.read_audio(0, 5 * INPUT_RATE) == bytes([4, 0]) * INPUT_RATE
    assert buffer.read_audio(0, INPUT_RATE) == b""


def test_positions_go_on_where_a_resumed_session_stood() -> None:
    buffer = AudioBuffer(start=1_000)
    assert buffer.add_chunk(AudioChunk(b"\1\0" * 10)) == 1_010
    assert buffer.read_audio(1_000, 1_010) == b"\1\0" * 10


def test_forgotten_sound_is_gone_and_the_rest_is_not() -> None:
    buffer = AudioBuffer()
    buffer.add_chunk(AudioChunk(b"\1\0" * 10 + b"\2\0" * 10))
    buffer.forget_audio(10)
    buffer.forget_audio(5)
    assert buffer.read_audio(0, 20) == b"\2\0" * 10
    buffer.forget_audio(1_000)
    assert buffer.position == 20
