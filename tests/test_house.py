"""The rules of the tree that a machine can check: imports, sizes, names.

The import table is the authority, and a failure prints the offending edge.
"""

from __future__ import annotations

import ast
import re
import runpy
import statistics
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.source_tree import SOURCE, nodes, parse

# Not by the path of imports: there `scripts/partners.py` would hide `tests/partners`.
_STRUCTURE = runpy.run_path(str(Path(__file__).parent.parent / "scripts" / "structure.py"))

# A module is covered by the longest entry that is a prefix of its name.
ALLOWED: dict[str, set[str]] = {
    "errors": set(),
    "install_hints": {"errors"},
    "domain": {"domain", "errors"},
    "core": {"domain", "core", "errors"},
    "protocol": {"domain", "errors", "core.events", "core.messages", "protocol"},
    "engines": {"domain", "errors", "engines", "install_hints"},
    "tools": {
        "domain", "errors", "install_hints", "engines.pages", "engines.ports", "engines.settings",
        "engines.workers", "tools",
    },
    "store": {"domain", "errors", "install_hints", "store"},
    "runtime": {
        "core", "domain", "errors", "engines.ports", "engines.batcher", "engines.tool_validation",
        "tools.ports", "store.port", "runtime",
    },
    "http": {
        "runtime", "protocol", "domain", "errors", "core", "engines.ports", "tools.ports", "http",
        "metrics", "store.port", "store.checkpoints",
    },
    "metrics": {"domain", "errors", "runtime.turn_metrics"},
    "client": {"client", "domain", "errors", "install_hints"},
    "evaluation": {
        "client", "core", "domain", "engines", "errors", "evaluation",
    },
    "bench": {
        "bench", "client", "domain", "errors", "install_hints", "engines.ports", "engines.registry",
        "engines.scripted",
    },
    "config": {"domain", "errors", "core.settings", "config"},
    "server": {
        "config", "domain", "errors", "core", "protocol", "engines", "runtime", "http", "metrics",
        "tools", "store",
    },
    "logs": {"domain", "errors"},
    "testing": {"domain", "errors", "engines", "testing", "store.port"},
    "cli": {
        "server", "bench", "evaluation", "client", "config", "domain", "errors", "engines", "http",
        "cli", "logs", "tools", "store",
    },
    "__main__": {"cli"},
    "__init__": set(),
}  # fmt: skip

DATA_MODULES = {
    "__future__", "abc", "collections", "dataclasses", "enum", "fractions", "functools",
    "itertools", "json", "math", "re", "typing",
}  # fmt: skip
LIBRARIES = {
    "domain": DATA_MODULES | {"orjson", "secrets"},
    "core": DATA_MODULES,
    "runtime": set(sys.stdlib_module_names) | {"numpy", "soxr"} - {"json"},
}

WIRE = "protocol"
"""Its models may bear the names of what they become in `domain`."""

PRIVATE_WORDS = {
    "bark", "barks", "bequeath", "ears", "errand", "errands", "everybody", "farewell", "goodbye",
    "heir", "hurry", "leisure", "manners", "mouth", "nobody", "owed", "sick", "somebody",
    "stranger", "strangers", "surrender", "surrendered", "told", "whoever", "wish", "wishes",
}  # fmt: skip
"""Metaphors where the Live API or the field has a word: in no identifier, in no docstring's first
sentence, and in no name of a test."""

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 60
MAX_RATIO = 4
"""Of the largest file to the median."""


