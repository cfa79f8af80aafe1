"""Effects: everything that the core can ask of its host. Frozen data.

The host performs them in order and never awaits while doing so: whatever takes time becomes a task
whose outcome returns as an event.
"""

from __future__ import annotations

from dataclasses import dataclass

from vivavoce.core.messages import Message
from vivavoce.domain.audio import Position
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import ToolCall, ToolKind
from vivavoce.domain.ids import CallId, GenerationId, TurnId
from vivavoce.domain.request import GenerationRequest


@dataclass(frozen=True, slots=True)
class Send:
    """Say this to the client. `generation` names the one it came from, so that it can be purged."""

    message: Message
    generation: GenerationId | None = None


@dataclass(frozen=True, slots=True)
class PrepareGeneration:
    """An answer from this state of the conversation is to be expected: read ahead."""

    request: GenerationRequest


@dataclass(frozen=True, slots=True)
class StartGeneration:
    """Run the responder. A speculative one may compute, but the host caps what it holds."""

    request: GenerationRequest


@dataclass(frozen=True, slots=True)
class ReleaseGeneration:
    """The speculative generation was promoted: lift the cap."""

    generation: GenerationId


@dataclass(frozen=True, slots=True)
class CancelGeneration:
    """Nobody wants the rest: purge its unsent output and stop the work when convenient.

    Without `purge`, what it has said so far stands, and only the work is stopped.
    """

    generation: GenerationId
    purge: bool = True


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a tool of the server's; `ToolRan` tells what came of it."""

    call: ToolCall
    kind: ToolKind


@dataclass(frozen=True, slots=True)
class StopTool:
    """Nobody waits for this any longer."""

    call: CallId


@dataclass(frozen=True, slots=True)
class StartTranscript:
    """A turn has begun at this position: feed the recognizer from there on."""

    turn: TurnId
    start: Position


@dataclass(frozen=True, slots=True)
class RefreshTranscript:
    """Say what was understood up to this position; best effort unless the user `paused` there."""

    turn: TurnId
    position: Position
    paused: bool = False


@dataclass(frozen=True, slots=True)
class FinishTranscript:
    """The turn ended at this position: say finally what was understood.

    `paused_at` is the pause after which no more was spoken: the text from there is the final one.
    """

    turn: TurnId
    end: Position
    paused_at: Position | None = None


@dataclass(frozen=True, slots=True)
class DropTranscript:
    """The turn came to nothing: stop recognizing it."""

    turn: TurnId


@dataclass(frozen=True, slots=True)
class SaveCheckpoint:
    """Write the session down. `told`: the client is to learn of it, by a new handle."""

    checkpoint: Checkpoint
    new_handle: bool = True


@dataclass(frozen=True, slots=True)
class ForgetSession:
    """The session is over for good: what was written down of it is of no use."""


@dataclass(frozen=True, slots=True)
class ForgetAudio:
    """Sound before this position is no longer needed."""

    position: Position


@dataclass(frozen=True, slots=True)
class ReportMismatch:
    """What the client sent has another effect than it was sent for, or none: tell the operator.

    A strict server closes the connection with the sentence instead, where there is a `code`. `told`
    is what the sentence leaves out of the client's words.
    """

    sentence: str
    code: int = 0
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Say what is queued, then close with this code and reason."""

    code: int
    reason: str


Effect = (
    Send
    | PrepareGeneration
    | StartGeneration
    | ReleaseGeneration
    | CancelGeneration
    | RunTool
    | StopTool
    | StartTranscript
    | RefreshTranscript
    | FinishTranscript
    | DropTranscript
    | SaveCheckpoint
    | ForgetSession
    | ForgetAudio
    | ReportMismatch
    | CloseConnection
)


class Step:
    """`now` is the host's clock in seconds; `effects` grow in the order of their deciding."""

    __slots__ = ("effects", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        self.effects: list[Effect] = []

    def emit(self, effect: Effect) -> None:
        """Ask the host for something."""
        self.effects.append(effect)

    def report_mismatch(self, sentence: str, code: int = 0) -> None:
        """Say that something of the client's has another effect than it was sent for, or none."""
        self.effects.append(ReportMismatch(sentence, code))

    def send(self, message: Message, generation: GenerationId | None = None) -> None:
        """Say something to the client; what names a generation is purged when it is cancelled."""
        self.effects.append(Send(message, generation))
