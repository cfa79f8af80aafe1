"""Output of one model turn: the messages to the client, and the end of the turn."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from enum import Enum

from vivavoce.core.effects import RunTool, Step
from vivavoce.core.grounding import find_supports
from vivavoce.core.history import History
from vivavoce.core.messages import (
    GenerationComplete,
    Grounding,
    Interrupted,
    Message,
    ModelAudio,
    ModelCode,
    ModelCodeResult,
    ModelText,
    OutputTranscript,
    ServerCall,
    ServerResponse,
    TokenCount,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
    UrlContext,
)
from vivavoce.core.token_counts import Prompt, TokenCounter, TokenCounts, UsageCounter
from vivavoce.domain.audio import pcm_seconds
from vivavoce.domain.content import (
    FAILED,
    OK,
    ServerTool,
    Source,
    ToolCall,
    ToolKind,
    ToolOutcome,
    Tools,
)
from vivavoce.domain.ids import CallId, GenerationId
from vivavoce.domain.setup import Modality

MAX_SOURCES = 20
"""Sources of one turn; further ones are dropped."""

MAX_QUERIES = 50
"""Queries of one turn; further ones are dropped."""


class TurnCause(Enum):
    """Kind of input that a model turn answers."""

    SPEECH = "speech"
    CONTENT = "content"
    RESULT = "result"


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """The part of the setup that shapes output."""

    modality: Modality
    transcribes: bool
    thinks_aloud: bool
    paced: bool
    counter: TokenCounter
    shows_search: bool = False
    shows_calls: bool = False
    finishes_transcripts: bool = False


class ModelOutput:
    """Messages of one model turn to the client, up to `turnComplete`, and its history entry.

    `turn_complete_due`: the client has not got its `turnComplete` yet. `said` and `called`: content
    or calls were sent. `rounds` counts continuations after blocking calls, `prompt` the tokens of
    the latest request. `resumes`: it follows an interrupted turn, and clients join the words.
    """

    def __init__(
        self,
        cause: TurnCause,
        options: OutputOptions,
        history: History,
        server_tools: ServerToolOutput | None = None,
        resumes: bool = False,
    ) -> None:
        self.cause = cause
        self.server_tools = server_tools or ServerToolOutput(
            options.shows_search, options.shows_calls
        )
        self.playout = Playout()
        self.usage = UsageCounter()
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
        """Send a piece of speech, followed by its words."""
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
        """Send a piece of text, or of a thought if thoughts were asked for."""
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
        """True if words were sent since the last `turnComplete`."""
        return bool(self._words)

    def _joined(self, text: str, generation: GenerationId) -> str:
        """Return the text, with a space if it follows another generation's words."""
        if not text or generation == self._speaker:
            return text
        self._speaker = generation
        ended = not self._words or self._words[-1][-1:].isspace()
        return text if ended or text[0].isspace() else f" {text}"

    def send_calls(
        self, calls: tuple[ToolCall, ...], tools: Tools, waits: bool, step: Step
    ) -> None:
        """Have functions run: tools of the server by the host, the others by the client.

        `waits`: the client has not answered earlier calls. Then, and after an early `turnComplete`,
        it is sent nothing of the server's tools yet. Its own calls are never purged: a call in the
        history must reach it.
        """
        self.called = True
        self._history.add_calls(calls)
        theirs: list[ToolCall] = []
        for call in calls:
            if (tool := tools.find_server_tool(call.name)) is None:
                theirs.append(call)
                continue
            self._send_messages(
                self.server_tools.add_call(call, tool, waits or not self.turn_complete_due), step
            )
            step.emit(RunTool(call, tool.kind))
        if theirs:
            step.send(ToolCallRequest(tuple(theirs)))

    def continue_turn(self, step: Step) -> None:
        """Send the outcomes of the server's tools, now that all results are there."""
        self._send_messages(self.server_tools.take_messages(), step)

    def _send_messages(self, messages: list[Message], step: Step) -> None:
        for message in messages:
            self.said = True
            step.send(message, self.generations[-1])

    # --- endings --------------------------------------------------------------------------

    def finish_generation(self, generation: GenerationId, step: Step, early: bool = False) -> None:
        """Send `generationComplete`, after the grounding of the answer.

        An `early` end before any word is not that of the answer, and has no grounding.
        """
        if not self.turn_complete_due:
            return
        self._end_transcript(step)
        grounding = (
            self.server_tools.grounding("".join(self._words)) if self._words or not early else None
        )
        if grounding is not None:
            step.send(grounding, generation)
        step.send(GenerationComplete(), generation)

    def completion_due(self) -> float | None:
        """Return the time from which `turnComplete` may be sent; `None` is at once."""
        return self.playout.ends_at if self._options.paced else None

    def send_complete(self, step: Step) -> None:
        """Send `turnComplete`."""
        if self.turn_complete_due:
            self.turn_complete_due = False
            self._end_transcript(step)
            self._words.clear()
            step.send(TurnComplete(self._token_count(), self.reason))

    def send_interrupted(self, withdrawn: tuple[CallId, ...], step: Step) -> None:
        """Send `interrupted` and `turnComplete`."""
        self._end_transcript(step)
        if self.turn_complete_due:
            step.send(Interrupted())
        self.withdraw_calls(withdrawn, step)
        self.reason = None
        self.send_complete(step)

    def withdraw_calls(self, calls: tuple[CallId, ...], step: Step) -> None:
        """Send `toolCallCancellation`."""
        if calls:
            step.send(ToolCallCancellation(calls))

    def _end_transcript(self, step: Step) -> None:
        if self._transcribing and self._options.finishes_transcripts:
            step.send(OutputTranscript("", finished=True))
        self._transcribing = False

    def _token_count(self) -> TokenCount:
        prompt = self.prompt.token_counts() if self.prompt else TokenCounts()
        read, self.server_tools.read = self.server_tools.read, []
        tools = sum(map(self._options.counter.count, read))
        return self.usage.count_tokens(prompt, self.playout.sent_s, tools)


