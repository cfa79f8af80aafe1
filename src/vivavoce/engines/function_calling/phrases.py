"""Phrases of a request: stretches of an utterance, each with the word that introduces it.

"Email Laura about the budget saying we start at six" has the phrases "Laura" (introduced by the
verb), "the budget" (by "about") and "we start at six" (by "saying"). They are found in one pass
over the words, English ones; spans that other arguments have taken split phrases and belong to
none. Which parameter a phrase belongs to is decided in `assignment`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from vivavoce.engines.function_calling import numbers, words
from vivavoce.engines.function_calling.words import Span, plain

MESSAGE = "that"
"""The introduction of what is to be passed on, whatever word it was: "saying", "whether", ":"."""
NAMED = "called"
CLAUSE = "clause"
"""The introduction of a phrase that begins with a subject: "we landed safely"."""
VERB = ""
"""The introduction of a phrase that follows the verb of the request, or begins it."""
VALUE = "value"
"""The introduction of a phrase that follows another argument's value."""
INFINITIVE = "to do"

_MESSAGE = re.compile(
    r"(?:\b(?:saying|to say|which says|that says|telling (?:him|her|them)|with the (?:words|text)"
    r"|let(?:ting)? (?:him|her|them) know|reading|whether|that)\b(?: that)?|:(?=\s))[\s,]*"
)
_ARTICLE = re.compile(r"^(?:(?:the|a|an|some|any|my|our|his|her|their|of)\s+)+")
_TAIL = re.compile(
    r"(?:(?<![\s,])[\s,]++(?:please|now|right (?:now|away)|(?:a (?:little|bit) )?(?:longer|more)"
    r"|a (?:little|bit)|for (?:me|us|good|now)|thanks|thank you|any ?more|as well"
    r"|(?:would|will|could|can) you|after all|at all|from now on|so far|if you can|i think"
    r"|(?:quick|immediate|slow|direct|complete|permanent|final)ly|out|away|off|down|again|too"
    r"|means?|(?:still )?(?:available|in stock|open)|still|works?|takes?|costs?|have|happens?"
    r"|already|instead|then|here|aside|going|running|back|next|first|ago|asap|via"
    r"|to|for|with|in|on|at|under|about|near|from|by|into|of|and|as|up|is|are|me|it|anyway|though|yet|or|than))+$"
)

_COURTESY = re.compile(r"(?:[\s,]+(?:please|thanks|thank you))+$")


@dataclass(frozen=True, slots=True)
class FreeText:
    """An utterance, and the spans of it that arguments have taken."""

    text: str
    taken: tuple[Span, ...] = ()

    @property
    def plain(self) -> str:
        return plain(self.text)

    @property
    def masked(self) -> str:
        """The text with spaces in place of what is taken."""
        chars = list(self.text)
        for span in self.taken:
            chars[span.start : span.end] = " " * (span.end - span.start)
        return "".join(chars)

    def without(self, *spans: Span) -> FreeText:
        return FreeText(self.text, (*self.taken, *spans))

    def is_free(self, span: Span) -> bool:
        return not any(span.meets(other) for other in self.taken)


@dataclass(frozen=True, slots=True)
class Phrase:
    """A stretch of the utterance, and the word that introduces it."""

    intro: str
    span: Span


def find_message(text: str) -> Phrase | None:
    """Return what "that", "saying" or a colon introduces: words to be passed on."""
    found = _MESSAGE.search(plain(text))
    if found is None:
        return None
    span = trim(text, Span(found.end(), len(text)), articles=False, whole=True)
    return Phrase(MESSAGE, span) if span.of(text).strip() else None


