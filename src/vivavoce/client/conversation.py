"""A conversation held: sound out of a microphone, answers into a loudspeaker, calls answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import aclosing
from typing import Any

from vivavoce.client.echo import EchoGuard, Open
from vivavoce.client.files import Microphone
from vivavoce.client.live import Session
from vivavoce.client.messages import Audio, CallsWanted, Interrupted, LiveError, ServerMessage
from vivavoce.client.playing import Speaker
from vivavoce.client.tools import ToolModule
from vivavoce.client.turns import SpeechClock, Turn, TurnLog


class Conversation:
    """One session with ears, a mouth and hands.

    `on_turn` is told of every turn that is over, `on_message` of everything that came.
    `listen` has to run, as a task, while anything is said.
    """

    def __init__(
        self,
        session: Session,
        speaker: Speaker,
        tools: ToolModule | None = None,
        on_turn: Callable[[Turn], None] | None = None,
        on_message: Callable[[ServerMessage], None] | None = None,
    ) -> None:
        self.clock = SpeechClock()
        self.log = TurnLog(self.clock)
        self._session = session
        self._speaker = speaker
        self._tools = tools or ToolModule()
        self._on_turn = on_turn
        self._on_message = on_message
        self._loop = asyncio.get_running_loop()
        self._last_message = self._last_sent = self._loop.time()

    async def listen(self) -> None:
        """Take everything that comes. Raises `LiveError` when the server ends the session."""
        try:
            async with asyncio.TaskGroup() as tasks:
                async for message in self._session:
                    self._take(message)
                    if isinstance(message, CallsWanted):
                        tasks.create_task(self._answer(message))
        except ExceptionGroup as group:
            ended, _ = group.split(LiveError)
            if ended is None:
                raise
            raise ended.exceptions[0] from None

    def _take(self, message: ServerMessage) -> None:
        now = self._last_message = self._loop.time()
        if self._on_message:
            self._on_message(message)
        match message:
            case Audio(pcm):
                self._speaker.play(pcm)
            case Interrupted():
                self._speaker.drop()
            case _:
                pass
        turn = self.log.take(message, now)
        if turn is not None and self._on_turn:
            self._on_turn(turn)

    async def _answer(self, wanted: CallsWanted) -> None:
        await self._session.send_results(await self._tools.answer(wanted.calls))

    async def speak(self, microphone: Microphone, echo: EchoGuard | None = None) -> None:
        """Send what the microphone hears, to its end."""
        guard = echo or Open()
        async with aclosing(microphone.chunks()) as chunks:
            async for chunk in chunks:
                heard = guard.clean(chunk)
                if heard:
                    self.clock.sent(heard, self._loop.time())
                    await self._session.send_audio(heard)
                    self._last_sent = self._loop.time()

    async def type(self, text: str) -> None:
        """Send a turn in writing."""
        self.clock.typed(self._loop.time())
        await self._session.send_text(text)

    async def held(self, course: Coroutine[Any, Any, bool]) -> bool:
        """The outcome of `course`, a way through the conversation, while listening beside it.

        Raises `LiveError` when the server ends the session first.
        """
        going = asyncio.ensure_future(course)
        listening = asyncio.ensure_future(self.listen())
        try:
            await asyncio.wait((going, listening), return_when=asyncio.FIRST_COMPLETED)
            if listening.done():
                listening.result()
            return await going
        finally:
            going.cancel()
            listening.cancel()
            await asyncio.gather(going, listening, return_exceptions=True)

    async def turns(self, count: int, patience_s: float) -> bool:
        """Wait until `count` turns are over in all; `False` if the server goes silent first."""
        return await self._until(lambda: len(self.log.turns) >= count, patience_s)

    async def settled(self, quiet_s: float, patience_s: float) -> bool:
        """Wait until all that was said is answered and nothing was sent or came for `quiet_s`.

        `False` if the server goes silent before that.
        """
        return await self._until(
            lambda: (
                bool(self.log.turns)
                and self.log.open is None
                and not self.log.unanswered
                and self._loop.time() - max(self._last_message, self._last_sent) >= quiet_s
            ),
            patience_s,
        )

    async def _until(self, met: Callable[[], bool], patience_s: float) -> bool:
        """Whether it is met before nothing has come for `patience_s`."""
        began = self._loop.time()
        # What is waited for depends on the time that passes, not only on messages.
        while not met():
            if self._loop.time() - max(began, self._last_message) >= patience_s:
                return False
            await asyncio.sleep(0.02)
        return True
