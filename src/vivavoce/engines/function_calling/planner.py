"""Choose tool calls and report their results for a language model without function calling.

The user's last words say what is to be called, and the calls since then how much of it was. All
calls of an utterance are made at once; when the results are there, one answer reports all of
them. Everything is read off the history, so that it also holds after a resumption.

Which tool a request asks for is decided by the first rule that matches it:

1. A web address is read, unless a function takes addresses itself.
2. Typed Python is run; a calculation or a program that is asked for is written and run.
3. "Google it" and "search the web" are searches.
4. A function of the client's or of an MCP server is called if the router chooses it.
5. Other search commands and questions about facts are searches. "Search for" is left to a
   function only if that fetches what is named.
"""

from __future__ import annotations

import itertools
import string
from collections.abc import Sequence
from dataclasses import dataclass, replace

from vivavoce.domain.content import (
    FAILED,
    Behavior,
    Content,
    Json,
    Part,
    Role,
    Scheduling,
    Text,
    ToolCall,
    ToolDeclaration,
    ToolKind,
    ToolResult,
    Tools,
)
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.function_calling import completion, declarations, results, utterances, words
from vivavoce.engines.function_calling.arguments import MissingArgument, fill_arguments
from vivavoce.engines.function_calling.completion import Completion
from vivavoce.engines.function_calling.declarations import Parameter
from vivavoce.engines.function_calling.results import Quoter
from vivavoce.engines.function_calling.router import Router
from vivavoce.engines.workers import CancelToken

ON_IT = "I'm on it."
_MAX_CALLS = 16
_MAX_ASKED_DEPTH = 3


@dataclass(frozen=True, slots=True)
class Plan:
    """Next step of a turn: calls to make, text to say, then a request to answer freely.

    An empty plan leaves the answer to the model.
    """

    calls: tuple[ToolCall, ...] = ()
    text: str = ""
    rest: str = ""


@dataclass(frozen=True, slots=True)
class _Pending:
    """The open part of an utterance."""

    calls: tuple[ToolCall, ...] = ()
    question: str = ""
    """Asks for the argument that one of the calls lacks."""
    open: tuple[str, ...] = ()
    """Requests to be answered without a tool."""


class Planner:
    """Decides which calls to make and reports their results. Every method blocks."""

    def __init__(self, completion: Completion, router: Router, quoter: Quoter) -> None:
        self._completion = completion
        self._router = router
        self._quoter = quoter

    def prepare(self, tools: Tools, cancel: CancelToken) -> None:
        """Read the declarations and the fixed parts of the prompts ahead."""
        self._router.prepare_tools(routed_tools(tools), cancel)
        openings = [results.CONFIRMATION_PROMPT] if routed_tools(tools) else []
        if any(one.kind is ToolKind.CODE for one in tools.server):
            openings.append(completion.PROGRAM_PROMPT)
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
        sentences, unanswered = self._report(detector, history, cancel)
        text = " ".join(filter(None, (*sentences, pending.question)))
        return Plan(text=text, rest=" ".join((*unanswered, *pending.open)))

    def _begin(
        self, request: GenerationRequest, detector: IntentDetector, cancel: CancelToken
    ) -> Plan:
        """Return the plan for words for which no call was made yet."""
        history = request.history
        place = find_last_words(history)
        if place < 0 or any(one.role is Role.MODEL for one in history[place:]):
            return Plan()
        pending = self._pending(_detect_intents(detector, history, place), (), cancel)
        if pending.question and not pending.calls:
            # What was no answer to a follow-up question may be a request of its own.
            again = self._pending(detector.detect_intents(history, place), (), cancel)
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
        """Return what of the user's last words is open, if the results are of their calls."""
        place = find_last_words(history)
        since = history[place + 1 :]
        made = calls_in(since)
        if place < 0 or has_spoken(since) or not answer_calls(history[-1], made):
            return _Pending()
        intents = _detect_intents(detector, history, place)
        pending = self._pending(intents, made, cancel)
        corrected = self._corrected(intents, history[-1], made, cancel)
        return replace(pending, calls=(*pending.calls, *corrected))

    def _corrected(
        self, intents: Intents, results_: Content, made: Sequence[ToolCall], cancel: CancelToken
    ) -> tuple[ToolCall, ...]:
        """Return the call of a corrected program, if the only one that was run failed."""
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
        code = completion.write_program(
            self._completion, asked[0].request, cancel, (failed, output)
        )
        known = not code or code == failed
        return () if known else (ToolCall(CallId(""), name, {"code": code}),)

    def _pending(self, intents: Intents, made: Sequence[ToolCall], cancel: CancelToken) -> _Pending:
        """Return the calls that are still to be made, and what is missing for one of them."""
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
        """Return the arguments of a call; `None` if the model wrote no program."""
        if intent.args is not None:
            return dict(intent.args)
        if intent.kind is ToolKind.CODE:
            code = completion.write_program(self._completion, intent.request, cancel)
            return {"code": code} if code else None
        return fill_arguments(intent.tool, " ".join(intent.request.split()), self._router.encoder)

    def _report(
        self, detector: IntentDetector, history: Sequence[Content], cancel: CancelToken
    ) -> tuple[list[str], list[str]]:
        """Return sentences about all results that the model has not spoken of yet.

        Second come the questions for which a search found nothing.
        """
        sentences: dict[str, None] = {}
        unanswered: dict[str, None] = {}
        for result in find_unreported(history):
            place, call = find_call(result, history)
            request = _request_of(call, detector, history, place)
            text = self._report_result(detector.kind(result.name), call, result, request, cancel)
            (sentences if text else unanswered)[text or request] = None
        return list(sentences), list(unanswered)

    def _report_result(
        self, kind: ToolKind | None, call: ToolCall, result: ToolResult, request: str,
        cancel: CancelToken,
    ) -> str:  # fmt: skip
        """Return a sentence about a result; empty if the model is to answer `request` by itself."""
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
            return values or results.DONE
        return results.confirm_call(self._completion, request, call, cancel)


