"""A city's telephone line: twenty-four functions side by side."""

from __future__ import annotations

from typing import Any

from .labels import ABSENT, Declaration, ToolSet, ask, other

_TEXT: dict[str, Any] = {"type": "string"}


def _function(
    name: str, description: str, /, *optional: str, **properties: dict[str, Any]
) -> Declaration:
    required = [key for key in properties if key not in optional]
    schema = {"type": "object", "properties": properties, "required": required}
    return {"name": name, "description": description, "parameters": schema}


_SERVICES = ("passport", "identity_card", "driving_license", "change_of_address")

CITY = ToolSet(
    "city",
    (
        _function("report_pothole", "Report a hole in the road.", street=_TEXT),
        _function("report_streetlight", "Report a street lamp that is out.", street=_TEXT),
        _function("report_graffiti", "Report graffiti.", place=_TEXT),
        _function(
            "report_noise",
            "File a noise complaint.",
            address=_TEXT,
            kind={"type": "string", "enum": ["music", "construction", "dog", "traffic"]},
        ),
        _function(
            "request_bulky_waste",
            "Have furniture or appliances collected.",
            items={"type": "array", "items": _TEXT},
        ),
        _function(
            "waste_calendar",
            "When a bin is emptied next.",
            bin={"type": "string", "enum": ["paper", "plastic", "organic", "residual"]},
        ),
        _function("renew_parking_permit", "Extend a resident's parking permit.", plate=_TEXT),
        _function("find_car_park", "Free spaces in public car parks.", near=_TEXT),
        _function(
            "book_appointment",
            "Appointment at the citizens' office.",
            service={"type": "string", "enum": list(_SERVICES)},
        ),
        _function(
            "departures",
            "Next departures at a stop.",
            "line",
            stop=_TEXT,
            line={"type": "integer"},
        ),
        _function("line_disruptions", "Disruptions of a bus or tram line.",
                  line={"type": "integer"}),
        _function("buy_transit_pass", "Sell a pass for bus and tram.",
                  kind={"type": "string", "enum": ["day", "week", "month", "year"]}),
        _function("renew_book", "Extend a loan of the city library.", title=_TEXT),
        _function("reserve_book", "Reserve a title at the city library.", title=_TEXT),
        _function("pool_hours", "Opening hours of a swimming pool.", pool=_TEXT),
        _function("register_dog", "Register a dog for the dog tax.", "breed",
                  name=_TEXT, breed=_TEXT),
        _function("whats_on", "Concerts, markets and festivals on a day.", day=_TEXT),
        _function("report_lost_item", "Search the lost property office.", "where",
                  item=_TEXT, where=_TEXT),
        _function("find_playground", "Playgrounds in a neighborhood.", district=_TEXT),
        _function("permit_status", "State of a building application.",
                  application={"type": "integer"}),
        _function("polling_station", "Where a resident votes.", street=_TEXT),
        _function("rent_bike", "Unlock a city bike.", bike={"type": "integer"}),
        _function("return_bike", "Lock a city bike and end the ride."),
        _function("plant_tree_request", "Ask for a new tree in a street.", street=_TEXT),
    ),
    typed=(
        ask("theres a huge pothole on mill lane", "report_pothole", street="mill lane"),
        ask("When do they empty the paper bin?", "waste_calendar", bin="paper"),
        ask("the lamp in front of our house on Cedar Street has been dark for a week",
            "report_streetlight", street="Cedar Street"),
        ask("next tram from Town Hall, line 6", "departures", stop="Town Hall", line=6),
        ask("I need a new passport", "book_appointment", service="passport"),
        ask("pick up my old sofa and a fridge please", "request_bulky_waste",
            items=(["old sofa", "fridge"], ["sofa", "fridge"], ["my old sofa", "a fridge"],
                   ["sofa", "a fridge"], ["old sofa", "a fridge"])),
        ask("extend The Hobbit for me", "renew_book", title="The Hobbit"),
        ask("my neighbour at 14 Elm Road has been playing loud music all night",
            "report_noise", address="14 Elm Road", kind="music"),
        ask("has my building application 20931 been approved yet?", "permit_status",
            application=20931),
        ask("unlock bike 557", "rent_bike", bike=557),
        other("The mayor was on television last night."),
        other("how many people live here?"),
        other("i like the new tram, it's so quiet"),
        other("Do not renew anything, I'll bring the book back."),
        other("what's the capital of Australia"),
        other("turn the heating down a notch"),
    ),
    spoken=(
        ask("I moved last week and want to change my address.", "book_appointment",
            service="change_of_address"),
        ask("Where do I vote? I live in Garden Street.", "polling_station",
            street="garden street"),
        ask("Is anything wrong with bus line thirty one today?", "line_disruptions", line=31),
        ask("I left my umbrella on the tram.", "report_lost_item",
            item=("umbrella", "my umbrella"), where=("tram", "the tram", "on the tram", ABSENT)),
        ask("Somebody sprayed the wall of the old station.", "report_graffiti",
            place=("old station", "the old station", "wall of the old station",
                   "the wall of the old station")),
        ask("What's on this Sunday?", "whats_on", day=("this sunday", "sunday", "the sunday")),
        ask("We have a new puppy, his name is Bruno.", "register_dog", name="bruno"),
        ask("I'd like a monthly pass for the tram.", "buy_transit_pass", kind="month"),
        ask("Is there a place to park close to the theater?", "find_car_park",
            near=("theater", "the theater", "theatre", "the theatre")),
        ask("I'm done with the bike.", "return_bike"),
        other("That playground was closed for years."),
        other("Our dog is afraid of thunderstorms."),
        other("Who designed the town hall?"),
        other("I'm not complaining, I only wanted to say thank you."),
        other("How do I get a stain out of a carpet?"),
        other("Hello, can you hear me?"),
    ),
)  # fmt: skip

SETS = (CITY,)
