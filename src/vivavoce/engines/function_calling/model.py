"""Language model that calls functions, over one that only writes text.

Before each answer a plan is made of the end of the conversation: calls, a question about a
missing argument, or a report of results. What the plan leaves open is answered by the text model,
which sees the conversation without calls and results.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from vivavoce.domain.content import Content, Role, Text, Tools
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.function_calling import MINILM, THRESHOLD, planner
from vivavoce.engines.function_calling.completion import Completion
from vivavoce.engines.function_calling.planner import Planner
from vivavoce.engines.function_calling.results import Quoter
from vivavoce.engines.function_calling.router import ListJudge, Router
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.ports import CallsRequested, LanguageModel, ModelPart, TextDelta
from vivavoce.engines.workers import WorkerPool
from vivavoce.errors import EngineBusy, EngineError, EngineMissing

ENGINE = "model.function_calling"


class FunctionCallingModel:
    """The language model port over a planner and a text model, which it closes with itself.

    Its calls fit their declarations by construction; a call that was refused would be planned
    again in the same way, hence `repairs=False`.
    """

    def __init__(self, model: LanguageModel, planner: Planner) -> None:
        self.capabilities = replace(model.capabilities, tools=True, repairs=False)
        self.text_model = model
        self._planner = planner
        self._workers = WorkerPool(ENGINE, workers=model.capabilities.slots)

    async def prepare(self, request: GenerationRequest) -> None:
        """Read declarations, instruction and history ahead.

        While the user speaks, declarations are not read again.
        """
        speaking = bool(request.history) and request.history[-1].role is Role.USER
        if request.tools.declarations and not speaking:
            with suppress(EngineError):  # the answer itself will say what is wrong
                await self._workers.run(lambda token: self._planner.prepare(request.tools, token))
        await self.text_model.prepare(_without_tools(request))

    async def generate(self, request: GenerationRequest) -> AsyncGenerator[ModelPart, None]:
        """Generate calls or a report if there is something to plan, else the text model's answer.

        Raises `EngineError`; `EngineBusy` for a speculative request that would have to wait.
        """
        if request.history and request.tools.declarations:
            if request.speculative and not self._workers.idle:
                raise EngineBusy(ENGINE, "another answer is being planned.")
            plan = await self._workers.run(lambda token: self._planner.plan(request, token))
            if plan.calls:
                yield CallsRequested(plan.calls)
            if plan.text:
                yield TextDelta(f"{plan.text} " if plan.rest else plan.text)
            if plan.rest:
                request = _with_question(request, plan.rest)
            elif plan.calls or plan.text:
                return
        parts: Any = self.text_model.generate(_without_tools(request))
        async with aclosing(parts):
            async for part in parts:
                yield part

    async def release(self, session: str) -> None:
        await self.text_model.release(session)

    async def aclose(self) -> None:
        self._workers.close()
        await self.text_model.aclose()


def add_function_calling(
    model: LanguageModel,
    completion: Completion,
    folder: Path,
    threshold: float = THRESHOLD,
    judge: bool = False,
) -> FunctionCallingModel:
    """Return `model` with functions, chosen by the MiniLM in `folder`. Blocks: loads 90 MB.

    `completion` asks the same model short questions beside its conversations. With `judge` it is
    asked about the functions too where the router is unsure; the model must be able to. Raises
    `EngineMissing` where the files are not in the folder.
    """
    if lacking := [name for name in MINILM.files if not (folder / name).is_file()]:
        problem = f"the sentence embedding MiniLM lacks {' and '.join(lacking)} in {folder}."
        raise EngineMissing(ENGINE, problem, "Run `vivavoce pull` to fetch it.")
    encoder = MiniLM(folder)
    router = Router(encoder, threshold, judge=ListJudge(completion) if judge else None)
    planner = Planner(completion, router, Quoter(encoder))
    return FunctionCallingModel(model, planner)


def _without_tools(request: GenerationRequest) -> GenerationRequest:
    """Return the request without tools, calls and results."""
    return replace(request, tools=Tools(), history=planner.history_as_text(request.history))


def _with_question(request: GenerationRequest, question: str) -> GenerationRequest:
    """Return the request with `question` in the place of the user's last words."""
    place = max(0, planner.find_last_words(request.history))
    words = Content(Role.USER, (Text(question),))
    return replace(request, history=(*request.history[:place], words))
