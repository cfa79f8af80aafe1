"""What one connection takes, counted where it passes: messages, sound both ways, calls."""

from __future__ import annotations

from vivavoce.core.effects import Effect, RunTool, Send
from vivavoce.core.events import ClientInput
from vivavoce.core.messages import Message, ModelAudio, ToolCallRequest
from vivavoce.domain.audio import AudioChunk, pcm_seconds
from vivavoce.runtime.ports import Meter


class UsageMetering:
    """Tells the meter, if there is one."""

    def __init__(self, meter: Meter | None) -> None:
        self._meter = meter

    def message(self) -> None:
        """The client sent a message. Raises `ClientFault` where those are too many."""
        if self._meter is not None:
            self._meter.count_message()

    def read(self, incoming: ClientInput) -> None:
        """Something of it was understood."""
        if self._meter is not None and isinstance(incoming, AudioChunk):
            self._meter.count_audio(pcm_seconds(incoming.data, incoming.rate))

    def effect(self, effect: Effect) -> None:
        """The core wants something."""
        if self._meter is None:
            return
        match effect:
            case RunTool():
                self._meter.count_tool_calls(1)
            case Send(message=ToolCallRequest(calls=calls)):
                self._meter.count_tool_calls(len(calls))
            case _:
                pass

    def sent(self, message: Message) -> None:
        """The client was sent something."""
        if self._meter is not None and isinstance(message, ModelAudio):
            self._meter.count_audio(pcm_seconds(message.pcm))
