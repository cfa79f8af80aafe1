"""Close codes and reasons of refusals, in the exact sentences of the Live API.

The protocol has no error message: every refusal is a WebSocket close frame, and its reason is the
only diagnostic that a client shows. The sentences are Google's where they are known, so that
advice about them applies.
"""

from __future__ import annotations

from vivavoce.errors import INVALID, POLICY, TOO_BIG, ClientFault

MAX_REASON_BYTES = 123
"""Bytes of the reason in a WebSocket close frame, at most."""

MAX_MODEL_BYTES = 48
"""Bytes of a model's name that leave room for the rest of the sentence."""

INVALID_ARGUMENT = "Request contains an invalid argument."
BAD_KEY = "API key not valid. Please pass a valid API key."
EXPIRED_KEY = "API key expired. Please renew the API key."
OUT_OF_SCOPE = "Request had insufficient authentication scopes."
NOT_A_KEY = "Request had invalid authentication credentials. Expected an API key."
TOKEN_EXPIRED = "Token has expired"
TOKEN_EXHAUSTED = "Token has been used too many times"
UNREGISTERED = (
    "Method doesn't allow unregistered callers (callers without established identity). "
    "Please use API Key or other form of API consumer identity to call this API."
)
SESSION_NOT_FOUND = "BidiGenerateContent session not found"
NOT_SUPPORTED = "Operation is not implemented, or supported, or enabled."
QUOTA = "You exceeded your current quota, please check your plan and billing details."
INTERNAL_ERROR = "Internal error encountered."
UNAVAILABLE = "The service is currently unavailable."
DEADLINE = "DEADLINE_EXCEEDED: the server waited too long."
MESSAGE_TOO_BIG = "message too big"
NOT_UTF8 = "Invalid UTF-8 in a text message."


def cut_reason(reason: str) -> str:
    """Truncate a reason to fit a close frame, on a character boundary."""
    encoded = reason.encode("utf-8", "replace")
    return encoded[:MAX_REASON_BYTES].decode("utf-8", "ignore")


def unknown_model(name: str, version: str) -> ClientFault:
    """Build the refusal of an unknown model. `name` is resolved, `version` from the path."""
    short = name if name.startswith(("models/", "tunedModels/")) else f"models/{name}"
    return ClientFault(POLICY, model_not_found(short, version), "The model is not served.")


def model_not_found(name: str, version: str) -> str:
    """Return the sentence for an unknown model, for REST and close frames alike."""
    return (
        f"{name} is not found for API version {version or 'v1beta'}, or is not supported for "
        "bidiGenerateContent. Call ModelService.ListModels to see the list of available models "
        "and their supported methods."
    )


def unknown_publisher_model(name: str) -> ClientFault:
    """Build the refusal of an unknown model on the enterprise path, whose sentence differs."""
    return ClientFault(
        POLICY,
        f"Publisher Model `{name}` was not found or your project does not have access to it.",
        "The model is not served.",
    )


def unknown_name(name: str, path: str) -> str:
    """Return the sentence for an unknown field of the object at `path` ("" is the message)."""
    where = f" at '{path}'" if path else ""
    return f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'


def field_not_served(path: str) -> ClientFault:
    """Build the refusal of a protocol field that has no effect here."""
    return ClientFault(POLICY, f"'{path}' is not served here: leave it out.")


def translation_not_served() -> ClientFault:
    """Build the refusal of a live translation session."""
    return ClientFault(
        POLICY,
        "Live translation is not served here: leave out translation_config and name a model that "
        "converses.",
    )


def model_not_served(name: str, does: str) -> ClientFault:
    """Build the refusal of a model without conversations; `does` is its task."""
    return ClientFault(
        POLICY,
        f"{name[:MAX_MODEL_BYTES]} only {does}, which is not served here: name a model that "
        "converses.",
    )


def unknown_field(name: str, path: str) -> ClientFault:
    """Build the refusal of an unknown field in the object at `path`."""
    return ClientFault(INVALID, unknown_name(name, path), unknown_name("…", path))


def not_served() -> ClientFault:
    """Build the refusal of a built-in tool that no engine here provides."""
    return ClientFault(POLICY, NOT_SUPPORTED)


def unsupported_modalities(modalities: str) -> ClientFault:
    """Build the refusal of a combination of response modalities."""
    return ClientFault(
        INVALID,
        f"The requested combination of response modalities ({modalities}) is not supported by "
        "the model.",
    )


def invalid_argument() -> ClientFault:
    """Build the generic refusal, used where the Live API is no more specific."""
    return ClientFault(INVALID, INVALID_ARGUMENT)


def invalid(reason: str, *quoted: str) -> ClientFault:
    """Build a refusal of invalid input with a sentence of its own.

    `quoted` fills its `{}` with what the client sent, which the log leaves out.
    """
    if not quoted:
        return ClientFault(INVALID, reason)
    return ClientFault(INVALID, reason.format(*quoted), reason.format(*("…" for _ in quoted)))


def too_big(problem: str) -> ClientFault:
    """Build the refusal of a message that is too large."""
    return ClientFault(TOO_BIG, f"{MESSAGE_TOO_BIG}: {problem}")


def malformed(problem: str) -> ClientFault:
    """Build the refusal of a frame that is not a JSON object."""
    return ClientFault(INVALID, f"Invalid JSON payload received. {problem}")


def invalid_value(path: str, kind: str, value: str) -> ClientFault:
    """Build the refusal of a value of a wrong type; `kind` is a proto type name."""
    where = f"Invalid value at '{path}' ({kind})"
    return ClientFault(INVALID, f"{where}, {value}", where)
