"""What a function gave back, in a sentence.

Facts are never left to the model: one of this size changes them. It only words what was
done; what was found out or went wrong is told as it came.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from vivavoce.domain.content import Json, ToolCall, ToolResult
from vivavoce.engines.function_calling import numbers, words

DONE = "Okay, that's done."

_WRAPPERS = ("output", "result", "response", "data", "value")
_STATES = ("status", "success", "ok", "done", "state")
_GOOD = words.word_set(
    "ok okay done success successful succeeded true yes completed complete sent on off set"
    " started stopped created updated accepted queued"
)
_BAD = words.word_set("false no failed failure fail error")
_LONGEST = 400
_GIST = 200
_PLAIN = words.STOP_WORDS | words.word_set(
    "i'm i've i'll it's okay ok yes sure been was were has will am going done set ready"
)
"""Words that a sentence about any deed may hold."""


def failure(result: ToolResult) -> str:
    """What went wrong, as a sentence; empty if nothing did."""
    problem = result.response.get("error")
    if problem:
        return apology("that did not work", problem)
    core = _unwrapped(result.response)
    flags = [core.get(key) for key in _STATES] if isinstance(core, Mapping) else [core]
    if any(flag is False or (isinstance(flag, str) and flag.lower() in _BAD) for flag in flags):
        rest = [one for one in (_facts(core) if isinstance(core, Mapping) else []) if one]
        return f"Sorry, that did not work{': ' + ', '.join(rest) if rest else ''}."
    return ""


def findings(result: ToolResult) -> str:
    """What the function found out, as sentences; empty if it only says that it was done."""
    core = _unwrapped(result.response)
    if isinstance(core, Mapping):
        facts = _facts(core)
        return sentence(_joined(facts)) if facts else ""
    if isinstance(core, str):
        return "" if core.strip().lower().rstrip(".!") in _GOOD else sentence(core)
    if core is None or isinstance(core, bool):
        return ""
    if isinstance(core, Sequence):
        return sentence(_joined([_phrase(one) for one in core])) if core else "There are none."
    return sentence(f"the {_subject(result.name)} is {_phrase(core)}")


def progress(found: str) -> str:
    """A result that others will follow, told as what is known by now."""
    if not found:
        return "It is still under way."
    plain = found if found[:2].isupper() or found.startswith("I") else found[0].lower() + found[1:]
    return f"So far: {plain}"


def apology(what: str, problem: Any) -> str:
    """`Sorry, the search did not work: no answer came.`"""
    said = _phrase(problem)
    if said.startswith(("The ", "A ", "An ", "It ", "No ", "There ")):
        said = said[0].lower() + said[1:]
    return f"Sorry, {what}: {said}." if said else f"Sorry, {what}."


def told(result: ToolResult) -> str:
    """All of it in one line, for a model to read."""
    name = " ".join(words.split_identifier(result.name))
    return f"{name}: {failure(result) or _gist(result.response) or findings(result) or 'ok'}"


def _gist(response: Json) -> str:
    """What a search, a page or code gave, in short: a small window holds no more."""
    for key in ("results", "pages"):
        found = response.get(key)
        if isinstance(found, Sequence) and not isinstance(found, str):
            texts = (one.get("text", "") for one in found if isinstance(one, Mapping))
            return next((" ".join(str(text).split())[:_GIST] for text in texts if text), "nothing")
    return _phrase(response.get("output", "")) if "outcome" in response else ""


def deed(call: ToolCall) -> str:
    """A call in words: `set timer (minutes 10)`."""
    name = " ".join(words.split_identifier(call.name))
    details = ", ".join(
        f"{' '.join(words.split_identifier(k))} {_phrase(v)}" for k, v in call.args.items()
    )
    return f"{name} ({details})" if details else name


def is_grounded(claim: str, *sources: str) -> bool:
    """Whether all numbers and all words with a meaning of their own stand in the sources.

    The first source is the request: a sentence that says its opposite is not grounded either.
    """
    known = [word for source in sources for word in words.tokenize(source)]
    known_numbers = {number for source in sources for number in numbers.extract(source)}
    told = words.tokenize(claim)
    return (
        known_numbers.issuperset(numbers.extract(claim))
        and not words.contradicts(words.tokenize(sources[0]), told)
        and all(
            word in _PLAIN or numbers.extract(word) or any(_same(word, one) for one in known)
            for word in told
        )
    )


def _same(word: str, one: str) -> bool:
    """Whether two words have one stem: `setting` and `set`, too."""
    return words.is_similar(word, one) or words.stem(word) == one + one[-1]


def _unwrapped(response: Any) -> Any:
    """The result itself, out of the objects that only wrap it."""
    while isinstance(response, Mapping) and len(response) == 1:
        ((key, inner),) = response.items()
        if key not in _WRAPPERS:
            break
        response = inner
    return response


def _facts(found: Mapping[str, Any]) -> list[str]:
    facts = []
    for key, value in found.items():
        plain = value.lower() if isinstance(value, str) else value
        if key in _STATES and (isinstance(plain, bool) or plain in _GOOD | _BAD):
            continue
        if value is None or key == "error":
            continue
        if key in (*_WRAPPERS, "message", "text", "summary", "answer") and isinstance(value, str):
            if plain not in _GOOD:
                facts.append(value.strip().rstrip("."))
            continue
        facts.append(f"the {' '.join(words.split_identifier(key))} is {_phrase(value)}")
    return facts


def _phrase(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{' '.join(words.split_identifier(k))} {_phrase(v)}" for k, v in value.items()
        )
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _joined([_phrase(one) for one in value])
    return " ".join(str(value).split()).rstrip(".")[:_LONGEST]


def _joined(phrases: Sequence[str]) -> str:
    if len(phrases) < 2:
        return "".join(phrases)
    return f"{', '.join(phrases[:-1])} and {phrases[-1]}"


def _subject(name: str) -> str:
    parts = words.split_identifier(name)
    return " ".join(parts[1:] if len(parts) > 1 else parts)


def sentence(text: str) -> str:
    """A text as a sentence: a capital letter, and a mark at the end."""
    plain = " ".join(text.split())[:_LONGEST]
    if not plain:
        return ""
    ending = "" if plain[-1] in ".!?" else "."
    return plain[0].upper() + plain[1:] + ending
