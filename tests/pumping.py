"""Find the regular expressions of the package, and those whose time grows faster than the text.

Run as a program, in a process of its own, it prints a line for each expression that is
super-linear, and for each that could not be read from the source. Time is the process's own CPU
time, and what counts is its growth: from a text to one four times as long, linear work takes four
times as long and quadratic work sixteen times.
"""

from __future__ import annotations

import ast
import gc
import importlib
import re
import signal
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from re import _constants as codes  # type: ignore[attr-defined]
from re import _parser as parser  # type: ignore[attr-defined]
from typing import Any

import vivavoce

SOURCE = Path(vivavoce.__file__).parent
FUNCTIONS = {
    "compile", "search", "match", "fullmatch", "split", "findall", "finditer", "sub", "subn",
}  # fmt: skip
LENGTH = 30_000
BOUNDED = {
    "engines/function_calling/": 1000,
    "engines/speech_text.py": 320,
}
"""Characters that the callers of these expressions let through: `turns.MAX_CHARS` of what a user
said, and one piece of an answer that is to be spoken."""

RATIO = 9.0
"""Of four times the text. Between 4, which is linear, and 16, which is quadratic."""

YIELD_AFTER_S = 0.03
"""A text of `LENGTH` that takes less needs no second look."""

LIMIT_S = 3.0
PUMPS = 40

WHOLE = frozenset({"match", "fullmatch"})
EVERYWHERE = frozenset(FUNCTIONS - WHOLE - {"compile"})


@dataclass(frozen=True)
class Expression:
    """An expression, where it stands, and the functions by which the package uses it."""

    where: str
    pattern: re.Pattern[Any]
    functions: frozenset[str] = WHOLE | EVERYWHERE


def find_expressions(part: str = "") -> Iterator[Expression | str]:
    """Yield the expression of every `re` call, or what is wrong with the call.

    `part` is the beginning of the paths that are looked at.
    """
    texts = {path: path.read_text() for path in sorted(SOURCE.rglob("*.py"))}
    everything = "\n".join(texts.values())
    for path, text in texts.items():
        place = str(path.relative_to(SOURCE))
        tree = ast.parse(text)
        calls: list[Any] = [node for node in ast.walk(tree) if _is_re_call(node)]
        if not calls or not place.startswith(part):
            continue
        module = importlib.import_module("vivavoce." + place[:-3].replace("/", "."))
        names: dict[object, str] = {
            each.value: each.targets[0].id
            for each in ast.walk(tree)
            if isinstance(each, ast.Assign) and isinstance(each.targets[0], ast.Name)
        }
        for call in calls:
            known = names.get(call, "")
            functions = _functions(call, known, text if known.startswith("_") else everything)
            try:
                yield Expression(f"{place}:{call.lineno}", _evaluate(call, vars(module)), functions)
            except NameError as error:
                yield f"{place}:{call.lineno}: the expression is made where it is used: {error}"


def _functions(call: Any, name: str, source: str) -> frozenset[str]:
    if call.func.attr != "compile":
        return frozenset({call.func.attr})
    used = re.findall(rf"\b{name}\.([a-z]+)\(", source) if name else ()
    return (WHOLE | EVERYWHERE).intersection(used) or WHOLE | EVERYWHERE


def _is_re_call(node: ast.AST) -> bool:
    match node:
        case ast.Call(func=ast.Attribute(value=ast.Name(id="re"), attr=name)):
            return name in FUNCTIONS
        case ast.ImportFrom(module="re"):
            raise AssertionError("`from re import …` hides expressions from this search")
        case _:
            return False


def _evaluate(call: Any, names: dict[str, Any]) -> re.Pattern[Any]:
    expression = _value(call.args[0], names)
    if isinstance(expression, re.Pattern):
        return expression
    position = {"compile": 1, "sub": 4, "subn": 4, "split": 3}.get(call.func.attr, 2)
    given = [word.value for word in call.keywords if word.arg == "flags"]
    flags = given or call.args[position : position + 1]
    return re.compile(expression, *(_value(each, names) for each in flags))


def _value(node: ast.expr, names: dict[str, Any]) -> Any:
    return eval(compile(ast.Expression(node), "source", "eval"), names)


# --- texts that take an expression long -----------------------------------------------------------


def pumps(expression: re.Pattern[str]) -> Iterator[str]:
    """Yield texts that repeat what the parts of an expression repeat, and end otherwise."""
    tree = list(parser.parse(expression.pattern, expression.flags & ~re.DEBUG))
    units = dict.fromkeys(_repeated(tree, ""))
    whole = _example(tree)
    generic = ("a", " ", "\n", "1", ".", "-", "/", "a.", "a ", "1,", "a/", "::", '"', "<")
    for before, unit in units:
        for end in ("", "\0", "\n", "!"):
            yield before + _times(unit) + end
        yield _times(before + unit)
    for unit in (whole, whole[:-1], *generic):
        if unit:
            yield _times(unit) + "\0"
            yield whole[:1] + _times(unit)


