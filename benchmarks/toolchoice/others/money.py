"""Tool sets and utterances: a bank's telephone service, and a travel agency's desk.

Both have nested objects; the bank's enums are in capitals, the travel desk's texts are long.
"""

from __future__ import annotations

from .labels import ABSENT, ToolSet, ask, other

# fmt: off
_CURRENCY = {"type": "string", "enum": ["EUR", "USD", "GBP", "CHF", "JPY"]}

BANK = ToolSet(
    "bank",
    (
        {
            "name": "transfer_money",
            "description": "Send money from the customer's account to another person.",
            "parameters": {
                "type": "object",
                "properties": {
                    "recipient": {"type": "string", "description": "Name of the payee."},
                    "amount": {
                        "type": "object",
                        "properties": {
                            "value": {"type": "number", "minimum": 0},
                            "currency": _CURRENCY,
                        },
                        "required": ["value", "currency"],
                    },
                },
                "required": ["recipient", "amount"],
            },
        },
        {
            "name": "get_balance",
            "description": "How much money is in an account.",
            "parameters": {
                "type": "object",
                "properties": {
                    "account": {"type": "string",
                                "enum": ["CHECKING", "SAVINGS", "CREDIT_CARD"]},
                },
            },
        },
        {
            "name": "block_card",
            "description": "Disable a payment card so that it can't be used any more.",
            "parameters": {
                "type": "object",
                "properties": {
                    "card": {"type": "string", "enum": ["DEBIT", "CREDIT"]},
                    "reason": {"type": "string", "enum": ["LOST", "STOLEN", "DAMAGED"]},
                },
                "required": ["card"],
            },
        },
        {
            "name": "list_transactions",
            "description": "Recent movements on the account.",
            "parameters": {
                "type": "object",
                "properties": {
                    "count": {"type": "integer", "description": "How many of the latest ones."},
                    "merchant": {"type": "string", "description": "Only those with this shop."},
                },
            },
        },
        {
            "name": "find_branch",
            "description": "Nearest branch or cash machine.",
            "parameters": {
                "type": "object",
                "properties": {
                    "kind": {"type": "string", "enum": ["BRANCH", "CASH_MACHINE"]},
                    "near": {"type": "string", "description": "A street, station or district."},
                },
                "required": ["kind"],
            },
        },
        {
            "name": "exchange_rate",
            "description": "What one currency is worth in another.",
            "parameters": {
                "type": "object",
                "properties": {"from": _CURRENCY, "to": _CURRENCY},
                "required": ["from", "to"],
            },
        },
        {
            "name": "set_spending_limit",
            "description": "Cap what can be spent with the card.",
            "parameters": {
                "type": "object",
                "properties": {
                    "amount": {"type": "number"},
                    "period": {"type": "string", "enum": ["DAILY", "WEEKLY", "MONTHLY"]},
                },
                "required": ["amount", "period"],
            },
        },
    ),
    typed=(
        ask("send 250 euros to Marta Kovacs", "transfer_money", recipient="Marta Kovacs",
            amount={"value": 250, "currency": "EUR"}),
        ask("my credit card got stolen!!", "block_card", card="CREDIT", reason="STOLEN"),
        ask("whats left on my savings", "get_balance", account="SAVINGS"),
        ask("Show me the last 10 transactions.", "list_transactions", count=10),
        ask("don't let me spend more than 400 a week", "set_spending_limit", amount=400,
            period="WEEKLY"),
        ask("cash machine near central station?", "find_branch", kind="CASH_MACHINE",
            near=("central station", "near central station")),
        other("Why are interest rates so low?"),
        other("i got my salary yesterday"),
        other("what does IBAN stand for"),
    ),
    spoken=(
        ask("Transfer eighty dollars to my brother David.", "transfer_money",
            recipient=("david", "my brother david", "brother david"),
            amount={"value": 80, "currency": "USD"}),
        ask("How many Swiss francs do I get for a pound?", "exchange_rate",
            **{"from": "GBP", "to": "CHF"}),
        ask("I can't find my debit card anywhere, please lock it.", "block_card",
            card="DEBIT", reason=("LOST", ABSENT)),
        ask("How much did I pay at Bauhaus lately?", "list_transactions",
            merchant="bauhaus"),
        ask("Is there still enough in my checking account?", "get_balance", account="CHECKING"),
        other("I found my card again, it was in my coat."),
        other("My mother never trusted banks."),
        other("Please don't transfer anything yet."),
        other("Should I buy shares or gold?"),
    ),
)

