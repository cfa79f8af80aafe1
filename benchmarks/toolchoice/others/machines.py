"""Tool sets and utterances: a car that listens, and a robot that cooks.

Many functions without parameters beside others with several; descriptions of very unequal length.
"""

from __future__ import annotations

from .labels import ABSENT, ToolSet, ask, other

# fmt: off
CAR = ToolSet(
    "car",
    (
        {
            "name": "set_climate",
            "description": "Cabin temperature.",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {
                    "celsius": {"type": "number", "minimum": 16, "maximum": 28},
                    "zone": {"enum": ["driver", "passenger", "rear"]},
                },
                "required": ["celsius"],
            },
        },
        {
            "name": "navigate_to",
            "description": "Starts route guidance to an address, a town or a point of interest.",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {
                    "destination": {"type": "string"},
                    "avoid": {
                        "type": "array",
                        "items": {"enum": ["tolls", "motorways", "ferries"]},
                        "description": "Kinds of road that the driver does not want.",
                    },
                },
                "required": ["destination"],
            },
        },
        {
            "name": "heat_seat",
            "description": "Seat heating: 0 is off, 3 is hottest.",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {
                    "seat": {"enum": ["driver", "passenger"]},
                    "level": {"type": "integer", "minimum": 0, "maximum": 3},
                },
                "required": ["seat", "level"],
            },
        },
        {
            "name": "set_window",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {
                    "window": {"enum": ["driver", "passenger", "rear_left", "rear_right", "all"]},
                    "position": {"enum": ["open", "closed"]},
                },
                "required": ["window", "position"],
            },
        },
        {
            "name": "find_charging_station",
            "description": "Looks for a free charger.",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {"within_km": {"type": "integer"}},
            },
        },
        {"name": "get_range", "description": "How many kilometers the battery still allows."},
        {"name": "check_tires"},
        {
            "name": "set_drive_mode",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {"mode": {"enum": ["eco", "comfort", "sport"]}},
                "required": ["mode"],
            },
        },
        {
            "name": "set_cruise_control",
            "description": "Holds a speed. Zero switches it off.",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {"speed_kmh": {"type": "integer", "minimum": 0, "maximum": 180}},
                "required": ["speed_kmh"],
            },
        },
        {
            "name": "set_wipers",
            "parametersJsonSchema": {
                "type": "object",
                "properties": {"speed": {"enum": ["off", "slow", "fast"]}},
                "required": ["speed"],
            },
        },
    ),
    typed=(
        ask("22.5 for me please", "set_climate", celsius=22.5, zone=("driver", ABSENT)),
        ask("take me to Bergen but no ferries", "navigate_to", destination="Bergen",
            avoid=["ferries"]),
        ask("sport mode", "set_drive_mode", mode="sport"),
        ask("is there a charger within 15 km", "find_charging_station", within_km=15),
        ask("Close all the windows.", "set_window", window="all", position="closed"),
        other("who built the first electric car"),
        other("this traffic is unbelievable"),
        other("leave the window open, I like the air"),
        other("read me my emails"),
    ),
    spoken=(
        ask("How far can we still drive?", "get_range"),
        ask("My seat is cold, put the heating on level two.", "heat_seat", seat="driver",
            level=2),
        ask("Keep it at a hundred and twenty.", "set_cruise_control", speed_kmh=120),
        ask("Do the tires have enough air?", "check_tires"),
        ask("It's pouring, wipers on full speed.", "set_wipers", speed="fast"),
        ask("Drive me to the nearest hospital.", "navigate_to",
            destination=("nearest hospital", "the nearest hospital", "hospital")),
        other("My old car had no radio at all."),
        other("Are we there yet?"),
        other("Why is gasoline so expensive?"),
    ),
)

KITCHEN = ToolSet(
    "kitchen",
    (
        {
            "name": "preheat_oven",
            "description": "Heat the oven before baking. The oven needs about ten minutes.",
            "parameters": {
                "type": "object",
                "properties": {
                    "celsius": {"type": "integer", "minimum": 50, "maximum": 280},
                    "mode": {"type": "string", "enum": ["fan", "grill", "top_and_bottom"]},
                },
                "required": ["celsius"],
            },
        },
        {
            "name": "knead_dough",
            "description": "Knead what is in the bowl",
            "parameters": {
                "type": "object",
                "properties": {
                    "minutes": {"type": "integer"},
                    "speed": {"type": "integer", "minimum": 1, "maximum": 10},
                },
                "required": ["minutes"],
            },
        },
        {
            "name": "chop",
            "description": "Chop an ingredient",
            "parameters": {
                "type": "object",
                "properties": {
                    "ingredient": {"type": "string"},
                    "size": {"type": "string", "enum": ["fine", "medium", "coarse"]},
                },
                "required": ["ingredient"],
            },
        },
        {"name": "read_scale", "description": "Weight of what lies on the scale, in grams"},
        {"name": "next_step", "description": "Go on in the recipe"},
        {"name": "repeat_step", "description": "Say the present step of the recipe once more"},
        {
            "name": "scale_recipe",
            "description": (
                "Recompute all amounts of the recipe. Used when more or fewer people than planned "
                "will eat. The number of servings replaces the old one."
            ),
            "parameters": {
                "type": "object",
                "properties": {"servings": {"type": "integer", "minimum": 1}},
                "required": ["servings"],
            },
        },
        {
            "name": "find_recipe",
            "description": "Recipes for what is in the fridge",
            "parameters": {
                "type": "object",
                "properties": {
                    "ingredients": {"type": "array", "items": {"type": "string"}},
                    "vegetarian": {"type": "boolean"},
                },
                "required": ["ingredients"],
            },
        },
        {
            "name": "clean_self",
            "description": "Rinse the bowl and the blades",
            "parameters": {
                "type": "object",
                "properties": {
                    "intensity": {"type": "string", "enum": ["quick", "thorough"]},
                },
            },
        },
    ),
    typed=(
        ask("oven to 180, fan", "preheat_oven", celsius=180, mode="fan"),
        ask("we're eight tonight instead of four", "scale_recipe", servings=8),
        ask("chop the onions really fine", "chop", ingredient=("onions", "the onions", "onion"),
            size="fine"),
        ask("Got leeks and potatoes, what can I make?", "find_recipe",
            ingredients=["leeks", "potatoes"]),
        ask("done, what's next", "next_step"),
        other("is parsley a herb"),
        other("ouch, i burned my finger"),
        other("Don't preheat the oven yet."),
        other("my dough never rises properly"),
    ),
    spoken=(
        ask("Sorry, I didn't get that, say that step again.", "repeat_step"),
        ask("Knead the dough for six minutes at speed four.", "knead_dough", minutes=6, speed=4),
        ask("How heavy is this pumpkin?", "read_scale"),
        ask("Give yourself a thorough clean, it's sticky everywhere.", "clean_self",
            intensity="thorough"),
        ask("Get the oven up to two hundred and twenty degrees.", "preheat_oven", celsius=220),
        other("My sister makes the best apple pie in the world."),
        other("How many calories are there in an avocado?"),
        other("Who ate all the chocolate?"),
        other("No, I will chop the garlic myself."),
    ),
)

SETS = (CAR, KITCHEN)
