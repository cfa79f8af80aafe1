"""Stage three for dialogue scripts: a real server on a real socket, in real time.

Edge, wire, host and core are the real ones; only the engines are scripted. Each dialogue gets
a server of its own, whose one responder plays the script's answers.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from websockets.exceptions import ConnectionClosed

from conformance.spelling import read, realtime, setup_of, tools_of
from conformance.wire import Json, RawClient, audio, raw
from endpoint import Standing
from support.dialogue import (
    ContextChange,
    Contribution,
    Microphone,
    Script,
    Speech,
    Stray,
    Typing,
    take_answers,
)
from support.host_rig import Step, StepResponder
from support.host_runner import microphone, steps_of
from support.scripted_engines import LastWordTurnModel, ScriptedAnswers, ScriptedTools
from vivavoce.core.messages import Message
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import Engines
from vivavoce.engines.scripted import EnergyDetector, TonesRecognizer
from vivavoce.http.listener import Listener
from vivavoce.runtime.connection import Backend
from vivavoce.runtime.turn_ends import TurnScorer
from vivavoce.runtime.voice_activity import VoiceScorer
from vivavoce.tools.ports import Tooling

CHUNK_S = 0.04
Observed = list[tuple[float, Message]]


async def play(script: Script) -> Observed:
    """What the client gets, and when, in seconds since the session opened.

    Raises `Mismatch` if the model's part is not the script's.
    """
    cast = ScriptedAnswers(script)
    tools = ScriptedTools(script, cast.tool_answers)

    def answer(request: GenerationRequest) -> Sequence[Step]:
        return steps_of(cast.take_answer(request), request.modality)

    async with (
        on_a_socket(answer, script.settings, tools, script.streams) as url,
        raw(url) as client,
    ):
        heard = await Player(script, cast, client).run()
    cast.release()
    return heard


@asynccontextmanager
async def on_a_socket(
    answer: Callable[[GenerationRequest], Sequence[Step]],
    settings: SessionSettings | None = None,
    tools: Tooling | None = None,
    streams: bool = False,
) -> AsyncIterator[str]:
    """The URL of a server whose responder plays `answer(request)`, step by step."""
    detector = EnergyDetector()
    scorer = VoiceScorer(detector)
    engines = Engines(detector, TonesRecognizer(streams), StepResponder(answer))
    settings = settings or SessionSettings()
    turn_scorer = TurnScorer(LastWordTurnModel()) if settings.turn_model else None
    hosting = Backend(engines, scorer, tools=tools, turn_scorer=turn_scorer)
    standing = Standing(hosting, settings)
    port = Listener(standing.app(), "127.0.0.1", 0)
    await port.start()
    try:
        yield f"ws://127.0.0.1:{port.address[1]}"
    finally:
        await port.stop()
        scorer.close()
        if turn_scorer is not None:
            turn_scorer.close()


class Player:
    """The client of one dialogue."""

    def __init__(self, script: Script, cast: ScriptedAnswers, client: RawClient) -> None:
        self._script = script
        self._cast = cast
        self._client = client
        self._heard: Observed = []

    async def run(self) -> Observed:
        await self._client.send({"setup": setup_of(self._script.setup)})
        first = await self._client.receive()
        self._began = asyncio.get_running_loop().time()
        self._heard += [(0.0, message) for message in read(first)]
        try:
            async with asyncio.timeout(self._script.until), asyncio.TaskGroup() as tasks:
                tasks.create_task(self._say())
                await self._listen(tasks)
        except TimeoutError:
            pass
        return self._heard

    async def _listen(self, tasks: asyncio.TaskGroup) -> None:
        while True:
            try:
                message = await self._client.receive(within_s=60)
            except ConnectionClosed as over:
                raise AssertionError(f"the server closed: {over}") from over
            at = asyncio.get_running_loop().time() - self._began
            self._heard += [(at, said) for said in read(message)]
            for call in message.get("toolCall", {}).get("functionCalls", []):
                tasks.create_task(self._answer_call(call))

    async def _say(self) -> None:
        """Everything but answers to calls, at its time; sound before what is said about it."""
        steps = self._script.steps
        said = [*self._sound(), *(pair for step in steps for pair in self._said(step))]
        for at, message in sorted(said, key=lambda pair: pair[0]):
            now = asyncio.get_running_loop().time() - self._began
            await asyncio.sleep(max(0.0, at - now))
            await self._client.send(message)

    def _sound(self) -> list[tuple[float, Json]]:
        off = [step.at for step in self._script.steps if isinstance(step, Microphone)]
        pcm = microphone(self._script, min(off, default=self._script.until))
        size = round(CHUNK_S * 32_000)
        pieces = range(0, len(pcm), size)
        return [((at + size) / 32_000 - 0.001, audio(pcm[at : at + size])) for at in pieces]

    def _said(self, step: object) -> list[tuple[float, Json]]:
        manual = self._script.setup.realtime.detection.disabled
        match step:
            case Speech(at=at, until=until) if manual:
                return [(at, realtime(activityStart={})), (until, realtime(activityEnd={}))]
            case Typing(at=at, words=words):
                return [(at, realtime(text=words))]
            case Contribution(at=at, turns=turns, answer=answer):
                written = [{"role": t.role.value, "parts": [{"text": t.text}]} for t in turns]
                given = {"turns": written, "turnComplete": answer}
                return [(at, {"clientContent": given})]
            case Stray(at=at, name=name, response=response):
                given = {"id": "stray", "name": name, "response": response}
                return [(at, {"toolResponse": {"functionResponses": [given]}})]
            case ContextChange(at=at):
                return [(at, {"contextUpdate": _update_of(step)})]
            case Microphone(at=at, announced=True):
                return [(at, realtime(audioStreamEnd=True))]
            case _:
                return []

    async def _answer_call(self, call: Json) -> None:
        for line in take_answers(self._cast.tool_answers, call["name"]):
            await asyncio.sleep(line.after_s)
            result = {
                "id": call["id"],
                "name": call["name"],
                "response": dict(line.response),
                "scheduling": line.scheduling.value,
                "willContinue": line.will_continue,
            }
            for _ in range(1 + line.twice):
                await self._client.send({"toolResponse": {"functionResponses": [result]}})


def _update_of(change: ContextChange) -> Json:
    spelt: Json = {}
    if change.instruction is not None:
        spelt["systemInstruction"] = {"parts": [{"text": change.instruction}]}
    if change.tools is not None:
        spelt["tools"] = {"tools": tools_of(change.tools)}
    return spelt
