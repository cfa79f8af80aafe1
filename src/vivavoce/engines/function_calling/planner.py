"""Plans what a model that can't call functions does at the end of a conversation.

The user's last words say what is to be called, and the calls since then how much of it was. All
calls of an utterance are made at once; when the results are there, one answer reports all of
them. Everything is read off the history, so that it also holds after a resumption.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vivavoce.domain.content import (
    FAILED,
    Behavior,
    Content,
    Role,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.function_calling import (
    confirmations,
    parameter_kinds,
    programs,
    results,
    turns,
    words,
)
from vivavoce.engines.function_calling.arguments import MissingArgument, fill
from vivavoce.engines.function_calling.completion import Completion
from vivavoce.engines.function_calling.intents import Intent, IntentDetector, Intents, routed
from vivavoce.engines.function_calling.parameter_kinds import Parameter
from vivavoce.engines.function_calling.quotations import Quoter
from vivavoce.engines.function_calling.router import Router
from vivavoce.engines.workers import CancelToken

ON_IT = "I'm on it."
_MAX_CALLS = 16
_MAX_ASKED_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: calls to make, text to say, then a request to answer freely.

    An empty plan leaves the answer to the model.
    """

    calls: tuple[ToolCall, ...] = ()
    text: str = ""
    rest: str = ""


@dataclass(frozen=True, slots=True)
class _Pending:
    """The part of an utterance that is still to be done."""

    calls: tuple[ToolCall, ...] = ()
    question: str = ""
    """Asks for the argument that one of the calls lacks."""
    open: tuple[str, ...] = ()
    """Requests to be answered without a tool."""


class Planner:
    """Decides about calls and reports their results. Every method blocks."""

    def __init__(self, completion: Completion, router: Router, quoter: Quoter) -> None:
        self._completion = completion
        self._router = router
        self._quoter = quoter

    def prepare(self, tools: Tools, cancel: CancelToken) -> None:
        """Read the declarations and the fixed beginnings of the prompts ahead."""
        self._router.prepare(routed(tools), cancel)
        openings = [confirmations.opening()] if routed(tools) else []
        if any(one.kind is ToolKind.CODE for one in tools.server):
            openings.append(programs.opening())
        for opening in openings:
            self._completion.complete([*opening, {"role": "user", "content": ""}], 0, cancel)

    def plan(self, request: GenerationRequest, cancel: CancelToken) -> Plan:
        """Return what the end of the history asks for. Raises `EngineError`."""
        history = request.history
        detector = IntentDetector(self._router, request.tools, cancel)
        if not any(isinstance(part, ToolResult) for part in history[-1].parts):
            return self._begin(request, detector, cancel)
        pending = self._continue(detector, history, cancel)
        if pending.calls:
            return Plan(pending.calls)
        report = _Report(self, detector, history, cancel)
        said = (*report.sentences, pending.question)
        return Plan(text=" ".join(filter(None, said)), rest=" ".join((*report.open, *pending.open)))

    def _begin(
        self, request: GenerationRequest, detector: IntentDetector, cancel: CancelToken
    ) -> Plan:
        """The plan for words that nothing was done about yet."""
        history = request.history
        place = turns.last_words(history)
        if place < 0 or any(one.role is Role.MODEL for one in history[place:]):
            return Plan()
        pending = self._pending(self.intents(detector, history, place), (), cancel)
        if pending.question and not pending.calls:
            # What was no answer to a question back may be a request of its own.
            again = self._pending(detector.detect(history, place), (), cancel)
            pending = again if again.calls or again.question else pending
        if not pending.calls:
            rest = " ".join(pending.open) if pending.question else ""
            return Plan(text=pending.question, rest=rest)
        unblocked = {one.name for one in detector.routed if one.behavior is Behavior.NON_BLOCKING}
        if not all(call.name in unblocked for call in pending.calls):
            return Plan(pending.calls)
        text = " ".join(filter(None, (ON_IT, pending.question)))
        return Plan(pending.calls, text, " ".join(pending.open))

    def _continue(
        self, detector: IntentDetector, history: Sequence[Content], cancel: CancelToken
    ) -> _Pending:
        """Return what of the user's last words is left to do, if the results are of their calls."""
        place = turns.last_words(history)
        since = history[place + 1 :]
        made = turns.calls_in(since)
        if place < 0 or turns.has_spoken(since) or not turns.are_of(history[-1], made):
            return _Pending()
        intents = self.intents(detector, history, place)
        pending = self._pending(intents, made, cancel)
        corrected = self._corrected(intents, history[-1], made, cancel)
        return replace(pending, calls=(*pending.calls, *corrected))

    def _corrected(
        self, intents: Intents, results_: Content, made: Sequence[ToolCall], cancel: CancelToken
    ) -> tuple[ToolCall, ...]:
        """The call of a corrected program, if the only one that was run failed."""
        asked = [one for one in intents.calls if one.kind is ToolKind.CODE]
        if len(asked) != 1 or asked[0].args is not None:
            return ()
        name = asked[0].tool.name
        runs = [call for call in made if call.name == name]
        errors = [part.response for part in results_.parts
                  if isinstance(part, ToolResult) and part.name == name]  # fmt: skip
        if len(runs) != 1 or len(errors) != 1 or errors[0].get("outcome") != FAILED:
            return ()
        failed = str(runs[0].args.get("code", ""))
        output = str(errors[0].get("output", "")).strip().rpartition("\n")[2]
        code = programs.write_program(self._completion, asked[0].request, cancel, (failed, output))
        known = not code or code == failed
        return () if known else (ToolCall(CallId(""), name, {"code": code}),)

    def intents(self, detector: IntentDetector, history: Sequence[Content], place: int) -> Intents:
        """The intents of the words at `place`, which may answer a question back."""
        answered = _answered_intent(detector, history, place)
        return detector.detect(history, place) if answered is None else Intents((answered,))

    def _pending(self, intents: Intents, made: Sequence[ToolCall], cancel: CancelToken) -> _Pending:
        """The calls that are still to be made, and what is missing for one of them."""
        names = [call.name for call in made]
        known = [(call.name, dict(call.args)) for call in made]
        calls: list[ToolCall] = []
        question = ""
        unwritten: list[str] = []
        for intent in intents.calls:
            if intent.tool.name in names:
                names.remove(intent.tool.name)
                continue
            try:
                args = self._arguments(intent, cancel)
            except MissingArgument as missing:
                question = question or question_for(intent.tool, missing.name)
                continue
            if args is None:
                unwritten.append(intent.request)
            elif (intent.tool.name, args) not in known and len(calls) < _MAX_CALLS:
                known.append((intent.tool.name, args))
                calls.append(ToolCall(CallId(""), intent.tool.name, args))
        rest = (*unwritten, *intents.open) if calls or made or question else ()
        return _Pending(tuple(calls), question, rest)

    def _arguments(self, intent: Intent, cancel: CancelToken) -> dict[str, object] | None:
        """The arguments of a call; `None` if the model wrote no program."""
        if intent.args is not None:
            return dict(intent.args)
        if intent.kind is ToolKind.CODE:
            code = programs.write_program(self._completion, intent.request, cancel)
            return {"code": code} if code else None
        return fill(intent.tool, " ".join(intent.request.split()), self._router.encoder)

    def report(
        self, kind: ToolKind | None, call: ToolCall, result: ToolResult, request: str,
        cancel: CancelToken,
    ) -> str:  # fmt: skip
        """A sentence about a result; empty if the model is to answer `request` by itself."""
        if kind is ToolKind.SEARCH:
            return results.report_search(call, result, request, self._quoter, cancel)
        if kind is ToolKind.CODE:
            return results.report_code(result, request)
        if kind is ToolKind.URL:
            return results.report_pages(result, request, self._quoter, cancel)
        if failure := results.report_failure(result):
            return failure
        values = results.report_values(result)
        if result.will_continue:
            return results.report_progress(values)
        if values or not request or words.names_query(result.name):
            return values or confirmations.DONE
        return confirmations.confirm(self._completion, request, call, cancel)


