"""Responders that misbehave, each a factory that a configuration can name."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import os
import time
from collections.abc import Sequence
from typing import ClassVar, cast

from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.engines.ports import (
    Emit,
    EngineHost,
    ResponderCapabilities,
    Settings,
    Speech,
    TurnPause,
)
from vivavoce.errors import EngineError, EngineMissing


class Unruly:
    """Well-behaved: a word, half a second of silence in sound. Subclasses are not."""

    capabilities = ResponderCapabilities()

    async def prepare(self, request: GenerationRequest) -> None:
        pass

    async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
        if "misbehave" in request.history[-1].text:
            await self.misbehave(emit)
        await emit(Speech(bytes(24_000), "well"))
        return EndReason.COMPLETE

    async def misbehave(self, emit: Emit) -> None:
        raise NotImplementedError

    async def release(self, session: str) -> None:
        pass

    async def aclose(self) -> None:
        pass


class Failing(Unruly):
    async def misbehave(self, emit: Emit) -> None:
        raise EngineError("responder.failing", "it failed, as asked.")


class Breaking(Unruly):
    async def misbehave(self, emit: Emit) -> None:
        raise ZeroDivisionError("a bug")


class Panic(BaseException):
    """What a library in Rust raises where its author was sure."""


class Panicking(Unruly):
    async def misbehave(self, emit: Emit) -> None:
        raise Panic


class Mistaken(Unruly):
    """Ends without a reason."""

    async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
        reason = await super().respond(request, emit)
        return reason if "properly" in request.history[-1].text else cast(EndReason, None)

    async def misbehave(self, emit: Emit) -> None:
        pass


class Hanging(Unruly):
    async def misbehave(self, emit: Emit) -> None:
        await asyncio.Event().wait()


class Stubborn(Unruly):
    """Ignores the first cancellations, and goes on speaking."""

    async def misbehave(self, emit: Emit) -> None:
        for _ in range(20):
            try:
                await emit(Speech(bytes(4_800), "blah "))
                await asyncio.sleep(0.02)
            except asyncio.CancelledError:
                pass


let_go = asyncio.Event()
"""Ends every `Clinging` close."""


class Clinging(Unruly):
    """Ignores every cancellation of its close."""

    async def aclose(self) -> None:
        let_go.clear()
        while not let_go.is_set():
            with contextlib.suppress(asyncio.CancelledError):
                await let_go.wait()


async def failing(settings: Settings, host: EngineHost) -> Unruly:
    return Failing()


async def breaking(settings: Settings, host: EngineHost) -> Unruly:
    return Breaking()


async def panicking(settings: Settings, host: EngineHost) -> Unruly:
    return Panicking()


async def mistaken(settings: Settings, host: EngineHost) -> Unruly:
    return Mistaken()


async def hanging(settings: Settings, host: EngineHost) -> Unruly:
    return Hanging()


async def stubborn(settings: Settings, host: EngineHost) -> Unruly:
    return Stubborn()


async def absent(settings: Settings, host: EngineHost) -> Unruly:
    raise EngineMissing("responder.absent", "It is not here.", "Bring it.")


async def endless(settings: Settings, host: EngineHost) -> Unruly:
    host.say("never ready")
    await asyncio.Event().wait()
    return Failing()


async def slow(settings: Settings, host: EngineHost) -> Unruly:
    """Loads in a thread, as many libraries do: nothing can call it back."""

    def load() -> None:
        host.say("never ready")
        time.sleep(60)

    await asyncio.to_thread(load)
    return Failing()


async def fragile(settings: Settings, host: EngineHost) -> Unruly:
    """As a C++ library whose thread the interpreter ends: finalizing it aborts the process."""
    atexit.register(os.abort)
    return await endless(settings, host)


async def clinging(settings: Settings, host: EngineHost) -> Unruly:
    return Clinging()


class NotedTurnModel:
    """A turn model that is unsure of everything, and keeps what it was asked."""

    asked: ClassVar[list[TurnPause]] = []
    closed: ClassVar[int] = 0

    def score(self, pauses: Sequence[TurnPause]) -> list[float]:
        NotedTurnModel.asked.extend(pauses)
        return [0.5] * len(pauses)

    async def aclose(self) -> None:
        NotedTurnModel.closed += 1


async def noted_turn_model(settings: Settings, host: EngineHost) -> NotedTurnModel:
    return NotedTurnModel()
