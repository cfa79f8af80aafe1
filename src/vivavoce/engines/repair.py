"""An answer of which no call is made that was not declared so; the model gets a second chance.

Rules:

- The calls that a model asks for together are made together or not at all.
- Once one of them misfits, or can't be read, the try is over. If the model repairs, it is asked
  once more: with its words and calls as a part of the history, and results that say what was
  wrong. Nothing of this reaches the session's own history.
- What was said in the first try was heard and is not said again: words of the second are held
  back until it calls, and dropped then. If it calls nothing they are its answer, without the
  beginning that was said before.
- A second try that goes wrong, too, or has nothing to add, ends as malformed.
- Both tries are paid for: their words are counted together. The prompt is counted once, as it
  is over the generations of a turn.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import assert_never

import structlog

from vivavoce.domain.content import (
    Content,
    Part,
    Role,
    Text,
    ToolCall,
    ToolResult,
    Tools,
    Usage,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import EndReason, GenerationRequest
from vivavoce.engines.calls import Misfit, check_calls, unwieldy
from vivavoce.engines.ports import (
    CallsRequested,
    CallUnreadable,
    Ended,
    TextDelta,
    UsageReported,
)

_log = structlog.get_logger(__name__)

CheckedPart = TextDelta | CallsRequested | UsageReported | Ended
"""A part whose calls, if it holds any, fit their declarations."""


@dataclass(frozen=True, slots=True)
class CallsChecked:
    """A batch of calls, each with the call that may be made or with what is wrong with it."""

    calls: tuple[ToolCall, ...]
    checked: tuple[ToolCall | Misfit, ...]


def check_batch(requested: CallsRequested, tools: Tools) -> CallsChecked:
    """The batch as `Answer.take` wants it. May compute for a while: not for an event loop."""
    return CallsChecked(requested.calls, tuple(check_calls(requested.calls, tools)))


AnswerPart = TextDelta | CallsChecked | CallUnreadable | UsageReported | Ended
"""A part of a model's, its calls checked."""

_QUOTED = 500
_AGAIN = "Nothing was done. Correct this and make every call of that answer again."
_FINE = "Not done, because another call of the same answer was wrong. Make this one again, too."
_MADE = "This call was made. Don't make it again."


@dataclass(slots=True)
class _Try:
    """What came of asking once."""

    said: str = ""
    held: str = ""
    made: list[ToolCall] = field(default_factory=list)
    wrong: list[tuple[ToolCall, str]] = field(default_factory=list)
    """The calls of the batch that is not made, each with what the model is told of it."""
    ended: Ended | None = None


class Answer:
    """Reads a model's parts and says what to ask it next.

    `request` is what the model is to be asked now, `None` when the answer is over. For each try:
    `take` its parts until it ends or is `spoilt`, then call `end`.
    """

    def __init__(self, request: GenerationRequest, repairs: bool) -> None:
        self.request: GenerationRequest | None = request
        self.spoilt = False
        self._asked = request
        self._repairs = repairs
        self._now = _Try()
        self._before: _Try | None = None
        self._spent = Usage()
        self._usage = Usage()

    def take(self, part: AnswerPart) -> Iterator[CheckedPart]:
        """What becomes of a part."""
        now = self._now
        match part:
            case UsageReported(usage=usage):
                self._usage = self._spent.then(usage)
                yield UsageReported(self._usage)
            case _ if now.wrong:
                self.spoilt = True  # nothing but its cost was still of interest
            case TextDelta(text=text, thought=False) if self._may_be_said_before():
                now.held += text
            case TextDelta(text=text, thought=thought):
                now.said += "" if thought else text
                yield part
            case CallsChecked():
                yield from self._take_calls(part)
            case CallUnreadable(name=name, written=written, problem=problem):
                told = f"{problem} You wrote: {written[:_QUOTED]} {_AGAIN}"
                now.wrong.append((ToolCall(CallId(""), name or "unnamed", {}), told))
            case Ended():
                now.ended = part
            case _:
                assert_never(part)

    def end(self) -> Iterator[CheckedPart]:
        """The model has said all it has to say, or was left. Sets `request`."""
        now, before = self._now, self._before
        self.request = None
        if now.wrong:
            again = before is None and self._repairs
            names = [call.name for call, told in now.wrong if told != _FINE]
            _log.warning("malformed_call", functions=names, asked_again=again)
            if again:
                self.request = _corrected(self._asked, now)
                self._before, self._now = now, _Try()
                self._spent, self.spoilt = self._usage, False
                return
        malformed = bool(now.wrong)
        if before is not None and not (now.wrong or now.made):
            rest = now.held.strip().removeprefix(before.said.strip()).strip()
            if rest:
                yield TextDelta(f" {rest}")
            malformed = not (rest or now.said.strip())
        if malformed:
            yield Ended(EndReason.MALFORMED_CALL)
        elif now.ended is not None:
            yield now.ended

    def _may_be_said_before(self) -> bool:
        before = self._before
        return before is not None and bool(before.said.strip()) and not self._now.made

    def _take_calls(self, batch: CallsChecked) -> Iterator[CallsRequested]:
        fit = tuple(one for one in batch.checked if isinstance(one, ToolCall))
        if len(fit) < len(batch.calls):
            told = [
                f"{one} {_AGAIN}" if isinstance(one, Misfit) else _FINE for one in batch.checked
            ]
            self._now.wrong = list(zip(batch.calls, told, strict=True))
            return
        self._now.made += fit
        yield CallsRequested(fit)


def _corrected(asked: GenerationRequest, first: _Try) -> GenerationRequest:
    """The question with what the model made of it and what was wrong with that."""
    spoken: list[Part] = [Text(first.said)] if first.said.strip() else []
    results: list[Part] = []
    made = [(call, {"output": _MADE}) for call in first.made]
    wrong = [(call, {"error": told}) for call, told in first.wrong]
    for number, (call, response) in enumerate(made + wrong, 1):
        id_ = CallId(f"again_{number}")
        # What is too large or too deep to be made is too much to be shown, too.
        args = {} if unwieldy(call.args) else call.args
        spoken.append(ToolCall(id_, call.name, args))
        results.append(ToolResult(id_, call.name, response))
    contents = (Content(Role.MODEL, tuple(spoken)), Content(Role.USER, tuple(results)))
    return replace(asked, history=(*asked.history, *contents))
