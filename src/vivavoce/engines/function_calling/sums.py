"""Sums as people say them, as a line of Python: "17 times 23" is `print(17 * 23)`.

A small grammar, read by descent. Everything that was said has to be part of the sum: a word that
is not known makes it none, so that no sentence with a number in it is taken for one.

    sum     = product { plus | minus  product }
    product = power { times | divided by | modulo  power }
    power   = signed [ to the power of  power ] { squared | cubed | percent }
    signed  = minus signed | number | ( sum ) | square root of signed | sum of a and b | …

Python that was typed is passed on as it is; what it may do is up to the sandbox.
"""

from __future__ import annotations

import ast
import math
import re
from dataclasses import dataclass

from vivavoce.engines.function_calling import numbers
from vivavoce.engines.function_calling.requests import bare, without_plea

_PROGRAM = (
    r"(?:(?:write|generate|create|make|run|execute|use|using|with)(?: and |, ?then | then |, )?)+"
    r"(?: ?(?:me|a|an|some|the|your|short|small|simple))* ?(?:python )?"
    r"(?:code|program|script|function|python|code execution)(?: (?:code|program|script))?"
)
_ORDERED = re.compile(rf"(?:^|[.?!,]\s+|\band )(?:please )?{_PROGRAM}\b", re.IGNORECASE)
_LEAD = re.compile(
    rf"^(?:(?:{_PROGRAM}(?: (?:to|that|which|for|and))?"
    r"|what do you get (?:if|when) (?:you|i)|how much (?:is|are)|what (?:are|does)|whats"
    r"|what(?: is|'s)?|calculat(?:e|es|ing)|comput(?:e|es|ing)|work out|figure out|evaluate|solve"
    r"|tell me|the (?:result|value) of)\s+)+",
    re.IGNORECASE,
)
_TAIL = re.compile(
    r"\s*(?:equals?(?: to)?|make|is|come to|=|using python|with python|in python)?[\s?.!]*$",
    re.IGNORECASE,
)
_PHRASES: tuple[tuple[str, str], ...] = (
    (r"\bto the power of\b|\braised to(?: the(?: power of)?)?\b|\*\*|\^", " ** "),
    (r"\b(?:multiplied by|times)\b|[×·]", " * "),
    (r"(?<=[\d)])\s*x\s*(?=[\d(])|(?<=\s)x(?=\s)", " * "),
    (r"\b(?:divided by|over)\b|÷", " / "),
    (r"\b(?:modulo|mod)\b", " % "),
    (r"\b(?:percent|per cent)\b|(?<=\d)\s*%(?=\s*of\b|\s*$)", " percent "),
    (r"\bplus\b", " + "),
    (r"\b(?:minus|negative)\b|[−–]", " - "),
    (r"\b(?:the )?square root(?: of)?\b|\bsqrt\b|√", " sqrt "),
    (r"\b(?:the )?cube root(?: of)?\b", " cbrt "),
    (r"(?<=[a-z])-(?=[a-z])", " "),
    (r"\ba (?=hundred\b|thousand\b|million\b|billion\b)", "one "),
    (r"\bsquared\b", " ** 2 "),
    (r"\bcubed\b", " ** 3 "),
)
_PAIRS: tuple[tuple[str, str, bool], ...] = (
    (r"(?:the )?sum of (.+) and (.+)", "+", False),
    (r"(?:the )?product of (.+) and (.+)", "*", False),
    (r"(?:the )?difference (?:between|of) (.+) and (.+)", "-", False),
    (r"(?:the )?quotient of (.+) and (.+)", "/", False),
    (r"add (.+) (?:and|to) (.+)", "+", False),
    (r"multiply (.+) (?:by|and|with) (.+)", "*", False),
    (r"divide (.+) by (.+)", "/", False),
    (r"subtract (.+) from (.+)", "-", True),
)
_PAIRED = tuple((re.compile(form), sign, turned) for form, sign, turned in _PAIRS)
_TOKEN = re.compile(r"\*\*|[-+*/%()]|\d[\d,]*(?:\.\d+)?|\.\d+|[a-z]+|\S")
_NUMBERED = re.compile(r"\W*\d+(?:[-/]\d+)+\W*")
"""A telephone number or a date, said alone."""
_THOUSANDS = re.compile(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?|\.\d+")
_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000}
_WITHIN = ("and", "point", "hundred", "thousand", "million")
"""Words that go on with a number but begin none."""
_PARTS = {"half": "2", "third": "3", "quarter": "4"}
_DEEPEST = 40
_LONGEST = 400
_LARGE = 1e15
_SMALL = 1e-3

