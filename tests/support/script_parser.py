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

    setup    audio | text, transcribe, tools: TOOL ..., no-interruption, manual,
             seeds-history, signals-activity, immediate, speculation, streaming, turn-model,
             deliberate, model: NAME, early, silence: MS, prefix: MS, deadline: S,
             served-deadline: S, shows-calls
    model    [after S] [given "..." | {...}] [without "..." | {...}]
             calls NAME [{...}] [and NAME [{...}] ...] [then says "..." over S]
             [then fails [after S]] | says "..." over S [then fails [after S]] | is silent | fails
                                    one line a generation, in order; `after` is its first sign
    user     FROM-TO "words"        speech; with `manual`, between activityStart and activityEnd
    text     AT "words"             realtimeInput.text
    content  AT ROLE "words" ... [answer]    clientContent; `answer` is turnComplete:true
    mic      AT end | off           audioStreamEnd | no more sound at all
    update   AT [tools: TOOL ... | tools: none] [instruction "words"]          contextUpdate
    tool     NAME {...} [after S] [silent | when-idle | interrupt] [continues] [twice]
    tool     NAME fails "why" [after S]      only a tool of the server's
    stray    AT NAME {...}          a toolResponse to a call that there is not
    until    AT                     how long the dialogue is watched
    expect   WHAT ["words"] [within S] [then ...]    in this order; others may come between
    never    WHAT                   not once
    count    WHAT N                 exactly so many

TOOL is NAME, a function that blocks, or NAME (non-blocking); or a tool that the server runs:
NAME (search | code | url | mcp). A `tool` line is about the next call of its name that no line
before it is about: what the client answers, or what the server's tool gives, as the model gets
to read it. A call without a line is never answered. `twice`: the client answers, and then says
the same again.

`given` and `without` say what must and must not be in that from which the model answers:
the instruction, the names of tools, everything that was said, and results as JSON.

WHAT is a message by its name on the wire: setupComplete, inputTranscription, audio,
outputTranscription, text, generationComplete, interrupted, turnComplete [REASON],
toolCall NAME, toolCallCancellation, executableCode, codeExecutionResult [OUTCOME],
groundingMetadata, urlContextMetadata, serverToolCall, serverToolResponse, goAway, handle,
activityStart, activityEnd; or `says "..."`, which holds once the words said since the last turn
contain these. `within` is measured from the end of the step before it: of the speech, of the
typing, of the client's answer to a call; but `interrupted` and `activityStart` from its
beginning, since that is what they follow from. When a tool of the server's is done only the
server knows, so its line is none of these steps.

