"""Detection of repetition in a streamed answer, before any of it is passed on.

Small language models fall into loops: an answer equals an earlier one, repeats its own clause, or
echoes the question, and each repetition in the history makes the next more likely.
`RepetitionGuard` is a filter over the text stream of one answer. It holds text back until the
clause is complete (which is when a synthesizer could begin with it), longer while the words so far
are the beginning of a known sentence, and stops the answer at the repetition.

When texts count as equal is decided in `similarity`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import islice

from vivavoce.domain.content import Content, Role, Text, ToolCall, ToolResult
from vivavoce.engines.chat.similarity import (
    MIN_WORDS,
    Words,
    ends_in_cycle,
    has_stretch_twice,
    is_nearly_equal,
    is_repeated,
    may_be_similar,
    may_become,
    words_of,
)

_LATEST_ANSWERS = 100
"""Earlier answers that an answer is compared with. With 500, the comparisons of one token took the
event loop 14 ms, and beginning an answer 40 ms."""

_MOST_CHARS = 4000
"""What is compared of each text: clients may seed a history with answers of any length."""


_SAME_QUESTION = 0.8
_UNIT_WORDS = 8
"""Words without a mark after which text is examined: where the cascade cuts its first piece."""


_CLAUSE = re.compile(
    r"(?<![.!?…,;:–—])[.!?…,;:–—]++[\"')\]»”’*]*(?=\s)|[。！？，、；：]+[」』）]*|\n"
)
_SENTENCE_MARKS = frozenset(".!?…:。！？：\n")
_LONG = re.compile(rf"\s*(?:\S+\s+){{{_UNIT_WORDS}}}(?=\S)")
_UNSURE = {
    "en": (
        "I'm not sure about that one.",
        "Sorry, I don't have a good answer to that.",
        "I can't say much about this, I'm afraid.",
        "Could you put that another way?",
        "That is beyond me, sorry.",
        "I don't know what to say to that.",
    ),
    "de": (
        "Da bin ich mir nicht sicher.",
        "Dazu habe ich leider keine gute Antwort.",
        "Können Sie das anders sagen?",
        "Das weiß ich leider nicht.",
    ),
    "fr": (
        "Je n'en suis pas sûr.",
        "Je n'ai pas de bonne réponse à cela.",
        "Pouvez-vous le dire autrement ?",
        "Désolé, je ne sais pas.",
    ),
    "es": (
        "No estoy seguro de eso.",
        "No tengo una buena respuesta para eso.",
        "¿Puede decirlo de otra manera?",
        "Lo siento, no lo sé.",
    ),
}
_REPEAT_REQUEST = re.compile(
    r"\b(?:repeat|again|once more|one more time|pardon|what did you (?:just )?say"
    r"|(?:did not|didn.t|couldn.t) (?:hear|catch|get|understand)"
    r"|r[ée]p[èée]te\w*|redis|redites|encore une fois|wiederhol\w*|noch ?(?:ein)?mal"
    r"|repite|repita|otra vez|de nuevo|ripeti|repete)\b",
    re.IGNORECASE,
)


def asks_to_repeat(text: str) -> bool:
    """Whether the user asks for the same once more, in English, French, German or Spanish."""
    return bool(_REPEAT_REQUEST.search(text))


class RepetitionGuard:
    """Filter over one streamed answer.

    `earlier` are answers that must not be given again; `question` must not be echoed. Feed the
    pieces as they come and pass on what `feed` and `finish` return. When `stopped`, the rest of
    the stream is of no use; when `rejected`, nothing or hardly anything was released and the model
    is to be asked again. `passed_on` is what was released of an earlier attempt, not to be said
    twice. `repeated` holds the indices of the earlier answers that came back, `text` all that was
    fed.
    """

    def __init__(
        self, earlier: Sequence[str] = (), question: str = "", passed_on: str = ""
    ) -> None:
        self.stopped = False
        self.repeated: set[int] = set()
        self.text = ""
        self._answers = [_answer_words(answer[:_MOST_CHARS]) for answer in earlier]
        self._known = [
            (number, words)
            for number, text in enumerate(earlier)
            for words in _answer_sentences(text[:_MOST_CHARS])
            if len(words) >= MIN_WORDS
        ]
        self._known += [(-1, words) for words in (*sentences_of(question), words_of(question))]
        self._text = ""
        self._pending = ""
        self._passed_on = words_of(passed_on)
        self._released: Words = ()
        self._cut = False
        self._answer: Words = ()
        self._sentence: Words = ()
        self._clauses: list[Words] = []
        self._sentences: list[Words] = []

    @property
    def rejected(self) -> bool:
        """Whether the answer was empty, or cut when fewer than `MIN_WORDS` words were released."""
        return self.stopped and len(self._released) < (MIN_WORDS if self._cut else 1)

    def feed(self, piece: str) -> str:
        """Take some more text; the text that may be passed on, often empty."""
        self.text += piece
        self._text += piece
        if not self._answer:
            self._text = self._text.lstrip()
        return self._examine_units(final=False)

    def finish(self) -> str:
        """The answer is complete: what is left of it and may be passed on."""
        released = self._examine_units(final=True)
        self.stopped = True
        return released

    def _examine_units(self, final: bool) -> str:
        released = ""
        while self._text and not self.stopped and (end := self._unit_end(final)) is not None:
            unit, self._text = self._text[:end], self._text[end:]
            released += self._examine(unit, final and not self._text)
        self._released += words_of(released)
        return released

    def _unit_end(self, final: bool) -> int | None:
        long = _LONG.match(self._text)
        mark = _CLAUSE.search(self._text, 0, long.end() if long else len(self._text))
        if mark is not None:
            end = mark.end()
            while end < len(self._text) and self._text[end].isspace():
                end += 1
            return end if end < len(self._text) or final or self._text[-1].isspace() else None
        if long is not None:
            return long.end()
        return len(self._text) if final else None

    def _examine(self, unit: str, last: bool) -> str:
        """One clause: returned with what was held before it, held on to, or the end."""
        words = words_of(unit)
        if self._passed_on and not self._answer and words == self._passed_on:
            return ""
        ends = last or any(sign in _SENTENCE_MARKS for sign in unit.rstrip(" \"')]»”’*」』）")[-1:])
        sentence, answer = self._sentence + words, self._answer + words
        if self._repeats_itself(words, answer) or self._repeats_known(sentence, answer, ends, last):
            self.stopped = self._cut = True
            return ""
        self._clauses.append(words)
        self._answer = answer
        self._sentence = () if ends else sentence
        if ends:
            self._sentences.append(sentence)
        self._pending += unit
        if not last and (
            unit.rstrip().endswith((":", "："))  # what it announces may be known
            or self._begins_known(sentence, ends)
            or any(may_become(answer, one) for one in self._answers)
        ):
            return ""
        released, self._pending = self._pending, ""
        return released

    def _repeats_itself(self, clause: Words, answer: Words) -> bool:
        if len(clause) >= MIN_WORDS and clause in self._clauses:
            return True
        if len(clause) > 1 and self._clauses and clause == self._clauses[-1]:
            return True
        return ends_in_cycle(answer) or has_stretch_twice(answer, len(clause))

    def _repeats_known(self, sentence: Words, answer: Words, ends: bool, last: bool) -> bool:
        if not ends:
            return False
        found = {n for n, known in self._known if is_repeated(sentence, known)}
        if last:
            whole = (n for n, one in enumerate(self._answers) if is_repeated(answer, one))
            found.update(whole)
        self.repeated |= {number for number in found if number >= 0}
        return bool(found) or any(is_repeated(sentence, own) for own in self._sentences)

    def _begins_known(self, sentence: Words, ends: bool) -> bool:
        if ends:
            return False
        if len(sentence) < MIN_WORDS:  # "Sure," is not worth keeping if the rest is stopped
            return True
        return any(may_become(sentence, known) for _, known in self._known)


@lru_cache(maxsize=1024)
def _answer_words(text: str) -> Words:
    return words_of(text)


@lru_cache(maxsize=1024)
def _answer_sentences(text: str) -> tuple[Words, ...]:
    return tuple(sentences_of(text))


def sentences_of(text: str) -> Iterator[Words]:
    """The words of each sentence; what follows a colon is one of its own."""
    for sentence in re.split(r"(?<![.!?…:])[.!?…:]++[\"')\]»”’*]*+\s+|[。！？：]+|\n+", text):
        if words := words_of(sentence):
            yield words


def forbidden_answers(history: Sequence[Content]) -> list[str]:
    """The model's latest answers that would be a repetition after the user's last words.

    None of those given to the same question, and none at all if the user asks to repeat.
    """
    question = _question(history, len(history))
    if asks_to_repeat(question):
        return []
    answers = (
        place
        for place in range(len(history) - 1, -1, -1)
        if history[place].role is Role.MODEL and history[place].text.strip()
    )
    return [
        history[place].text
        for place in reversed(list(islice(answers, _LATEST_ANSWERS)))
        if not _is_same_question(question, _question(history, place))
    ]


def echo_source(history: Sequence[Content]) -> str:
    """The user's last words, which must not be echoed; empty if the user asks to repeat."""
    question = _question(history, len(history))
    return "" if asks_to_repeat(question) else question


