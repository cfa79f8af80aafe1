"""Reasons fit a close frame, whatever they quote."""

from __future__ import annotations

from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from vivavoce.errors import INVALID
from vivavoce.protocol import close


def test_a_reason_is_cut_at_123_bytes_like_the_service_does() -> None:
    assert close.cut_reason(close.UNREGISTERED) == (
        "Method doesn't allow unregistered callers (callers without established identity). "
        "Please use API Key or other form of API c"
    )
    assert close.cut_reason(close.BAD_KEY) == close.BAD_KEY


def test_a_cut_never_halves_a_character() -> None:
    assert close.cut_reason("é" * 100) == "é" * 61
    assert close.cut_reason("a" * 121 + "😀") == "a" * 121


def test_every_sentence_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "reference" / "errors.md").read_text()
    sentences = [value for value in vars(close).values() if isinstance(value, str) and " " in value]
    ours = [sentence for sentence in sentences if sentence != close.__doc__]

    assert len(ours) > 5
    assert [sentence for sentence in ours if f"`{sentence}`" not in page] == []


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_becomes_a_reason_that_a_frame_can_hold(text: str) -> None:
    assert len(close.cut_reason(text).encode()) <= close.MAX_REASON_BYTES


def test_an_unknown_model_is_named_with_the_version() -> None:
    fault = close.unknown_model("gemini-x", "v1alpha")
    assert fault.code == 1008
    assert fault.reason.startswith(
        "models/gemini-x is not found for API version v1alpha, or is not supported for "
        "bidiGenerateContent. Call ModelService.ListModels"
    )
    assert close.unknown_model("models/gemini-x", "").reason.startswith(
        "models/gemini-x is not found for API version v1beta,"
    )
    assert close.unknown_model("tunedModels/t", "v1").reason.startswith("tunedModels/t is not")


def test_an_unknown_publisher_model_has_its_own_beginning() -> None:
    fault = close.unknown_publisher_model("projects/p/models/m")
    assert fault.code == 1008
    assert fault.reason.startswith("Publisher Model `projects/p/models/m`")


def test_the_other_faults_carry_their_codes() -> None:
    assert close.invalid_argument().reason == "Request contains an invalid argument."
    assert close.malformed("Oh.").reason == "Invalid JSON payload received. Oh."
    assert close.invalid_value("a.b", "TYPE_BOOL", "3").reason == (
        "Invalid value at 'a.b' (TYPE_BOOL), 3"
    )
    assert close.unsupported_modalities("TEXT").reason.startswith(
        "The requested combination of response modalities (TEXT) is not supported by the model"
    )
    assert close.invalid_argument().code == close.malformed("").code == INVALID == 1007
