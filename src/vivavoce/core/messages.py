"""Server messages as dataclasses, independent of the wire format (see `protocol.encode`)."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vivavoce.domain.content import Json, Page, Source, ToolCall, ToolKind
from vivavoce.domain.ids import CallId, SessionId


@dataclass(frozen=True, slots=True)
class SetupComplete:
    """The session is ready. Always first, once."""

    session: SessionId


@dataclass(frozen=True, slots=True)
class ModelAudio:
    """A piece of speech: 24 kHz PCM, whole samples."""

    pcm: bytes


@dataclass(frozen=True, slots=True)
class ModelText:
    """A piece of the answer's text, or of a thought."""

    text: str
    thought: bool = False


@dataclass(frozen=True, slots=True)
class ModelCode:
    """Code that is about to be run on the server, or that stands for a search there."""

    id: CallId
    code: str
    language: str = "PYTHON"


@dataclass(frozen=True, slots=True)
class ModelCodeResult:
    """Output of that code. `outcome` is one of the API's OUTCOME_ names."""

    id: CallId
    outcome: str
    output: str


@dataclass(frozen=True, slots=True)
class ServerCall:
    """A call of one of the server's own tools, for clients that asked to see them."""

    call: ToolCall
    kind: ToolKind


@dataclass(frozen=True, slots=True)
class ServerResponse:
    """Outcome of that call, as the model gets to see it."""

    call: ToolCall
    kind: ToolKind
    response: Json


@dataclass(frozen=True, slots=True)
class Support:
    """A segment of the answer that sources support.

    `start` and `end` are its byte offsets in the UTF-8 of all words of the turn. `sources` are
    indices into the list of sources, `confidence` has a value for each.
    """

    start: int
    end: int
    text: str
    sources: tuple[int, ...]
    confidence: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Grounding:
    """Sources of an answer after a search. Once a turn, after its last words."""

    queries: tuple[str, ...]
    sources: tuple[Source, ...]
    supports: tuple[Support, ...]


@dataclass(frozen=True, slots=True)
class UrlContext:
    """Retrieval status of URLs that were read for the answer."""

    pages: tuple[Page, ...]


@dataclass(frozen=True, slots=True)
class InputTranscript:
    """Words of the user: once a turn, or in pieces to be joined.

    `finished`: nothing more of this turn follows; only the enterprise dialect sends it.
    """

    text: str
    finished: bool = True


@dataclass(frozen=True, slots=True)
class OutputTranscript:
    """Words of the model, to be joined.

    `finished` ends the transcription without text; only the enterprise dialect sends it.
    """

    text: str
    finished: bool = False


@dataclass(frozen=True, slots=True)
class GenerationComplete:
    """Everything of this turn has been produced. Never sent for an interrupted turn."""


@dataclass(frozen=True, slots=True)
class Interrupted:
    """The generation was interrupted: drop queued audio. Always a message of its own."""


@dataclass(frozen=True, slots=True)
class TokenCount:
    """Tokens of one turn, by modality where known. Audio counts 25 a second.

    `prompt` is the whole context; `prompt_audio` and `prompt_images` are parts of it.
    """

    prompt: int = 0
    cached: int = 0
    response_text: int = 0
    response_audio: int = 0
    thoughts: int = 0
    tools: int = 0
    prompt_audio: int = 0
    prompt_images: int = 0


class TurnReason(Enum):
    """Reason of a turn that ended other than normally; the API's names."""

    NEED_MORE_INPUT = "NEED_MORE_INPUT"
    MALFORMED_FUNCTION_CALL = "MALFORMED_FUNCTION_CALL"
    GENERATED_OTHER = "GENERATED_OTHER"


@dataclass(frozen=True, slots=True)
class TurnComplete:
    """The turn is over. Once a model turn, with its usage."""

    usage: TokenCount | None = None
    reason: TurnReason | None = None


@dataclass(frozen=True, slots=True)
class ToolCallRequest:
    """The client must run these functions."""

    calls: tuple[ToolCall, ...]


@dataclass(frozen=True, slots=True)
class ToolCallCancellation:
    """These calls are withdrawn."""

    ids: tuple[CallId, ...]


@dataclass(frozen=True, slots=True)
class VoiceActivity:
    """Speech began or ended, at this offset in the audio that was sent."""

    started: bool
    offset_s: float


@dataclass(frozen=True, slots=True)
class ResumptionUpdate:
    """`sessionResumptionUpdate`: a new handle, or that the session is not resumable now.

    `consumed` is the index of the last message of the client that the handle contains; `None` if
    the client does not count its messages, or none is contained.
    """

    handle: str | None
    consumed: int | None = None


@dataclass(frozen=True, slots=True)
class GoAway:
    """The connection will end in this many seconds."""

    time_left_s: float


Message = (
    SetupComplete
    | ModelAudio
    | ModelText
    | ModelCode
    | ModelCodeResult
    | ServerCall
    | ServerResponse
    | Grounding
    | UrlContext
    | InputTranscript
    | OutputTranscript
    | GenerationComplete
    | Interrupted
    | TurnComplete
    | ToolCallRequest
    | ToolCallCancellation
    | VoiceActivity
    | ResumptionUpdate
    | GoAway
)
