"""REST error responses, in the form of `google.rpc.Status`.

Both SDKs build their exception from `error.code`, `error.status` and `error.message`; a body
that isn't JSON loses its message in one of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from vivavoce.protocol import close
from vivavoce.protocol.paths import MAX_PATH, names_interactions

CONTENT_TYPE = "application/json; charset=UTF-8"
SERVICE = "generativelanguage.googleapis.com"

STATUS = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    405: "INVALID_ARGUMENT",
    414: "INVALID_ARGUMENT",
    426: "FAILED_PRECONDITION",
    431: "INVALID_ARGUMENT",
    429: "RESOURCE_EXHAUSTED",
    499: "CANCELLED",
    500: "INTERNAL",
    501: "UNIMPLEMENTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}

_TYPE = "type.googleapis.com/google.rpc."
_UNKNOWN = "Invalid JSON payload received. Unknown name "


@dataclass(frozen=True, slots=True)
class ErrorResponse:
    """An HTTP status and the body that goes with it."""

    http_status: int
    body: dict[str, Any]


def error_response(http_status: int, message: str, *details: dict[str, Any]) -> ErrorResponse:
    """Build an error response; `http_status` is one of `STATUS`."""
    error: dict[str, Any] = {
        "code": http_status,
        "message": message,
        "status": STATUS[http_status],
    }
    if details:
        error["details"] = list(details)
    return ErrorResponse(http_status, {"error": error})


def error_info(reason: str) -> dict[str, Any]:
    """Build a machine-readable reason, `google.rpc.ErrorInfo`."""
    return {
        "@type": _TYPE + "ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": SERVICE},
    }


def invalid_argument(message: str = close.INVALID_ARGUMENT) -> ErrorResponse:
    """Build a 400 for an invalid value."""
    return error_response(400, message)


def bad_request(message: str) -> ErrorResponse:
    """Build a 400 for an invalid body; its details name the fields."""
    violations = [
        {"field": line.rpartition(" at '")[2].partition("'")[0], "description": line}
        for line in message.split("\n")
        if line.startswith(_UNKNOWN) and " at '" in line
    ]
    if not violations:
        return error_response(400, message)
    return error_response(
        400, message, {"@type": _TYPE + "BadRequest", "fieldViolations": violations}
    )


def forbidden(message: str) -> ErrorResponse:
    """Build a 403 for a refused origin, host or plain-text connection."""
    return error_response(403, message)


def unknown_model(name: str, version: str) -> ErrorResponse:
    """Build a 404 for a model that is not served."""
    return error_response(404, close.model_not_found(name, version))


def unknown_path(path: str) -> ErrorResponse:
    """Build a 404 or 414 for a path at which nothing is served."""
    if len(path) > MAX_PATH:
        return error_response(414, f"The path is longer than {MAX_PATH} characters.")
    if names_interactions(path):
        return error_response(
            404,
            "Live Interactions are not served here. Open a Live session instead: "
            "client.aio.live.connect(...), or BidiGenerateContent over a WebSocket.",
        )
    return error_response(404, f"The requested URL {path[:200]} was not found on this server.")


def quota_exceeded(retry_after_s: int) -> ErrorResponse:
    """Build a 429 for an exceeded quota, with the time to retry."""
    return error_response(
        429,
        close.QUOTA,
        {"@type": _TYPE + "RetryInfo", "retryDelay": f"{retry_after_s}s"},
    )


BAD_KEY = error_response(
    400,
    close.BAD_KEY,
    error_info("API_KEY_INVALID"),
    {"@type": _TYPE + "LocalizedMessage", "locale": "en-US", "message": close.BAD_KEY},
)
EXPIRED_KEY = error_response(400, close.EXPIRED_KEY, error_info("API_KEY_INVALID"))
UNAUTHENTICATED = error_response(401, close.NOT_A_KEY, error_info("ACCESS_TOKEN_TYPE_UNSUPPORTED"))
NO_CREDENTIAL = error_response(403, close.UNREGISTERED)
OUT_OF_SCOPE = error_response(
    403, close.OUT_OF_SCOPE, error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT")
)
UPGRADE_REQUIRED = error_response(
    426, "This is a WebSocket address: open it with a Live API client."
)
INTERNAL_ERROR = error_response(500, close.INTERNAL_ERROR)
UNAVAILABLE = error_response(503, close.UNAVAILABLE)
