"""Assign the phrases of a request to the string parameters of a function.

Each pair of parameter and phrase has a score: how well the introducing word suits the kind of the
parameter (a person follows "to", "with" or the verb; a place "in"), how near the phrase lies to
the parameter's name and description in meaning, and whether the parameter's name stands beside it
("room 204", "the subject summer party"). Pairs are taken by falling score, required parameters
first. Phrases left over extend the one that they follow: "lunch" and "with tom" are one title
where no parameter takes a person.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import declarations, words
from vivavoce.engines.function_calling.declarations import Parameter, ParameterKind
from vivavoce.engines.function_calling.phrases import (
    CLAUSE,
    INFINITIVE,
    MESSAGE,
    NAMED,
    VALUE,
    VERB,
    Phrase,
    trim,
)
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.function_calling.words import Span, plain
from vivavoce.engines.speech_text import STOP_WORDS

_INTRO: Mapping[ParameterKind, Mapping[str, float]] = {
    ParameterKind.THING: {
        VERB: 0.9, NAMED: 1.2, "about": 0.6, "for": 0.5, "of": 0.6, "on": 0.2, "as": 0.6,
        "with": 0.3, "to": 0.2, "in": 0.1, "from": 0.1, "by": 0.1, "into": 0.1, "under": 0.5,
        "until": 0.5, "till": 0.5, MESSAGE: 0.3, CLAUSE: -0.2, INFINITIVE: -0.5, VALUE: 0.7,
    },
    ParameterKind.PERSON: {
        VERB: 0.5, VALUE: 0.4, "to": 0.8, "with": 0.8, "for": 0.6, "by": 0.6, "from": 0.6,
        "of": 0.4, NAMED: 0.5,
    },
    ParameterKind.PLACE: {
        VERB: 0.3, VALUE: 0.3, "in": 0.9, "at": 0.9, "near": 0.9, "by": 0.5, "to": 0.6, "for": 0.6,
        "from": 0.4, "inside": 0.9, "around": 0.8, "on": 0.7, "of": 0.4, "into": 0.5,
        "through": 0.5, "over": 0.4,
    },
    ParameterKind.CODE: {
        VERB: 0.9, VALUE: 0.7, NAMED: 1.2, "of": 0.8, "for": 0.7, "from": 0.3, "in": 0.3,
        "about": 0.5,
    },
    ParameterKind.SOURCE: {
        "from": 1.4, "of": 0.4, VERB: 0.3, VALUE: 0.4, "in": 0.2,
    },
    ParameterKind.TARGET: {
        "to": 1.3, "into": 1.3, "onto": 1.3, "in": 0.6, "for": 0.5, VERB: 0.3, "at": 0.4,
    },
    ParameterKind.TEXT: {
        MESSAGE: 1.6, INFINITIVE: 1.3, CLAUSE: 1.15, VERB: 0.95, VALUE: 0.9, NAMED: 0.8,
        "about": 0.7, "of": 0.4, "for": 0.7, "on": 0.4,
    },
    ParameterKind.NEW_NAME: {
        "to": 1.0, "into": 1.0, "as": 1.0, "with": 0.8, "by": 0.5, NAMED: 1.3,
    },
}  # fmt: skip
"""How well the word before a phrase suits a kind of parameter; one that is not listed, badly."""
_UNSUITED = -0.6
_MEANING = 1.8
"""Weight of the cosine similarity between a phrase and the parameter's name and description."""
_LABEL = 1.2
_AGENT = 0.5
"""For a person of whom something is said that they may do: "tom may use the boat"."""
_CAPITAL = 0.35
_OPTIONAL = 0.65
"""Score from which an optional parameter takes a phrase."""
_REQUIRED = 0.0
_ABOUT_TOOL = 0.6
_OBJECT = 1.0
"""How much less the verb's object is an optional parameter's value than a required one's."""
_NEAR_TOOL = 0.7
"""A phrase this near to the function's own noun ("pictures" of `show_photos`) is hardly a value."""
_NEEDED = 2.0
"""How much a required parameter's value counts more than an optional one's."""
_MAX_PHRASES = 8
_DEICTIC = re.compile(r"^(?:this|that|these|those|it|them)\b")
_LIST = re.compile(r",| and | or ")
_ADJECTIVES = words.word_set("new another other next current last past coming first")
_QUANTIFIERS = words.word_set("every each all both any some")
_MODAL_AFTER = re.compile(r"\s+(?:should|may|can|could|must|will|wants?|needs?|is allowed)\b")
_ARTICLE_BEFORE = re.compile(r"\b(?:the|an?|my|our|your|his|her|their)\s+$")
_INTRODUCTION = re.compile(
    r"\s+(?:to|on|in|into|for|with|at|from|by|as)(?:\s+(?:the|an?|my|our|your|his|her|their))?\s+$"
)
_FINITE = re.compile(r"\b(?:is|are|was|were|am|has|have|had|will|can|should|must|do|does|did)\b")
_NAME_OF = re.compile(r"(?:name|title) of (?:(?:the|an?|my|our)\s+)?")
_EXTENDING = frozenset(("of", "by", "about", "with"))
_NAMES = words.word_set("name title value text string query item object thing")


