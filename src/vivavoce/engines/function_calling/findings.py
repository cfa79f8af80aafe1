"""What the server's own tools brought back, in sentences that leave every fact as it came."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from vivavoce.domain.content import DEADLINE, OK, Json, ToolCall, ToolKind, ToolResult
from vivavoce.engines.function_calling import outcome, seeking, sums, words
from vivavoce.engines.function_calling.reading import Passage, Reader
from vivavoce.engines.function_calling.wishes import without_addresses
from vivavoce.engines.lanes import CancelToken

NOTHING = "I found nothing about that."
_TOOLS = {
    ToolKind.SEARCH: "the search did not work",
    ToolKind.CODE: "the code did not work",
    ToolKind.URL: "I could not read that page",
}
_REFUSED = {
    "PAYWALL": "{place} wants to be paid for before it can be read.",
    "UNSAFE": "I may not open {place}.",
}
_UNREAD = "I could not read {place}."
_PREFIX = "URL_RETRIEVAL_STATUS_"
_WHOLE = words.word_set(
    "summarize summarise summary read open fetch visit check look see say says tell page site"
    " website article link url address content contents about what whats what's out you can give"
    " overview short brief"
)
_LONGEST_OUTPUT = 400


def report(
    kind: ToolKind,
    call: ToolCall,
    result: ToolResult,
    asked: str,
    reader: Reader,
    token: CancelToken,
) -> str:
    """Sentences about the result of a search, of code or of reading pages.

    `asked` is the request that led to the call. Empty where a search that nobody asked for in
    words found nothing: then the question is the model's to answer.
    """
    if problem := result.response.get("error"):
        return outcome.apology(_TOOLS[kind], problem)
    if kind is ToolKind.SEARCH:
        question = str(call.args.get("query", asked))
        told = _search(question, result.response, reader, token)
        expected = seeking.is_asked_for(asked) or seeking.is_half_heard(asked)
        return told or (NOTHING if expected or not asked else "")
    if kind is ToolKind.CODE:
        return _code(call, result.response, asked)
    return _pages(asked, result.response, reader, token)


def _search(question: str, response: Json, reader: Reader, token: CancelToken) -> str:
    found = [Passage(_text(one, "title"), _text(one, "text")) for one in _list(response, "results")]
    return " ".join(reader.answer(question, found, token))


def _code(call: ToolCall, response: Json, asked: str) -> str:
    output = str(response.get("output", "")).strip()
    state = response.get("outcome", OK)
    if state == DEADLINE:
        return "Sorry, the code took too long."
    if state != OK:
        last = output.splitlines()[-1] if output else ""
        return outcome.apology(_TOOLS[ToolKind.CODE], last)
    counted = sums.of(asked)
    is_sum = counted is not None and counted.code == call.args.get("code")
    if not output:
        return "The code ran and printed nothing."
    if counted is None or not is_sum:
        plain = "; ".join(line.strip() for line in output.splitlines() if line.strip())
        return outcome.sentence(f"the output is {plain[:_LONGEST_OUTPUT]}")
    subject = counted.words or "the result"
    return outcome.sentence(f"{subject} is {sums.told(output)}")


def _pages(asked: str, response: Json, reader: Reader, token: CancelToken) -> str:
    question = without_addresses(asked)
    wants_all = set(words.tokenize(question)) <= _WHOLE | words.STOP_WORDS
    pages = _list(response, "pages")
    told = []
    read = []
    for page in pages:
        status = _text(page, "status").removeprefix(_PREFIX)
        if status == "SUCCESS":
            read.append(Passage(_text(page, "title"), _text(page, "text")))
        else:
            place = urlsplit(_text(page, "url")).hostname or "that page"
            told.append(_REFUSED.get(status, _UNREAD).format(place=place))
    if read:
        found = reader.first(read) if wants_all else reader.answer(question, read, token)
        told.insert(0, " ".join(found) or (NOTHING if not wants_all else "The page holds no text."))
    return " ".join(dict.fromkeys(told)) or NOTHING


def _list(response: Json, key: str) -> Sequence[Mapping[str, Any]]:
    found = response.get(key)
    if not isinstance(found, Sequence) or isinstance(found, str):
        return ()
    return [one for one in found if isinstance(one, Mapping)]


def _text(found: Mapping[str, Any], key: str) -> str:
    value = found.get(key)
    return value if isinstance(value, str) else ""
