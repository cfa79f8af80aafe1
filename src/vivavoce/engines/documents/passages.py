"""How a text is cut into passages: what a search finds, and a model gets to read.

A passage is some sentences of one section, about `WORDS` words: enough to answer from, little
enough to be read aloud. A heading begins a new one. When a section goes on in the next passage,
the last sentence stands in both, so that an answer on the seam is whole in one of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

WORDS = 110
MAX_SENTENCE_WORDS = 80
"""What has no full stops (tables, lists of names) is cut after so many words."""
MAX_WORD_CHARS = 200
MAX_PASSAGES = 50_000

_HEADING = re.compile(r"#{1,6}[ \t](.{1,300})")
_UNDERLINE = re.compile(r"={3,}|-{3,}")
_END = re.compile(r"(?<=[.!?…])[\"'”’)\]]{0,2}\s+(?=[\"'“‘(\[]{0,2}[^\W_a-z])")
_ABBREVIATED = re.compile(r"\b(?:vs|mr|mrs|ms|dr|st|no|e\.g|i\.e|[A-Z])\.$", re.I)


LINE = "\n"


@dataclass(frozen=True, slots=True)
class Passage:
    """Some sentences; `heading` is that of their section, or empty."""

    heading: str
    text: str


def passages(text: str) -> list[Passage]:
    """`text` as passages, in order."""
    found: list[Passage] = []
    for heading, section in _sections(text):
        for words in _gathered(section):
            found.append(Passage(heading, words))
            if len(found) >= MAX_PASSAGES:
                return found
    return found


def _sections(text: str) -> Iterator[tuple[str, list[str]]]:
    """Each heading with the sentences under it. A section without any is left out."""
    heading, under = "", list[str]()
    block: list[str] = []
    fenced = False
    for line in [*text.split("\n"), ""]:
        stripped = line.strip()
        if stripped.startswith("```"):
            fenced = not fenced
            continue
        marked = None if fenced else _HEADING.match(stripped)
        underlined = len(block) == 1 and _UNDERLINE.fullmatch(stripped)
        if stripped and not marked and not underlined:
            block.append(stripped)
            continue
        if not underlined:
            under += _block(" ".join(block))
        if marked or underlined:
            if under:
                yield heading, under
            heading, under = (marked[1] if marked else block[0]).strip(" #"), []
        block = []
    if under:
        yield heading, under


def _block(block: str) -> Iterator[str]:
    """The sentences of a paragraph or a title; the first begins a line in its passage.

    So that nobody takes a title for the beginning of the sentence below it.
    """
    for number, sentence in enumerate(_sentences(block)):
        yield sentence if number else f"{LINE}{sentence}"


def _sentences(block: str) -> Iterator[str]:
    """The sentences of a paragraph; those that go on and on in pieces."""
    start = 0
    for end in [*(found.end() for found in _END.finditer(block)), len(block)]:
        sentence = block[start:end].strip()
        if end < len(block) and _ABBREVIATED.search(sentence[-8:]):
            continue
        start = end
        words = [word[:MAX_WORD_CHARS] for word in sentence.split()]
        for at in range(0, len(words), MAX_SENTENCE_WORDS):
            yield " ".join(words[at : at + MAX_SENTENCE_WORDS])


def _gathered(sentences: list[str]) -> Iterator[str]:
    """Sentences put together until there are `WORDS` words; the last of each opens the next."""
    held: list[str] = []
    fresh = 0
    for sentence in sentences:
        if fresh and _length(held) + _length([sentence]) > WORDS:
            yield _joined(held)
            held, fresh = held[-1:] if _length(held[-1:]) < WORDS // 3 else [], 0
        held.append(sentence)
        fresh += 1
    if fresh:
        yield _joined(held)


def _joined(sentences: list[str]) -> str:
    return " ".join(sentences).replace(f" {LINE}", LINE).strip()


def _length(sentences: list[str]) -> int:
    return sum(sentence.count(" ") + 1 for sentence in sentences)