`parse_script` reads a script, `check.check_expectations` compares what was observed with what it
expects, and `bare_stage.play_on_core` plays one on the core alone.
"""

from __future__ import annotations

import json
import re

from support.dialogue import (
    AfterCall,
    Answer,
    ContextChange,
    Contribution,
    Expectation,
    Microphone,
    Script,
    Speech,
    Step,
    Stray,
    Tally,
    ToolAnswer,
    Typing,
)
from support.script_setup import match_whole, read_option, with_tool
from vivavoce.domain.content import Content, Json, Role, Scheduling, Text, Tools


class ScriptError(ValueError):
    """A line that cannot be read."""


_QUOTED = r'"([^"]*)"'
_NUMBER = r"(\d+(?:\.\d+)?)"
_SCHEDULING = {
    "silent": Scheduling.SILENT,
    "when-idle": Scheduling.WHEN_IDLE,
    "interrupt": Scheduling.INTERRUPT,
}


def parse_script(text: str) -> Script:
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
            for option in rest.split(", "):
                read_option(script, option.strip())
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


# --- the model -------------------------------------------------------------------------------


def _read_answer(rest: str) -> Answer:
    head = re.match(rf"(?:after {_NUMBER} ?)?", rest)
    after = head.group(1) if head else None
    given, rest = _read_known("given ", rest[head.end() :] if head else rest)
    without, rest = _read_known("without ", rest)
    calls, rest = _read_calls(rest)
    says, over, fails, later = match_whole(
        rf"(?:says {_QUOTED} over {_NUMBER})?(?: then )?"
        rf"(?:(fails)(?: after {_NUMBER})?)?|is silent",
        rest,
    ).groups()
    return Answer(
        after_s=float(after or 0.1),
        says=says or "",
        over_s=float(over or 0),
        calls=calls,
        fails=bool(fails),
        fails_after_s=float(later or 0),
        given=given,
        without=without,
    )


def _read_known(word: str, rest: str) -> tuple[str, str]:
    """What the model must or must not be given, spelt as it is given, and the rest."""
    if not rest.startswith(word):
        return "", rest
    value, end = json.JSONDecoder().raw_decode(rest := rest.removeprefix(word))
    return value if isinstance(value, str) else json.dumps(value), rest[end:].strip()


def _read_calls(rest: str) -> tuple[tuple[tuple[str, Json], ...], str]:
    """The functions that are called, and what the line says after them."""
    calls: list[tuple[str, Json]] = []
    start = re.match(r"calls ", rest)
    while start is not None:
        name, rest = match_whole(r"(\w+) ?(.*)", rest[start.end() :]).groups()
        args, end = json.JSONDecoder().raw_decode(rest) if rest.startswith("{") else ({}, 0)
        calls.append((name, args))
        rest = rest[end:].strip()
        start = re.match(r"and ", rest)
    return tuple(calls), rest.removeprefix("then ") if calls else rest


# --- the client ------------------------------------------------------------------------------


def _read_step(verb: str, rest: str) -> Step:
    match verb:
        case "user":
            at, until, words = match_whole(rf"{_NUMBER}[-–]{_NUMBER} {_QUOTED}", rest).groups()
            return Speech(float(at), float(until), words)
        case "text":
            at, words = match_whole(rf"{_NUMBER} {_QUOTED}", rest).groups()
            return Typing(float(at), words)
        case "content":
            at, turns, answer = match_whole(
                rf"{_NUMBER}((?: (?:user|model) {_QUOTED})*)( answer)?", rest
            ).group(1, 2, 4)
            said = re.findall(rf"(user|model) {_QUOTED}", turns)
            contents = tuple(Content(Role(role), (Text(words),)) for role, words in said)
            return Contribution(float(at), contents, bool(answer))
        case "mic":
            at, how = match_whole(rf"{_NUMBER} (end|off)", rest).groups()
            return Microphone(float(at), how == "end")
        case "update":
            return _read_update(rest)
        case "stray":
            at, name, response = match_whole(rf"{_NUMBER} (\w+) (\{{.*\}})", rest).groups()
            return Stray(float(at), name, json.loads(response))
        case "tool":
            return _read_tool_answer(rest)
    raise ValueError(f"unknown verb {verb!r}")


def _read_update(rest: str) -> ContextChange:
    at, listed, instruction = match_whole(
        rf"{_NUMBER}(?: tools: (.+?))?(?: instruction {_QUOTED})?", rest
    ).groups()
    tools = Tools() if listed else None
    for text in listed.split(", ") if listed and listed != "none" else ():
        tools = with_tool(tools or Tools(), text)
    return ContextChange(float(at), instruction, tools)


def _read_tool_answer(rest: str) -> ToolAnswer:
    if failed := re.fullmatch(rf"(\w+) fails {_QUOTED}(?: after {_NUMBER})?", rest):
        name, why, after = failed.groups()
        return ToolAnswer(name, {"error": why}, float(after or 0), fails=why)
    name, response, after, when, more, twice = match_whole(
        rf"(\w+) (\{{.*?\}})(?: after {_NUMBER})?(?: ({'|'.join(_SCHEDULING)}))?"
        r"( continues)?( twice)?",
        rest,
    ).groups()
    scheduling = _SCHEDULING[when or "when-idle"]
    given = json.loads(response)
    return ToolAnswer(name, given, float(after or 0), scheduling, bool(more), bool(twice))


def _end_of(step: Step) -> float:
    return step.until if isinstance(step, Speech) else getattr(step, "at", 0.0)


# --- what is expected ------------------------------------------------------------------------


def _read_expectations(script: Script, number: int, rest: str) -> None:
    served = {tool.declaration.name for tool in script.server_tools}
    steps = [s for s in script.steps if not (isinstance(s, ToolAnswer) and s.name in served)]
    last = steps[-1] if steps else None
    for text in rest.split(" then "):
        what, words, within = match_whole(
            rf"(\w+(?: \w+)??)(?: {_QUOTED})?(?: within {_NUMBER})?", text.strip()
        ).groups()
        limit = float(within) if within else None
        since = _since(steps, last, early=what in ("interrupted", "activityStart"))
        script.expectations.append(Expectation(number, what, words or "", limit, since))


def _since(steps: list[Step], last: Step | None, early: bool) -> float | AfterCall:
    if last is None:
        return 0.0
    if not isinstance(last, ToolAnswer):
        return getattr(last, "at", 0.0) if early else _end_of(last)
    nth, seconds = 1, 0.0
    for step in (s for s in steps if isinstance(s, ToolAnswer) and s.name == last.name):
        seconds += step.after_s
        if step is not last and not step.will_continue:
            nth, seconds = nth + 1, 0.0
    return AfterCall(last.name, nth, seconds)
