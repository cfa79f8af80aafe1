"""Detection of repetition in a streamed answer, before any of it is passed on.

Small language models fall into loops: an answer equals an earlier one, repeats its own clause, or
echoes the question, and each repetition in the history makes the next more likely.
`RepetitionGuard` is a filter over the text stream of one answer. It holds text back until the
clause is complete (which is when a synthesizer could begin with it), longer while the words so far
are the beginning of a known sentence, and stops the answer at the repetition.

What is compared are words, without case and punctuation. Below `MIN_WORDS` words an equal sentence
is no repetition: "Yes." or "You're welcome!" may be said twice.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import lru_cache
from itertools import islice

from vivavoce.domain.content import Content, Role, Text, ToolCall, ToolResult
from vivavoce.engines.speech_text import STOP_WORDS

_LATEST_ANSWERS = 100
"""Earlier answers that an answer is compared with. With 500, the comparisons of one token took the
event loop 14 ms, and beginning an answer 40 ms."""

_MAX_CHARS = 4000
"""What is compared of each text: clients may seed a history with answers of any length."""


_SAME_QUESTION = 0.8
_LIKE_QUESTION = 0.7
"""Ratio of equal words from which on questions are of one form: "Is a plum a fruit?"."""

_NOTHING_NEW = STOP_WORDS | {"yes", "sure", "okay", "ja", "oui", "sí"}
"""Words that make an echo no answer: "Yes, the train is faster as well!"."""

_NEW_WORDS = 3
"""Words that the question has not, in a stretch that must not come again."""

_MAX_OPENINGS = 2
"""Earlier answers that may begin with the same `MIN_WORDS` words; one more is a pattern: "You can
travel there by train.", "You can travel there by ..."."""

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
    r"\b(?:repeat|(?<=\w )again|again(?=,? \w)|once more|one more time|pardon"
    r"|what did you (?:just )?say"
    r"|(?:did not|didn.t|couldn.t) (?:hear|catch|get|understand)"
    r"|r[ée]p[èée]te\w*|redis|redites|encore une fois|wiederhol\w*|noch ?(?:ein)?mal"
    r"|repite|repita|otra vez|de nuevo|ripeti|repete)\b",
    re.IGNORECASE,
)
_OTHER = re.compile(
    r"\b(?:another|different|else|more|new one|next one|ander\w*|noch ein\w*|mehr|autre\w*|plus"
    r"|otr[oa]s?|m[áa]s|altr[oai]|outr[oa]s?)\b",
    re.IGNORECASE,
)
"""Words by which something else is asked for, or announced."""


@dataclass(frozen=True, slots=True)
class Past:
    """Earlier text that an answer must not repeat.

    `answers` are earlier ones, the latest last. Those whose indices are in `alike` answer questions
    of the same form, and may have the form of the new one. `question` are the user's last words,
    which must not be echoed, `said` all the words of the user, of which an echo is made. With
    `may_repeat` only what is announced as something else is compared; with `reports` the answer
    tells results of functions, often in the same words.
    """

    answers: tuple[str, ...] = ()
    alike: frozenset[int] = frozenset()
    question: str = ""
    said: str = ""
    may_repeat: bool = False
    reports: bool = False


NOTHING = Past()


def asks_to_repeat(text: str) -> bool:
    """Return whether the user asks for a repetition, in English, French, German or Spanish."""
    return bool(_REPEAT_REQUEST.search(text))