def modules() -> Iterator[tuple[str, Path]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = ".".join(path.relative_to(SOURCE).with_suffix("").parts)
        yield name.removesuffix(".__init__"), path


def imports(path: Path) -> Iterator[str]:
    for node in nodes(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide who imports whom"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def covers(entry: str, name: str) -> bool:
    return name == entry or name.startswith(entry + ".")


def test_imports_follow_the_table() -> None:
    faults = []
    for name, path in modules():
        rule = max((entry for entry in ALLOWED if covers(entry, name)), key=len, default=None)
        assert rule is not None, f"{name} stands in no row of the import table"
        for target in imports(path):
            if not target.startswith("vivavoce."):
                continue
            ours = target.removeprefix("vivavoce.")
            if not any(covers(entry, ours) for entry in ALLOWED[rule]) and _is_module(ours):
                faults.append(f"{name} -> {ours}")
    assert not faults, "\n".join(faults)


def _is_module(name: str) -> bool:
    path = SOURCE.joinpath(*name.split("."))
    return path.with_suffix(".py").exists() or path.is_dir()


def test_the_core_and_its_words_use_no_clock_no_tasks_no_chance() -> None:
    faults = []
    for name, path in modules():
        for folder, libraries in LIBRARIES.items():
            if not covers(folder, name):
                continue
            for target in imports(path):
                top = target.split(".")[0]
                if top not in libraries | {"vivavoce"}:
                    faults.append(f"{name} -> {top}")
    assert not faults, "\n".join(faults)


def test_engine_adapters_do_not_import_each_other() -> None:
    """Modules of one engine have the first word of their names in common."""
    shared = {
        "ports", "settings", "weights", "workers", "speech_text", "synthesis", "chat",
        "function_calling", "pages", "sandbox_limits", "tool_validation",
    }  # fmt: skip
    faults = []
    for name, path in modules():
        if not name.startswith("engines.") or name.count(".") != 1:
            continue
        own = name.split(".")[1]
        for target in imports(path):
            parts = target.split(".")
            if parts[:2] == ["vivavoce", "engines"] and len(parts) > 2:
                other = parts[2]
                related = other.split("_")[0] == own.split("_")[0]
                if other not in shared and not related and _is_module(f"engines.{other}"):
                    faults.append(f"{own} -> {other}")
    assert not faults, "\n".join(faults)


def test_neither_packages_nor_files_import_in_a_circle() -> None:
    find_cycles = _STRUCTURE["find_cycles"]
    graph = _STRUCTURE["read_imports"](SOURCE)
    assert find_cycles(graph.by_package()) == []
    assert find_cycles(graph.imports) == []


def test_no_class_name_stands_twice() -> None:
    places: dict[str, set[str]] = {}
    for name, path in modules():
        for node in nodes(path):
            if isinstance(node, ast.ClassDef) and not covers(WIRE, name):
                places.setdefault(node.name, set()).add(name)
    twice = {name: sorted(where) for name, where in places.items() if len(where) > 1}
    assert not twice, twice


def test_names_and_docstrings_use_the_fields_words() -> None:
    found: dict[str, set[str]] = {}
    for module, path in modules():
        for node in nodes(path):
            for text in (*_names_of(node), *_first_sentence(node)):
                for word in PRIVATE_WORDS.intersection(_words_of(text)):
                    found.setdefault(word, set()).add(f"{module}: {text}")
    assert not found, "\n".join(f"{word}: {', '.join(found[word])}" for word in found)


def test_names_of_tests_use_the_fields_words() -> None:
    here = Path(__file__).parent
    names = {
        f"{path.relative_to(here)}: {name}"
        for path in here.rglob("test_*.py")
        for name in re.findall(r"def (test_\w+)", path.read_text("utf-8"))
    }
    found = {name for name in names if PRIVATE_WORDS.intersection(_words_of(name))}
    assert not found, "\n".join(sorted(found))


def test_the_tree_of_errors_is_drawn_whole() -> None:
    bases: dict[str, set[str]] = {}
    for _, path in modules():
        for node in nodes(path):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = {each.id for each in node.bases if isinstance(each, ast.Name)}
    drawn = set(re.findall(r"\w+", ast.get_docstring(parse(SOURCE / "errors.py")) or ""))
    ours = {"VivavoceError"}
    while more := {name for name, known in bases.items() if known & ours} - ours:
        ours |= more
    assert ours <= drawn, ours - drawn


def _names_of(node: ast.AST) -> Iterator[str]:
    """The names that a node defines."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef() | ast.ClassDef():
            yield node.name
        case ast.arg():
            yield node.arg
        case ast.Name(ctx=ast.Store()):
            yield node.id
        case ast.Attribute(ctx=ast.Store()):
            yield node.attr


def _first_sentence(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Module | ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield (ast.get_docstring(node) or "").partition("\n\n")[0].partition(". ")[0]


def _words_of(text: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", text)}


def test_rooms_stay_small() -> None:
    faults = []
    for name, path in modules():
        text = path.read_text()
        if (lines := text.count("\n")) > MAX_FILE_LINES:
            faults.append(f"{name}: {lines} lines")
        for node in nodes(path):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                length = (node.end_lineno or node.lineno) - node.lineno + 1
                if length > MAX_FUNCTION_LINES:
                    faults.append(f"{name}.{node.name}: {length} lines")
    assert not faults, "\n".join(faults)


def test_the_largest_room_is_not_far_from_the_median(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = {name: path.read_text().count("\n") for name, path in modules()}
    median = statistics.median(sizes.values())
    largest = max(sizes, key=sizes.__getitem__)
    ratio = sizes[largest] / median
    with capsys.disabled():
        sys.stdout.write(
            f"\n{len(sizes)} files, {sum(sizes.values()):,} lines, median {median:g}, largest "
            f"{sizes[largest]} ({largest}), {ratio:.1f} times the median\n"
        )
    assert ratio <= MAX_RATIO


def test_the_tests_rooms_stay_small_too() -> None:
    here = Path(__file__).parent
    sizes = {path: path.read_text().count("\n") for path in here.rglob("*.py")}
    faults = [f"{path.relative_to(here)}: {n} lines" for path, n in sizes.items()
              if n > MAX_FILE_LINES]  # fmt: skip
    assert not faults, "\n".join(faults)
