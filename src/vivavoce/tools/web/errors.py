"""Why a page was not read."""

from __future__ import annotations

from vivavoce.domain.tool_outcome import RetrievalStatus
from vivavoce.errors import ToolError

TOOL = "url"


class PageError(ToolError):
    """The page could not be had. `problem` names no address that a resolver gave."""

    status = RetrievalStatus.ERROR

    def __init__(self, problem: str) -> None:
        super().__init__(TOOL, problem)


class PagePaywalled(PageError):
    """The server wants money or a login for it."""

    status = RetrievalStatus.PAYWALL


class PageRefused(PageError):
    """The rules do not let the tool read it."""

    status = RetrievalStatus.UNSAFE
