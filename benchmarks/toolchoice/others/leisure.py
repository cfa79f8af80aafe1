"""Tool sets and utterances: a recording studio, a game master's table, and a museum's guide.

The studio's descriptions are a few words, the game's are second person, the museum has none.
"""

from __future__ import annotations

from .labels import ABSENT, ToolSet, ask, other

# fmt: off
STUDIO = ToolSet(
    "studio",
    (
        {"name": "start_recording", "description": "Begin a take"},
        {"name": "stop_recording", "description": "End the take"},
        {"name": "undo", "description": "Take back the last change"},
        {
            "name": "set_tempo",
            "description": "Project tempo",
            "parameters": {
                "type": "object",
                "properties": {"bpm": {"type": "integer", "minimum": 20, "maximum": 300}},
                "required": ["bpm"],
            },
        },
        {
            "name": "add_effect",
            "description": "Insert effect on track",
            "parameters": {
                "type": "object",
                "properties": {
                    "track": {"type": "integer"},
                    "effect": {"type": "string", "enum": [
                        "reverb", "delay", "chorus", "compressor", "distortion"]},
                },
                "required": ["track", "effect"],
            },
        },
        {
            "name": "mute_tracks",
            "description": "Silence tracks",
            "parameters": {
                "type": "object",
                "properties": {"tracks": {"type": "array", "items": {"type": "integer"}}},
                "required": ["tracks"],
            },
        },
        {
            "name": "transpose",
            "description": "Shift pitch, down is negative",
            "parameters": {
                "type": "object",
                "properties": {"semitones": {"type": "integer", "minimum": -12, "maximum": 12}},
                "required": ["semitones"],
            },
        },
        {
            "name": "export_mix",
            "description": "Render to file",
            "parameters": {
                "type": "object",
                "properties": {
                    "format": {"type": "string", "enum": ["wav", "mp3", "flac"]},
                    "name": {"type": "string"},
                },
                "required": ["format"],
            },
        },
    ),
    typed=(
        ask("tempo 128", "set_tempo", bpm=128),
        ask("ok roll it", "start_recording"),
        ask("put some reverb on track 3", "add_effect", track=3, effect="reverb"),
        ask("Mute 2, 5 and 6.", "mute_tracks", tracks=[2, 5, 6]),
        ask("save the mix as an mp3", "export_mix", format="mp3"),
        other("the snare sounds a bit boxy"),
        other("What's the difference between chorus and flanger?"),
        other("no more reverb please, it's enough as it is"),
        other("can you write me lyrics about the sea"),
    ),
    spoken=(
        ask("Oh no, that was the wrong button, go back one step.", "undo"),
        ask("That's it, stop the tape.", "stop_recording"),
        ask("Give me a compressor on track eight.", "add_effect", track=8, effect="compressor"),
        ask("It's too high for her, take it down two semitones.", "transpose", semitones=-2),
        ask("A little slower, say ninety six beats per minute.", "set_tempo", bpm=96),
        ask("Export it as a flac file and call it morning.", "export_mix", format="flac",
            name="morning"),
        other("Who wrote the song Yesterday?"),
        other("The drummer is always late."),
        other("Wow, that was a great take."),
    ),
)

