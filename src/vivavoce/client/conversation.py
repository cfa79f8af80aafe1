"""A conversation: microphone to session, session to loudspeaker, function calls answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from vivavoce.client.echo_cancellation import EchoGuard, EchoPassThrough
from vivavoce.client.files import Microphone
from vivavoce.client.messages import (
    AudioMessage,
    InterruptedMessage,
    ServerMessage,
    SessionClosed,
    ToolCallMessage,
)
from vivavoce.client.playback import Speaker
from vivavoce.client.session import ClientSession
from vivavoce.client.speech_clock import SpeechClock
from vivavoce.client.tools import ToolModule
from vivavoce.client.turns import ToolUse, Turn, TurnLog


class ConversationObserver:
    """Receives what happens in a conversation, each after the log knows it. Ignores everything."""

    def on_message(self, message: ServerMessage, turn: Turn | None) -> None:
        """The server has sent a message; `turn` is the one in progress after it."""

    def on_tool_result(self, use: ToolUse) -> None:
        """A function has given its result."""

    def on_turn(self, turn: Turn) -> None:
        """A turn is complete."""


class ClientConversation:
    """One session, with a speaker and functions.

    `log` and `clock` hold its state. `receive_messages` has to run, as a task, while anything is
    said.
    """

    def __init__(
        self,
        session: ClientSession,
        speaker: Speaker,
        tools: ToolModule | None = None,
        observer: ConversationObserver | None = None,
    ) -> None:
        self.clock = SpeechClock()
        self.log = TurnLog(self.clock)
        self._session = session
        self._speaker = speaker
        self._tools = tools or ToolModule()
        self._observer = observer or ConversationObserver()
        self._loop = asyncio.get_running_loop()
        self._last_message = self._last_sent = self._loop.time()

    @property
    def played_s(self) -> float:
        """Position, in the stream of sound of all answers, up to which the speaker has played."""
        return self.log.queued_s - self._speaker.pending_s

    async def receive_messages(self) -> None:
        """Take everything that comes. Raises `SessionClosed` when the server ends the session."""
        try:
            async with asyncio.TaskGroup() as tasks:
                async for message in self._session:
                    self._handle_message(message)
                    if isinstance(message, ToolCallMessage):
                        tasks.create_task(self._answer_calls(message))
        except ExceptionGroup as group:
            ended, _ = group.split(SessionClosed)
            if ended is None:
                raise
            raise ended.exceptions[0] from None

    def _handle_message(self, message: ServerMessage) -> None:
        now = self._last_message = self._loop.time()
        turn = self.log.add_message(message, now, self.played_s)
        match message:
            case AudioMessage(pcm):
                self._speaker.queue_audio(pcm)
            case InterruptedMessage():
                self._speaker.drop_audio()
            case _:
                pass
        self._observer.on_message(message, self.log.open)
        if turn is not None:
            self._observer.on_turn(turn)

    async def _answer_calls(self, request: ToolCallMessage) -> None:
        results = await self._tools.answer_calls(request.calls)
        for call, result in zip(request.calls, results, strict=True):
            if (use := self.log.add_result(call, result)) is not None:
                self._observer.on_tool_result(use)
        await self._session.send_tool_response(results)

    async def send_microphone(self, microphone: Microphone, echo: EchoGuard | None = None) -> None:
        """Send what the microphone hears, to its end."""
        guard = echo or EchoPassThrough()
        async with aclosing(microphone.chunks()) as chunks:
            async for chunk in chunks:
                cleaned = guard.process_microphone(chunk)
                if cleaned:
                    self.clock.add_audio(cleaned, self._loop.time())
                    await self._session.send_audio(cleaned)
                    self._last_sent = self._loop.time()

    async def send_text(self, text: str) -> None:
        """Send a turn in writing."""
        self.clock.add_text(self._loop.time())
        await self._session.send_text(text)

    async def run_while_receiving(self, work: Coroutine[Any, Any, bool]) -> bool:
        """The outcome of `work`, a way through the conversation, while listening beside it.

        Raises `SessionClosed` when the server ends the session first.
        """
        going = asyncio.ensure_future(work)
        listening = asyncio.ensure_future(self.receive_messages())
        try:
            await asyncio.wait((going, listening), return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
            return await going
        finally:
            going.cancel()
            listening.cancel()
            await asyncio.gather(going, listening, return_exceptions=True)

    async def wait_for_turns(self, count: int, timeout_s: float) -> bool:
        """Wait until `count` turns are over in all; `False` if the server goes silent first."""
        return await self._wait_until(lambda: len(self.log.turns) >= count, timeout_s)

    async def wait_until_quiet(self, quiet_s: float, timeout_s: float) -> bool:
        """Wait until all that was said is answered and nothing was sent or came for `quiet_s`.

        `False` if the server goes silent before that.
        """
        return await self._wait_until(
            lambda: (
                bool(self.log.turns)
                and self.log.open is None
                and not self.log.unanswered
                and self._loop.time() - max(self._last_message, self._last_sent) >= quiet_s
            ),
            timeout_s,
        )

    async def _wait_until(self, met: Callable[[], bool], timeout_s: float) -> bool:
        """Whether it is met before nothing has come for `timeout_s`."""
        began = self._loop.time()
        # What is waited for depends on the time that passes, not only on messages.
        while not met():
            if self._loop.time() - max(began, self._last_message) >= timeout_s:
                return False
            await asyncio.sleep(0.02)
        return True
