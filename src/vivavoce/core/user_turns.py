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

A turn of automatic detection without words is removed, unless text was typed into it. A client that
marks activity itself waits for a `turnComplete`: its turns become ready even when empty.

Transcripts are requested twice a second while the user speaks, if the client wants to see them, and
at every pause: that one is final if the turn ends without more speech.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum
from itertools import takewhile
from typing import TypeVar

from vivavoce.core.effects import (
    DropTranscript,
    FinishTranscript,
    ForgetAudio,
    RefreshTranscript,
    StartTranscript,
    Step,
)
from vivavoce.core.events import TranscriptUpdated
from vivavoce.core.token_counts import MAX_BYTES, size_bytes
from vivavoce.core.transcription import continuation
from vivavoce.core.turn_detection import SpeechEdge, SpeechEvent
from vivavoce.domain.audio import Position, samples, seconds
from vivavoce.domain.content import Blob, Content, Part, Role, Text, Tools
from vivavoce.domain.ids import TurnId
from vivavoce.domain.setup import TurnCoverage

T = TypeVar("T")

HYPOTHESIS_SAMPLES = samples(0.5)
"""How much sound passes between two hypotheses while the user speaks, if there is time for them."""

MAX_LINE = 64
"""Turns that wait at most, and no more than `MAX_BYTES` of them; the oldest are given up."""

MAX_TYPED = 64
"""Pieces of realtime text that join one spoken turn at most, and no more than `MAX_BYTES` of
them; the newest are kept."""

MAX_FRAMES = 8
"""Frames that one turn carries at most; the newest are kept. Eight seconds at one a second."""


class TurnState(Enum):
    """Where a spoken turn stands."""

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
"""What evidence does to a spoken turn; what is absent does nothing."""


class FloorTaken(Enum):
    """By what the user has just taken the floor."""

    ACTIVITY = "activity"
    TRIGGER = "trigger"
    """A bare request for an answer: as activity, but leaves the client's functions alone."""
    CONTENT = "content"
    """`clientContent`: interrupts answers whatever the activity handling says, and no function."""
    STOP = "stop"
    """`clientContent` that says nothing and asks for nothing: interrupts everything."""