@dataclass(frozen=True, slots=True)
class Slot:
    """A string parameter to be filled, and its kind."""

    parameter: Parameter
    kind: ParameterKind


def assign(
    slots: Sequence[Slot],
    phrases: Sequence[Phrase],
    text: str,
    tool: ToolDeclaration,
    encoder: MiniLM | None,
    taken: Sequence[Span] = (),
) -> dict[str, Span]:
    """Return the span of each parameter that a phrase suits; `taken` are the spans of others."""
    found = _labelled(phrases, slots, text, words.split_identifier(tool.name))
    found = [(one, own) for one, own in found if own or not _names_tool(one, text, tool)]
    found = found[:_MAX_PHRASES]
    scores = _scores(slots, found, text, encoder, tool)
    chosen = _best(slots, found, scores)
    result = {slots[row].parameter.name: found[column][0].span for row, column in chosen.items()}
    for slot in slots:
        _extend(slot, result, set(chosen.values()), found, text)
    for slot in slots:
        span = result.get(slot.parameter.name)
        if span and "name" in words.split_identifier(slot.parameter.name):
            named = _NAME_OF.match(plain(text), span.start, span.end)
            result[slot.parameter.name] = Span(named.end() if named else span.start, span.end)
    for row, column in chosen.items():
        if slots[row].kind is ParameterKind.TEXT and found[column][0].intro in (VERB, CLAUSE):
            name = slots[row].parameter.name
            result[name] = _to_end(result[name], [*result.values(), *taken], text)
    return result


def _to_end(span: Span, others: Sequence[Span], text: str) -> Span:
    """Return a text's span up to the next value, or the end."""
    end = min((other.start for other in others if other.start > span.start), default=len(text))
    if end < len(text) and (before := _INTRODUCTION.search(plain(text)[:end])):
        end = max(before.start(), span.end)
    article = _ARTICLE_BEFORE.search(plain(text)[: span.start])
    is_sentence = bool(_FINITE.search(plain(text)[span.start : end]))
    start = article.start() if article and is_sentence else span.start
    return trim(text, Span(start, end), articles=not is_sentence, whole=is_sentence)


def _best(
    slots: Sequence[Slot],
    found: Sequence[tuple[Phrase, str]],
    scores: Sequence[Sequence[float]],
) -> dict[int, int]:
    """Return the phrase of each slot with the highest sum of scores; no two phrases overlap."""
    overlaps = [
        sum(1 << other for other, (two, _) in enumerate(found) if one.span.meets(two.span))
        for one, _ in found
    ]

    @functools.cache
    def best(row: int, used: int) -> tuple[float, tuple[tuple[int, int], ...]]:
        if row == len(slots):
            return 0.0, ()
        needed = slots[row].parameter.needed
        options = [best(row + 1, used)]
        for column, score in enumerate(scores[row]):
            worth = score - (_REQUIRED - _NEEDED if needed else _OPTIONAL)
            if worth > 0 and not used >> column & 1:
                rest, pairs = best(row + 1, used | overlaps[column])
                options.append((worth + rest, ((row, column), *pairs)))
        return max(options)

    return dict(best(0, 0)[1])


def _extend(
    slot: Slot,
    result: dict[str, Span],
    used: set[int],
    found: Sequence[tuple[Phrase, str]],
    text: str,
) -> None:
    """Append the phrases that follow a thing's phrase directly and that no parameter took."""
    name = slot.parameter.name
    if slot.kind is not ParameterKind.THING or name not in result:
        return
    for column, (phrase, _) in enumerate(found):
        gap = text[result[name].end : phrase.span.start]
        joins = phrase.intro in _EXTENDING and len(gap.split()) <= 2
        if column in used or not joins or phrase.span.start <= result[name].end:
            continue
        if gap.split()[:1] == [phrase.intro] and not re.search(r"[.,;:!?]", gap):
            result[name] = Span(result[name].start, phrase.span.end)


def _labelled(
    phrases: Sequence[Phrase], slots: Sequence[Slot], text: str, tool: Sequence[str]
) -> list[tuple[Phrase, str]]:
    """Return the phrases, split beside a parameter's name, with the name that labels them."""
    result: list[tuple[Phrase, str]] = []
    for phrase in phrases:
        if phrase.intro == MESSAGE:
            result.append((phrase, ""))
            continue
        start = phrase.span.start
        tokens = [
            (m.start() + start, m.end() + start, m.group())
            for m in words.WORD.finditer(plain(text)[start : phrase.span.end])
        ]
        for one, own in _split_at_name(phrase, tokens, slots, text):
            keep = own or any(slot.parameter.name in _NAMES for slot in slots)
            result.append((one if keep else _without_tool(one, text, tool), own))
    return result


