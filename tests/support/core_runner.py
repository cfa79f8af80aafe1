"""Stage one for dialogue scripts: the core alone, in simulated time, without sound.

Scores stand for the user's voice, and the script's answers for the model and for the server's
tools. The engines of this stage never obey: a cancelled generation goes on talking, a tool that
was stopped brings what it found, and the core must not listen.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable
from itertools import count
from math import ceil

from support.dialogue import (
    Answer,
    ContextChange,
    Contribution,
    Microphone,
    Script,
    Speech,
    Step,
    Stray,
    Typing,
    take_answers,
)
from support.scripted_engines import ScriptedAnswers, score_last_word, scripted_outcome
from vivavoce.core.effects import (
    Effect,
    FinishTranscript,
    RefreshTranscript,
    RunTool,
    SaveCheckpoint,
    ScoreTurnEnd,
    Send,
    StartGeneration,
    StartTranscript,
)
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioArrived,
    AudioProduced,
    AudioStreamEnded,
    CheckpointSaved,
    ContentReceived,
    ContextUpdated,
    Event,
    GenerationFailed,
    GenerationFinished,
    TextProduced,
    TextReceived,
    ToolCallsProduced,
    ToolRan,
    ToolResponsesReceived,
    TranscriptUpdated,
    TurnEndScored,
    VoiceScored,
)
from vivavoce.core.messages import Message, ToolCallRequest
from vivavoce.core.session import LiveSession
from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, Position
from vivavoce.domain.content import ToolCall, ToolKind, ToolResult
from vivavoce.domain.ids import CallId, CountingIds, GenerationId, SessionId, TurnId
from vivavoce.domain.model_family import family_behavior
from vivavoce.domain.setup import Modality

FRAME = 512
MAX_SCORED_S = 0.1
RECOGNIZER_S = 0.05
SCORE_S = 0.02
VOICE, SILENCE = 0.95, 0.02


def play_on_core(script: Script) -> list[tuple[float, Message]]:
    """What the client gets, and when. Raises `Mismatch` if the model's part is not the script's."""
    return CoreRunner(script).run()


class CoreRunner:
    """One dialogue in the making: a clock, a heap of things to come, and a session."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.observed: list[tuple[float, Message]] = []
        self.effects: list[Effect] = []
        self.session = LiveSession(
            SessionId("session-1"),
            script.setup,
            family_behavior(script.setup.model),
            script.settings,
            CountingIds(),
        )
        self._now = 0.0
        self._order = count()
        self._coming: list[tuple[float, int, Callable[[], None]]] = []
        self._answers_script = ScriptedAnswers(script)
        self._speeches = [step for step in script.steps if isinstance(step, Speech)]
        self._spans: dict[int, Position] = {}
        self._mute = False

    def run(self) -> list[tuple[float, Message]]:
        """Play until the script's end."""
        self._perform(self.session.open_session(0.0))
        for step in self.script.steps:
            self._arrange(step)
        self._later(FRAME / INPUT_RATE, lambda: self._listen(FRAME))
        while (at := self._next()) <= self.script.until:
            self._now = max(self._now, at)
            if self._coming and self._coming[0][0] <= self._now:
                heapq.heappop(self._coming)[2]()
            else:
                self._perform(self.session.handle_deadline(self._now))
                if (due := self.session.deadline()) is not None and due <= self._now:
                    raise RuntimeError(f"The deadline {due} stays where it is.")
        self._answers_script.release()
        return self.observed

    def _next(self) -> float:
        deadline = self.session.deadline()
        comes = self._coming[0][0] if self._coming else float("inf")
        return comes if deadline is None else min(comes, deadline)

    def _later(self, at: float, act: Callable[[], None]) -> None:
        heapq.heappush(self._coming, (at, next(self._order), act))

    def _happens(self, at: float, event: Event) -> None:
        self._later(at, lambda: self._perform(self.session.handle_event(event, self._now)))

    # --- the client -------------------------------------------------------------------------

    def _arrange(self, step: Step) -> None:
        match step:
            case Speech() if self.script.setup.realtime.detection.disabled:
                self._happens(step.at, ActivityStarted(_position(step.at)))
                self._happens(step.until, ActivityEnded(_position(step.until)))
            case Typing():
                self._happens(step.at, TextReceived(step.words))
            case Contribution():
                self._happens(step.at, ContentReceived(step.turns, step.answer))
            case Stray():
                given = ToolResult(CallId("stray"), step.name, step.response)
                self._happens(step.at, ToolResponsesReceived((given,)))
            case ContextChange():
                self._happens(step.at, ContextUpdated(step.instruction, step.tools))
            case Microphone():
                self._later(step.at, lambda: self._switch_off(step))
            case _:
                pass

    def _listen(self, position: Position) -> None:
        """One frame of the microphone, scored at once."""
        if self._mute:
            return
        spoken = any(s.at <= (position - FRAME) / INPUT_RATE < s.until for s in self._speeches)
        self._perform(self.session.handle_event(AudioArrived(position), self._now))
        scores = (VOICE if spoken else SILENCE,)
        self._perform(self.session.handle_event(VoiceScored(position, scores, FRAME), self._now))
        position += FRAME
        self._later(position / INPUT_RATE, lambda: self._listen(position))

    def _switch_off(self, step: Microphone) -> None:
        self._mute = True
        if step.announced:
            self._happens(step.at, AudioStreamEnded(_position(step.at)))

    def _answer_call(self, call: ToolCall) -> None:
        at = self._now
        for line in take_answers(self._answers_script.tool_answers, call.name):
            at += line.after_s
            given = ToolResult(
                call.id, call.name, line.response, line.scheduling, line.will_continue
            )
            for _ in range(1 + line.twice):
                self._happens(at, ToolResponsesReceived((given,)))

    # --- the engines -------------------------------------------------------------------------

    def _perform(self, effects: list[Effect]) -> None:
        for effect in effects:
            self.effects.append(effect)
            match effect:
                case Send(message):
                    self.observed.append((self._now, message))
                    if isinstance(message, ToolCallRequest):
                        for call in message.calls:
                            self._answer_call(call)
                case StartGeneration(request):
                    self._generate(request.generation, self._answers_script.take_answer(request))
                case RunTool(call, kind):
                    self._run_tool(call, kind)
                case StartTranscript(turn, start):
                    self._spans[turn] = start
                case RefreshTranscript(turn, position, paused):
                    if paused or self.script.streams:
                        self._refresh(turn, position)
                case ScoreTurnEnd(turn, _, position, text, number):
                    score = TurnEndScored(turn, position, score_last_word(text), number)
                    self._happens(self._now + SCORE_S, score)
                case FinishTranscript(turn, end):
                    heard = self._heard(self._spans.pop(turn), end)
                    update = TranscriptUpdated(turn, end, heard, final=True)
                    self._happens(self._now + RECOGNIZER_S, update)
                case SaveCheckpoint():
                    self._happens(self._now, CheckpointSaved("handle"))
                case _:
                    pass

    def _refresh(self, turn: TurnId, position: Position) -> None:
        heard = self._heard(self._spans[turn], position)
        stable = heard.rpartition(" ")[0] if self.script.streams else ""
        update = TranscriptUpdated(turn, position, heard, False, stable)
        self._happens(self._now + RECOGNIZER_S, update)

    def _run_tool(self, call: ToolCall, kind: ToolKind) -> None:
        for line in take_answers(self._answers_script.tool_answers, call.name):
            ran = ToolRan(call.id, scripted_outcome(call, kind, line))
            self._happens(self._now + line.after_s, ran)

    def _heard(self, start: Position, end: Position) -> str:
        """The words of all speech that began within a span of sound.

        Where the recognizer streams, a speech that goes on has only its first words in it.
        """
        begin_s, end_s = start / INPUT_RATE - 0.001, end / INPUT_RATE
        spoken = (s for s in self._speeches if begin_s <= s.at < end_s)
        return " ".join(self._words_until(speech, end_s) for speech in spoken)

    def _words_until(self, speech: Speech, end_s: float) -> str:
        words = speech.words.split()
        share = (end_s - speech.at) / (speech.until - speech.at) if self.script.streams else 1.0
        return " ".join(words[: ceil(share * len(words))])

    def _generate(self, generation: GenerationId, answer: Answer) -> None:
        at = self._now + answer.after_s
        if answer.calls:
            calls = tuple(ToolCall(CallId(""), name, args) for name, args in answer.calls)
            self._happens(at, ToolCallsProduced(generation, calls))
        words = answer.says.split()
        pieces = max(1, ceil(answer.over_s / MAX_SCORED_S)) if words else 0
        pcm = bytes(2 * round(answer.over_s / max(1, pieces) * OUTPUT_RATE))
        for piece in range(pieces):
            text = "".join(
                (" " if n else "") + word
                for n, word in enumerate(words)
                if n * pieces // len(words) == piece
            )
            if self.script.setup.modality is Modality.TEXT:
                self._happens(at, TextProduced(generation, text))
            else:
                self._happens(at, AudioProduced(generation, pcm, text))
            at += MAX_SCORED_S / 4
        if answer.fails:
            failed = GenerationFailed(generation, "as the script says")
            self._happens(at + answer.fails_after_s, failed)
        else:
            self._happens(at, GenerationFinished(generation))


def _position(at: float) -> Position:
    return round(at * INPUT_RATE)
