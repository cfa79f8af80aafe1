"""Confirmations of deeds: worded by the language model, used only if grounded."""

from __future__ import annotations

from vivavoce.domain.content import ToolCall
from vivavoce.engines.function_calling import results, words
from vivavoce.engines.function_calling.completion import Completion, Message
from vivavoce.engines.workers import CancelToken

DONE = "Okay, that's done."

_MAX_TOKENS = 40
_INSTRUCTION = "A function was called for the user. Say in one short sentence what was done."
_EXAMPLES = (
    ("Request: Open the garage door please.\nopen garage door: ok", "The garage door is open."),
    ("Request: Set an alarm for 7.\nset alarm (hour 7): ok", "The alarm is set for 7."),
    ("Request: Close the window.\nclose window: ok", "The window is closed."),
    ("Request: Call Tom.\ncall person (person Tom): ok", "I'm calling Tom."),
)


def opening() -> list[Message]:
    """The part of the prompt that is the same for all confirmations."""
    messages: list[Message] = [{"role": "system", "content": _INSTRUCTION}]
    for request, sentence in _EXAMPLES:
        messages.append({"role": "user", "content": request})
        messages.append({"role": "assistant", "content": sentence})
    return messages


def confirm(completion: Completion, request: str, call: ToolCall, cancel: CancelToken) -> str:
    """A sentence that says that `call` was made; `DONE` if the model's says more than that.

    Blocks for a prompt of 20 new tokens and an answer of 8. Raises `EngineError`.
    """
    done = results.deed(call)
    plain = " ".join(request.split())
    if plain[-1:].isalnum():
        plain += "?" if words.is_question(plain) else "."
    asked = {"role": "user", "content": f"Request: {plain[:1].upper()}{plain[1:]}\n{done}: ok"}
    text = completion.complete([*opening(), asked], _MAX_TOKENS, cancel)
    sentence = " ".join(text.split("\n")[0].split())
    fits = sentence.endswith((".", "!")) and results.is_grounded(sentence, request, done)
    return sentence if fits else DONE
