"""User turns: a queue of spoken and typed turns, and the state machine of speech.

Everything that decides what the user said, and when it was finished, lives in this file. It knows
nothing of the model: whether a turn interrupts, waits or is answered is decided in rules.py.

The queue holds spoken turns, typed turns and context updates, in the order in which they count; an
update holds for what follows it. At most one spoken turn is open, and it is always the last:
`clientContent` that arrives during speech is placed before that speech, realtime text joins it.
Typed turns are ready at once, spoken ones move through this table:

    state      onset       pause     resume     end      final
    (none)     SPEAKING    -         -          -        -
    SPEAKING   -           PAUSED    -          ENDED    -
    PAUSED     -           -         SPEAKING   ENDED    -
    ENDED      (new turn)  -         -          -        READY, or removed

*Pause* is the short silence; *end* is the long one, `activityEnd`, `audioStreamEnd`, or a
microphone that stopped sending; *final* is the recognizer's last text, or its failure. The next
turn may begin before it.

A turn with `barge_in` is not known to interrupt the model; without that it is removed at its end. A
turn of automatic detection without words is removed, unless text was typed into it. A client that
marks activity itself waits for a `turnComplete`: its turns become ready even when empty.

Transcripts are requested twice a second while the user speaks, if the client wants to see them, and
at every pause: that one is final if the turn ends without more speech.

Where the silence that ends a turn is not fixed, a score of the turn's end is requested at every
pause, and again when its words are known: at most `MAX_SCORES` for one pause.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import takewhile
from typing import TypeVar

from vivavoce.core.barge_in import BargeIn, IgnoredReason
from vivavoce.core.effects import (
    DropTranscript,
    FinishTranscript,
    ForgetAudio,
    IgnoreSpeech,
    RefreshTranscript,
    ScoreTurnEnd,
    StartTranscript,
    Step,
)
from vivavoce.core.events import TranscriptUpdated, TurnEndScored
from vivavoce.core.token_counts import MAX_BYTES, size_bytes
from vivavoce.core.transcript_pieces import continuation
from vivavoce.core.turn_detection import SCORE_LEAD, SCORE_WAIT, SpeechEdge, SpeechEvent
from vivavoce.domain.audio import Position, samples, seconds
from vivavoce.domain.content import Blob, Content, Part, Role, Text, Tools
from vivavoce.domain.ids import TurnId
from vivavoce.domain.setup import TurnCoverage

T = TypeVar("T")

HYPOTHESIS_SAMPLES = samples(0.5)
"""Audio between two transcript requests while the user speaks."""

MAX_SCORES = 3
"""Scores of the turn's end that are requested for one pause."""

MAX_QUEUED_TURNS = 64
"""Turns in the queue; it also holds at most `MAX_BYTES`. The oldest are dropped."""

MAX_TYPED_TEXTS = 64
"""Realtime texts that join one spoken turn, `MAX_BYTES` at most; the newest are kept."""

MAX_FRAMES = 8
"""Video frames of one turn; the newest are kept. Eight seconds at one a second."""


class TurnState(Enum):
    """State of a spoken turn."""

    SPEAKING = "speaking"
    PAUSED = "paused"
    ENDED = "ended"
    READY = "ready"


TRANSITIONS: dict[TurnState, dict[SpeechEdge, TurnState]] = {
    TurnState.SPEAKING: {
        SpeechEdge.PAUSE: TurnState.PAUSED,
        SpeechEdge.END: TurnState.ENDED,
    },
    TurnState.PAUSED: {
        SpeechEdge.RESUME: TurnState.SPEAKING,
        SpeechEdge.END: TurnState.ENDED,
    },
    TurnState.ENDED: {},
    TurnState.READY: {},
}
"""The table above, without onsets: those begin a turn."""


