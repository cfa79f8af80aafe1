"""A scenario: conversations to hold with a server, read from TOML, and their recorded speech.

    instruction = "Answer in one or two sentences."

    [[functions]]
    name = "turn_on_the_lights"
    description = "Turn on the lights."
    response = { result = "ok" }
    delay_s = 0.2

    [[conversations]]
    steps = [
        { say = "What is the capital of France?" },
        { say = ["I would like to know", 0.8, "how many days are in a week."] },
        { say = "Stop. What time is it?", during_reply_s = 1.0 },
        { say = "mhm", during_reply_s = 1.0, expect = "nothing" },
        { wav = "question.wav" },
    ]

A step is spoken when the reply before it has been played, or with `during_reply_s` when that much
of it has. `expect` says what should follow: a `reply`; an `interruption`, the default during a
reply; a `call` of a function, then a reply; or `nothing`, as for a back-channel.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from vivavoce.bench.speech import VOICE, Line, line_text, synthesize_lines, tone_lines
from vivavoce.client.audio import read_wav
from vivavoce.client.paced_microphone import RecordedUtterance
from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.errors import ConfigError

DEFAULT = "everyday"

Seconds = Annotated[float, Field(ge=0, le=600)]


class Expectation(StrEnum):
    """Response that should follow a step."""

    REPLY = "reply"
    INTERRUPTION = "interruption"
    CALL = "call"
    NOTHING = "nothing"


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ScenarioStep(_Strict):
    """Something that is said: words with pauses in seconds between, or a WAV file."""

    say: Annotated[str, Field(min_length=1)] | tuple[str | Seconds, ...] = ()
    wav: Path | None = None
    during_reply_s: Seconds | None = None
    """How much of the reply before has been played; `None`: all of it."""
    pause_s: Seconds = 1.0
    """Silence between the end of the reply before and this step."""
    expect: Expectation = Expectation.REPLY

    @model_validator(mode="before")
    @classmethod
    def _expect_interruptions(cls, values: Any) -> Any:
        if isinstance(values, dict) and "during_reply_s" in values:
            return {"expect": Expectation.INTERRUPTION.value} | values
        return values

    @model_validator(mode="after")
    def _check_speech(self) -> ScenarioStep:
        if bool(self.say) == (self.wav is not None):
            raise ValueError("give either `say` or `wav`")
        parts = self.line
        if self.say and not (isinstance(parts[0], str) and isinstance(parts[-1], str)):
            raise ValueError("`say` begins and ends with words")
        during = self.expect in (Expectation.INTERRUPTION, Expectation.NOTHING)
        if during != (self.during_reply_s is not None):
            raise ValueError("`during_reply_s` goes with `interruption` and `nothing`, and only so")
        return self

    @property
    def line(self) -> Line:
        return (self.say,) if isinstance(self.say, str) else self.say

    @property
    def label(self) -> str:
        """File name or words of the step, for reports."""
        return self.wav.name if self.wav is not None else line_text(self.line)


class ScenarioFunction(_Strict):
    """A function that the model may call, and what it returns after `delay_s`."""

    name: Annotated[str, Field(pattern=r"^[A-Za-z_][\w.:-]{0,127}$")]
    description: str = ""
    parameters: Json | None = None
    """A JSON Schema."""
    response: Json = Field(default_factory=lambda: {"result": "ok"})
    delay_s: Seconds = 0.0

    @property
    def declaration(self) -> ToolDeclaration:
        return ToolDeclaration(self.name, self.description, self.parameters)


class ScenarioConversation(_Strict):
    """Steps that are spoken in one session."""

    name: str = ""
    steps: Annotated[tuple[ScenarioStep, ...], Field(min_length=1)]


class Scenario(_Strict):
    """Conversations, the setup of their sessions, and the voice that speaks."""

    instruction: str = ""
    voice: str = VOICE
    """Of the synthesized user, not of the server."""
    settle_s: Seconds = 2.0
    """Silence at the beginning of a session: a prompt is read, a person takes a breath."""
    functions: tuple[ScenarioFunction, ...] = ()
    conversations: Annotated[tuple[ScenarioConversation, ...], Field(min_length=1)]


@dataclass(frozen=True, slots=True)
class RecordedStep:
    """A step with its recording."""

    step: ScenarioStep
    utterance: RecordedUtterance


def builtin_scenarios() -> list[str]:
    """Return the names of the scenarios that ship with the project."""
    folder = files("vivavoce.bench") / "scenarios"
    return sorted(
        each.name.removesuffix(".toml") for each in folder.iterdir() if each.name.endswith(".toml")
    )


def load_scenario(name: str) -> tuple[Scenario, Path]:
    """Return a scenario by name or by file, and the folder of its recordings.

    Raises `ConfigError` for one that can't be read.
    """
    known = builtin_scenarios()
    path = Path(name)
    try:
        if name in known:
            text = (files("vivavoce.bench") / "scenarios" / f"{name}.toml").read_text("utf-8")
        else:
            text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8"
        raise ConfigError(
            f"The scenario {name} can't be read: {reason}.",
            f"Name a TOML file, or one of: {', '.join(known)}.",
        ) from error
    return parse_scenario(text, name), path.parent


def parse_scenario(text: str, name: str) -> Scenario:
    """Parse a scenario. Raises `ConfigError` that names the first fault."""
    fix = "docs/reference/benchmarks.md describes its fields."
    try:
        return Scenario.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"The scenario {name} is not TOML: {error}.", fix) from error
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        fault = first["msg"].removeprefix("Value error, ")
        raise ConfigError(f"The scenario {name} is wrong at {where}: {fault}.", fix) from error


async def record_scenario(
    scenario: Scenario, folder: Path, tones: bool = False
) -> list[list[RecordedStep]]:
    """Return the recorded steps of each conversation, spoken by the embedded voice or as tones.

    WAV files are taken from `folder`. Raises `ConfigError` for a file without speech,
    `EngineMissing` where the voice is not installed.
    """
    steps = [step for each in scenario.conversations for step in each.steps]
    lines = [step.line for step in steps if step.wav is None]
    spoken = tone_lines(lines) if tones else await synthesize_lines(lines, scenario.voice)
    left = iter(spoken)
    recorded = iter(
        [
            RecordedStep(step, next(left) if step.wav is None else _read_speech(folder / step.wav))
            for step in steps
        ]
    )
    return [[next(recorded) for _ in each.steps] for each in scenario.conversations]


def _read_speech(path: Path) -> RecordedUtterance:
    try:
        return RecordedUtterance.find_speech(read_wav(path), path.name)
    except ValueError as error:
        raise ConfigError(f"{path} holds no speech.", "Choose a louder recording.") from error
