"""Machine 1: the user's turns.

Rules:

- Everything that decides what the user said, and when it was finished, lives in this file.
- It knows nothing of the model. Whether a turn interrupts, waits or is answered is joint.py's.

Theory of operation. What the user contributes stands in one line, in the order in which it
counts: spoken turns and typed ones, and between them what the client changed of the context,
which holds for what follows it. A spoken turn moves through the table below; a typed one
is ready when it comes. At most one spoken turn is open, and it is always the last of the
line: what is typed with `clientContent` during speech is placed before that speech, and
realtime text joins it.

    state      onset      pause     resume     end      final
    (none)     SPEAKING   -         -          -        -
    SPEAKING   -          PAUSED    -          ENDED    -
    PAUSED     -          -         SPEAKING   ENDED    -
    ENDED      (a new     -         -          -        READY, or GONE
               turn)                                    without words

*Pause* is the short silence, *end* the long one, or `activityEnd`, or `audioStreamEnd`, or a
microphone that fell silent without a word. Between ENDED and READY the recognizer finishes;
the next turn may open meanwhile.

A turn of automatic detection in which nothing was understood is gone without a trace, unless
words were typed into it. A manual activity was announced by the client, who waits for a
`turnComplete`: it becomes ready even when it is empty.

Hypotheses are asked for twice a second while the user speaks, if the client wants to see
them, and at every pause: what was understood there is final if the turn ends without more speech.

A *claim* says that the user has just taken the floor. It stands until the joint rules have
looked at it once, so that only the beginning of activity interrupts, and not its going on.
"""

from __future__ import annotations

from itertools import takewhile
from typing import TypeVar

from vivavoce.core.content_size import MAX_BYTES
from vivavoce.core.effects import (
    DropTranscript,
    FinishTranscript,
    ForgetAudio,
    RefreshTranscript,
    StartTranscript,
)
from vivavoce.core.events import TranscriptUpdated
from vivavoce.core.queued_turns import (
    TRANSITIONS,
    Entry,
    FloorTaken,
    SpokenTurn,
    TurnState,
    TypedTurn,
    Update,
    is_unfinished,
)
from vivavoce.core.step import Step
from vivavoce.core.turn_detection import SpeechEdge, SpeechEvent
from vivavoce.core.video_buffer import VideoBuffer
from vivavoce.domain.audio import Position, samples
from vivavoce.domain.content import Content, Part, Role, Text
from vivavoce.domain.ids import TurnId

T = TypeVar("T")

HYPOTHESIS_SAMPLES = samples(0.5)
"""How much sound passes between two hypotheses while the user speaks, if there is time for them."""

MAX_LINE = 64
"""Turns that wait at most, and no more than `MAX_BYTES` of them; the oldest are given up."""

MAX_TYPED = 64
"""Pieces of realtime text that join one spoken turn at most, and no more than `MAX_BYTES` of
them; the newest are kept."""


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
        """The last word of a turn has come, or never will; it is ready, or it is gone."""
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
        turn.state = TurnState.GONE
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


def _newer(new: T | None, old: T | None) -> T | None:
    return old if new is None else new
