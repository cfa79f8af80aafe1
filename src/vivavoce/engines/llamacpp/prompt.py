"""The prompt of a spoken answer: rules, the client's instruction, the conversation.

Everything before the user's newest words stays the same from turn to turn, so that it is read
once. There are no examples: with three, Qwen2.5-Coder-0.5B had 10 instead of 9 of 12 facts, but
lost a name told two turns before and a question's language, and named what was in an example.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from vivavoce.domain.content import Content, Role, Text
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import Modality
from vivavoce.engines.function_calling import words

Message = dict[str, Any]

SPOKEN = (
    "You are a voice assistant. Your words are spoken aloud. Answer in one or two short plain"
    " sentences, in the language of the user. No lists, no markdown, no code."
)
WRITTEN = "You are a helpful assistant. Answer briefly, in the language of the user."
NAME = "Vivavoce"
"""Of the assistant where the client gives no instruction: asked for its name, the 0.5B invents one
and says that OpenAI created it. In this place and form it does not take it for the user's name."""

CHECK = "What is the capital of France?"

_LANGUAGES = {
    "de": "German", "es": "Spanish", "fr": "French", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "tr": "Turkish", "ru": "Russian", "zh": "Chinese",
    "ja": "Japanese", "ko": "Korean", "ar": "Arabic", "hi": "Hindi", "vi": "Vietnamese",
}  # fmt: skip
"""Names of languages for a rule of its own, where the session's language is not English."""

_PARTIAL_WORD = re.compile(r"^\S{0,40}\s")
"""What is left of a word whose beginning was cut off; not all scripts have spaces."""

_CONTROL_TOKEN = re.compile(r"<(?=\|[^\s|]{1,40}\|>)")
"""The beginning of a token that delimits messages, such as `<|im_end|>`, written as text."""

MARKS = "?."
"""What `tidy` puts at the end of words."""

_WORDLESS = "(something without words)"
_GO_ON = "Please go on."


def without_control_tokens(text: str) -> str:
    """A text that can't end its message or begin another: the library reads such tokens in it."""
    return _CONTROL_TOKEN.sub("< ", text)


def tidy(text: str) -> str:
    """Recognized words as they would be typed: a capital letter, and a mark at the end."""
    plain = " ".join(text.split())
    if not plain:
        return _WORDLESS
    if plain[-1].isalnum():
        plain += "?" if words.is_question(plain) else "."
    return plain[0].upper() + plain[1:]


def ending(content: Content, most_chars: int) -> Content:
    """A content with only the end of its words, from the beginning of one if there is one."""
    kept = content.text[len(content.text) - most_chars :]
    kept = _PARTIAL_WORD.sub("", kept, count=1)
    return Content(content.role, (Text(kept),), content.cut)


def system(request: GenerationRequest, most_chars: int) -> str:
    """The rules, then the client's instruction, cut where it would fill the window.

    Without an instruction, the assistant is called `NAME`.
    """
    rules = SPOKEN if request.modality is Modality.AUDIO else WRITTEN
    language = _LANGUAGES.get(request.language.split("-")[0].lower())
    if language:
        rules += f" Speak {language}."
    instruction = request.instruction.strip()[:most_chars]
    if not instruction:
        return rules.replace("You are a ", f"You are {NAME}, a ", 1)
    return f"{rules}\n\n{instruction}"


def chat(instruction: str, history: Sequence[Content]) -> list[Message]:
    """The whole prompt of an answer to a history without calls and results."""
    messages: list[Message] = [{"role": "system", "content": instruction}]
    for content in history:
        role = "assistant" if content.role is Role.MODEL else "user"
        text = " ".join(content.text.split()) if content.role is Role.MODEL else tidy(content.text)
        if not text:
            continue
        if messages[-1]["role"] == role:
            messages[-1] = {"role": role, "content": f"{messages[-1]['content']} {text}"}
        else:
            messages.append({"role": role, "content": text})
    if messages[-1]["role"] != "user":
        messages.append({"role": "user", "content": _GO_ON if history else _WORDLESS})
    return [one | {"content": without_control_tokens(one["content"])} for one in messages]
