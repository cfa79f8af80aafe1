"""Real frameworks, unmodified: speech, a function, an interruption, on every model family.

Each is pointed at the server by `vivavoce run` alone. Why the model's name matters: frameworks
send, and expect, different things by it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from conformance.servers import Running, serving
from partners.frameworks import (
    MODEL_2_5,
    MODEL_3_1,
    MODEL_3_8,
    Switch,
    drive,
    interpreter,
    squeezed,
)
from vivavoce.cli.demo import load_recording

pytestmark = [pytest.mark.partner, pytest.mark.e2e]

AGENTS = ("adk_agent", "livekit_agent", "pipecat_bot", "vision_agent")
MODELS = (MODEL_2_5, MODEL_3_1, MODEL_3_8)
SETTLED = ["pause", 1.5]
"""Frameworks drop sound until they are connected; and a second and a half plays every answer."""

ASKED = "what did i tell you before"
"""The scripted model answers it from the history."""

STORY = "once upon a time there was a queen who had three daughters"


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Running:
    """The scripted server, not started when there is nobody to drive it."""
    interpreter(
        request.getfixturevalue("driver") if "driver" in request.fixturenames else "livekit"
    )
    running: Running = request.getfixturevalue("scripted")
    return running


@pytest.mark.parametrize("driver", AGENTS)
@pytest.mark.parametrize("model", MODELS)
def test_spoken_turn_then_a_function_and_its_confirmation(
    server: Running, tmp_path: Path, driver: str, model: str
) -> None:
    told = drive(
        server, tmp_path, driver, model,
        [SETTLED, ["speak", "good day"], ["wait", "turn", 1],
         ["speak", "turn on the lights please"], ["wait", "call", 1],
         ["words", "model", "done."], SETTLED],
    )  # fmt: skip
    assert told.all("call") == [{"name": "turn_on_the_lights", "args": {}}]
    assert told.words("user") == squeezed("good day turn on the lights please")
    assert told.words("model") == squeezed("good day turn on the lights is done.")
    assert told.heard() == told.words("model")


@pytest.mark.parametrize("driver", AGENTS)
@pytest.mark.parametrize("model", MODELS)
def test_an_interrupted_answer_stops_and_the_next_one_is_not_lost(
    server: Running, tmp_path: Path, driver: str, model: str
) -> None:
    told = drive(
        server, tmp_path, driver, model,
        [SETTLED, ["speak", STORY], ["wait", "sound", 8], ["speak", "stop now"],
         ["wait", "interrupted", 1], ["words", "model", "now"], SETTLED],
    )  # fmt: skip
    rest = told.after("interrupted")
    assert rest.heard().endswith("stopnow"), "a framework may play out the piece it is at"
    assert len(rest.heard()) < len("stop now") + 3
    assert told.words("user") == squeezed(f"{STORY} stop now")
    assert told.words("model") == squeezed(f"{STORY} stop now")
    assert len(told.all("interrupted")) == 1


@pytest.mark.parametrize("driver", ["adk_agent", "livekit_agent", "vision_agent"])
@pytest.mark.parametrize("model", MODELS)
def test_written_turns_are_answered_and_call_functions(
    server: Running, tmp_path: Path, driver: str, model: str
) -> None:
    told = drive(
        server, tmp_path, driver, model,
        [SETTLED, ["write", "good day"], ["wait", "turn", 1], SETTLED,
         ["write", "turn on the lights please"], ["wait", "call", 1],
         ["words", "model", "done."], SETTLED],
    )  # fmt: skip
    assert told.all("call") == [{"name": "turn_on_the_lights", "args": {}}]
    # LiveKit adds a user turn of "." on 2.5 names, which the scripted model repeats.
    heard = told.heard().replace(".", "")
    assert heard == squeezed("good day turn on the lights is done")


@pytest.mark.parametrize("model", MODELS)
def test_pipecat_history_is_answered_once_however_it_is_triggered(
    server: Running, tmp_path: Path, model: str
) -> None:
    # On 2.x names the seed itself asks for the answer; on 3.x names a realtime text " " does.
    interpreter("pipecat_bot")
    told = drive(
        server, tmp_path, "pipecat_bot", model,
        [["wait", "turn", 1], SETTLED, ["speak", "good day"], ["words", "model", "day"], SETTLED],
        history=[{"role": "user", "content": "say hello"}],
    )  # fmt: skip
    assert told.words("model") == squeezed("say hello good day")
    assert len(told.all("turn")) == 2


@pytest.mark.parametrize("model", MODELS)
def test_livekit_replies_asked_for_come_before_its_deadline_and_do_not_swallow_speech(
    server: Running, tmp_path: Path, model: str
) -> None:
    # It fails a reply whose first content takes over five seconds, which would be an `error`.
    interpreter("livekit_session")
    told = drive(
        server, tmp_path, "livekit_session", model,
        [["write", "good day"], ["wait", "turn", 1], ["speak", "stop now"], ["wait", "turn", 2],
         ["write", "go on"], ["wait", "turn", 3]],
    )  # fmt: skip
    assert told.all("user") == ["stop now"]
    assert len(told.all("model")) == 3
    assert told.all("model")[1] == "stop now"


@pytest.mark.parametrize("driver", ["adk_agent", "livekit_agent", "pipecat_bot"])
def test_a_server_that_is_replaced_is_found_again_and_the_conversation_goes_on(
    tmp_path: Path, driver: str
) -> None:
    # With any other code some of them give up.
    interpreter(driver)
    store = {"VIVAVOCE_STORE__PATH": str(tmp_path / "state.sqlite3")}
    with (
        serving("scripted", VIVAVOCE_SERVER__DRAIN_S="0.5", **store) as old,
        serving("scripted", **store) as new,
    ):
        switch = Switch(old.port)

        def replace(kind: str) -> None:
            if kind == "turn" and switch.target == old.port:
                switch.target = new.port
                old.process.terminate()

        told = drive(
            switch, tmp_path, driver, MODEL_2_5,
            [SETTLED, ["speak", "good day"], ["wait", "turn", 1], ["pause", 5.0],
             ["speak", ASKED], ["wait", "turn", 2], SETTLED],
            watch=replace,
        )  # fmt: skip
        switch.close()
    assert told.words("user") == squeezed(f"good day {ASKED}")
    assert told.words("model") == squeezed("good day good day"), (
        "answered from what was said before"
    )


@pytest.mark.parametrize("driver", ["adk_agent", "livekit_agent", "pipecat_bot"])
def test_a_connection_whose_lifetime_is_over_is_followed_by_another(
    tmp_path: Path, driver: str
) -> None:
    interpreter(driver)
    lifetime = {"VIVAVOCE_SESSION__CONNECTION_S": "9", "VIVAVOCE_SESSION__GO_AWAY_S": "2"}
    with serving("scripted", **lifetime) as server:
        told = drive(
            server, tmp_path, driver, MODEL_2_5,
            [SETTLED, ["speak", "good day"], ["wait", "turn", 1], ["pause", 9.0],
             ["speak", ASKED], ["wait", "turn", 2], SETTLED],
        )  # fmt: skip
        log = server.log.read_text()
    assert told.words("model") == squeezed("good day good day")
    assert log.count("session begins") >= 2


@pytest.mark.embedded
@pytest.mark.parametrize("driver", AGENTS)
def test_embedded_function_is_called_by_a_recorded_voice_and_confirmed(
    request: pytest.FixtureRequest, tmp_path: Path, driver: str
) -> None:
    interpreter(driver)
    server: Running = request.getfixturevalue("embedded")
    told = drive(
        server, tmp_path, driver, MODEL_2_5,
        [SETTLED, ["speak", load_recording("lights.wav")], ["wait", "call", 1],
         ["wait", "sound", 5], ["pause", 4.0]],
        patience=60,
    )  # fmt: skip
    assert told.all("call") == [{"name": "turn_on_the_lights", "args": {}}]
    words = "".join(filter(str.isalpha, told.words("user").lower()))
    assert words == "turnonthelightsplease", "recognized with or without punctuation"
    assert told.words("model")
    assert len(told.sound()) > 12_000