class FloorTaken(Enum):
    """Way in which the user took the floor: by voice, by a request, or by content.

    It is cleared once the rules have seen it: only the beginning of activity interrupts.
    """

    ACTIVITY = "activity"
    TRIGGER = "trigger"
    """A request for an answer without words: as activity, but functions of the client go on."""
    CONTENT = "content"
    """`clientContent`: interrupts answers under any `activityHandling`, and no function."""
    STOP = "stop"
    """`clientContent` without turns or `turnComplete`: interrupts everything."""


class UserTurns:
    """Queue of the user's turns.

    `streams`: transcripts are requested while the user speaks. `scores`: scores of the turn's end
    are requested at pauses.
    """

    def __init__(self, frames: VideoBuffer, streams: bool = False, scores: bool = False) -> None:
        self._streams = streams
        self._scores = scores
        self.queue: list[Entry] = []
        self.floor_taken: FloorTaken | None = None
        self.frames = frames
        self.processed_until: Position = 0
        """The audio before this position was examined for speech."""
        self._turns = 0

    # --- questions -----------------------------------------------------------------------

    @property
    def spoken(self) -> list[SpokenTurn]:
        """Spoken turns, oldest first."""
        return [entry for entry in self.queue if isinstance(entry, SpokenTurn)]

    @property
    def open(self) -> SpokenTurn | None:
        """The turn that is being spoken."""
        last = self.queue[-1] if self.queue else None
        return last if isinstance(last, SpokenTurn) and last.open else None

    @property
    def idle(self) -> bool:
        """True if the queue is empty."""
        return not self.queue

    @property
    def needs_audio(self) -> bool:
        """True if a turn is being spoken or recognized."""
        return any(turn.state is not TurnState.READY for turn in self.spoken)

    def awaiting_transcript(self) -> list[SpokenTurn]:
        """Ended turns whose final transcript is still to come, oldest first."""
        return [turn for turn in self.spoken if turn.state is TurnState.ENDED]

    def ready(self) -> list[Entry]:
        """Return the entries that may be processed now: those before the first unfinished one.

        Speech waits for speech that follows it: no answer begins while the user speaks. Typed turns
        that ask for an answer do not wait.
        """
        if not self.queue:
            return []
        ends = (n for n, e in enumerate(self.queue) if isinstance(e, Update) or is_unfinished(e))
        count = next(ends, len(self.queue))
        ready = self.queue[:count]
        spoken = any(isinstance(entry, SpokenTurn) for entry in ready)
        if not spoken or not any(map(is_unfinished, self.queue[count:])):
            return ready
        return ready if any(isinstance(e, TypedTurn) and e.answer for e in ready) else []

    # --- spoken ---------------------------------------------------------------------------

    def handle_speech(self, event: SpeechEvent, manual: bool, step: Step) -> bool:
        """Apply a speech event to the open turn, or begin one; return whether anything changed."""
        if event.kind is SpeechEdge.ONSET:
            return self._onset(event, manual, step)
        turn = self.open
        state = TRANSITIONS[turn.state].get(event.kind) if turn else None
        if turn is None or state is None:
            return False
        paused = turn.state is TurnState.PAUSED
        turn.state = state
        if state is TurnState.PAUSED:
            turn.paused_at = turn.refreshed_at = turn.speculate_from = event.position
            turn.silent_from, turn.scores = event.edge, 0
            step.emit(RefreshTranscript(turn.id, event.position, paused=True))
            if self._scores:
                self._request_score(turn, step)
        elif state is TurnState.ENDED:
            turn.end, turn.ended_at = max(event.position, turn.start), step.now
            step.emit(FinishTranscript(turn.id, turn.end, turn.paused_at if paused else None))
        return True

    def refresh_transcript(self, position: Position, step: Step) -> None:
        """Request a transcript up to `position` if one is due while the user speaks."""
        turn = self.open
        if not self._streams or turn is None or turn.state is not TurnState.SPEAKING:
            return
        if position - turn.refreshed_at >= HYPOTHESIS_SAMPLES:
            turn.refreshed_at = position
            step.emit(RefreshTranscript(turn.id, position))

    def handle_transcript(self, update: TranscriptUpdated, step: Step) -> None:
        """Note the recognizer's text for a turn; have a pause scored again by it."""
        turn = self.find_turn(update.turn)
        if turn is None or turn.state is TurnState.READY:
            return
        turn.text, turn.covered = update.text, update.position
        turn.stable, turn.confidence = update.stable, update.confidence
        paused = self._scores and turn.state is TurnState.PAUSED
        if paused and turn.scores < MAX_SCORES and turn.words_at_pause != turn.scored_text:
            self._request_score(turn, step)

    def is_pause(self, scored: TurnEndScored) -> bool:
        """Return whether a score is of the present pause, and the latest that was requested."""
        turn = self.open
        if turn is None or turn.state is not TurnState.PAUSED:
            return False
        latest = turn.id, turn.paused_at, turn.scores
        return latest == (scored.turn, scored.position, scored.number)

    def delay_speculation(self, silence: int) -> None:
        """Let a speculation begin after so many samples of silence."""
        if (turn := self.open) is not None:
            turn.speculate_from = turn.silent_from + silence

    def _request_score(self, turn: SpokenTurn, step: Step) -> None:
        turn.scores += 1
        turn.scored_text = turn.words_at_pause
        wait = self.processed_until + SCORE_WAIT
        turn.speculate_from = max(turn.silent_from + SCORE_LEAD, wait)
        pause = turn.start, turn.paused_at, turn.scored_text
        step.emit(ScoreTurnEnd(turn.id, *pause, number=turn.scores))

    def settle_turn(self, turn_id: TurnId, step: Step, failed: bool = False) -> None:
        """End recognition of a turn: it becomes ready, or is removed without words."""
        turn = self.find_turn(turn_id)
        if turn is None or turn.state is not TurnState.ENDED:
            return
        if turn.barge_in is not None:
            step.emit(IgnoreSpeech(turn.id, turn.barge_in.reason))
            self._remove_turn(turn, step)
            return
        if turn.sent and not turn.text.strip():
            # The client has seen words: they are answered, with the least confidence.
            turn.text, turn.confidence = turn.sent, 0.0
        turn.failed = failed and not turn.text.strip()
        if not (turn.answer or turn.manual or turn.failed):
            step.report_mismatch("speech in which no words were understood is not answered")
            step.emit(IgnoreSpeech(turn.id, IgnoredReason.NO_WORDS))
            self._remove_turn(turn, step)
            return
        turn.state = TurnState.READY
        turn.frames = self.frames.take_frames(turn.start, turn.end)
        step.emit(ForgetAudio(turn.end))

    def restart_turn(self, turn: SpokenTurn, start: Position, step: Step) -> SpokenTurn:
        """Replace the open turn, which was nothing so far, by one that begins at `start`."""
        step.emit(DropTranscript(turn.id))
        self.queue.remove(turn)
        return self._begin_turn(max(start, turn.start), start, turn.manual, step)

    def drop_turns(self, step: Step) -> None:
        """Drop all turns: the conversation is over."""
        for turn in self.spoken:
            if turn.state is not TurnState.READY:
                step.emit(DropTranscript(turn.id))
        self.queue.clear()

    def _onset(self, event: SpeechEvent, manual: bool, step: Step) -> bool:
        if self.open is not None:
            return False
        self._begin_turn(event.position, event.edge, manual, step)
        self.floor_taken = self.floor_taken or FloorTaken.ACTIVITY
        return True

    def _begin_turn(self, start: Position, edge: Position, manual: bool, step: Step) -> SpokenTurn:
        self._turns += 1
        turn = SpokenTurn(TurnId(self._turns), start, manual, refreshed_at=edge)
        self._join_entry(len(self.queue), turn, step)
        step.emit(StartTranscript(turn.id, start))
        return turn

    def find_turn(self, turn_id: TurnId) -> SpokenTurn | None:
        return next((turn for turn in self.spoken if turn.id == turn_id), None)

    def _remove_turn(self, turn: SpokenTurn, step: Step) -> None:
        """Remove a turn without words; text that was typed into it stays in its place."""
        at = self.queue.index(turn)
        del self.queue[at]
        if turn.typed or turn.asked:
            turn.text = ""
            self.queue.insert(at, TypedTurn(turn.contents(), answer=True))
        step.emit(ForgetAudio(turn.end))

    # --- typed ----------------------------------------------------------------------------

    def add_text(self, text: str, step: Step) -> None:
        """Add realtime text: to the turn that is being spoken, or as a turn by itself."""
        if turn := self.open:
            turn.typed.append(text)
            while len(turn.typed) > 1 and (
                len(turn.typed) > MAX_TYPED_TEXTS or sum(map(len, turn.typed)) > MAX_BYTES
            ):
                step.report_mismatch("too much text joins one turn: the oldest is left out")
                del turn.typed[0]
            return
        parts: tuple[Part, ...] = (*self.frames.take_all(), Text(text))
        self.floor_taken = self.floor_taken or FloorTaken.ACTIVITY
        self._join_entry(
            len(self.queue), TypedTurn((Content(Role.USER, parts),), answer=True), step
        )

    def add_trigger(self, step: Step, urgent: bool = True) -> None:
        """Request an answer to the queued turns, and to the one that is being spoken.

        `urgent`: also while functions of the client run.
        """
        if turn := self.open:
            turn.asked = True
            return
        self.floor_taken = self.floor_taken or FloorTaken.TRIGGER
        self._join_entry(len(self.queue), TypedTurn(self._with_frames(()), True, urgent), step)

    def add_content(self, contents: tuple[Content, ...], answer: bool, step: Step) -> None:
        """Queue `clientContent` before the open spoken turn, joined to neighboring content.

        Waiting video frames join content that asks for an answer, unless the user is speaking.
        """
        self.floor_taken = FloorTaken.CONTENT if contents or answer else FloorTaken.STOP
        if answer and self.open is None:
            contents = self._with_frames(contents)
        at = self._before_open()
        before = self.queue[at - 1] if at else None
        if isinstance(before, TypedTurn) and not before.answer:
            before.join_contents(contents, answer)
            self._bound_entry(before, step)
        elif contents or answer:
            self._join_entry(at, TypedTurn(contents, answer, urgent=True), step)

    def add_update(self, update: Update) -> None:
        """Queue a `contextUpdate` before the open spoken turn, joined to a neighboring one.

        So the queue stays within its bound.
        """
        at = self._before_open()
        before = self.queue[at - 1] if at else None
        if isinstance(before, Update):
            before.instruction = _newer(update.instruction, before.instruction)
            before.tools = _newer(update.tools, before.tools)
        else:
            self.queue.insert(at, update)

    def context(self) -> list[TypedTurn]:
        """Return the content at the head of the queue that asks for no answer."""
        typed = takewhile(lambda e: isinstance(e, TypedTurn) and not e.answer, self.queue)
        return [entry for entry in typed if isinstance(entry, TypedTurn)]

    def take_update(self) -> Update | None:
        """Remove and return the update at the head of the queue."""
        if self.queue and isinstance(self.queue[0], Update):
            update = self.queue[0]
            del self.queue[0]
            return update
        return None

    def _with_frames(self, contents: tuple[Content, ...]) -> tuple[Content, ...]:
        """Add the waiting frames to the user's last content, or as content of their own."""
        frames = self.frames.take_all()
        if not frames:
            return contents
        if contents and contents[-1].role is Role.USER:
            last = Content(Role.USER, (*frames, *contents[-1].parts))
            return (*contents[:-1], last)
        return (*contents, Content(Role.USER, frames))

    def _is_too_large(self) -> bool:
        return len(self.queue) > 1 and sum(entry.bytes for entry in self.queue) > MAX_BYTES

    def take_entries(self, entries: list[Entry]) -> None:
        """Remove entries from the head of the queue: they are being processed."""
        del self.queue[: len(entries)]

    def _before_open(self) -> int:
        return len(self.queue) - (self.open is not None)

    def _join_entry(self, at: int, entry: Entry, step: Step) -> None:
        self.queue.insert(at, entry)
        self._bound_entry(entry, step)

    def _bound_entry(self, entry: Entry, step: Step) -> None:
        """Drop the oldest entries above the bounds; not `entry`, which is new or has grown."""
        while len(self.queue) > MAX_QUEUED_TURNS or self._is_too_large():
            oldest = next(each for each in self.queue if not isinstance(each, Update))
            if oldest is entry:
                return
            self.queue.remove(oldest)
            step.report_mismatch("too much waits to be answered: the oldest is given up")
            if isinstance(oldest, SpokenTurn) and oldest.state is not TurnState.READY:
                step.emit(DropTranscript(oldest.id))


