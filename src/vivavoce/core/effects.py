"""Effects: requests of the core to its host, as frozen dataclasses.

The host performs them in order and never awaits while doing so: whatever takes time becomes a task
whose outcome returns as an event.
"""

from __future__ import annotations

from dataclasses import dataclass

from vivavoce.core.barge_in import IgnoredReason
from vivavoce.core.messages import Message
from vivavoce.domain.audio import Position
from vivavoce.domain.checkpoint import Checkpoint
from vivavoce.domain.content import ToolCall, ToolKind
from vivavoce.domain.ids import CallId, GenerationId, TurnId
from vivavoce.domain.request import GenerationRequest


@dataclass(frozen=True, slots=True)
class Send:
    """Send a message to the client; purged when the `generation` it came from is cancelled."""

    message: Message
    generation: GenerationId | None = None


@dataclass(frozen=True, slots=True)
class HoldOutput:
    """Hold the output that has not left yet, or release it in order.

    An interruption is being decided; `Interrupted` drops what is held.
    """

    held: bool


@dataclass(frozen=True, slots=True)
class IgnoreSpeech:
    """Tell the operator that speech is not answered: it has no words, or was no interruption."""

    turn: TurnId
    reason: IgnoredReason


@dataclass(frozen=True, slots=True)
class PrepareGeneration:
    """Have the responder read this prompt ahead of an expected answer."""

    request: GenerationRequest


@dataclass(frozen=True, slots=True)
class StartGeneration:
    """Run the responder. The host caps the output that a speculative generation holds."""

    request: GenerationRequest


@dataclass(frozen=True, slots=True)
class ReleaseGeneration:
    """Lift the cap of a speculative generation: it was promoted."""

    generation: GenerationId


@dataclass(frozen=True, slots=True)
class CancelGeneration:
    """Stop a generation when convenient, and `purge` its unsent output."""

    generation: GenerationId
    purge: bool = True


@dataclass(frozen=True, slots=True)
class RunTool:
    """Run a tool of the server; its outcome returns as `ToolRan`."""

    call: ToolCall
    kind: ToolKind


@dataclass(frozen=True, slots=True)
class StopTool:
    """Stop a tool of the server: its outcome is no longer needed."""

    call: CallId


@dataclass(frozen=True, slots=True)
class StartTranscript:
    """Begin to recognize a turn from this position."""

    turn: TurnId
    start: Position


@dataclass(frozen=True, slots=True)
class RefreshTranscript:
    """Return a transcript up to this position; best effort unless the user `paused` there."""

    turn: TurnId
    position: Position
    paused: bool = False


@dataclass(frozen=True, slots=True)
class ScoreTurnEnd:
    """Score whether the turn ends with the pause at `position`; best effort.

    The outcome returns as `TurnEndScored` with the `number` of this request. `start` is where the
    turn began, `text` the words up to the pause; empty while they are not known.
    """

    turn: TurnId
    start: Position
    position: Position
    text: str = ""
    number: int = 0


@dataclass(frozen=True, slots=True)
class FinishTranscript:
    """Return the final transcript of a turn that ended at this position.

    `paused_at` is the pause after which no more was spoken: the transcript from there is final.
    """

    turn: TurnId
    end: Position
    paused_at: Position | None = None


@dataclass(frozen=True, slots=True)
class DropTranscript:
    """Stop recognizing a turn: its transcript is no longer needed."""

    turn: TurnId


@dataclass(frozen=True, slots=True)
class SaveCheckpoint:
    """Save a checkpoint, under a `new_handle` for the client or over the last one."""

    checkpoint: Checkpoint
    new_handle: bool = True


@dataclass(frozen=True, slots=True)
class ForgetSession:
    """Delete the checkpoints: the session is over."""


@dataclass(frozen=True, slots=True)
class ForgetAudio:
    """Release audio before this position."""

    position: Position


@dataclass(frozen=True, slots=True)
class ReportMismatch:
    """Report client input that has another effect than intended, or none.

    With a `code`, a strict server closes the connection with the sentence instead. `quoted` are
    words of the client that the sentence may leave out.
    """

    sentence: str
    code: int = 0
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class CloseConnection:
    """Send what is queued, then close with this code and reason."""

    code: int
    reason: str


Effect = (
    Send
    | HoldOutput
    | IgnoreSpeech
    | PrepareGeneration
    | StartGeneration
    | ReleaseGeneration
    | CancelGeneration
    | RunTool
    | StopTool
    | StartTranscript
    | RefreshTranscript
    | ScoreTurnEnd
    | FinishTranscript
    | DropTranscript
    | SaveCheckpoint
    | ForgetSession
    | ForgetAudio
    | ReportMismatch
    | CloseConnection
)


class Step:
    """One step of the core: the present time, and the effects so far, in order.

    The host's call creates it, every decision gets it, and its effects are what the call returns:
    so time is an argument everywhere, and no effect is left behind.
    """

    __slots__ = ("effects", "now")

    def __init__(self, now: float) -> None:
        self.now = now
        self.effects: list[Effect] = []

    def emit(self, effect: Effect) -> None:
        """Add an effect."""
        self.effects.append(effect)

    def report_mismatch(self, sentence: str, code: int = 0) -> None:
        """Add a `ReportMismatch`."""
        self.effects.append(ReportMismatch(sentence, code))

    def send(self, message: Message, generation: GenerationId | None = None) -> None:
        """Add a message to the client."""
        self.effects.append(Send(message, generation))