def _request_of(
    call: ToolCall, detector: IntentDetector, history: Sequence[Content], place: int
) -> str:
    """Return the request that led to a call at `place`, with the words before a follow-up."""
    begin = find_last_words(history, place)
    if begin < 0:
        return ""
    intents = _detect_intents(detector, history, begin).calls
    fitting = [one for one in intents if one.tool.name == call.name]
    exact = [one for one in fitting if one.args is not None and dict(one.args) == call.args]
    if found := exact or fitting:
        return found[0].request
    return read_utterance(history[begin])


def _detect_intents(detector: IntentDetector, history: Sequence[Content], place: int) -> Intents:
    """Return the intents of the words at `place`, which may answer a follow-up question."""
    answered = _answered_intent(detector, history, place)
    return detector.detect_intents(history, place) if answered is None else Intents((answered,))


def question_for(tool: ToolDeclaration, name: str) -> str:
    """Return the follow-up question for a missing argument."""
    wanted = next((one for one in _asked_parameters(tool) if one.name == name), None)
    how = "How many" if wanted and wanted.kind == "integer" else "Which"
    return f"{how} {' '.join(words.split_identifier(name)) or 'one'} should it be?"


def _asked_parameters(tool: ToolDeclaration) -> list[Parameter]:
    """Return the required parameters, and those of required objects, level by level."""
    found = level = declarations.parameters(tool)
    for _ in range(_MAX_ASKED_DEPTH):
        objects = [one for one in level if one.needed and one.kind == "object"]
        inner = (declarations.parameters_of(one.tool_schema, one.schema) for one in objects)
        level = list(itertools.chain(*inner))
        found = [*found, *level]
    return [one for one in found if one.needed]


def _answered_intent(
    detector: IntentDetector, history: Sequence[Content], place: int
) -> Intent | None:
    """Return the intent about which the model asked back, joined with the answer at `place`."""
    before = find_last_words(history, place)
    answer = read_utterance(history[place])
    if before < 0 or not words.is_answer(answer):
        return None
    asked = " ".join(read_utterance(one) for one in history[before:place] if one.role is Role.MODEL)
    if not asked.endswith("?"):
        return None
    for tool in detector.routed:
        names = (one.name for one in _asked_parameters(tool))
        if any(asked.endswith(question_for(tool, name)) for name in names):
            intents = detector.detect_intents(history, before).calls
            request = next((one.request for one in intents if one.tool.name == tool.name), "")
            joined = f"{request or read_utterance(history[before])} {answer}"
            return Intent(joined, tool, detector.kind(tool.name))
    return None


# --- intents: which tool each request asks for --------------------------------------------

_MAX_ADDRESSES = 20
_ADDRESS_PARAMETERS = words.word_set("url urls uri uris link links address website")
_ABOUT_CODE = utterances.content_words(
    "write generate create run execute code program script python calculation result answer"
)
"""Content words of a request that only asks for code: "Write a program for it."."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A request and the tool that it asks for.

    `kind` is absent for the client's functions. `args` are known where the words alone make them;
    those of functions follow from their schema, a program is written by the model.
    """

    request: str
    tool: ToolDeclaration
    kind: ToolKind | None = None
    args: Json | None = None


@dataclass(frozen=True, slots=True)
class Intents:
    """Requests found in an utterance; `open` are requests to be answered without a tool."""

    calls: tuple[Intent, ...] = ()
    open: tuple[str, ...] = ()


