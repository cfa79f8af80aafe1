"""Speak results of function calls: values, confirmations, and quotations from search results.

Facts are never left to the model: of five results as plain text in the prompt, the 0.5B and the
1.5B model each report one wrong. Values are read from the JSON as they came. The model's
wording of a confirmation is used only if request and call hold all that it says.

An answer from passages is never written, only quoted: from a passage in the prompt the models
answer 6 and 7 of 10 questions rightly, and the others with another fact of the passage. A
sentence's score is the sum of its likeness in meaning, of the question's words that it holds,
each weighted by its inverse document frequency, and of the kind of answer that is asked for.
"""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from vivavoce.domain.content import DEADLINE, OK, Json, ToolCall, ToolKind, ToolResult
from vivavoce.engines.function_calling import numbers, utterances, words
from vivavoce.engines.function_calling.completion import Completion, few_shot
from vivavoce.engines.function_calling.numbers import WEEKDAYS
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.function_calling.utterances import content_words
from vivavoce.engines.speech_text import STOP_WORDS, split_sentences
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
"""Words that any confirmation may hold."""
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
_WHOLE_PAGE_WORDS = STOP_WORDS | words.word_set(
    "summarize summarise summary read open fetch visit check look see say says tell page site"
    " website article link url address content contents about what whats what's you can give"
    " overview short brief"
)


# --- the server's own tools ------------------------------------------------------------------


def report_search(
    call: ToolCall, result: ToolResult, request: str, quoter: Quoter, cancel: CancelToken
) -> str:
    """Return the quotation that answers; empty if nothing was found for a question.

    Then the model answers it by itself. `NOTHING_FOUND` where a search was asked for.
    """
    if problem := result.response.get("error"):
        return apology(_PROBLEMS[ToolKind.SEARCH], problem)
    question = str(call.args.get("query", request))
    passages = [Passage(_text(one, "title"), _text(one, "text"))
                for one in _objects(result.response, "results")]  # fmt: skip
    found = " ".join(quoter.quote_answer(question, passages, cancel))
    return found or (NOTHING_FOUND if utterances.is_search_command(request) else "")


def report_code(result: ToolResult, request: str) -> str:
    """Return what a program printed, or its error, as a sentence."""
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
        return as_sentence(f"the output is {'; '.join(map(spoken_value, lines))}")
    value = spoken_value(lines[0])
    if value in ("yes", "no"):
        return as_sentence(value)
    subject = _WHAT_IS.match(utterances.strip_request(request))
    return as_sentence(f"{subject[1] if subject else 'the result'} is {value}")


def report_pages(result: ToolResult, request: str, quoter: Quoter, cancel: CancelToken) -> str:
    """Return the answer from web pages (for "summarize" their start), and which were not read."""
    if problem := result.response.get("error"):
        return apology(_PROBLEMS[ToolKind.URL], problem)
    question = utterances.without_addresses(request)
    wants_all = set(words.tokenize(question)) <= _WHOLE_PAGE_WORDS
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
            quoter.quote_start(passages)
            if wants_all
            else quoter.quote_answer(question, passages, cancel)
        )
        empty = "The page holds no text." if wants_all else NOTHING_FOUND
        sentences.insert(0, " ".join(found) or empty)
    return " ".join(dict.fromkeys(sentences)) or NOTHING_FOUND


def spoken_value(printed: str) -> str:
    """Return a printed value as it is said: "about 1.4142", "yes" for True, a list with "and"."""
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
    """Return a number without the noise of floating point."""
    short = f"{round(value, 4):.15g}" if abs(value) >= _MIN_ROUNDED or not value else f"{value:.4g}"
    return short if math.isclose(float(short), value, rel_tol=1e-9) else f"about {short}"


# --- functions -------------------------------------------------------------------------------


def report_failure(result: ToolResult) -> str:
    """Return a function's failure as a sentence; empty if it did not fail."""
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
    """Return a function's result as a sentence; empty if it only says that it succeeded."""
    core = _unwrapped(result.response)
    if isinstance(core, Mapping):
        return as_sentence(_joined(_facts(core)))
    if isinstance(core, str):
        return "" if core.strip().lower().rstrip(".!") in _SUCCESS else as_sentence(core)
    if core is None or isinstance(core, bool):
        return ""
    if isinstance(core, Sequence):
        return as_sentence(_joined([_phrase(one) for one in core])) if core else "There are none."
    subject = words.split_identifier(result.name)
    return as_sentence(f"the {' '.join(subject[1:] or subject)} is {_phrase(core)}")


def report_progress(values: str) -> str:
    """Return a sentence about a result that others will follow."""
    if not values:
        return "It is still under way."
    keeps_capital = values[:2].isupper() or values.startswith("I")
    return f"So far: {values if keeps_capital else values[0].lower() + values[1:]}"