_DAY = {"type": "string", "description": "Day as month and day, MM-DD, for example 08-15.",
        "pattern": "^[01][0-9]-[0-3][0-9]$"}

TRAVEL = ToolSet(
    "travel",
    (
        {
            "name": "search_flights",
            "description": (
                "Searches all airlines for flights between two cities. The results are sorted by "
                "price, with the cheapest first, and include taxes and fees. Connections with up "
                "to two stops are considered. Seats are not reserved by this function."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "origin": {"type": "string", "description": "City of departure"},
                    "destination": {"type": "string", "description": "City of arrival"},
                    "date": _DAY,
                    "travelers": {
                        "type": "object",
                        "properties": {
                            "adults": {"type": "integer"},
                            "children": {"type": "integer"},
                        },
                    },
                    "cabin": {"type": "string", "enum": ["economy", "business", "first"]},
                },
                "required": ["destination"],
            },
        },
        {
            "name": "book_hotel",
            "description": (
                "Reserves a hotel room. The reservation can be cancelled free of charge up to "
                "forty-eight hours before arrival, and breakfast is included where offered."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "city": {"type": "string"},
                    "check_in": _DAY,
                    "nights": {"type": "integer", "minimum": 1},
                    "room": {"type": "string", "enum": ["single", "double", "suite"]},
                },
                "required": ["city", "nights"],
            },
        },
        {
            "name": "rent_car",
            "description": (
                "Reserves a rental car with one of our partners. Full insurance is part of the "
                "price. The driver has to be at least twenty-one years old."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "location": {"type": "string", "description": "Where it is picked up."},
                    "days": {"type": "integer"},
                    "category": {"type": "string", "enum": ["small", "family", "van", "electric"]},
                },
                "required": ["location", "days"],
            },
        },
        {
            "name": "visa_requirements",
            "description": (
                "Looks up the entry rules of a country in the database of the foreign office, "
                "which is updated every night."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "nationality": {"type": "string", "description": "Passport, e.g. Canadian"},
                    "country": {"type": "string"},
                },
                "required": ["country"],
            },
        },
        {
            "name": "flight_status",
            "description": (
                "Gives the current state of one particular flight on the day of travel, with "
                "delays, gate and terminal, as published by the airport."
            ),
            "parameters": {
                "type": "object",
                "properties": {"flight": {"type": "string", "description": "e.g. LH 454"}},
                "required": ["flight"],
            },
        },
        {
            "name": "choose_seat",
            "description": (
                "Changes the seat in an existing booking. Seats in rows with more legroom cost "
                "extra and are only assigned on explicit request."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "position": {"type": "string", "enum": ["window", "middle", "aisle"]},
                    "extra_legroom": {"type": "boolean"},
                },
                "required": ["position"],
            },
        },
    ),
    typed=(
        ask("flights from Vienna to Porto on 08-03 for two adults and one child",
            "search_flights", origin="Vienna", destination="Porto", date="08-03",
            travelers={"adults": 2, "children": 1}),
        ask("do i need a visa for vietnam with a dutch passport", "visa_requirements",
            nationality="dutch", country="vietnam"),
        ask("Is KL 1023 on time?", "flight_status", flight=("KL 1023", "KL1023")),
        ask("a double room in Ghent for 3 nights", "book_hotel", city="Ghent", nights=3,
            room="double"),
        ask("i'd rather sit at the window", "choose_seat", position="window"),
        other("What language do they speak in Andorra?"),
        other("we missed our plane in madrid last year, what a mess"),
        other("no hotel thanks, we're staying with friends"),
        other("Show me the way to gate B12."),
    ),
    spoken=(
        ask("We need a van for five days, picked up at Lisbon airport.", "rent_car",
            location=("lisbon airport", "at lisbon airport"), days=5, category="van"),
        ask("I want to fly to Dublin in business class.", "search_flights",
            destination="dublin", cabin="business"),
        ask("Can you get me a single room in Prague for two nights?", "book_hotel",
            city="prague", nights=2, room="single"),
        ask("Could I have a seat on the aisle, with more room for my legs?", "choose_seat",
            position="aisle", extra_legroom=True),
        ask("Which papers does a Canadian need to enter Brazil?", "visa_requirements",
            nationality=("canadian", "a canadian"), country="brazil"),
        other("I am a little afraid of flying."),
        other("How long does it take from London to New York by boat?"),
        other("That hotel in Rome was far too expensive."),
        other("Don't book anything before I've asked my wife."),
    ),
)

SETS = (BANK, TRAVEL)
