"""Bodies of REST errors, in the form of `google.rpc.Status`.

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
    """An error body; `http_status` is one of `STATUS`."""
    error: dict[str, Any] = {
        "code": http_status,
        "message": message,
        "status": STATUS[http_status],
    }
    if details:
        error["details"] = list(details)
    return ErrorResponse(http_status, {"error": error})


def error_info(reason: str, **metadata: str) -> dict[str, Any]:
    """A machine-readable reason."""
    return {
        "@type": _TYPE + "ErrorInfo",
        "reason": reason,
        "domain": "googleapis.com",
        "metadata": {"service": SERVICE} | metadata,
    }


def bad_key() -> ErrorResponse:
    """The API key isn't one of the configured ones."""
    message = {
        "@type": _TYPE + "LocalizedMessage",
        "locale": "en-US",
        "message": close.BAD_KEY,
    }
    return error_response(400, close.BAD_KEY, error_info("API_KEY_INVALID"), message)


def no_credential() -> ErrorResponse:
    """Nothing was presented at all."""
    return error_response(403, close.UNREGISTERED)


def invalid_argument(message: str = close.INVALID_ARGUMENT) -> ErrorResponse:
    """A value that can't be used."""
    return error_response(400, message)


def bad_request(message: str) -> ErrorResponse:
    """A body that can't be used; where a line of the message names a field, so do the details."""
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


def unauthenticated() -> ErrorResponse:
    """Something else than an API key was presented where only a key will do."""
    return error_response(401, close.NOT_A_KEY, error_info("ACCESS_TOKEN_TYPE_UNSUPPORTED"))


def out_of_scope() -> ErrorResponse:
    """The key does not open this."""
    return error_response(403, close.OUT_OF_SCOPE, error_info("ACCESS_TOKEN_SCOPE_INSUFFICIENT"))


def expired_key() -> ErrorResponse:
    """The API key was good once."""
    return error_response(400, close.EXPIRED_KEY, error_info("API_KEY_INVALID"))


def forbidden(message: str) -> ErrorResponse:
    """Not from there, not by that name, not in plain text."""
    return error_response(403, message)


def unknown_model(name: str, version: str) -> ErrorResponse:
    """`models/{id}` isn't served."""
    return error_response(404, close.model_not_found(name, version))


def unknown_path(path: str) -> ErrorResponse:
    """Nothing is served there."""
    if len(path) > MAX_PATH:
        return error_response(414, f"The path is longer than {MAX_PATH} characters.")
    if names_interactions(path):
        return error_response(
            404,
            "Live Interactions are not served here. Open a Live session instead: "
            "client.aio.live.connect(...), or BidiGenerateContent over a WebSocket.",
        )
    return error_response(404, f"The requested URL {path[:200]} was not found on this server.")


def upgrade_required() -> ErrorResponse:
    """A Live path was asked for without a WebSocket upgrade."""
    return error_response(426, "This is a WebSocket address: open it with a Live API client.")


def quota_exceeded(retry_after_s: int) -> ErrorResponse:
    """Too much was asked for; try again later."""
    return error_response(
        429,
        close.QUOTA,
        {"@type": _TYPE + "RetryInfo", "retryDelay": f"{retry_after_s}s"},
    )


def internal_error() -> ErrorResponse:
    """A fault of ours."""
    return error_response(500, close.INTERNAL_ERROR)


def unavailable() -> ErrorResponse:
    """No capacity now."""
    return error_response(503, close.UNAVAILABLE)
