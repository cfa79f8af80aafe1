"""Words that show whether an utterance goes on, by language: the data of `turn_cues`.

A language is added by an entry in `LANGUAGES`; all words in lower case, with plain apostrophes.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class CueWords:
    """The words of one language.

    `needing` need another word after them. `particles` mostly do, as prepositions, and end whole
    questions ("what is it for"); those of verbs end requests, after `objects` ("turn it on").
    `auxiliaries` begin questions, and like `subjects` need a verb, but for a short answer with one
    of the `pronouns` ("yes I do"), with which `copulas` are whole questions ("where is it").
    `transitives` need an object, unless one of `object_questions` is it ("what do you want").
    `subordinators` begin a clause that awaits another, `requests` one that asks for something,
    `question_words` a question. `fillers` and `open_phrases` announce more, `closers` end a turn.
    `joining` announces the last item of a list.
    """

    needing: frozenset[str]
    particles: frozenset[str]
    verb_particles: frozenset[str]
    auxiliaries: frozenset[str]
    copulas: frozenset[str]
    transitives: frozenset[str]
    subjects: frozenset[str]
    pronouns: frozenset[str]
    objects: frozenset[str]
    subordinators: frozenset[str]
    question_words: frozenset[str]
    object_questions: frozenset[str]
    requests: frozenset[str]
    fillers: frozenset[str]
    joining: frozenset[str]
    open_phrases: frozenset[str]
    closers: frozenset[str]


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _phrases(text: str) -> frozenset[str]:
    return frozenset(phrase.strip() for phrase in text.split(","))


ENGLISH = CueWords(
    needing=_words(
        "and or but nor because since although though unless until than if whether while whereas "
        "the a an my your our their its every each of into onto via per between during against "
        "without within toward towards among despite except including regarding very really "
        "quite extremely i'm you're we're they're he's she's i'll you'll we'll they'll i'd you'd "
        "we'd they'd i've you've we've they've let's wanna gonna who who's whose which to another "
        "it's that's there's what's where's here's how's usually often almost nearly just only both"
    ),
    particles=_words(
        "in on at for with from by about over under after before through around near behind "
        "as like so then that where when what how why"
    ),
    verb_particles=_words("on over"),
    auxiliaries=_words(
        "is are was were am be been being do does did have has had will would can could shall "
        "should may might must isn't aren't wasn't weren't don't doesn't didn't haven't hasn't "
        "hadn't won't wouldn't can't couldn't shouldn't"
    ),
    copulas=_words("is are was were am isn't aren't wasn't weren't"),
    transitives=_words(
        "want need have get buy bring give send put make find use take prefer said says told tell "
        "asked wanted needed got bought brought gave sent found used took means"
    ),
    subjects=_words("i we they he she"),
    pronouns=_words("i we they he she you it that this there"),
    objects=_words("it them me him her us this that these those"),
    subordinators=_words(
        "if when while because although though since unless until after before whenever once "
        "whatever wherever whoever even as"
    ),
    question_words=_words(
        "what what's who who's whose where where's when when's why how how's which"
    ),
    object_questions=_words("what what's which who who's many much"),
    requests=_words(
        "please tell show give turn set play stop call send find open close add remove put make "
        "remind book order read write search look start switch log cancel check explain describe "
        "translate repeat help let bring schedule calculate spell count name say"
    ),
    fillers=_words("um uh uhm er erm hmm hm mm ah eh well"),
    joining=_words("and or too also either"),
    open_phrases=_phrases(
        "i want, i need, i would like, i'd like, i want to, i need to, i'd like to, i think, "
        "i mean, i guess, i believe, i was wondering, i was thinking, i wonder, you know, "
        "can you, could you, would you, will you, can you please, could you please, do you have, "
        "do you know, tell me about, give me, show me, send me, get me, remind me, how about, "
        "what about, for example, such as, as well as, kind of, sort of, a lot of, because of, "
        "out of, going to, trying to, supposed to, want to, need to, have to, able to, "
        "let me see, let me think, hold on, wait, one moment, just a moment, actually, basically, "
        "my name, my number, my address, my email, the number, the address, the code, first of all"
    ),
    closers=_phrases(
        "please, thanks, thank you, thank you very much, that's all, that's it, that is all, "
        "goodbye, bye, good night, yes, yeah, yep, no, nope, okay, ok, stop, hello, hi, "
        "never mind, nothing else, right now, of course, sure, how are you, how do you do, see you"
    ),
)

LANGUAGES = {"en": ENGLISH}
"""The words by the language's code, without a region."""