class RepetitionGuard:
    """Filter over one streamed answer, which must not repeat what is in `past`.

    Feed the pieces as they come and pass on what `feed` and `finish` return. When `stopped`, the
    rest of the stream is of no use; when `rejected`, nothing, hardly anything, or an unfinished
    sentence was released, and the model is to be asked to go on from there. `passed_on` is what
    was released of earlier attempts, with which the answer begins; `text` is all that was fed.
    """

    def __init__(self, past: Past = NOTHING, passed_on: str = "") -> None:
        self.stopped = False
        self.text = ""
        self._past = past
        answers = [answer[:_MAX_CHARS] for answer in past.answers]
        self._answers = [_answer_words(answer) for answer in answers]
        self._asked = frozenset(words_of(past.question))
        self._known = [
            (words, frozenset() if number in past.alike or past.reports else self._asked)
            for number, answer in enumerate(answers)
            for words in _answer_sentences(answer)
            if len(words) >= MIN_WORDS
        ]
        self._texts = [
            _spaced(answer)
            for number, answer in enumerate(answers)
            if number not in past.alike and not past.reports
        ]
        self._openings = Counter(
            words[:MIN_WORDS]
            for number, words in enumerate(self._answers)
            if number not in past.alike and not past.reports
        )
        self._questions = [*sentences_of(past.question), words_of(past.question)]
        self._spoken = _NOTHING_NEW.union(words_of(past.said))
        self._text = self._passed_on = passed_on
        self._pending = ""
        self._released = passed_on
        self._cut = False
        self._answer: Words = ()
        self._sentence: Words = ()
        self._clauses: list[Words] = []
        self._sentences: list[Words] = []
        while self._text:
            unit = self._take_unit(self._unit_end(final=True) or 0)
            self._add(words_of(unit), _ends_sentence(unit))
        self._begins = True

    @property
    def rejected(self) -> bool:
        """True if the answer was empty or cut short.

        Cut short is one of fewer than `MIN_WORDS` words, and one that ends within a sentence.
        """
        if not self.stopped:
            return False
        count = len(words_of(self._released))
        return not count or (
            self._cut and (count < MIN_WORDS or not _ends_sentence(self._released))
        )

    @property
    def refused(self) -> str:
        """Text that came and was not released, with a space before it if something was."""
        rest = self.text.lstrip()[len(self._released) - len(self._passed_on) :].lstrip()
        return f" {rest}" if self._released else rest

    def feed_text(self, piece: str) -> str:
        """Add a piece of text; returns what may be passed on, often nothing."""
        self.text += piece
        self._text += piece
        if self._begins:
            self._text = self._text.lstrip()
            self._begins = not self._text
        return self._examine_units(final=False)

    def finish(self) -> str:
        """End the answer; returns what is left of it and may be passed on."""
        released = self._examine_units(final=True)
        self.stopped = True
        return released

    def _examine_units(self, final: bool) -> str:
        released = ""
        while self._text and not self.stopped and (end := self._unit_end(final)) is not None:
            unit = self._take_unit(end)
            released += self._examine(unit, final and not self._text)
        self._released += released
        return released

    def _take_unit(self, end: int) -> str:
        unit, self._text = self._text[:end], self._text[end:]
        return unit

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
        """Examine a clause: release it with what was held before it, hold it, or stop."""
        words = words_of(unit)
        ends = last or _ends_sentence(unit)
        sentence, answer = self._sentence + words, self._answer + words
        if self._repeats_itself(words, answer) or self._repeats_known(sentence, answer, ends, last):
            self.stopped = self._cut = True
            return ""
        self._add(words, ends)
        self._pending += unit
        if not last and (
            unit.rstrip().endswith((":", "："))  # what it announces may be known
            or self._begins_known(sentence, ends)
            or any(may_become(answer, one) for one in self._answers)
        ):
            return ""
        released, self._pending = self._pending, ""
        return released

    def _add(self, clause: Words, ends: bool) -> None:
        """Add a clause to the answer."""
        sentence = self._sentence + clause
        self._clauses.append(clause)
        self._answer += clause
        self._sentence = () if ends else sentence
        if ends:
            self._sentences.append(sentence)

    def _repeats_itself(self, clause: Words, answer: Words) -> bool:
        if len(clause) >= MIN_WORDS and clause in self._clauses:
            return True
        if len(clause) > 1 and self._clauses and clause == self._clauses[-1]:
            return True
        return ends_in_cycle(answer) or has_stretch_twice(answer, len(clause))

    def _repeats_known(self, sentence: Words, answer: Words, ends: bool, last: bool) -> bool:
        if any(is_repeated(sentence, own) for own in self._sentences if ends):
            return True
        if self._past.may_repeat and not _OTHER.search(self.text):
            return False
        if self._repeats_stretch(answer, len(answer) - len(self._answer)):
            return True
        if self._openings[answer[:MIN_WORDS]] >= _MAX_OPENINGS and len(answer) >= MIN_WORDS:
            return True
        if self._begins_with_question(sentence):
            return True
        return ends and (
            self._echoes(sentence)
            or any(is_repeated(sentence, known, given) for known, given in self._known)
            or (last and any(is_repeated(answer, one) for one in self._answers))
        )

    def _echoes(self, sentence: Words) -> bool:
        if any(is_repeated(sentence, one, self._spoken) for one in self._questions):
            return True
        if "?" in self._past.question:  # "I can swim." answers "Can you swim?"
            return False
        back = said_back(sentence)
        return any(is_repeated(back, said_back(one)) for one in self._questions)

    def _begins_with_question(self, sentence: Words) -> bool:
        """Return whether the sentence begins as an echo, perhaps with a word more."""
        if "?" in self._past.question:
            return any(
                len(one) >= MIN_WORDS and sentence[: len(one)] == one for one in self._questions
            )
        return any(
            is_repeated(sentence[:count], one, self._spoken)
            for one in self._questions
            for count in (len(one), len(one) + 1)
            if count <= len(sentence)
        )

    def _repeats_stretch(self, answer: Words, newest: int) -> bool:
        return any(
            spaced(stretch) in text
            for stretch in stretches(answer, newest)
            if sum(word not in self._asked for word in stretch) >= _NEW_WORDS
            for text in self._texts
        )

    def _begins_known(self, sentence: Words, ends: bool) -> bool:
        if ends:
            return False
        if len(sentence) < MIN_WORDS:  # "Sure," is not worth keeping if the rest is stopped
            return True
        begins = beginning(self._answer)
        return (
            any(may_become(sentence, known, given) for known, given in self._known)
            or any(may_become(sentence, one, self._spoken) for one in self._questions)
            or any(begins in text for text in self._texts)
        )


