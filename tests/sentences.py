"""The sentences with which the server ends a connection or answers HTTP, found in its source.

A sentence is a literal beside a close code or a status, or the argument of a function of
`protocol.close` that makes one. What is put into it is written as `…`.
"""

from __future__ import annotations

import ast
import functools
import itertools
import re
from collections.abc import Iterator
from pathlib import Path

from support.source_tree import SOURCE, nodes, parse

DOCUMENT = Path(__file__).parents[1] / "docs" / "reference" / "errors.md"
LEFT_OUT = ("client", "cli", "testing")
"""Packages that end no connection of a client."""

CODES = {"INVALID": 1007, "POLICY": 1008, "TOO_BIG": 1009, "INTERNAL": 1011}
CLOSES = frozenset(CODES.values())
STATUSES = frozenset((400, 401, 403, 404, 405, 414, 426, 429, 431, 500, 503))
MAKERS = {"invalid": (1007, ""), "malformed": (1007, "Invalid JSON payload received. "),
          "too_big": (1009, "message too big: ")}  # fmt: skip

Sentence = tuple[int, str]


@functools.cache
def sentences() -> dict[Sentence, str]:
    """Every sentence with its code or status, and where it stands."""
    paths = sorted(SOURCE.rglob("*.py"))
    constants = {name: text for path in paths for name, text in _constants(parse(path))}
    found: dict[Sentence, str] = {}
    for path in paths:
        inside = path.relative_to(SOURCE)
        if inside.parts[0] in LEFT_OUT:
            continue
        for node in nodes(path):
            for code, text in _of(node, constants):
                found[code, text] = f"{inside}:{getattr(node, 'lineno', 0)}"
    return found


def _constants(tree: ast.Module) -> Iterator[tuple[str, str]]:
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            yield node.targets[0].id, _literal(node.value, {})


def _of(node: ast.AST, constants: dict[str, str]) -> Iterator[Sentence]:
    if isinstance(node, ast.Call):
        name = node.func.attr if isinstance(node.func, ast.Attribute) else ""
        name = node.func.id if isinstance(node.func, ast.Name) else name
        if name in MAKERS and node.args and (text := _literal(node.args[0], constants)):
            code, begin = MAKERS[name]
            yield code, begin + text
        elements = list(node.args)
    elif isinstance(node, ast.Tuple):
        elements = node.elts
    else:
        return
    for one, other in itertools.pairwise(elements):
        code = _code(one)
        if code and (text := _literal(other, constants)):
            yield code, text
        code = _code(other)
        if code and (text := _literal(one, constants)):  # `mismatch(sentence, code)`
            yield code, text


def _code(node: ast.expr) -> int:
    if isinstance(node, ast.Constant) and type(node.value) is int:
        return node.value if node.value in CLOSES | STATUSES else 0
    name = node.attr if isinstance(node, ast.Attribute) else ""
    return CODES.get(node.id if isinstance(node, ast.Name) else name, 0)


def _literal(node: ast.expr, constants: dict[str, str]) -> str:
    """The text of a literal, of a constant's name, or of literals joined; else nothing."""
    match node:
        case ast.Constant(value=str(text)):
            return re.sub(r"\{\}", "…", text) if " " in text else ""
        case ast.JoinedStr(values=values):
            pieces = (one.value if isinstance(one, ast.Constant) else "…" for one in values)
            return re.sub(r"\{\}", "…", "".join(map(str, pieces)))
        case ast.Attribute(attr=name) | ast.Name(id=name):
            return constants.get(name, "")
        case ast.IfExp(body=body):
            return _literal(body, constants)
    return ""


def documented() -> list[Sentence]:
    """The sentences of the tables in the document, with their code or status."""
    found: list[Sentence] = []
    for line in DOCUMENT.read_text().splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) == 3 and cells[0].isdecimal():
            found += ((int(cells[0]), text) for text in re.findall(r"`(.+?)`(?=,|$)", cells[1]))
    return found


def covers(row: Sentence, sentence: Sentence) -> bool:
    """Whether a documented sentence and one of the source are of one form; `…` is anything."""
    return row[0] == sentence[0] and (
        _is_like(row[1], sentence[1]) or _is_like(sentence[1], row[1])
    )


def _is_like(form: str, text: str) -> bool:
    return _pattern(form).fullmatch(text) is not None


@functools.cache
def _pattern(form: str) -> re.Pattern[str]:
    return re.compile(".*".join(map(re.escape, form.split("…"))), re.DOTALL)