def apology(what: str, problem: Any) -> str:
    """Return an apology, such as "Sorry, that did not work: no answer came", as a sentence."""
    detail = _phrase(problem)
    if detail.startswith(("The ", "A ", "An ", "It ", "No ", "There ")):
        detail = detail[0].lower() + detail[1:]
    return f"Sorry, {what}: {detail}." if detail else f"Sorry, {what}."


def summarize_result(result: ToolResult) -> str:
    """Return a result in one line, for a model to read."""
    found = report_failure(result)
    if not found and "outcome" in result.response:
        found = _phrase(result.response.get("output", ""))
    for key in ("results", "pages"):
        if not found and key in result.response:
            texts = (" ".join(_text(one, "text").split()) for one in _objects(result.response, key))
            found = next(filter(None, texts), "nothing")[:_SUMMARY_CHARS]
    name = words.spell_identifier(result.name)
    return f"{name}: {found or report_values(result) or 'ok'}"


def describe_call(call: ToolCall) -> str:
    """Return a call in words: `set timer (minutes 10)`."""
    name = words.spell_identifier(call.name)
    return f"{name} ({_phrase(call.args)})" if call.args else name


def is_grounded(claim: str, request: str, done: str) -> bool:
    """Return whether request or call have all numbers and content words of a claim.

    A sentence that says the opposite of the request is not grounded either.
    """
    known = [word for source in (request, done) for word in words.tokenize(source)]
    known_numbers = {
        number for source in (request, done) for number in numbers.find_numbers(source)
    }
    said = words.tokenize(claim)
    return (
        known_numbers.issuperset(numbers.find_numbers(claim))
        and not words.contradicts(words.tokenize(request), said)
        and all(
            word in _GROUNDED
            or numbers.find_numbers(word)
            or any(_same(word, one) for one in known)
            for word in said
        )
    )


def as_sentence(text: str) -> str:
    """Return a text as a sentence: a capital letter, and a mark at the end."""
    plain = " ".join(text.split())[:_MAX_CHARS]
    if plain and plain[-1] not in ".!?":
        plain += "."
    return plain[:1].upper() + plain[1:]


def _same(word: str, one: str) -> bool:
    """Return whether two words have one stem: "setting" and "set", too."""
    return words.is_similar(word, one) or words.stem(word) == one + one[-1]


def _unwrapped(response: Any) -> Any:
    """Return the result itself, out of the objects that only wrap it."""
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
            facts.append(_fact(words.spell_identifier(key), value))
    return facts


def _fact(name: str, value: Any) -> str:
    """Return a named value in words: "the price is 4", "it is not locked"."""
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
        pairs = ((words.spell_identifier(str(k)), _phrase(v)) for k, v in value.items())
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


# --- confirmations ------------------------------------------------------------------------

DONE = "Okay, that's done."

_MAX_TOKENS = 40
_INSTRUCTION = "A function was called for the user. Say in one short sentence what was done."
_EXAMPLES = (
    ("Request: Open the garage door please.\nopen garage door: ok", "The garage door is open."),
    ("Request: Set an alarm for 7.\nset alarm (hour 7): ok", "The alarm is set for 7."),
    ("Request: Close the window.\nclose window: ok", "The window is closed."),
    ("Request: Call Tom.\ncall person (person Tom): ok", "I'm calling Tom."),
)
CONFIRMATION_PROMPT = few_shot(_INSTRUCTION, _EXAMPLES)
"""The part of the prompt that is the same for all confirmations."""


def confirm_call(completion: Completion, request: str, call: ToolCall, cancel: CancelToken) -> str:
    """Return the model's sentence that `call` was made; `DONE` if it says more than that.

    Blocks for a prompt of 20 new tokens and an answer of 8. Raises `EngineError`.
    """
    done = describe_call(call)
    asked = {"role": "user", "content": f"Request: {words.punctuate(request)}\n{done}: ok"}
    text = completion.complete([*CONFIRMATION_PROMPT, asked], _MAX_TOKENS, cancel)
    as_sentence = " ".join(text.split("\n")[0].split())
    fits = as_sentence.endswith((".", "!")) and is_grounded(as_sentence, request, done)
    return as_sentence if fits else DONE


# --- quotations ---------------------------------------------------------------------------

MIN_SCORE = 0.7
"""The score from which a sentence is taken for an answer; chosen on the tests' tables."""

_MIN_LIKENESS = 0.35
"""What a sentence must have in meaning; the least of 71 right quotations had 0.39."""
_MIN_LIKENESS_ALONE = 0.6
"""The same for a sentence with none of the question's words that do not stand in the title."""
_WORDS_WEIGHT = 0.6
_TITLE_SHARE = 0.7
"""What a word of the question counts that stands in the title and not in the sentence."""
_NAME_WEIGHT = 2.0
_KIND_WEIGHT = 0.2
_CONFLICT = 0.5
"""Taken off a sentence about another weekday or year than the one asked for."""
_QUESTION_IN_TEXT = 0.3
_SECOND_MARGIN = 0.06
_MAX_EMBEDDED = 24
"""Sentences that are embedded: about 20 ms each."""
_MAX_QUOTED_CHARS = 320
_MIN_WORDS = 3

