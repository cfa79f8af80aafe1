"""Back-channels: what listeners say is told from what takes the floor."""

from __future__ import annotations

import pytest

from vivavoce.core.back_channels import (
    PHRASES,
    BackChannels,
    WordsKind,
    differ_by_letter,
    ends_in_question,
    plain_words,
)

ENGLISH = BackChannels()
HEARD = "They cook the onions slowly in butter until they are golden."


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("", WordsKind.NONE),
        ("...", WordsKind.NONE),
        ("Yeah.", WordsKind.BACK_CHANNEL),
        ("Mm-hmm.", WordsKind.BACK_CHANNEL),
        ("Oh, I see! Of course.", WordsKind.BACK_CHANNEL),
        ("Okay, stop.", WordsKind.OTHER),
        ("I see that differently", WordsKind.OTHER),
        ("No.", WordsKind.OTHER),
        ("Yeah, of", WordsKind.BEGINNING),
        ("I", WordsKind.BEGINNING),
        ("onions slowly", WordsKind.ECHO),
        ("onions slowly and bummed", WordsKind.OTHER),
        ("they are in the", WordsKind.ECHO),
        ("in the", WordsKind.OTHER),
    ],
)
def test_words_are_classified(text: str, kind: WordsKind) -> None:
    assert ENGLISH.classify_words(text, HEARD, cut_off=False) is kind


def test_half_a_word_may_be_a_back_channel() -> None:
    assert ENGLISH.classify_words("Yet.", "", cut_off=True) is WordsKind.BEGINNING
    assert ENGLISH.classify_words("Yet.", "", cut_off=False) is WordsKind.OTHER
    assert ENGLISH.classify_words("No.", "", cut_off=True) is WordsKind.OTHER


def test_languages_of_the_setup_are_added_to_english() -> None:
    german = BackChannels(("de-DE", "xx", ""))
    assert german.classify_words("Ach so, genau.", "", False) is WordsKind.BACK_CHANNEL
    assert german.classify_words("okay", "", False) is WordsKind.BACK_CHANNEL
    assert ENGLISH.classify_words("Ach so", "", False) is WordsKind.OTHER


@pytest.mark.parametrize("language", PHRASES)
def test_every_phrase_of_a_language_is_a_back_channel(language: str) -> None:
    known = BackChannels((language,))
    for phrase in PHRASES[language].split(","):
        spoken = f"{phrase.strip().capitalize()}."
        assert known.classify_words(spoken, "", False) is WordsKind.BACK_CHANNEL, spoken


@pytest.mark.parametrize(
    ("played", "following", "recent", "asks"),
    [
        ("It is noon. Shall I", " go on? I can.", " Shall I", True),
        ("Shall I go on?", "", " go on?", True),
        ("Shall I go on? It was", " a long day. Why?", " was", False),
        ("It is noon.", " Shall I go on?", " noon.", False),
        ("", "Shall I go on?", "", False),
    ],
)
def test_a_question_is_open_from_its_first_word_until_a_while_after_its_last(
    played: str, following: str, recent: str, asks: bool
) -> None:
    assert ends_in_question(played, following, recent) is asks


def test_words_are_compared_without_marks() -> None:
    assert plain_words("That\u2019s it, ISN'T it?") == ["thats", "it", "isnt", "it"]
    assert differ_by_letter("yet", "yes")
    assert differ_by_letter("yea", "yeah")
    assert differ_by_letter("yes", "yes")
    assert not differ_by_letter("yes", "yeah")
    assert not differ_by_letter("no", "none")
