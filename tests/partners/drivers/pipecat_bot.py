"""A Pipecat bot: context aggregators, a transport that plays in real time, a function."""

from __future__ import annotations

import asyncio
import os

from pipecat.adapters.schemas.function_schema import FunctionSchema
from pipecat.adapters.schemas.tools_schema import ToolsSchema
from pipecat.frames.frames import (
    EndFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMFullResponseEndFrame,
    LLMMessagesAppendFrame,
    LLMRunFrame,
    OutputAudioRawFrame,
    StartFrame,
    TranscriptionFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineParams, PipelineWorker
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.aggregators.llm_response_universal import LLMContextAggregatorPair
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.google.gemini_live.llm import GeminiLiveLLMService
from pipecat.services.llm_service import FunctionCallParams
from pipecat.transports.base_output import BaseOutputTransport
from pipecat.transports.base_transport import TransportParams
from pipecat.workers.runner import WorkerRunner
from stage import INPUT_RATE, OUTPUT_RATE, Stage

LIGHTS = FunctionSchema(
    name="turn_on_the_lights", description="Turns the lights on.", properties={}, required=[]
)


class Ear(FrameProcessor):
    """Tells what passes in either direction."""

    def __init__(self, stage: Stage) -> None:
        super().__init__()
        self._stage = stage

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self._stage.tell("user", frame.text)
        elif direction is FrameDirection.DOWNSTREAM:
            if isinstance(frame, TTSTextFrame):
                self._stage.tell("model", frame.text)
            elif isinstance(frame, InterruptionFrame):
                self._stage.tell("interrupted")
            elif isinstance(frame, LLMFullResponseEndFrame):
                self._stage.tell("turn")
        await self.push_frame(frame, direction)


class Loudspeaker(BaseOutputTransport):
    """Plays in real time, so that an interruption finds sound that has not been played."""

    def __init__(self, stage: Stage) -> None:
        super().__init__(TransportParams(audio_out_enabled=True, audio_out_sample_rate=OUTPUT_RATE))
        self._stage = stage

    async def start(self, frame: StartFrame) -> None:
        await super().start(frame)
        await self.set_transport_ready(frame)

    async def write_audio_frame(self, frame: OutputAudioRawFrame) -> bool:
        await asyncio.sleep(frame.num_frames / frame.sample_rate)
        if any(frame.audio):
            self._stage.tell("sound", frame.audio)
        return True


async def main() -> None:
    stage = Stage()

    async def turn_on(params: FunctionCallParams) -> None:
        stage.tell("call", {"name": params.function_name, "args": dict(params.arguments)})
        await params.result_callback({"state": "on"})

    llm = GeminiLiveLLMService(
        api_key=os.environ["GOOGLE_API_KEY"],
        system_instruction="Answer briefly.",
        settings=GeminiLiveLLMService.Settings(model=f"models/{stage.model}", voice="Puck"),
    )
    llm.register_function(LIGHTS.name, turn_on)
    context = LLMContext(stage.job.get("history", []), ToolsSchema(standard_tools=[LIGHTS]))
    aggregators = LLMContextAggregatorPair(context)
    pipeline = Pipeline(
        [aggregators.user(), Above(stage), llm, Ear(stage), Loudspeaker(stage),
         aggregators.assistant()]
    )  # fmt: skip
    worker = PipelineWorker(
        pipeline,
        params=PipelineParams(audio_in_sample_rate=INPUT_RATE, audio_out_sample_rate=OUTPUT_RATE),
        cancel_on_idle_timeout=False,
    )
    ready = asyncio.Event()

    @worker.event_handler("on_pipeline_started")
    async def started(*_: object) -> None:
        ready.set()

    @worker.event_handler("on_pipeline_error")
    async def failed(_: object, frame: object) -> None:
        stage.tell("error", str(frame))

    async def write(text: str) -> None:
        message = {"role": "user", "content": text}
        await worker.queue_frame(LLMMessagesAppendFrame([message], run_llm=True))

    async def listen() -> None:
        async for piece in stage.microphone():
            frame = InputAudioRawFrame(audio=piece, sample_rate=INPUT_RATE, num_channels=1)
            await worker.queue_frame(frame)

    async def play() -> None:
        await ready.wait()
        await worker.queue_frame(LLMRunFrame())
        microphone = asyncio.create_task(listen())
        try:
            await stage.perform(write)
        finally:
            microphone.cancel()
        await worker.queue_frame(EndFrame())
        stage.tell("context", [str(message)[:300] for message in context.get_messages()])

    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    await asyncio.gather(runner.run(), play())


class Above(Ear):
    """Stands before the model, where words of the user pass upwards."""

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await FrameProcessor.process_frame(self, frame, direction)
        if isinstance(frame, TranscriptionFrame):
            self._stage.tell("user", frame.text)
        await self.push_frame(frame, direction)


asyncio.run(main())
