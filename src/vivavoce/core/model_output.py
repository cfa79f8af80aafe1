"""One model turn as the client sees it: what was said, called and counted, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from vivavoce.core.context_window import TokenCounter, TokenCounts
from vivavoce.core.contribution import Prompt
from vivavoce.core.effects import RunTool
from vivavoce.core.history import History
from vivavoce.core.messages import (
    GenerationComplete,
    Interrupted,
    Message,
    ModelAudio,
    ModelText,
    OutputTranscript,
    TokenCount,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
)
from vivavoce.core.playout import Playout
from vivavoce.core.server_tool_output import ServerToolOutput
from vivavoce.core.step import Step
from vivavoce.core.usage import UsageCounter
from vivavoce.domain.audio import pcm_seconds
from vivavoce.domain.content import ToolCall, Tools
from vivavoce.domain.ids import CallId, GenerationId
from vivavoce.domain.setup import Modality


class Cause(Enum):
    """What a model turn answers."""

    SPEECH = "speech"
    CONTENT = "content"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """How a session wants its answers: the part of the setup that shapes output."""

    modality: Modality
    transcribes: bool
    thinks_aloud: bool
    paced: bool
    counter: TokenCounter
    shows_search: bool = False
    shows_calls: bool = False
    finishes_transcripts: bool = False


class ModelOutput:
    """Says things to the client and remembers them, until the one `turnComplete`.

    `turn_complete_due` says that the client has not had its `turnComplete` yet. `said` is whether
    any content of this turn has been sent, `called` whether functions were. `rounds` counts how
    often it went on after blocking calls. `prompt` is what its latest generation was made from.
    `resumes` says that words of an interrupted turn came before: clients join the two.
    """

    def __init__(
        self,
        cause: Cause,
        options: OutputOptions,
        history: History,
        served: ServerToolOutput | None = None,
        resumes: bool = False,
    ) -> None:
        self.cause = cause
        self.served = served or ServerToolOutput(options.shows_search, options.shows_calls)
        self.playout = Playout()
        self.tally = UsageCounter()
        self.generations: list[GenerationId] = []
        self.turn_complete_due = True
        self.said = False
        self.called = False
        self.rounds = 0
        self.reason: TurnReason | None = None
        self.prompt: Prompt | None = None
        self._options = options
        self._history = history
        self._words: list[str] = []
        self._resumes = resumes
        self._speaker: GenerationId | None = None
        self._transcribing = False

    # --- content --------------------------------------------------------------------------

    def send_audio(self, pcm: bytes, text: str, generation: GenerationId, step: Step) -> None:
        """A piece of speech, and its words right next to it."""
        if self._options.modality is Modality.TEXT:
            self.send_text(text, False, generation, step)
            return
        begin_s, end_s = self.playout.add_audio(pcm_seconds(pcm), step.now)
        joined = self._joined(text, generation)
        self._history.add_words(joined, begin_s, end_s)
        resumes = self._resumes and not self._words and joined[:1].strip()
        text = f" {joined}" if resumes else joined
        if text:
            self._words.append(text)
        if pcm:
            self.said = True
            step.send(ModelAudio(pcm), generation)
        if text and self._options.transcribes:
            self.said = self._transcribing = True
            step.send(OutputTranscript(text), generation)

    def send_text(self, text: str, thought: bool, generation: GenerationId, step: Step) -> None:
        """A piece of text, or of a thought where thoughts were asked for."""
        if not text or (thought and not self._options.thinks_aloud):
            return
        if not thought:
            text = self._joined(text, generation)
            self._history.add_words(text, self.playout.sent_s, self.playout.sent_s)
            self._words.append(text)
        self.said = True
        step.send(ModelText(text, thought), generation)

    @property
    def has_words(self) -> bool:
        """Whether words of it were sent since its last `turnComplete`."""
        return bool(self._words)

    def _joined(self, text: str, generation: GenerationId) -> str:
        """The text, with a space where it would run into another generation's words."""
        if not text or generation == self._speaker:
            return text
        self._speaker = generation
        ended = not self._words or self._words[-1][-1:].isspace()
        return text if ended or text[0].isspace() else f" {text}"

    def send_calls(
        self, calls: tuple[ToolCall, ...], tools: Tools, waits: bool, step: Step
    ) -> None:
        """Functions to be run: the server's are asked of the host, the others of the client.

        `waits` says that the client has not answered earlier ones; then nothing is told of the
        server's yet, nor after an early `turnComplete`. The client's are not tagged: a call that
        is on record must reach it.
        """
        self.called = True
        self._history.add_calls(calls)
        theirs: list[ToolCall] = []
        for call in calls:
            if (tool := tools.find_server_tool(call.name)) is None:
                theirs.append(call)
                continue
            self._send_messages(
                self.served.add_call(call, tool, waits or not self.turn_complete_due), step
            )
            step.emit(RunTool(call, tool.kind))
        if theirs:
            step.send(ToolCallRequest(tuple(theirs)))

    def continue_turn(self, step: Step) -> None:
        """All results are there: the client is told what came of the server's tools."""
        self._send_messages(self.served.take_messages(), step)

    def _send_messages(self, messages: list[Message], step: Step) -> None:
        for message in messages:
            self.said = True
            step.send(message, self.generations[-1])

    # --- endings --------------------------------------------------------------------------

    def finish_generation(self, generation: GenerationId, step: Step, early: bool = False) -> None:
        """Everything of this turn has been produced; what it rests on is told with that.

        An `early` end before any word is not the answer's: what that rests on is told with it.
        """
        if not self.turn_complete_due:
            return
        self._end_transcript(step)
        grounding = (
            self.served.grounding("".join(self._words)) if self._words or not early else None
        )
        if grounding is not None:
            step.send(grounding, generation)
        step.send(GenerationComplete(), generation)

    def completion_due(self) -> float | None:
        """When the client may be told that the turn is over; `None` is at once."""
        return self.playout.ends_at if self._options.paced else None

    def send_complete(self, step: Step) -> None:
        """The turn is over."""
        if self.turn_complete_due:
            self.turn_complete_due = False
            self._end_transcript(step)
            self._words.clear()
            step.send(TurnComplete(self._token_count(), self.reason))

    def send_interrupted(self, withdrawn: tuple[CallId, ...], step: Step) -> None:
        """The user took the floor."""
        self._end_transcript(step)
        if self.turn_complete_due:
            step.send(Interrupted())
        self.withdraw_calls(withdrawn, step)
        self.reason = None
        self.send_complete(step)

    def withdraw_calls(self, calls: tuple[CallId, ...], step: Step) -> None:
        """These calls need not be run any more."""
        if calls:
            step.send(ToolCallCancellation(calls))

    def _end_transcript(self, step: Step) -> None:
        if self._transcribing and self._options.finishes_transcripts:
            step.send(OutputTranscript("", finished=True))
        self._transcribing = False

    def _token_count(self) -> TokenCount:
        prompt = self.prompt.weight() if self.prompt else TokenCounts()
        read, self.served.read = self.served.read, []
        tools = sum(map(self._options.counter.count, read))
        return self.tally.count_tokens(prompt, self.playout.sent_s, tools)