GAME = ToolSet(
    "game",
    (
        {
            "name": "roll_dice",
            "description": "Throws dice for you. 2d6+1 is count 2, sides 6, modifier 1.",
            "parameters": {
                "type": "object",
                "properties": {
                    "count": {"type": "integer"},
                    "sides": {"type": "integer"},
                    "modifier": {"type": "integer"},
                },
                "required": ["count", "sides"],
            },
        },
        {
            "name": "change_health",
            "description": "Gives your hero hit points, or takes them away (then it is negative).",
            "parameters": {
                "type": "object",
                "properties": {
                    "character": {"type": "string"},
                    "points": {"type": "integer"},
                },
                "required": ["character", "points"],
            },
        },
        {
            "name": "give_item",
            "description": "Puts something into your hero's bag.",
            "parameters": {
                "type": "object",
                "properties": {
                    "character": {"type": "string"},
                    "item": {"type": "string"},
                    "quantity": {"type": "integer"},
                },
                "required": ["character", "item"],
            },
        },
        {
            "name": "start_encounter",
            "description": "You meet monsters and the fight begins.",
            "parameters": {
                "type": "object",
                "properties": {
                    "monster": {"type": "string"},
                    "count": {"type": "integer"},
                    "difficulty": {"type": "string", "enum": ["easy", "normal", "deadly"]},
                },
                "required": ["monster"],
            },
        },
        {
            "name": "describe_place",
            "description": "Tells you what your heroes see.",
            "parameters": {
                "type": "object",
                "properties": {"place": {"type": "string"}},
                "required": ["place"],
            },
        },
        {
            "name": "award_experience",
            "description": "Shares experience points among your heroes.",
            "parameters": {
                "type": "object",
                "properties": {
                    "points": {"type": "integer"},
                    "characters": {"type": "array", "items": {"type": "string"}},
                },
                "required": ["points"],
            },
        },
        {"name": "save_campaign", "description": "Keeps the game for your next evening."},
    ),
    typed=(
        ask("roll 3d8+2", "roll_dice", count=3, sides=8, modifier=2),
        ask("thorin takes 9 damage", "change_health", character="thorin", points=-9),
        ask("five goblins jump out, deadly", "start_encounter",
            monster=("goblins", "goblin"), count=5, difficulty="deadly"),
        ask("450 xp for Mira and Thorin", "award_experience", points=450,
            characters=["Mira", "Thorin"]),
        ask("What does the crypt look like?", "describe_place", place=("crypt", "the crypt")),
        other("is a dragon stronger than a giant"),
        other("haha i knew it was a trap"),
        other("Do not roll yet, I want to say something first."),
        other("order some snacks for the table"),
    ),
    spoken=(
        ask("Roll two ten sided dice for me.", "roll_dice", count=2, sides=10),
        ask("Mira drinks the potion and gets twelve hit points back.", "change_health",
            character=("mira", "myra"), points=12),
        ask("Arden picks up the silver key.", "give_item", character="arden",
            item=("silver key", "the silver key"), quantity=(ABSENT, 1)),
        ask("That's enough for tonight, keep everything for next week.", "save_campaign"),
        ask("We walk into the old tavern, what do we see?", "describe_place",
            place=("tavern", "old tavern", "the old tavern")),
        other("Who invented chess?"),
        other("Last time we almost died in that cave."),
        other("Whose turn is it to bring the pizza?"),
        other("I think my wizard is the funniest of them all."),
    ),
)

MUSEUM = ToolSet(
    "museum",
    (
        {
            "name": "play_audio_guide",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "exhibit": {"type": "INTEGER"},
                    "language": {"type": "STRING", "enum": [
                        "english", "german", "french", "spanish", "japanese"]},
                },
                "required": ["exhibit"],
            },
        },
        {"name": "stop_audio_guide"},
        {
            "name": "find_room",
            "parameters": {
                "type": "OBJECT",
                "properties": {"topic": {"type": "STRING"}},
                "required": ["topic"],
            },
        },
        {
            "name": "find_facility",
            "parameters": {
                "type": "OBJECT",
                "properties": {"kind": {"type": "STRING", "enum": [
                    "toilet", "cafe", "cloakroom", "shop", "elevator"]}},
                "required": ["kind"],
            },
        },
        {
            "name": "opening_hours",
            "parameters": {
                "type": "OBJECT",
                "properties": {"day": {"type": "STRING"}},
            },
        },
        {
            "name": "buy_tickets",
            "parameters": {
                "type": "OBJECT",
                "properties": {
                    "adults": {"type": "INTEGER"},
                    "children": {"type": "INTEGER"},
                },
                "required": ["adults"],
            },
        },
        {
            "name": "leave_rating",
            "parameters": {
                "type": "OBJECT",
                "properties": {"stars": {"type": "INTEGER", "minimum": 1, "maximum": 5}},
                "required": ["stars"],
            },
        },
    ),
    typed=(
        ask("exhibit 27 in spanish please", "play_audio_guide", exhibit=27, language="spanish"),
        ask("where are the egyptian mummies", "find_room",
            topic=("egyptian mummies", "the egyptian mummies", "mummies")),
        ask("Are you open on Mondays?", "opening_hours", day=("monday", "mondays")),
        ask("2 adults 3 kids", "buy_tickets", adults=2, children=3),
        ask("I'd give it four stars.", "leave_rating", stars=4),
        other("When did van Gogh die?"),
        other("that statue looks like my uncle"),
        other("we already have tickets"),
        other("call me a taxi to the airport"),
    ),
    spoken=(
        ask("Where can I leave my coat?", "find_facility", kind="cloakroom"),
        ask("Tell me about exhibit number fourteen.", "play_audio_guide", exhibit=14),
        ask("I've heard enough, stop the guide.", "stop_audio_guide"),
        ask("Three tickets for adults, please.", "buy_tickets", adults=3),
        ask("Is there somewhere to get a cup of tea?", "find_facility", kind="cafe"),
        ask("How do I get to the dinosaurs?", "find_room",
            topic=("dinosaurs", "the dinosaurs", "dinosaur")),
        other("It was very crowded in there."),
        other("Who was the richest painter of all time?"),
        other("My feet hurt, let's sit down for a minute."),
    ),
)

SETS = (STUDIO, GAME, MUSEUM)