_DAY = rf"(?:{'|'.join(WEEKDAYS)})"
_WEEKDAY = re.compile(
    rf"\b({_DAY})s?\b(?:\s*(?:to|until|through|-|–)\s*({_DAY})\b)?", re.IGNORECASE
)
_YEAR = re.compile(r"\b(?:1[5-9]|20)\d\d\b")
_NAME = re.compile(r"(?<=[\w,] )[A-Z]\w+")
_DATE = re.compile(
    rf"{_YEAR.pattern}|\b{_DAY}|\d[:.]\d\d|\d ?[ap]\.?m|\b(?:january|february|march|april|may \d"
    r"|june|july|august|september|october|november|december|(?:yester|to)?days?|years?|century"
    r"|noon|midnight|hours?|morning|evening|moon)\b",
    re.IGNORECASE,
)
_NUMBER = re.compile(
    r"\b(?!(?:1[5-9]|20)\d\d\b)\d"
    r"|\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|twenty|thirty|forty"
    r"|fifty|sixty|seventy|eighty|ninety|hundred|thousand|million|dozen|half|no|every|nothing)\b",
    re.IGNORECASE,
)
_PLACE = re.compile(r"\b(?:in|at|near|on|off|from|to)\s+(?:the\s+)?(?!\w+day\b)[A-Z]")
_PERSON = re.compile(r"(?<!^)\b[A-Z][a-z]+\b")
_KINDS = tuple(
    (re.compile(asked, re.IGNORECASE), answer)
    for asked, answer in (
        (r"\bwhen\b|\bwhat (?:year|date|day|time|month)\b|\bhow long ago\b", _DATE),
        (
            r"\bhow (?!do|does|did|is|are|was|were|can|should)\w+\b|\bwhat (?:number|price)\b",
            _NUMBER,
        ),
        (r"^where\b|\bwh(?:at|ich) (?:city|country|place)\b", _PLACE),
        (r"^who(?:se|m)?\b", _PERSON),
    )
)
"""The kinds of answers: a pattern of the question, and one that the answer matches."""
_POINTS_BACK = re.compile(r"(?:this|that|these|those|such)\b(?! (?:week|month|year)\b)", re.I)
_PRONOUN = re.compile(r"(?:it|he|she|they)\b", re.IGNORECASE)
_ASKS_FOR_SUBJECT = re.compile(r"(?:who|which|what)\b", re.IGNORECASE)
_HEADING = re.compile(r"(?:#+\s*)?(?![-*•>|])[^\d:|]{1,60}(?<![.!?;,])")
_LISTED = re.compile(r"^\s*(?:[-*•#>|]+|\d+[.)])\s+")