def _times(unit: str) -> str:
    return unit * (LENGTH // len(unit))


def _repeated(tree: list[Any], before: str) -> Iterator[tuple[str, str]]:
    for index, (code, value) in enumerate(tree):
        here = before + _example(tree[:index])
        if code in _REPEATS:
            if value[1] > 64:
                for example in _examples(list(value[2])):
                    yield here, example
            yield from _repeated(list(value[2]), here)
        elif code is codes.SUBPATTERN:
            yield from _repeated(list(value[3]), here)
        elif code is codes.ATOMIC_GROUP:
            yield from _repeated(list(value), here)
        elif code is codes.BRANCH:
            for branch in value[1]:
                yield from _repeated(list(branch), here)


_REPEATS = (codes.MAX_REPEAT, codes.MIN_REPEAT, codes.POSSESSIVE_REPEAT)


def _examples(tree: list[Any]) -> list[str]:
    """Return a few texts that match, none of them empty."""
    if len(tree) == 1 and tree[0][0] is codes.IN:
        return list(dict.fromkeys(_members(tree[0][1])))[:4]
    if len(tree) == 1 and tree[0][0] is codes.ANY:
        return ["a", " "]
    if len(tree) == 1 and tree[0][0] is codes.BRANCH:
        return [example for branch in tree[0][1][1] if (example := _example(list(branch)))][:4]
    return [example] if (example := _example(tree)) else []


def _example(tree: list[Any]) -> str:
    return "".join(_example_of(code, value) for code, value in tree)


def _example_of(code: Any, value: Any) -> str:
    if code is codes.LITERAL:
        return chr(value)
    if code is codes.NOT_LITERAL:
        return "b" if value == ord("a") else "a"
    if code is codes.ANY:
        return "a"
    if code is codes.IN:
        return next(iter(_members(value)), "")
    if code in _REPEATS:
        return _example(list(value[2])) * int(max(value[0], min(1, value[1])))
    if code is codes.SUBPATTERN:
        return _example(list(value[3]))
    if code is codes.ATOMIC_GROUP:
        return _example(list(value))
    if code is codes.BRANCH:
        return _example(list(value[1][0]))
    return ""


PROBES = "a1 \n.-_/:,<é=\"'#*|~A0\t\0"


def _members(items: list[Any]) -> Iterator[str]:
    """Yield characters of a set: its own first, then some of what else it takes."""
    test = re.compile(_spell(items))
    own = [chr(value if code is codes.LITERAL else value[0])
           for code, value in items if code in (codes.LITERAL, codes.RANGE)]  # fmt: skip
    yield from (sign for sign in (*own, *PROBES) if test.fullmatch(sign))


def _spell(items: list[Any]) -> str:
    spelled = "["
    for code, value in items:
        if code is codes.NEGATE:
            spelled += "^"
        elif code is codes.LITERAL:
            spelled += re.escape(chr(value))
        elif code is codes.RANGE:
            spelled += f"{re.escape(chr(value[0]))}-{re.escape(chr(value[1]))}"
        else:
            spelled += _CATEGORIES[value]
    return spelled + "]"


_CATEGORIES: dict[Any, str] = {
    codes.CATEGORY_DIGIT: r"\d", codes.CATEGORY_NOT_DIGIT: r"\D",
    codes.CATEGORY_SPACE: r"\s", codes.CATEGORY_NOT_SPACE: r"\S",
    codes.CATEGORY_WORD: r"\w", codes.CATEGORY_NOT_WORD: r"\W",
}  # fmt: skip


# --- how long they take ---------------------------------------------------------------------------


class _TooLong(Exception):
    pass


def _stop(*_: object) -> None:
    raise _TooLong


def grows(
    pattern: re.Pattern[str], functions: frozenset[str], text: str, longest: int = LENGTH
) -> bool:
    """Whether the time of a match, or of finding all of them, is super-linear in `text`."""
    ways: list[Callable[[str], object]] = [
        getattr(pattern, name) for name in WHOLE.intersection(functions)
    ]
    if EVERYWHERE.intersection(functions):
        ways.append(lambda given: sum(1 for _ in pattern.finditer(given)))
    return any(_grows(way, text, longest) for way in ways)


def _grows(way: Callable[[str], object], text: str, longest: int) -> bool:
    for length in (*(each for each in (300, 1200, 4800) if each < longest), longest):
        taken = _taken(way, text, length)
        if taken < YIELD_AFTER_S:
            continue
        for _ in range(3):
            taken = min(taken, _taken(way, text, length))
        less = min(_taken(way, text, length // 4) for _ in range(4))
        if taken >= LIMIT_S or taken > RATIO * max(less, YIELD_AFTER_S / RATIO):
            return True
    return False


def _taken(way: Callable[[str], object], text: str, length: int) -> float:
    """CPU seconds; the middle is left out, so that a text keeps its beginning and its end."""
    cut = text[: length - 2] + text[-2:]
    signal.setitimer(signal.ITIMER_PROF, LIMIT_S)
    began = time.process_time()
    try:
        way(cut)
    except _TooLong:
        return LIMIT_S
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return time.process_time() - began


def find_faults(found: Iterator[Expression | str]) -> Iterator[str]:
    """Yield a line for each expression that is super-linear, and for each that is not known."""
    for each in found:
        if isinstance(each, str):
            yield each
            continue
        pattern = each.pattern
        if isinstance(pattern.pattern, bytes):
            pattern = re.compile(pattern.pattern.decode("latin-1"), pattern.flags & re.S)
        bounds = (size for part, size in BOUNDED.items() if each.where.startswith(part))
        longest = next(bounds, LENGTH)
        texts = list(dict.fromkeys(pumps(pattern)))[:PUMPS]
        slow = next((one for one in texts if grows(pattern, each.functions, one, longest)), None)
        if slow is not None:
            yield f"{each.where}: {pattern.pattern!r} on {slow[:12]!r}…{slow[-3:]!r}"


if __name__ == "__main__":
    signal.signal(signal.SIGPROF, _stop)
    gc.disable()
    given, chosen = sys.argv[1:], find_expressions()
    if given[:1] == ["--part"]:
        chosen = find_expressions(given[1])
    elif given:
        chosen = iter([Expression("argument", re.compile(each)) for each in given])
    for line in find_faults(chosen):
        sys.stdout.write(line + "\n")