def _ends_sentence(text: str) -> bool:
    return any(sign in _SENTENCE_MARKS for sign in text.rstrip(" \"')]»”’*」』）")[-1:])


@lru_cache(maxsize=1024)
def _spaced(text: str) -> str:
    return spaced(words_of(text))


@lru_cache(maxsize=1024)
def _answer_words(text: str) -> Words:
    return words_of(text)


@lru_cache(maxsize=1024)
def _answer_sentences(text: str) -> tuple[Words, ...]:
    return tuple(sentences_of(text))


def sentences_of(text: str) -> Iterator[Words]:
    """Yield the words of each sentence; what follows a colon is one of its own."""
    for sentence in re.split(r"(?<![.!?…:])[.!?…:]++[\"')\]»”’*]*+\s+|[。！？：]+|\n+", text):
        if words := words_of(sentence):
            yield words


def read_past(history: Sequence[Content]) -> Past:
    """Return what an answer to the user's last words must not repeat.

    Of the model's latest answers none that was given to the same question. If the user asks to
    repeat, all of them, once the answer announces something else.
    """
    question = _question(history, len(history))
    repeat = asks_to_repeat(question)
    places = (
        place
        for place in range(len(history) - 1, -1, -1)
        if history[place].role is Role.MODEL and history[place].text.strip()
    )
    latest = [
        (history[place].text, _question(history, place))
        for place in reversed(list(islice(places, _LATEST_ANSWERS)))
    ]
    if not (repeat or _OTHER.search(question)):
        latest = [one for one in latest if not _is_same_question(question, one[1])]
    alike = (n for n, (_, asked) in enumerate(latest) if _is_like_question(question, asked))
    said = [one.text for one in history if one.role is Role.USER][-_LATEST_ANSWERS:]
    return Past(
        tuple(text for text, _ in latest),
        frozenset(alike),
        "" if repeat else question,
        " ".join(said)[-_MAX_CHARS:],
        repeat,
        any(isinstance(part, ToolResult) for part in history[-1].parts) if history else False,
    )


