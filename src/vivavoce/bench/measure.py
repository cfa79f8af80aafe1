"""Measure a conversation from what was spoken and what arrived: pure functions of times.

All times are seconds on one monotonic clock. A reply is the audio between two boundaries, which are
`turnComplete` and `interrupted`. A latency counts from the last sample of speech, as the microphone
recorded it, to the arrival of the first sample of the reply.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from vivavoce.bench.scenario import Expectation

MIN_GAP_S = 0.005
"""A shorter underrun is bridged by the buffer of any sound device."""


class ArrivalKind(StrEnum):
    """Kind of a server message, by the API's names."""

    AUDIO = "audio"
    TRANSCRIPTION = "inputTranscription"
    CALL = "toolCall"
    INTERRUPTED = "interrupted"
    COMPLETE = "turnComplete"


@dataclass(frozen=True, slots=True)
class Arrival:
    """Something that arrived at a time. Audio has a length and the silence it begins with."""

    at: float
    kind: ArrivalKind
    audio_s: float = 0.0
    silent_s: float = 0.0


@dataclass(frozen=True, slots=True)
class SpokenStep:
    """Speech with its times: its stretches without the pauses between, and its place in the run.

    `end_s` is the position of its end in the session's audio.
    """

    label: str
    expect: Expectation
    stretches: tuple[tuple[float, float], ...]
    end_s: float

    @property
    def onset_at(self) -> float:
        return self.stretches[0][0]

    @property
    def end_at(self) -> float:
        return self.stretches[-1][1]


# --- replies -------------------------------------------------------------------------------------


@dataclass(slots=True)
class Reply:
    """The audio of one reply, in pieces that are played without a pause that was meant.

    A call of a function begins a new piece: a person waits for its result, not for the network.
    """

    pieces: list[list[Arrival]] = field(default_factory=lambda: [[]])

    @property
    def chunks(self) -> list[Arrival]:
        return [chunk for piece in self.pieces for chunk in piece]

    @property
    def first_at(self) -> float:
        return self.chunks[0].at

    @property
    def audio_s(self) -> float:
        return sum(chunk.audio_s for chunk in self.chunks)

    @property
    def leading_silence_s(self) -> float:
        """The silence before the first audible sample."""
        silent_s = 0.0
        for chunk in self.chunks:
            silent_s += chunk.silent_s
            if chunk.silent_s < chunk.audio_s:
                break
        return silent_s


def split_replies(arrivals: Iterable[Arrival]) -> list[Reply]:
    """Return the replies among the arrivals, in order."""
    replies: list[Reply] = []
    current = Reply()
    for arrival in arrivals:
        match arrival.kind:
            case ArrivalKind.AUDIO:
                if not current.chunks:
                    replies.append(current)
                current.pieces[-1].append(arrival)
            case ArrivalKind.CALL if current.pieces[-1]:
                current.pieces.append([])
            case ArrivalKind.INTERRUPTED | ArrivalKind.COMPLETE:
                current = Reply()
            case _:
                pass
    return replies


@dataclass(frozen=True, slots=True)
class Playback:
    """Playback of a reply by a player that starts at the first sample: gaps and late chunks.

    `gaps_s` are the times for which it had nothing to play, `late_chunks` of `chunks` arrived after
    they were due.
    """

    gaps_s: tuple[float, ...] = ()
    chunks: int = 0
    late_chunks: int = 0


def play_reply(reply: Reply) -> Playback:
    """Play the chunks of a reply as they arrive."""
    gaps: list[float] = []
    for piece in reply.pieces:
        empty_at = piece[0].at if piece else 0.0
        for chunk in piece:
            if chunk.at - empty_at > MIN_GAP_S:
                gaps.append(chunk.at - empty_at)
            empty_at = max(empty_at, chunk.at) + chunk.audio_s
    return Playback(tuple(gaps), len(reply.chunks), len(gaps))


# --- turns ---------------------------------------------------------------------------------------


