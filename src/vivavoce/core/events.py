"""Events: all inputs of the core, as frozen dataclasses.

The host turns its input into these; `LiveSession.handle_event` decides what follows. Events hold
positions in the user's audio, not the audio. Model output is part of them, because its order
relative to `interrupted` is protocol.
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
    """`clientContent`: contributions, and whether to answer now."""

    turns: tuple[Content, ...]
    turn_complete: bool


@dataclass(frozen=True, slots=True)
class TextReceived:
    """`realtimeInput.text`."""

    text: str


@dataclass(frozen=True, slots=True)
class AudioArrived:
    """Audio arrived up to this position."""

    position: Position


@dataclass(frozen=True, slots=True)
class VideoArrived:
    """A video frame arrived at this position of the audio."""

    position: Position
    frame: Blob


@dataclass(frozen=True, slots=True)
class ActivityStarted:
    """`activityStart`: the user begins to speak."""

    position: Position


@dataclass(frozen=True, slots=True)
class ActivityEnded:
    """`activityEnd`: the user has finished speaking."""

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
    """`contextUpdate`: a new instruction, new tools, or both; `None` changes nothing."""

    instruction: str | None
    tools: Tools | None


# --- from detection and recognition ------------------------------------------------------


@dataclass(frozen=True, slots=True)
class VoiceScored:
    """Speech probabilities of consecutive detector frames, the last of which ends at `position`.

    `arrived` is the end of the audio that has arrived, if that was not an `AudioArrived` before.
    `levels` are those of the same frames in dB below full scale, or empty where not measured.
    """

    position: Position
    scores: tuple[float, ...]
    frame_samples: int = 512
    arrived: Position = 0
    levels: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class TranscriptUpdated:
    """New transcript of a spoken turn, up to a position; the last one is `final`.

    `stable` is the part that is not expected to change, `confidence` the probability that the text
    is right (0..1); empty and `None` if the recognizer does not say.
    """

    turn: TurnId
    position: Position
    text: str
    final: bool
    stable: str = ""
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class TranscriptProgressed:
    """The recognizer has processed an ended turn up to this position."""

    turn: TurnId
    position: Position


@dataclass(frozen=True, slots=True)
class TranscriptFailed:
    """The recognizer failed; no transcript of this turn follows."""

    turn: TurnId
    problem: str


@dataclass(frozen=True, slots=True)
class TurnEndScored:
    """Probability (0..1) that the turn ends with its pause at `position`, by request `number`."""

    turn: TurnId
    position: Position
    probability: float
    number: int = 0


# --- from a generation -------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class AudioProduced:
    """A piece of speech (24 kHz PCM, whole samples) and the words that begin in it."""

    generation: GenerationId
    pcm: bytes
    text: str = ""


@dataclass(frozen=True, slots=True)
class TextProduced:
    """A piece of an answer in text modality, or of a thought."""

    generation: GenerationId
    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class ToolCallsProduced:
    """The model calls functions; their ids are empty and given by the core."""

    generation: GenerationId
    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class ToolRan:
    """Outcome of a server tool that `RunTool` started."""

    call: CallId
    outcome: ToolOutcome


@dataclass(frozen=True, slots=True)
class UsageProduced:
    """Token usage that the engine reports for the generation."""

    generation: GenerationId
    usage: Usage


@dataclass(frozen=True, slots=True)
class GenerationFinished:
    """The generation has produced everything."""

    generation: GenerationId
    reason: EndReason = EndReason.COMPLETE


@dataclass(frozen=True, slots=True)
class GenerationFailed:
    """The generation failed; nothing more follows."""

    generation: GenerationId
    problem: str


@dataclass(frozen=True, slots=True)
class GenerationRefused:
    """There was no idle capacity for a speculative generation."""

    generation: GenerationId


# --- from the host -----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class MessageRead:
    """A message was read, with audio only or not. Sent only if the client counts its messages."""

    audio_only: bool


@dataclass(frozen=True, slots=True)
class CheckpointSaved:
    """The checkpoint was saved under this handle; `None` if the store failed."""

    handle: str | None


@dataclass(frozen=True, slots=True)
class CheckpointLost:
    """The saved checkpoint of this session is lost, or the store unavailable."""


@dataclass(frozen=True, slots=True)
class SessionSuperseded:
    """The session was resumed on a newer connection: this one ends.

    `handover`: the newer one waits for what is not saved yet; else it has begun already.
    """

    handover: bool = False


@dataclass(frozen=True, slots=True)
class CloseRequested:
    """The host asks to end the connection in so many seconds, announced to the client."""

    reason: CloseReason
    time_left_s: float


@dataclass(frozen=True, slots=True)
class ReadingPaused:
    """The host stopped reading from the client, or began again: no microphone stalls meanwhile."""

    paused: bool


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
"""Input of the client."""

TranscriptEvent = TranscriptUpdated | TranscriptProgressed | TranscriptFailed
"""Results of recognizing a turn."""

GenerationEvent = (
    AudioProduced
    | TextProduced
    | ToolCallsProduced
    | UsageProduced
    | GenerationFinished
    | GenerationFailed
    | GenerationRefused
)
"""Output of a generation, and its end."""

LifecycleEvent = MessageRead | CheckpointSaved | CheckpointLost | SessionSuperseded | CloseRequested
"""Events of the connection and its checkpoints."""

Event = (
    ClientEvent
    | VoiceScored
    | TurnEndScored
    | TranscriptEvent
    | GenerationEvent
    | ToolRan
    | LifecycleEvent
    | ReadingPaused
    | ClientGone
)

ClientInput = Event | AudioChunk | VideoFrame
"""One decoded input of a client. Its positions are 0 until the audio input sets them."""
