"""Stage three for dialogue scripts: a real server on a real socket, in real time.

Edge, wire, host and core are the real ones; only the engines are scripted. Each dialogue gets
a server of its own, whose one responder plays the script's answers.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

from websockets.exceptions import ConnectionClosed

from conformance.wire import Json, RawClient, audio, content, parts, raw
from vivavoce.core.messages import (
    GenerationComplete,
    GoAway,
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    ModelText,
    OutputTranscript,
    ResumptionUpdate,
    SetupComplete,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    TurnReason,
    VoiceActivity,
)
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.content import Behavior, ToolCall
from vivavoce.domain.ids import CallId, CountingIds, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import SessionSetup
from vivavoce.edge.app import App
from vivavoce.edge.auth import Keys
from vivavoce.edge.live import Backend, LiveEndpoint, LiveOptions
from vivavoce.edge.port import Port
from vivavoce.engines.ports import Engines
from vivavoce.engines.scripted.energy import EnergyDetector
from vivavoce.engines.scripted.tones import TonesRecognizer
from vivavoce.metrics import Metrics
from vivavoce.runtime.connection import Hosting
from vivavoce.runtime.detection import VoiceScorer
from vivavoce.runtime.sessions import Sessions
from vivavoce.testing.host_stage import microphone, steps_of
from vivavoce.testing.script import (
    Answer,
    Contribution,
    Microphone,
    Script,
    Speech,
    ToolAnswer,
    Typing,
)
from vivavoce.testing.stage import ScriptedResponder, Step

CHUNK_S = 0.04
Observed = list[tuple[float, Message]]


async def play(script: Script) -> Observed:
    """What the client gets, and when, in seconds since the session opened."""
    answers = list(script.answers)

    def answer(request: GenerationRequest) -> Sequence[Step]:
        return steps_of(answers.pop(0) if answers else Answer(), request.modality)

    async with on_a_socket(answer, script.settings) as url, raw(url) as client:
        return await Player(script, client).run()


@asynccontextmanager
async def on_a_socket(
    answer: Callable[[GenerationRequest], Sequence[Step]], settings: SessionSettings | None = None
) -> AsyncIterator[str]:
    """The URL of a server whose responder plays `answer(request)`, step by step."""
    detector = EnergyDetector()
    scorer = VoiceScorer(detector)
    hosting = Hosting(Engines(detector, TonesRecognizer(), ScriptedResponder(answer)), scorer)
    keys, metrics, sessions = Keys(()), Metrics(), Sessions(1)
    options = LiveOptions(settings=lambda _: settings or SessionSettings())
    directory = OneBackend(Backend("dialogue", hosting))
    endpoint = LiveEndpoint(directory, keys, sessions, CountingIds(), metrics, options)
    port = Port(App(endpoint, keys, ["*"]), "127.0.0.1", 0)
    await port.start()
    try:
        yield f"ws://127.0.0.1:{port.address[1]}"
    finally:
        await port.stop()
        scorer.close()


class OneBackend:
    """Answers for every model name."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def find(self, model: str) -> Backend | None:
        return self._backend


class Player:
    """The client of one dialogue."""

    def __init__(self, script: Script, client: RawClient) -> None:
        self._script = script
        self._client = client
        self._tools = [step for step in script.steps if isinstance(step, ToolAnswer)]
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
            case Microphone(at=at, announced=True):
                return [(at, realtime(audioStreamEnd=True))]
            case _:
                return []

    async def _answer_call(self, call: Json) -> None:
        """The first line for this name that is not used up; lines that continue go with it."""
        for line in [line for line in self._tools if line.name == call["name"]]:
            self._tools.remove(line)
            await asyncio.sleep(line.after_s)
            result = {
                "id": call["id"],
                "name": call["name"],
                "response": dict(line.response),
                "scheduling": line.scheduling.value,
                "willContinue": line.will_continue,
            }
            await self._client.send({"toolResponse": {"functionResponses": [result]}})
            if not line.will_continue:
                return


def realtime(**said: Any) -> Json:
    return {"realtimeInput": said}


def setup_of(setup: SessionSetup) -> Json:
    """A setup as a client would spell it."""
    detection: Json = {}
    if setup.realtime.detection.disabled:
        detection["disabled"] = True
    if (silence := setup.realtime.detection.silence_duration_ms) is not None:
        detection["silenceDurationMs"] = silence
    if (padding := setup.realtime.detection.prefix_padding_ms) is not None:
        detection["prefixPaddingMs"] = padding
    spelt: Json = {
        "model": setup.model,
        "generationConfig": {"responseModalities": [setup.modality.value]},
        "realtimeInputConfig": {"automaticActivityDetection": detection},
    }
    if not setup.realtime.interrupts:
        spelt["realtimeInputConfig"]["activityHandling"] = "NO_INTERRUPTION"
    if setup.input_transcription is not None:
        spelt |= {"inputAudioTranscription": {}, "outputAudioTranscription": {}}
    if setup.seeds_history:
        spelt["historyConfig"] = {"initialHistoryInClientContent": True}
    if setup.signals_activity:
        spelt["explicitVadSignal"] = True
    functions = [
        {"name": f.name}
        | ({} if f.behavior is Behavior.UNSPECIFIED else {"behavior": f.behavior.value})
        for f in setup.tools.functions
    ]
    if functions:
        spelt["tools"] = [{"functionDeclarations": functions}]
    return spelt


def read(message: Json) -> list[Message]:
    """A message of the wire as the core's own, as far as dialogues ask."""
    inside = content(message)
    if "setupComplete" in message:
        return [SetupComplete(SessionId(message["setupComplete"].get("sessionId", "")))]
    if call := message.get("toolCall"):
        wanted = [ToolCall(CallId(c["id"]), c["name"], c["args"]) for c in call["functionCalls"]]
        return [ToolCallRequest(tuple(wanted))]
    if gone := message.get("toolCallCancellation"):
        return [ToolCallCancellation(tuple(CallId(name) for name in gone["ids"]))]
    if activity := message.get("voiceActivity"):
        return [VoiceActivity(activity["type"] == "ACTIVITY_START", 0.0)]
    if "goAway" in message:
        return [GoAway(0.0)]
    if update := message.get("sessionResumptionUpdate"):
        return [ResumptionUpdate(update.get("newHandle"))]
    if heard := inside.get("inputTranscription"):
        return [InputTranscript(heard["text"])]
    if said := inside.get("outputTranscription"):
        return [OutputTranscript(said["text"])]
    if inside.get("generationComplete"):
        return [GenerationComplete()]
    if inside.get("interrupted"):
        return [Interrupted()]
    if inside.get("turnComplete"):
        reason = inside.get("turnCompleteReason")
        return [TurnComplete(reason=TurnReason(reason) if reason else None)]
    return [_part(part) for part in parts(message)]


def _part(part: Json) -> Message:
    if blob := part.get("inlineData"):
        return ModelAudio(base64.b64decode(blob["data"]))
    return ModelText(part["text"], bool(part.get("thought")))
