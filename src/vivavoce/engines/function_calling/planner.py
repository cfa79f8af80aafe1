"""Tools for a model that can't choose them: routed by meaning, filled from what was said.

The words of the user that came last say what is to be called; the calls made since then, how
much of it was. All of it is called at once, whatever "then" says between two requests. When the
results are there, all of them are told in one answer. Everything is read off the history, so
that it also holds after a resumption.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vivavoce.domain.content import (
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
from vivavoce.engines.function_calling import findings, outcome, prompts, schema, turns, words
from vivavoce.engines.function_calling.arguments import MissingArgument, fill
from vivavoce.engines.function_calling.completion import Completion
from vivavoce.engines.function_calling.reading import Reader
from vivavoce.engines.function_calling.router import Router
from vivavoce.engines.function_calling.wishes import Chooser, Said, Wish, routed
from vivavoce.engines.lanes import CancelToken

ON_IT = "I'm on it."
_SENTENCE_TOKENS = 40
_MOST_CALLS = 16
_GOES_ON = Behavior.NON_BLOCKING


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do now: calls to make, then something to say, then requests to answer freely.

    A plan of nothing leaves the words to the model.
    """

    calls: tuple[ToolCall, ...] = ()
    text: str = ""
    rest: str = ""


class Planner:
    """Decides about calls and speaks of their results. Every method blocks."""

    def __init__(self, completion: Completion, router: Router, reader: Reader) -> None:
        self._completion = completion
        self._router = router
        self._reader = reader

    def prepare(self, tools: Tools, token: CancelToken) -> None:
        """Read the declarations and the beginning of the prompts ahead."""
        self._router.learn(routed(tools))
        self._completion.complete(prompts.opening(), 0, token)

    def plan(self, request: GenerationRequest, token: CancelToken) -> Plan:
        """What the end of the history asks for: calls, a question back, a report."""
        history = request.history
        chooser = Chooser(self._router, request.tools)
        if not any(isinstance(part, ToolResult) for part in history[-1].parts):
            return self._begun(request, chooser, token)
        said, todo, question = self._left(chooser, history, token)
        if todo:
            return Plan(todo)
        told, unanswered = self._report(request, chooser, token)
        told += [one for one in (said.excuse, question) if one]
        return Plan(text=" ".join(told), rest=" ".join((*unanswered, *said.rest)))

    def _left(
        self, chooser: Chooser, history: Sequence[Content], token: CancelToken
    ) -> tuple[Said, tuple[ToolCall, ...], str]:
        """What of the user's last words is still to be done, if the results are of their calls."""
        place = turns.last_words(history)
        since = history[place + 1 :]
        made = turns.calls_in(since)
        if place < 0 or turns.has_spoken(since) or not turns.are_of(history[-1], made):
            return Said(), (), ""
        said = self._said(chooser, history, place)
        return said, *self._calls(said.wishes, made, token)

    def _begun(self, request: GenerationRequest, chooser: Chooser, token: CancelToken) -> Plan:
        """The plan for words that nothing was done about yet."""
        history = request.history
        place = turns.last_words(history)
        if place < 0 or any(one.role is Role.MODEL for one in history[place:]):
            return Plan()
        said = self._said(chooser, history, place)
        calls, question = self._calls(said.wishes, (), token)
        if question and not calls:
            # What was no answer to a question back may be a request of its own.
            said = chooser.said(history, place)
            calls, again = self._calls(said.wishes, (), token)
            question = again or ("" if calls else question)
        if not calls:
            text = f"{said.excuse} {question}".strip()
            return Plan(text=text, rest=" ".join(said.rest) if text else "")
        going = {one.name for one in routed(request.tools) if one.behavior is _GOES_ON}
        if not all(call.name in going for call in calls):
            return Plan(calls)
        told = (one for one in (ON_IT, said.excuse, question) if one)
        return Plan(calls, " ".join(told), " ".join(said.rest))

    def _said(self, chooser: Chooser, history: Sequence[Content], place: int) -> Said:
        """What the words at `place` want; they may answer what was asked back."""
        asked = _asked_back(chooser, history, place)
        if asked is None:
            return chooser.said(history, place)
        return Said((asked,))

    def _calls(
        self, wishes: Sequence[Wish], made: Sequence[ToolCall], token: CancelToken
    ) -> tuple[tuple[ToolCall, ...], str]:
        """The calls that are still to be made, and what is missing for one of them."""
        names = [call.name for call in made]
        known = [(call.name, dict(call.args)) for call in made]
        calls: list[ToolCall] = []
        question = ""
        for wish in wishes:
            if wish.tool.name in names:
                names.remove(wish.tool.name)
                continue
            try:
                args = (
                    wish.args
                    if wish.args is not None
                    else fill(wish.tool, " ".join(wish.words.split()), self._router.encoder)
                )
            except MissingArgument as missing:
                question = question or question_for(wish.tool, missing.name)
                continue
            if (wish.tool.name, dict(args)) not in known and len(calls) < _MOST_CALLS:
                known.append((wish.tool.name, dict(args)))
                calls.append(ToolCall(CallId(""), wish.tool.name, args))
        return tuple(calls), question

    def _report(
        self, request: GenerationRequest, chooser: Chooser, token: CancelToken
    ) -> tuple[list[str], list[str]]:
        """A sentence for each result that nobody has spoken of yet, and the questions to which
        none was found, which the model shall answer by itself.
        """
        told: list[str] = []
        unanswered: list[str] = []
        for result in turns.untold(request.history):
            place, call = turns.call_of(result, request.history)
            asked = self._words_for(chooser, request.history, place, call)
            if sentence := self._told(chooser, result, call, asked, token):
                told.append(sentence)
            else:
                unanswered.append(asked)
        return list(dict.fromkeys(told)), list(dict.fromkeys(unanswered))

    def _told(
        self, chooser: Chooser, result: ToolResult, call: ToolCall, asked: str, token: CancelToken
    ) -> str:
        kind = chooser.kind(result.name)
        if kind is not None and kind is not ToolKind.MCP:
            return findings.report(kind, call, result, asked, self._reader, token)
        if told := outcome.failure(result):
            return told
        found = outcome.findings(result)
        if result.will_continue:
            return outcome.progress(found)
        if found or not asked or words.names_query(result.name):
            return found or outcome.DONE
        done = outcome.deed(call)
        prompt = prompts.confirming(asked, done)
        text = self._completion.complete(prompt, _SENTENCE_TOKENS, token)
        sentence = " ".join(text.split("\n")[0].split())
        fits = sentence.endswith((".", "!")) and outcome.is_grounded(sentence, asked, done)
        return sentence if fits else outcome.DONE

    def _words_for(
        self, chooser: Chooser, history: Sequence[Content], place: int, call: ToolCall
    ) -> str:
        """The request that led to the call at `place`, words before a question back included."""
        begin = turns.last_words(history, place)
        if begin < 0:
            return ""
        wishes = self._said(chooser, history, begin).wishes
        fitting = [wish for wish in wishes if wish.tool.name == call.name]
        exact = [one for one in fitting if one.args is not None and dict(one.args) == call.args]
        if found := exact or fitting:
            return found[0].words
        return turns.utterance(history[begin])


