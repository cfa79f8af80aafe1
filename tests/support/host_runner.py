"""Stage two for dialogue scripts: the whole host in virtual time, with sound.

The user's words are tones in a microphone stream, an energy gate detects them and the tones'
recognizer hears them; the script's answers are spoken by a responder that obeys, or by one that
ignores every cancellation, as the server's tools then do: the client must not be able to tell.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from math import ceil

import numpy as np
from numpy.typing import NDArray

from support.dialogue import (
    Answer,
    ContextChange,
    Contribution,
    Microphone,
    Script,
    Speech,
    Stray,
    Typing,
    take_answers,
)
from support.host_rig import Client, Fail, Pause, Step, StepResponder, open_connection
from support.scripted_engines import LastWordTurnModel, ScriptedAnswers, ScriptedTools
from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioStreamEnded,
    ClientInput,
    ContentReceived,
    ContextUpdated,
    TextReceived,
    ToolResponsesReceived,
)
from vivavoce.core.messages import Message, ToolCallRequest
from vivavoce.domain.audio import INPUT_RATE, OUTPUT_RATE, AudioChunk, samples
from vivavoce.domain.content import ToolCall, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality
from vivavoce.engines import ports
from vivavoce.engines.scripted import TonesRecognizer, say
from vivavoce.errors import EngineError
from vivavoce.testing.virtual_loop import run_virtually

CHUNK_S = 0.064
MAX_SCORED_S = 0.1
HUM_HZ = 200


def play_on_host(
    script: Script, stubborn: bool = False, turn_model: ports.TurnModel | None = None
) -> list[tuple[float, Message]]:
    """What the client gets, and when. Raises `Mismatch` if the model's part is not the script's.

    `turn_model` replaces the scripted one of a session that has one.
    """
    return run_virtually(_HostRunner(script, stubborn, turn_model or LastWordTurnModel()).run())


class _HostRunner:
    """One dialogue: a client that acts at its times, and a connection."""

    def __init__(self, script: Script, stubborn: bool, turn_model: ports.TurnModel) -> None:
        self.script = script
        self._turn_model = turn_model
        self.client = Client()
        self.responder = StepResponder(self._answer, stubborn)
        self._answers_script = ScriptedAnswers(script)
        self._toolset = ScriptedTools(script, self._answers_script.tool_answers, stubborn)

    async def run(self) -> list[tuple[float, Message]]:
        script, client = self.script, self.client
        connection = open_connection(
            client,
            self.responder,
            script.setup,
            recognizer=TonesRecognizer(script.streams),
            settings=script.settings,
            toolset=self._toolset,
            turn_model=self._turn_model if script.settings.turn_model else None,
        )
        running = asyncio.ensure_future(connection.run())
        acts = (self._speak(), self._signal(), self._run_tools())
        acting = [asyncio.ensure_future(act) for act in acts]
        await asyncio.sleep(script.until)
        for task in acting:
            task.cancel()
        await asyncio.wait(acting)
        for task in acting:
            if not task.cancelled():
                task.result()
        client.leave()
        await running
        self._answers_script.release()
        return client.heard

    # --- the client -------------------------------------------------------------------------

    async def _speak(self) -> None:
        """The microphone: tones where the user speaks, silence elsewhere, until it is off."""
        off = [step.at for step in self.script.steps if isinstance(step, Microphone)]
        sound = microphone(self.script, min(off, default=self.script.until))
        size = 2 * samples(CHUNK_S)
        for at in range(0, len(sound), size):
            await asyncio.sleep(CHUNK_S)
            self.client.say(AudioChunk(sound[at : at + size]))

    async def _signal(self) -> None:
        """Everything but sound and tools, at its time and in the order of the script."""
        said = [pair for step in self.script.steps for pair in self._said(step)]
        loop = asyncio.get_running_loop()
        for at, incoming in sorted(said, key=lambda pair: pair[0]):
            await asyncio.sleep(at - loop.time())
            self.client.say(incoming)

    def _said(self, step: object) -> list[tuple[float, ClientInput]]:
        manual = self.script.setup.realtime.detection.disabled
        match step:
            case Speech(at=at, until=until) if manual:
                return [(at, ActivityStarted(0)), (until, ActivityEnded(0))]
            case Typing(at=at, words=words):
                return [(at, TextReceived(words))]
            case Contribution(at=at, turns=turns, answer=answer):
                return [(at, ContentReceived(turns, answer))]
            case Stray(at=at, name=name, response=response):
                given = ToolResult(CallId("stray"), name, response)
                return [(at, ToolResponsesReceived((given,)))]
            case ContextChange(at=at, instruction=instruction, tools=tools):
                return [(at, ContextUpdated(instruction, tools))]
            case Microphone(at=at, announced=True):
                return [(at, AudioStreamEnded(0))]
            case _:
                return []

    async def _run_tools(self) -> None:
        seen = 0
        async with asyncio.TaskGroup() as tasks:
            while True:
                seen += 1
                asked = await self.client.until(ToolCallRequest, seen)
                assert isinstance(asked, ToolCallRequest)
                for call in asked.calls:
                    tasks.create_task(self._answer_call(call))

    async def _answer_call(self, call: ToolCall) -> None:
        for line in take_answers(self._answers_script.tool_answers, call.name):
            await asyncio.sleep(line.after_s)
            result = ToolResult(
                call.id, call.name, line.response, line.scheduling, line.will_continue
            )
            for _ in range(1 + line.twice):
                self.client.say(ToolResponsesReceived((result,)))

    # --- the model --------------------------------------------------------------------------

    def _answer(self, request: GenerationRequest) -> Sequence[Step]:
        return steps_of(self._answers_script.take_answer(request), request.modality)


def steps_of(answer: Answer, modality: Modality) -> list[Step]:
    """What a responder does for one line of the script."""
    steps: list[Step] = [Pause(answer.after_s)]
    if answer.calls:
        calls = tuple(ToolCall(CallId(""), name, args) for name, args in answer.calls)
        steps.append(ports.CallsRequested(calls))
    words = answer.says.split()
    pieces = max(1, ceil(answer.over_s / MAX_SCORED_S)) if words else 0
    pcm = bytes(2 * round(answer.over_s / max(1, pieces) * OUTPUT_RATE))
    for piece in range(pieces):
        text = "".join(
            (" " if n else "") + word
            for n, word in enumerate(words)
            if n * pieces // len(words) == piece
        )
        spoken = modality is Modality.AUDIO
        steps.append(ports.Speech(pcm, text) if spoken else ports.TextDelta(text))
        steps.append(Pause(MAX_SCORED_S / 4))
    if answer.fails:
        failure = EngineError("script", "as the script says")
        steps += [Pause(answer.fails_after_s), Fail(failure)]
    return steps


def microphone(script: Script, until: float) -> bytes:
    """All that the user says, at its times."""
    sound = np.zeros(samples(until), dtype="<i2")
    manual = script.setup.realtime.detection.disabled
    for speech in script.steps:
        if isinstance(speech, Speech) and (speech.words or not manual):
            start, span = samples(speech.at), _spoken(speech)
            end = min(len(sound), start + len(span))
            sound[start:end] = span[: end - start]
    return sound.tobytes()


def _spoken(speech: Speech) -> NDArray[np.int16]:
    """The words as tones; a hum, which holds none, fills what they leave of their time."""
    words = np.frombuffer(say(speech.words, INPUT_RATE), dtype="<i2")
    time = np.arange(max(0, samples(speech.until - speech.at) - len(words))) / INPUT_RATE
    hum = (np.sin(2 * np.pi * HUM_HZ * time) * 6000).astype("<i2")
    return np.concatenate([words, hum])