def _split_at_name(
    phrase: Phrase,
    tokens: Sequence[tuple[int, int, str]],
    slots: Sequence[Slot],
    text: str,
) -> list[tuple[Phrase, str]]:
    for slot in slots:
        head = words.split_identifier(slot.parameter.name)[-1:]
        if not head or head[0] in _NAMES:
            continue
        name = slot.parameter.name
        for place, (_, right, word) in enumerate(tokens):
            if not words.is_similar(word, head[0]):
                continue
            rest = trim(text, Span(right, phrase.span.end))
            if place == 0:
                labelled = Phrase(phrase.intro, rest)
                return [(labelled, name)] if rest.of(text).strip() else []
            before = trim(text, Span(phrase.span.start, right))
            if not rest.of(text).strip():
                return [(Phrase(phrase.intro, before), name)]
    return [(phrase, "")]


def _without_tool(phrase: Phrase, text: str, tool: Sequence[str]) -> Phrase:
    """Return the phrase without words of the function's name at its end: "thai restaurant"."""
    if phrase.intro in (MESSAGE, NAMED, INFINITIVE, CLAUSE):
        return phrase
    span = phrase.span
    while (cut := span.of(text).rfind(" ")) > 0 and any(
        words.is_similar(span.of(text)[cut + 1 :].lower(), part) for part in tool
    ):
        span = trim(text, Span(span.start, span.start + cut))
    return Phrase(phrase.intro, span)


def _names_tool(phrase: Phrase, text: str, tool: ToolDeclaration) -> bool:
    """Return whether a phrase only names the subject of the function."""
    if phrase.intro in (MESSAGE, NAMED, INFINITIVE):
        return False
    about = [*words.split_identifier(tool.name), *words.tokenize(declarations.summary(tool))]
    spoken = words.tokenize(phrase.span.of(text))
    telling = [word for word in spoken if word not in STOP_WORDS | _ADJECTIVES | _QUANTIFIERS]
    return all(any(words.is_similar(word, other) for other in about) for word in telling)


def _scores(
    slots: Sequence[Slot],
    found: Sequence[tuple[Phrase, str]],
    text: str,
    encoder: MiniLM | None,
    tool: ToolDeclaration,
) -> list[list[float]]:
    near = np.zeros((len(slots), len(found)), dtype=np.float32)
    about_tool = np.zeros(len(found), dtype=np.float32)
    if encoder is not None and slots and found:
        meanings = [_meaning(slot.parameter) for slot in slots]
        spans = [one.span.of(text).lower()[:120] for one, _ in found]
        vectors = np.stack(encoder.encode_all(spans))
        near = np.stack(encoder.encode_all(meanings)) @ vectors.T
        nouns = " ".join(words.split_identifier(tool.name)[1:])
        about_tool = vectors @ encoder.encode(nouns) if nouns else about_tool
    scores = [
        [
            _MEANING * float(near[row, column]) + _suits(slot, *one, text) - 0.03 * column
            for column, one in enumerate(found)
        ]
        for row, slot in enumerate(slots)
    ]
    for slot, row in zip(slots, scores, strict=True):
        if slot.kind is ParameterKind.TEXT:
            _keep_whole(row, found)
    needed = any(slot.parameter.needed for slot in slots)
    for slot, row in zip(slots, scores, strict=True):
        for column, (phrase, _) in enumerate(found):
            if about_tool[column] >= _NEAR_TOOL:
                row[column] -= _ABOUT_TOOL
            if needed and not slot.parameter.needed and phrase.intro == VERB:
                row[column] -= _OBJECT
    return scores


def _keep_whole(row: list[float], found: Sequence[tuple[Phrase, str]]) -> None:
    """Let no part of an infinitive be worth more than the whole: "call the dentist"."""
    for column, (whole, _) in enumerate(found):
        for part, (phrase, _) in enumerate(found):
            if whole.intro == INFINITIVE and part != column and whole.span.meets(phrase.span):
                row[part] = min(row[part], row[column] - 0.03)


def _suits(slot: Slot, phrase: Phrase, label: str, text: str) -> float:
    named = words.split_identifier(slot.parameter.name)
    score = _INTRO.get(slot.kind, {}).get(phrase.intro, _UNSUITED)
    if phrase.intro in named:
        score = max(score, 1.3)
    if slot.parameter.kind == "array" and _LIST.search(phrase.span.of(text)):
        score += _LABEL / 2
    if label:
        score += _LABEL if label == slot.parameter.name else -_LABEL
    if slot.kind is ParameterKind.PERSON and _MODAL_AFTER.match(plain(text), phrase.span.end):
        score += _AGENT
    first = phrase.span.of(text)[:1]
    if (
        slot.kind
        in (ParameterKind.PERSON, ParameterKind.PLACE, ParameterKind.SOURCE, ParameterKind.TARGET)
        and phrase.span.start > 0
    ):
        score += _CAPITAL if first.isupper() else 0.0
    if _DEICTIC.match(phrase.span.of(text).lower()) and phrase.intro != MESSAGE:
        score -= _LABEL
    return score


def _meaning(one: Parameter) -> str:
    named = words.spell_identifier(one.name)
    described = str(one.schema.get("description", ""))[:120].strip().rstrip(".")
    return f"{named}. {described}" if described else named
