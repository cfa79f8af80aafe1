"""The list of models, in the API's form.

Some clients choose a model from it by looking for `bidiGenerateContent` and for "live" in the
name, so the well-known Live names are listed besides whatever the operator configured.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from vivavoce.domain.profile import Family, behaviour_of, model_id
from vivavoce.edge.rest import Failure, invalid_argument, unknown_model

KNOWN = (
    "gemini-2.5-flash-native-audio-preview-12-2025",
    "gemini-2.5-flash-native-audio-preview-09-2025",
    "gemini-live-2.5-flash-preview",
    "gemini-2.0-flash-live-001",
    "gemini-3.1-flash-live-preview",
    "gemini-3.8-live",
)
"""Live models that clients ask for by default."""

DEFAULT_PAGE = 50
MAX_PAGE = 1000

_OUTPUT_LIMITS = {Family.LIVE_2_5: 8192, Family.LIVE_3_1: 65_536, Family.LIVE_3_8: 65_536}


def served_names(configured: Iterable[str]) -> tuple[str, ...]:
    """The ids to list for the names in the configuration, in order and without repetition.

    `*` stands for the well-known names, since the server then answers to any.
    """
    ids: dict[str, None] = {}
    for name in configured:
        ids.update(dict.fromkeys(KNOWN if name == "*" else (model_id(name),)))
    return tuple(ids)


def model_body(name: str) -> dict[str, Any]:
    """One model. `name` with or without `models/`."""
    short = model_id(name)
    family = behaviour_of(short).family
    return {
        "name": f"models/{short}",
        "version": "001",
        "displayName": short.replace("-", " ").title(),
        "description": f"Real-time voice conversation, behaving like {family.value}.",
        "inputTokenLimit": 131_072,
        "outputTokenLimit": _OUTPUT_LIMITS[family],
        "supportedGenerationMethods": ["bidiGenerateContent"],
        "temperature": 1,
        "maxTemperature": 2,
        "topP": 0.95,
        "topK": 64,
    }


def list_models(
    served: Sequence[str], page_size: str = "", page_token: str = ""
) -> dict[str, Any] | Failure:
    """One page of models. Sizes and tokens as they stand in the query; a bad one is a failure."""
    size, start = _whole(page_size), _whole(page_token)
    if size is None:
        return invalid_argument(f"page_size must be a number that is not negative: {page_size}")
    if start is None or start > len(served):
        return invalid_argument("page_token is not valid; use the nextPageToken of a former page.")
    end = start + min(size or DEFAULT_PAGE, MAX_PAGE)
    body: dict[str, Any] = {"models": [model_body(name) for name in served[start:end]]}
    if end < len(served):
        body["nextPageToken"] = str(end)
    return body


def get_model(
    served: Sequence[str], name: str, version: str, *, any_name: bool = False
) -> dict[str, Any] | Failure:
    """One model by its id, or the failure for one that isn't served.

    `any_name` is for a configuration with `*`, where every name is served.
    """
    short = model_id(name)
    if short and (any_name or short in served):
        return model_body(short)
    return unknown_model(f"models/{short}", version)


def _whole(text: str) -> int | None:
    if not text:
        return 0
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None
