"""Everything that can happen to a conversation. Frozen data, one sentence each.

The host turns the world into these; `LiveSession.handle_event` decides what follows. Sound never
appears here, only positions in it; model output does, because its order relative to
`interrupted` is protocol.
"""

from __future__ import annotations

from dataclasses import dataclass

from vivavoce.core.lifetime import CloseReason
from vivavoce.domain.audio import AudioChunk, Position, VideoFrame
from vivavoce.domain.content import Blob, Content, ToolCall, ToolOutcome, ToolResult, Tools, Usage
from vivavoce.domain.ids import CallId, GenerationId, TurnId
from vivavoce.domain.request import EndReason

# --- from the client ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ContentReceived:
    """`clientContent`: contributions to append, and whether to answer now."""

    turns: tuple[Content, ...]
    turn_complete: bool


@dataclass(frozen=True, slots=True)
class TextReceived:
    """`realtimeInput.text`: words that form a user turn by themselves."""

    text: str


@dataclass(frozen=True, slots=True)
class AudioArrived:
    """Sound has arrived up to this position."""

    position: Position


@dataclass(frozen=True, slots=True)
class VideoArrived:
    """A video frame arrived while sound stood at this position."""

    position: Position
    frame: Blob


@dataclass(frozen=True, slots=True)
class ActivityStarted:
    """`activityStart`: the client says that the user begins to speak."""

    position: Position


@dataclass(frozen=True, slots=True)
class ActivityEnded:
    """`activityEnd`: the client says that the user has finished."""

    position: Position


@dataclass(frozen=True, slots=True)
class AudioStreamEnded:
    """`audioStreamEnd`: the microphone was switched off.

    The host delivers it only after every score up to `position` has been delivered.
    """

    position: Position


@dataclass(frozen=True, slots=True)
class ToolResponsesReceived:
    """`toolResponse`: results for open calls."""

    results: tuple[ToolResult, ...]


@dataclass(frozen=True, slots=True)
class ContextUpdated:
    """`contextUpdate`: a new instruction, new tools, or both; `None` keeps what was."""

    instruction: str | None
    tools: Tools | None


# --- from the ears -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VoiceScored:
    """Speech probabilities of consecutive detector frames, the last of which ends at `position`."""

    position: Position
    scores: tuple[float, ...]
    frame_samples: int = 512


@dataclass(frozen=True, slots=True)
class TranscriptUpdated:
    """The recognizer's text for a turn up to a position; the last one is `final`.

    `stable` is the beginning of the text that is not expected to change, `confidence` how likely
    the text is right (0..1); empty and `None` where the recognizer does not say.
    """

    turn: TurnId
    position: Position
    text: str
    final: bool
    stable: str = ""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TranscriptProgressed:
    """The recognizer is at work on an ended turn and has heard it up to this position."""

    turn: TurnId
    position: Position


@dataclass(frozen=True, slots=True)
class TranscriptFailed:
    """The recognizer failed; no further text will come for this turn."""

    turn: TurnId
    problem: str


# --- from a generation -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioProduced:
    """A piece of speech (24 kHz PCM, whole samples) and the words that begin in it."""

    generation: GenerationId
    pcm: bytes
    text: str = ""


@dataclass(frozen=True, slots=True)
class TextProduced:
    """A piece of text answered in text modality, or a thought in either."""

    generation: GenerationId
    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallsProduced:
    """The model asks for functions to be run; ids are empty, the core names them."""

    generation: GenerationId
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class ToolRan:
    """A tool of the server's has done what `RunTool` asked for, or failed at it."""

    call: CallId
    outcome: ToolOutcome


@dataclass(frozen=True, slots=True)
class UsageProduced:
    """What the generation cost, in text tokens."""

    generation: GenerationId
    usage: Usage


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The responder has produced everything."""

    generation: GenerationId
    reason: EndReason = EndReason.COMPLETE


@dataclass(frozen=True, slots=True)
class GenerationFailed:
    """The responder failed; nothing more comes from it."""

    generation: GenerationId
    problem: str


@dataclass(frozen=True, slots=True)
class GenerationRefused:
    """No idle capacity for a speculative generation; an ordinary outcome."""

    generation: GenerationId


# --- from the host -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageRead:
    """A whole message of the client has been read; `sound` says that it was nothing but sound.

    Only told where the client counts its messages.
    """

    sound: bool


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """The checkpoint is on record under this handle; `None` if the store failed."""

    handle: str | None


@dataclass(frozen=True, slots=True)
class CheckpointLost:
    """What is on record of this session cannot be had any longer, or not now."""


@dataclass(frozen=True, slots=True)
class SessionSuperseded:
    """The session was resumed on a newer connection: this one is over.

    `handover`: that one waits for what is not on record of it; else it has begun already.
    """

    handover: bool = False


@dataclass(frozen=True, slots=True)
class CloseRequested:
    """The connection is to end in so many seconds, for this reason; the client is told so."""

    reason: CloseReason
    time_left_s: float


@dataclass(frozen=True, slots=True)
class ListeningHeld:
    """Whether the host has stopped reading for a while: then no microphone fell silent."""

    held: bool


@dataclass(frozen=True, slots=True)
class ClientGone:
    """The client's connection has ended."""


ClientEvent = (
    ContentReceived
    | TextReceived
    | AudioArrived
    | VideoArrived
    | ActivityStarted
    | ActivityEnded
    | AudioStreamEnded
    | ToolResponsesReceived
    | ContextUpdated
)
"""What a client sent into the conversation."""

TranscriptEvent = TranscriptUpdated | TranscriptProgressed | TranscriptFailed
"""What comes of recognizing a turn."""

GenerationEvent = (
    AudioProduced
    | TextProduced
    | ToolCallsProduced
    | UsageProduced
    | GenerationFinished
    | GenerationFailed
    | GenerationRefused
)
"""What one generation produces, and how it ends."""

LifecycleEvent = MessageRead | CheckpointSaved | CheckpointLost | SessionSuperseded | CloseRequested
"""What concerns the connection and its checkpoints alone."""

Event = (
    ClientEvent
    | VoiceScored
    | TranscriptEvent
    | GenerationEvent
    | ToolRan
    | LifecycleEvent
    | ListeningHeld
    | ClientGone
)

ClientInput = Event | AudioChunk | VideoFrame
"""One thing that a client sent.

A dialect knows no positions: it writes 0 into `ActivityStarted`, `ActivityEnded` and
`AudioStreamEnded`, and the audio input replaces it by where the sound stands.
"""
