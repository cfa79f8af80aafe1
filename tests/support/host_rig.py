"""A stage for the host: a client, a wire and a responder that do exactly what a test says.

`open_connection(client, responder)` is a whole connection with scripted ears. `Client` is both ends
of its transport; `PlainDialect` carries core events and messages as they are, so that a test of the
host needs no JSON; `StepResponder` plays a list of parts and misbehaves on request.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from vivavoce.core.events import ClientInput
from vivavoce.core.messages import Message, ModelAudio
from vivavoce.core.session import LiveSession
from vivavoce.core.settings import SessionSettings
from vivavoce.domain.ids import CountingIds, SessionId
from vivavoce.domain.model_family import family_behavior
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.domain.setup import SessionSetup
from vivavoce.engines.ports import (
    Emit,
    Engines,
    GenerationPart,
    Recognizer,
    Responder,
    ResponderCapabilities,
    TurnModel,
    VoiceDetector,
)
from vivavoce.engines.scripted import EnergyDetector, TonesRecognizer
from vivavoce.errors import ClientFault
from vivavoce.runtime.connection import Backend, Connection
from vivavoce.runtime.ports import Disconnected
from vivavoce.runtime.rate_limit import RateLimits
from vivavoce.runtime.turn_ends import TurnScorer
from vivavoce.runtime.turn_metrics import TurnListener
from vivavoce.runtime.voice_activity import VoiceScorer
from vivavoce.tools.ports import Toolset

SESSION = SessionId("session-1")


class PlainDialect:
    """Every frame is the number of an object in this dialect's memory."""

    def __init__(self) -> None:
        self._said: list[Sequence[ClientInput] | ClientFault] = []
        self._answers: list[Message] = []
        self.mismatches: list[str] = []

    def frame(self, *incoming: ClientInput) -> bytes:
        """A frame that means `incoming`."""
        self._said.append(incoming)
        return str(len(self._said) - 1).encode()

    def faulty_frame(self, code: int, reason: str) -> bytes:
        """A frame that breaks the protocol."""
        self._said.append(ClientFault(code, reason))
        return str(len(self._said) - 1).encode()

    def message(self, frame: bytes) -> Message:
        """What a frame of the server says."""
        return self._answers[int(frame)]

    def is_light(self, frame: bytes | str) -> bool:
        return True

    def decode(self, frame: bytes | str) -> Sequence[ClientInput]:
        said = self._said[int(frame)]
        if isinstance(said, ClientFault):
            raise said
        return said

    def report_mismatch(self, sentence: str, code: int = 0, *, quoted: str = "") -> None:
        self.mismatches.append(sentence)

    def encode(self, message: Message) -> bytes:
        self._answers.append(message)
        return str(len(self._answers) - 1).encode()


class Client:
    """A client and its connection, as the server's transport and as the test's hands.

    `heard` holds every message with the loop's time at which it arrived. `reads` off, and the
    client takes nothing; `gone`, and the line is cut.
    """

    def __init__(self) -> None:
        self.dialect = PlainDialect()
        self.heard: list[tuple[float, Message]] = []
        self.closed: tuple[int, str] | None = None
        self.gone = False
        self.read_s = 0.0
        self._frames: deque[bytes] = deque()
        self._arrived = asyncio.Event()
        self._reading = asyncio.Event()
        self._reading.set()
        self._news = asyncio.Event()

    # --- the test's side ---

    @property
    def messages(self) -> list[Message]:
        """What was heard, without the times."""
        return [message for _, message in self.heard]

    @property
    def pcm(self) -> bytes:
        """All sound that was heard."""
        return b"".join(m.pcm for m in self.messages if isinstance(m, ModelAudio))

    def say(self, *incoming: ClientInput) -> None:
        """Send one frame."""
        self._push(self.dialect.frame(*incoming))

    def misbehave(self, code: int = 1007, reason: str = "No.") -> None:
        """Send a frame that breaks the protocol."""
        self._push(self.dialect.faulty_frame(code, reason))

    def leave(self) -> None:
        """Vanish."""
        self.gone = True
        self._arrived.set()
        self._reading.set()

    def stop_reading(self) -> None:
        """Take nothing from now on."""
        self._reading.clear()

    async def until(self, kind: type[Message], count: int = 1) -> Message:
        """Wait for the `count`-th message of a kind."""
        while len(found := [m for m in self.messages if isinstance(m, kind)]) < count:
            self._news.clear()
            await self._news.wait()
        return found[count - 1]

    # --- the server's side ---

    async def receive(self) -> bytes | str:
        while not self._frames:
            if self.gone:
                raise Disconnected(1006)
            self._arrived.clear()
            await self._arrived.wait()
        return self._frames.popleft()

    async def send(self, frame: bytes) -> None:
        await self._reading.wait()
        if self.read_s:
            await asyncio.sleep(self.read_s)
        if self.gone:
            raise Disconnected(1006)
        now = asyncio.get_running_loop().time()
        self.heard.append((now, self.dialect.message(frame)))
        self._news.set()

    async def close(self, code: int, reason: str) -> None:
        if self.closed is None:
            self.closed = (code, reason)

    def _push(self, frame: bytes) -> None:
        self._frames.append(frame)
        self._arrived.set()


