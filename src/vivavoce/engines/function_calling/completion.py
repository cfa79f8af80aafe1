"""Constrained completions for function calling: choices, arguments, and programs to calculate.

Numbers in words are put into digits before a program is asked for, and examples show the form. On
requests like the examples both help; of 20 others the 0.5B coder model gets 9 right
(benchmarks/calculations.py).
"""

from __future__ import annotations

import ast
import asyncio
import concurrent.futures
import re
from collections.abc import Iterable, Mapping, Sequence
from contextlib import aclosing
from typing import Any, Protocol

from vivavoce.domain.content import Content, Role, Text, Tools
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality, Sampling
from vivavoce.engines.function_calling import numbers, words
from vivavoce.engines.ports import LanguageModel, TextDelta
from vivavoce.engines.workers import CancelToken

_SESSION = SessionId("function_calling")
_POLL_S = 0.1

Message = Mapping[str, str]
"""One chat message: `role` (system, user or assistant) and `content`."""


class Completion(Protocol):
    """Short, blocking questions to a language model, beside its conversations."""

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        """Return the model's greedy answer to `messages`, at most `max_tokens` tokens long.

        Returns what was written so far when `cancel` is set. Raises `EngineError`.
        """
        ...

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        """Return the natural log probability with which the answer begins with each of `names`.

        Empty when the model can't tell (no log probabilities), or when `cancel` is set. The
        messages before the last one are kept as a cached prefix. Raises `EngineError`.
        """
        ...


def few_shot(instruction: str, examples: Iterable[tuple[str, str]]) -> list[Message]:
    """Return the messages of a prompt: an instruction, and exchanges as examples."""
    messages: list[Message] = [{"role": "system", "content": instruction}]
    for asked, answered in examples:
        messages.append({"role": "user", "content": asked})
        messages.append({"role": "assistant", "content": answered})
    return messages


class GeneratedCompletion:
    """The `Completion` port over any language model, whose answers run on the event loop `loop`.

    Its methods block and are called from other threads. No probabilities, nothing read ahead.
    """

    def __init__(self, model: LanguageModel, loop: asyncio.AbstractEventLoop) -> None:
        self._model = model
        self._loop = loop

    def complete(self, messages: Sequence[Message], max_tokens: int, cancel: CancelToken) -> str:
        """See `Completion`. Empty when `cancel` is set."""
        if not max_tokens:
            return ""
        answer = self._answer(_request(messages, max_tokens))
        future = asyncio.run_coroutine_threadsafe(answer, self._loop)
        while not cancel.cancelled:
            if concurrent.futures.wait((future,), _POLL_S).done:
                return future.result()
        future.cancel()
        return ""

    def rank_names(
        self, messages: Sequence[Message], names: Sequence[str], cancel: CancelToken
    ) -> Mapping[str, float]:
        """See `Completion`: always empty."""
        return {}

    async def _answer(self, request: GenerationRequest) -> str:
        parts: Any = self._model.generate(request)
        async with aclosing(parts):
            return "".join([p.text async for p in parts if isinstance(p, TextDelta)])


def _request(messages: Sequence[Message], max_tokens: int) -> GenerationRequest:
    roles = {"user": Role.USER, "assistant": Role.MODEL}
    turns = (one for one in messages if one["role"] in roles)
    return GenerationRequest(
        session=_SESSION,
        generation=GenerationId(0),
        instruction="\n".join(one["content"] for one in messages if one["role"] == "system"),
        history=tuple(Content(roles[one["role"]], (Text(one["content"]),)) for one in turns),
        tools=Tools(),
        modality=Modality.TEXT,
        voice="",
        language="",
        sampling=Sampling(temperature=0.0, max_output_tokens=max_tokens),
    )


# --- programs -----------------------------------------------------------------------------

MODULES = frozenset(("collections", "datetime", "itertools", "json", "math", "random", "re"))
"""Modules of which a missing import is added; both sandboxes have them."""

_MAX_TOKENS = 200
_MAX_CHARS = 600
_MAX_ERROR_CHARS = 200
_ORDINAL_DATE = re.compile(rf"\b(?:the )?({'|'.join(numbers.ORDINALS)}) of (?=[A-Z])")
_INDEFINITE = frozenset(("one", "half", "quarter", "dozen"))

