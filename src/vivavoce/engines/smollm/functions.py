"""Functions for a model that can't choose them: routed by meaning, filled from what was said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vivavoce.domain.content import Content, Role, ToolCall, ToolDeclaration, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.lanes import CancelToken
from vivavoce.engines.smollm import outcome, prompt, schema, words
from vivavoce.engines.smollm.arguments import Unsaid, fill
from vivavoce.engines.smollm.llama import Llama
from vivavoce.engines.smollm.router import Router

_CALL_TOKENS = 160
_SENTENCE_TOKENS = 40


@dataclass(frozen=True, slots=True)
class Question:
    """What to ask the user before the call can be made."""

    text: str


class Functions:
    """Decides about calls and speaks of their results. Every method blocks.

    `slot` is the model's slot for these asides, so that they push no conversation out.
    """

    def __init__(self, llama: Llama, router: Router, slot: int) -> None:
        self._llama = llama
        self._router = router
        self._slot = slot

    def learn(self, tools: Sequence[ToolDeclaration], token: CancelToken) -> None:
        """Read declarations and the prompt of the asides ahead."""
        self._router.learn(tools)
        self._ask(prompt.aside(), 0, token)

    def decide(self, request: GenerationRequest, token: CancelToken) -> ToolCall | Question | None:
        """The call that the user's newest words ask for, or what is missing for it."""
        tools = request.tools.functions
        said = prompt.utterance(request.history[-1])
        tool = _asked_about(request.history, tools) if words.is_answer(said) else None
        if tool is not None:
            said = _joined(request.history)
        elif (choice := self._router.choose(said, tools)) is not None:
            tool = choice.tool
        if tool is None:
            return None

        def choose(question: str, grammar: str) -> str:
            return self._ask(prompt.filling(question), _CALL_TOKENS, token, grammar)

        try:
            return ToolCall(CallId(""), tool.name, fill(tool, said, choose))
        except Unsaid as missing:
            return Question(question(tool, missing.name))

    def report(self, request: GenerationRequest, token: CancelToken) -> str:
        """A sentence for each result that the history ends with."""
        results = [p for p in request.history[-1].parts if isinstance(p, ToolResult)]
        sentences = [self._sentence(request, result, token) for result in results]
        return " ".join(dict.fromkeys(sentences))

    def _sentence(self, request: GenerationRequest, result: ToolResult, token: CancelToken) -> str:
        if told := outcome.failure(result) or outcome.findings(result):
            return told
        asked = _asked(request)
        if not asked or words.informs(result.name):
            return outcome.DONE
        done = outcome.deed(_call_of(result, request.history))
        text = self._ask(prompt.confirming(asked, done), _SENTENCE_TOKENS, token)
        sentence = " ".join(text.split("\n")[0].split())
        fits = sentence.endswith((".", "!")) and outcome.is_grounded(
            sentence, prompt.tidy(asked), done
        )
        return sentence if fits else outcome.DONE

    def _ask(
        self, messages: list[prompt.Message], limit: int, token: CancelToken, grammar: str = ""
    ) -> str:
        body = {
            "messages": messages,
            "temperature": 0,
            "max_tokens": limit,
            "id_slot": self._slot,
            "cache_prompt": True,
        }
        return self._llama.complete({**body, "grammar": grammar} if grammar else body, token)


def question(tool: ToolDeclaration, name: str) -> str:
    """How the user is asked for a value that was not said."""
    wanted = schema.properties(schema.plain(tool.parameters)).get(name, {})
    how = "How many" if schema.kind(wanted) == "integer" else "Which"
    return f"{how} {' '.join(words.of_name(name)) or 'one'} should it be?"


def _asked_about(
    history: Sequence[Content], tools: Sequence[ToolDeclaration]
) -> ToolDeclaration | None:
    """The function of which the model's words before the last asked for a missing value.

    It is read off the history, so that it also holds after a resumption.
    """
    if len(history) < 3:
        return None
    asked, before = history[-2], history[-3]
    if asked.role is not Role.MODEL or before.role is not Role.USER:
        return None
    for tool in tools:
        names = schema.required(schema.plain(tool.parameters))
        if asked.text.strip() in {question(tool, name) for name in names} and before.text:
            return tool
    return None


def _call_of(result: ToolResult, history: Sequence[Content]) -> ToolCall:
    for content in reversed(history):
        for part in content.parts:
            if not isinstance(part, ToolCall) or part.name != result.name:
                continue
            if not result.id or part.id == result.id:
                return part
    return ToolCall(result.id, result.name, {})


def _joined(history: Sequence[Content]) -> str:
    """A request and, after it, the value that was missing."""
    return f"{prompt.utterance(history[-3])} {prompt.utterance(history[-1])}"


def _asked(request: GenerationRequest) -> str:
    """The user's words that led to the newest call, those before a question back included."""
    history = request.history
    for end in range(len(history), 0, -1):
        content = history[end - 1]
        if content.role is Role.USER and prompt.utterance(content):
            asked_back = _asked_about(history[:end], request.tools.functions)
            return _joined(history[:end]) if asked_back else prompt.utterance(content)
    return ""