def routed_tools(tools: Tools) -> tuple[ToolDeclaration, ...]:
    """Return the tools among which the router chooses: all but the server's own of a known kind."""
    of_servers = (one.declaration for one in tools.server if one.kind is ToolKind.MCP)
    return (*tools.functions, *of_servers)


class IntentDetector:
    """Detector of intents for the tools of one generation. Blocks: about 10 ms a request."""

    def __init__(self, router: Router, tools: Tools, cancel: CancelToken | None = None) -> None:
        self._router = router
        self._cancel = cancel
        self._tools = tools
        self._kinds = {one.declaration.name: one.kind for one in tools.server}
        self._known: dict[tuple[str, str], Intent | None] = {}
        self.routed = routed_tools(tools)

    def detect_intents(self, history: Sequence[Content], place: int) -> Intents:
        """Return the intents of the user's words at `place`."""
        previous = last_query(history, place)

        def target(piece: str) -> str:
            intent = self.detect_intent(piece, previous)
            return intent.tool.name if intent else ""

        text = history[place].text[:MAX_CHARS]
        pieces = self._joined(utterances.split_requests(text, target), previous)
        found = [(piece, self.detect_intent(piece, previous)) for piece in pieces]
        calls = tuple(intent for _, intent in found if intent is not None)
        rest = (one for one, intent in found if not intent and utterances.asks_for_answer(one))
        return Intents(calls, tuple(rest) if calls else ())

    def _joined(self, pieces: Sequence[str], previous: str) -> list[str]:
        """Join the sentences of one calculation: "A costs 5 euros. What do 3 of it cost?"

        A request that only asks for code ("Write a program for it.") joins the one before.
        """
        joined: list[str] = []
        for piece in pieces:
            last = self.detect_intent(joined[-1], previous) if joined else None
            is_story = (
                last is not None
                and last.kind is ToolKind.CODE
                and not (
                    utterances.asks_for_answer(joined[-1]) or utterances.is_command(joined[-1])
                )
            )
            only_code = completion.is_program_request(piece) and not (
                utterances.content_words(piece) - _ABOUT_CODE
            )
            if joined and (only_code or (is_story and utterances.asks_for_answer(piece))):
                joined[-1] = f"{joined[-1]} {piece}"
            else:
                joined.append(piece)
        return joined

    def detect_intent(self, request: str, previous: str = "") -> Intent | None:
        """Return the intent of one request; `previous` is the last search query."""
        key = (request, previous)
        if key not in self._known:
            self._known[key] = self._detect(request, previous)
        return self._known[key]

    def kind(self, name: str) -> ToolKind | None:
        """Return the kind of a tool of the server's; `None` for the client's functions."""
        return self._kinds.get(name)

    def _detect(self, request: str, previous: str) -> Intent | None:
        code = self._served(ToolKind.CODE)
        if (found := self._address(request)) or (code and (found := _typed(request, code))):
            return found
        plain = utterances.strip_request(request)
        if code and (completion.is_program_request(plain) or completion.is_calculation(plain)):
            return Intent(request, code, ToolKind.CODE)
        found = self._function_or_search(request, previous)
        if found is None and code and completion.may_be_calculated(plain):
            return Intent(request, code, ToolKind.CODE)
        return found

    def _address(self, request: str) -> Intent | None:
        tool = self._served(ToolKind.URL)
        found = utterances.find_addresses(request)
        if tool is None or not found:
            return None
        choice = self._router.choose_function(request, self.routed, self._cancel)
        if choice is not None and _takes_address(choice.tool):
            return None
        return Intent(request, tool, ToolKind.URL, {"urls": found[:_MAX_ADDRESSES]})

    def _function_or_search(self, request: str, previous: str) -> Intent | None:
        tool = self._served(ToolKind.SEARCH)
        query = utterances.find_search_query(request, previous) if tool is not None else ""
        search = (
            Intent(request, tool, ToolKind.SEARCH, {"query": query}) if tool and query else None
        )
        if search and utterances.names_the_web(request):
            return search
        choice = self._router.choose_function(" ".join(request.split()), self.routed, self._cancel)
        if choice is None:
            return search
        fetches = words.names_query(choice.tool.name) and _is_named(choice.tool, query)
        if search and utterances.is_search_command(request) and not fetches:
            return search
        return Intent(request, choice.tool, self.kind(choice.tool.name))

    def _served(self, kind: ToolKind) -> ToolDeclaration | None:
        return next((one.declaration for one in self._tools.server if one.kind is kind), None)


def _typed(request: str, tool: ToolDeclaration) -> Intent | None:
    code = completion.typed_code(utterances.strip_plea(request))
    return Intent(request, tool, ToolKind.CODE, {"code": code}) if code else None


