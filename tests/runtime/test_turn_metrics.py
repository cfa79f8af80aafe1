"""One report a turn, whatever came of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from vivavoce.core.barge_in import IgnoredReason
from vivavoce.core.effects import (
    CancelGeneration,
    DropTranscript,
    Effect,
    FinishTranscript,
    IgnoreSpeech,
    ReleaseGeneration,
    Send,
    StartGeneration,
    StartTranscript,
)
from vivavoce.core.events import (
    AudioProduced,
    Event,
    GenerationFailed,
    GenerationFinished,
    GenerationRefused,
    TextProduced,
    TextReceived,
    ToolResponsesReceived,
    TranscriptFailed,
    TranscriptUpdated,
    VoiceScored,
)
from vivavoce.core.messages import (
    Interrupted,
    Message,
    ModelAudio,
    ToolCallRequest,
    TurnComplete,
)
from vivavoce.domain.audio import INPUT_RATE
from vivavoce.domain.content import ToolCall, ToolResult
from vivavoce.domain.ids import CallId, GenerationId, SessionId, TurnId
from vivavoce.runtime.turn_metrics import MAX_TEXT_CHARS, TurnOutcome, TurnReport, TurnReporter
from vivavoce.testing.engine_contracts import request

TURN, ID = TurnId(1), GenerationId(1)
SOUND = AudioProduced(ID, bytes(4800))
BEGIN = StartGeneration(request("hi"))


class Watched:
    """A reporter, and the reports it made."""

    def __init__(self) -> None:
        self.reports: list[TurnReport] = []
        self.reporter = TurnReporter(SessionId("s"), self)

    def turn_done(self, report: TurnReport) -> None:
        self.reports.append(report)

    def see(self, *happenings: tuple[float, Event | Effect | Message]) -> list[TurnReport]:
        for now, happening in happenings:
            if isinstance(happening, Message):
                self.reporter.record_sent(happening, now)
            elif type(happening).__module__.endswith("effects"):
                self.reporter.record_effect(happening, now)  # type: ignore[arg-type]
            else:
                self.reporter.record_event(happening, now)  # type: ignore[arg-type]
        return self.reports


def test_the_parts_of_a_spoken_turn_add_up() -> None:
    watched = Watched()
    for tenth in range(1, 31):
        watched.reporter.record_arrival(tenth * INPUT_RATE // 10, tenth / 10)
    scores = tuple([0.9] * 16 + [0.1] * 4)
    watched.see(
        (1.0, StartTranscript(TURN, 0)),
        (1.0, VoiceScored(20_480, scores, 1024)),  # speech ends at 16,384: arrived at 1.1 s
        (1.9, FinishTranscript(TURN, 24_000)),
        (2.0, TranscriptUpdated(TURN, 24_000, "hi", True)),
        (2.0, BEGIN),
    )
    watched.reporter.record_milestone(ID, "first_token", 2.2)
    watched.reporter.record_milestone(ID, "first_clause", 2.3)
    (report,) = watched.see(
        (2.6, SOUND),
        (2.7, ModelAudio(bytes(4800))),
        (3.0, Send(TurnComplete())),
        (3.0, TurnComplete()),
    )
    assert report.outcome is TurnOutcome.COMPLETE
    assert report.endpointing_s == pytest.approx(0.8)
    assert report.asr_final_s == pytest.approx(0.1)
    assert report.llm_first_token_s == pytest.approx(0.2)
    assert report.first_clause_s == pytest.approx(0.1)
    assert report.tts_first_audio_s == pytest.approx(0.3)
    assert report.send_first_audio_s == pytest.approx(0.1)
    assert report.total_s == pytest.approx(1.6)
    assert report.heard_s == 1.5
    assert report.spoken_s == pytest.approx(0.1)


def test_an_answer_that_leaves_late_still_counts_for_its_own_turn() -> None:
    (report,) = Watched().see(
        (0.0, TextReceived("hi")),
        (0.0, BEGIN),
        (0.1, SOUND),
        (0.1, Send(TurnComplete())),
        (5.0, ModelAudio(bytes(4800))),
        (5.0, TurnComplete()),
    )
    assert report.total_s == 5.0
    assert report.spoken_s == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("happening", "outcome"),
    [
        (Send(Interrupted()), TurnOutcome.INTERRUPTED),
        (GenerationFailed(ID, "no"), TurnOutcome.ERROR),
    ],
)
def test_how_a_turn_ended(happening: Event | Effect, outcome: TurnOutcome) -> None:
    (report,) = Watched().see(
        (0.0, TextReceived("hi")),
        (0.0, BEGIN),
        (1.0, happening),
        (1.0, Send(TurnComplete())),
        (1.0, TurnComplete()),
    )
    assert report.outcome is outcome


HEARD_NOTHING = TranscriptUpdated(TURN, 16_000, " ", True)
COMPLETED = ((2.0, Send(TurnComplete())), (2.0, TurnComplete()))


@pytest.mark.parametrize("manual", [False, True])
def test_a_turn_without_words_is_reported_once(manual: bool) -> None:
    reports = Watched().see(
        (0.0, StartTranscript(TURN, 0)),
        (1.0, FinishTranscript(TURN, 16_000)),
        (1.1, HEARD_NOTHING),
        *(COMPLETED if manual else ((1.1, IgnoreSpeech(TURN, IgnoredReason.NO_WORDS)),)),
    )
    assert [report.outcome for report in reports] == [TurnOutcome.NO_SPEECH]
    assert reports[0].ignored == ("" if manual else "no_words")


def test_an_ignored_back_channel_is_a_turn_of_its_own() -> None:
    ignored, following = Watched().see(
        (0.0, StartTranscript(TURN, 0)),
        (1.0, FinishTranscript(TURN, 16_000)),
        (1.1, TranscriptUpdated(TURN, 16_000, "mhm", True)),
        (1.1, IgnoreSpeech(TURN, IgnoredReason.BACK_CHANNEL)),
        (2.0, TextReceived("hi")),
        (2.0, BEGIN),
        *COMPLETED,
    )
    assert (ignored.outcome, ignored.ignored) == (TurnOutcome.IGNORED, "back_channel")
    assert (ignored.heard, following.heard) == ("mhm", "hi")
    assert following.outcome is TurnOutcome.COMPLETE


@pytest.mark.parametrize("happening", [TranscriptFailed(TURN, "no"), DropTranscript(TURN)])
def test_a_turn_that_the_recognizer_failed_is_reported_once(happening: Event | Effect) -> None:
    reports = Watched().see(
        (0.0, StartTranscript(TURN, 0)),
        (1.0, FinishTranscript(TURN, 16_000)),
        (1.1, happening),
        *COMPLETED,
    )
    assert [report.outcome for report in reports] == [TurnOutcome.ERROR]


def test_words_typed_into_a_turn_without_words_make_it_an_ordinary_one() -> None:
    reports = Watched().see(
        (0.0, StartTranscript(TURN, 0)),
        (0.5, TextReceived("hi")),
        (1.0, FinishTranscript(TURN, 16_000)),
        (1.1, HEARD_NOTHING),
        (1.1, BEGIN),
        *COMPLETED,
    )
    assert [report.outcome for report in reports] == [TurnOutcome.COMPLETE]


def test_what_is_heard_during_an_answer_belongs_to_the_next_turn() -> None:
    reports = Watched().see(
        (0.0, TextReceived("one")),
        (0.0, BEGIN),
        (0.5, SOUND),
        (0.6, StartTranscript(TURN, 0)),
        (1.0, FinishTranscript(TURN, 16_000)),
        (1.5, TranscriptUpdated(TURN, 16_000, "two", True)),
        *COMPLETED,
        (2.0, BEGIN),
        *COMPLETED,
    )
    assert [(report.heard, report.heard_s) for report in reports] == [("one", 0.0), ("two", 1.0)]
    assert [report.asr_final_s for report in reports] == [None, 0.5]


def test_a_guess_is_timed_when_it_was_right_and_forgotten_when_not() -> None:
    wrong = StartGeneration(replace(request("h"), speculative=True))
    right = StartGeneration(replace(request("hi"), speculative=True, generation=GenerationId(2)))
    (report,) = Watched().see(
        (0.0, StartTranscript(TURN, 0)),
        (0.2, wrong),
        (0.3, AudioProduced(ID, bytes(2), "Wrong.")),
        (0.4, CancelGeneration(ID)),
        (0.6, right),
        (0.7, AudioProduced(GenerationId(2), bytes(2), "Right.")),
        (1.0, FinishTranscript(TURN, 16_000)),
        (1.1, TranscriptUpdated(TURN, 16_000, "hi", True)),
        (1.1, ReleaseGeneration(GenerationId(2))),
        (1.2, ModelAudio(bytes(2))),
        *COMPLETED,
    )
    assert (report.said, report.heard) == ("Right.", "hi")
    counts = report.speculation
    assert (counts.started, counts.promoted, counts.discarded, counts.refused) == (2, 1, 1, 0)
    assert counts.gained_s == pytest.approx(0.4), "from its first audio to its promotion"
    assert counts.wasted_s == pytest.approx(0.2)
    assert counts.wasted_audio_s == pytest.approx(1 / 24_000)
    assert report.llm_first_token_s == pytest.approx(0.1)
    assert report.total_s == pytest.approx(0.2)


SPECULATIVE = StartGeneration(replace(request("h"), speculative=True))
LIVE = StartGeneration(replace(request("hi"), generation=GenerationId(2)))


@pytest.mark.parametrize(
    ("outcome", "discarded", "refused", "wasted_s"),
    [
        (GenerationRefused(ID), 0, 1, 0.0),
        (GenerationFailed(ID, "broken"), 1, 0, 0.1),
        (CancelGeneration(ID), 1, 0, 0.1),
        (GenerationFinished(ID), 1, 0, 0.6),  # no effect discards it: the answer begins anew
    ],
)
def test_a_guess_in_vain_is_counted_once(
    outcome: Event | Effect, discarded: int, refused: int, wasted_s: float
) -> None:
    (report,) = Watched().see(
        (0.0, StartTranscript(TURN, 0)),
        (0.5, SPECULATIVE),
        (0.6, outcome),
        (1.0, FinishTranscript(TURN, 16_000)),
        (1.1, TranscriptUpdated(TURN, 16_000, "hi", True)),
        (1.1, LIVE),
        (1.2, AudioProduced(GenerationId(2), bytes(2), "Hello.")),
        *COMPLETED,
    )
    counts = report.speculation
    assert (counts.started, counts.promoted) == (1, 0)
    assert (counts.discarded, counts.refused) == (discarded, refused)
    assert counts.wasted_s == pytest.approx(wasted_s)
    assert counts.gained_s is None
    assert report.outcome is TurnOutcome.COMPLETE
    assert report.llm_first_token_s == pytest.approx(0.1), "of the answer alone"


def test_a_guess_without_words_in_the_end_is_discarded_with_its_turn() -> None:
    (report,) = Watched().see(
        (0.0, StartTranscript(TURN, 0)),
        (0.5, SPECULATIVE),
        (1.0, FinishTranscript(TURN, 16_000)),
        (1.1, HEARD_NOTHING),
        (1.1, IgnoreSpeech(TURN, IgnoredReason.NO_WORDS)),
    )
    assert (report.outcome, report.speculation.discarded) == (TurnOutcome.NO_SPEECH, 1)


def test_an_interruption_is_timed_from_the_sound_that_decided_it() -> None:
    watched = Watched()
    watched.reporter.record_arrival(8_000, 0.9)
    watched.reporter.record_arrival(16_000, 1.0)
    (report,) = watched.see(
        (0.0, TextReceived("hi")),
        (0.0, BEGIN),
        (1.04, VoiceScored(16_000, (0.9,))),
        (1.05, Send(Interrupted())),
        (1.05, Send(TurnComplete())),
        (1.07, Interrupted()),
        (1.07, TurnComplete()),
    )
    assert report.interruption_s == pytest.approx(0.07)


def test_what_was_said_is_kept_without_thoughts_and_within_bounds() -> None:
    (report,) = Watched().see(
        (0.0, TextReceived("x" * 20_000)),
        (0.0, BEGIN),
        (0.1, TextProduced(ID, "hm", thought=True)),
        (0.1, TextProduced(ID, "It ")),
        (0.2, AudioProduced(ID, bytes(2), "is.")),
        *COMPLETED,
    )
    assert report.said == "It is."
    assert report.heard == "x" * MAX_TEXT_CHARS


def test_tools_are_timed_and_counted() -> None:
    calls = tuple(ToolCall(CallId(str(n)), "f", {}) for n in range(2))
    (report,) = Watched().see(
        (0.0, TextReceived("hi")),
        (0.0, BEGIN),
        (1.0, Send(ToolCallRequest(calls))),
        (2.0, ToolResponsesReceived((ToolResult(CallId("0"), "f", {}),))),
        (3.5, ToolResponsesReceived((ToolResult(CallId("1"), "f", {}),))),
        (4.0, Send(TurnComplete())),
        (4.0, TurnComplete()),
    )
    assert (report.tool_calls, report.tool_s) == (2, 2.5), "until the last of them is answered"


def test_a_part_of_another_generation_is_not_timed() -> None:
    watched = Watched()
    watched.see((0.0, TextReceived("hi")), (0.0, BEGIN))
    watched.reporter.record_milestone(GenerationId(7), "first_token", 1.0)
    (report,) = watched.see(
        (1.0, AudioProduced(GenerationId(7), bytes(2))),
        (2.0, Send(TurnComplete())),
        (2.0, TurnComplete()),
    )
    assert report.llm_first_token_s is None


def test_turns_are_numbered() -> None:
    watched = Watched()
    for _ in range(3):
        watched.see((0.0, Send(TurnComplete())), (0.0, TurnComplete()))
    assert [report.number for report in watched.reports] == [1, 2, 3]
