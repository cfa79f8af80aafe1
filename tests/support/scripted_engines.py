"""The scripted model and server tools of a dialogue, the same on every stage.

The `ScriptedAnswers` gives each generation its line of the script, and looks at what the model was
given to answer from. `ScriptedTools` are the tools of a server; stubborn ones swallow every
cancellation and bring what they have all the same.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import replace

from support.dialogue import Answer, Script, ToolAnswer, take_answers
from support.expectations import Mismatch
from vivavoce.domain.content import (
    OK,
    CodeResult,
    Json,
    Page,
    RetrievalStatus,
    Source,
    Text,
    ToolCall,
    ToolKind,
    ToolOutcome,
    ToolResult,
    Tools,
)
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.ports import TurnPause
from vivavoce.tools.ports import OnUnserved

BUILTIN = {
    ToolKind.SEARCH: "googleSearch",
    ToolKind.CODE: "codeExecution",
    ToolKind.URL: "urlContext",
    ToolKind.MCP: "mcpServers",
}
"""How a client asks for the tools of each kind; a scripted server gives it all that it has."""


class ScriptedAnswers:
    """The lines of one dialogue that are still to be spoken."""

    def __init__(self, script: Script) -> None:
        self.tool_answers = script.tool_answers()
        self._answers = list(script.answers)
        self._surprises: list[str] = []

    def take_answer(self, request: GenerationRequest) -> Answer:
        """The next line of the model."""
        answer = self._answers.pop(0) if self._answers else Answer()
        known = model_input(request)
        if answer.given and answer.given not in known:
            self._surprises.append(f"The model was not given {answer.given!r}, but:\n{known}")
        if answer.without and answer.without in known:
            self._surprises.append(f"The model was given {answer.without!r}:\n{known}")
        return answer

    def release(self) -> None:
        """The dialogue is over. Raises `Mismatch` if the model's part in it was another one."""
        if self._surprises:
            raise Mismatch("\n".join(self._surprises))
        if self._answers:
            raise Mismatch(f"The model was never asked for {len(self._answers)} of its answers.")


def model_input(request: GenerationRequest) -> str:
    """All that a model is given to answer from, as text."""
    lines = [request.instruction, ", ".join(tool.name for tool in request.tools.declarations)]
    for content in request.history:
        for part in content.parts:
            if isinstance(part, Text):
                lines.append(f"{content.role.value}: {part.text}")
            elif isinstance(part, ToolCall):
                lines.append(f"call {part.name} {json.dumps(part.args)}")
            elif isinstance(part, ToolResult):
                lines.append(f"result {part.name} {json.dumps(part.response)}")
    return "\n".join(lines)


def scripted_outcome(call: ToolCall, kind: ToolKind, line: ToolAnswer) -> ToolOutcome:
    """What a tool of the server's brings, when the model is to read the response of `line`."""
    response = line.response
    queries = (str(call.args.get("query", "")),) if kind is ToolKind.SEARCH else ()
    if line.fails:
        return ToolOutcome(response, queries=queries, failed=line.fails)
    match kind:
        case ToolKind.SEARCH:
            return ToolOutcome(response, queries=queries, sources=_sources(response))
        case ToolKind.CODE:
            code = CodeResult(response.get("outcome", OK), response.get("output", ""))
            return ToolOutcome(response, code=code)
        case ToolKind.URL:
            return ToolOutcome(response, pages=_pages(response))
        case ToolKind.MCP:
            return ToolOutcome(response)


def _sources(response: Json) -> tuple[Source, ...]:
    found = response.get("results", ())
    return tuple(Source(each["url"], each.get("title", ""), each.get("text", "")) for each in found)


def _pages(response: Json) -> tuple[Page, ...]:
    return tuple(
        Page(page["url"], RetrievalStatus(page["status"]), page.get("title", ""))
        for page in response.get("pages", ())
    )


class LastWordTurnModel:
    """Scores a pause by its last word: `GOING_ON` is unfinished, `FINAL` is sure, others unsure."""

    inline = True

    def score(self, pauses: Sequence[TurnPause]) -> list[float]:
        return [score_last_word(pause.text) for pause in pauses]

    async def aclose(self) -> None:
        return None


GOING_ON = frozenset({"and", "like", "the", "to"})
FINAL = frozenset({"please", "it", "now"})


def score_last_word(text: str) -> float:
    """The probability that these words are a whole turn."""
    last = text.split()[-1] if text.split() else ""
    return 0.05 if last in GOING_ON else 0.95 if last in FINAL else 0.5


class ScriptedTools:
    """The server's tools of one dialogue."""

    def __init__(
        self, script: Script, answers: list[ToolAnswer] | None = None, stubborn: bool = False
    ) -> None:
        self._known = script.server_tools
        self._answers = script.tool_answers() if answers is None else answers
        self._stubborn = stubborn

    def open(self, on_unserved: OnUnserved) -> ScriptedTools:
        """The same for every conversation: there is one."""
        return self

    async def resolve(self, tools: Tools) -> Tools:
        """A client asks by kind; a script that needs no wire names what it means."""
        if not tools.builtin:
            return tools
        wanted = {tool.kind for tool in tools.builtin}
        return replace(tools, server=tuple(t for t in self._known if BUILTIN[t.kind] in wanted))

    async def run(self, call: ToolCall, request: GenerationRequest) -> ToolOutcome:
        """What the next line for this tool says; for ever, if there is none."""
        lines: Sequence[ToolAnswer] = list(take_answers(self._answers, call.name))
        tool = next(tool for tool in self._known if tool.declaration.name == call.name)
        if not lines:
            await asyncio.get_running_loop().create_future()
        await self._work(lines[0].after_s)
        return scripted_outcome(call, tool.kind, lines[0])

    async def aclose(self) -> None:
        return None

    async def _work(self, seconds: float) -> None:
        loop = asyncio.get_running_loop()
        done_at = loop.time() + seconds
        while True:
            try:
                await asyncio.sleep(max(0.0, done_at - loop.time()))
                return
            except asyncio.CancelledError:
                if not self._stubborn:
                    raise
