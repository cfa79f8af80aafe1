"""Speech of any length cut into pieces of 40 to 100 ms, each with the words that begin in it.

The first piece leaves at once, however short; smaller ones after it are joined. A long stretch
that carries several words spreads them over its pieces by their length in letters, so that an
interruption cuts the transcript near the word that was heard last.
"""

from __future__ import annotations

import re
from collections import deque

from vivavoce.domain.audio import BYTES_PER_SAMPLE, OUTPUT_RATE, samples
from vivavoce.engines.ports import Speech

SHORTEST_BYTES = samples(0.040, OUTPUT_RATE) * BYTES_PER_SAMPLE
LONGEST_BYTES = samples(0.100, OUTPUT_RATE) * BYTES_PER_SAMPLE

LONGEST_TEXT = 100_000
"""Characters in one message of text: a frame of JSON stays below what clients can read. More than
that does not wait for sound to begin in."""

_WORD = re.compile(r"\s*\S+\s*$|\s*\S+|\s+$")


class AudioChunker:
    """Cuts one generation's speech."""

    def __init__(self) -> None:
        self._pcm = b""
        self._words: list[str] = []
        self._chars = 0
        self._begun = False

    def cut_chunks(self, pcm: bytes, text: str) -> list[Speech]:
        """What can leave, now that this has come."""
        words = _spread(text, len(pcm))
        pieces = []
        at = 0
        while at < len(pcm):
            take = min(LONGEST_BYTES - len(self._pcm), len(pcm) - at)
            self._pcm += pcm[at : at + take]
            at += take
            while words and words[0][0] < at:
                self._hold(words.popleft()[1])
            if not self._begun or len(self._pcm) >= SHORTEST_BYTES:
                pieces.extend(self._leave())
        for _, word in words:
            self._hold(word)
        if self._chars > LONGEST_TEXT:
            held = self._held_text()
            starts = range(0, len(held), LONGEST_TEXT)
            pieces += [Speech(b"", held[start : start + LONGEST_TEXT]) for start in starts]
        return pieces

    def take_remainder(self) -> list[Speech]:
        """Whatever is left, however short."""
        return self._leave(everything=True)

    def _hold(self, word: str) -> None:
        self._words.append(word)
        self._chars += len(word)

    def _held_text(self) -> str:
        text = "".join(self._words)
        self._words, self._chars = [], 0
        return text

    def _leave(self, everything: bool = False) -> list[Speech]:
        # An engine that cuts inside a sample would turn every later sample into noise.
        whole = len(self._pcm) - len(self._pcm) % BYTES_PER_SAMPLE
        if not whole and not (everything and self._words):
            return []
        piece = Speech(self._pcm[:whole], self._held_text())
        self._pcm = self._pcm[whole:]
        self._begun = True
        return [piece]


def _spread(text: str, size: int) -> deque[tuple[int, str]]:
    """Each word with the byte of the sound at which it begins, as far as that can be guessed."""
    chars = max(1, len(text))
    return deque((match.start() * size // chars, match[0]) for match in _WORD.finditer(text))
