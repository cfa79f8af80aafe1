"""Moonshine's decoder: vocabulary, repetition, guesses, and the conversion of its graphs."""

from __future__ import annotations

import wave
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any

import numpy as np
import pytest

from vivavoce.engines import weights_download
from vivavoce.engines.libraries import load_session
from vivavoce.engines.moonshine import WEIGHTS
from vivavoce.engines.moonshine.graphs import (
    CONVERTED_FILES,
    EMBEDDING,
    ENCODER,
    SOURCE_FILES,
    TOKENIZER,
    convert,
)
from vivavoce.engines.moonshine.network import (
    END,
    START,
    Network,
    read_vocabulary,
    repeated,
)
from vivavoce.engines.registry import locate_weights
from vivavoce.engines.weights import cached_folder
from vivavoce.errors import EngineError, EngineMissing

CLIP = Path(__file__).parent / "data" / "turn-on-the-lights.wav"


def test_a_vocabulary_is_lengths_and_bytes() -> None:
    long = b"x" * 200
    data = b"\x01a" + b"\x00" + b"\x06<0x41>" + bytes([200 % 128 + 128, 1]) + long
    assert read_vocabulary(data) == [b"a", b"", b"A", long]


@pytest.mark.parametrize(
    ("tokens", "kept"),
    [
        ([], 0),
        ([1, 2, 3, 4, 5, 6, 7, 8], 0),
        ([7, 8] * 4, 0),
        ([9] * 7, 0),
        ([9] * 8, 1),
        ([5, *[7, 8] * 8], 3),
        ([5, *[1, 2, 3] * 3], 0),
        ([5, *[1, 2, 3] * 4], 4),
        ([*range(10, 18)] * 4, 8),
        ([*range(10, 19)] * 4, 0),
    ],
)
def test_repetition_is_found_but_not_what_people_repeat(tokens: list[int], kept: int) -> None:
    assert repeated(tokens) == kept


def clip() -> bytes:
    with wave.open(str(CLIP)) as file:
        return bytes(file.readframes(file.getnframes()))


@pytest.mark.embedded
def test_a_guess_is_kept_only_as_far_as_the_network_agrees() -> None:
    try:
        network = Network(locate_weights("moonshine"))
    except EngineMissing as absent:
        pytest.skip(str(absent))
    alone = network.transcribe(clip())
    half = network.transcribe(clip()[: len(clip()) // 4 * 2])
    for guess in (half.tokens, alone.tokens, (5, 6, 7), alone.tokens * 3):
        guessed = network.text(network.transcribe(clip(), guess).tokens)
        assert guessed.endswith("on the lights, please.")
    sure = network.word_probabilities(alone)
    assert len(sure) == len(network.text(alone.tokens).split())
    assert all(0.0 < probability <= 1.0 for probability in sure)
    same = network.transcribe(clip(), alone.tokens)
    assert same.tokens == alone.tokens
    assert fmean(same.log_probabilities) == pytest.approx(fmean(alone.log_probabilities), abs=0.02)


class PublishedNetwork:
    """The `.ort` files as they are published, without any conversion: slow, and the reference."""

    def __init__(self, folder: Path) -> None:
        self._encoder, self._decoder = (
            load_session(folder / name, "reference") for name in SOURCE_FILES[:2]
        )
        self._vocabulary = read_vocabulary((folder / SOURCE_FILES[2]).read_bytes())

    def text(self, pcm: bytes) -> str:
        sound = np.frombuffer(pcm, "<i2").astype(np.float32)[None] / 32768
        (hidden,) = self._encoder.run(None, {"input_values": sound})
        names = [each.name for each in self._decoder.get_inputs() if "past" in each.name]
        past = {name: np.zeros((1, 8, 0, 52), np.float32) for name in names}
        tokens = [START]
        while tokens[-1] != END and len(tokens) < 40:
            feed: dict[str, Any] = {
                **past,
                "input_ids": np.array([tokens[-1:]]),
                "encoder_hidden_states": hidden,
                "use_cache_branch": np.array([len(tokens) > 1]),
            }
            logits, *present = self._decoder.run(None, feed)
            for name, value in zip(names, present, strict=True):
                if ".decoder." in name or len(tokens) == 1:
                    past[name] = value
            tokens.append(int(logits[0, -1].argmax()))
        spelled = b"".join(self._vocabulary[token] for token in tokens[1:-1])
        return spelled.decode().replace("\u2581", " ").strip()


@pytest.mark.embedded
def test_the_converted_graphs_give_the_words_of_the_published_ones(tmp_path: Path) -> None:
    published = replace(WEIGHTS[0], name="moonshine-published", convert="", converted_files=())
    try:
        weights_download.fetch_weights([published], lambda line: None)
        folder = cached_folder(published)
    except EngineMissing as absent:
        pytest.skip(str(absent))
    convert(folder, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == set(CONVERTED_FILES)
    network = Network(tmp_path)
    expected = PublishedNetwork(folder).text(clip())
    assert network.text(network.transcribe(clip()).tokens) == expected
    assert expected.endswith("on the lights, please.")


@pytest.mark.parametrize("name", [EMBEDDING, TOKENIZER, ENCODER])
@pytest.mark.parametrize("content", [b"", b"\xff", b"\x06<0xZZ>"])
def test_a_folder_of_other_files_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    for each in CONVERTED_FILES:
        (tmp_path / each).write_bytes(b"")
    np.save(tmp_path / EMBEDDING, np.zeros((2, 2), np.float32))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EngineError):
        Network(tmp_path)


def test_files_that_are_not_moonshines_are_refused(tmp_path: Path) -> None:
    for name in SOURCE_FILES:
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(EngineError, match="can't be converted"):
        convert(tmp_path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