@dataclass(slots=True)
class SpokenTurn:
    """One stretch of speech, from its onset to its last word.

    `text` is the latest transcript, of audio up to `covered`; `stable` is the part that is not
    expected to change, `confidence` the probability that it is right. `sent` is what the client
    has of the words, `piece` what it gets next, and `aligned` the words for which that was found.
    `refreshed_at` is where a transcript was last requested, `paused_at` the latest pause, its
    silence beginning at `silent_from`; so many `scores` of it were requested, the latest for
    `scored_text`. `speculate_from` is the position from which this pause may be speculated on,
    `speculated_at` the pause of the latest of so many `speculations`. `asked`: an answer was
    requested without words; `reported`: the client has all words; `failed`: the recognizer failed.
    `barge_in`: it is not known to be an interruption.
    """

    id: TurnId
    start: Position
    manual: bool
    state: TurnState = TurnState.SPEAKING
    end: Position = 0
    ended_at: float = 0.0
    text: str = ""
    covered: Position = -1
    stable: str = ""
    confidence: float | None = None
    sent: str = ""
    aligned: str = ""
    piece: str = ""
    refreshed_at: Position = 0
    paused_at: Position = 0
    silent_from: Position = 0
    scores: int = 0
    scored_text: str = ""
    speculate_from: Position = 0
    typed: list[str] = field(default_factory=list)
    frames: tuple[Blob, ...] = ()
    speculations: int = 0
    speculated_at: Position = -1
    asked: bool = False
    reported: bool = False
    failed: bool = False
    barge_in: BargeIn | None = None

    @property
    def open(self) -> bool:
        """True if the user may still be speaking."""
        return self.state in (TurnState.SPEAKING, TurnState.PAUSED)

    @property
    def answer(self) -> bool:
        """True if the turn asks for an answer: it has words or frames, or one was requested."""
        return self.asked or bool(self.frames or self.words())

    @property
    def words_at_pause(self) -> str:
        """The words up to the latest pause; empty while they are not known."""
        return self.text.strip() if self.covered >= self.silent_from else ""

    @property
    def known_confidence(self) -> float | None:
        """The confidence of all its words; `None` if some were typed."""
        return None if self.typed else self.confidence

    def next_piece(self) -> str:
        """Return the words that the client may get in addition to `sent`."""
        words = (self.text if self.state is TurnState.READY else self.stable).strip()
        if words != self.aligned:
            # Called at every event: a text that contradicts `sent` is aligned with it only once.
            self.aligned, self.piece = words, continuation(self.sent, words)
        return self.piece

    def send_piece(self) -> str:
        """Return the next piece, and count it as sent."""
        piece = self.next_piece()
        self.sent, self.piece = self.sent + piece, ""
        return piece

    def words(self) -> list[str]:
        """Return the recognized words and the typed texts that joined them."""
        return [text for text in (self.text.strip(), *self.typed) if text]

    def contents(self) -> tuple[Content, ...]:
        """Return the turn as history: frames, then words; nothing for an empty turn."""
        words = " ".join(self.words())
        parts: tuple[Part, ...] = (*self.frames, *((Text(words),) if words else ()))
        heard_s = seconds(self.end - self.start)
        content = Content(Role.USER, parts, heard_s=heard_s, confidence=self.known_confidence)
        return (content,) if parts else ()

    @property
    def bytes(self) -> int:
        """Its size as history."""
        return sum(map(size_bytes, self.contents()))