@dataclass(slots=True)
class MeasuredTurn:
    """One step and what followed it. Times are `None` where it did not follow.

    `transcript_s` and `reply_s` add up to `latency_s`. `cut_off`: a reply began before the last
    word. `server` holds the server's own account in milliseconds, where it is known.
    """

    label: str
    expect: Expectation
    at: float
    end_s: float
    session: int = 0
    answered: bool = False
    cut_off: bool = False
    interrupted: bool = False
    latency_s: float | None = None
    transcript_s: float | None = None
    """From the last word to its last transcription before the reply."""
    reply_s: float | None = None
    """From there to the first sample of the reply."""
    leading_silence_s: float | None = None
    call_s: float | None = None
    """From the last word to the call of a function."""
    barge_in_s: float | None = None
    """From the onset of speech to `interrupted`."""
    stale_audio_s: float = 0.0
    """Audio that arrived after `interrupted`, while the interrupting speech went on."""
    reply_audio_s: float = 0.0
    playback: Playback = Playback()
    server: dict[str, float] = field(default_factory=dict)


def measure_turns(spoken: Sequence[SpokenStep], arrivals: Sequence[Arrival]) -> list[MeasuredTurn]:
    """Measure each step of a conversation by what arrived until the next one that is answered."""
    replies = split_replies(arrivals)
    turns = []
    for number, step in enumerate(spoken):
        following = [
            later.onset_at
            for later in spoken[number + 1 :]
            if later.expect is not Expectation.NOTHING
        ]
        until = following[0] if following else float("inf")
        if step.expect is Expectation.NOTHING and number + 1 < len(spoken):
            until = spoken[number + 1].onset_at
        within = [each for each in arrivals if step.onset_at <= each.at < until]
        turn = MeasuredTurn(step.label, step.expect, step.end_at, step.end_s)
        _measure_interruption(turn, step, within)
        if step.expect is not Expectation.NOTHING:
            begun = [each for each in replies if step.onset_at <= each.first_at < until]
            _measure_reply(turn, step, within, begun)
        turns.append(turn)
    return turns


def _measure_interruption(turn: MeasuredTurn, step: SpokenStep, within: list[Arrival]) -> None:
    if step.expect not in (Expectation.INTERRUPTION, Expectation.NOTHING):
        return
    cut_at = next((each.at for each in within if each.kind is ArrivalKind.INTERRUPTED), None)
    if cut_at is None:
        return
    turn.interrupted = True
    turn.barge_in_s = cut_at - step.onset_at
    turn.stale_audio_s = sum(
        each.audio_s
        for each in within[1 + next(n for n, each in enumerate(within) if each.at == cut_at) :]
        if each.kind is ArrivalKind.AUDIO and each.at < step.end_at
    )


def _measure_reply(
    turn: MeasuredTurn, step: SpokenStep, within: list[Arrival], begun: list[Reply]
) -> None:
    early = [reply for reply in begun if reply.first_at < step.end_at]
    turn.cut_off = bool(early) and step.expect is not Expectation.INTERRUPTION
    calls = [each.at for each in within if each.kind is ArrivalKind.CALL]
    if calls and calls[0] >= step.end_at:
        turn.call_s = calls[0] - step.end_at
    reply = next((reply for reply in begun if reply.first_at >= step.end_at), None)
    if reply is None:
        turn.answered = turn.cut_off
        return
    turn.answered = True
    turn.latency_s = reply.first_at - step.end_at
    turn.leading_silence_s = reply.leading_silence_s
    turn.reply_audio_s = reply.audio_s
    turn.playback = play_reply(reply)
    transcribed = [
        each.at
        for each in within
        if each.kind is ArrivalKind.TRANSCRIPTION and each.at <= reply.first_at
    ]
    if transcribed:
        turn.transcript_s = max(0.0, transcribed[-1] - step.end_at)
        turn.reply_s = turn.latency_s - turn.transcript_s
