"""Whether a conversation went as its script says."""

from __future__ import annotations

from collections.abc import Sequence

from support.dialogue import AfterCall, Expectation, Tally
from vivavoce.core.messages import (
    GenerationComplete,
    GoAway,
    Grounding,
    InputTranscript,
    Interrupted,
    Message,
    ModelAudio,
    ModelCode,
    ModelCodeResult,
    ModelText,
    OutputTranscript,
    ResumptionUpdate,
    ServerCall,
    ServerResponse,
    SetupComplete,
    ToolCallCancellation,
    ToolCallRequest,
    TurnComplete,
    UrlContext,
    VoiceActivity,
)

Observed = Sequence[tuple[float, Message]]
"""What the client got, and when, in seconds since the session opened."""


class Mismatch(AssertionError):
    """The conversation went otherwise than the script says."""


def check_expectations(
    expectations: Sequence[Expectation | Tally], observed: Observed, slack_s: float = 0.05
) -> None:
    """Raise `Mismatch` at the first line that does not hold.

    `slack_s` is added to every `within`: a real socket and a busy machine need more of it.
    """
    names = [names_of(message) for _, message in observed]
    said = _said(observed)
    at = 0
    for expectation in expectations:
        if isinstance(expectation, Tally):
            found = sum(expectation.what in those for those in names)
            if found != expectation.count:
                _fail(expectation, f"came {found} times, not {expectation.count}", observed)
            continue
        while at < len(observed) and not _is(expectation, observed[at][1], names[at], said[at]):
            at += 1
        if at == len(observed):
            _fail(expectation, "did not come", observed)
        since = _since(expectation, observed)
        if expectation.within_s is not None:
            late_s = observed[at][0] - since - expectation.within_s
            if late_s > slack_s:
                _fail(expectation, f"came {late_s:.3f} s late", observed)
        # What has been said stays said; any other message is used up.
        at += expectation.what != "says"


def names_of(message: Message) -> tuple[str, ...]:
    """All names that a script may use for a message."""
    match message:
        case SetupComplete():
            return ("setupComplete",)
        case ModelAudio():
            return ("audio",)
        case ModelText():
            return ("thought",) if message.thought else ("text",)
        case ModelCode():
            return ("executableCode",)
        case ModelCodeResult():
            return ("codeExecutionResult", f"codeExecutionResult {message.outcome}")
        case ServerCall():
            return ("serverToolCall",)
        case ServerResponse():
            return ("serverToolResponse",)
        case Grounding():
            return ("groundingMetadata",)
        case UrlContext():
            return ("urlContextMetadata",)
        case InputTranscript():
            return ("inputTranscription",)
        case OutputTranscript():
            return ("outputTranscription",)
        case GenerationComplete():
            return ("generationComplete",)
        case Interrupted():
            return ("interrupted",)
        case TurnComplete():
            reason = message.reason
            return ("turnComplete", f"turnComplete {reason.value}" if reason else "turnComplete OK")
        case ToolCallRequest():
            return ("toolCall", *(f"toolCall {call.name}" for call in message.calls))
        case ToolCallCancellation():
            return ("toolCallCancellation",)
        case VoiceActivity():
            return ("activityStart" if message.started else "activityEnd",)
        case ResumptionUpdate():
            return ("handle",)
        case GoAway():
            return ("goAway",)


def plain(text: str) -> str:
    """Words as scripts compare them: no case, no punctuation."""
    return " ".join("".join(c if c.isalnum() else " " for c in text.casefold()).split())


def _said(observed: Observed) -> list[str]:
    """For each message, what the model has said so far since the turn before ended."""
    said, text = [], ""
    for _, message in observed:
        if isinstance(message, OutputTranscript) or (
            isinstance(message, ModelText) and not message.thought
        ):
            text += message.text
        said.append(text)
        if isinstance(message, TurnComplete):
            text = ""
    return said


def _is(wanted: Expectation, message: Message, names: tuple[str, ...], said: str) -> bool:
    if wanted.what == "says":
        return plain(wanted.words) in plain(said)
    if wanted.what not in names:
        return False
    words = getattr(message, "text", "")
    return not wanted.words or plain(words) == plain(wanted.words)


def _since(expectation: Expectation, observed: Observed) -> float:
    since = expectation.since
    if not isinstance(since, AfterCall):
        return since
    requests = [(at, m) for at, m in observed if isinstance(m, ToolCallRequest)]
    asked = [at for at, m in requests for call in m.calls if call.name == since.name]
    if len(asked) < since.nth:
        _fail(expectation, f"waits for call {since.nth} of {since.name}", observed)
    return asked[since.nth - 1] + since.seconds


def _fail(expectation: Expectation | Tally, problem: str, observed: Observed) -> None:
    words = getattr(expectation, "words", "")
    wanted = f"{expectation.what} {words!r}" if words else expectation.what
    listing = "\n".join(f"  {at:8.3f}  {_describe_message(message)}" for at, message in observed)
    raise Mismatch(f"line {expectation.line}: {wanted} {problem}.\nWhat came:\n{listing}")


def _describe_message(message: Message) -> str:
    if isinstance(message, ModelAudio):
        return f"audio ({len(message.pcm)} bytes)"
    return f"{names_of(message)[-1]} {getattr(message, 'text', '')!r}"