def question_for(tool: ToolDeclaration, name: str) -> str:
    """How the user is asked for a value that was not said."""
    wanted = schema.properties(schema.plain(tool.parameters)).get(name, {})
    how = "How many" if schema.kind(wanted) == "integer" else "Which"
    return f"{how} {' '.join(words.split_identifier(name)) or 'one'} should it be?"


def _asked_back(chooser: Chooser, history: Sequence[Content], place: int) -> Wish | None:
    """The request of which the model's words before `place` asked for a missing value.

    Words that can't be an answer are none.
    """
    before = turns.last_words(history, place)
    said = turns.utterance(history[place])
    if before < 0 or not words.is_answer(said):
        return None
    asked = " ".join(
        " ".join(one.text.split()) for one in history[before:place] if one.role is Role.MODEL
    ).strip()
    if not asked.endswith("?"):
        return None
    for tool in chooser.tools:
        names = schema.required(schema.plain(tool.parameters))
        if not any(asked.endswith(question_for(tool, name)) for name in names):
            continue
        wishes = chooser.said(history, before).wishes
        request = next((w.words for w in wishes if w.tool.name == tool.name), "")
        joined = f"{request or turns.utterance(history[before])} {said}"
        return Wish(joined, tool, chooser.kind(tool.name))
    return None