class TypedTurn:
    """Content from the client, and whether it asks for an answer.

    `urgent`: it is answered although functions of the client run.
    """

    def __init__(self, content: Iterable[Content], answer: bool, urgent: bool = False) -> None:
        self.content, self.answer, self.urgent = list(content), answer, urgent
        self._measured = self._bytes = 0

    def join_contents(self, content: Iterable[Content], answer: bool) -> None:
        """Append content, which may ask for an answer to all of it."""
        self.content += content
        self.answer = answer

    @property
    def bytes(self) -> int:
        """Its size in memory; each content is measured once, whatever joins it later."""
        self._bytes += sum(map(size_bytes, self.content[self._measured :]))
        self._measured = len(self.content)
        return self._bytes

    def contents(self) -> tuple[Content, ...]:
        """Return the turn as history."""
        return tuple(self.content)


@dataclass(slots=True)
class Update:
    """`contextUpdate` behind turns that are still to be answered; `None` changes nothing."""

    instruction: str | None
    tools: Tools | None

    answer = False
    bytes = 0

    def contents(self) -> tuple[Content, ...]:
        """Return nothing: an update leaves no trace in the history."""
        return ()


Entry = SpokenTurn | TypedTurn | Update


def is_unfinished(entry: Entry) -> bool:
    """Return whether an entry is a spoken turn without its final transcript."""
    return isinstance(entry, SpokenTurn) and entry.state is not TurnState.READY


