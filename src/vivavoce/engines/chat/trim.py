"""A history that grows for ever, in a window that does not."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from vivavoce.domain.content import Content, Role, ToolResult


def first_kept(
    history: Sequence[Content], budget: int, cost: Callable[[Content], int], known: int = 0
) -> int:
    """The number of the first content to keep so that the rest costs at most `budget`.

    `known` is the answer of the turn before. It stands as long as it still fits: a beginning
    that stays the same is read once. When it no longer does, half of the window is cleared.
    The last content is always kept, and the first one kept is something the user said.
    """
    known = known if known < len(history) else 0
    costs = [cost(content) for content in history]
    if sum(costs[known:]) <= budget:
        return known
    last = len(history) - 1
    kept, spent = last, costs[last] if costs else 0
    while kept > 0 and spent + costs[kept - 1] <= budget // 2:
        kept -= 1
        spent += costs[kept]
    while kept < last and not _begins(history[kept]):
        kept += 1
    return max(0, kept)


def _begins(content: Content) -> bool:
    return content.role is Role.USER and not any(
        isinstance(part, ToolResult) for part in content.parts
    )
