"""Recorded human speech through a real server, streamed by Google's Python SDK.

The full table is made by `benchmarks/recognition.py`; these are the same claims on few
recordings. What is compared with the bare network is compared on the server's own cuts, so
that nothing but the way through the server can make a difference; what the cuts themselves
cost stands in the table.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from conformance.servers import Running, serving
from e2e import sdk_listener
from e2e import speech_corpus as corpus
from e2e.speech_corpus import Heard, Recording
from vivavoce.engines.moonshine import MoonshineNetwork
from vivavoce.engines.registry import locate_weights
from vivavoce.engines.silero import MODEL, SileroDetector
from vivavoce.errors import EngineMissing
from vivavoce.http import certificates

pytestmark = [
    pytest.mark.embedded,
    pytest.mark.e2e,
    pytest.mark.sdk,
    # The SDK and what it stands on warn of matters of their own.
    pytest.mark.filterwarnings("default"),
]

SHORT = ("goforward", "something", "austen-0880", "cards-002", "cards-004")
POINTS = 2.0
"""How much worse than the bare network the way through the server may be."""


@pytest.fixture(scope="module")
def detector() -> SileroDetector:
    try:
        return SileroDetector(locate_weights("silero") / MODEL)
    except EngineMissing as absent:
        pytest.skip(str(absent))


@pytest.fixture(scope="module")
def network() -> MoonshineNetwork:
    try:
        return MoonshineNetwork(locate_weights("moonshine"))
    except EngineMissing as absent:
        pytest.skip(str(absent))


@pytest.fixture(scope="module")
def short() -> list[Recording]:
    found = [each for each in corpus.shared_recordings() if each.name in SHORT]
    if not found:
        pytest.skip("the recordings are not here: set VIVAVOCE_SHARED to the folder above speech/")
    assert len(found) == len(SHORT)
    return found


@pytest.fixture(scope="module")
def server(detector: SileroDetector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    pytest.importorskip("google.genai", reason="google-genai is not installed")
    settings = tmp_path_factory.mktemp("hearing") / "settings.toml"
    settings.write_text(corpus.PROFILE)
    with serving("hearing", VIVAVOCE_CONFIG=str(settings)) as running:
        yield running


@pytest.fixture(autouse=True)
def trusted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `vivavoce env` sets, apart from the address."""
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.prepare_for_server("127.0.0.1").bundle))
    for name in [name for name in os.environ if name.startswith(("GOOGLE_", "GEMINI_"))]:
        monkeypatch.delenv(name)


def judge(heard: list[Heard], alone: list[Heard]) -> None:
    assert {each.recording.name: len(each.turns) for each in heard} == {
        each.recording.name: 1 for each in heard
    }
    lost = [
        (ours.recording.name, ours.text, theirs.text)
        for ours, theirs in zip(heard, alone, strict=True)
        if corpus.starts_right(theirs) and not corpus.starts_right(ours)
    ]
    assert not lost
    assert corpus.word_error_rate(heard) <= corpus.word_error_rate(alone) + POINTS


@pytest.mark.parametrize("snr_db", [None, 20.0], ids=["quiet", "20 dB"])
async def test_each_recording_becomes_one_turn_with_the_words_the_recognizer_hears(
    snr_db: float | None,
    server: Running,
    short: list[Recording],
    detector: SileroDetector,
    network: MoonshineNetwork,
) -> None:
    heard = await sdk_listener.through_server(server.url, short, snr_db, speed=1.0, together=4)
    judge(heard, corpus.bare_on_the_same_cuts(heard, detector, network))


async def test_faster_than_real_time_the_same_words_are_heard(
    server: Running, short: list[Recording], detector: SileroDetector, network: MoonshineNetwork
) -> None:
    """Silence is counted in samples: a file sent at four times the pace is cut the same way."""
    heard = await sdk_listener.through_server(server.url, short, speed=4.0, together=4)
    judge(heard, corpus.bare_on_the_same_cuts(heard, detector, network))


async def test_a_breath_of_eight_clauses_is_one_turn(
    server: Running, detector: SileroDetector, network: MoonshineNetwork
) -> None:
    found = [each for each in corpus.wheel_recordings() if each.name == "beckett"]
    if not found:
        pytest.skip("the recordings of the wheel moonshine-voice can't be fetched here")
    heard = await sdk_listener.through_server(server.url, found, speed=2.0)
    judge(heard, corpus.bare_on_the_same_cuts(heard, detector, network))


@pytest.mark.parametrize("snr_db", [None, 20.0, 10.0], ids=["quiet", "20 dB", "10 dB"])
def test_the_pre_roll_reaches_back_to_the_first_sound(
    snr_db: float | None, short: list[Recording], detector: SileroDetector
) -> None:
    """The cut begins before the first loud sample of the recording, in noise too."""
    for recording in short:
        [(start, _)] = corpus.spans(corpus.Room(recording, snr_db), detector)
        assert start <= corpus.first_sound(recording), recording.name