def with_context(text: str, span: Span, name: str) -> Span:
    """Return a value's span with the preposition before it and the parameter's name after it."""
    lower = plain(text)
    before = re.search(
        r"(?:\b(?:as|for|to|at|in|into|by|with|of|on|via)\s+)(?:(?:the|a|an|my)\s+)?$",
        lower[max(0, span.start - 16) : span.start],
    )
    parts = words.split_identifier(name)
    label = parts and re.search(
        rf"\b(?:{'|'.join(re.escape(part) for part in parts)})s?\s+(?:is\s+)?$",
        lower[max(0, span.start - 30) : span.start],
    )
    after = re.match(rf"\s+{re.escape(parts[-1])}s?\b", lower[span.end :]) if parts else None
    if label and not before:
        before = label
    return Span(
        span.start - (len(before.group()) if before else 0),
        span.end + (after.end() if after else 0),
    )


def trim(text: str, span: Span, articles: bool = True, whole: bool = False) -> Span:
    """Return a span without punctuation and courtesies around it, and without its article.

    Of a `whole` sentence only "please" and "thanks" go, not "again" or "already".
    """
    lower = plain(text)
    body = lower[span.start : span.end].rstrip(" ,.;:!?\"'")
    pattern = _COURTESY if whole else _TAIL
    while tail := pattern.search(body):
        body = body[: tail.start()].rstrip(" ,.;:!?\"'")
    lead = len(body) - len(body.lstrip(" ,.;:!?\"'"))
    article = _ARTICLE.match(body[lead:])
    if articles and article and len(body) > lead + article.end():
        lead += article.end()
    return Span(span.start + lead, span.start + len(body))


# --- splitting ----------------------------------------------------------------------------

