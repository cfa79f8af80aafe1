"""Session settings: timeouts, pacing and speculation, as the operator configured them."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

NON_BLOCKING_DEADLINE_S = 3600.0
"""Default deadline of non-blocking calls."""

UNINTERRUPTED_DEADLINE_S = 60.0
"""Default deadline of blocking calls if activity does not interrupt; otherwise they have none."""


class Pacing(Enum):
    """Time at which `turnComplete` is sent for spoken answers."""

    PACED = "paced"
    """As soon as the produced audio would have been played, so that barge-in stays possible."""
    IMMEDIATE = "immediate"


class BargeInHandling(Enum):
    """When speech during an answer interrupts it; `activityHandling` says whether it does."""

    IMMEDIATE = "immediate"
    """As soon as speech is detected."""
    DELIBERATE = "deliberate"
    """As soon as it is known to be no back-channel, noise or echo: `barge_in.py`."""


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Settings of a conversation; durations in seconds unless the name says otherwise."""

    pacing: Pacing = Pacing.PACED
    barge_in: BargeInHandling = BargeInHandling.IMMEDIATE
    stall_s: float = 1.0
    """Speech is over if no audio arrives for so long."""
    tool_deadline_s: float = 0.0
    """An unanswered call gets an error instead; 0 is the default of its kind, see above."""
    server_tool_deadline_s: float = 60.0
    """The same for server tools; never 0."""
    early_turn_complete: bool = False
    """Send `turnComplete` right after a blocking `toolCall`, which ADK waits for on 2.x names."""
    finishes_transcripts: bool = False
    """End each output transcription with a message."""
    speculation: bool = False
    """Begin to answer at a pause, before the end of speech is certain."""
    eager_silence_ms: int = 100
    """Silence that is a pause."""
    turn_model: bool = False
    """Ask for scores of the turn's end, unless the client sets the silence that ends a turn."""
    sure_silence_ms: int = 200
    """Silence that ends a turn which is certainly finished."""
    unfinished_silence_ms: int = 2000
    """Silence that ends a turn which seems unfinished."""
    min_confidence: float = 0.0
    """Speech recognized with less is not answered but asked for again; 0 is never."""
    resumable: bool = False
    """There is a store for checkpoints."""
    history_contents: int = 1000
    """Contributions that a history keeps."""
    trace_events: int = 400
    """Events that the flight recorder keeps."""
    trace_texts: bool = False
    """Keep words in the flight recorder, which are personal data, and not only their lengths."""
    transcript_deadline_s: float = 15.0
    """A recognizer has failed if it makes no progress on an ended turn for so long."""
    generation_stall_s: float = 60.0
    """A generation has failed if it produces nothing for so long."""
    connection_s: float = 0.0
    """Duration of a connection; 0 is unlimited, as for the next two."""
    total_s: float = 0.0
    """Duration of a session over all its connections."""
    idle_s: float = 0.0
    """Duration for which a client may send nothing."""
    go_away_s: float = 60.0
    """Time between the announcement of a connection's end and the end."""

    def tool_deadline(self, interrupts: bool) -> float:
        """Return the deadline of blocking calls; 0 is never."""
        return self.tool_deadline_s or (0.0 if interrupts else UNINTERRUPTED_DEADLINE_S)
