"""REST errors in the form from which both SDKs build their exceptions."""

from __future__ import annotations

import json

import pytest

from vivavoce.http import errors

FAILURES = {
    400: errors.invalid_argument(),
    403: errors.NO_CREDENTIAL,
    404: errors.unknown_path("/nowhere"),
    426: errors.UPGRADE_REQUIRED,
    429: errors.quota_exceeded(30),
    500: errors.INTERNAL_ERROR,
    503: errors.UNAVAILABLE,
}


@pytest.mark.parametrize("status", FAILURES)
def test_every_error_has_its_code_its_status_and_a_message(status: int) -> None:
    failure = FAILURES[status]
    error = json.loads(json.dumps(failure.body))["error"]
    assert failure.http_status == error["code"] == status
    assert error["status"] == errors.STATUS[status]
    assert error["message"]


def test_rule_3_1_9_errors_are_json_too() -> None:
    assert errors.CONTENT_TYPE == "application/json; charset=UTF-8"


def test_a_bad_key_says_so_to_machines_and_to_people() -> None:
    failure = errors.BAD_KEY
    error = failure.body["error"]
    assert (failure.http_status, error["status"]) == (400, "INVALID_ARGUMENT")
    assert error["message"] == "API key not valid. Please pass a valid API key."
    info, message = error["details"]
    assert info == {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": "API_KEY_INVALID",
        "domain": "googleapis.com",
        "metadata": {"service": "generativelanguage.googleapis.com"},
    }
    assert message["@type"] == "type.googleapis.com/google.rpc.LocalizedMessage"
    assert message["message"] == error["message"]


def test_a_missing_credential_has_the_whole_sentence() -> None:
    assert errors.NO_CREDENTIAL.body["error"]["message"].endswith("to call this API.")


def test_an_unknown_model_is_not_found() -> None:
    failure = errors.unknown_model("models/x", "v1")
    assert failure.http_status == 404
    assert failure.body["error"]["message"].startswith(
        "models/x is not found for API version v1, or is not supported for bidiGenerateContent."
    )


def test_a_quota_says_when_to_come_back() -> None:
    [retry] = errors.quota_exceeded(30).body["error"]["details"]
    assert retry == {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"}
