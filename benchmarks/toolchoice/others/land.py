"""Tool sets and utterances: a farmer's yard, and the observatory of an astronomy club.

The farm declares by `parametersJsonSchema`, partly without descriptions; the observatory's
descriptions are instructions when to call.
"""

from __future__ import annotations

from .labels import ABSENT, ToolSet, ask, other

# fmt: off
_FIELD = {"type": "string", "enum": ["north", "south", "orchard", "greenhouse"]}
_ANIMALS = {"type": "string", "enum": ["cows", "sheep", "goats", "pigs", "chickens"]}

FARM = ToolSet(
    "farm",
    (
        {
            "name": "irrigate",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {
                    "field": _FIELD,
                    "minutes": {"type": "integer", "minimum": 1, "maximum": 240},
                },
                "required": ["field", "minutes"],
            },
        },
        {
            "name": "soil_moisture",
            "parametersJsonSchema": {
                "type": "object", "properties": {"field": _FIELD}, "required": ["field"],
            },
        },
        {
            "name": "move_herd",
            "description": "Note that animals were or should be brought to another pasture",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {
                    "animals": _ANIMALS,
                    "pasture": {"type": "string", "description": "where they go"},
                },
                "required": ["animals", "pasture"],
            },
        },
        {
            "name": "log_harvest",
            "description": "Add to the harvest book",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {"crop": {"type": "string"}, "kilograms": {"type": "number"}},
                "required": ["crop", "kilograms"],
            },
        },
        {
            "name": "set_gate",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {
                    "gate": {"type": "string", "enum": ["yard", "river", "road"]},
                    "state": {"type": "string", "enum": ["open", "closed"]},
                },
                "required": ["gate", "state"],
            },
        },
        {
            "name": "dispense_feed",
            "description": "Let the feeder hand out feed",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {"animals": _ANIMALS, "kilograms": {"type": "number"}},
                "required": ["animals"],
            },
        },
        {
            "name": "book_vet",
            "description": "Ask the veterinarian to come by",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {
                    "reason": {"type": "string"},
                    "day": {"type": "string", "description": "weekday or date as it was said"},
                },
                "required": ["reason"],
            },
        },
        {
            "name": "log_eggs",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {"count": {"type": "integer"}},
                "required": ["count"],
            },
        },
    ),
    typed=(
        ask("water the orchard for 45 min", "irrigate", field="orchard", minutes=45),
        ask("62 eggs this morning", "log_eggs", count=62),
        ask("Is the south field dry?", "soil_moisture", field="south"),
        ask("river gate should be shut", "set_gate", gate="river", state="closed"),
        ask("we brought in 340 kilos of potatoes", "log_harvest",
            crop=("potatoes", "potato"), kilograms=340),
        ask("give the pigs their feed, 25 kg", "dispense_feed", animals="pigs", kilograms=25),
        other("the fox got two of the hens"),
        other("How much milk does a cow give in a year?"),
        other("do not open the road gate, the sheep are out"),
    ),
    spoken=(
        ask("Get the goats over to the hill pasture.", "move_herd", animals="goats",
            pasture=("hill pasture", "the hill pasture", "hill")),
        ask("One of the calves is limping, can the vet come on Thursday?", "book_vet",
            reason=("one of the calves is limping", "a calf is limping", "limping calf",
                    "calves is limping", "the calves is limping", "calf is limping"),
            day=("thursday", "on thursday")),
        ask("The tomatoes in the greenhouse need twenty minutes of water.", "irrigate",
            field="greenhouse", minutes=20),
        ask("Open the gate to the road, the truck is here.", "set_gate", gate="road",
            state="open"),
        ask("Put down eighty kilos of apples.", "log_harvest", crop=("apples", "apple"),
            kilograms=80),
        other("My grandfather planted that orchard."),
        other("What is the price of wheat these days?"),
        other("The sheep have already been fed."),
        other("Well, it's a hard life out here."),
    ),
)

ASTRONOMY = ToolSet(
    "astronomy",
    (
        {
            "name": "point_telescope",
            "description": (
                "Call this when a member wants to look at something in the sky. Pass the name of "
                "the star, planet or galaxy. Do not call it for questions about the object."
            ),
            "parameters": {
                "type": "OBJECT",
                "properties": {"target": {"type": "STRING"}},
                "required": ["target"],
            },
        },
        {
            "name": "next_pass",
            "description": (
                "Use this if the user asks when a satellite or space station flies over the club. "
                "Returns the time and direction of the next visible pass."
            ),
            "parameters": {
                "type": "OBJECT",
                "properties": {"satellite": {"type": "STRING"}},
                "required": ["satellite"],
            },
        },
        {
            "name": "moon_phase",
            "description": "Always use this for the phase of the moon. Never guess it.",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "day": {"type": "STRING", "description": "Today if omitted, else as said."},
                },
            },
        },
        {
            "name": "book_observatory",
            "description": "Call this once the day is known, to reserve the observatory.",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "day": {"type": "STRING", "description": "The day as the user put it."},
                    "guests": {"type": "INTEGER", "description": "Number of people."},
                },
                "required": ["day"],
            },
        },
        {
            "name": "take_exposure",
            "description": (
                "Use this tool to take a photograph through the telescope. The exposure is given "
                "in seconds. If no filter is named, leave it out."
            ),
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "seconds": {"type": "NUMBER"},
                    "filter": {"type": "STRING", "enum": ["red", "green", "blue", "hydrogen"]},
                },
                "required": ["seconds"],
            },
        },
        {
            "name": "set_dome",
            "description": "Call this to open or shut the dome's roof.",
            "parameters": {
                "type": "OBJECT",
                "properties": {"position": {"type": "STRING", "enum": ["open", "closed"]}},
                "required": ["position"],
            },
        },
    ),
    typed=(
        ask("let's have a look at Jupiter", "point_telescope", target="Jupiter"),
        ask("when is the ISS coming over", "next_pass", satellite=("ISS", "the ISS")),
        ask("90 second shot in red", "take_exposure", seconds=90, filter="red"),
        ask("Is it a full moon on Saturday?", "moon_phase", day=("Saturday", "on Saturday")),
        ask("reserve the observatory for next Friday, we're six", "book_observatory",
            day=("next Friday", "Friday"), guests=6),
        other("How far away is Betelgeuse?"),
        other("I saw three shooting stars yesterday!"),
        other("dont close the dome yet"),
        other("is there any coffee left in the kitchen"),
    ),
    spoken=(
        ask("Swing the telescope over to the Andromeda galaxy, please.", "point_telescope",
            target=("andromeda galaxy", "the andromeda galaxy", "andromeda")),
        ask("It's starting to rain, close the roof!", "set_dome", position="closed"),
        ask("What does the moon look like tonight?", "moon_phase", day=(ABSENT, "tonight")),
        ask("Take a picture, two minutes, with the blue filter.", "take_exposure", seconds=120,
            filter="blue"),
        ask("When can I see the Hubble telescope fly past?", "next_pass",
            satellite=("hubble telescope", "the hubble telescope", "hubble")),
        other("Why do stars twinkle?"),
        other("The sky was perfectly clear last night."),
        other("Galileo only had a tiny lens, imagine that."),
        other("Let me think for a second."),
    ),
)

SETS = (FARM, ASTRONOMY)
