"""Input transcription in pieces: what may be added to words that the client has already.

A piece that was sent is never taken back. Where later hypotheses agree with it, the next piece is
what follows; joined, the pieces equal the final transcript, but for marks and capitals that changed
in what was sent. Where they contradict it, what was sent stays, and the next piece is what follows
in the new text after the place that resembles the end of what was sent: the number of words whose
edit distance to the words sent is least.

    sent            new text                      piece
    (nothing)       Had he married                Had he married
    Had he          Had he married a              ␣married a
    Had he married  Had he married, a more        , a more
    had he Married  Had he married a more         ␣a more
    Had he buried   Had he married a more         ␣a more
"""

from __future__ import annotations

from collections.abc import Sequence

ALIGNED_WORDS = 48
"""Words at the end of what was sent that are compared with a text which contradicts it: the time
grows with their square, 1.5 ms for 48 of them, and 190 ms for the 400 words of three minutes."""


def continuation(sent: str, text: str) -> str:
    """The piece to send after `sent`, so that the client has `text`; empty if there is none.

    It begins with a space, unless it is the first or continues with a mark.
    """
    if not sent:
        return text
    rest = text.removeprefix(sent)
    if text.startswith(sent) and not rest[:1].isalnum():
        return rest
    known, words = sent.split(), text.split()
    skipped = max(0, len(known) - ALIGNED_WORDS)
    recent = words[skipped:]
    rest = " ".join(recent[_covered(_plain(known[skipped:]), _plain(recent)) :])
    return f" {rest}" if rest else ""


def _plain(words: Sequence[str]) -> list[str]:
    """Words without case and marks."""
    return ["".join(filter(str.isalnum, word)).casefold() for word in words]


def _covered(sent: Sequence[str], words: Sequence[str]) -> int:
    """How many of `words` resemble all of `sent` best; of several numbers the largest."""
    row = list(range(len(words) + 1))
    for at, word in enumerate(sent, 1):
        before, row = row, [at]
        for other, known in enumerate(words, 1):
            replaced = before[other - 1] + (word != known)
            row.append(min(replaced, before[other] + 1, row[-1] + 1))
    return max(range(len(row)), key=lambda count: (-row[count], count))
