"""The training files read, and mixed into batches.

A domain is a tool set with what is said to it. Each batch holds utterances of a few domains and
all of their functions. Most utterances are to find their own function among those of their
domain; some have it taken away, or are said to another domain, and are to find none.
"""

from __future__ import annotations

import functools
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import declarations, words

HERE = Path(__file__).parent
_DECLARED = re.compile(r"(\w+)(?:\((.*?)\))?(?: -- (.*))?")
_BEFORE = (
    *("can you ", "could you ", "please ", "hey ", "okay ", "would you please ", "i want you to "),
    *("um ", "so ", "can you please ", "alright ", "hi ", "go ahead and ", *[""] * 5),
)
_BEFORE_QUESTIONS = ("hey ", "okay ", "um ", "so ", "well ", "")
_AFTER = (" please", " now", " for me", " thanks", " right now", " would you", *[""] * 6)
_NO_COMMAND = re.compile(
    r"(?:what|how|who|when|where|is|are|do|does|did|any|i|my|has|am|we|there|the|will|can|could|it"
    r"|she|he|our|which|why|that|this|somebody|nobody|people)\b"
)
UTTERANCES, FUNCTIONS, DOMAINS, FROM_EACH = 96, 36, 6, 15
_VARIANTS = 4


@dataclass(slots=True)
class Domain:
    """A tool set, what asks for its functions (by their place), and what asks for none."""

    tools: list[ToolDeclaration] = field(default_factory=list)
    asks: list[tuple[str, int]] = field(default_factory=list)
    quiet: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Batch:
    """`target` counts `functions`; their number stands for none. `allowed` are the offered."""

    said: list[str]
    functions: list[str]
    allowed: list[list[bool]]
    target: list[int]


def read() -> tuple[dict[str, Domain], list[str]]:
    """Every domain, and what asks for nothing anywhere."""
    domains: dict[str, Domain] = {}
    for file in sorted(HERE.glob("*.txt")):
        domain = Domain()
        for line in _lines(file) if file.name != "nothing.txt" else ():
            if line.startswith("@ "):
                domain = domains[line[2:]] = Domain()
            elif line.startswith("+ "):
                domain.asks.append((line[2:], len(domain.tools) - 1))
            elif line.startswith("- "):
                domain.quiet.append(line[2:])
            else:
                domain.tools.append(_declaration(line))
    return domains, list(_lines(HERE / "nothing.txt"))


def _lines(file: Path) -> Iterator[str]:
    lines = (line.strip() for line in file.read_text(encoding="utf-8").splitlines())
    yield from (line for line in lines if line and not line.startswith("#"))


def _declaration(line: str) -> ToolDeclaration:
    found = _DECLARED.fullmatch(line)
    if found is None:
        raise ValueError(f"no declaration: {line}")
    properties: dict[str, object] = {}
    needed = []
    for parameter in (found[2] or "").split():
        name, kind = parameter.split(":", 1)
        if not kind.endswith("?"):
            needed.append(name)
        values = kind.rstrip("?").split("|")
        properties[name] = (
            {"type": "string", "enum": values} if len(values) > 1 else {"type": values[0]}
        )
    shape = {"type": "object", "properties": properties, "required": needed}
    return ToolDeclaration(found[1], found[3] or "", shape if properties else None)


@functools.cache
def read_text(name: str, about: str, takes: str, variant: int) -> str:
    """A function as the network reads it, in one of the forms that declarations have.

    The router reads each function with its summary and without, so both are common here, and the
    summary in the wordings of different authors: "Gets", "Get", "gets", with or without the rest.
    """
    chance = random.Random(f"{name} {about} {variant}")
    if variant and chance.random() < 0.35:
        about = ""
    if variant and chance.random() < 0.2:
        takes = ""
    if variant and about:
        about = _reworded(about, takes, chance)
    return ". ".join(part for part in (name, about, takes) if part)


