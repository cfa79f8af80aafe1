"""Results of calls in spoken sentences.

Facts are never left to the model: of five results as plain text in the prompt, the 0.5B and the
1.5B model each report one wrong. Values are read from the JSON as they came.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from vivavoce.domain.content import DEADLINE, OK, Json, ToolCall, ToolKind, ToolResult
from vivavoce.engines.function_calling import numbers, search_query, utterances, words
from vivavoce.engines.function_calling.quotations import Passage, Quoter
from vivavoce.engines.text import STOP_WORDS
from vivavoce.engines.workers import CancelToken

NOTHING_FOUND = "I found nothing about that."

_WRAPPERS = ("output", "result", "response", "data", "value")
_STATUS_KEYS = ("status", "success", "ok", "done", "state")
_TEXT_KEYS = (*_WRAPPERS, "message", "text", "summary", "answer")
_SUCCESS = words.word_set(
    "ok okay done success successful succeeded true yes completed complete sent on off set"
    " started stopped created updated accepted queued"
)
_FAILURE = words.word_set("false no failed failure fail error")
_GROUNDED = STOP_WORDS | words.word_set(
    "i'm i've i'll it's okay ok yes sure been was were has will am going done set ready"
)
"""Words that a confirmation of any deed may hold."""
_MAX_CHARS = 400
_SUMMARY_CHARS = 200
_MAX_EXACT = 1e15
_MIN_ROUNDED = 1e-3
_WHAT_IS = re.compile(r"^(?:what(?:'s| is)|how much (?:is|are))\s+([^.?!]+)\??$", re.IGNORECASE)

_PROBLEMS = {
    ToolKind.SEARCH: "the search did not work",
    ToolKind.CODE: "the code did not work",
    ToolKind.URL: "I could not read that page",
}
_PAGE_STATUS = {
    "PAYWALL": "{host} wants to be paid for before it can be read.",
    "UNSAFE": "I may not open {host}.",
}
_PAGE_UNREAD = "I could not read {host}."
_WHOLE_PAGE = STOP_WORDS | words.word_set(
    "summarize summarise summary read open fetch visit check look see say says tell page site"
    " website article link url address content contents about what whats what's you can give"
    " overview short brief"
)


# --- the server's own tools ------------------------------------------------------------------


def report_search(
    call: ToolCall, result: ToolResult, request: str, quoter: Quoter, cancel: CancelToken
) -> str:
    """The quotation that answers; empty if nothing was found for a question.

    Then the model answers it by itself. `NOTHING_FOUND` where a search was asked for.
    """
    if problem := result.response.get("error"):
        return apology(_PROBLEMS[ToolKind.SEARCH], problem)
    question = str(call.args.get("query", request))
    passages = [Passage(_text(one, "title"), _text(one, "text"))
                for one in _objects(result.response, "results")]  # fmt: skip
    found = " ".join(quoter.quote(question, passages, cancel))
    return found or (NOTHING_FOUND if search_query.is_search_command(request) else "")


def report_code(result: ToolResult, request: str) -> str:
    """Return what a program printed, or why it did not work."""
    if problem := result.response.get("error"):
        return apology(_PROBLEMS[ToolKind.CODE], problem)
    output = str(result.response.get("output", "")).strip()
    status = result.response.get("outcome", OK)
    if status == DEADLINE:
        return "Sorry, the code took too long."
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    if status != OK:
        return apology(_PROBLEMS[ToolKind.CODE], lines[-1] if lines else "")
    if not lines:
        return "The code ran and printed nothing."
    if len(lines) > 1:
        return sentence(f"the output is {'; '.join(map(spoken_value, lines))}")
    value = spoken_value(lines[0])
    if value in ("yes", "no"):
        return sentence(value)
    subject = _WHAT_IS.match(utterances.strip_request(request))
    return sentence(f"{subject[1] if subject else 'the result'} is {value}")


def report_pages(result: ToolResult, request: str, quoter: Quoter, cancel: CancelToken) -> str:
    """The answer from web pages, their beginning for "summarize", and which were not read."""
    if problem := result.response.get("error"):
        return apology(_PROBLEMS[ToolKind.URL], problem)
    question = utterances.without_addresses(request)
    wants_all = set(words.tokenize(question)) <= _WHOLE_PAGE
    passages, sentences = [], []
    for page in _objects(result.response, "pages"):
        status = _text(page, "status").removeprefix("URL_RETRIEVAL_STATUS_")
        if status == "SUCCESS":
            passages.append(Passage(_text(page, "title"), _text(page, "text")))
        else:
            host = urlsplit(_text(page, "url")).hostname or "that page"
            sentences.append(_PAGE_STATUS.get(status, _PAGE_UNREAD).format(host=host))
    if passages:
        found = (
            quoter.beginning(passages) if wants_all else quoter.quote(question, passages, cancel)
        )
        empty = "The page holds no text." if wants_all else NOTHING_FOUND
        sentences.insert(0, " ".join(found) or empty)
    return " ".join(dict.fromkeys(sentences)) or NOTHING_FOUND


def spoken_value(printed: str) -> str:
    """A printed value as it is said: "about 1.4142", "yes" for True, a list with "and"."""
    try:
        value = ast.literal_eval(printed)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return printed
    if isinstance(value, float):
        return _rounded(value) if abs(value) < _MAX_EXACT else printed
    if isinstance(value, list | tuple | set | dict | bool):
        if isinstance(value, list | tuple | set):
            return _joined([_rounded(v) if isinstance(v, float) else _phrase(v) for v in value])
        return _phrase(value)
    return printed


def _rounded(value: float) -> str:
    """Without the noise of floating point."""
    short = f"{round(value, 4):.15g}" if abs(value) >= _MIN_ROUNDED or not value else f"{value:.4g}"
    return short if math.isclose(float(short), value, rel_tol=1e-9) else f"about {short}"


# --- functions -------------------------------------------------------------------------------


def report_failure(result: ToolResult) -> str:
    """Return what went wrong, as a sentence; empty if nothing did."""
    if problem := result.response.get("error"):
        return apology("that did not work", problem)
    core = _unwrapped(result.response)
    flags = [core.get(key) for key in _STATUS_KEYS] if isinstance(core, Mapping) else [core]
    if any(flag is False or (isinstance(flag, str) and flag.lower() in _FAILURE) for flag in flags):
        return apology(
            "that did not work", ", ".join(_facts(core) if isinstance(core, Mapping) else [])
        )
    return ""


def report_values(result: ToolResult) -> str:
    """Return what the function returned, as a sentence; empty if it only says that it was done."""
    core = _unwrapped(result.response)
    if isinstance(core, Mapping):
        return sentence(_joined(_facts(core)))
    if isinstance(core, str):
        return "" if core.strip().lower().rstrip(".!") in _SUCCESS else sentence(core)
    if core is None or isinstance(core, bool):
        return ""
    if isinstance(core, Sequence):
        return sentence(_joined([_phrase(one) for one in core])) if core else "There are none."
    subject = words.split_identifier(result.name)
    return sentence(f"the {' '.join(subject[1:] or subject)} is {_phrase(core)}")


def report_progress(values: str) -> str:
    """A result that others will follow."""
    if not values:
        return "It is still under way."
    keeps_capital = values[:2].isupper() or values.startswith("I")
    return f"So far: {values if keeps_capital else values[0].lower() + values[1:]}"


def apology(what: str, problem: Any) -> str:
    """`Sorry, the search did not work: no answer came.`"""
    detail = _phrase(problem)
    if detail.startswith(("The ", "A ", "An ", "It ", "No ", "There ")):
        detail = detail[0].lower() + detail[1:]
    return f"Sorry, {what}: {detail}." if detail else f"Sorry, {what}."


def summary(result: ToolResult) -> str:
    """A result in one line, for a model to read."""
    found = report_failure(result)
    if not found and "outcome" in result.response:
        found = _phrase(result.response.get("output", ""))
    for key in ("results", "pages"):
        if not found and key in result.response:
            texts = (" ".join(_text(one, "text").split()) for one in _objects(result.response, key))
            found = next(filter(None, texts), "nothing")[:_SUMMARY_CHARS]
    name = " ".join(words.split_identifier(result.name))
    return f"{name}: {found or report_values(result) or 'ok'}"


def deed(call: ToolCall) -> str:
    """A call in words: `set timer (minutes 10)`."""
    name = " ".join(words.split_identifier(call.name))
    return f"{name} ({_phrase(call.args)})" if call.args else name


def is_grounded(claim: str, request: str, done: str) -> bool:
    """Whether all numbers and content words of a claim stand in the request or the deed.

    A sentence that says the opposite of the request is not grounded either.
    """
    known = [word for source in (request, done) for word in words.tokenize(source)]
    known_numbers = {number for source in (request, done) for number in numbers.extract(source)}
    said = words.tokenize(claim)
    return (
        known_numbers.issuperset(numbers.extract(claim))
        and not words.contradicts(words.tokenize(request), said)
        and all(
            word in _GROUNDED or numbers.extract(word) or any(_same(word, one) for one in known)
            for word in said
        )
    )


def sentence(text: str) -> str:
    """A text as a sentence: a capital letter, and a mark at the end."""
    plain = " ".join(text.split())[:_MAX_CHARS]
    if plain and plain[-1] not in ".!?":
        plain += "."
    return plain[:1].upper() + plain[1:]


def _same(word: str, one: str) -> bool:
    """Whether two words have one stem: "setting" and "set", too."""
    return words.is_similar(word, one) or words.stem(word) == one + one[-1]


def _unwrapped(response: Any) -> Any:
    """The result itself, out of the objects that only wrap it."""
    while isinstance(response, Mapping) and len(response) == 1:
        ((key, inner),) = response.items()
        if key not in _WRAPPERS:
            break
        response = inner
    return response


_STATES = words.word_set("active available busy empty free full off on online open ready valid")
"""Adjectives that a boolean is often named by, beside participles ("locked")."""


def _facts(found: Mapping[str, Any]) -> list[str]:
    facts = []
    for key, value in found.items():
        plain = value.lower() if isinstance(value, str) else value
        is_status = key in _STATUS_KEYS and (
            isinstance(plain, bool) or plain in _SUCCESS | _FAILURE
        )
        if is_status or value is None or key == "error":
            continue
        if key in _TEXT_KEYS and isinstance(value, str):
            facts += [value.strip().rstrip(".")] if plain not in _SUCCESS else []
        else:
            facts.append(_fact(" ".join(words.split_identifier(key)), value))
    return facts


def _fact(name: str, value: Any) -> str:
    """A named value in words: "the price is 4", "it is not locked", "there are no events"."""
    if isinstance(value, bool):
        state = name.removeprefix("is ")
        if state != name or state in _STATES or (state.endswith("ed") and " " not in state):
            return f"it is {state}" if value else f"it is not {state}"
        return f"{name}: {_phrase(value)}"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"the {name} are {_phrase(value)}" if value else f"there are no {name}"
    return f"the {name} is {_phrase(value)}"


def _phrase(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.15g}"
    if isinstance(value, Mapping):
        pairs = ((" ".join(words.split_identifier(str(k))), _phrase(v)) for k, v in value.items())
        return ", ".join(f"{name} {text}" for name, text in pairs)
    if isinstance(value, Sequence) and not isinstance(value, str):
        return _joined([_phrase(one) for one in value])
    return " ".join(str(value).split()).rstrip(".")[:_MAX_CHARS]


def _joined(phrases: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(phrases[:-1]), *phrases[-1:])))


def _objects(response: Json, key: str) -> Sequence[Mapping[str, Any]]:
    found = response.get(key)
    if not isinstance(found, Sequence) or isinstance(found, str):
        return ()
    return [one for one in found if isinstance(one, Mapping)]


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""