def without_repetition(history: Sequence[Content]) -> tuple[Content, ...]:
    """The history without answers that repeat earlier ones, and loops in answers cut short.

    Repetition in a prompt is imitated. Answers to a question asked again are kept.
    """
    kept: list[Content] = []
    answers: list[tuple[str, Words]] = []
    for place, content in enumerate(history):
        if content.role is not Role.MODEL or not content.text.strip():
            kept.append(content)
            continue
        question, said = _question(history, place), words_of(content.text)
        repeats = len(said) >= MIN_WORDS and any(
            is_nearly_equal(said, words) and not _is_same_question(question, asked)
            for asked, words in answers
        )
        if repeats and not asks_to_repeat(question):
            if any(isinstance(part, ToolCall) for part in content.parts):
                kept.append(_with_text(content, ""))
            continue
        answers.append((question, said))
        kept.append(_without_loop(content))
    return tuple(kept)


def unsure(language: str, history: Sequence[Content]) -> str:
    """A short admission in the language (a BCP-47 code), if possible one not said before."""
    sentences = _UNSURE.get(language.split("-")[0].lower(), _UNSURE["en"])
    said = [content.text for content in history if content.role is Role.MODEL]
    last = {text: place for place, text in enumerate(said)}
    return min(sentences, key=lambda sentence: last.get(sentence, -1))


