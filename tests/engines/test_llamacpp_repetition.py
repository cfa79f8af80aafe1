"""Repetition in a streamed answer is stopped before it is passed on."""

from __future__ import annotations

import re

import pytest

from engines.talk import said, user
from vivavoce.domain.content import ToolCall, ToolResult
from vivavoce.domain.ids import CallId
from vivavoce.engines.llamacpp import repetition
from vivavoce.engines.llamacpp.repetition import Past, RepetitionGuard, is_nearly_equal, words_of

JOKE = "The answer is: what is the most ridiculous joke you have ever heard?"


def passed(text: str, earlier: tuple[str, ...] = (), question: str = "", size: int = 4) -> str:
    """What the guard passes on of a text that comes in pieces; `REJECTED` instead of nothing."""
    return passed_after(Past(earlier, question=question, said=question), text, size)


def passed_after(past: Past, text: str, size: int = 4) -> str:
    guard = RepetitionGuard(past)
    released = ""
    for piece in re.findall(rf"\s*\S{{1,{size}}}", text):
        released += guard.feed_text(piece)
        if guard.stopped:
            break
    released += guard.finish()
    assert guard.rejected or released.strip()
    return released.strip() or "REJECTED"


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_an_ordinary_answer_passes_whole(size: int) -> None:
    text = 'Of course! "Red" is a color, e.g. of roses: they cost 3.5 euros.\nShall I go on?'
    assert passed(text, ("Roses are expensive.",), "What is red?", size) == text
    long = "one two three four five six seven eight nine ten eleven twelve thirteen fourteen"
    assert passed(long, (), "", size) == long


@pytest.mark.parametrize("size", [1, 4, 1000])
@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        (JOKE, (JOKE,)),
        (JOKE.upper(), ("Yes.", JOKE)),
        (f"Sure, {JOKE[0].lower()}{JOKE[1:]}", (JOKE,)),
        ("Hello! How are you?", ("Hello! How are you?",)),
        ("I live in a small house. And you?", ("Thank you. I live in a small house.",)),
        (f"Listen: {JOKE}", (JOKE,)),
        ("Oh, Bob, it is my birthday today!", ("It is my birthday today.",)),
    ],
)
def test_an_earlier_answer_is_rejected(text: str, earlier: tuple[str, ...], size: int) -> None:
    assert passed(text, earlier, "", size) == "REJECTED"


@pytest.mark.parametrize(
    ("text", "earlier"),
    [
        ("The capital of France is Paris.", "The capital of Spain is Madrid."),
        ("The timer is set for ten minutes.", "The timer is set for nine minutes."),
        ("There are 12 months in a year.", "There are 24 months in a year."),
        ("No, you can not arrive at noon today.", "No, you can arrive at noon today."),
        ("Yes.", "Yes."),
        ("You're welcome!", "You're welcome!"),
    ],
)
def test_an_answer_of_its_own_is_no_repetition(text: str, earlier: str) -> None:
    assert passed(text, (earlier,)) == text


def test_hardly_anything_before_a_repetition_is_gone_on_with() -> None:
    past = Past((JOKE,))
    guard = RepetitionGuard(past)
    assert guard.feed_text("Sure! Here it is: ") == "Sure! "
    assert guard.feed_text(f"{JOKE} ") == ""
    assert guard.rejected
    again = RepetitionGuard(past, passed_on="Sure! ")
    assert again.feed_text(" This is") == ""
    assert again.feed_text(" another one. ") == "This is another one. "
    assert not again.finish()
    assert not again.rejected


def test_a_sentence_that_was_cut_is_gone_on_with() -> None:
    past = Past(("Birds have a special wing that allows them to fly over land.",))
    guard = RepetitionGuard(past)
    begun = guard.feed_text("Bats sleep by day in dark caves of the mountains, where a ")
    assert begun == "Bats sleep by day in dark caves of the mountains, "
    assert guard.feed_text("special wing that allows them to fly over land. ") == ""
    assert guard.rejected
    assert guard.refused == " where a special wing that allows them to fly over land. "
    again = RepetitionGuard(past, begun)
    assert again.feed_text(" and hunt by night. ") == "and hunt by night. "
    assert not again.rejected
    twice = RepetitionGuard(past, "Bats sleep by day. ")
    assert twice.feed_text("Bats sleep by day. ") == ""
    assert twice.stopped


def test_what_was_new_stands_and_the_repetition_after_it_is_cut() -> None:
    text = "Paris is lovely in spring. The capital of France is Paris."
    assert passed(text, ("The capital of France is Paris.",)) == "Paris is lovely in spring."


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("I'm sorry, I'm sorry. I'm sorry.", "REJECTED"),
        ("He was a fisherman of the sea. He was a fisherman of the sea.",
         "He was a fisherman of the sea."),
        ("Rain, rain, go away.", "Rain, rain, go away."),
        ("No, no, no!", "No, no, no!"),
        ("rain " * 30, "REJECTED"),
        ("Try a bandage that is made of a soft, even stuff, or one that is made of a soft, even"
         " stuff that is made of a soft, even stuff.",
         "Try a bandage that is made of a soft, even stuff, or one that is made of a soft,"),
    ],
)  # fmt: skip
def test_a_loop_within_an_answer_is_cut(text: str, kept: str) -> None:
    assert passed(text) == kept