_PROGRAM = re.compile(
    r"\b(?:write|generate|create|make|run|execute|use|using|with)\b[^.?!]{0,40}?"
    r"\b(?:code|program|script|python)\b(?! is\b)",
    re.IGNORECASE,
)
_OPERATOR = re.compile(
    r"\b(?:plus|minus|times|multipl\w+|divid\w+|subtract\w*|percent|squared|cubed|average|sum"
    r"|(?:square|cube) root|to the power|factorial|divisor|convert|solve|calculate|compute|split)\b"
    r"|\d ?[+*%×÷^x] ?\d|\d [-−–/] \d|\d ?%|\b(?:half|third|quarter) of\b|\d/\d of",
    re.IGNORECASE,
)
_DURATION = re.compile(
    r"\b(?:seconds|minutes|hours|days|weeks|months|years)\b.*"
    r" (?:in|between|until|since|from|is|are) |^what (?:week)?day ",
    re.IGNORECASE,
)
_QUANTITY = re.compile(r"\bhow (?:many|much|long|old|far)\b", re.IGNORECASE)
_LIST = re.compile(
    r"^(?:sort|reverse|count|alphabeti[sz]e)\b|\balphabetical order\b", re.IGNORECASE
)
_CALCULATING = re.compile(
    r"^(?:calculate|compute|convert|divide|multiply|subtract|solve|add \d|if )", re.IGNORECASE
)

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n?(.*?)(?:```|\Z)", re.DOTALL | re.IGNORECASE)
_RUN = re.compile(
    r"^(?:run|execute|evaluate|calculate|compute)(?: (?:this|the|following|python|code|snippet))*"
    r"\s*:?\s+(.+)$",
    re.IGNORECASE | re.DOTALL,
)
_STATEMENTS = (ast.Call, ast.BinOp, ast.Assign, ast.Import, ast.ImportFrom, ast.Compare, ast.For,
               ast.While, ast.FunctionDef, ast.ListComp, ast.Subscript)  # fmt: skip

_INSTRUCTION = (
    "Write a short Python program that prints the answer to the request. Write code only, with all"
    " numbers of the request in it."
)
_EXAMPLES = (
    ("What is 12.5 times 8?", "print(12.5 * 8)"),
    ("How much is 30 percent of 1,250 pounds?", "print(1250 * 30 / 100)"),
    (
        "How many days are there from 1 May 2021 to 2 July 2022?",
        "from datetime import date\n\nprint((date(2022, 7, 2) - date(2021, 5, 1)).days)",
    ),
    (
        "What day of the week was 20 August 1974?",
        'from datetime import date\n\nprint(date(1974, 8, 20).strftime("%A"))',
    ),
    (
        "Write and run a program that lists the odd numbers from 1 to 9.",
        "print([number for number in range(1, 10) if number % 2 == 1])",
    ),
    ("A shirt costs 30 euros and is 20 percent off. What do I pay?", "print(30 - 30 * 20 / 100)"),
    ("What is the cube root of 5 times pi?", "import math\n\nprint((5 * math.pi) ** (1 / 3))"),
    ("How many minutes are in 2.5 weeks?", "print(2.5 * 7 * 24 * 60)"),
    ("Count the letter s in the word business.", 'print("business".count("s"))'),
)


PROGRAM_PROMPT = few_shot(
    _INSTRUCTION, [(request, f"```python\n{code}\n```") for request, code in _EXAMPLES]
)
"""The part of the prompt that is the same for all requests."""


def is_program_request(request: str) -> bool:
    """Return whether the words ask for code to be written or run."""
    return bool(_PROGRAM.search(request[:_MAX_CHARS]))


def is_calculation(request: str) -> bool:
    """Return whether the words ask for a calculation, in a question or as a command."""
    text = with_digits(request[:_MAX_CHARS].strip())
    asked = words.asks_for_information(text) or bool(_CALCULATING.match(text))
    return asked and _holds_calculation(text)


def may_be_calculated(request: str) -> bool:
    """Return whether a program could answer words that ask for no function: "15 % of 240"."""
    text = with_digits(request[:_MAX_CHARS].strip())
    return _holds_calculation(text) or bool(_LIST.search(text))


def with_digits(text: str) -> str:
    """Return the text with spoken numbers in digits: "twenty one point five" becomes "21.5"."""
    text = _ORDINAL_DATE.sub(lambda found: f"{numbers.ORDINALS.index(found[1]) + 1} ", text)
    pieces, end = [], 0
    for value, start, stop in numbers.locate_numbers(text):
        if text[start:stop].lower() not in _INDEFINITE and text[start:stop].isascii():
            digits = text[start:stop] if text[start:stop][0].isdigit() else str(value)
            pieces += [text[end:start], digits]
            end = stop
    return re.sub(r"(\d) and a half\b", r"\1.5", "".join((*pieces, text[end:])))


def typed_code(text: str) -> str:
    """Return the Python that the user typed, between fences or after "run"; empty if none."""
    if "```" in text and (fenced := _FENCE.search(text)):
        return fenced[1].strip()
    ordered = _RUN.match(text)
    code = ordered[1].strip().strip("`").strip() if ordered else ""
    tree = _parsed(code)
    holds = tree is not None and any(isinstance(node, _STATEMENTS) for node in ast.walk(tree))
    return code if holds else ""


def write_program(
    completion: Completion, request: str, cancel: CancelToken, failed: tuple[str, str] = ("", "")
) -> str:
    """Have the model write a program that prints the answer; empty if none of them parses.

    `failed` is a program written before and its error. A program that does not parse is sent back
    once. Blocks: with the 0.5B model 2 s of CPU time (median of 20), with the 1.5B twice that.
    Raises `EngineError`.
    """
    messages = [*PROGRAM_PROMPT, {"role": "user", "content": with_digits(request[:_MAX_CHARS])}]
    if failed[0]:
        messages += _sent_back(f"```python\n{failed[0]}\n```", failed[1])
    for _ in range(2):
        text = completion.complete(messages, _MAX_TOKENS, cancel)
        fenced = _FENCE.search(text)
        code = (fenced[1] if fenced else text).strip()
        if cancel.cancelled:
            return ""
        if (tree := _parsed(code)) is not None and tree.body:
            return _with_imports(code, tree)
        messages += _sent_back(text, "SyntaxError: invalid syntax")
    return ""


def _sent_back(text: str, error: str) -> list[Message]:
    fault = f"{error[:_MAX_ERROR_CHARS]}. Use another way."
    return [{"role": "assistant", "content": text}, {"role": "user", "content": fault}]


def _holds_calculation(text: str) -> bool:
    count = len(numbers.find_numbers(text))
    if not count:
        return False
    return bool(
        _OPERATOR.search(text) or _DURATION.search(text) or (count > 1 and _QUANTITY.search(text))
    )


def _parsed(code: str) -> ast.Module | None:
    try:
        return ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _with_imports(code: str, tree: ast.Module) -> str:
    """Return the code with an import for each known module that it uses and does not import."""
    bound: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            bound |= {(alias.asname or alias.name) for alias in node.names}
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            bound.add(node.id)
    used = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    missing = sorted((used & MODULES) - bound)
    return "\n".join((*(f"import {name}" for name in missing), code))
