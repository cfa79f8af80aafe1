"""Function results that the model must report in speech without inventing anything."""

from __future__ import annotations

from .case import Rubric, ToolReport

_CODE = (r"[{}\[\]_]", r"\bjson\b", r"\bfunction\b", r"true\b", r"\bnull\b")
FAILED = r"n't|\bnot\b|unable|fail|sorry|error|problem|unfortunately|couldn|unavailable"


def _rubric(*must: str, never: tuple[str, ...] = ()) -> Rubric:
    return Rubric(must, (*_CODE, *never), sentences=3, words=50)


REPORTS: tuple[ToolReport, ...] = (
    ToolReport("What's the weather like in Bergen?", "get_weather", "Gets the weather of a city.",
               {"city": "Bergen"}, {"conditions": "light rain", "temperature_c": 9},
               _rubric("rain", r"\b9\b|nine", never=("sunny", "snow"))),
    ToolReport("Turn on the light in the hall, please.", "turn_on_light", "Turns a light on.",
               {"room": "hall"}, {"result": "ok"},
               _rubric(r"light|done|on\b|okay|sure", never=(FAILED, r"\boff\b"))),
    ToolReport("Set a timer for twelve minutes.", "set_timer", "Starts a timer.",
               {"minutes": 12}, {"status": "running", "ends_at": "18:42"},
               _rubric(r"timer|12|twelve|18:42|6:42", never=(FAILED,))),
    ToolReport("One more timer, for the pasta.", "set_timer", "Starts a timer.",
               {"label": "pasta"}, {"error": "too many timers are running"},
               _rubric(FAILED + "|too many", never=("timer (has been|is) set", "only one"))),
    ToolReport("Where is my parcel?", "track_parcel", "Says where a parcel is.", {},
               {"status": "out for delivery", "expected": "today between 2 and 4 pm"},
               _rubric(r"delivery|on (its|the) way|today", r"2|two|4|four", never=("delivered",))),
    ToolReport("How much money is in my savings account?", "get_balance", "Balance of an account.",
               {"account": "savings"}, {"balance": 1840.5, "currency": "EUR"},
               _rubric(r"1[, .]?840|eighteen hundred|one thousand eight hundred",
                       never=(r"\bdollars?\b",))),
    ToolReport("When does the next bus to the station leave?", "next_bus", "Next departures.",
               {"destination": "station"}, {"line": 12, "departure": "14:05", "delay_min": 3},
               _rubric(r"14:05|2:05|five past two|14 05|14:08|2:08")),
    ToolReport("Do I have any meetings tomorrow?", "list_events", "Calendar of a day.",
               {"day": "tomorrow"}, {"events": []},
               _rubric(r"\bno\b|n't|nothing|free|\bnot\b", never=(r"at \d", "meeting with"))),
    ToolReport("What's on my calendar today?", "list_events", "Calendar of a day.",
               {"day": "today"},
               {"events": [{"title": "dentist", "start": "10:30"},
                           {"title": "lunch with Amir", "start": "13:00"}]},
               _rubric("dentist", "lunch|amir", never=(r"(?<!\d)(9|11|15):",))),
    ToolReport("Call my mother.", "make_call", "Calls a contact.", {"contact": "mother"},
               {"error": "no contact with this name"},
               _rubric(FAILED + r"|\bno contact", never=("calling (your|her)",))),
    ToolReport("Book a table for two at seven.", "book_table", "Books a table.",
               {"people": 2, "time": "19:00"}, {"confirmed": True, "table": "by the window"},
               _rubric(r"book|reserv|confirm|table", never=(FAILED, r"\b(three|four|8|eight)\b"))),
    ToolReport("How warm is it in the bedroom?", "get_temperature", "Temperature of a room.",
               {"room": "bedroom"}, {"celsius": 19.5},
               _rubric(r"19[.,]5|nineteen|19 and a half", never=("fahrenheit",))),
    ToolReport("Is the front door locked?", "door_status", "State of a door.", {"door": "front"},
               {"locked": False},
               _rubric(r"unlocked|\bnot\b|n't|open", never=("is locked",))),
    ToolReport("How did the Eagles play last night?", "get_score", "Result of a game.",
               {"team": "Eagles"}, {"home": "Eagles", "away": "Bears", "score": "24:17"},
               _rubric(r"24", r"17", never=("eagles lost", "bears won"))),
    ToolReport("Add milk to my list.", "add_to_list", "Adds to the shopping list.",
               {"item": "milk"}, {"items": ["bread", "milk"]},
               _rubric("milk|added|list", never=(FAILED, "egg", "butter"))),
    ToolReport("Play something by Nina Simone.", "play_music", "Plays music.",
               {"query": "Nina Simone"}, {"now_playing": "Feeling Good"},
               _rubric("nina|feeling good|play", never=(FAILED,))),
)  # fmt: skip