class Playout:
    """Estimate of what the client has played of one turn, in seconds.

    Audio is sent faster than it is played. The client is taken to start with the first piece and to
    play as long as it has audio. A real client may start a little later, never earlier.
    """

    __slots__ = ("_ends_at", "_held_s", "_holds", "sent_s")

    def __init__(self) -> None:
        self.sent_s = 0.0
        self._ends_at: float | None = None
        self._holds = False
        self._held_s = 0.0

    def add_audio(self, duration_s: float, now: float) -> tuple[float, float]:
        """Count a piece as sent; return its span within the audio of the turn."""
        begin = self.sent_s
        self.sent_s += duration_s
        if self._holds:
            self._held_s += duration_s
        else:
            self._ends_at = max(now, self._ends_at or now) + duration_s
        return begin, self.sent_s

    def hold_audio(self) -> None:
        """Take audio from now on as held: it is not with the client."""
        self._holds = True

    def release_audio(self, now: float) -> None:
        """Take what was held as sent now."""
        self._holds = False
        if self._held_s:
            self._ends_at = max(now, self._ends_at or now) + self._held_s
            self._held_s = 0.0

    @property
    def ends_at(self) -> float | None:
        """Time at which all audio sent so far will have been played; `None` if none was sent.

        Infinite while audio is held.
        """
        return float("inf") if self._held_s else self._ends_at

    def heard_s(self, now: float) -> float:
        """Return the seconds of the turn's audio that have been played."""
        if self._ends_at is None:
            return 0.0
        return max(0.0, self.sent_s - self._held_s - max(0.0, self._ends_at - now))


class ServerToolOutput:
    """Output of the server's tools in one model turn: code, results, URLs and grounding.

    Calls are sent when they are made or, while the client owes an answer, when the turn continues;
    outcomes when it continues. So nothing falls between a `toolCall` and its answers, where clients
    would take it for a new answer. Grounding is sent once, after the last words.

    `shows_search`: searches are shown as code; `shows_calls`: the client asked to see all calls.
    `read` are the results that the model gets to read, as JSON, since the last `turnComplete`.
    """

    def __init__(self, shows_search: bool, shows_calls: bool) -> None:
        self.read: list[str] = []
        self._shows_search = shows_search
        self._shows_calls = shows_calls
        self._calls: dict[str, tuple[ToolCall, ServerTool]] = {}
        self._unsent: list[Message] = []
        self._queries: list[str] = []
        self._sources: dict[str, Source] = {}

    def add_call(self, call: ToolCall, tool: ServerTool, later: bool = False) -> list[Message]:
        """Note a call; return the messages to send for it now, or none if it is sent `later`."""
        self._calls[call.id] = (call, tool)
        messages: list[Message] = [ServerCall(call, tool.kind)] if self._shows_calls else []
        if tool.kind is ToolKind.CODE:
            messages.append(ModelCode(call.id, str(call.args.get("code", ""))))
        elif tool.kind is ToolKind.SEARCH and self._shows_search:
            wanted = json.dumps(call.args.get("query", ""), ensure_ascii=False)
            messages.append(ModelCode(call.id, f"print({call.name}.search(queries=[{wanted}]))"))
        if later:
            self._unsent += messages
            return []
        return messages

    def add_outcome(self, id: str, outcome: ToolOutcome) -> None:
        """Note the outcome of a call."""
        call, tool = self._calls[id]
        self.read.append(json.dumps(outcome.response, ensure_ascii=False, default=str))
        if outcome.code is not None and tool.kind is ToolKind.CODE:
            self._unsent.append(ModelCodeResult(call.id, outcome.code.outcome, outcome.code.output))
        if tool.kind is ToolKind.SEARCH and self._shows_search:
            self._unsent.append(ModelCodeResult(call.id, *_print_sources(outcome)))
        if outcome.pages:
            self._unsent.append(UrlContext(tuple(outcome.pages)))
        if self._shows_calls:
            self._unsent.append(ServerResponse(call, tool.kind, outcome.response))
        if not outcome.failed:
            self._queries += (q for q in outcome.queries if q not in self._queries)
            del self._queries[MAX_QUERIES:]
            for source in outcome.sources:
                self._add_source(source)

    def _add_source(self, source: Source) -> None:
        """Note a source; passages of one document are one."""
        known = self._sources.get(source.uri)
        if known is not None and source.text not in known.text:
            self._sources[source.uri] = replace(known, text=f"{known.text}\n{source.text}")
        elif known is None and len(self._sources) < MAX_SOURCES:
            self._sources[source.uri] = source

    def take_messages(self) -> list[Message]:
        """Return the messages that have not been sent yet."""
        messages, self._unsent = self._unsent, []
        return messages

    def grounding(self, text: str) -> Grounding | None:
        """Return the grounding of `text`, all words of the turn; `None` without a search."""
        if not self._queries:
            return None
        sources = tuple(self._sources.values())
        return Grounding(tuple(self._queries), sources, find_supports(text, sources))


def _print_sources(outcome: ToolOutcome) -> tuple[str, str]:
    """Return the outcome of a search as its code would print it."""
    if outcome.failed:
        return FAILED, outcome.failed
    found = dict.fromkeys(f"{source.title}: {source.uri}" for source in outcome.sources)
    return OK, "\n".join(found)
