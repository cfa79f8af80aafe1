"""The tool sets that the utterances are said to: a name and the declarations of its functions.

They are written as the developer of an app would write them. Most have descriptions, some
parameters have none, and some declarations are a name alone, as in the Live API's own samples.
"""

from __future__ import annotations

Schema = dict[str, object]
Declaration = dict[str, object]


def _tool(
    name: str, description: str = "", /, *, needs: tuple[str, ...] = (), **properties: Schema
) -> Declaration:
    declaration: Declaration = {"name": name}
    if description:
        declaration["description"] = description
    if properties:
        declaration["parameters"] = {
            "type": "object",
            "properties": properties,
            "required": list(needs),
        }
    return declaration


def _is(kind: str, description: str = "", **limits: object) -> Schema:
    about = {"description": description} if description else {}
    return {"type": kind, **about, **limits}


def _one_of(*values: str, about: str = "") -> Schema:
    return _is("string", about, enum=list(values))


_ROOM = _is("string", "The room, for example kitchen. Leave out for the whole house.")
_CITY = _is("string", "Name of the city. Leave out for the user's own place.")
_PRODUCT = _is("string", "The product, as the customer calls it.")
_LABEL = _is("string", "What the timer is for, for example pasta.")
_TITLE = _is("string", "Title of the event.")
_DAY = _is("string", "The day in the user's words, for example next friday.")
_FILE = _is("string", "Name of the file.")

HOME = (
    _tool("turn_on_the_lights"),
    _tool("turn_off_the_lights"),
    _tool(
        "set_brightness",
        "Dim or brighten the lamps to a given level.",
        needs=("percent",),
        percent=_is("integer", "Brightness from 0 to 100.", minimum=0, maximum=100),
        room=_ROOM,
    ),
    _tool(
        "set_temperature",
        "Set the thermostat of the heating or air conditioning.",
        needs=("degrees",),
        degrees=_is("number", "Wanted temperature in degrees Celsius."),
        room=_ROOM,
    ),
    _tool("get_temperature", "Measure how warm it is inside the house.", room=_ROOM),
    _tool(
        "set_blinds",
        "Move the window blinds.",
        needs=("position",),
        position=_one_of("open", "half", "closed"),
        room=_ROOM,
    ),
    _tool(
        "set_lock",
        "Lock or unlock a door.",
        needs=("door", "locked"),
        door=_one_of("front", "back", "garage", about="Which door."),
        locked=_is("boolean", "True to lock the door, false to unlock it."),
    ),
    _tool("start_vacuum", "Let the robot vacuum clean the floor.", room=_ROOM),
)

TIMER = (
    _tool(
        "set_timer",
        "Start a countdown that rings when it is over.",
        needs=("minutes",),
        minutes=_is("number", "Length of the countdown in minutes."),
        label=_LABEL,
    ),
    _tool("cancel_timer", "Cancel a running countdown.", label=_LABEL),
    _tool("time_left", "Tell how long a running countdown still takes.", label=_LABEL),
    _tool(
        "set_alarm",
        "Set an alarm clock for a time of day.",
        needs=("time",),
        time=_is("string", "When the alarm rings, in the user's words."),
        repeat=_one_of("once", "daily", "weekdays", "weekends"),
    ),
    _tool(
        "delete_alarm",
        "Delete an alarm that was set before.",
        time=_is("string", "The time of the alarm. Leave out to delete all alarms."),
    ),
    _tool("start_stopwatch"),
    _tool("stop_stopwatch"),
)

WEATHER = (
    _tool(
        "get_current_weather",
        "Get the weather as it is right now.",
        city=_CITY,
        unit=_one_of("celsius", "fahrenheit"),
    ),
    _tool(
        "get_forecast",
        "Get the weather forecast for a coming day.",
        needs=("day",),
        day=_DAY,
        city=_CITY,
    ),
    _tool("get_air_quality", "Get the air pollution index of a city.", city=_CITY),
    _tool(
        "get_sun_times",
        "Get the time at which the sun rises or sets today.",
        needs=("event",),
        event=_one_of("sunrise", "sunset"),
        city=_CITY,
    ),
    _tool(
        "set_weather_alert",
        "Switch the warnings about one kind of dangerous weather on or off.",
        needs=("kind", "enabled"),
        kind=_one_of("storm", "frost", "heat", "flood"),
        enabled=_is("boolean"),
    ),
)

CALENDAR = (
    _tool(
        "create_event",
        "Put a new event into the calendar.",
        needs=("title", "start"),
        title=_TITLE,
        start=_is("string", "Day and time at which it begins, in the user's words."),
        duration_minutes=_is("integer"),
        guest=_is("string", "Name of the person to invite."),
    ),
    _tool("list_events", "List the events of a day.", needs=("day",), day=_DAY),
    _tool(
        "move_event",
        "Move an event to another time.",
        needs=("title", "new_start"),
        title=_TITLE,
        new_start=_is("string", "The new day or time, in the user's words."),
    ),
    _tool("cancel_event", "Take an event out of the calendar.", needs=("title",), title=_TITLE),
    _tool(
        "add_reminder",
        "Remind the user of something to do.",
        needs=("text",),
        text=_is("string", "What to do."),
        when=_is("string", "When to remind, in the user's words."),
    ),
    _tool(
        "find_free_time",
        "Find a gap between the events of a day.",
        needs=("day",),
        day=_DAY,
        minutes=_is("integer", "How long the gap must be, in minutes.", minimum=1),
    ),
)