def _without_loop(content: Content) -> Content:
    text = _cut_loop(content.text)
    return content if text == content.text else _with_text(content, text)


@lru_cache(maxsize=1024)
def _cut_loop(text: str) -> str:
    """A text up to where it repeats itself."""
    guard = RepetitionGuard()
    released = guard.feed(text) + guard.finish()
    return text if words_of(released) == words_of(text) else released.rstrip()


def _with_text(content: Content, text: str) -> Content:
    others = tuple(part for part in content.parts if not isinstance(part, Text))
    words = (Text(text),) if text else ()
    return Content(content.role, (*words, *others), content.cut)


def _question(history: Sequence[Content], place: int) -> str:
    """The user's words before `place`, up to the model's words before these."""
    texts: list[str] = []
    for content in reversed(history[:place]):
        if content.role is Role.MODEL and content.text.strip():
            break
        if content.role is Role.USER and not any(isinstance(p, ToolResult) for p in content.parts):
            texts.append(content.text)
    return " ".join(reversed(texts)).strip()[-_MOST_CHARS:]


def _is_same_question(one: str, other: str) -> bool:
    """Whether the same was asked; very short words ("Go on.") ask for something else each time."""
    first, second = words_of(one), words_of(other)
    if min(len(first), len(second)) < MIN_WORDS - 1:
        return False
    if not may_be_similar(first, second, _SAME_QUESTION):
        return False
    return SequenceMatcher(None, first, second, autojunk=False).ratio() >= _SAME_QUESTION
