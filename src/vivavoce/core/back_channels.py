"""Back-channels: what listeners say without wanting the floor ("mhm", "yeah", "I see").

`classify_words` sorts the words of a sound that began while an answer was heard. Only utterances
that consist of back-channels alone count as such: "okay" does, "okay, stop" does not.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from enum import Enum

PHRASES: dict[str, str] = {
    "en": """
        ah, aha, ahh, all right, alright, amazing, awesome, cool, er, erm, exactly, excellent, fair
        enough, fine, go on, good, good to know, got it, great, ha, haha, hm, hmm, how interesting,
        i see, indeed, interesting, lovely, makes sense, mhm, mm, mm hmm, mmm, nice, of course, oh,
        oh my, oh my god, oh my goodness, ok, okay, ooh, perfect, really, right, sounds good, sure,
        sure thing, true, uh, uh huh, uhhuh, um, understood, very good, very nice, wonderful, wow,
        yeah, yep, yes, yup
    """,
    "de": """
        ach, ach so, aha, äh, ähm, alles klar, ah, doch, echt, genau, gut, hm, hmm, ich verstehe,
        interessant, ja, jaja, jawohl, klar, mhm, mm, na klar, natürlich, oh, ok, okay, richtig,
        schön, sehr gut, sicher, so, stimmt, super, toll, verstehe, wirklich, wow
    """,
    "es": """
        ah, ajá, bien, bueno, claro, claro que sí, de acuerdo, eh, entiendo, exacto, genial, hm,
        interesante, mhm, mm, muy bien, oh, ok, okay, perfecto, por supuesto, sí, vale, vaya, ya,
        ya veo
    """,
    "fr": """
        ah, ah bon, ah oui, bien, bien sûr, bon, d'accord, euh, exactement, génial, hm, hum,
        intéressant, je vois, mhm, mm, oh, ok, okay, ouais, oui, parfait, super, tout à fait,
        très bien, vraiment, voilà
    """,
    "it": """
        ah, bene, capisco, capito, certo, davvero, eh, esatto, giusto, ho capito, interessante,
        mhm, mm, molto bene, oh, ok, okay, perfetto, sì, va bene, vero
    """,
    "pt": """
        ah, aham, bem, certo, claro, com certeza, entendi, exato, hm, interessante, isso, legal,
        mhm, mm, muito bem, né, oh, ok, okay, perfeito, pois é, sei, sim, tá, tá bom, verdade
    """,
}
"""Back-channels by language, with commas between them."""

ECHO_LETTERS = 4
"""Shorter words are in nearly every sentence, and no sign of an echo."""

ECHO_SHARE = 0.6
"""The share of words that an echo has from the answer; the recognizer mishears the others."""

Phrase = tuple[str, ...]


class WordsKind(Enum):
    """What the words of a sound are."""

    NONE = "none"
    BACK_CHANNEL = "back_channel"
    BEGINNING = "beginning"
    """They may become a back-channel ("of" in "of course"), or were cut off in the last word."""
    ECHO = "echo"
    """Words of the answer itself."""
    OTHER = "other"


class BackChannels:
    """The back-channels of some languages. Codes are BCP-47; English is always among them."""

    def __init__(self, language_codes: Iterable[str] = ()) -> None:
        languages = {"en", *(code.split("-")[0].casefold() for code in language_codes)}
        texts = [PHRASES[language] for language in languages if language in PHRASES]
        listed = (plain_words(phrase) for text in texts for phrase in text.split(","))
        self._phrases = {tuple(words) for words in listed if words}
        self._longest = max(map(len, self._phrases))

    def classify_words(self, text: str, heard: str, cut_off: bool) -> WordsKind:
        """Classify the words of a sound.

        `heard` are the words of the answer that were played about then. `cut_off`: the sound is so
        short that the last word may be half of another.
        """
        words = plain_words(text)
        if not words:
            return WordsKind.NONE
        rest = self._without_phrases(words)
        if not rest:
            return WordsKind.BACK_CHANNEL
        if any(phrase[: len(rest)] == tuple(rest) for phrase in self._phrases):
            return WordsKind.BEGINNING
        if is_echo(words, plain_words(heard)):
            return WordsKind.ECHO
        if len(rest) == 1 and (self._begins(rest[0]) or (cut_off and self._resembles(rest[0]))):
            return WordsKind.BEGINNING
        return WordsKind.OTHER

    def _begins(self, word: str) -> bool:
        return any(phrase[0].startswith(word) for phrase in self._phrases)

    def _resembles(self, word: str) -> bool:
        single = (phrase[0] for phrase in self._phrases if len(phrase) == 1)
        return len(word) > 2 and any(differ_by_letter(word, each) for each in single)

    def _without_phrases(self, words: Sequence[str]) -> Sequence[str]:
        """Return the words behind the longest run of back-channels at the beginning."""
        at = 0
        while at < len(words):
            sizes = range(min(self._longest, len(words) - at), 0, -1)
            size = next((n for n in sizes if tuple(words[at : at + n]) in self._phrases), 0)
            if not size:
                break
            at += size
        return words[at:]


def plain_words(text: str) -> list[str]:
    """Return the words of a text without marks and capitals; apostrophes join."""
    joined = re.sub("['\N{RIGHT SINGLE QUOTATION MARK}]", "", text.casefold())
    return re.findall(r"\w+", joined)


def is_echo(words: Sequence[str], heard: Sequence[str]) -> bool:
    """Return whether most of the words, one of them long, are among those that were played."""
    played = set(heard)
    found = [word for word in words if word in played]
    telling = any(len(word) >= ECHO_LETTERS for word in found)
    return telling and len(found) >= ECHO_SHARE * len(words)


def ends_in_question(played: str, following: str, recent: str) -> bool:
    """Return whether the model is asking a question, or has just asked one.

    `played` is what of its answer was played, `recent` the end of that, `following` what comes.
    """
    begun = re.split(r"[.!?]", played)[-1].strip()
    sentence = re.match(r"[^.!?]*[.!?]?", following)
    asking = bool(begun) and sentence is not None and sentence[0].endswith("?")
    return asking or "?" in recent


def differ_by_letter(one: str, other: str) -> bool:
    """Return whether one letter more, less or changed makes one word of the other."""
    if abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    at = next((n for n, letter in enumerate(short) if letter != long[n]), len(short))
    return short[at + (len(short) == len(long)) :] == long[at + 1 :]
