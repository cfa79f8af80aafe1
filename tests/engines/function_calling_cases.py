"""Declarations of a house with nine functions, two of them with no more than a name."""

from __future__ import annotations

from vivavoce.domain.content import ToolDeclaration

LIGHTS = (ToolDeclaration("turn_on_the_lights"), ToolDeclaration("turn_off_the_lights"))
ON, OFF = "turn_on_the_lights", "turn_off_the_lights"

HOUSE = (
    *LIGHTS,
    ToolDeclaration(
        "get_weather",
        "Get the current weather for a city.",
        {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    ),
    ToolDeclaration(
        "set_timer",
        "Set a timer that rings after some minutes.",
        {"type": "object", "properties": {"minutes": {"type": "integer"}}, "required": ["minutes"]},
    ),
    ToolDeclaration(
        "play_music",
        "Play music by an artist, a genre or a title.",
        {"type": "object", "properties": {"query": {"type": "string"}}, "required": ["query"]},
    ),
    ToolDeclaration("stopMusic", "Stop the music."),
    ToolDeclaration(
        "send_message",
        "Send a text message to a person.",
        {
            "type": "object",
            "properties": {"recipient": {"type": "string"}, "text": {"type": "string"}},
            "required": ["recipient", "text"],
        },
    ),
    ToolDeclaration(
        "setThermostat",
        "Set the temperature of the heating in degrees.",
        {"type": "object", "properties": {"degrees": {"type": "number"}}, "required": ["degrees"]},
    ),
    ToolDeclaration("lock_the_door", "Lock the front door."),
)
