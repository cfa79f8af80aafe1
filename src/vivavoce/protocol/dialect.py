"""Dialect of the Gemini Live API: read the setup, decode frames, encode messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vivavoce.core.events import (
    ActivityEnded,
    ActivityStarted,
    AudioStreamEnded,
    ClientInput,
    ContextUpdated,
)
from vivavoce.core.messages import Message
from vivavoce.domain.setup import ActivityDetection, SessionSetup
from vivavoce.errors import ClientFault
from vivavoce.protocol import close
from vivavoce.protocol.auth_tokens import FoundToken
from vivavoce.protocol.base import OnMismatch, OnUnknown, Reading, Wire, ignore, unserved_fields
from vivavoce.protocol.decode import Decoder
from vivavoce.protocol.encode import encode_message
from vivavoce.protocol.json_frames import MessageLimits, is_light
from vivavoce.protocol.setup import session_setup

MAX_REPORTED = 100
"""Names and sentences that are logged for one connection, at most."""

MAX_REMEMBERED = 200
"""Characters of a name or sentence that identify a repetition."""

OnUnserved = Callable[[str, str], None]
"""Called with a kind (`tool`, `setting`, `field` or `signal`) and the name of something that was
asked for and has no effect here. It may raise `ClientFault` to refuse it."""


class GeminiDialect:
    """Gemini Live dialect of one connection; implements `runtime.ports.Dialect`.

    `strict` and `enterprise` as in `Reading`. Each once: `on_unknown(path, name)` gets the names
    that are skipped, `on_unserved(kind, name)` what the protocol has and has no effect here, and
    `on_mismatch` what is read otherwise than it was sent.

    `beside_setup` is a frame of what a lenient reader found in the first message beside the setup,
    to be read as the next one; empty if there is nothing.
    """

    def __init__(
        self,
        strict: bool = False,
        enterprise: bool = False,
        on_unknown: OnUnknown = ignore,
        on_unserved: OnUnserved = ignore,
        on_mismatch: OnMismatch = ignore,
        limits: MessageLimits | None = None,
    ) -> None:
        self._strict = strict
        self._enterprise = enterprise
        self._on_unknown = on_unknown
        self._on_unserved = on_unserved
        self._on_mismatch = on_mismatch
        self._reported: set[str] = set()
        self._unserved_reported: set[str] = set()
        self._mismatches_reported: set[str] = set()
        self._reading = Reading(strict, enterprise, self._unknown, self.report_mismatch)
        self._decoder = Decoder(self._reading, limits, self._report_unserved)
        self.beside_setup = b""
        self._detection = ActivityDetection()
        self._token: FoundToken | None = None

    def is_light(self, frame: bytes | str) -> bool:
        """Return whether a frame is decoded within a few milliseconds."""
        return is_light(frame)

    def read_setup(self, frame: bytes | str, token: FoundToken | None = None) -> SessionSetup:
        """Parse the first frame to a session's setup. Raises `ClientFault`.

        `token` locks fields of it. Where nothing of the client's setup counts, that setup
        may be invalid.
        """
        self._token = token
        wire, self.beside_setup = self._decoder.read_setup(
            frame, token is not None and token.replaces_setup
        )
        if token is not None:
            wire = token.lock_setup(wire)
        setup = session_setup(wire, self._reading)
        self._detection = setup.realtime.detection
        self._report_unserved(wire, "setup")
        return setup

    def decode(self, frame: bytes | str) -> Sequence[ClientInput]:
        """Decode a later frame to inputs, in order. Raises `ClientFault`."""
        incoming = [self._unlocked(one) for one in self._decoder.decode_frame(frame)]
        manual = self._detection.disabled
        for one in incoming:
            match one:
                case ActivityStarted() | ActivityEnded() if not manual:
                    self._insist_on_mode("Activity marks", "on")
                case AudioStreamEnded() if manual:
                    self._insist_on_mode("audioStreamEnd", "off")
        return incoming

    def _unlocked(self, incoming: ClientInput) -> ClientInput:
        """Remove from a context update what a token locks for the whole session."""
        if self._token is None or not isinstance(incoming, ContextUpdated):
            return incoming
        instruction, tools = incoming.instruction, incoming.tools
        if instruction is not None and self._token.locks_field("system_instruction"):
            self.report_unserved(
                "setting", "contextUpdate.systemInstruction, which the token holds"
            )
            instruction = None
        if tools is not None and self._token.locks_field("tools"):
            self.report_unserved("setting", "contextUpdate.tools, which the token holds")
            tools = None
        return ContextUpdated(instruction, tools)

    def _insist_on_mode(self, what: str, mode: str) -> None:
        if self._strict:
            raise close.invalid(
                f"{what} {'are' if mode == 'on' else 'is'} not allowed while automatic activity "
                f"detection is {mode}."
            )
        self.report_unserved("signal", f"{what} while automatic activity detection is {mode}")

    def encode(self, message: Message) -> bytes:
        """Encode a message as a frame of JSON; empty if this dialect has no such message."""
        return encode_message(message, enterprise=self._enterprise)

    def report_unserved_field(self, path: str) -> None:
        """Report a field that has no effect here. Raises `ClientFault` when strict."""
        if self._strict:
            raise close.field_not_served(path)
        self.report_unserved("field", path)

    def report_unserved(self, kind: str, name: str) -> None:
        """Report once that a requested feature has no effect here."""
        if name not in self._unserved_reported:
            self._unserved_reported.add(name)
            self._on_unserved(kind, name)

    def report_mismatch(self, sentence: str, code: int = 0, *, quoted: str = "") -> None:
        """Report once that client input has another effect than intended, or none.

        Raises `ClientFault` with a code, if there is one, when strict.
        """
        if code and self._strict:
            raise ClientFault(code, sentence)
        if _is_new(sentence, self._mismatches_reported):
            self._on_mismatch(sentence, quoted=quoted)

    def _report_unserved(self, message: Wire, path: str = "") -> None:
        """Report set fields that are not served; when strict, refuse the first."""
        for field, mark in unserved_fields(message, path):
            if mark.by_tools:
                continue
            self.report_unserved_field(field)

    def _unknown(self, path: str, name: str) -> None:
        if _is_new(name, self._reported):
            self._on_unknown(path, name)


def _is_new(text: str, reported: set[str]) -> bool:
    """Return whether a text is new, and remember its beginning if so."""
    start = text[:MAX_REMEMBERED]
    if start in reported or len(reported) >= MAX_REPORTED:
        return False
    reported.add(start)
    return True
