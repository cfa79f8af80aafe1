"""Which requests ask for a program, and what is made of the program that the model writes."""

from __future__ import annotations

import pytest

from engines.text_model import TextModel
from vivavoce.engines.function_calling import completion
from vivavoce.engines.workers import CancelToken


@pytest.mark.parametrize(
    "request_",
    [
        "what is seventeen times twenty three",
        "How much is 15 percent of 80?",
        "calculate 1,000 divided by 8 minus 3",
        "can you tell me what twelve times twelve is",
        "How many days are there between the third of March and the tenth of June 2025?",
        "What weekday was the fourteenth of July 1990?",
        "If I save forty dollars a week, how much do I have after 18 weeks?",
        "What is the average of 12, 18, 25 and 33?",
        "Convert 98.6 degrees Fahrenheit to Celsius.",
    ],
)
def test_a_calculation_is_recognized(request_: str) -> None:
    assert completion.is_calculation(request_)


@pytest.mark.parametrize(
    "request_",
    [
        "what is 5",
        "set a timer for 10 minutes",
        "dim the lights to fifty percent",
        "How strong was the earthquake of 5 December 2024?",
        "how many people live in Canada",
        "I have two cats and three dogs",
        "what is the plus sign called",
        "",
    ],
)
def test_talk_of_numbers_is_no_calculation(request_: str) -> None:
    assert not completion.is_calculation(request_)


def test_a_calculation_may_come_without_a_question() -> None:
    assert completion.may_be_calculated("15 % of 240")
    assert completion.may_be_calculated("Sort these names: Eve, Bob, Anna.")
    assert not completion.may_be_calculated("the meeting is from 10 to 12")


@pytest.mark.parametrize(
    ("request_", "ordered"),
    [
        ("Generate and run code for the calculation.", True),
        ("use python to count the vowels in banana", True),
        ("can you write me a script that prints hello", True),
        ("what is the area code of boston", False),
        ("what does this program do", False),
        ("write a message to anna that the code is 12", False),
    ],
)
def test_an_order_for_code_is_distinguished_from_talk_of_it(request_: str, ordered: bool) -> None:
    assert completion.is_program_request(request_) is ordered


@pytest.mark.parametrize(
    ("text", "digits"),
    [
        ("three and a half days", "3.5 days"),
        ("eighty six dollars and forty cents", "86 dollars and 40 cents"),
        ("from the third of March to 1,000", "from 3 March to 1,000"),
        ("one of them is half of thirty", "one of them is half of 30"),
    ],
)
def test_spoken_numbers_become_digits(text: str, digits: str) -> None:
    assert completion.with_digits(text) == digits


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("run print(2+2)", "print(2+2)"),
        ("run `len('abc')`", "len('abc')"),
        ("Run this:\n```python\nx = 1\nprint(x)\n```\nThanks", "x = 1\nprint(x)"),
        ("run the vacuum", ""),
        ("run to the store", ""),
        ("print money", ""),
    ],
)
def test_python_that_was_typed_is_taken_as_it_is(text: str, code: str) -> None:
    assert completion.typed_code(text) == code


@pytest.mark.parametrize(
    ("answers", "code"),
    [
        (["```python\nprint(6 * 7)\n```\nThis prints 42."], "print(6 * 7)"),
        (["print(6 * 7)"], "print(6 * 7)"),
        (["```python\nprint(6 * 7"], ""),
        (["print(6 *", "```\nprint(6 * 7)\n```"], "print(6 * 7)"),
        (["print(math.pi * 2)"], "import math\nprint(math.pi * 2)"),
        (["import math\nprint(math.pi)"], "import math\nprint(math.pi)"),
        ([], ""),
    ],
)
def test_the_code_is_taken_out_of_the_answer(answers: list[str], code: str) -> None:
    model = TextModel(answers)
    assert completion.write_program(model, "what is six times seven", CancelToken()) == code
    assert model.questions[0][-1]["content"] == "what is 6 times 7"
    if len(answers) > 1:
        assert "invalid syntax" in model.questions[1][-1]["content"]
