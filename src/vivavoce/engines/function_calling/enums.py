"""Values that the schema lists, and yes or no: found by their own words or by others for them."""

from __future__ import annotations

import re
from typing import Any

from vivavoce.domain.content import ToolDeclaration
from vivavoce.engines.function_calling import numbers, schema, synonyms, words
from vivavoce.engines.function_calling.parameter_kinds import Property

_TRUE_FALSE = re.compile(r"true (?:to|if|when|for)\b(.*?)(?:[,;.]|$)(?:.*?false (?:to|if)\b(.*))?")


def enumerated(one: Property, said: str) -> Any:
    """The listed value that was named, by its own words before other words."""
    spoken = numbers.extract(said)
    allowed = [value for value in one.about["enum"] if schema.accepts(one.about, value)]
    texts = [value for value in allowed if isinstance(value, str)]
    for value in sorted(texts, key=len, reverse=True):
        heard = words.tokenize(said)
        if value and all(
            any(words.is_similar(part, w) for w in heard) for part in words.split_identifier(value)
        ):
            return value
    for value in allowed:
        if (isinstance(value, str) and synonyms.meant(value, said)) or value in spoken:
            return value
    return None


def boolean(one: Property, said: str, tool: ToolDeclaration) -> bool | None:
    """What "true to …" says, or the parameter's own name; off where something is off."""
    named = [
        w for w in words.split_identifier(one.name) if w not in words.STOP_WORDS | {"can", "is"}
    ]
    switch = bool({"enabled", "enable", "on", "active", "state", "allowed"} & set(
        words.split_identifier(one.name)))  # fmt: skip
    about = str(one.about.get("description", "")).lower()
    mutes = bool(re.search(r"mute|silen|disturb|quiet|block", f"{about} {tool.name}"))
    if switch:
        off = synonyms.lets_through(said) if mutes else synonyms.is_off(said)
        return not off if one.needed or off or synonyms.is_on(said) else None
    opposite = {word for part in named for word in words.opposites(part.removesuffix("ed"))}
    if any(synonyms.named(word, said) for word in opposite):
        return False
    heard = synonyms.named(" ".join(named), said) or any(
        synonyms.named(word, said) for word in named
    )
    if heard:
        return not synonyms.is_negated(said)
    if found := _TRUE_FALSE.search(about):
        deed = found[1].split(" without ")[0]
        telling = [w for w in words.tokenize(deed) if w not in words.STOP_WORDS and len(w) > 3]
        if any(synonyms.named(word, said) for word in telling):
            return True
    if not one.needed:
        return None
    return False if synonyms.is_off(said) else True if synonyms.is_on(said) else None