class _Report:
    """Sentences about all results that the model has not spoken of yet.

    `open` are the questions for which a search found nothing.
    """

    def __init__(
        self, planner: Planner, detector: IntentDetector, history: Sequence[Content],
        cancel: CancelToken,
    ) -> None:  # fmt: skip
        self._planner = planner
        self._detector = detector
        self._history = history
        sentences: dict[str, None] = {}
        open_: dict[str, None] = {}
        for result in turns.unreported(history):
            place, call = turns.call_of(result, history)
            request = self._request(place, call)
            kind = detector.kind(result.name)
            text = planner.report(kind, call, result, request, cancel)
            (sentences if text else open_)[text or request] = None
        self.sentences = tuple(sentences)
        self.open = tuple(open_)

    def _request(self, place: int, call: ToolCall) -> str:
        """The request that led to the call, with the words before a question back."""
        begin = turns.last_words(self._history, place)
        if begin < 0:
            return ""
        intents = self._planner.intents(self._detector, self._history, begin).calls
        fitting = [one for one in intents if one.tool.name == call.name]
        exact = [one for one in fitting if one.args is not None and dict(one.args) == call.args]
        if found := exact or fitting:
            return found[0].request
        return turns.utterance(self._history[begin])


def question_for(tool: ToolDeclaration, name: str) -> str:
    """The question back for a missing argument."""
    wanted = next((one for one in _asked_parameters(tool) if one.name == name), None)
    how = "How many" if wanted and wanted.kind == "integer" else "Which"
    return f"{how} {' '.join(words.split_identifier(name)) or 'one'} should it be?"


def _asked_parameters(tool: ToolDeclaration) -> list[Parameter]:
    """The required parameters, and those of required objects, level by level."""
    found = level = parameter_kinds.parameters(tool)
    for _ in range(_MAX_ASKED_DEPTH):
        objects = [one for one in level if one.needed and one.kind == "object"]
        inner = (parameter_kinds.parameters_of(one.schema, one.about) for one in objects)
        level = list(itertools.chain(*inner))
        found = [*found, *level]
    return [one for one in found if one.needed]


def _answered_intent(
    detector: IntentDetector, history: Sequence[Content], place: int
) -> Intent | None:
    """The intent for which the model asked back before `place`, with the answer joined to it."""
    before = turns.last_words(history, place)
    answer = turns.utterance(history[place])
    if before < 0 or not words.is_answer(answer):
        return None
    asked = " ".join(
        turns.utterance(one) for one in history[before:place] if one.role is Role.MODEL
    )
    if not asked.endswith("?"):
        return None
    for tool in detector.routed:
        names = (one.name for one in _asked_parameters(tool))
        if any(asked.endswith(question_for(tool, name)) for name in names):
            intents = detector.detect(history, before).calls
            request = next((one.request for one in intents if one.tool.name == tool.name), "")
            joined = f"{request or turns.utterance(history[before])} {answer}"
            return Intent(joined, tool, detector.kind(tool.name))
    return None