def without_repetition(history: Sequence[Content]) -> tuple[Content, ...]:
    """Return the history without answers that repeat earlier ones; loops in answers are cut.

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


def fallback_reply(language: str, history: Sequence[Content]) -> str:
    """Return an admission not to know in the language (BCP 47), if possible a new one."""
    sentences = _UNSURE.get(language.split("-")[0].lower(), _UNSURE["en"])
    said = [content.text for content in history if content.role is Role.MODEL]
    last = {text: place for place, text in enumerate(said)}
    return min(sentences, key=lambda sentence: last.get(sentence, -1))


def _without_loop(content: Content) -> Content:
    text = _cut_loop(content.text)
    return content if text == content.text else _with_text(content, text)


@lru_cache(maxsize=1024)
def _cut_loop(text: str) -> str:
    """Return a text up to where it repeats itself."""
    guard = RepetitionGuard()
    released = guard.feed_text(text) + guard.finish()
    return text if words_of(released) == words_of(text) else released.rstrip()


def _with_text(content: Content, text: str) -> Content:
    others = tuple(part for part in content.parts if not isinstance(part, Text))
    words = (Text(text),) if text else ()
    return Content(content.role, (*words, *others), content.cut)


def _question(history: Sequence[Content], place: int) -> str:
    """Return the user's words before `place`, since the model's last ones."""
    texts: list[str] = []
    for content in reversed(history[:place]):
        if content.role is Role.MODEL and content.text.strip():
            break
        if content.role is Role.USER and not any(isinstance(p, ToolResult) for p in content.parts):
            texts.append(content.text)
    return " ".join(reversed(texts)).strip()[-_MAX_CHARS:]


def _is_same_question(one: str, other: str) -> bool:
    """Return whether two questions are the same; very short ones ("Go on.") never are."""
    return _are_similar(words_of(one), words_of(other), _SAME_QUESTION, MIN_WORDS - 1)


def _is_like_question(one: str, other: str) -> bool:
    """Return whether a question has the form of another one."""
    return _are_similar(words_of(one), words_of(other), _LIKE_QUESTION, MIN_WORDS)


def _are_similar(one: Words, other: Words, ratio: float, least: int) -> bool:
    if min(len(one), len(other)) < least or not may_be_similar(one, other, ratio):
        return False
    return SequenceMatcher(None, one, other, autojunk=False).ratio() >= ratio


# --- similarity ---------------------------------------------------------------------------

Words = tuple[str, ...]

MIN_WORDS = 4
"""Words from which on an equal sentence counts as repeated."""

_SIMILARITY = 0.8
"""Ratio of equal words (`difflib`) from which on sentences can be nearly equal."""

_LONG_WORDS, _LONG_SIMILARITY = 12, 0.85
"""Sentences of so many words are nearly equal also with a word replaced: "Penguins can fly because
they have a special wing ..." after the same of birds. In short ones the word is what matters."""

_LOOP_WORDS = 7
"""A stretch of so many words may not stand twice in an answer, whatever lies between."""

_SHARED_WORDS = 8
"""A stretch of so many words of an earlier answer is repeated, whatever stands around it."""

_BEGINNING_WORDS = 4
"""The last words of a text by which it is seen that such a stretch may be beginning."""

_CYCLES = 3
"""How often a stretch of two to eight words may not stand in a row; a single word, once more."""

_WORD = re.compile(r"[\u3040-\u30ff\u3400-\u9fff]|[^\W_\u3040-\u30ff\u3400-\u9fff]+")

_NEGATIONS = frozenset(
    ["not", "no", "never", "cannot", "without", "t", "nicht", "kein", "keine", "nie", "pas",
     "jamais", "sans", "nunca", "sin", "non"]
)  # fmt: skip

_SAID_BACK = {"you": "i", "your": "my", "yours": "mine", "yourself": "myself", "are": "am",
              "re": "m", "were": "was"}  # fmt: skip
"""Words of the second person, and those of the first in their place."""