class UserTurns:
    """The line of the user's turns. `streams`: hypotheses are asked for while the user speaks."""

    def __init__(self, frames: VideoBuffer, streams: bool = False) -> None:
        self._streams = streams
        self.line: list[Entry] = []
        self.floor_taken: FloorTaken | None = None
        self.frames = frames
        self._turns = 0

    # --- questions -----------------------------------------------------------------------

    @property
    def open(self) -> SpokenTurn | None:
        """The turn that the user is saying."""
        last = self.line[-1] if self.line else None
        return last if isinstance(last, SpokenTurn) and last.open else None

    @property
    def speaking(self) -> bool:
        """Whether the user is speaking at this very moment, pauses not counted."""
        turn = self.open
        return turn is not None and turn.state is TurnState.SPEAKING

    @property
    def quiet(self) -> bool:
        """Whether nothing of the user's waits for anything."""
        return not self.line

    @property
    def deaf(self) -> bool:
        """Whether no turn needs any sound."""
        spoken = (entry for entry in self.line if isinstance(entry, SpokenTurn))
        return all(turn.state is TurnState.READY for turn in spoken)

    def awaiting(self) -> list[SpokenTurn]:
        """The turns that wait for their last word, oldest first."""
        return [
            turn
            for turn in self.line
            if isinstance(turn, SpokenTurn) and turn.state is TurnState.ENDED
        ]

    def ready(self) -> list[Entry]:
        """What may be taken up now: the line up to the first turn that is not ready, or update.

        Speech alone waits for speech that follows it: no answer begins while the user speaks.
        What was typed for an answer does not wait.
        """
        ends = (n for n, e in enumerate(self.line) if isinstance(e, Update) or is_unfinished(e))
        count = next(ends, len(self.line))
        ready = self.line[:count]
        spoken = any(isinstance(entry, SpokenTurn) for entry in ready)
        if not spoken or not any(map(is_unfinished, self.line[count:])):
            return ready
        return ready if any(isinstance(e, TypedTurn) and e.answer for e in ready) else []

    # --- spoken ---------------------------------------------------------------------------

    def handle_speech(self, evidence: SpeechEvent, manual: bool, step: Step) -> bool:
        """Evidence from the ears or from the client; whether it changed anything."""
        if evidence.cue is SpeechEdge.ONSET:
            return self._onset(evidence, manual, step)
        turn = self.open
        state = TRANSITIONS[turn.state].get(evidence.cue) if turn else None
        if turn is None or state is None:
            return False
        paused = turn.state is TurnState.PAUSED
        turn.state = state
        if state is TurnState.PAUSED:
            turn.paused_at = turn.refreshed_at = evidence.position
            step.emit(RefreshTranscript(turn.id, evidence.position, paused=True))
        elif state is TurnState.ENDED:
            turn.end, turn.ended_at = max(evidence.position, turn.start), step.now
            step.emit(FinishTranscript(turn.id, turn.end, turn.paused_at if paused else None))
        return True

    def refresh_transcript(self, position: Position, step: Step) -> None:
        """Sound stands at `position`: a hypothesis may be due while the user speaks."""
        turn = self.open
        if not self._streams or turn is None or turn.state is not TurnState.SPEAKING:
            return
        if position - turn.refreshed_at >= HYPOTHESIS_SAMPLES:
            turn.refreshed_at = position
            step.emit(RefreshTranscript(turn.id, position))

    def handle_transcript(self, update: TranscriptUpdated) -> None:
        """What the recognizer understands. A turn that is not ended has no last word yet."""
        turn = self._find(update.turn)
        if turn is None or turn.state is TurnState.READY:
            return
        turn.text, turn.covered = update.text, update.position
        turn.stable, turn.confidence = update.stable, update.confidence

    def settle_turn(self, turn_id: TurnId, step: Step, failed: bool = False) -> None:
        """The last word of a turn has come, or never will; it becomes ready, or is removed."""
        turn = self._find(turn_id)
        if turn is None or turn.state is not TurnState.ENDED:
            return
        if turn.sent and not turn.text.strip():
            # The client has seen words: they are answered, and not trusted.
            turn.text, turn.confidence = turn.sent, 0.0
        turn.failed = failed and not turn.text.strip()
        if not (turn.answer or turn.manual or turn.failed):
            step.report_mismatch("speech in which no words were understood is not answered")
            self._end_turn(turn, step)
            return
        turn.state = TurnState.READY
        turn.frames = self.frames.take_frames(turn.start, turn.end)
        step.emit(ForgetAudio(turn.end))

    def give_up(self, step: Step) -> None:
        """Give up all unfinished turns: the conversation is over."""
        for turn in self.line:
            if isinstance(turn, SpokenTurn) and turn.state is not TurnState.READY:
                step.emit(DropTranscript(turn.id))
        self.line.clear()

    def _onset(self, evidence: SpeechEvent, manual: bool, step: Step) -> bool:
        if self.open is not None:
            return False
        self._turns += 1
        start = evidence.position
        turn = SpokenTurn(TurnId(self._turns), start, manual, refreshed_at=evidence.edge)
        self._join_entry(len(self.line), turn, step)
        self.floor_taken = self.floor_taken or FloorTaken.ACTIVITY
        step.emit(StartTranscript(turn.id, start))
        return True

    def _find(self, turn_id: TurnId) -> SpokenTurn | None:
        for entry in self.line:
            if isinstance(entry, SpokenTurn) and entry.id == turn_id:
                return entry
        return None

    def _end_turn(self, turn: SpokenTurn, step: Step) -> None:
        """Out of the line, but what was typed into the turn stays where the turn stood."""
        at = self.line.index(turn)
        del self.line[at]
        if turn.typed or turn.asked:
            turn.text = ""
            self.line.insert(at, TypedTurn(turn.contents(), answer=True))
        step.emit(ForgetAudio(turn.end))

    # --- typed ----------------------------------------------------------------------------

    def add_text(self, text: str, step: Step) -> None:
        """Realtime text: joins the turn that is being spoken, or is a turn by itself."""
        if turn := self.open:
            turn.typed.append(text)
            while len(turn.typed) > 1 and (
                len(turn.typed) > MAX_TYPED or sum(map(len, turn.typed)) > MAX_BYTES
            ):
                step.report_mismatch("too much text joins one turn: the oldest is left out")
                del turn.typed[0]
            return
        parts: tuple[Part, ...] = (*self.frames.take_all(), Text(text))
        self.floor_taken = self.floor_taken or FloorTaken.ACTIVITY
        self._join_entry(len(self.line), TypedTurn((Content(Role.USER, parts),), answer=True), step)

    def add_trigger(self, step: Step, urgent: bool = True) -> None:
        """An answer is wanted to what there is; while the user speaks, to that as well.

        `urgent`: also while functions of the client's run.
        """
        if turn := self.open:
            turn.asked = True
            return
        self.floor_taken = self.floor_taken or FloorTaken.TRIGGER
        self._join_entry(len(self.line), TypedTurn(self._with_frames(()), True, urgent), step)

    def add_content(self, contents: tuple[Content, ...], answer: bool, step: Step) -> None:
        """`clientContent`: placed before what is being spoken.

        Frames that wait join what asks for an answer, unless they belong to that speech.
        Neighbours become one.
        """
        self.floor_taken = FloorTaken.CONTENT if contents or answer else FloorTaken.STOP
        if answer and self.open is None:
            contents = self._with_frames(contents)
        at = self._before_open()
        before = self.line[at - 1] if at else None
        if isinstance(before, TypedTurn) and not before.answer:
            before.join(contents, answer)
            self._bound_entry(before, step)
        elif contents or answer:
            self._join_entry(at, TypedTurn(contents, answer, urgent=True), step)

    def add_update(self, update: Update) -> None:
        """`contextUpdate`: holds for what is being spoken, and not for what waits before it.

        Neighbours become one, so that the line stays within its bound.
        """
        at = self._before_open()
        before = self.line[at - 1] if at else None
        if isinstance(before, Update):
            before.instruction = _newer(update.instruction, before.instruction)
            before.tools = _newer(update.tools, before.tools)
        else:
            self.line.insert(at, update)

    def context(self) -> list[TypedTurn]:
        """Contributions that ask for nothing and wait for nothing."""
        typed = takewhile(lambda e: isinstance(e, TypedTurn) and not e.answer, self.line)
        return [entry for entry in typed if isinstance(entry, TypedTurn)]

    def take_update(self) -> Update | None:
        """The update before which nothing waits any longer."""
        if self.line and isinstance(self.line[0], Update):
            update = self.line[0]
            del self.line[0]
            return update
        return None

    def _with_frames(self, contents: tuple[Content, ...]) -> tuple[Content, ...]:
        """The contents with the frames that wait, before the user's last words or alone."""
        frames = self.frames.take_all()
        if not frames:
            return contents
        if contents and contents[-1].role is Role.USER:
            last = Content(Role.USER, (*frames, *contents[-1].parts))
            return (*contents[:-1], last)
        return (*contents, Content(Role.USER, frames))

    def _heavy(self) -> bool:
        return len(self.line) > 1 and sum(entry.bytes for entry in self.line) > MAX_BYTES

    def take_entries(self, entries: list[Entry]) -> None:
        """These were taken up."""
        del self.line[: len(entries)]

    def _before_open(self) -> int:
        return len(self.line) - (self.open is not None)

    def _join_entry(self, at: int, entry: Entry, step: Step) -> None:
        self.line.insert(at, entry)
        self._bound_entry(entry, step)

    def _bound_entry(self, entry: Entry, step: Step) -> None:
        """Give up the oldest while too much waits; not `entry`, which is new or has grown."""
        while len(self.line) > MAX_LINE or self._heavy():
            oldest = next(each for each in self.line if not isinstance(each, Update))
            if oldest is entry:
                return
            self.line.remove(oldest)
            step.report_mismatch("too much waits to be answered: the oldest is given up")
            if isinstance(oldest, SpokenTurn) and oldest.state is not TurnState.READY:
                step.emit(DropTranscript(oldest.id))