_TOKEN = re.compile(r"[^\s,.;:!?\"]+(?:[.,:'’@/][^\s,.;:!?\"]+)*")
_MAX_WORDS = 80
_FRAME = re.compile(
    r"^(?:(?:hey|ok|okay|hello|hi|well|um|uh|so|now|then|alright|all right|right|please|actually|oh"
    r"|and|also|just|yes|yeah|no|wait|great|thanks|on second thoughts?)\b[\s,]*)*"
    r"(?:(?:(?:can|could|would|will|should|may) (?:you|we|i)(?: please)?(?: mind)?(?: have| get)?"
    r"|(?:what|how|where|when) (?:can|could|should|do|does|did|would|may|is|are)"
    r" (?:i|we|you|my|the)"
    r"|i(?:'m| am) (?:in the mood for|looking for|not going to|going to)"
    r"|i(?:'d| would) (?:like|love)(?: you)?(?: to)?|i feel like"
    r"|(?:i|we) (?:don't |no longer |do not )?(?:want|need|wish|like|have|had|got)(?: you)?(?: to)?"
    r"|i(?:'ll| will)(?: take| have)?|i(?:'ve| have) got|let(?:'s| us| me)|go ahead and"
    r"|do (?:you|we|i) (?:have|sell|carry|stock|know|need)|(?:have (?:you|we) )?got"
    r"|(?:are|is) there"
    r"|there(?: is| are|'s)|where(?: is| are|'s)|(?:what|who)(?: is| are|'s)|(?:what|how) about"
    r"|help me|make sure(?: that)?(?: you)?|don't forget to|i(?: won't|'m not|can't| cannot)"
    r" (?:make it|come|go|be able to (?:come|go|make it)) to)\b\s*)?",
)
_REMIND = re.compile(
    r"\b(?:remind me|reminder|do(?:n't| not) let me forget|remember|make sure i|note(?: down)?"
    r"|i must ?n[o']t forget|help me remember|i need to remember|don't forget)\b"
    r"(?: (?:to|that|about|of))?\s+"
)
_PREPOSITIONS = words.word_set(
    "to for with in on at from by about into onto as via near around inside under over below"
    " through within behind until till before after against without since of per towards"
)
_MARKERS = {
    **dict.fromkeys(("that", "saying", "says", "say", "whether", "telling", "know", "reading"),
                    MESSAGE),
    **dict.fromkeys(("called", "named", "titled", "entitled", "labeled", "labelled"), NAMED),
}  # fmt: skip
_DROPPED = words.word_set(
    "me us it them him please thanks thank up down out off away back again there here now just"
    " also some any something anything only nothing everything one ones all rid more much many long"
    " longer far still yet outside"
)
_BREAKS = words.word_set(
    "if because so when while is are was were am be isn't aren't has have had should would"
    " could can will may might must do does did don't doesn't then but who which where how what"
    " not no never starting beginning ending paying costing lasting going leaving needs need"
    " wants wanted i i'm i'll i've we we're they he she you it's let anymore"
)
_QUESTION_WORDS = words.word_set("who what where when which how")
_SUBJECTS = words.word_set("i i'm i'll i've we we're we've they he she you it's it")
_VERBS = words.word_set(
    "play find search look show open close delete remove erase put add get take send set make"
    " create start stop cancel call read write buy order move push rename change share schedule"
    " book plan arrange hear listen see watch need want have bring give throw trash drop track"
    " return save store turn switch let tell text message email mail ring phone dial remind pull"
    " fetch locate display toss scrap kill clear dump check keep discard end enter note invite"
    " hand go edit lend begin do run try choose pick grab list skip pencil squeeze jot bin wipe"
    " ping nudge forget mention use refresh insert fit shift postpone reschedule launch record"
    " log rate renew reserve translate convert report ask navigate walk drive ship transfer pay"
    " withdraw deposit avoid limit tune assign post pin rent hire measure count print scan join"
    " leave eat cook ride fly travel visit lock unlock raise lower dim brighten warm heat cool"
    " feed water speak talk"
)
_COMMANDS = _VERBS | words.word_set(
    "define explain describe register block swing plot revert flip underline highlight label mark"
    " challenge collect grab greet hit attack strike undo upload download install uninstall connect"
    " disconnect attach detach arm disarm trim crop rotate zoom sort filter merge compare calculate"
    " compute estimate solve spell pronounce quote repeat pause resume enable disable activate"
    " deactivate mute silence borrow refill fill empty sweep mop vacuum fold wash rinse bake boil"
    " fry grill roast brew pour serve slice catch carry deliver dispatch request approve reject"
    " confirm accept decline sign submit archive restore reset restart reboot test inspect verify"
    " examine review summarize inform notify alert warn suggest recommend contact reach meet steer"
    " aim pause split draw paint teach say sing spin seal cover pack unpack"
)
"""Verbs with which a request may begin; as the last word of a phrase they may be nouns."""
_VERB_STEMS = frozenset(words.stem(verb) for verb in _COMMANDS | {"do", "win", "come", "stand"})
_PHRASAL = words.word_set("put turn switch")
_RECORDING = words.word_set("add put note write record log enter save")
_ADVERBS = words.word_set("just already also really still finally recently only")
_PARTICLES = words.word_set("up out down over away back")
_PROGRESSIVE = words.word_set("am are is i'm we're they're he's she's")
_AFTER_VERB = words.word_set(
    "a an the my our your some any this that these those me us him her them it on up off"
    " out down over back away around about into number all"
)
_DETERMINERS = words.word_set("the a an my our your his her their this that some any")
_ARTICLES = _DETERMINERS - {"that", "this", "some", "any"}
_TITLES = words.word_set("mr mrs ms dr st prof")
_DO_QUESTION = re.compile(r"\b(?:do|does|did|will|can|could)\s+(?:the|my|our|your)?\s*$")
"""What comes before the subject of a question whose verb follows the subject."""
_BE_QUESTION = re.compile(r"^(?:is|are|was|were)\s+(?:the|my|our|your)?\s*$")
_PREDICATE = re.compile(
    r"(?:(?<!\s)\s++"
    r"(?:been|being|last|recently|already|still|currently|ever|yet|ready|working|\w{4,}ed))+$"
)
"""What a question says of its subject: "when was the tractor | last serviced"."""