SHOP = (
    _tool(
        "search_products",
        "Search the catalogue of the shop.",
        needs=("query",),
        query=_is("string", "What the customer looks for."),
        max_price=_is("number", "Upper limit of the price."),
    ),
    _tool(
        "add_to_cart",
        "Put a product into the shopping cart.",
        needs=("product",),
        product=_PRODUCT,
        quantity=_is("integer", "How many. One if left out.", minimum=1),
    ),
    _tool(
        "remove_from_cart",
        "Take a product out of the shopping cart.",
        needs=("product",),
        product=_PRODUCT,
    ),
    _tool("view_cart", "Show what is in the shopping cart and what it costs together."),
    _tool(
        "place_order",
        "Check out and order everything in the shopping cart.",
        delivery=_one_of("standard", "express", "pickup"),
        gift_wrap=_is("boolean"),
    ),
    _tool(
        "track_parcel",
        "Tell where an order is on its way to the customer.",
        order_number=_is("string", "Leave out for the latest order."),
    ),
    _tool(
        "return_item",
        "Send a delivered product back for a refund.",
        needs=("product",),
        product=_PRODUCT,
        reason=_one_of("broken", "wrong_size", "not_wanted", about="Why it goes back."),
    ),
)

PHONE = (
    _tool(
        "make_call",
        "Call a person from the contacts.",
        needs=("contact",),
        contact=_is("string", "Whom to call."),
        speaker=_is("boolean", "True to use the loudspeaker."),
    ),
    _tool(
        "send_message",
        "Send a text message to a person.",
        needs=("contact", "text"),
        contact=_is("string", "Who gets the message."),
        text=_is("string", "The words of the message."),
    ),
    _tool(
        "read_messages",
        "Read new messages aloud.",
        contact=_is("string", "Read only what this person wrote."),
    ),
    _tool(
        "add_contact",
        "Save a new entry in the address book.",
        needs=("name", "number"),
        name=_is("string"),
        number=_is("string", "The phone number, digits only."),
    ),
    _tool("end_call"),
    _tool(
        "set_do_not_disturb",
        "Mute calls and messages, or let them through again.",
        needs=("enabled",),
        enabled=_is("boolean", "True to mute."),
        minutes=_is("integer", "For how long. Until further notice if left out.", minimum=1),
    ),
)

MUSIC = (
    _tool(
        "play_music",
        "Play a song, an artist, a genre or a mood.",
        needs=("query",),
        query=_is("string", "What to play."),
    ),
    _tool("pause"),
    _tool("resume"),
    _tool("next_track"),
    _tool(
        "set_volume",
        "Make the music louder or quieter.",
        needs=("level",),
        level=_is("integer", "From 0, silent, to 10, loudest.", minimum=0, maximum=10),
    ),
    _tool(
        "add_to_playlist",
        "Add the song that is playing to a playlist.",
        needs=("playlist",),
        playlist=_is("string", "Name of the playlist."),
    ),
    _tool(
        "set_repeat",
        "Choose whether music is played again when it is over.",
        needs=("mode",),
        mode=_one_of("off", "one", "all", about="Nothing, this one song, or everything."),
    ),
    _tool("identify_song", "Tell the title and the artist of the music that is playing."),
)

FILES = (
    _tool(
        "find_files",
        "Look for files by what they are about.",
        needs=("query",),
        query=_is("string", "Words to look for."),
        kind=_one_of("document", "image", "video", "audio"),
    ),
    _tool("open_file", "Open a file and show it on the screen.", needs=("name",), name=_FILE),
    _tool(
        "delete_file",
        "Move a file to the trash, or erase it.",
        needs=("name",),
        name=_FILE,
        permanently=_is("boolean", "True to erase it without the trash."),
    ),
    _tool(
        "rename_file",
        "Give a file another name.",
        needs=("name", "new_name"),
        name=_FILE,
        new_name=_is("string"),
    ),
    _tool(
        "share_file",
        "Give another person access to a file.",
        needs=("name", "person"),
        name=_FILE,
        person=_is("string", "With whom to share it."),
        can_edit=_is("boolean", "True if the person may change the file."),
    ),
    _tool("create_folder", needs=("name",), name=_is("string", "Name of the new folder.")),
)

SETS: dict[str, tuple[Declaration, ...]] = {
    "home": HOME,
    "timer": TIMER,
    "weather": WEATHER,
    "calendar": CALENDAR,
    "shop": SHOP,
    "phone": PHONE,
    "music": MUSIC,
    "files": FILES,
}