def test_a_loop_without_marks_ends_within_two_units() -> None:
    assert len(passed("the big red dog ran to " * 20).split()) <= 24


BIRDS = "Birds can fly because they have a special wing."
PENGUINS = BIRDS.replace("Birds", "Penguins")
PLUM, OLIVE = "Yes, a plum is a fruit.", "Yes, an olive is a fruit."


@pytest.mark.parametrize(
    ("asked", "given", "question", "text", "kept"),
    [
        ("Why can birds fly?", BIRDS, "Can penguins fly?", PENGUINS, "REJECTED"),
        ("Why can birds fly?", BIRDS, "What about bats?", "Bats can fly because they are light.",
         "Bats can fly because they are light."),
        ("Is a plum a fruit?", PLUM, "Is an olive a fruit?", OLIVE, OLIVE),
        ("And Spain?", "The capital of Spain is Madrid.", "And France?",
         "The capital of France is Paris.", "The capital of France is Paris."),
        ("I like music.", "It is a great way to relax and enjoy the evening at home.",
         "I read.", "Good! Reading is a great way to relax and enjoy the evening.", "Good!"),
        ("Hm.", "They say the difference between a knot and a nautical mile is small.",
         "What is the difference between a knot and a nautical mile?",
         "The difference between a knot and a nautical mile is that one is a speed.",
         "The difference between a knot and a nautical mile is that one is a speed."),
    ],
)  # fmt: skip
def test_a_new_answer_tells_more_than_the_words_of_the_question(
    asked: str, given: str, question: str, text: str, kept: str
) -> None:
    assert passed_after(repetition.read_past([user(asked), said(given), user(question)]), text) == (
        kept
    )


def test_results_of_functions_are_spoken_in_the_same_words() -> None:
    call = ToolCall(CallId("1"), "set_light", {})
    history = [
        user("Kitchen light on."), said("The light in the big kitchen is now on."),
        user("And off."), said(call), user(ToolResult(call.id, call.name, {"result": "off"})),
    ]  # fmt: skip
    text = "The light in the big kitchen is now off."
    assert passed_after(repetition.read_past(history), text) == text


def test_an_echo_with_words_of_the_conversation_or_of_the_other_person_is_rejected() -> None:
    history = [user("It was Porto."), said("I see."), user("The hills there are full of houses.")]
    past = repetition.read_past(history)
    assert passed_after(past, "The hills in Porto are full of houses.") == "REJECTED"
    assert passed_after(past, "The hills in Porto are full of houses, by the sea.") == "REJECTED"
    assert passed_after(past, "The hills of Lima are full of houses.") != "REJECTED"
    assert passed("You burned your finger.", (), "I burned my finger.") == "REJECTED"
    assert passed("I can sing you a song.", (), "Can you sing me a song?") != "REJECTED"
    asked, text = (
        "Can we see the sea on a day as well?",
        "Yes, we can see the sea on a day as well!",
    )
    assert passed(text, (), asked) == "REJECTED"


def test_an_answer_that_begins_as_an_echo_is_rejected() -> None:
    assert passed("Thirty years on ships, and I was a ship.", (), "Thirty years on ships.") == (
        "REJECTED"
    )
    question = "Which song should I learn next?"
    assert passed("Which song should I learn next, and I was a poet.", (), question) == "REJECTED"
    assert passed("The song to learn next is this.", (), question) != "REJECTED"


def test_a_third_answer_that_begins_alike_is_rejected() -> None:
    asked = ("It boils.", "We have milk.", "What else?", "Is it good?")
    ways = tuple(f"You can cook pasta {end}." for end in ("in milk", "when you like", "as well"))
    history = [user(asked[0]), said(ways[0]), user(asked[1]), said(ways[1])]
    assert passed_after(repetition.read_past([*history[:2], user(asked[2])]), ways[2]) == ways[2]
    assert passed_after(repetition.read_past([*history, user(asked[3])]), ways[2]) == "REJECTED"


def test_an_echo_of_the_question_is_rejected() -> None:
    assert passed("It's my birthday today!", (), "it's my birthday today") == "REJECTED"
    assert passed("When can I have breakfast?", (), "When can I have breakfast?") == "REJECTED"
    assert passed("Good morning!", (), "Good morning!") == "Good morning!"
    assert passed("Happy birthday!", (), "it's my birthday today") == "Happy birthday!"