_NUMBERS = frozenset(
    ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven",
     "twelve", "fifteen", "twenty", "thirty", "forty", "fifty", "hundred", "thousand"]
)  # fmt: skip


def words_of(text: str) -> Words:
    """Return the words of a text in lower case; each ideograph is a word."""
    return tuple(word.casefold() for word in _WORD.findall(text))


def is_nearly_equal(one: Words, other: Words, given: Set[str] = frozenset()) -> bool:
    """Return whether `one` says the same as `other`.

    They are equal, or one has a few words more that negate or count nothing. In long texts a word
    may be another; in short ones it may if that word is in `given`, and so tells nothing new.
    """
    if one == other:
        return True
    if min(len(one), len(other)) < MIN_WORDS:
        return False
    if not may_be_similar(one, other, _SIMILARITY):
        return False
    matcher = SequenceMatcher(None, one, other, autojunk=False)
    if matcher.ratio() < _SIMILARITY:
        return False
    added, lacking = Counter(one) - Counter(other), Counter(other) - Counter(one)
    if any(word in _NEGATIONS | _NUMBERS or word.isdigit() for word in added + lacking):
        return False
    is_long = min(len(one), len(other)) >= _LONG_WORDS and matcher.ratio() >= _LONG_SIMILARITY
    replaced = any(tag == "replace" for tag, *_ in matcher.get_opcodes())
    return is_long or not replaced or (bool(given) and given >= added.keys())


def may_be_similar(one: Words, other: Words, ratio: float) -> bool:
    """Return whether the ratio can be reached: a cheap bound, which spares most exact ones."""
    least = ratio * (len(one) + len(other)) / 2
    return min(len(one), len(other)) >= least and sum(map(set(other).__contains__, one)) >= least


def is_repeated(sentence: Words, known: Words, given: Set[str] = frozenset()) -> bool:
    """Return whether a sentence of at least `MIN_WORDS` words (nearly) equals a known one."""
    return len(sentence) >= MIN_WORDS and is_nearly_equal(sentence, known, given)


def said_back(words: Words) -> Words:
    """Return the words with the first person in place of the second."""
    return tuple(_SAID_BACK.get(word, word) for word in words)


def spaced(words: Words) -> str:
    """Join the words into a text that can be searched for stretches of them."""
    return f" {' '.join(words)} "


def stretches(words: Words, newest: int) -> Iterator[Words]:
    """Yield every stretch of `_SHARED_WORDS` that ends in the `newest` words."""
    for end in range(max(_SHARED_WORDS, len(words) - newest + 1), len(words) + 1):
        yield words[end - _SHARED_WORDS : end]


def beginning(words: Words) -> str:
    """Return the last words, which may begin such a stretch; empty if they are too few."""
    return spaced(words[-_BEGINNING_WORDS:]) if len(words) >= _BEGINNING_WORDS else ""


def may_become(words: Words, known: Words, given: Set[str] = frozenset()) -> bool:
    """Return whether `words` may continue to `known`, give or take a word."""
    if len(known) < MIN_WORDS or len(words) > len(known) or not words:
        return False
    count = len(words)
    if words == known[:count] or (count > 1 and words[1:] == known[: count - 1]):
        return True
    return any(is_nearly_equal(words, known[:n], given) for n in (count - 1, count, count + 1))


def has_stretch_twice(words: Words, newest: int) -> bool:
    """Return whether a stretch of `_LOOP_WORDS` that ends in the `newest` words occurs twice."""
    ends = range(max(_LOOP_WORDS, len(words) - newest + 1), len(words) + 1)
    tails = {words[end - _LOOP_WORDS : end]: end for end in ends}
    return any(
        end < tails.get(words[end - _LOOP_WORDS : end], 0)
        for end in range(_LOOP_WORDS, len(words) + 1)
    )


def ends_in_cycle(words: Words) -> bool:
    """Return whether one to eight words are repeated several times in a row at the end."""
    for length in range(1, 9):
        times = _CYCLES + 1 if length == 1 else _CYCLES
        tail = words[-length * times :]
        if len(tail) == length * times and tail == tail[:length] * times:
            return True
    return False
