"""Field masks as SDKs send them, and what a token's setup does to a client's."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vivavoce.errors import ClientFault
from vivavoce.protocol.constraints import constrain_setup, mask_paths
from vivavoce.protocol.setup import session_setup
from vivavoce.protocol.wire import read_as
from vivavoce.protocol.wire_setup import Setup


def setup(**fields: Any) -> Setup:
    return read_as(Setup, fields, strict=False, on_unknown=lambda path, name: None)


@pytest.mark.parametrize(
    ("mask", "paths"),
    [
        ("", ()),
        ("model", ("model",)),
        (
            "model,generationConfig.responseModalities,systemInstruction.parts,tools",
            ("model", "generation_config.response_modalities", "system_instruction.parts", "tools"),
        ),
        # Python leaves the names of its users in their own case
        (
            "generationConfig.top_k,generationConfig.speech_config,output_audio_transcription",
            (
                "generation_config.top_k",
                "generation_config.speech_config",
                "output_audio_transcription",
            ),
        ),
        # JavaScript writes indices
        ("tools.0", ("tools",)),
        ("tools.0,tools.1", ("tools",)),
        ("tools.0.functionDeclarations", ("tools",)),
        # locks without constraints are bare names
        ("temperature", ("generation_config.temperature",)),
        ("responseModalities, speech_config", (
            "generation_config.response_modalities", "generation_config.speech_config",
        )),
        (
            "generation_config.speechConfig.voice_config.prebuiltVoiceConfig.voiceName",
            (
                "generation_config.speech_config.voice_config.prebuilt_voice_config.voice_name",
            ),
        ),
        ("realtimeInputConfig.automaticActivityDetection.disabled", (
            "realtime_input_config.automatic_activity_detection.disabled",
        )),
    ],
)  # fmt: skip
def test_masks_are_read_as_sdks_write_them(mask: str, paths: tuple[str, ...]) -> None:
    assert mask_paths(mask) == paths


@pytest.mark.parametrize(
    "mask",
    ["nothing", "generationConfig.nothing", "model.name.", "setup.model", "generationConfig..topK",
     "*", "model;tools", "tools.", ",".join(["model"] * 300)],
)  # fmt: skip
def test_what_a_setup_does_not_have_is_no_path(mask: str) -> None:
    with pytest.raises(ClientFault, match="field_mask is invalid"):
        mask_paths(mask)


CLIENT = setup(
    model="models/client",
    systemInstruction={"parts": [{"text": "obey me"}]},
    generationConfig={"temperature": 2.0, "topK": 5, "responseModalities": ["TEXT"]},
    tools=[{"googleSearch": {}}],
)
BOUND = setup(
    model="models/token",
    systemInstruction={"parts": [{"text": "be kind"}]},
    generationConfig={"temperature": 0.5},
)


def seen(effective: Setup) -> dict[str, Any]:
    dumped: dict[str, Any] = effective.model_dump(exclude_unset=True, exclude_none=True)
    return dumped


def test_with_neither_the_client_decides() -> None:
    assert constrain_setup(CLIENT, None, None) == CLIENT


def test_with_a_setup_alone_nothing_of_the_clients_counts() -> None:
    assert seen(constrain_setup(CLIENT, BOUND, None)) == seen(BOUND)


def test_a_model_that_the_token_leaves_open_is_the_clients() -> None:
    open_model = setup(generationConfig={"temperature": 0.5})
    effective = constrain_setup(CLIENT, open_model, None)
    assert (effective.model, effective.tools) == ("models/client", [])


def test_with_both_what_is_masked_is_the_tokens_and_the_rest_the_clients() -> None:
    mask = mask_paths("model,generationConfig.temperature,generationConfig.topK,tools")
    effective = constrain_setup(CLIENT, BOUND, mask)
    assert effective.model == "models/token"
    assert effective.tools == []
    assert effective.system_instruction == CLIENT.system_instruction
    config = effective.generation_config
    assert config is not None
    assert (config.temperature, config.top_k) == (0.5, None)
    assert config.response_modalities == ["TEXT"]


def test_with_a_mask_alone_what_is_masked_is_nobodys() -> None:
    effective = constrain_setup(CLIENT, None, mask_paths("temperature,systemInstruction"))
    assert effective.system_instruction is None
    assert effective.generation_config is not None
    assert effective.generation_config.temperature is None
    assert effective.generation_config.top_k == 5


@pytest.mark.parametrize("bound", [None, setup(model="m")])
@pytest.mark.parametrize(
    "path",
    ["tools", "systemInstruction", "generationConfig.topK", "generationConfig.responseModalities",
     "sessionResumption.transparent"],
)  # fmt: skip
def test_what_is_cleared_is_as_if_never_sent(path: str, bound: Setup | None) -> None:
    client = CLIENT.model_copy(
        update={
            "session_resumption": setup(sessionResumption={"transparent": True}).session_resumption
        }
    )
    *above, name = mask_paths(path)[0].split(".")
    effective: Any = constrain_setup(client, bound, mask_paths(path))
    for step in above:
        effective = getattr(effective, step)
    assert name not in effective.model_fields_set


def test_an_option_that_is_cleared_is_not_refused_for_having_been_sent() -> None:
    client = setup(model="m", sessionResumption={"transparent": True})
    effective = constrain_setup(client, None, mask_paths("sessionResumption.transparent"))
    session_setup(effective, strict=True, enterprise=False, report=lambda path, name: None)


def test_a_lock_holds_where_a_lenient_reader_moves_misplaced_fields() -> None:
    misplaced = setup(model="m", temperature=2.0)
    effective = constrain_setup(misplaced, BOUND, mask_paths("generationConfig.temperature"))
    assert effective.generation_config is not None
    assert effective.generation_config.temperature == 0.5


def test_nothing_is_made_where_both_have_nothing() -> None:
    path = "generationConfig.speechConfig.voiceConfig"
    assert constrain_setup(setup(model="m"), setup(model="m"), mask_paths(path)) == setup(model="m")


@pytest.mark.parametrize("mask", [None, ("session_resumption",), ("model",)])
def test_a_handle_is_the_clients_in_any_case(mask: tuple[str, ...] | None) -> None:
    client = setup(model="m", sessionResumption={"handle": "mine"})
    bound = setup(model="m", sessionResumption={"handle": "another's"})
    effective = constrain_setup(client, bound, mask)
    assert effective.session_resumption is not None
    assert effective.session_resumption.handle == "mine"
    fresh = constrain_setup(setup(model="m"), bound, ("session_resumption",))
    assert fresh.session_resumption is not None
    assert fresh.session_resumption.handle == ""


def test_where_the_token_allows_no_resumption_a_handle_is_none() -> None:
    client = setup(model="m", sessionResumption={"handle": "mine"})
    assert constrain_setup(client, setup(model="m"), None).session_resumption is None


def test_nothing_is_changed_in_place() -> None:
    client, bound = CLIENT.model_copy(deep=True), BOUND.model_copy(deep=True)
    constrain_setup(CLIENT, BOUND, mask_paths("temperature,model,tools,systemInstruction.parts"))
    assert (client, bound) == (CLIENT, BOUND)
    assert CLIENT.model_fields_set == client.model_fields_set


TEMPERATURES = st.none() | st.floats(0, 2)
VOICES = st.none() | st.text(max_size=5)
SETUPS = st.builds(
    lambda model, temperature, top_k, voice, said, disabled: setup(
        model=model,
        generationConfig={
            "temperature": temperature,
            "topK": top_k,
            "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": voice}}},
        },
        systemInstruction=None if said is None else {"parts": [{"text": said}]},
        realtimeInputConfig={"automaticActivityDetection": {"disabled": disabled}},
    ),
    st.text(max_size=5), TEMPERATURES, st.none() | st.integers(1, 9), VOICES, VOICES, st.booleans(),
)  # fmt: skip
PATHS = st.sets(
    st.sampled_from((
        "model", "generation_config.temperature", "generation_config.top_k", "generation_config",
        "generation_config.speech_config.voice_config.prebuilt_voice_config.voice_name",
        "system_instruction", "system_instruction.parts", "realtime_input_config",
        "realtime_input_config.automatic_activity_detection.disabled",
    )),
).map(lambda paths: tuple(sorted(paths)))  # fmt: skip


def value_at(wire: Any, path: str) -> Any:
    for name in path.split("."):
        wire = getattr(wire, name, None) or None
    return wire


@given(SETUPS, SETUPS, st.none() | SETUPS, PATHS)
def test_what_is_locked_never_depends_on_the_client(
    one: Setup, other: Setup, bound: Setup | None, mask: tuple[str, ...]
) -> None:
    first, second = constrain_setup(one, bound, mask), constrain_setup(other, bound, mask)
    for path in mask:
        assert value_at(first, path) == value_at(second, path) == value_at(bound, path)
