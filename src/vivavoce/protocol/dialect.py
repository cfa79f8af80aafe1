"""The Gemini Live API as a dialect: what the runtime and the edge speak through."""

from __future__ import annotations

from collections.abc import Sequence

from vivavoce.core.events import ActivityEnded, ActivityStarted, AudioStreamEnded
from vivavoce.core.messages import Message
from vivavoce.domain.setup import ActivityDetection, SessionSetup
from vivavoce.protocol import close
from vivavoce.protocol.decode import Decoder
from vivavoce.protocol.encode import encode
from vivavoce.protocol.setup import session_setup
from vivavoce.protocol.wire import OnUnknown
from vivavoce.runtime.ports import Incoming

MAX_REPORTED = 100
"""A client that makes up names is not worth more of the log."""


def _ignore(path: str, name: str) -> None:
    """Nobody wants to hear of unknown names."""


class GeminiDialect:
    """One connection's dialect.

    `strict` refuses what the real service refuses; otherwise unknown names are skipped, and
    `on_unknown(path, name)` hears of each name once. `enterprise` is the dialect of
    `google.cloud.aiplatform`, which spells a few things differently.
    """

    def __init__(
        self, strict: bool = False, enterprise: bool = False, on_unknown: OnUnknown = _ignore
    ) -> None:
        self._strict = strict
        self._enterprise = enterprise
        self._on_unknown = on_unknown
        self._reported: set[str] = set()
        self._decoder = Decoder(strict=strict, on_unknown=self._unknown)
        self._early: list[Incoming] = []
        self._detection = ActivityDetection()

    def read_setup(self, frame: bytes | str) -> SessionSetup:
        """The session that the first frame asks for. Raises `ClientFault`.

        Anything that a lenient reader finds beside the setup is delivered with the next frame.
        """
        wire, early = self._decoder.setup(frame)
        setup = session_setup(
            wire, strict=self._strict, enterprise=self._enterprise, report=self._decoder.report
        )
        self._detection, self._early = setup.realtime.detection, early
        return setup

    def decode(self, frame: bytes | str) -> Sequence[Incoming]:
        """What a later frame means, in order. Raises `ClientFault`."""
        incoming = self._decoder.decode(frame)
        if self._strict:
            self._insist_on_mode(incoming)
        if self._early:
            incoming, self._early = self._early + incoming, []
        return incoming

    def _insist_on_mode(self, incoming: Sequence[Incoming]) -> None:
        manual = self._detection.disabled
        for one in incoming:
            match one:
                case ActivityStarted() | ActivityEnded() if not manual:
                    raise close.invalid(
                        "Activity marks are not allowed while automatic activity detection is on."
                    )
                case AudioStreamEnded() if manual:
                    raise close.invalid(
                        "audioStreamEnd is not allowed while automatic activity detection is off."
                    )

    def encode(self, message: Message) -> bytes:
        """One frame of JSON; empty when this dialect has no words for the message."""
        return encode(message, enterprise=self._enterprise)

    def _unknown(self, path: str, name: str) -> None:
        if name not in self._reported and len(self._reported) < MAX_REPORTED:
            self._reported.add(name)
            self._on_unknown(path, name)
