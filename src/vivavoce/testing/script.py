"""Dialogues as text: written once, played on several stages, checked by one rule.

    setup   audio, transcribe, tools: lights, report (non-blocking)
    model   after 0.2 calls lights {"on": true}
    model   after 0.2 says "The lights are on." over 1.5
    user    0.5-1.5 "turn on the lights"
    expect  inputTranscription "turn on the lights"
    expect  toolCall lights within 1.5
    tool    lights {"ok": true} after 0.3
    expect  says "The lights are on." then generationComplete
    user    4.0-4.4 "stop"
    expect  interrupted within 0.1 then turnComplete
    never   toolCallCancellation

A line is one thing. Times are seconds since the session opened; `#` begins a comment.

    setup    audio | text, transcribe, tools: NAME [(non-blocking)] ..., no-interruption, manual,
             seeds-history, signals-activity, immediate, speculation, early, model: NAME,
             silence: MS, prefix: MS
    model    [after S] says "..." over S | calls NAME [{...}] [then says "..." over S] |
             is silent | fails      one line a generation, in order; `after` is its first sign
    user     FROM-TO "words"        speech; with `manual`, between activityStart and activityEnd
    text     AT "words"             realtimeInput.text
    content  AT ROLE "words" ... [answer]    clientContent; `answer` is turnComplete:true
    mic      AT end | off           audioStreamEnd | no more sound at all
    tool     NAME {...} [after S] [silent | when-idle | interrupt] [continues]
    until    AT                     how long the dialogue is watched
    expect   WHAT ["words"] [within S] [then ...]    in this order; others may come between
    never    WHAT                   not once
    count    WHAT N                 exactly so many

WHAT is a message by its name on the wire: setupComplete, inputTranscription, audio,
outputTranscription, text, generationComplete, interrupted, turnComplete [REASON],
toolCall NAME, toolCallCancellation, goAway, handle, activityStart, activityEnd; or
`says "..."`, which holds once the words said since the last turn contain these. `within` is
measured from the end of the step before it: of the speech, of the typing, of the answer; but
`interrupted` and `activityStart` from its beginning, since that is what they follow from.

`parse` reads a script, `check.check` compares what was observed with what it expects, and
`bare_stage.play` plays one on the core alone.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field, replace

from vivavoce.core.settings import Pacing, SessionSettings
from vivavoce.domain.content import (
    Behavior,
    Content,
    Json,
    Role,
    Scheduling,
    Text,
    ToolDeclaration,
    Tools,
)
from vivavoce.domain.setup import (
    ActivityDetection,
    Modality,
    RealtimeInput,
    SessionSetup,
    Transcription,
)

# --- what a dialogue is made of --------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Answer:
    """What one generation does: calls, then says, then ends."""

    after_s: float = 0.1
    says: str = ""
    over_s: float = 0.0
    calls: tuple[tuple[str, Json], ...] = ()
    fails: bool = False


@dataclass(frozen=True, slots=True)
class Speech:
    """The user speaks."""

    at: float
    until: float
    words: str


@dataclass(frozen=True, slots=True)
class Typing:
    """Realtime text."""

    at: float
    words: str


@dataclass(frozen=True, slots=True)
class Contribution:
    """Client content."""

    at: float
    turns: tuple[Content, ...]
    answer: bool


@dataclass(frozen=True, slots=True)
class Microphone:
    """The sound ends: with a word (`announced`), or without."""

    at: float
    announced: bool


@dataclass(frozen=True, slots=True)
class ToolAnswer:
    """How the client answers the next call of this name that no earlier line answers."""

    name: str
    response: Json
    after_s: float
    scheduling: Scheduling
    will_continue: bool


Step = Speech | Typing | Contribution | Microphone | ToolAnswer


@dataclass(frozen=True, slots=True)
class Expectation:
    """A message that must come after those expected before it.

    `within_s` counts from `since`: a time, or the answer to a call (which comes when it comes).
    """

    line: int
    what: str
    words: str = ""
    within_s: float | None = None
    since: float | ToolAnswer = 0.0


@dataclass(frozen=True, slots=True)
class Tally:
    """How often a message comes in all."""

    line: int
    what: str
    count: int


@dataclass(slots=True)
class Script:
    """A dialogue, parsed."""

    setup: SessionSetup = field(default_factory=lambda: SessionSetup(model="models/gemini-2.5"))
    settings: SessionSettings = field(default_factory=SessionSettings)
    answers: list[Answer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    expectations: list[Expectation | Tally] = field(default_factory=list)
    until: float = 0.0


class ScriptError(ValueError):
    """A line that cannot be read."""


# --- reading ---------------------------------------------------------------------------------

_QUOTED = r'"([^"]*)"'
_NUMBER = r"(\d+(?:\.\d+)?)"
_SCHEDULING = {
    "silent": Scheduling.SILENT,
    "when-idle": Scheduling.WHEN_IDLE,
    "interrupt": Scheduling.INTERRUPT,
}


def parse(text: str) -> Script:
    """Read a dialogue. Raises `ScriptError` with the number of the line."""
    script = Script()
    for number, line in enumerate(text.splitlines(), 1):
        verb, _, rest = re.sub(r"(^|\s)#.*$", "", line).strip().partition(" ")
        if not verb:
            continue
        try:
            _read_line(script, number, verb, rest.strip())
        except (ValueError, KeyError, AttributeError) as error:
            raise ScriptError(f"line {number}: {line.strip()!r}: {error}") from error
    last = max((_end_of(step) for step in script.steps), default=0.0)
    script.until = script.until or last + 10.0
    return script


def _read_line(script: Script, number: int, verb: str, rest: str) -> None:
    match verb:
        case "setup":
            for wish in rest.split(", "):
                _read_wish(script, wish.strip())
        case "model":
            script.answers.append(_read_answer(rest))
        case "expect":
            _read_expectations(script, number, rest)
        case "never":
            script.expectations.append(Tally(number, rest, 0))
        case "count":
            what, _, times = rest.rpartition(" ")
            script.expectations.append(Tally(number, what, int(times)))
        case "until":
            script.until = float(rest)
        case _:
            script.steps.append(_read_step(verb, rest))


def _read_wish(script: Script, wish: str) -> None:
    setup, settings = script.setup, script.settings
    key, _, value = (part.strip() for part in wish.partition(":"))
    realtime, detection = setup.realtime, setup.realtime.detection
    match key:
        case "audio" | "text":
            setup = replace(setup, modality=Modality[key.upper()])
        case "transcribe":
            wanted = Transcription()
            setup = replace(setup, input_transcription=wanted, output_transcription=wanted)
        case "no-interruption":
            setup = replace(setup, realtime=replace(realtime, interrupts=False))
        case "manual":
            setup = _detecting(setup, realtime, replace(detection, disabled=True))
        case "silence":
            wishes = replace(detection, silence_duration_ms=int(value))
            setup = _detecting(setup, realtime, wishes)
        case "prefix":
            wishes = replace(detection, prefix_padding_ms=int(value))
            setup = _detecting(setup, realtime, wishes)
        case "seeds-history":
            setup = replace(setup, seeds_history=True)
        case "signals-activity":
            setup = replace(setup, signals_activity=True)
        case "model":
            setup = replace(setup, model=value)
        case "immediate":
            settings = replace(settings, pacing=Pacing.IMMEDIATE)
        case "speculation":
            settings = replace(settings, speculation=True)
        case "early":
            settings = replace(settings, early_turn_complete=True)
        case "tools":
            setup = replace(setup, tools=Tools((_declared(value),)))
        case _ if setup.tools.functions:
            functions = (*setup.tools.functions, _declared(wish))
            setup = replace(setup, tools=Tools(functions))
        case _:
            raise ValueError(f"unknown wish {wish!r}")
    script.setup, script.settings = setup, settings


def _detecting(
    setup: SessionSetup, realtime: RealtimeInput, wishes: ActivityDetection
) -> SessionSetup:
    return replace(setup, realtime=replace(realtime, detection=wishes))


def _declared(text: str) -> ToolDeclaration:
    name, _, more = text.partition(" ")
    if not re.fullmatch(r"\w+", name) or more not in ("", "(non-blocking)"):
        raise ValueError(f"not a function: {text!r}")
    return ToolDeclaration(name, behavior=Behavior.NON_BLOCKING if more else Behavior.BLOCKING)


def _read_answer(rest: str) -> Answer:
    found = _full(
        rf"(?:after {_NUMBER} )?"
        rf"(?:(?:calls (\w+)( \{{.*?\}})?)?(?: then )?(?:says {_QUOTED} over {_NUMBER})?"
        r"|is (silent)|(fails))",
        rest,
    )
    after, called, args, says, over, _, fails = found.groups()
    return Answer(
        after_s=float(after or 0.1),
        says=says or "",
        over_s=float(over or 0),
        calls=((called, json.loads(args or "{}")),) if called else (),
        fails=bool(fails),
    )


def _read_step(verb: str, rest: str) -> Step:
    match verb:
        case "user":
            at, until, words = _full(rf"{_NUMBER}[-–]{_NUMBER} {_QUOTED}", rest).groups()
            return Speech(float(at), float(until), words)
        case "text":
            at, words = _full(rf"{_NUMBER} {_QUOTED}", rest).groups()
            return Typing(float(at), words)
        case "content":
            at, turns, answer = _full(
                rf"{_NUMBER}((?: (?:user|model) {_QUOTED})*)( answer)?", rest
            ).group(1, 2, 4)
            said = re.findall(rf"(user|model) {_QUOTED}", turns)
            contents = tuple(Content(Role(role), (Text(words),)) for role, words in said)
            return Contribution(float(at), contents, bool(answer))
        case "mic":
            at, how = _full(rf"{_NUMBER} (end|off)", rest).groups()
            return Microphone(float(at), how == "end")
        case "tool":
            name, response, after, when, more = _full(
                rf"(\w+) (\{{.*?\}})(?: after {_NUMBER})?(?: ([\w-]+?))??( continues)?", rest
            ).groups()
            scheduling = _SCHEDULING[when or "when-idle"]
            return ToolAnswer(name, json.loads(response), float(after or 0), scheduling, bool(more))
    raise ValueError(f"unknown verb {verb!r}")


def _read_expectations(script: Script, number: int, rest: str) -> None:
    since: float | ToolAnswer = 0.0
    if script.steps:
        last = script.steps[-1]
        since = last if isinstance(last, ToolAnswer) else _end_of(last)
    for text in rest.split(" then "):
        what, words, within = _full(
            rf"(\w+(?: \w+)??)(?: {_QUOTED})?(?: within {_NUMBER})?", text.strip()
        ).groups()
        limit = float(within) if within else None
        early = what in ("interrupted", "activityStart") and script.steps
        mark = getattr(script.steps[-1], "at", since) if early else since
        script.expectations.append(Expectation(number, what, words or "", limit, mark))


def _full(pattern: str, text: str) -> re.Match[str]:
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ValueError("cannot be read")
    return found


def _end_of(step: Step) -> float:
    return step.until if isinstance(step, Speech) else getattr(step, "at", 0.0)