def test_nothing_at_all_is_rejected_too() -> None:
    assert passed("") == "REJECTED"
    assert passed("\n") == "REJECTED"


def test_text_is_passed_on_clause_by_clause() -> None:
    guard = RepetitionGuard(Past(("When the sun is low, we go home.",)))
    assert guard.feed_text("When the sky is") == ""
    assert guard.feed_text(" clear, ") == "When the sky is clear, "
    assert guard.feed_text("you see stars. When the sun is low, ") == "you see stars. "
    assert guard.feed_text("it is red. ") == "When the sun is low, it is red. "
    assert guard.finish() == ""


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("I can help you with that.", "i can help you with that", True),
        ("I can help you with that now.", "I can help you with that.", True),
        ("I can not help you with that.", "I can help you with that.", False),
        ("Let us meet at 7 in the evening.", "Let us meet at in the evening.", False),
        ("Yes, sir.", "Yes.", False),
        ("今日は天気がいい。", "今日は天気がいい", True),
        (
            "Birds can fly because they have a special wing that allows them to fly.",
            "Penguins can fly because they have a special wing that allows them to fly.",
            True,
        ),
        (
            "The train to Oslo leaves from platform 4 at noon on all days but Sunday.",
            "The train to Oslo leaves from platform 5 at noon on all days but Sunday.",
            False,
        ),
    ],
)
def test_near_equality(one: str, other: str, equal: bool) -> None:
    assert is_nearly_equal(words_of(one), words_of(other)) is equal


# --- histories -----------------------------------------------------------------------------

QUESTION, ANSWER = "What is the capital of Italy?", "The capital of Italy is Rome."


def test_the_same_question_may_have_the_same_answer() -> None:
    history = [user(QUESTION), said(ANSWER), user("Tell me a story.")]
    assert repetition.read_past(history).answers == (ANSWER,)
    history += [said("Once upon a time."), user("what's the capital of italy")]
    assert repetition.read_past(history).answers == ("Once upon a time.",)
    more = [user("Tell me another one."), said(JOKE), user("Tell me another one.")]
    assert repetition.read_past(more).answers == (JOKE,)


@pytest.mark.parametrize(
    "request_",
    ["Say that again.", "Could you repeat that?", "Sorry, I didn't catch that.",
     "Noch einmal bitte.", "Vous pouvez répéter ?", "Repite, por favor."],
)  # fmt: skip
def test_who_asks_for_a_repetition_gets_it(request_: str) -> None:
    past = repetition.read_past([user(QUESTION), said(ANSWER), user(request_)])
    assert passed_after(past, ANSWER) == ANSWER
    assert passed_after(past, request_) == request_


def test_what_is_announced_as_something_else_may_not_be_the_same() -> None:
    past = repetition.read_past([user("Tell me a joke."), said(JOKE), user("Say it again!")])
    assert passed_after(past, f"Sure! {JOKE}") == f"Sure! {JOKE}"
    assert passed_after(past, f"Sure! Here is another joke: {JOKE}") == "Sure!"
    more = repetition.read_past([user("Tell me a joke."), said(JOKE), user("Again!")])
    assert passed_after(more, JOKE) == "REJECTED"


def test_short_words_ask_for_something_else_each_time() -> None:
    history = [user("Go on."), said("It rains in the north."), user("Go on.")]
    assert repetition.read_past(history).answers == ("It rains in the north.",)


def test_an_answer_is_compared_with_the_latest_hundred() -> None:
    history = [one for n in range(150) for one in (user(f"Say {n}."), said(f"This is {n}."))]
    past = repetition.read_past([*history, user("And now?")])
    assert past.answers == tuple(f"This is {n}." for n in range(50, 150))


def test_a_repeated_answer_does_not_stay_in_the_prompt() -> None:
    history = (
        user("Tell me a joke."),
        said(JOKE),
        user("My name is Anna."),
        said(JOKE),
        user(QUESTION),
        said(ANSWER),
        user(QUESTION),
        said(ANSWER),
        user("I live in Lisbon."),
        said("How nice. How nice. How nice. How nice."),
    )
    kept = repetition.without_repetition(history)
    assert [content.text for content in kept] == [
        "Tell me a joke.", JOKE, "My name is Anna.", QUESTION, ANSWER, QUESTION, ANSWER,
        "I live in Lisbon.", "How nice.",
    ]  # fmt: skip
    assert repetition.without_repetition(history[:2]) == history[:2]


def test_an_admission_is_made_in_the_users_language_and_not_repeated() -> None:
    history = [user("Hm.")]
    admitted = []
    for _ in range(4):
        admitted.append(repetition.fallback_reply("fr-FR", history))
        history += [said(admitted[-1]), user("Hm.")]
    assert len(set(admitted)) == 4
    assert repetition.fallback_reply("fr-FR", history) == admitted[0]
    assert repetition.fallback_reply("", []) == repetition.fallback_reply("en-US", [])