@dataclass(frozen=True, slots=True)
class Pause:
    """A responder thinks for this long."""

    seconds: float


@dataclass(frozen=True, slots=True)
class Fail:
    """A responder raises this."""

    failure: BaseException


class Hang:
    """A responder never comes back."""


Step = GenerationPart | Pause | Fail | Hang
Script = Callable[[GenerationRequest], Sequence[Step]]


class StepResponder:
    """Plays `script(request)`, step by step.

    A stubborn one swallows every cancellation and plays on to the end of its script.
    """

    capabilities = ResponderCapabilities(tools=True, images=True)

    def __init__(self, script: Script, stubborn: bool = False) -> None:
        self.requests: list[GenerationRequest] = []
        self.prepared: list[GenerationRequest] = []
        self.released: list[str] = []
        self.cancelled = 0
        self._script = script
        self.stubborn = stubborn

    async def prepare(self, request: GenerationRequest) -> None:
        self.prepared.append(request)

    async def respond(self, request: GenerationRequest, emit: Emit) -> EndReason:
        self.requests.append(request)
        for step in self._script(request):
            await self._insist(lambda step=step: _play(step, emit))  # type: ignore[misc]
        return EndReason.COMPLETE

    async def release(self, session: str) -> None:
        self.released.append(session)

    async def aclose(self) -> None:
        return None

    async def _insist(self, act: Callable[[], Awaitable[None]]) -> None:
        try:
            await act()
        except asyncio.CancelledError:
            self.cancelled += 1
            if not self.stubborn:
                raise


async def _play(step: Step, emit: Emit) -> None:
    match step:
        case Pause(seconds=seconds):
            await asyncio.sleep(seconds)
        case Fail(failure=failure):
            raise failure
        case Hang():
            await asyncio.get_running_loop().create_future()
        case _:
            await emit(step)


def open_connection(
    client: Client,
    responder: Responder,
    setup: SessionSetup | None = None,
    *,
    recognizer: Recognizer | None = None,
    detector: VoiceDetector | None = None,
    settings: SessionSettings | None = None,
    listener: TurnListener | None = None,
    toolset: Toolset | None = None,
    rates: RateLimits | None = None,
    turn_model: TurnModel | None = None,
) -> Connection:
    """A connection that `client` talks to; `run` it."""
    setup = setup or SessionSetup("models/scripted")
    detector = detector or EnergyDetector()
    session = LiveSession(
        SESSION,
        setup,
        family_behavior(setup.model),
        settings or SessionSettings(),
        CountingIds(),
    )
    hosting = Backend(
        Engines(detector, recognizer or TonesRecognizer(), responder),
        # Always on the loop: a test neither leaves threads behind nor depends on their speed.
        VoiceScorer(detector, inline_share=1e9),
        listener,
        rates=rates or RateLimits(loop_share=0),  # a test does not depend on a machine's speed
        turn_scorer=TurnScorer(turn_model, inline_share=1e9) if turn_model else None,
    )
    return Connection(SESSION, session, setup, client, client.dialect, hosting, toolset=toolset)
