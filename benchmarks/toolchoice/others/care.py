"""Tool sets and utterances: a nurse on a hospital ward, and somebody with a fitness tracker.

The ward declares in the API's own schema form; the tracker's descriptions are docstrings.
"""

from __future__ import annotations

from .labels import ABSENT, ToolSet, ask, other

# fmt: off
_ROOM = {"type": "INTEGER", "description": "Room number on the ward."}

WARD = ToolSet(
    "ward",
    (
        {
            "name": "page_doctor",
            "description": "Pages a physician to the ward.",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "role": {"type": "STRING", "enum": [
                        "surgeon", "cardiologist", "anesthetist", "pediatrician", "any"]},
                    "room": _ROOM,
                    "urgent": {"type": "BOOLEAN", "description": "True for an emergency."},
                },
                "required": ["role"],
            },
        },
        {
            "name": "record_vitals",
            "description": "Writes measured values into a patient's chart.",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "room": _ROOM,
                    "pulse": {"type": "INTEGER", "description": "Beats per minute."},
                    "temperature": {"type": "NUMBER", "description": "Degrees Celsius."},
                    "systolic": {"type": "INTEGER", "description": "Upper blood pressure value."},
                    "diastolic": {"type": "INTEGER", "description": "Lower blood pressure value."},
                },
                "required": ["room"],
            },
        },
        {
            "name": "order_meal",
            "description": "Orders a meal from the hospital kitchen.",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "room": _ROOM,
                    "diet": {"type": "STRING", "enum": [
                        "regular", "vegetarian", "diabetic", "liquid", "halal"]},
                    "meal": {"type": "STRING", "enum": ["breakfast", "lunch", "dinner"]},
                },
                "required": ["room", "diet"],
            },
        },
        {
            "name": "move_patient",
            "description": "Assigns a patient to a different room.",
            "parameters": {
                "type": "OBJECT",
                "properties": {"from_room": {"type": "INTEGER"}, "to_room": {"type": "INTEGER"}},
                "required": ["from_room", "to_room"],
            },
        },
        {
            "name": "request_transport",
            "description": "Has a porter take a patient to a department.",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "room": _ROOM,
                    "destination": {"type": "STRING", "enum": [
                        "radiology", "surgery", "dialysis", "discharge_lounge"]},
                },
                "required": ["room", "destination"],
            },
        },
        {
            "name": "get_chart",
            "description": "Reads the chart of the patient in a room.",
            "parameters": {
                "type": "OBJECT", "properties": {"room": _ROOM}, "required": ["room"],
            },
        },
        {
            "name": "restock",
            "description": "Orders supplies for the ward's store room.",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "item": {"type": "STRING"},
                    "quantity": {"type": "INTEGER", "minimum": 1},
                },
                "required": ["item", "quantity"],
            },
        },
    ),
    typed=(
        ask("Room 12: pulse 88, temp 37.9", "record_vitals", room=12, pulse=88, temperature=37.9),
        ask("we need the cardiologist in 4, it's urgent", "page_doctor",
            role="cardiologist", room=4, urgent=True),
        ask("diabetic lunch for room nine pls", "order_meal",
            room=9, diet="diabetic", meal="lunch"),
        ask("Mrs. Okafor goes from 7 to 15", "move_patient", from_room=7, to_room=15),
        ask("we're nearly out of size M gloves, get us 20 boxes", "restock",
            item=("size M gloves", "gloves", "boxes of size M gloves", "M gloves"), quantity=20),
        other("The patient in 6 slept through the night."),
        other("what does tachycardia mean again?"),
        other("don't page anyone, she's fine now"),
        other("remind my husband that I'm late"),
    ),
    spoken=(
        ask("Can someone bring the lady in room three down to radiology?", "request_transport",
            room=3, destination="radiology"),
        ask("Blood pressure in room eleven is a hundred and forty over ninety.", "record_vitals",
            room=11, systolic=140, diastolic=90),
        ask("What do we have on the patient in room twenty two?", "get_chart", room=22),
        ask("Please call the surgeon to room five.", "page_doctor", role="surgeon", room=5),
        ask("A vegetarian dinner for room ten, please.", "order_meal",
            room=10, diet="vegetarian", meal="dinner"),
        other("I have been on my feet since six this morning."),
        other("Did you know that he used to be a pilot?"),
        other("How long does a broken hip usually take to heal?"),
        other("No, she stays where she is tonight."),
    ),
)

