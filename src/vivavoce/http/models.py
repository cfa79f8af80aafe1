"""List the served models over REST, in the API's form.

Some clients choose a model from it by looking for `bidiGenerateContent` and for "live" in the
name, so the well-known Live names are listed besides whatever the operator configured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from vivavoce.core.token_counts import WINDOW_TOKENS
from vivavoce.domain.model_family import ModelFamily, family_behavior, model_id
from vivavoce.http.errors import ErrorResponse, invalid_argument, unknown_model

KNOWN = (
    "gemini-2.5-flash-native-audio-preview-12-2025",
    "gemini-2.5-flash-native-audio-preview-09-2025",
    "gemini-2.5-flash-native-audio-latest",
    "gemini-2.5-flash-preview-native-audio-dialog",
    "gemini-2.5-flash-exp-native-audio-thinking-dialog",
    "gemini-live-2.5-flash-native-audio",
    "gemini-live-2.5-flash-preview-native-audio-09-2025",
    "gemini-live-2.5-flash-preview",
    "gemini-live-2.5-flash",
    "gemini-2.0-flash-live-001",
    "gemini-2.0-flash-live-preview-04-09",
    "gemini-2.0-flash-exp",
    "gemini-3.1-flash-live-preview",
    "gemini-3.8-live",
    "gemini-3.8-live-extended-thinking",
)
"""Live models that clients and tutorials use, listed if every name is served."""

DEFAULT_PAGE = 50
MAX_PAGE = 1000

_OUTPUT_LIMITS = {
    ModelFamily.LIVE_2_5: 8192,
    ModelFamily.LIVE_3_1: 65_536,
    ModelFamily.LIVE_3_8: 65_536,
}


def served_names(configured: Iterable[str]) -> tuple[str, ...]:
    """Return the ids to list for configured names, in order and without repetition.

    `*` stands for the well-known names, since the server then answers to any.
    """
    ids: dict[str, None] = {}
    for name in configured:
        ids.update(dict.fromkeys(KNOWN if name == "*" else (model_id(name),)))
    return tuple(ids)


class ModelList:
    """List of the served models.

    `window` gives the context window of a model in tokens, by its id. With `*` among the names
    every name is served.
    """

    def __init__(
        self, configured: Sequence[str], window: Callable[[str], int] = lambda name: WINDOW_TOKENS
    ) -> None:
        self._served = served_names(configured)
        self._any_name = "*" in configured
        self._window = window

    def list_page(
        self, page_size: str = "", page_token: str = ""
    ) -> dict[str, Any] | ErrorResponse:
        """Build a page of models; an error response for an invalid page size or token."""
        size, start = _whole(page_size), _whole(page_token)
        if size is None:
            return invalid_argument(f"page_size must be a number that is not negative: {page_size}")
        if start is None or start > len(self._served):
            return invalid_argument(
                "page_token is not valid; use the nextPageToken of a former page."
            )
        end = start + min(size or DEFAULT_PAGE, MAX_PAGE)
        body: dict[str, Any] = {"models": [self._body(name) for name in self._served[start:end]]}
        if end < len(self._served):
            body["nextPageToken"] = str(end)
        return body

    def get_model(self, name: str, version: str) -> dict[str, Any] | ErrorResponse:
        """Build the description of a model; an error response if it isn't served."""
        short = model_id(name)
        if short and (self._any_name or short in self._served):
            return self._body(short)
        return unknown_model(f"models/{short}", version)

    def _body(self, short: str) -> dict[str, Any]:
        family = family_behavior(short).family
        return {
            "name": f"models/{short}",
            "version": "001",
            "displayName": short.replace("-", " ").title(),
            "description": f"Real-time voice conversation, behaving like {family.value}.",
            "inputTokenLimit": self._window(short),
            "outputTokenLimit": _OUTPUT_LIMITS[family],
            "supportedGenerationMethods": ["bidiGenerateContent"],
            "temperature": 1,
            "maxTemperature": 2,
            "topP": 0.95,
            "topK": 64,
        }


def enterprise_model(model: dict[str, Any]) -> dict[str, Any]:
    """Convert a model to the form of the enterprise path."""
    short = model_id(model["name"])
    return {
        "name": f"publishers/google/models/{short}",
        "versionId": model["version"],
        "launchStage": "GA",
        "publisherModelTemplate": f"publishers/google/models/{short}",
    }


def enterprise_page(page: dict[str, Any]) -> dict[str, Any]:
    """Convert a page of models to the form of the enterprise path."""
    rest = {name: value for name, value in page.items() if name != "models"}
    return {"publisherModels": [enterprise_model(model) for model in page["models"]], **rest}


def _whole(text: str) -> int | None:
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
