"""Sums in words as Python, and what is no sum."""

from __future__ import annotations

import pytest

from vivavoce.engines.function_calling import sums


@pytest.mark.parametrize(
    ("said", "expression", "value"),
    [
        ("what is 17 times 23", "17 * 23", 391),
        ("How much is 15 percent of 80?", "80 * 15 / 100", 12),
        ("15% of 240", "240 * 15 / 100", 36),
        ("what's the square root of two", "2 ** 0.5", 2**0.5),
        ("2 to the power of 10", "2 ** 10", 1024),
        ("(3 + 4) * 5", "(3 + 4) * 5", 35),
        ("can you tell me what twelve times twelve is", "12 * 12", 144),
        ("what is twenty-three plus a hundred and two", "23 + 102", 125),
        ("calculate 1,000 divided by 8 minus 3", "1000 / 8 - 3", 122),
        ("what do you get when you multiply six by seven", "6 * 7", 42),
        ("subtract 3 from 10", "10 - 3", 7),
        ("the sum of a hundred and two and five", "102 + 5", 107),
        ("what is half of thirty", "30 / 2", 15),
        ("100 / 15 percent of 80", "100 / (80 * 15 / 100)", 100 / 12),
        ("sqrt 16 squared", "(16 ** 0.5) ** 2", 16),
        ("three squared plus four squared", "3 ** 2 + 4 ** 2", 25),
        ("minus five plus three", "-5 + 3", -2),
        ("two billion plus one", "2000000000 + 1", 2_000_000_001),
        ("3.5 x 2", "3.5 * 2", 7),
        ("007 + 1", "7 + 1", 8),
        ("what is 7 modulo 4", "7 % 4", 3),
        ("use python to calculate 17 times 23", "17 * 23", 391),
        ("Write a program that computes 3 plus 4", "3 + 4", 7),
        ("generate and run code for 12 squared", "12 ** 2", 144),
    ],
)
def test_a_sum_becomes_a_line_of_python(said: str, expression: str, value: float) -> None:
    counted = sums.of(said)
    assert counted is not None
    assert counted.code == f"print({expression})"
    assert eval(expression) == pytest.approx(value)


@pytest.mark.parametrize(
    "said",
    [
        "what is 5",
        "set a timer for 10 minutes",
        "555-1234",
        "2024-12-05",
        "what is two plus love",
        "how many days are in a week",
        "1,00 + 1",
        "plus",
        "3 +",
        "(3 + 4",
        "what is 1984 in words",
        "nineteen eighty four",
        "(" * 200 + "1" + ")" * 200,
        "",
    ],
)
def test_anything_else_is_none(said: str) -> None:
    assert sums.of(said) is None


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ("what is 17 times 23?", "17 times 23"),
        ("the square root of two", "the square root of two"),
        ("multiply six by seven", ""),
    ],
)
def test_a_result_is_told_with_the_users_words(said: str, words: str) -> None:
    counted = sums.of(said)
    assert counted is not None
    assert counted.words == words


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("run print(2+2)", "print(2+2)"),
        ("Please execute this code: sum(range(10))", "sum(range(10))"),
        ("run `len('abc')`", "len('abc')"),
        ("Run this:\n```python\nx = 1\nprint(x)\n```\nThanks", "x = 1\nprint(x)"),
        ("run the vacuum", ""),
        ("run vacuum", ""),
        ("run to the store", ""),
        ("print money", ""),
    ],
)
def test_python_that_was_typed_is_found_as_it_is(text: str, code: str) -> None:
    assert sums.python(text) == code


@pytest.mark.parametrize(
    ("output", "told"),
    [
        ("391\n", "391"),
        ("12.0", "12"),
        ("0.30000000000000004", "0.3"),
        ("1.4142135623730951", "about 1.4142"),
        ("3.9999999999999996", "4"),
        ("0.00012345678", "about 0.0001235"),
        ("-5", "-5"),
        ("inf", "inf"),
        ("1e+30", "1e+30"),
        ("(1+2j)", "(1+2j)"),
        ("1" * 40, "1" * 40),
    ],
)
def test_numbers_are_told_without_the_noise_of_floating_point(output: str, told: str) -> None:
    assert sums.told(output) == told


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        ("Generate and run code for the calculation.", True),
        ("sum of the first 50 primes? Write a python program for it", True),
        ("use python to count the vowels in banana", True),
        ("can you write me a script that prints hello", True),
        ("Calculate the 20th fibonacci number and run code for it", True),
        ("what is the area code of boston", False),
        ("what does this program do", False),
        ("use the oven", False),
        ("what is python", False),
        ("write a message to anna that the code is 12", False),
    ],
)
def test_an_order_for_code_is_told_from_talk_of_it(said: str, wanted: bool) -> None:
    assert sums.wants_program(said) is wanted