FITNESS = ToolSet(
    "fitness",
    (
        {
            "name": "log_workout",
            "description": (
                "Store a finished workout in the diary.\n\nArgs:\n"
                "    activity: Kind of workout.\n"
                "    minutes: Duration in minutes.\n"
                "    distance_km: Distance in kilometers, if known.\n\nReturns:\n"
                "    The stored entry."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "activity": {"type": "string",
                                 "enum": ["run", "swim", "ride", "row", "strength", "yoga"]},
                    "minutes": {"type": "integer"},
                    "distance_km": {"type": "number"},
                },
                "required": ["activity", "minutes"],
            },
        },
        {
            "name": "get_steps",
            "description": "Return the number of steps.\n\nArgs:\n    period: Which days to count.",
            "parameters": {
                "type": "object",
                "properties": {
                    "period": {"type": "string", "enum": ["today", "yesterday", "this_week"]},
                },
                "required": ["period"],
            },
        },
        {
            "name": "set_goal",
            "description": (
                "Change a personal goal.\n\nArgs:\n    metric: What is counted.\n"
                "    target: The new target value per day."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "metric": {"type": "string",
                               "enum": ["steps", "calories", "active_minutes", "sleep_hours"]},
                    "target": {"type": "number"},
                },
                "required": ["metric", "target"],
            },
        },
        {
            "name": "log_weight",
            "description": "Store a body weight.\n\nArgs:\n    kilograms: Weight in kilograms.",
            "parameters": {
                "type": "object",
                "properties": {"kilograms": {"type": "number", "minimum": 20, "maximum": 300}},
                "required": ["kilograms"],
            },
        },
        {
            "name": "start_interval_training",
            "description": (
                "Run an interval timer.\n\nArgs:\n    rounds: Number of rounds.\n"
                "    work_seconds: Effort in each round.\n    rest_seconds: Pause after each."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "rounds": {"type": "integer"},
                    "work_seconds": {"type": "integer"},
                    "rest_seconds": {"type": "integer"},
                },
                "required": ["rounds", "work_seconds", "rest_seconds"],
            },
        },
        {
            "name": "log_water",
            "description": "Add to the water drunk today.\n\nArgs:\n    milliliters: The amount.",
            "parameters": {
                "type": "object",
                "properties": {"milliliters": {"type": "integer"}},
                "required": ["milliliters"],
            },
        },
        {"name": "get_heart_rate", "description": "Read the pulse from the sensor on the wrist."},
        {
            "name": "suggest_exercise",
            "description": (
                "Suggest an exercise.\n\nArgs:\n    muscle_group: Part of the body to train.\n"
                "    equipment: What is at hand, empty for body weight alone."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "muscle_group": {"type": "string"},
                    "equipment": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["muscle_group"],
            },
        },
    ),
    typed=(
        ask("ran 8.5 k in 47 minutes", "log_workout", activity="run", minutes=47, distance_km=8.5),
        ask("weighed in at 71.4 this morning", "log_weight", kilograms=71.4),
        ask("how many steps so far this week", "get_steps", period="this_week"),
        ask("8 rounds, 40 seconds on, 20 off, go", "start_interval_training",
            rounds=8, work_seconds=40, rest_seconds=20),
        ask("Bump my daily goal up to 12000 steps.", "set_goal", metric="steps", target=12000),
        ask("what can i do for my shoulders with just a kettlebell", "suggest_exercise",
            muscle_group=("shoulders", "my shoulders", "shoulder"),
            equipment=(["kettlebell"], ["a kettlebell"])),
        other("my knees are killing me"),
        other("Who holds the marathon world record?"),
        other("nah i don't want to log anything today"),
    ),
    spoken=(
        ask("I just swam for half an hour.", "log_workout", activity="swim", minutes=30),
        ask("What's my pulse right now?", "get_heart_rate"),
        ask("I had a glass of water, about three hundred milliliters.", "log_water",
            milliliters=300),
        ask("How far did I get with my steps yesterday?", "get_steps", period="yesterday"),
        ask("I want to burn two thousand calories a day, make that my goal.", "set_goal",
            metric="calories", target=2000),
        ask("Show me something for my back.", "suggest_exercise",
            muscle_group=("back", "my back"), equipment=(ABSENT, [])),
        other("Rowing machines are so boring."),
        other("Is it better to stretch before or after a run?"),
        other("You sound cheerful today."),
    ),
)

SETS = (WARD, FITNESS)
