"""Read the `setup` lines of a dialogue: options of the client and of the operator."""

from __future__ import annotations

import re
from dataclasses import replace

from support.dialogue import Script
from vivavoce.core.settings import BargeInHandling, Pacing
from vivavoce.domain.content import Behavior, ServerTool, ToolDeclaration, ToolKind, Tools
from vivavoce.domain.setup import (
    ActivityDetection,
    Modality,
    RealtimeInput,
    SessionSetup,
    Transcription,
)

_KINDS = {kind.value: kind for kind in ToolKind}


def read_option(script: Script, option: str) -> None:
    """Read one option of a `setup` line, of the client or of the operator."""
    setup, settings = script.setup, script.settings
    key, _, value = (part.strip() for part in option.partition(":"))
    match key:
        case "immediate":
            settings = replace(settings, pacing=Pacing.IMMEDIATE)
        case "deliberate":
            settings = replace(settings, barge_in=BargeInHandling.DELIBERATE)
        case "streaming":
            script.streams = True
        case "speculation":
            settings = replace(settings, speculation=True)
        case "turn-model":
            settings = replace(settings, turn_model=True)
        case "early":
            settings = replace(settings, early_turn_complete=True)
        case "deadline":
            settings = replace(settings, tool_deadline_s=float(value))
        case "served-deadline":
            settings = replace(settings, server_tool_deadline_s=float(value))
        case _:
            setup = _with_client_option(setup, option, key, value)
    script.setup, script.settings = setup, settings


def _with_client_option(setup: SessionSetup, option: str, key: str, value: str) -> SessionSetup:
    """The setup with what the client asks for."""
    realtime, detection = setup.realtime, setup.realtime.detection
    match key:
        case "audio" | "text":
            return replace(setup, modality=Modality[key.upper()])
        case "transcribe":
            wanted = Transcription()
            return replace(setup, input_transcription=wanted, output_transcription=wanted)
        case "no-interruption":
            return replace(setup, realtime=replace(realtime, interrupts=False))
        case "manual":
            return _with_detection(setup, realtime, replace(detection, disabled=True))
        case "silence":
            changed = replace(detection, silence_duration_ms=int(value))
            return _with_detection(setup, realtime, changed)
        case "prefix":
            changed = replace(detection, prefix_padding_ms=int(value))
            return _with_detection(setup, realtime, changed)
        case "seeds-history":
            return replace(setup, seeds_history=True)
        case "signals-activity":
            return replace(setup, signals_activity=True)
        case "shows-calls":
            return replace(setup, shows_server_calls=True)
        case "model":
            return replace(setup, model=value)
        case "tools":
            return replace(setup, tools=with_tool(Tools(), value))
        case _ if setup.tools.declarations:
            return replace(setup, tools=with_tool(setup.tools, option))
    raise ValueError(f"unknown option {option!r}")


def _with_detection(
    setup: SessionSetup, realtime: RealtimeInput, detection: ActivityDetection
) -> SessionSetup:
    return replace(setup, realtime=replace(realtime, detection=detection))


def with_tool(tools: Tools, text: str) -> Tools:
    """One more of the client's functions, or of the server's tools."""
    name, mark = match_whole(r"(\w+)(?: \(([\w-]+)\))?", text).groups()
    if mark in _KINDS:
        tool = ServerTool(ToolDeclaration(name), _KINDS[mark])
        return replace(tools, server=(*tools.server, tool))
    if mark not in (None, "non-blocking"):
        raise ValueError(f"not a function: {text!r}")
    behavior = Behavior.NON_BLOCKING if mark else Behavior.BLOCKING
    return replace(tools, functions=(*tools.functions, ToolDeclaration(name, behavior=behavior)))


def match_whole(pattern: str, text: str) -> re.Match[str]:
    """The whole of `text` by a pattern. Raises `ValueError`."""
    found = re.fullmatch(pattern, text)
    if found is None:
        raise ValueError("cannot be read")
    return found
