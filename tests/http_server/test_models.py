"""The model list as the SDKs read it."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from vivavoce.http.errors import ErrorResponse
from vivavoce.http.models import (
    KNOWN,
    MAX_PAGE,
    ModelList,
    enterprise_model,
    enterprise_page,
    served_names,
)

MANY = [f"model-{n:03}" for n in range(120)]


def body_of(name: str) -> dict[str, Any]:
    body = ModelList(["*"]).get_model(name, "v1beta")
    assert isinstance(body, dict)
    return body


def page(served: list[str], size: str = "", token: str = "") -> dict[str, Any]:
    body = ModelList(served).list_page(size, token)
    assert isinstance(body, dict)
    return body


def test_a_star_lists_the_well_known_names_and_no_name_comes_twice() -> None:
    assert served_names(["models/mine", "*", "gemini-3.8-live", "mine"]) == ("mine", *KNOWN)
    assert served_names([]) == ()


def test_clients_that_look_for_live_models_find_one() -> None:
    models = page(list(served_names(["*"])))["models"]
    live = [m for m in models if "bidiGenerateContent" in m["supportedGenerationMethods"]]
    assert any("live" in model["name"] for model in live)
    assert len(live) == len(models)


def test_one_model_in_the_apis_form() -> None:
    assert body_of("publishers/google/models/gemini-3.8-live") == {
        "name": "models/gemini-3.8-live",
        "version": "001",
        "displayName": "Gemini 3.8 Live",
        "description": "Real-time voice conversation, behaving like live-3.8.",
        "inputTokenLimit": 131072,
        "outputTokenLimit": 65536,
        "supportedGenerationMethods": ["bidiGenerateContent"],
        "temperature": 1,
        "maxTemperature": 2,
        "topP": 0.95,
        "topK": 64,
    }
    assert body_of("gemini-2.5-flash-native-audio-preview-12-2025")["outputTokenLimit"] == 8192


def test_pages_hold_every_model_once() -> None:
    names: list[str] = []
    body = page(MANY, "50")
    sizes = [len(body["models"])]
    names += [model["name"] for model in body["models"]]
    while token := body.get("nextPageToken"):
        body = page(MANY, "50", token)
        sizes.append(len(body["models"]))
        names += [model["name"] for model in body["models"]]
    assert sizes == [50, 50, 20]
    assert names == [f"models/{name}" for name in MANY]


def test_page_sizes() -> None:
    assert len(page(MANY)["models"]) == len(page(MANY, "0")["models"]) == 50
    assert len(page([f"m{n}" for n in range(MAX_PAGE + 5)], "99999")["models"]) == MAX_PAGE
    assert page([]) == {"models": []}


@pytest.mark.parametrize(
    ("size", "token", "word"),
    [("-1", "", "page_size"), ("x", "", "page_size"), ("", "x", "page_token"),
     ("", "121", "page_token"), ("9" * 20, "", "page_size"), ("٥", "", "page_size")],
)  # fmt: skip
def test_bad_paging_is_refused(size: str, token: str, word: str) -> None:
    refused = ModelList(MANY).list_page(size, token)
    assert isinstance(refused, ErrorResponse)
    assert refused.http_status == 400
    assert word in refused.body["error"]["message"]


def test_a_model_is_found_by_any_form_of_its_name() -> None:
    for name in ("mine", "models/mine", "publishers/google/models/mine"):
        found = ModelList(["mine"]).get_model(name, "v1beta")
        assert isinstance(found, dict)
        assert found["name"] == "models/mine"
    assert body_of("anything")["name"] == "models/anything"


@pytest.mark.parametrize("name", ["other", ""])
def test_a_model_that_is_not_served_is_not_found(name: str) -> None:
    missing = ModelList(["mine"]).get_model(name, "v1beta")
    assert isinstance(missing, ErrorResponse)
    assert missing.http_status == 404
    error = missing.body["error"]
    assert error["status"] == "NOT_FOUND"
    assert error["message"].startswith(f"models/{name} is not found for API version v1beta,")


def test_the_python_sdk_reads_a_model() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the SDK's own deprecations
        models = pytest.importorskip("google.genai.models", reason="google-genai is not installed")
        types = pytest.importorskip("google.genai.types")
    read = types.Model._from_response(
        response=models._Model_from_mldev(body_of("gemini-3.8-live")), kwargs={}
    )
    assert read.name == "models/gemini-3.8-live"
    assert read.supported_actions == ["bidiGenerateContent"]
    assert read.input_token_limit == 131072


def test_the_window_is_the_one_that_is_used() -> None:
    body = ModelList(["*"], lambda name: 4096).get_model("any", "v1")
    assert isinstance(body, dict)
    assert body["inputTokenLimit"] == 4096


def test_the_enterprise_path_lists_the_same_models_in_its_own_form() -> None:
    assert (
        enterprise_model(body_of("gemini-3.8-live"))["name"]
        == "publishers/google/models/gemini-3.8-live"
    )
    listed = enterprise_page(page(MANY, "2"))
    assert [model["name"] for model in listed["publisherModels"]] == [
        "publishers/google/models/model-000",
        "publishers/google/models/model-001",
    ]
    assert listed["nextPageToken"] == "2"
