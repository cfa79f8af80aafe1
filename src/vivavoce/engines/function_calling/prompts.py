"""Prompts of the short questions that a language model is asked about calls."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from vivavoce.engines.function_calling import words
from vivavoce.engines.function_calling.completion import Message

_INSTRUCTION = (
    "You are a voice assistant that uses functions. Fill in the arguments of a function from"
    " the words of the request, in JSON. When it is done, say in one short sentence what was done."
)
_FILL_EXAMPLES = (
    (
        "Request: add milk to the shopping list\nFunction: add_item(item, list)",
        '{"item": "milk", "list": "shopping"}',
    ),
    ("Request: call my mother at eight\nFunction: call_person(person)", '{"person": "mother"}'),
    (
        "Request: what is the weather like in new york today\nFunction: get_weather(city)",
        '{"city": "new york"}',
    ),
    (
        "Request: send an email to peter saying that i will come tomorrow\n"
        "Function: send_email(to, body)",
        '{"to": "peter", "body": "i will come tomorrow"}',
    ),
    (
        "Request: play thriller by michael jackson\nFunction: play_music(query)",
        '{"query": "thriller by michael jackson"}',
    ),
)
_CONFIRM_EXAMPLES = (
    ("Request: Open the garage door please.\nopen garage door: ok", "The garage door is open."),
    ("Request: Set an alarm for 7.\nset alarm (hour 7): ok", "The alarm is set for 7."),
    ("Request: Close the window.\nclose window: ok", "The window is closed."),
    ("Request: Call Tom.\ncall person (person Tom): ok", "I'm calling Tom."),
)


def opening() -> list[Message]:
    """The beginning of both prompts; the same for every conversation."""
    return [
        {"role": "system", "content": _INSTRUCTION},
        *_turns((*_FILL_EXAMPLES, *_CONFIRM_EXAMPLES)),
    ]


def filling(question: str) -> list[Message]:
    """The prompt that asks for the arguments of a call."""
    return [*opening(), {"role": "user", "content": question}]


def confirming(request: str, done: str) -> list[Message]:
    """The prompt that asks for a sentence about what a function did."""
    return [*opening(), {"role": "user", "content": f"Request: {sentence(request)}\n{done}: ok"}]


def sentence(text: str) -> str:
    """Words as they would be typed: a capital letter, and a mark at the end."""
    plain = " ".join(text.split())
    if plain and plain[-1].isalnum():
        plain += "?" if words.is_question(plain) else "."
    return plain[:1].upper() + plain[1:]


def _turns(examples: Sequence[tuple[str, str]]) -> Iterator[Message]:
    for asked, answered in examples:
        yield {"role": "user", "content": asked}
        yield {"role": "assistant", "content": answered}