@dataclass(frozen=True, slots=True)
class Passage:
    """A text that was found, and the title of its document."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class _Sentence:
    """A sentence of the passage `passage`, the `place`-th of it; `title` holds its headings."""

    passage: int
    place: int
    text: str
    title: str

    def precedes(self, other: _Sentence) -> bool:
        return (self.passage, self.place + 1) == (other.passage, other.place)

    def fits(self, other: _Sentence) -> bool:
        return len(self.text) + len(other.text) <= _MAX_QUOTED_CHARS


class Quoter:
    """Finder of the sentences that answer a question. Blocks: up to half a second."""

    def __init__(self, encoder: MiniLM) -> None:
        self._encoder = encoder

    def quote_answer(
        self, question: str, passages: Sequence[Passage], cancel: CancelToken
    ) -> list[str]:
        """Return the one or two sentences of the passages that answer, or none."""
        sentences = [one for n, passage in enumerate(passages) for one in _sentences(n, passage)]
        lexical = _word_overlap(question, sentences)
        nearest = sorted(sentences, key=lambda one: -lexical[one])[:_MAX_EMBEDDED]
        asked, wanted = self._encoder.encode(question), content_words(question)
        scores: dict[_Sentence, float] = {}
        alone: dict[_Sentence, float] = {}
        for one in nearest:
            if cancel.cancelled:
                return []
            vectors = self._encoder.encode_all([one.text, f"{one.title}: {one.text}"])
            alone[one], titled = (float(asked @ vector) for vector in vectors)
            likeness = max(alone[one], titled)
            scores[one] = likeness + _WORDS_WEIGHT * lexical[one] + _kind_score(question, one)
        best = max(scores, key=lambda one: scores[one], default=None)
        if best is None or scores[best] < MIN_SCORE:
            return []
        own = wanted - content_words(best.title)
        is_about = not own or own & content_words(best.text)
        if alone[best] < (_MIN_LIKENESS if is_about else _MIN_LIKENESS_ALONE):
            return []
        return _with_neighbor(question, best, scores, sentences)

    def quote_start(
        self, passages: Sequence[Passage], max_chars: int = _MAX_QUOTED_CHARS
    ) -> list[str]:
        """Return the first sentences of the passages, up to so many characters."""
        found: list[str] = []
        for n, passage in enumerate(passages):
            for one in _sentences(n, passage):
                if found and sum(map(len, found)) + len(one.text) > max_chars:
                    return found
                found.append(one.text)
        return found


def _word_overlap(question: str, sentences: Sequence[_Sentence]) -> dict[_Sentence, float]:
    """Return the share of the question's words that each sentence and its title have, up to 1.

    Negative where the names of the question are missing from both and from the passage.
    """
    wanted = content_words(question)
    names = content_words(" ".join(_NAME.findall(question)))
    held = {one: wanted & content_words(one.text) for one in sentences}
    titled = {one: wanted & content_words(one.title) for one in sentences}
    weights: dict[str, float] = {}
    for word in wanted:
        count = sum(word in found for found in held.values())
        rarity = math.log(1 + (len(sentences) - count + 0.5) / (count + 0.5))
        weights[word] = rarity * (_NAME_WEIGHT if word in names else 1.0)
    total = sum(weights.values()) or 1.0
    around: dict[int, set[str]] = {}
    for one in sentences:
        around.setdefault(one.passage, set()).update(held[one] | titled[one])
    return {
        one: sum(
            weight * (1.0 if word in held[one] else _TITLE_SHARE * (word in titled[one]))
            for word, weight in weights.items()
        )
        / total
        - sum(weights[name] for name in names - around[one.passage]) / total
        for one in sentences
    }


def _kind_score(question: str, one: _Sentence) -> float:
    """Return a score for having the kind of thing that is asked for, and no other day or year."""
    fit = 0.0
    for asked, answer in _KINDS:
        if asked.search(question):
            fit = _KIND_WEIGHT if answer.search(one.text) else -_KIND_WEIGHT
            break
    wanted, held = _weekdays(question), _weekdays(one.text)
    years, held_years = set(_YEAR.findall(question)), set(_YEAR.findall(f"{one.title} {one.text}"))
    if (wanted and held and not wanted & held) or (years and held_years and not years & held_years):
        fit -= _CONFLICT
    return fit - (_QUESTION_IN_TEXT if one.text.endswith("?") else 0.0)


def _weekdays(text: str) -> set[str]:
    """Return the weekdays in a text; "Tuesday to Friday" names four."""
    found: set[str] = set()
    for match in _WEEKDAY.finditer(text):
        first = WEEKDAYS.index(match[1].lower())
        last = WEEKDAYS.index(match[2].lower()) if match[2] else first
        found |= {WEEKDAYS[(first + n) % 7] for n in range((last - first) % 7 + 1)}
    return found


def _with_neighbor(
    question: str,
    best: _Sentence,
    scores: dict[_Sentence, float],
    sentences: Sequence[_Sentence],
) -> list[str]:
    """Return the best sentence, and the one that it refers to, or a neighbor nearly as good."""
    before = next((one for one in sentences if one.precedes(best)), None)
    dangling = _POINTS_BACK.match(best.text) or (
        _PRONOUN.match(best.text) and _ASKS_FOR_SUBJECT.match(question)
    )
    if before is not None and dangling and before.fits(best):
        return [before.text, best.text]
    least = max(MIN_SCORE, scores[best] - _SECOND_MARGIN)
    others = [
        one
        for one, score in scores.items()
        if score >= least and (one.precedes(best) or best.precedes(one)) and one.fits(best)
    ]
    second = max(others, key=lambda one: scores[one], default=None)
    pair = [best] if second is None else sorted([best, second], key=lambda one: one.place)
    return [one.text for one in pair]


def _sentences(number: int, passage: Passage) -> list[_Sentence]:
    """Split a passage into its sentences; none crosses a line's end.

    A short line without a closing mark is a heading: it belongs to the title of what follows.
    """
    found: list[_Sentence] = []
    seen = {passage.title}
    title = passage.title
    for line in map(str.strip, passage.text.splitlines()):
        if line in seen:
            continue
        if _HEADING.fullmatch(line):
            title = f"{passage.title}, {line.strip(' #')}"
            continue
        for piece in split_sentences(line, _MAX_QUOTED_CHARS):
            text = _LISTED.sub("", piece).strip()
            if len(text.split()) >= _MIN_WORDS and text not in seen:
                seen.add(text)
                found.append(_Sentence(number, len(found), text, title))
    return found
