"""What people say to a house with functions: the tables that the tool choice is held to."""

from __future__ import annotations

from vivavoce.domain.content import ToolDeclaration

LIGHTS = (ToolDeclaration("turn_on_the_lights"), ToolDeclaration("turn_off_the_lights"))
ON, OFF = "turn_on_the_lights", "turn_off_the_lights"

LIGHTS_WANTED: tuple[tuple[str, str], ...] = (
    ("Turn on the lights please", ON),
    ("turn on the light please", ON),
    ("Could you switch the lights on?", ON),
    ("lights on", ON),
    ("put the lights on", ON),
    ("it is too dark in here", ON),
    ("light up the room", ON),
    ("hey can you please turn the lights on", ON),
    ("Turn off the lights", OFF),
    ("turn the light off", OFF),
    ("switch off the lights please", OFF),
    ("lights out please", OFF),
    ("kill the lights", OFF),
    ("would you mind turning off the lights", OFF),
    ("i want the lights off", OFF),
    ("shut the lights off", OFF),
)

LIGHTS_UNWANTED: tuple[str, ...] = (
    "What is the capital of France?",
    "hello how are you",
    "tell me a joke",
    "who wrote romeo and juliet",
    "what is two plus two",
    "good morning",
    "thank you very much",
    "why is the sky blue",
    "give me three ideas for dinner",
    "what is your name",
    "sing me a song",
    "how many days are in a week",
    "what is a black hole",
    "i am tired today",
    "can you hear me",
    "tell me something about cats",
)

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

HOUSE_WANTED: tuple[tuple[str, str], ...] = (
    ("turn on the lights", ON),
    ("switch on the lamp in the kitchen", ON),
    ("i need some light", ON),
    ("please turn off the lights in the bedroom", OFF),
    ("lights off", OFF),
    ("what is the weather in paris", "get_weather"),
    ("how is the weather today in berlin", "get_weather"),
    ("will it rain in london tomorrow", "get_weather"),
    ("is it cold in oslo right now", "get_weather"),
    ("tell me the weather forecast for madrid", "get_weather"),
    ("set a timer for ten minutes", "set_timer"),
    ("timer five minutes", "set_timer"),
    ("remind me in twenty minutes", "set_timer"),
    ("start a countdown of three minutes", "set_timer"),
    ("play some jazz", "play_music"),
    ("put on some beatles", "play_music"),
    ("i want to hear mozart", "play_music"),
    ("play yesterday by the beatles", "play_music"),
    ("stop the music", "stopMusic"),
    ("turn off the music", "stopMusic"),
    ("stop playing", "stopMusic"),
    ("be quiet", "stopMusic"),
    ("send a message to anna that i am late", "send_message"),
    ("text bob happy birthday", "send_message"),
    ("tell john i will be there soon", "send_message"),
    ("set the thermostat to twenty one degrees", "setThermostat"),
    ("make it warmer to twenty three degrees", "setThermostat"),
    ("heat the room to nineteen", "setThermostat"),
    ("lock the door", "lock_the_door"),
    ("could you lock the front door please", "lock_the_door"),
    ("please make sure that the door is locked", "lock_the_door"),
)

HOUSE_UNWANTED: tuple[str, ...] = (
    *LIGHTS_UNWANTED,
    "who invented the light bulb",
    "is the light on",
    "do not turn on the lights",
    "how does a thermostat work",
    "who is your favourite musician",
    "what is a good temperature for a bedroom",
    "i locked the door already",
    "why does music make people happy",
    "what is the history of the telegraph message",
    "the lights in the city are beautiful",
)

MISHEARD: tuple[tuple[str, str], ...] = (
    ("turn on the light please", ON),
    ("turn on delights please", ON),
    ("turn on the lice please", ON),
    ("turned on the lights please", ON),
    ("turning on the lights please", ON),
    ("turn on the light police", ON),
    ("turn of the lights please", OFF),
    ("turn the lights of", OFF),
)
"""What recognizers make of the two commands."""

