"""What stands in the user's line: spoken turns, typed ones, and changes of the context."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import Enum

from vivavoce.core.content_size import size_bytes
from vivavoce.core.transcription import continuation
from vivavoce.core.turn_detection import SpeechEdge
from vivavoce.domain.audio import Position, seconds
from vivavoce.domain.content import Blob, Content, Part, Role, Text, Tools
from vivavoce.domain.ids import TurnId


class TurnState(Enum):
    """Where a spoken turn stands."""

    SPEAKING = "speaking"
    PAUSED = "paused"
    ENDED = "ended"
    READY = "ready"
    GONE = "gone"


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
    TurnState.GONE: {},
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
