"""Session setup: the validated settings of a client's first message.

`None` stands for defaults that depend on the model family; see `model_family.FamilyBehavior`. Names
and meanings are those of the Live API's `setup` message.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

from vivavoce.domain.content import Tools


class Modality(Enum):
    """Response modality; a session has exactly one."""

    AUDIO = "AUDIO"
    TEXT = "TEXT"


class Sensitivity(Enum):
    """Sensitivity for the start or the end of speech."""

    UNSPECIFIED = "UNSPECIFIED"
    HIGH = "HIGH"
    LOW = "LOW"


class TurnCoverage(Enum):
    """Part of the realtime input that becomes the user's turn; the API's names."""

    ONLY_ACTIVITY = "TURN_INCLUDES_ONLY_ACTIVITY"
    ALL_INPUT = "TURN_INCLUDES_ALL_INPUT"
    AUDIO_ACTIVITY_AND_ALL_VIDEO = "TURN_INCLUDES_AUDIO_ACTIVITY_AND_ALL_VIDEO"


@dataclass(frozen=True, slots=True)
class ActivityDetection:
    """Automatic activity detection. `disabled` means that the client marks activity itself.

    `None` for a duration means the default of `core.turn_detection`.
    """

    disabled: bool = False
    start_sensitivity: Sensitivity = Sensitivity.UNSPECIFIED
    end_sensitivity: Sensitivity = Sensitivity.UNSPECIFIED
    prefix_padding_ms: int | None = None
    silence_duration_ms: int | None = None


@dataclass(frozen=True, slots=True)
class RealtimeInput:
    """Settings that split realtime input into turns and let activity interrupt the model."""

    detection: ActivityDetection = ActivityDetection()
    interrupts: bool = True
    coverage: TurnCoverage | None = None


@dataclass(frozen=True, slots=True)
class Sampling:
    """Sampling parameters; `None` leaves the choice to the engine."""

    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    max_output_tokens: int | None = None
    presence_penalty: float | None = None
    frequency_penalty: float | None = None
    seed: int | None = None


@dataclass(frozen=True, slots=True)
class Thinking:
    """Settings of reasoning before the answer. `budget`: 0 is off, -1 automatic."""

    include_thoughts: bool = False
    budget: int | None = None
    level: str = ""

    @property
    def is_asked(self) -> bool:
        """True if a model without reasoning would ignore part of the request."""
        return self.include_thoughts or (self.budget or 0) > 0 or bool(self.level)


@dataclass(frozen=True, slots=True)
class Transcription:
    """Request for the transcription of one direction, with language hints."""

    language_codes: tuple[str, ...] = ()
    custom_vocabulary: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Resumption:
    """Request for resumption handles; `handle` is the one presented, or empty."""

    handle: str = ""
    transparent: bool = False


@dataclass(frozen=True, slots=True)
class Compression:
    """Context window compression; `None` is the documented default."""

    trigger_tokens: int | None = None
    target_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class SessionSetup:
    """Validated contents of the `setup` message.

    `model` is the name as the client sent it, with `models/`. `instruction` joins the text parts of
    the system instruction as paragraphs. `seeds_history` is
    `historyConfig.initialHistoryInClientContent`, `signals_activity` is `explicitVadSignal`,
    `shows_server_calls` is `toolConfig.includeServerSideToolInvocations`. `image_tokens` counts an
    image by `mediaResolution`: 64 for LOW, 256 for MEDIUM and HIGH, 258 by default.
    """

    model: str
    modality: Modality = Modality.AUDIO
    instruction: str = ""
    tools: Tools = field(default_factory=Tools)
    voice: str = ""
    language: str = ""
    sampling: Sampling = Sampling()
    thinking: Thinking | None = None
    realtime: RealtimeInput = field(default_factory=RealtimeInput)
    input_transcription: Transcription | None = None
    output_transcription: Transcription | None = None
    resumption: Resumption | None = None
    compression: Compression | None = None
    seeds_history: bool = False
    signals_activity: bool = False
    image_tokens: int = 258
    shows_server_calls: bool = False


DEFAULT_VOICE = "Puck"

VOICES = (
    "Achernar", "Achird", "Algenib", "Algieba", "Alnilam", "Aoede", "Autonoe", "Callirrhoe",
    "Charon", "Despina", "Enceladus", "Erinome", "Fenrir", "Gacrux", "Iapetus", "Kore",
    "Laomedeia", "Leda", "Orus", "Puck", "Pulcherrima", "Rasalgethi", "Sadachbia",
    "Sadaltager", "Schedar", "Sulafat", "Umbriel", "Vindemiatrix", "Zephyr", "Zubenelgenubi",
)  # fmt: skip


def canonical_voice(name: str) -> str | None:
    """Return a voice's name in its official case; `None` for an unknown voice."""
    wanted = name.casefold()
    return next((voice for voice in VOICES if voice.casefold() == wanted), None)