def split_phrases(
    text: str,
    taken: Sequence[Span],
    tool: Sequence[str],
    verbs: Sequence[str] = (),
    timed: bool = True,
    worded: bool = True,
) -> list[Phrase]:
    """Return the phrases of `text` outside `taken`.

    `tool` has the words of the function's name, `verbs` what its description begins with. With
    `timed`, days and durations end a phrase; else they are words like others. With `worded`,
    "whether" introduces words to be passed on.

    Phrases that run to the end of the text ("that", "to water the plants") may overlap others.
    """
    splitter = _Splitter(text, taken, tool, verbs, timed, worded)
    splitter.split()
    return [one for one in splitter.phrases if one.span.of(text).strip()]


@dataclass(frozen=True, slots=True)
class _Token:
    """A word with its place, its neighbors, and the marks before it."""

    place: int
    span: Span
    word: str
    before: str
    following: str
    marks: frozenset[str]


class _Splitter:
    """The state of one pass: the phrase that is open, and what introduces the next one."""

    def __init__(
        self,
        text: str,
        taken: Sequence[Span],
        tool: Sequence[str],
        verbs: Sequence[str],
        timed: bool,
        worded: bool,
    ) -> None:
        self._worded = worded
        self.phrases: list[Phrase] = []
        self._text, self._taken, self._tool = text, taken, tool
        times = [*numbers.find_days(text), *(span for span, _ in numbers.find_durations(text))]
        self._bounds = [*taken, *(times if timed else ())]
        self._verbs = (*tool[:1], *verbs)
        lower = plain(text)
        self._begin = _start(lower)
        self._tokens = _tokens(text, self._begin)
        frame = lower[: self._begin].rstrip()
        self._is_framed = bool(frame)
        self._wants_verb = frame.endswith((" to", " you", " i", " we", "please"))
        self._asks = words.is_question(text)
        self._intro = VERB
        self._open: Span | None = None
        self._may_be_verb, self._after_question_word, self._has_verb = True, False, False
        if _REMIND.search(f"{frame} "):
            self._add_rest(INFINITIVE, self._begin)

    def split(self) -> None:
        for token in self._tokens:
            if self._read(token):
                break
        self._close()

    def _read(self, token: _Token) -> bool:
        """Process one word; return whether the remaining text was added as one phrase."""
        word, marker = token.word, _MARKERS.get(token.word)
        if token.before in _ARTICLES:
            marker = None  # "the reading lamp"
        is_taken = any(span.meets(token.span) for span in self._bounds)
        relates = _is_preposition(token)
        ends = token.marks & set(":;!?") or ("." in token.marks and token.before not in _TITLES)
        ends = ends or (word == "please" and self._open is not None)
        new_noun = word in ("a", "an", "the") and token.before != "and"
        is_adverb = self._open is not None and word in _ADVERBS - {"only"}
        breaks = word in _BREAKS or is_adverb
        if is_taken or ends or marker or relates or breaks or new_noun:
            is_bare = is_taken and not relates
            ends_clause = word not in _BREAKS and not relates
            self._close(before_clause=is_bare or word in _BREAKS, ends_clause=ends_clause)
            self._intro = VERB if new_noun and self._intro == CLAUSE else self._intro
        if ":" in token.marks:
            self._add_rest(MESSAGE, token.span.start)
            return True
        if is_taken:
            self._intro = VALUE if self._intro == CLAUSE else self._intro
        elif marker == MESSAGE and (token.place or word != "that"):
            if word == "whether" and not self._worded:
                self._intro, self._may_be_verb = VERB, False
                return False
            self._add_message(token)
            return True
        elif marker is not None:
            self._intro = marker
        elif self._introduces(token) or self._is_dropped(token):
            pass
        elif is_adverb:
            self._intro = CLAUSE
        elif self._ends_subject(token):
            self._has_verb = True
            self._close()
            self._intro = VERB
        elif self._open is None and self._is_verb(token):
            self._intro, self._has_verb = VERB, True
        else:
            self._continue(token)
        return False

    def _is_dropped(self, token: _Token) -> bool:
        return (
            self._open is None
            and token.word in _DROPPED
            and not (token.word == "back" and token.before in _DETERMINERS)
        )

    def _introduces(self, token: _Token) -> bool:
        """Process a word that introduces a phrase or a clause; return whether it does."""
        word, following = token.word, token.following
        if self._open is None and token.place == 1 and self._is_particle(token):
            return True
        relates = _is_preposition(token)
        infinitive = following in _VERBS or self._takes_object(token.place + 1)
        if word == "to" and relates and infinitive:
            self._add_rest(INFINITIVE, self._tokens[token.place + 1].span.start)
            self._intro, self._may_be_verb = VERB, True
        elif relates:
            self._intro, self._may_be_verb = word, False
        elif word in _SUBJECTS and following:
            if token.place and following not in ("want", "need"):
                self._add_rest(CLAUSE, token.span.start)
            self._intro, self._may_be_verb = VERB, True
        elif word in _BREAKS:
            if word in _QUESTION_WORDS and token.place and token.before in self._verbs:
                self._add_rest(CLAUSE, token.span.start)  # "translate | where is the station"
            self._intro = CLAUSE if token.place else VERB
            self._after_question_word = word in ("what", "who", "which")
            self._may_be_verb = self._after_question_word or word in ("can", "will")
        else:
            return False
        return True

    def _is_particle(self, token: _Token) -> bool:
        """Return whether a word belongs to the verb before it: "check in", "put on"."""
        return token.word in self._tool or (token.word == "on" and token.before in _PHRASAL)

    def _takes_object(self, place: int) -> bool:
        """Return whether a word is a verb before an article: "to | update | the page"."""
        if place >= len(self._tokens):
            return False
        token = self._tokens[place]
        is_value = any(span.meets(token.span) for span in self._bounds)
        articles = token.following in ("a", "an", "the", "my", "our", "your")
        return articles and not is_value and token.word not in _DETERMINERS

    def _is_verb(self, token: _Token) -> bool:
        if token.before in _PROGRESSIVE and _is_ing_form(token.word):
            return True  # "i am bringing ..."
        if not self._may_be_verb or token.before in _DETERMINERS:
            return False
        if self._worded and token.place == 1 and token.before in _RECORDING:
            return False  # "add | buy bread"
        takes_object = token.following in _AFTER_VERB
        is_object = token.before in self._verbs and token.following in _PREPOSITIONS
        if is_object:  # "rename report to", "record run as"
            return False
        return (
            token.word in _VERBS
            or (not token.place and token.word in _COMMANDS)
            or any(words.is_same(token.word, part) for part in self._verbs)
            or (not token.place and (self._wants_verb if self._is_framed else takes_object))
            or (self._after_question_word and takes_object)
            or (token.before == "who" and words.stem(token.word) in _VERB_STEMS)
            or token.before in _SUBJECTS
            or (token.before in _ADVERBS and self._word(token.place - 2) in _SUBJECTS)
        )

    def _ends_subject(self, token: _Token) -> bool:
        """Return whether a word is the verb after a subject: "does the shop | sell"."""
        if self._open is None or self._has_verb or token.before in _DETERMINERS:
            return False
        if token.following in _PARTICLES:
            return self._word(token.place + 2) not in ("", "please", "now", "in")
        lead = plain(self._text)[: self._open.start]
        return self._asks and token.word in _COMMANDS and bool(_DO_QUESTION.search(lead))

    def _word(self, place: int) -> str:
        return self._tokens[place].word if 0 <= place < len(self._tokens) else ""

    def _ends_before_mark(self, token: _Token) -> bool:
        return self._text[token.span.end : token.span.end + 1] in (",", ";", ".", ":")

    def _continue(self, token: _Token) -> None:
        """Process a word that continues or begins a phrase."""
        if token.word == "and" and (token.following in _VERBS or self._open is None):
            self._close()
            self._intro, self._may_be_verb = VERB, True
        elif (
            self._open is not None
            and self._intro == VERB
            and token.following in _ARTICLES
            and token.before not in _DETERMINERS
            and not self._ends_before_mark(token)
            and token.word != "and"
            and not token.word.endswith("ing")
        ):
            # A word between a noun and an article is a verb: "sofia | edit | the slides".
            self._close()
            self._intro = VERB
        else:
            self._may_be_verb = False
            start = token.span.start if self._open is None else self._open.start
            self._open = Span(start, token.span.end)

    def _is_predicate(self, span: Span, last: str, ends_clause: bool) -> bool:
        """Return whether a question's phrase ends with its predicate: "does the ferry | leave"."""
        lead = plain(self._text)[: span.start]
        if _is_ing_form(last):
            return True
        is_cut = self._open is not None and span.end < self._open.end
        if self._has_verb or self.phrases or is_cut or not ends_clause:
            return False
        at_end = not self._text[span.end :].strip(" .?!,")
        return bool(_DO_QUESTION.search(lead)) or (at_end and bool(_BE_QUESTION.search(lead)))

    def _close(self, before_clause: bool = False, ends_clause: bool = True) -> None:
        """End the open phrase, without the verb at its end: "penguins get | five kilos"."""
        if self._open is not None:
            span = trim(self._text, self._open, whole=self._intro == NAMED)
            body, _, last = span.of(plain(self._text)).rpartition(" ")
            if body and (
                (before_clause and last in _VERBS)
                or (self._asks and self._is_predicate(span, last, ends_clause))
            ):
                span = Span(span.start, span.start + len(body))
            elif self._asks and (said := _PREDICATE.search(span.of(plain(self._text)))):
                span = Span(span.start, span.start + said.start())
            self.phrases.append(Phrase(self._intro, span))
            self._open, self._intro = None, CLAUSE

    def _add_message(self, token: _Token) -> None:
        place = token.place + (2 if token.following == "that" else 1)
        for rest in self._tokens[place : place + 1]:
            if not any(span.meets(rest.span) for span in self._taken):
                self._add_rest(MESSAGE, rest.span.start)

    def _add_rest(self, intro: str, start: int) -> None:
        """Add the remaining text, without what arguments have taken at its end."""
        if any(span.start <= start < span.end for span in self._taken):
            return
        end = len(self._text)
        for span in sorted(self._taken, key=lambda one: -one.end):
            if span.start > start and not self._text[span.end : end].strip(" .,!?"):
                end = span.start
        span = trim(self._text, Span(start, end), articles=False, whole=intro in (MESSAGE, CLAUSE))
        self.phrases.append(Phrase(intro, span))