def _is_named(tool: ToolDeclaration, request: str) -> bool:
    """Return whether the request has a word that says what the function is about."""
    about = f"{' '.join(words.split_identifier(tool.name))} {tool.description}"
    generic = {words.stem(word) for word in words.GENERIC_VERBS}
    shared = utterances.content_words(about) & utterances.content_words(request)
    return bool(shared - generic)


def _takes_address(tool: ToolDeclaration) -> bool:
    names = (one.name for one in declarations.parameters(tool))
    return any(_ADDRESS_PARAMETERS.intersection(words.split_identifier(name)) for name in names)


# --- turns: parts of the history ----------------------------------------------------------

MAX_CHARS = 1000
"""Of one content that are read for functions: many expressions here take time that grows with the
square of their text."""

_NO_WORDS = f"{string.punctuation}{string.whitespace}…¿¡"


def has_words(content: Content) -> bool:
    """Return whether a content has words of the user's. A lone "." only asks for an answer."""
    return (
        content.role is Role.USER
        and bool(content.text.strip(_NO_WORDS))
        and not any(isinstance(part, ToolResult) for part in content.parts)
    )


def read_utterance(content: Content) -> str:
    """Return the words of a content on one line, as far as they are read."""
    return " ".join(content.text[:MAX_CHARS].split())


def find_last_words(history: Sequence[Content], end: int | None = None) -> int:
    """Return the index of the user's last words before `end`; -1 if there are none."""
    places = range((len(history) if end is None else end) - 1, -1, -1)
    return next((place for place in places if has_words(history[place])), -1)


def last_query(history: Sequence[Content], place: int) -> str:
    """Return the last search query of the exchange before `place`; empty if there is none."""
    previous = find_last_words(history, place)
    for content in reversed(history[previous + 1 : place]):
        for part in reversed(content.parts):
            if isinstance(part, ToolCall) and isinstance(part.args.get("query"), str):
                return str(part.args["query"])
    return ""


def calls_in(contents: Sequence[Content]) -> tuple[ToolCall, ...]:
    return tuple(p for content in contents for p in content.parts if isinstance(p, ToolCall))


def has_spoken(contents: Sequence[Content]) -> bool:
    """Return whether the model has spoken in these contents."""
    return any(one.role is Role.MODEL and one.text.strip() for one in contents)


def answer_calls(content: Content, calls: Sequence[ToolCall]) -> bool:
    """Return whether the results in a content are those of the calls."""
    return all(
        any(call.name == part.name and part.id in ("", call.id) for call in calls)
        for part in content.parts
        if isinstance(part, ToolResult)
    )


def find_unreported(history: Sequence[Content]) -> list[ToolResult]:
    """Return the results since the last words; silent ones only at the end of the history.

    Of a program that failed and was run again, only the last result counts.
    """
    begin = next((n for n in range(len(history) - 1, -1, -1) if history[n].text.strip()), -1)
    last = history[-1]
    found = [
        part
        for content in history[begin + 1 :]
        for part in content.parts
        if isinstance(part, ToolResult)
        and (content is last or part.scheduling is not Scheduling.SILENT)
    ]
    return [
        one
        for n, one in enumerate(found)
        if one.response.get("outcome") != FAILED
        or not any(later.name == one.name for later in found[n + 1 :])
    ]


def find_call(result: ToolResult, history: Sequence[Content]) -> tuple[int, ToolCall]:
    """Return the index and the call that a result belongs to."""
    for place in range(len(history) - 1, -1, -1):
        for part in history[place].parts:
            if not isinstance(part, ToolCall) or part.name != result.name:
                continue
            if not result.id or part.id == result.id:
                return place, part
    return len(history) - 1, ToolCall(result.id, result.name, {})


def history_as_text(history: Sequence[Content]) -> tuple[Content, ...]:
    """Return the history for a model without tools: no calls, results as words of the user.

    A result is shown only until the model has spoken of it; a user's content without words (".")
    is left out where something else remains.
    """
    kept: list[Content] = []
    pending = ""
    for content in history:
        found = [part for part in content.parts if isinstance(part, ToolResult)]
        pending += "".join(f"({results.summarize_result(one)}) " for one in found)
        parts: list[Part] = [p for p in content.parts if not isinstance(p, ToolCall | ToolResult)]
        media = any(not isinstance(part, Text) for part in parts)
        if not (media or content.text.strip(_NO_WORDS)):
            continue
        if content.role is Role.MODEL:
            pending = ""
        elif pending:
            parts.insert(0, Text(pending))
            pending = ""
        kept.append(replace(content, parts=tuple(parts)))
    if pending:
        kept.append(Content(Role.USER, (Text(pending.strip()),)))
    return tuple(kept) or tuple(history[-1:])
