"""What is reported of one turn: what came of it, and where the time went."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from vivavoce.domain.ids import SessionId

MOST_WORDS = 10_000
"""Characters of a side's words that a report holds at most; the rest is cut off."""


class TurnOutcome(Enum):
    """What came of a turn."""

    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    ERROR = "error"
    NO_SPEECH = "no_speech"


@dataclass(frozen=True, slots=True)
class TurnReport:
    """One turn of one session. Durations in seconds; `None` where the stage did not happen.

    The stages follow each other: `endpointing_s` from the arrival of the last speech to the
    decision that it was the last; `asr_final_s` from there to the final text;
    `llm_first_token_s` from the start of the generation; `first_clause_s` from the first token;
    `tts_first_audio_s` from the first clause to the first sound; `send_first_audio_s` from
    there until it was handed to the socket. `total_s` runs from the arrival of the last speech
    (or of the text that asked) to the first content sent.

    `detecting_s` is the share of `endpointing_s` that was no waiting for silence: from the
    arrival of the deciding sound to the decision. `speech_end_s` is where the last speech ended
    in the session's sound. `heard` is what the user said and typed, `said` what was meant for
    the client of the answer's words, both cut at `MOST_WORDS` characters; they are personal
    data. `interruption_s` runs from the arrival of the deciding sound to `interrupted` handed
    to the socket; for what was typed, from when the core was told.
    """

    session: SessionId
    number: int
    outcome: TurnOutcome
    endpointing_s: float | None = None
    detecting_s: float | None = None
    asr_final_s: float | None = None
    llm_first_token_s: float | None = None
    first_clause_s: float | None = None
    tts_first_audio_s: float | None = None
    send_first_audio_s: float | None = None
    tool_s: float | None = None
    total_s: float | None = None
    speech_end_s: float | None = None
    heard_s: float = 0.0
    spoken_s: float = 0.0
    tool_calls: int = 0
    heard: str = ""
    said: str = ""
    interruption_s: float | None = None


class TurnListener(Protocol):
    """Gets every turn's report, on the event loop; must not raise or wait."""

    def turn_done(self, report: TurnReport) -> None: ...