_FENCE = re.compile(r"```(?:python|py)?[ \t]*\n?(.*?)```", re.DOTALL | re.IGNORECASE)
_RUN = re.compile(
    r"^(?:run|execute|evaluate|calculate|compute)(?: (?:this|the|following|python|code|snippet))*"
    r"\s*:?\s+(.+)$",
    re.IGNORECASE | re.DOTALL,
)
_DOES = (ast.Call, ast.BinOp, ast.Assign, ast.AugAssign, ast.Import, ast.ImportFrom, ast.Compare,
         ast.For, ast.While, ast.FunctionDef, ast.ListComp, ast.Subscript)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Sum:
    """A line of Python, and the words that its result is told with; empty if none suit."""

    code: str
    words: str = ""


class _NoSumError(Exception):
    """The words are no sum."""


def of(request: str) -> Sum | None:
    """The sum that a request asks for."""
    said = _TAIL.sub("", _LEAD.sub("", bare(request), count=1), count=1).strip()
    if not said or len(said) > _LONGEST or _NUMBERED.fullmatch(bare(request)):
        return None
    try:
        for form, sign, turned in _PAIRED:
            if both := form.fullmatch(said.lower()):
                one, other = _value(both[1]), _value(both[2])
                left, right = (other, one) if turned else (one, other)
                told = said if said.lower().startswith(("the ", "sum", "product")) else ""
                return Sum(f"print({left} {sign} {right})", told)
        reader = _Reader(_tokens(said.lower()))
        code = reader.whole()
    except _NoSumError:
        return None
    return Sum(f"print({code})", said) if reader.counted else None


def wants_program(request: str) -> bool:
    """Whether it orders in words that code be written or run."""
    return bool(_ORDERED.search(bare(request)))


def python(text: str) -> str:
    """The Python in what was typed: between fences, or after "run"; empty if there is none."""
    if fenced := _FENCE.search(text):
        return fenced[1].strip()
    asked = _RUN.match(without_plea(text))
    code = asked[1].strip().strip("`").strip() if asked else ""
    try:
        tree = ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ""
    return code if any(isinstance(node, _DOES) for node in ast.walk(tree)) else ""


def told(output: str) -> str:
    """What a sum printed, as it is said: `about 1.4142`, and no noise of floating point."""
    plain = " ".join(output.split())
    try:
        value = float(plain)
    except ValueError:
        return plain
    if plain.lstrip("-").isdigit() or not math.isfinite(value) or abs(value) >= _LARGE:
        return plain
    short = f"{round(value, 4):.15g}" if abs(value) >= _SMALL or not value else f"{value:.4g}"
    exact = math.isclose(float(short), value, rel_tol=1e-9)
    return short if exact else f"about {short}"


def _value(text: str) -> str:
    """One side of "the sum of … and …"."""
    code = _Reader(_tokens(text)).whole()
    return code if code.isdigit() else f"({code})"


