"""What a very small model is told: who it is, how to answer, and the conversation so far.

Everything before the user's newest words stays the same from turn to turn, so that it is read
once. Examples do more than rules for a model of this size: with them it answers in one
sentence and keeps to the point.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from vivavoce.domain.content import Content, Role, Text, ToolCall, ToolResult
from vivavoce.domain.request import GenerationRequest
from vivavoce.engines.function_calling import words
from vivavoce.engines.function_calling.results import summary as told

Message = dict[str, Any]

TEMPLATE = (
    "{% for m in messages %}{% if not loop.first %}<|im_start|>{% endif %}{{ m['role'] }}\n"
    "{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
"""ChatML without its first start token: the library puts that one in by itself, and with two
of them this model answers noticeably worse."""

VOICE = "You are a friendly voice assistant. Answer in one short sentence."
CHECK = "What is the capital of France?"
_EXAMPLES = (
    ("Hello.", "Hello! How can I help you?"),
    ("What is the capital of Spain?", "The capital of Spain is Madrid."),
    ("How many hours are in a day?", "There are twenty-four hours in a day."),
)
_NAME_EXAMPLE = "I'm {}a small voice assistant."
_THANKS = ("Thank you.", "You're welcome!")
_NAMED = re.compile(
    r"\b(?:[Yy]our name is|[Yy]ou are called|[Yy]ou are named|[Yy]ou are) ([A-Z]\w+)"
)
_WORDLESS = "(something without words)"
_GO_ON = "Please go on."

_ASIDE = (
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


def tidy(text: str) -> str:
    """What was said as it would be typed: a capital letter, and a mark at the end."""
    plain = " ".join(text.split())
    if not plain:
        return _WORDLESS
    if plain[-1].isalnum():
        plain += "?" if words.is_question(plain) else "."
    return plain[0].upper() + plain[1:]


def readable(content: Content) -> str:
    """All of a content that may come to stand in a prompt."""
    results = "".join(told(part) for part in content.parts if isinstance(part, ToolResult))
    calls = "".join(
        f"{part.name}{part.args}" for part in content.parts if isinstance(part, ToolCall)
    )
    return f"{content.text}{results}{calls}"


def ending(content: Content, most_signs: int) -> Content:
    """A content with only the end of its words."""
    words_kept = content.text[-most_signs:].partition(" ")[2]
    return Content(content.role, (Text(words_kept),), content.cut)


def utterance(content: Content) -> str:
    """The words that a user's content asks something with."""
    return " ".join(content.text.split())


def system(request: GenerationRequest, most_signs: int) -> str:
    """Our rules, then the client's instruction, cut where it would fill the window."""
    instruction = request.instruction.strip()[:most_signs]
    return f"{VOICE}\n\n{instruction}" if instruction else VOICE


def opening(instruction: str) -> list[Message]:
    """What comes before the conversation: the system's words and the examples."""
    named = _NAMED.search(instruction)
    example = _NAME_EXAMPLE.format(f"{named[1]}, " if named else "")
    examples = (*_EXAMPLES, ("What's your name?", example), _THANKS)
    return [{"role": "system", "content": instruction}, *_turns(examples)]


def chat(instruction: str, history: Sequence[Content]) -> list[Message]:
    """The whole prompt of an ordinary answer."""
    messages = opening(instruction)
    for role, text in _spoken(history):
        if messages[-1]["role"] == role:
            messages[-1] = {"role": role, "content": f"{messages[-1]['content']} {text}"}
        else:
            messages.append({"role": role, "content": text})
    if messages[-1]["role"] == "assistant":
        messages.append({"role": "user", "content": _GO_ON if history else _WORDLESS})
    return messages


def aside() -> list[Message]:
    """What comes before the two questions about calls; the same for every conversation."""
    return [{"role": "system", "content": _ASIDE}, *_turns((*_FILL_EXAMPLES, *_CONFIRM_EXAMPLES))]


def filling(question: str) -> list[Message]:
    """The prompt that asks for the arguments of a call."""
    return [*aside(), {"role": "user", "content": question}]


def confirming(request: str, done: str) -> list[Message]:
    """The prompt that asks for a sentence about what a function did."""
    return [*aside(), {"role": "user", "content": f"Request: {tidy(request)}\n{done}: ok"}]


def _turns(examples: Sequence[tuple[str, str]]) -> Iterator[Message]:
    for asked, answered in examples:
        yield {"role": "user", "content": asked}
        yield {"role": "assistant", "content": answered}


def _spoken(history: Sequence[Content]) -> Iterator[tuple[str, str]]:
    """Who said what. Calls are left out; a result only counts where nobody spoke of it."""
    unspoken = ""
    for content in history:
        results = [part for part in content.parts if isinstance(part, ToolResult)]
        for result in results:
            unspoken = f"{unspoken}({told(result)}) "
        said = any(isinstance(part, Text) and part.text.strip() for part in content.parts)
        if content.role is Role.MODEL:
            if said:
                unspoken = ""
                yield "assistant", re.sub(r"\s+", " ", content.text).strip()
        elif said or not results:
            yield "user", unspoken + tidy(content.text)
            unspoken = ""
    if unspoken:
        yield "user", unspoken.strip()
