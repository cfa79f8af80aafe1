"""Moonshine: contract, hypotheses, segments; its decoder, and the conversion of its graphs."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
import wave
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import fmean
from typing import Any, cast

import numpy as np
import pytest

from vivavoce.domain.audio import INPUT_RATE, samples
from vivavoce.engines import moonshine, weights_download
from vivavoce.engines.moonshine import (
    CLOSE_AFTER_S,
    EARLIEST_CUT_S,
    END,
    LONGEST_S,
    SILENCE_BEHIND_S,
    START,
    WEIGHTS,
    Decoded,
    MoonshineNetwork,
    MoonshineRecognizer,
    MoonshineUtterance,
    _Segment,
    quietest_place,
    read_vocabulary,
    runaway_length,
    stable_words,
)
from vivavoce.engines.moonshine_graphs import (
    CONVERTED_FILES,
    EMBEDDING,
    ENCODER,
    SOURCE_FILES,
    TOKENIZER,
    convert,
)
from vivavoce.engines.ports import RecognitionOptions, Recognizer, Transcript
from vivavoce.engines.registry import EngineBuilder, locate_weights
from vivavoce.engines.scripted import hear, say
from vivavoce.engines.weights import cached_folder, load_session
from vivavoce.errors import ConfigError, EngineError, EngineMissing
from vivavoce.testing.engine_contracts import RecognizerContract

CLIP = Path(__file__).parent / "data" / "turn-on-the-lights.wav"
PROBABILITY = 0.9


class TonesNetwork:
    """Reads tones, a token a byte; remembers how much sound each call was given."""

    def __init__(self) -> None:
        self.sure = 0.0
        self.runaway = False
        self.longest = 60.0
        self.calls: list[int] = []
        self.guesses: list[str] = []
        self.gate: threading.Event | None = None
        self.entered = threading.Event()
        self.left_early = threading.Event()

    def transcribe(
        self, pcm: bytes, guess: Sequence[int], cancelled: Callable[[], bool]
    ) -> Decoded:
        self.calls.append(len(pcm) // 2)
        self.guesses.append(bytes(guess).decode())
        self.entered.set()
        while self.gate is not None and not self.gate.wait(0.01):
            if cancelled():
                self.left_early.set()
                return Decoded()
        if len(pcm) > 2 * samples(self.longest):
            return Decoded()
        tokens = tuple(hear(pcm).encode())
        logs = (float(np.log(PROBABILITY)),) * (len(tokens) + 1)
        return Decoded(tokens, logs, self.runaway)

    def text(self, tokens: Sequence[int]) -> str:
        return bytes(tokens).decode()

    def word_probabilities(self, decoded: Decoded) -> list[float]:
        return [self.sure for _ in self.text(decoded.tokens).split()]


@pytest.fixture
def network() -> TonesNetwork:
    return TonesNetwork()


@pytest.fixture
def recognizer(network: TonesNetwork) -> Iterator[MoonshineRecognizer]:
    recognizer = MoonshineRecognizer(
        cast(MoonshineNetwork, network), workers=1, cpu_clock=lambda: 0.0
    )
    yield recognizer
    asyncio.run(recognizer.aclose())


def silence(seconds: float) -> bytes:
    return bytes(2 * samples(seconds))


class TestContract(RecognizerContract):
    """The contract of the port."""

    speech = say("turn on the lights", INPUT_RATE)
    words = "turn on the lights"

    def engine(self) -> Recognizer:
        return MoonshineRecognizer(cast(MoonshineNetwork, TonesNetwork()), workers=1)


@pytest.mark.parametrize(("words", "confidence"), [("no, no, no", 0.0), ("", 0.9)])
async def test_a_runaway_has_no_confidence_and_silence_that_of_having_no_words(
    recognizer: MoonshineRecognizer, network: TonesNetwork, words: str, confidence: float
) -> None:
    network.runaway = bool(words)
    async with recognizer.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(say(words, INPUT_RATE) or silence(0.5))
        assert (await utterance.finish()).confidence == pytest.approx(confidence)


async def test_words_become_stable_while_they_are_spoken_and_at_a_pause(
    recognizer: MoonshineRecognizer, network: TonesNetwork
) -> None:
    async with recognizer.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(say("turn on,", INPUT_RATE))
        assert (await utterance.hypothesis()).stable == ""
        await utterance.feed(say(" all", INPUT_RATE))
        assert (await utterance.hypothesis()).stable == "turn on"
        await utterance.feed(say(" lights.", INPUT_RATE))
        paused = await utterance.pause()
        assert paused.text == "turn on, all lights."
        assert paused.stable == "turn on, all lights"
        assert paused.confidence == pytest.approx(PROBABILITY)
        await utterance.feed(say("now", INPUT_RATE))
        assert (await utterance.hypothesis()).text == "turn on, all lights. now"
        assert (await utterance.hypothesis()).stable == "turn on, all lights. now"
        network.sure = 1.0
        await utterance.feed(say(" at once", INPUT_RATE))
        assert (await utterance.hypothesis()).stable == "turn on, all lights. now at"
        final = await utterance.finish()
        assert final.text == final.stable == "turn on, all lights.now at once"
    assert network.guesses == ["", "turn on,", "turn on, all", "", "now", "now", ""]
    assert network.calls[3] < network.calls[2], "only what follows the pause is looked at again"


@pytest.mark.parametrize(
    ("before", "text", "probabilities", "stable"),
    [
        ("", "Turn", [0.9], ""),
        ("", "Turn on the", [0.9, 0.9, 0.9], "Turn on"),
        ("", "Turn on the", [0.9, 0.5, 0.9], "Turn"),
        ("Turn on the", "turn on, a light", [0.1, 0.1, 0.1, 0.1], "turn on,"),
        ("Turn on the", "turn on, a light", [0.1, 0.1, 0.9, 0.9], "turn on, a"),
        ("Turn on", "Turn on", [0.1, 0.1], "Turn on"),
        ("Turn on the light", "Turn", [0.1], "Turn"),
        ("Burn on", "Turn on", [0.1, 0.9], ""),
        ("Turn", "", [], ""),
    ],
)
def test_words_are_stable_that_are_said_twice_or_probable(
    before: str, text: str, probabilities: list[float], stable: str
) -> None:
    segment = _Segment(text=text, word_probabilities=probabilities)
    assert stable_words(before, segment) == stable


async def test_hypotheses_take_a_quarter_of_a_core_at_most(network: TonesNetwork) -> None:
    times, cpu = iter((0.0, 3.1, 3.2)), count()  # a second of CPU for each transcription
    recognizer = MoonshineRecognizer(
        cast(MoonshineNetwork, network), 1, clock=lambda: next(times), cpu_clock=lambda: next(cpu)
    )
    async with recognizer.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(say("one two", INPUT_RATE))
        first = await utterance.hypothesis()
        await utterance.feed(say(" three", INPUT_RATE))
        again = await utterance.hypothesis()
        assert again == replace(first, fresh=False), "0.78 of a second may have been spent by then"
        assert (await utterance.hypothesis()).text == "one two three"
        assert network.guesses == ["", "one two"]
    await recognizer.aclose()


async def test_a_hypothesis_never_waits_for_another_session_but_a_final_text_does(
    recognizer: MoonshineRecognizer, network: TonesNetwork
) -> None:
    network.gate = threading.Event()
    async with (
        recognizer.open(RecognitionOptions()).utterance() as one,
        recognizer.open(RecognitionOptions()).utterance() as two,
    ):
        await one.feed(say("one", INPUT_RATE))
        await two.feed(say("two", INPUT_RATE))
        busy = asyncio.ensure_future(one.finish())
        await asyncio.to_thread(network.entered.wait)
        assert await two.hypothesis() == Transcript(fresh=False)
        final = asyncio.ensure_future(two.finish())
        network.gate.set()
        assert (await busy).text == "one"
        assert (await final).text == "two"


async def test_work_for_a_conversation_that_ended_stops_and_the_next_begins(
    recognizer: MoonshineRecognizer, network: TonesNetwork
) -> None:
    network.gate = threading.Event()

    async def converse() -> Transcript:
        async with recognizer.open(RecognitionOptions()).utterance() as utterance:
            await utterance.feed(say("gone", INPUT_RATE))
            return await utterance.finish()

    task = asyncio.ensure_future(converse())
    await asyncio.to_thread(network.entered.wait)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(network.left_early.wait, 5)
    network.gate.set()
    assert (await converse()).text == "gone"


async def speak(utterance: MoonshineUtterance, words: str, seconds: float) -> None:
    """Words, and silence behind them, so that they last so long."""
    sound = say(words, INPUT_RATE)
    await utterance.feed(sound + silence(seconds - len(sound) / 2 / INPUT_RATE))


async def test_a_pause_closes_a_long_segment_so_that_no_call_is_given_more(
    recognizer: MoonshineRecognizer, network: TonesNetwork
) -> None:
    async with recognizer.open(RecognitionOptions()).utterance() as utterance:
        for number in range(8):
            await speak(utterance, f"part {number}.", CLOSE_AFTER_S / 2)
            stable = (await utterance.pause()).stable
            assert stable == " ".join(f"part {n}." for n in range(number + 1))[:-1]
        final = await utterance.finish()
    assert final.text == " ".join(f"part {number}." for number in range(8))
    assert max(network.calls) == samples(CLOSE_AFTER_S + SILENCE_BEHIND_S)
    assert final.confidence == pytest.approx(PROBABILITY)


async def test_speech_without_a_pause_is_cut_where_it_is_quiet(
    recognizer: MoonshineRecognizer, network: TonesNetwork
) -> None:
    words = [f"word{number:02}" for number in range(120)]
    sound = b"".join(say(word, INPUT_RATE) + silence(0.3) for word in words)
    async with recognizer.open(RecognitionOptions()).utterance() as utterance:
        await utterance.feed(sound)
        assert (await utterance.finish()).text.split() == words
    assert max(network.calls) <= samples(LONGEST_S + SILENCE_BEHIND_S)
    assert min(network.calls[:-1]) > samples(EARLIEST_CUT_S)


async def test_long_sound_that_gives_no_words_is_looked_at_in_halves(
    recognizer: MoonshineRecognizer, network: TonesNetwork
) -> None:
    network.longest = 1.9
    async with recognizer.open(RecognitionOptions()).utterance() as utterance:
        sound = b"".join(say(f"word{number}", INPUT_RATE) + silence(0.4) for number in range(6))
        await utterance.feed(sound)
        final = await utterance.finish()
        assert final.text == "word0 word1 word2 word3 word4 word5"
        assert final.confidence == pytest.approx(PROBABILITY)


def test_the_quietest_place_is_not_the_first_quiet_one() -> None:
    noise = np.random.default_rng(1).normal(0, 3000, samples(LONGEST_S))
    noise[samples(5) : samples(6)] = 0
    noise[samples(15) : samples(15.3)] *= 0.01
    noise[samples(20) : samples(20.3)] *= 0.1
    cut = quietest_place(noise.astype("<i2").tobytes()) / 2 / INPUT_RATE
    assert 15.2 <= cut <= 15.3


def test_another_language_is_logged_once(
    recognizer: MoonshineRecognizer, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        for codes in (("en-US", "en"), ("de-DE",), ("de-AT", "fr-FR"), ("fr",)):
            recognizer.open(RecognitionOptions(codes))
    assert [vars(record)["language"] for record in caplog.records] == ["de-DE", "fr-FR"]


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"speed": 1}, "speed"),
        ({"workers": -1}, "workers"),
        ({"workers": True}, "workers"),
        ({"path": "/nowhere"}, "/nowhere"),
    ],
)
async def test_wrong_settings_are_refused(settings: dict[str, object], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        await moonshine.create(settings, EngineBuilder())


# --- the real network ------------------------------------------------------------------------


@pytest.mark.embedded
async def test_words_are_heard_while_they_are_spoken_and_noise_is_nothing() -> None:
    try:
        recognizer = await moonshine.create({}, EngineBuilder())
    except EngineMissing as absent:
        pytest.skip(str(absent))
    recognition = recognizer.open(RecognitionOptions())
    with wave.open(str(CLIP)) as file:
        clip = file.readframes(file.getnframes())
    async with recognition.utterance() as utterance:
        await utterance.feed(clip[: 2 * samples(1.6)])
        await utterance.hypothesis()
        early = await utterance.finish()
        await utterance.feed(clip[2 * samples(1.6) :])
        final = await utterance.finish()
    assert early.stable
    assert {"on", "the", "lights", "please"} <= set(re.findall(r"\w+", final.text))
    assert final.confidence is not None
    assert final.confidence > 0.5
    async with recognition.utterance() as utterance:
        await utterance.feed(clip * 4 + silence(0.5))
        assert (await utterance.finish()).text.lower().count("lights") == 4
    noise = np.random.default_rng(0).normal(0, 2000, 2 * INPUT_RATE).astype("<i2").tobytes()
    for sound in (b"", bytes(200), silence(2.0), noise):
        async with recognition.utterance() as utterance:
            await utterance.feed(sound)
            assert (await utterance.finish()).text == ""
    await recognizer.aclose()


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
    assert runaway_length(tokens) == kept


def clip_pcm() -> bytes:
    with wave.open(str(CLIP)) as file:
        return bytes(file.readframes(file.getnframes()))


@pytest.mark.embedded
def test_a_guess_is_kept_only_as_far_as_the_network_agrees() -> None:
    try:
        network = MoonshineNetwork(locate_weights("moonshine"))
    except EngineMissing as absent:
        pytest.skip(str(absent))
    alone = network.transcribe(clip_pcm())
    half = network.transcribe(clip_pcm()[: len(clip_pcm()) // 4 * 2])
    for guess in (half.tokens, alone.tokens, (5, 6, 7), alone.tokens * 3):
        guessed = network.text(network.transcribe(clip_pcm(), guess).tokens)
        assert guessed.endswith("on the lights, please.")
    sure = network.word_probabilities(alone)
    assert len(sure) == len(network.text(alone.tokens).split())
    assert all(0.0 < probability <= 1.0 for probability in sure)
    same = network.transcribe(clip_pcm(), alone.tokens)
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
    network = MoonshineNetwork(tmp_path)
    expected = PublishedNetwork(folder).text(clip_pcm())
    assert network.text(network.transcribe(clip_pcm()).tokens) == expected
    assert expected.endswith("on the lights, please.")


@pytest.mark.parametrize("name", [EMBEDDING, TOKENIZER, ENCODER])
@pytest.mark.parametrize("content", [b"", b"\xff", b"\x06<0xZZ>"])
def test_a_folder_of_other_files_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    for each in CONVERTED_FILES:
        (tmp_path / each).write_bytes(b"")
    np.save(tmp_path / EMBEDDING, np.zeros((2, 2), np.float32))
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EngineError):
        MoonshineNetwork(tmp_path)


def test_files_that_are_not_moonshines_are_refused(tmp_path: Path) -> None:
    for name in SOURCE_FILES:
        (tmp_path / name).write_bytes(b"nothing")
    with pytest.raises(EngineError, match="can't be converted"):
        convert(tmp_path, tmp_path / "out")
    assert not list((tmp_path / "out").iterdir())
