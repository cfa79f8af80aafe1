"""Whether the wording of a description decides what is called: 12 questions in 10 styles.

    python benchmarks/toolchoice/descriptions.py [--cases]

Each question asks plainly for one of twelve everyday functions. All twelve are declared at once,
described in one style at a time: bare, two sentences, instructions when to call, docstrings and so
on, down to none at all. Right is the labelled function with the labelled arguments' names left
aside: this is about the choice. The goal is 115 of the 120 cases.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # the root, for a script

from benchmarks.toolchoice.case import Case

from vivavoce.domain.content import ToolDeclaration

_TEXT: dict[str, Any] = {"type": "string"}
_WHOLE: dict[str, Any] = {"type": "integer"}

QUESTIONS: tuple[tuple[str, str, dict[str, dict[str, Any]]], ...] = (
    ("What is the weather in Paris?", "get_weather", {"location": _TEXT}),
    ("Set a timer for ten minutes, please.", "set_timer", {"minutes": _WHOLE}),
    ("Can you turn the lights on in the kitchen?", "turn_on_lights", {"room": _TEXT}),
    ("Play some jazz.", "play_music", {"query": _TEXT}),
    ("Send a message to Anna that I'm running late.", "send_message",
     {"recipient": _TEXT, "text": _TEXT}),
    ("How do I get to the train station?", "get_directions", {"destination": _TEXT}),
    ("Put milk and bread on my shopping list.", "add_to_shopping_list",
     {"items": {"type": "array", "items": _TEXT}}),
    ("What's on my calendar tomorrow?", "get_calendar", {"day": _TEXT}),
    ("I'd like a table for four at eight tonight.", "book_table",
     {"people": _WHOLE, "time": _TEXT}),
    ("How much is one Apple share at the moment?", "get_stock_price", {"company": _TEXT}),
    ("What's good morning in Japanese?", "translate", {"text": _TEXT, "language": _TEXT}),
    ("Where is my package?", "track_package", {}),
)  # fmt: skip
"""What is said, the function that it asks for, and the properties of its parameters."""

BARE = {
    "get_weather": "Gets the current weather of a city.",
    "set_timer": "Sets a timer.",
    "turn_on_lights": "Turns on the lights in a room.",
    "play_music": "Plays music.",
    "send_message": "Sends a text message.",
    "get_directions": "Gets directions to a place.",
    "add_to_shopping_list": "Adds items to the shopping list.",
    "get_calendar": "Gets the calendar entries of a day.",
    "book_table": "Books a table in the restaurant.",
    "get_stock_price": "Gets the price of a stock.",
    "translate": "Translates a text into another language.",
    "track_package": "Tracks the user's package.",
}
SECOND_SENTENCE = {
    "get_weather": "Returns temperature in Celsius and conditions.",
    "set_timer": "Several timers may run at the same time.",
    "turn_on_lights": "Works with all lamps in the house that are connected.",
    "play_music": "The stream starts within a second on the default speaker.",
    "send_message": "The message is delivered at once and can't be taken back.",
    "get_directions": "Routes are for walking unless the account says otherwise.",
    "add_to_shopping_list": "Duplicates are merged and the list is shared with the family.",
    "get_calendar": "Entries come sorted by start, with title, place and guests.",
    "book_table": "A confirmation is sent by mail to the address on file.",
    "get_stock_price": "Quotes are delayed by fifteen minutes, in the exchange's currency.",
    "translate": "Supports forty languages and keeps the line breaks.",
    "track_package": "Returns the carrier, the last scan and the expected arrival.",
}
INSTRUCTION = {
    "get_weather": "Always use it for weather questions.",
    "set_timer": "Call this whenever the user wants a countdown. Confirm in few words.",
    "turn_on_lights": "Use this when the user wants light. Don't ask whether they are sure.",
    "play_music": "Invoke if the user would like to hear something.",
    "send_message": "You must call this to reach another person for the user.",
    "get_directions": "Use only if the user asks for the way somewhere.",
    "add_to_shopping_list": "Call it for anything the user needs to buy.",
    "get_calendar": "Never answer about appointments from memory; call this first.",
    "book_table": "Use this tool to make a reservation once the number of guests is known.",
    "get_stock_price": "You do not know prices of shares. Call this instead.",
    "translate": "When another language is wanted, call this and read the result out.",
    "track_package": "Must be called for questions about deliveries.",
}
OTHER_WORDING = {
    "get_weather": "Returns the weather forecast for a location.",
    "set_timer": "Starts a countdown of the given length.",
    "turn_on_lights": "Switches the illumination of a space on.",
    "play_music": "Streams a song, an album or a genre.",
    "send_message": "Delivers words to a contact by text.",
    "get_directions": "Computes a route from the present position.",
    "add_to_shopping_list": "Notes groceries that have to be bought.",
    "get_calendar": "Looks up appointments.",
    "book_table": "Makes a dinner reservation.",
    "get_stock_price": "Quotes a listed company on the exchange.",
    "translate": "Renders a phrase in a foreign tongue.",
    "track_package": "Looks up where a delivery is.",
}
VENDOR_SAMPLE = {
    "get_weather": "Get the current weather in a given location",
    "set_timer": "Set a timer for a given number of minutes",
    "turn_on_lights": "Turn on the lights in a given room",
    "play_music": "Play music matching the specified query",
    "send_message": "Send a message to the specified recipient",
    "get_directions": "Get directions to a given destination",
    "add_to_shopping_list": "Add the specified items to the user's shopping list",
    "get_calendar": "Get the user's calendar events for a given date",
    "book_table": "Book a table for the specified number of people at the specified time",
    "get_stock_price": "Get the current stock price of a given company",
    "translate": "Translate the given text to the specified target language",
    "track_package": "Get the tracking status of the user's package",
}
EXAMPLES = {
    "get_weather": "Weather at a place. Examples: 'Is it raining in Oslo?', 'How hot is Cairo?'",
    "set_timer": "Countdown. Examples: 'Five minutes for the eggs', 'Timer, half an hour'",
    "turn_on_lights": "Lamps on. Examples: 'Light in the hall', 'It's dark in the bathroom'",
    "play_music": "Music. Examples: 'I want to hear Mozart', 'Put on something calm'",
    "send_message": "Messages. Examples: 'Tell Bob I'm here', 'Text mum happy birthday'",
    "get_directions": "Routes. Examples: 'Way to the museum', 'Take me to Elm Street'",
    "add_to_shopping_list": "Shopping list. Examples: 'We need eggs', 'Add toothpaste'",
    "get_calendar": "Appointments. Examples: 'Am I free on Friday?', 'What's on today?'",
    "book_table": "Reservations. Examples: 'Dinner for two at seven', 'Is Sunday noon free?'",
    "get_stock_price": "Shares. Examples: 'Where does Siemens stand?', 'Price of Tesla'",
    "translate": "Translation. Examples: 'Thank you in Finnish', 'Say cheers in Greek'",
    "track_package": "Deliveries. Examples: 'Has my order shipped?', 'When does it arrive?'",
}
LONG_BEGINNING = (
    "This function is part of the assistant's standard skill set and is available to all users in "
    "all regions. "
)
LONG_END = (
    " The call is idempotent and may be repeated safely if it should time out. Errors are "
    "reported in the field `error` of the result together with a message for the developer, which "
    "must not be read to the user. The service is rate limited to sixty calls a minute per "
    "account; beyond that it answers with status 429 and the number of seconds to wait. Personal "
    "data is handled according to the privacy policy and is deleted after thirty days. For "
    "further information see the documentation of the skill, section four."
)
TERSE = {
    "get_weather": "WEATHER LOOKUP",
    "set_timer": "TIMER START",
    "turn_on_lights": "LIGHTS ON",
    "play_music": "MUSIC PLAYBACK",
    "send_message": "SEND SMS",
    "get_directions": "ROUTE LOOKUP",
    "add_to_shopping_list": "SHOPPING LIST ADD",
    "get_calendar": "CALENDAR READ",
    "book_table": "TABLE RESERVATION",
    "get_stock_price": "STOCK QUOTE",
    "translate": "TRANSLATION",
    "track_package": "PARCEL TRACKING",
}


def _docstring(name: str) -> str:
    properties = next(properties for _, call, properties in QUESTIONS if call == name)
    args = "".join(f"\n    {key}: The {key.replace('_', ' ')} to use." for key in properties)
    head = f"{BARE[name]}\n\nArgs:{args}" if args else BARE[name]
    return f"{head}\n\nReturns:\n    A dictionary with the key `result`.\n"


STYLES: dict[str, Callable[[str], str]] = {
    "bare": BARE.__getitem__,
    "two sentences": lambda name: f"{BARE[name]} {SECOND_SENTENCE[name]}",
    "instruction": lambda name: f"{BARE[name]} {INSTRUCTION[name]}",
    "docstring": _docstring,
    "other wording": OTHER_WORDING.__getitem__,
    "vendor sample": VENDOR_SAMPLE.__getitem__,
    "none": lambda name: "",
    "very long": lambda name: LONG_BEGINNING + BARE[name] + LONG_END,
    "examples": EXAMPLES.__getitem__,
    "terse capitals": TERSE.__getitem__,
}


def declarations(style: str) -> tuple[ToolDeclaration, ...]:
    """All twelve functions, described in one style."""
    return tuple(
        ToolDeclaration(
            name,
            STYLES[style](name),
            {"type": "object", "properties": properties, "required": list(properties)}
            if properties
            else None,
        )
        for _, name, properties in QUESTIONS
    )


def cases() -> list[Case]:
    """Each question under each style; the case's tool set is the style."""
    return [Case(style, said, call) for style in STYLES for said, call, _ in QUESTIONS]


def main() -> None:
    from benchmarks.toolchoice.measure import load

    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--cases", action="store_true", help="print the failures")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    router = load()
    right: Counter[str] = Counter()
    failures = []
    for style in STYLES:
        tools = declarations(style)
        router.embed_tools(tools)
        for said, call, _ in QUESTIONS:
            choice = router.choose_function(said, tools)
            called = choice.tool.name if choice is not None else None
            right[style] += called == call
            if called != call:
                failures.append(f"  {style}: {said!r}: {called}, not {call}")
    if options.json:
        print(json.dumps({style: right[style] for style in STYLES}))
        return
    for style in STYLES:
        print(f"{style:16} {right[style]:3} of {len(QUESTIONS)}")
    print(f"{'all':16} {right.total():3} of {len(STYLES) * len(QUESTIONS)}   (goal: 115)")
    if options.cases:
        print("\n".join(failures))


if __name__ == "__main__":
    main()