@dataclass(slots=True)
class SpokenTurn:
    """One stretch of speech, from its onset to its last word.

    `text` is the hypothesis until the turn is ready, and covers the sound up to `covered`; `stable`
    is the beginning of it that is not expected to change, and `confidence` how likely it is right.
    `sent` is what the client was given of the words, `piece` what it is given next, once `aligned`
    with the words known. `refreshed_at` is where a hypothesis was last
    asked for, `paused_at` the latest pause; `tries` counts speculations and `tried_at` is the pause
    of the latest; `asked` says that an answer was asked for by a bare trigger, `reported` that the
    client knows the words, `failed` that the recognizer gave none.
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
    typed: list[str] = field(default_factory=list)
    frames: tuple[Blob, ...] = ()
    tries: int = 0
    tried_at: Position = -1
    asked: bool = False
    reported: bool = False
    failed: bool = False

    @property
    def open(self) -> bool:
        """Whether the user may still be saying it."""
        return self.state in (TurnState.SPEAKING, TurnState.PAUSED)

    @property
    def answer(self) -> bool:
        """Whether there is something in it to be answered."""
        return self.asked or bool(self.frames or self.words())

    @property
    def known_confidence(self) -> float | None:
        """The confidence of all its words; `None` where some were typed."""
        return None if self.typed else self.confidence

    def next_piece(self) -> str:
        """What the client may be given of the words in addition to `sent`."""
        words = (self.text if self.state is TurnState.READY else self.stable).strip()
        if words != self.aligned:
            # Asked for at every event: a text that contradicts `sent` is aligned with it only once.
            self.aligned, self.piece = words, continuation(self.sent, words)
        return self.piece

    def send_piece(self) -> str:
        """Count the next piece as sent."""
        piece = self.next_piece()
        self.sent, self.piece = self.sent + piece, ""
        return piece

    def words(self) -> list[str]:
        """What was spoken, and what was typed meanwhile."""
        return [text for text in (self.text.strip(), *self.typed) if text]

    def contents(self) -> tuple[Content, ...]:
        """The turn as history: frames, then words. Empty if there is nothing in it."""
        words = " ".join(self.words())
        parts: tuple[Part, ...] = (*self.frames, *((Text(words),) if words else ()))
        heard_s = seconds(self.end - self.start)
        content = Content(Role.USER, parts, heard_s=heard_s, confidence=self.known_confidence)
        return (content,) if parts else ()

    @property
    def bytes(self) -> int:
        """What it would hold in memory as history."""
        return sum(map(size_bytes, self.contents()))


@dataclass(slots=True)
class TypedTurn:
    """Contributions that came as content, and whether they ask for an answer.

    `urgent`: it is answered although functions of the client's run. `bytes` is what they hold in
    memory: each contribution is weighed once, however long the line is and whatever joins it.
    """

    content: list[Content]
    answer: bool
    urgent: bool = False
    _weighed: int = field(default=0, init=False, compare=False)
    _bytes: int = field(default=0, init=False, compare=False)

    def __init__(self, content: Iterable[Content], answer: bool, urgent: bool = False) -> None:
        self.content, self.answer, self.urgent = list(content), answer, urgent
        self._weighed = self._bytes = 0

    def join(self, content: Iterable[Content], answer: bool) -> None:
        """Add what came as content behind it, which may ask for an answer to all of it."""
        self.content += content
        self.answer = answer

    @property
    def bytes(self) -> int:
        """See the class."""
        self._bytes += sum(map(size_bytes, self.content[self._weighed :]))
        self._weighed = len(self.content)
        return self._bytes

    def contents(self) -> tuple[Content, ...]:
        """What enters the history."""
        return tuple(self.content)


@dataclass(slots=True)
class Update:
    """`contextUpdate` behind turns that are still to be answered; `None` keeps what was."""

    instruction: str | None
    tools: Tools | None

    answer = False
    bytes = 0

    def contents(self) -> tuple[Content, ...]:
        """Nothing that was said."""
        return ()


Entry = SpokenTurn | TypedTurn | Update


def is_unfinished(entry: Entry) -> bool:
    """Whether these are words that the recognizer, or the user, has not finished."""
    return isinstance(entry, SpokenTurn) and entry.state is not TurnState.READY


class VideoBuffer:
    """The newest frames since the last turn."""

    def __init__(self, coverage: TurnCoverage) -> None:
        self._only_activity = coverage is TurnCoverage.ONLY_ACTIVITY
        self._waiting: deque[tuple[Position, Blob]] = deque(maxlen=MAX_FRAMES)

    def add_frame(self, position: Position, frame: Blob) -> bool:
        """A frame came while sound stood at `position`; whether the oldest had to go for it."""
        full = len(self._waiting) == MAX_FRAMES
        self._waiting.append((position, frame))
        return full

    def snapshot(self) -> tuple[tuple[Position, Blob], ...]:
        """The frames that wait, with their positions."""
        return tuple(self._waiting)

    def within(self, start: Position, end: Position) -> tuple[Blob, ...]:
        """The frames of a spoken turn with this span.

        Where only activity counts, they begin with the one that was in view when it began: cameras
        send one in a second or two, and a short question falls between two of them.
        """
        seen = [(position, frame) for position, frame in self._waiting if position <= end]
        before = sum(position < start for position, _ in seen) if self._only_activity else 0
        return tuple(frame for _, frame in seen[max(0, before - 1) :])

    def take_frames(self, start: Position, end: Position) -> tuple[Blob, ...]:
        """The same, and they and all older ones stop waiting."""
        taken = self.within(start, end)
        while self._waiting and self._waiting[0][0] <= end:
            self._waiting.popleft()
        return taken

    def take_all(self) -> tuple[Blob, ...]:
        """The frames of typed words. As activity those last a moment: what is seen in it counts."""
        taken = tuple(frame for _, frame in self._waiting)
        self._waiting.clear()
        return taken[-1:] if self._only_activity else taken


def _newer(new: T | None, old: T | None) -> T | None:
    return old if new is None else new
