"""Context window: the prompt of an answer (instruction, tools, history), and its compression."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from vivavoce.core.history import History
from vivavoce.core.token_counts import (
    Contribution,
    CountedTexts,
    Prompt,
    TokenCounter,
    tool_texts,
)
from vivavoce.domain.content import Content, Role, Tools
from vivavoce.domain.ids import GenerationId, SessionId
from vivavoce.domain.request import GenerationRequest
from vivavoce.domain.setup import DEFAULT_VOICE, Compression, SessionSetup

TRIGGER_SHARE = 0.8
"""Share of the window at which compression begins by default."""

NO_GENERATION = GenerationId(0)
"""Generation id in a request to read ahead only."""


class Context:
    """Instruction, tools and history; every `GenerationRequest` is a snapshot of them.

    `overflow` says why the session has to end: it no longer fits the window.
    """

    def __init__(
        self,
        session: SessionId,
        setup: SessionSetup,
        history: History,
        counter: TokenCounter,
        min_confidence: float = 0.0,
    ) -> None:
        self.session = session
        self.setup = setup
        self.instruction = setup.instruction
        self.tools = setup.tools
        self.history = history
        self.overflow = ""
        self._counter = counter
        self._min_confidence = min_confidence
        self._thresholds = CompressionThresholds.from_setup(setup.compression, counter.window)
        self._updates = 0
        self._fixed = self._fixed_texts()
        self._fixed.tokens(counter, counter.revision())  # large setups are made in a thread

    @property
    def version(self) -> int:
        """Number that changes whenever an answer would be based on something else."""
        return self.history.version + self._updates

    def apply_update(self, instruction: str | None, tools: Tools | None) -> None:
        """Replace the instruction, the tools or both, for the generations that follow."""
        self.instruction = self.instruction if instruction is None else instruction
        self.tools = self.tools if tools is None else tools
        self._updates += 1
        self._fixed = self._fixed_texts()

    def _fixed_texts(self) -> CountedTexts:
        """Return instruction and declarations, which precede the history in every prompt."""
        return CountedTexts([self.instruction, *tool_texts(self.tools)])

    def fit_window(self) -> None:
        """Drop the oldest contributions above the compression trigger, down to the target.

        Instruction, tools and the user's last words stay. What still exceeds the window, or does
        without compression, is an `overflow`.
        """
        counter, thresholds = self._counter, self._thresholds
        total = self.prompt().token_counts().total
        if thresholds is not None and total > thresholds.trigger:
            older = self.history.droppable()
            weights = (each.tokens(counter, self.setup.image_tokens) for each in older)
            self.history.drop_oldest(count_to_drop(weights, total - thresholds.target))
            total = self.prompt().token_counts().total
        if total > counter.window:
            self.overflow = f"The context window of {counter.window} tokens is full ({total}): " + (
                "send less at once." if thresholds else "set contextWindowCompression."
            )

    def prompt(self, extra: tuple[Content, ...] = ()) -> Prompt:
        """Return the prompt of a request with the same `extra`."""
        contributions = (*self.history.contributions(), *map(Contribution, extra))
        return Prompt(
            self._fixed,
            contributions,
            self._counter,
            self.setup.image_tokens,
            self.history.tokens,
            self.history.closed_count,
        )

    def request(
        self,
        generation: GenerationId = NO_GENERATION,
        extra: tuple[Content, ...] = (),
        speculative: bool = False,
    ) -> GenerationRequest:
        """Return a snapshot of the conversation, with `extra` at the end."""
        setup = self.setup
        history = (*self.history.snapshot(), *extra)
        return GenerationRequest(
            session=self.session,
            generation=generation,
            instruction=self.instruction,
            history=history,
            tools=self.tools,
            modality=setup.modality,
            voice=setup.voice or DEFAULT_VOICE,
            language=setup.language,
            sampling=setup.sampling,
            thinking=setup.thinking,
            speculative=speculative,
            unclear=is_unclear(history, self._min_confidence),
        )


@dataclass(frozen=True, slots=True)
class CompressionThresholds:
    """Tokens at which compression begins, and to which it compresses."""

    trigger: int
    target: int

    @classmethod
    def from_setup(
        cls, compression: Compression | None, window: int
    ) -> CompressionThresholds | None:
        """Return the thresholds for a window, which bounds the trigger; `None` if not asked for."""
        if compression is None:
            return None
        trigger = min(compression.trigger_tokens or int(window * TRIGGER_SHARE), window)
        target = trigger // 2 if compression.target_tokens is None else compression.target_tokens
        return cls(trigger, min(target, trigger))


def count_to_drop(weights: Iterable[int], excess: int) -> int:
    """Return how many of the oldest contributions amount to `excess` tokens; at most all."""
    count = 0
    for weight in weights:
        if excess <= 0:
            break
        excess -= weight
        count += 1
    return count


def is_unclear(history: tuple[Content, ...], min_confidence: float) -> bool:
    """Return whether the user's last words were all recognized with too little confidence."""
    unclear = False
    for content in reversed(history):
        if content.role is not Role.USER:
            break
        if content.confidence is None or content.confidence >= min_confidence:
            return False
        unclear = True
    return unclear