def _is_preposition(token: _Token) -> bool:
    """Return whether a word introduces a noun, of which it is no part: "my to do list"."""
    return token.word in _PREPOSITIONS and token.before not in _ARTICLES - {"her"}


def _is_ing_form(word: str) -> bool:
    return word.endswith("ing") and words.stem(word) in _VERB_STEMS


def _tokens(text: str, begin: int) -> list[_Token]:
    """Return the words from `begin` to the courtesies at the end."""
    lower = plain(text)
    named = not words.word_set("called named titled").isdisjoint(words.tokenize(lower))
    limit = trim(text, Span(begin, len(text)), articles=False, whole=named).end
    found = [Span(m.start() + begin, m.end() + begin)
             for m in _TOKEN.finditer(lower[begin:limit])][:_MAX_WORDS]  # fmt: skip
    spoken = ["", *(span.of(lower) for span in found), ""]
    ends = [begin, *(span.end for span in found)]
    return [
        _Token(n, span, spoken[n + 1], spoken[n], spoken[n + 2],
               frozenset(text[ends[n] : span.start]) if n else frozenset())
        for n, span in enumerate(found)
    ]  # fmt: skip


def _start(lower: str) -> int:
    """Return where the request begins after its polite frame."""
    if found := _REMIND.search(lower):
        return found.end()
    frame = _FRAME.match(lower)
    end = frame.end() if frame else 0
    return end if lower[end:].strip(" .!?,") else 0