TRAVEL = (
    ToolDeclaration("get_current_weather", "Returns the current weather in a location"),
    ToolDeclaration("find_hotels", "Find hotels near a place"),
    ToolDeclaration("book_flight", "Book a flight to a destination"),
    ToolDeclaration("get_stock_price", "Get the price of a stock by its symbol"),
    ToolDeclaration("set_light_values", "Sets the brightness and color temperature of a light."),
    ToolDeclaration("schedule_meeting", "Schedules a meeting with attendees at a time and date."),
    ToolDeclaration("get_time", "Tells the current time"),
)
"""Declarations in the style of published examples; the numbers were not chosen on these."""

TRAVEL_WANTED: tuple[tuple[str, str], ...] = (
    ("what's the weather like in tokyo", "get_current_weather"),
    ("do i need an umbrella today", "get_current_weather"),
    ("find me a hotel in rome", "find_hotels"),
    ("i need a place to sleep in berlin", "find_hotels"),
    ("book me a flight to london", "book_flight"),
    ("what is the price of apple stock", "get_stock_price"),
    ("how much is google trading at", "get_stock_price"),
    ("dim the lights to fifty percent", "set_light_values"),
    ("make the light warmer", "set_light_values"),
    ("schedule a meeting with bob tomorrow at ten", "schedule_meeting"),
    ("set up a call with anna on friday", "schedule_meeting"),
    ("what time is it", "get_time"),
    ("what's the time", "get_time"),
)

TRAVEL_UNWANTED: tuple[str, ...] = (
    "hello",
    "who won the world cup",
    "tell me a joke",
    "what is love",
    "how far is the moon",
    "i am hungry",
    "do you like music",
    "what is the meaning of life",
    "what is a stock",
    "i was in london last year",
    "why do planes fly",
)

FRESH_WANTED: tuple[tuple[str, str], ...] = (
    ("would you turn the lights on in the hallway", ON),
    ("give me some light in here please", ON),
    ("brighten up the living room", ON),
    ("lights please", ON),
    ("i am going to bed turn the lights off", OFF),
    ("we don't need the lights any more", OFF),
    ("switch everything off in the kitchen", OFF),
    ("how warm is it in madrid", "get_weather"),
    ("what's the forecast for hamburg this weekend", "get_weather"),
    ("is it snowing in denver", "get_weather"),
    ("wake me up in half an hour", "set_timer"),
    ("count down seven minutes for the eggs", "set_timer"),
    ("can you set a forty minute timer", "set_timer"),
    ("i feel like listening to some reggae", "play_music"),
    ("could you play something by nina simone", "play_music"),
    ("put the radio on", "play_music"),
    ("that is too loud turn the music off", "stopMusic"),
    ("please stop this song", "stopMusic"),
    ("let my mother know that dinner is ready", "send_message"),
    ("write to peter that the train is delayed", "send_message"),
    ("send sarah a text saying good luck", "send_message"),
    ("i am freezing set it to twenty two degrees", "setThermostat"),
    ("turn the heating down to eighteen", "setThermostat"),
    ("can you lock up the house", "lock_the_door"),
    ("did you lock the door if not please do", "lock_the_door"),
)
"""Other wordings for the nine functions, written down after everything was chosen.

Whoever changes a number or a word list in view of these has to write new ones."""

FRESH_UNWANTED: tuple[str, ...] = (
    "how fast does light travel",
    "who was the first person on the moon",
    "what should i cook tonight",
    "my sister plays the piano",
    "why do we dream",
    "how long does it take to boil an egg",
    "i really like this song",
    "what is the tallest mountain in the world",
    "could you explain how locks work",
    "do not send anything to anna",
    "nice to meet you",
    "let's talk about football",
    "the weather was awful on our holiday",
    "what does a conductor do",
    "can you speak german",
    "it was a long day",
)
