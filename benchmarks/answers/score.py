"""Right cases of a set, and why the others are not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from . import checks


@dataclass(slots=True)
class Score:
    """Counts of one set, its failures in words, all that was said, and times by name."""

    right: int = 0
    total: int = 0
    failures: list[str] = field(default_factory=list)
    exchanges: list[tuple[str, str]] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)

    def count(self, said: str, answer: str, faults: Sequence[str]) -> None:
        """Count one case."""
        self.total += 1
        self.right += not faults
        self.exchanges.append((said, answer))
        if faults:
            self.failures.append(f"{said!r}: {'; '.join(faults)}: {answer!r}")


def count_turns(score: Score, name: str, said: Sequence[str], answers: Sequence[str]) -> None:
    """Count every turn of a conversation; one with several faults counts once."""
    faults = checks.conversation_faults(said, answers)
    score.exchanges += zip(said, answers, strict=True)
    score.total += len(answers)
    score.right += len(answers) - len({fault.partition(":")[0] for fault in faults})
    score.failures += [f"{name}, {fault}" for fault in faults]
