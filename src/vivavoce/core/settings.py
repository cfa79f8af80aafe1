"""What the operator decides about every session, as the core needs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

FORGOTTEN_TOOL_S = 3600.0
"""After so long nobody answers a call that nobody waits for; while it is open, nothing rests."""

UNINTERRUPTED_TOOL_S = 60.0
"""Where activity does not interrupt, only a deadline ends a turn whose call nobody answers."""


class Pacing(Enum):
    """When `turnComplete` is sent for spoken answers."""

    PACED = "paced"
    """When the produced sound would have finished playing, so that barge-in stays possible."""
    IMMEDIATE = "immediate"


@dataclass(frozen=True, slots=True)
class SessionSettings:
    """Durations in seconds unless the name says otherwise.

    `stall_s`: speech was going on and no audio arrives for this long: taken for silence.
    `tool_deadline_s`: an unanswered call is answered by us with an error; 0 is never, but
    `UNINTERRUPTED_TOOL_S` for a blocking one in a session whose activity does not interrupt, and
    `FORGOTTEN_TOOL_S` for one that does not block.
    `served_deadline_s`: the same for tools that the server runs; never 0.
    `early_turn_complete`: send `turnComplete` right after a blocking `toolCall` (ADK on 2.x
    names waits for it). `finishes_transcripts`: a message ends each output transcription.
    `speculation`: begin to answer at a pause, before the end is certain.
    `min_confidence`: speech recognized with less is not answered but asked for again; 0 is never.
    `resumable`: a store exists, so checkpoints are worth asking for. `history_contents`
    bounds how many contributions a session keeps. `transcript_deadline_s`: a recognizer that
    owes the last word of a turn and shows no sign of work for so long has failed;
    `generation_stall_s`: so has a generation that says nothing for so long. `trace_texts`: the
    flight recorder keeps words, which are personal data, and not only their lengths.
    `connection_s`, `total_s` and `idle_s` end the connection, the session over all its
    connections, and a client's silence; 0 is never. `go_away_s` is how long before the client is
    told.
    """

    pacing: Pacing = Pacing.PACED
    stall_s: float = 1.0
    tool_deadline_s: float = 0.0
    served_deadline_s: float = 60.0
    early_turn_complete: bool = False
    finishes_transcripts: bool = False
    speculation: bool = False
    eager_silence_ms: int = 200
    min_confidence: float = 0.0
    resumable: bool = False
    history_contents: int = 1000
    trace_events: int = 400
    trace_texts: bool = False
    transcript_deadline_s: float = 15.0
    generation_stall_s: float = 60.0
    connection_s: float = 0.0
    total_s: float = 0.0
    idle_s: float = 0.0
    go_away_s: float = 60.0

    def tool_deadline(self, interrupts: bool) -> float:
        """Of blocking calls, in a session whose activity does or does not interrupt."""
        return self.tool_deadline_s or (0.0 if interrupts else UNINTERRUPTED_TOOL_S)