class VideoBuffer:
    """Video frames that wait for their turn, as `turnCoverage` says: the newest."""

    def __init__(self, coverage: TurnCoverage) -> None:
        self._only_activity = coverage is TurnCoverage.ONLY_ACTIVITY
        self._waiting: deque[tuple[Position, Blob]] = deque(maxlen=MAX_FRAMES)

    def add_frame(self, position: Position, frame: Blob) -> bool:
        """Add a frame that arrived at `position`; return whether the oldest was dropped."""
        full = len(self._waiting) == MAX_FRAMES
        self._waiting.append((position, frame))
        return full

    def snapshot(self) -> tuple[tuple[Position, Blob], ...]:
        """Return the waiting frames with their positions."""
        return tuple(self._waiting)

    def within(self, start: Position, end: Position) -> tuple[Blob, ...]:
        """Return the frames of a spoken turn with this span.

        If only activity counts, they begin with the last one before it: cameras send one in a
        second or two, and a short question falls between two of them.
        """
        seen = [(position, frame) for position, frame in self._waiting if position <= end]
        before = sum(position < start for position, _ in seen) if self._only_activity else 0
        return tuple(frame for _, frame in seen[max(0, before - 1) :])

    def take_frames(self, start: Position, end: Position) -> tuple[Blob, ...]:
        """Remove and return the frames of a spoken turn with this span; remove older ones, too."""
        taken = self.within(start, end)
        while self._waiting and self._waiting[0][0] <= end:
            self._waiting.popleft()
        return taken

    def take_all(self) -> tuple[Blob, ...]:
        """Remove all frames and return those of a typed turn, which is activity of no duration."""
        taken = tuple(frame for _, frame in self._waiting)
        self._waiting.clear()
        return taken[-1:] if self._only_activity else taken


def _newer(new: T | None, old: T | None) -> T | None:
    return old if new is None else new