def _tokens(text: str) -> list[str]:
    """Signs and numbers; number words become one number."""
    for form, sign in _PHRASES:
        text = re.sub(form, sign, text)
    tokens: list[str] = []
    words: list[str] = []
    for token in [*_TOKEN.findall(text.replace("-", " - ")), ""]:
        if token and (_is_number_word(token) or (words and token in _WITHIN)):
            words.append(token)
            continue
        if words:
            tokens += _numbers(words)
            words = []
        if token in _SCALES and tokens and _is_number(tokens[-1]):
            tokens[-1] = _written(float(tokens[-1]) * _SCALES[token])
        elif token and token[0].isdigit():
            if not _THOUSANDS.fullmatch(token):
                raise _NoSumError
            tokens.append(token.replace(",", "").lstrip("0") or "0")
        elif token:
            tokens.append(f"0{token}" if _THOUSANDS.fullmatch(token) else token)
    return tokens


def _is_number_word(token: str) -> bool:
    return token.isalpha() and token not in _PARTS and bool(numbers.extract(token))


def _numbers(words: list[str]) -> list[str]:
    """What a run of number words stands for: one number, or it is no sum."""
    rest: list[str] = []
    while words and words[-1] in ("and", "point"):
        rest.insert(0, words.pop())
    found = numbers.extract(" ".join(words))
    if len(found) != 1:
        raise _NoSumError
    return [_written(found[0]), *rest]


def _written(value: float) -> str:
    return str(int(value)) if value == int(value) else repr(value)


def _is_number(token: str) -> bool:
    return token[:1].isdigit()


def _is_bracketed(code: str) -> bool:
    """Whether the first bracket closes with the last one."""
    depth = 0
    for place, sign in enumerate(code):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return place == len(code) - 1 and sign == ")"
    return False


class _Reader:
    """Reads one sum. `counted` says whether there was anything to count."""

    def __init__(self, tokens: list[str]) -> None:
        self._tokens = tokens
        self._place = 0
        self._depth = 0
        self.counted = False

    def whole(self) -> str:
        """The whole of it as an expression. Raises `_NoSumError` where words are left."""
        code = self._sum()
        if self._place < len(self._tokens):
            raise _NoSumError
        return code[1:-1] if _is_bracketed(code) else code

    def _next(self, *signs: str) -> str:
        """The next token if it is one of these."""
        token = self._tokens[self._place] if self._place < len(self._tokens) else ""
        if token not in signs:
            return ""
        self._place += 1
        return token

    def _sum(self) -> str:
        code = self._product()
        while sign := self._next("+", "-"):
            self.counted = True
            code = f"{code} {sign} {self._product()}"
        return code

    def _product(self) -> str:
        code = self._power()
        while sign := self._next("*", "/", "%"):
            self.counted = True
            code = f"{code} {sign} {self._power()}"
        return code

    def _power(self) -> str:
        code = self._signed()
        if self._next("**"):
            self.counted = True
            return f"{code} ** {self._power()}"
        if self._next("percent"):
            self.counted = True
            return f"({self._power()} * {code} / 100)" if self._next("of") else f"({code} / 100)"
        return code

    def _signed(self) -> str:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise _NoSumError
        try:
            return self._atom()
        finally:
            self._depth -= 1

    def _atom(self) -> str:
        if self._next("-"):
            return f"-{self._signed()}"
        if root := self._next("sqrt", "cbrt"):
            self.counted = True
            power = "0.5" if root == "sqrt" else "(1 / 3)"
            inner = self._signed()
            return f"({f'({inner})' if inner.startswith('-') else inner} ** {power})"
        if self._next("("):
            code = self._sum()
            if not self._next(")"):
                raise _NoSumError
            return f"({code})"
        return self._part() or self._number()

    def _part(self) -> str:
        """`half of 30`, `a quarter of 8`."""
        begin = self._place
        self._next("a", "one", "the", "1")
        if (part := self._next(*_PARTS)) and self._next("of"):
            self.counted = True
            return f"({self._signed()} / {_PARTS[part]})"
        self._place = begin
        return ""

    def _number(self) -> str:
        token = self._tokens[self._place] if self._place < len(self._tokens) else ""
        if not _is_number(token):
            raise _NoSumError
        self._place += 1
        return token
