"""One model turn as the client sees it: what was said, called and counted, and how it ends."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

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
from vivavoce.core.served import Served
from vivavoce.core.step import Step
from vivavoce.core.usage import Tally
from vivavoce.core.window import Gauge, Weight
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
class Manner:
    """How a session wants its answers: the part of the setup that shapes output."""

    modality: Modality
    transcribes: bool
    thinks_aloud: bool
    paced: bool
    gauge: Gauge
    shows_search: bool = False
    shows_calls: bool = False
    finishes_transcripts: bool = False


class ModelTurn:
    """Says things to the client and remembers them, until the one `turnComplete`.

    `owed` says that the client has not had its `turnComplete` yet. `said` is whether any
    content of this turn has been sent, `called` whether functions were. `rounds` counts how often
    it went on after blocking calls. `prompt` is what its latest generation was made from.
    `resumes` says that words of an interrupted turn came before: clients join the two.
    """

    def __init__(
        self,
        cause: Cause,
        manner: Manner,
        history: History,
        served: Served | None = None,
        resumes: bool = False,
    ) -> None:
        self.cause = cause
        self.served = served or Served(manner.shows_search, manner.shows_calls)
        self.playout = Playout()
        self.tally = Tally()
        self.generations: list[GenerationId] = []
        self.owed = True
        self.said = False
        self.called = False
        self.rounds = 0
        self.reason: TurnReason | None = None
        self.prompt: Prompt | None = None
        self._manner = manner
        self._history = history
        self._words: list[str] = []
        self._resumes = resumes
        self._speaker: GenerationId | None = None
        self._transcribing = False

    # --- content --------------------------------------------------------------------------

    def speak(self, pcm: bytes, text: str, generation: GenerationId, step: Step) -> None:
        """A piece of speech, and its words right next to it."""
        if self._manner.modality is Modality.TEXT:
            self.write(text, False, generation, step)
            return
        begin_s, end_s = self.playout.add(pcm_seconds(pcm), step.now)
        joined = self._joined(text, generation)
        self._history.say(joined, begin_s, end_s)
        resumes = self._resumes and not self._words and joined[:1].strip()
        text = f" {joined}" if resumes else joined
        if text:
            self._words.append(text)
        if pcm:
            self.said = True
            step.send(ModelAudio(pcm), generation)
        if text and self._manner.transcribes:
            self.said = self._transcribing = True
            step.send(OutputTranscript(text), generation)

    def write(self, text: str, thought: bool, generation: GenerationId, step: Step) -> None:
        """A piece of text, or of a thought where thoughts were asked for."""
        if not text or (thought and not self._manner.thinks_aloud):
            return
        if not thought:
            text = self._joined(text, generation)
            self._history.say(text, self.playout.sent_s, self.playout.sent_s)
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

    def call(self, calls: tuple[ToolCall, ...], tools: Tools, waits: bool, step: Step) -> None:
        """Functions to be run: the server's are asked of the host, the others of the client.

        `waits` says that the client has not answered earlier ones; then nothing is told of the
        server's yet, nor after an early `turnComplete`. The client's are not tagged: a call that
        is on record must reach it.
        """
        self.called = True
        self._history.call(calls)
        theirs: list[ToolCall] = []
        for call in calls:
            if (tool := tools.find_server_tool(call.name)) is None:
                theirs.append(call)
                continue
            self._tell(self.served.called(call, tool, waits or not self.owed), step)
            step.want(RunTool(call, tool.kind))
        if theirs:
            step.send(ToolCallRequest(tuple(theirs)))

    def go_on(self, step: Step) -> None:
        """All results are there: the client is told what came of the server's tools."""
        self._tell(self.served.take(), step)

    def _tell(self, messages: list[Message], step: Step) -> None:
        for message in messages:
            self.said = True
            step.send(message, self.generations[-1])

    # --- endings --------------------------------------------------------------------------

    def produced(self, generation: GenerationId, step: Step, early: bool = False) -> None:
        """Everything of this turn has been produced; what it rests on is told with that.

        An `early` end before any word is not the answer's: what that rests on is told with it.
        """
        if not self.owed:
            return
        self._end_transcript(step)
        told = self.served.grounding("".join(self._words)) if self._words or not early else None
        if told is not None:
            step.send(told, generation)
        step.send(GenerationComplete(), generation)

    def due(self) -> float | None:
        """When the client may be told that the turn is over; `None` is at once."""
        return self.playout.ends_at if self._manner.paced else None

    def complete(self, step: Step) -> None:
        """The turn is over."""
        if self.owed:
            self.owed = False
            self._end_transcript(step)
            self._words.clear()
            step.send(TurnComplete(self._cost(), self.reason))

    def interrupted(self, withdrawn: tuple[CallId, ...], step: Step) -> None:
        """The user took the floor."""
        self._end_transcript(step)
        if self.owed:
            step.send(Interrupted())
        self.withdraw(withdrawn, step)
        self.reason = None
        self.complete(step)

    def withdraw(self, calls: tuple[CallId, ...], step: Step) -> None:
        """These calls need not be run any more."""
        if calls:
            step.send(ToolCallCancellation(calls))

    def _end_transcript(self, step: Step) -> None:
        if self._transcribing and self._manner.finishes_transcripts:
            step.send(OutputTranscript("", finished=True))
        self._transcribing = False

    def _cost(self) -> TokenCount:
        prompt = self.prompt.weight() if self.prompt else Weight()
        read, self.served.read = self.served.read, []
        tools = sum(map(self._manner.gauge.count, read))
        return self.tally.count(prompt, self.playout.sent_s, tools)