def _reworded(about: str, takes: str, chance: random.Random) -> str:
    first, _, rest = about.partition(" ")
    if rest and chance.random() < 0.5:
        verb = first[:-1] if re.fullmatch(r"[A-Z][a-z]+[^s]s", first) else first
        about = f"{verb} {rest}"
    if takes and chance.random() < 0.2:
        about = f"{about} for a given {takes.split(';')[0].split()[0]}"
    return about.lower() if chance.random() < 0.4 else about


def parts(tool: ToolDeclaration) -> tuple[str, str, str]:
    """Name, summary and parameters of a function, as in `declarations.embedded_texts`."""
    name, about = words.spell_identifier(tool.name), declarations.summary(tool)
    bare = declarations.embedded_texts(tool)[-1]
    return name, about, bare.removeprefix(name).removeprefix(". ")


@functools.cache
def spoken(text: str, asks: bool, variant: int) -> str:
    """An utterance as the network reads it; all variants but the first are dressed a little."""
    if variant:
        text = _dressed(text, asks, random.Random(f"{text} {variant}"))
    return words.strip_courtesy(text)


def _dressed(text: str, asks: bool, chance: random.Random) -> str:
    if asks and chance.random() < 0.5:
        lead = _BEFORE_QUESTIONS if _NO_COMMAND.match(text) else _BEFORE
        text = chance.choice(lead) + text + chance.choice(_AFTER)
    elif chance.random() < 0.3:
        text = chance.choice(_BEFORE_QUESTIONS) + text
    said = text.split()
    if len(said) > 4 and chance.random() < 0.1:
        del said[chance.randrange(len(said))]
    return " ".join(said)


def batches(
    domains: dict[str, Domain], nothing: Sequence[str], chance: random.Random
) -> Iterator[Batch]:
    """One epoch: every utterance once, those that ask for nothing as fillers."""
    chunks = []
    for name, domain in domains.items():
        said = [*domain.asks, *((text, -1) for text in domain.quiet)]
        chance.shuffle(said)
        chunks += [(name, said[i : i + FROM_EACH]) for i in range(0, len(said), FROM_EACH)]
    chance.shuffle(chunks)
    fillers = list(nothing)
    chance.shuffle(fillers)
    for start in range(0, len(chunks), DOMAINS):
        yield _batch(chunks[start : start + DOMAINS], domains, fillers, chance)


def _batch(
    chunks: Sequence[tuple[str, list[tuple[str, int]]]],
    domains: dict[str, Domain],
    fillers: list[str],
    chance: random.Random,
) -> Batch:
    names = list(dict.fromkeys(name for name, _ in chunks))
    functions: list[str] = []
    first: dict[str, int] = {}
    for name in names:
        first[name] = len(functions)
        functions += [read_text(*parts(t), chance.randrange(4)) for t in domains[name].tools]
    del functions[FUNCTIONS:]
    items = [(name, *one) for name, chunk in chunks for one in chunk]
    while len(items) < UTTERANCES:
        items.append((chance.choice(names), fillers[0], -1))
        fillers.append(fillers.pop(0))
    batch = Batch([], functions, [], [])
    for name, text, place in items[:UTTERANCES]:
        own = name
        if chance.random() < 0.12 and len(names) > 1:
            name, place = chance.choice([other for other in names if other != own]), -1
        target = first[name] + place if place >= 0 else FUNCTIONS
        offered = set(range(first[name], min(FUNCTIONS, first[name] + len(domains[name].tools))))
        if target >= FUNCTIONS or chance.random() < 0.1:
            offered.discard(target)
            target = FUNCTIONS
        offered -= {one for one in offered if one != target and chance.random() < 0.15}
        if target != FUNCTIONS and chance.random() < 0.3:
            offered = set(range(len(functions)))
        batch.said.append(spoken(text, place >= 0, chance.randrange(_VARIANTS)))
        batch.allowed.append([one in offered for one in range(FUNCTIONS)])
        batch.target.append(target)
    return batch
