"""The samples of the document, as printed, through `vivavoce run`, with the newest SDKs.

Only the sound device is stood in for. The samples run for ever; they are ended here once the
whole answer was played.
"""

from __future__ import annotations

import wave
from pathlib import Path

import numpy as np
import pytest

from conformance.conftest import DOCUMENTS
from conformance.samples import Sample, running
from conformance.seed import combined
from conformance.servers import Running
from conformance.wire import sound
from vivavoce.cli.demo import load_recording
from vivavoce.client.audio import Recording
from vivavoce.engines.scripted import hear, say

pytestmark = [pytest.mark.sdk, pytest.mark.e2e]

LANGUAGES = ("py", "mjs")
WORDS = "what is the capital of france"


def microphone(folder: Path, pcm: bytes) -> Path:
    """A recording for the stand-in microphone, after a little quiet."""
    heard = Recording.empty(rate=16_000)
    heard.add_audio(bytes(16_000) + pcm)
    heard.save(folder / "microphone.wav")
    return folder / "microphone.wav"


def whole_answer(run: Sample) -> bool:
    """Whether a turn is over and the loudspeaker got as much as the server sent."""
    return run.tape.turns > 0 and len(run.played) >= len(sound(run.tape.server))


async def played_answer(
    language: str, server: Running, folder: Path, pcm: bytes, within_s: float
) -> Sample:
    """The microphone sample, after one question and the whole answer."""
    heard = microphone(folder, pcm)
    async with running(f"microphone.{language}", server, folder, heard) as run:
        await run.until(lambda run: run.tape.turns > 0, within_s)
        # The last of it may still be on its way to the device; what was cut never comes.
        await run.until(whole_answer, within_s=3)
    return run


@pytest.mark.parametrize("language", LANGUAGES)
async def test_microphone_hears_a_question_and_plays_the_whole_answer(
    language: str, scripted: Running, tmp_path: Path
) -> None:
    run = await played_answer(language, scripted, tmp_path, say(WORDS, 16_000), 40)
    assert run.played == sound(run.tape.server), "cut off, or out of order"
    assert hear(run.played, 24_000) == WORDS


@pytest.mark.parametrize("language", LANGUAGES)
async def test_function_turns_on_the_lights(
    language: str, scripted: Running, tmp_path: Path
) -> None:
    run = await function_sample(language, scripted, tmp_path, within_s=40)
    assert hear(answer_wav(run), 24_000) == "turn on the lights is done."


@pytest.mark.parametrize("language", LANGUAGES)
async def test_search_is_answered_although_there_is_no_search(
    language: str, scripted: Running, tmp_path: Path
) -> None:
    async with running(f"search.{language}", scripted, tmp_path) as run:
        await run.until(lambda run: (tmp_path / "audio.wav").exists() and ended(run), 40)
        assert run.process.returncode == 0, run.output
    assert "Argentina soccer" in hear(answer_wav(run), 24_000)


@pytest.mark.embedded
@pytest.mark.parametrize("language", LANGUAGES)
async def test_embedded_search_answers_from_the_documents_and_cites_them(
    language: str, embedded: Running, tmp_path: Path
) -> None:
    async with running(f"search.{language}", embedded, tmp_path) as run:
        await run.until(ended, 90)
        assert run.process.returncode == 0, run.output
    assert "search(queries=" in run.output, "the sample prints the search's code"
    assert "brazil-argentina" in run.output, "and what it found"
    cited = grounded(run)
    assert "25 March 2025" in cited
    assert len(answer_wav(run)) > 24_000


@pytest.mark.embedded
@pytest.mark.parametrize("language", LANGUAGES)
async def test_embedded_combined_tools_search_and_turn_on_the_lights(
    language: str, embedded: Running, tmp_path: Path
) -> None:
    name = f"function.{language}"
    async with running(name, embedded, tmp_path, source=combined(language)) as run:
        await run.until(ended, 90)
        assert run.process.returncode == 0, run.output
    assert called(run) == [["turn_on_the_lights"]]
    assert "tool was called" in run.output
    assert "magnitude 7.0" in grounded(run)
    assert len(answer_wav(run)) > 24_000


def grounded(run: Sample) -> str:
    """The words that the sources support, one of which at least is the source's own.

    The samples ask for no transcript, so where the words stand is tried elsewhere.
    """
    (metadata,) = [
        m["serverContent"]["groundingMetadata"]
        for m in run.tape.server
        if "groundingMetadata" in m.get("serverContent", {})
    ]
    assert metadata["webSearchQueries"]
    documents = "\n".join(each.read_text() for each in DOCUMENTS.iterdir())
    cited = [support["segment"]["text"] for support in metadata["groundingSupports"]]
    for support, text in zip(metadata["groundingSupports"], cited, strict=True):
        begin, end = support["segment"].get("startIndex", 0), support["segment"]["endIndex"]
        assert end - begin == len(text.encode())
        assert all(
            0 <= n < len(metadata["groundingChunks"]) for n in support["groundingChunkIndices"]
        )
    assert any(" ".join(text.split()) in " ".join(documents.split()) for text in cited)
    return " ".join(cited)


@pytest.mark.embedded
@pytest.mark.parametrize("language", LANGUAGES)
async def test_embedded_microphone_hears_a_question_and_plays_the_whole_answer(
    language: str, embedded: Running, tmp_path: Path
) -> None:
    run = await played_answer(language, embedded, tmp_path, load_recording("question.wav"), 90)
    assert run.played == sound(run.tape.server), "cut off, or out of order"
    spoken = np.frombuffer(run.played, "<i2").astype(float) / 2**15
    assert len(spoken) > 24_000 / 2, "an answer lasts half a second at least"
    assert np.sqrt(np.mean(spoken**2)) > 0.01, "an answer is not silence"


@pytest.mark.embedded
@pytest.mark.parametrize("language", LANGUAGES)
async def test_embedded_function_turns_on_the_lights(
    language: str, embedded: Running, tmp_path: Path
) -> None:
    run = await function_sample(language, embedded, tmp_path, within_s=90)
    assert len(answer_wav(run)) > 24_000, "a spoken confirmation follows"


async def function_sample(language: str, server: Running, folder: Path, within_s: float) -> Sample:
    """The function sample after its end: it called the right function once, and no other."""
    async with running(f"function.{language}", server, folder) as run:
        await run.until(ended, within_s)
        assert run.process.returncode == 0, run.output
    assert called(run) == [["turn_on_the_lights"]]
    assert "tool was called" in run.output
    after = run.tape.server[[("toolCall" in m) for m in run.tape.server].index(True) :]
    assert answer_wav(run) == sound(after), "the file holds the whole confirmation"
    return run


def called(run: Sample) -> list[list[str]]:
    """The functions that the client was asked to run, a list for each time."""
    calls = [m["toolCall"]["functionCalls"] for m in run.tape.server if "toolCall" in m]
    return [[call["name"] for call in each] for each in calls]


def ended(run: Sample) -> bool:
    """Whether the sample has come to its own end."""
    return run.process.returncode is not None


def answer_wav(run: Sample) -> bytes:
    """The sound of the file that a sample leaves."""
    with wave.open(str(run.folder / "audio.wav")) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (24_000, 1, 2)
        frames: bytes = file.readframes(file.getnframes())
        return frames
