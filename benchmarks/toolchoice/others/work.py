"""Tool sets and utterances: a warehouse with headsets, and the office of a school.

The warehouse has names in camel case and clipped descriptions in capitals; the school's
descriptions hold examples of what people say.
"""

from __future__ import annotations

from .labels import ABSENT, ToolSet, ask, other

# fmt: off
WAREHOUSE = ToolSet(
    "warehouse",
    (
        {
            "name": "locateItem",
            "description": "FIND STORAGE LOCATION OF ITEM",
            "parameters": {
                "type": "object",
                "properties": {"item": {"type": "string", "description": "ITEM NAME OR NUMBER"}},
                "required": ["item"],
            },
        },
        {
            "name": "stockLevel",
            "description": "QTY ON HAND",
            "parameters": {
                "type": "object",
                "properties": {"item": {"type": "string", "description": "ITEM NAME OR NUMBER"}},
                "required": ["item"],
            },
        },
        {
            "name": "movePallet",
            "description": "RELOCATE PALLET",
            "parameters": {
                "type": "object",
                "properties": {
                    "pallet": {"type": "integer", "description": "PALLET NO"},
                    "aisle": {"type": "integer", "description": "TARGET AISLE 1-40",
                              "minimum": 1, "maximum": 40},
                    "level": {"type": "integer", "description": "TARGET LEVEL 0-5",
                              "minimum": 0, "maximum": 5},
                },
                "required": ["pallet", "aisle"],
            },
        },
        {
            "name": "createPickList",
            "description": "PICK LIST FOR ORDER",
            "parameters": {
                "type": "object",
                "properties": {
                    "order": {"type": "integer", "description": "ORDER NO"},
                    "rush": {"type": "boolean", "description": "TRUE = SHIP TODAY"},
                },
                "required": ["order"],
            },
        },
        {
            "name": "reportDamage",
            "description": "DAMAGED GOODS REPORT",
            "parameters": {
                "type": "object",
                "properties": {
                    "item": {"type": "string"},
                    "quantity": {"type": "integer"},
                },
                "required": ["item", "quantity"],
            },
        },
        {
            "name": "callForklift",
            "description": "FORKLIFT TO DOCK",
            "parameters": {
                "type": "object",
                "properties": {"dock": {"type": "integer", "minimum": 1, "maximum": 12}},
                "required": ["dock"],
            },
        },
        {
            "name": "receiveShipment",
            "description": "BOOK INCOMING GOODS",
            "parameters": {
                "type": "object",
                "properties": {
                    "supplier": {"type": "string"},
                    "pallets": {"type": "integer"},
                },
                "required": ["supplier", "pallets"],
            },
        },
    ),
    typed=(
        ask("where do we keep the 5 liter paint buckets", "locateItem",
            item=("5 liter paint buckets", "the 5 liter paint buckets", "paint buckets")),
        ask("pallet 318 to aisle 14", "movePallet", pallet=318, aisle=14),
        ask("Order 90417 has to leave today, make me a pick list", "createPickList",
            order=90417, rush=True),
        ask("how many ladders do we still have", "stockLevel", item=("ladders", "ladder")),
        ask("dropped a box, four vases broken", "reportDamage",
            item=("vases", "vase"), quantity=4),
        other("this scanner is painfully slow"),
        other("what's our return policy on paint?"),
        other("No forklift needed after all."),
        other("who is on the night shift"),
    ),
    spoken=(
        ask("I need a forklift at dock seven.", "callForklift", dock=7),
        ask("Twelve pallets from Henderson just came in.", "receiveShipment",
            supplier=("henderson",), pallets=12),
        ask("Take pallet forty two up to aisle nine, level three.", "movePallet",
            pallet=42, aisle=9, level=3),
        ask("Do we have any garden hoses left?", "stockLevel",
            item=("garden hoses", "garden hose")),
        ask("In which aisle are the work boots?", "locateItem",
            item=("work boots", "the work boots")),
        ask("Give me the list of what to pick for order five hundred and six.", "createPickList",
            order=506, rush=(ABSENT, False)),
        other("The new guy is doing fine, by the way."),
        other("I already moved that pallet."),
        other("How heavy can a forklift lift, roughly?"),
    ),
)

SCHOOL = ToolSet(
    "school",
    (
        {
            "name": "report_absence",
            "description": (
                "Excuses a student from class, for example 'Tom is in bed with a fever' or "
                "'Lea has a doctor's appointment'."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "student": {"type": "string", "description": "Name, e.g. Tom Weber"},
                    "reason": {"type": "string",
                               "enum": ["sick", "appointment", "family", "other"]},
                    "day": {"type": "string", "description": "e.g. today, next Monday"},
                },
                "required": ["student", "reason"],
            },
        },
        {
            "name": "find_teacher",
            "description": "Says where a teacher is now. Example: 'I'm looking for Mr. Brown'.",
            "parameters": {
                "type": "object",
                "properties": {"teacher": {"type": "string"}},
                "required": ["teacher"],
            },
        },
        {
            "name": "request_meeting",
            "description": (
                "Arranges a talk between a parent and a teacher (e.g. 'Could I see Ms. Ito?')."
            ),
            "parameters": {
                "type": "object",
                "properties": {
                    "teacher": {"type": "string"},
                    "day": {"type": "string", "description": "e.g. Wednesday"},
                    "time": {"type": "string", "description": "24-hour clock, e.g. 15:30",
                             "pattern": "^[0-2][0-9]:[0-5][0-9]$"},
                },
                "required": ["teacher"],
            },
        },
        {
            "name": "get_timetable",
            "description": "Lists the lessons of a class. 'What does 6B have on Tuesday?'",
            "parameters": {
                "type": "object",
                "properties": {
                    "class_name": {"type": "string", "pattern": "^[0-9]+[A-D]$"},
                    "weekday": {"type": "string", "enum": [
                        "monday", "tuesday", "wednesday", "thursday", "friday"]},
                },
                "required": ["class_name"],
            },
        },
        {
            "name": "lost_and_found",
            "description": "Looks in the box of found things ('my son left his cap somewhere').",
            "parameters": {
                "type": "object",
                "properties": {"item": {"type": "string"}, "color": {"type": "string"}},
                "required": ["item"],
            },
        },
        {"name": "ring_bell", "description": "Rings the bell once, for instance after a break."},
        {
            "name": "enroll_child",
            "description": "Starts an enrollment, e.g. 'We'd like to sign up our daughter'.",
            "parameters": {
                "type": "object",
                "properties": {
                    "child": {"type": "string"},
                    "date_of_birth": {"type": "string", "format": "date",
                                      "description": "e.g. 2017-03-25"},
                },
                "required": ["child", "date_of_birth"],
            },
        },
    ),
    typed=(
        ask("Emma Lindqvist has a fever, she's staying home today", "report_absence",
            student=("Emma Lindqvist", "Emma"), reason="sick", day="today"),
        ask("what lessons are there for 8C on thursday", "get_timetable",
            class_name="8C", weekday="thursday"),
        ask("Please sign up our son Milan, born 2018-09-14.", "enroll_child",
            child=("Milan",), date_of_birth="2018-09-14"),
        ask("where can i find mr. osei right now", "find_teacher",
            teacher=("mr. osei", "osei", "mr osei")),
        ask("has anyone handed in a blue water bottle", "lost_and_found",
            item=("water bottle", "blue water bottle", "a blue water bottle"),
            color=("blue", ABSENT)),
        other("Do you still teach Latin?"),
        other("the bell rang late this morning"),
        other("My son is never sick, luckily."),
        other("could you translate this letter"),
    ),
    spoken=(
        ask("Break is over, ring the bell, would you?", "ring_bell"),
        ask("My daughter Julia can't come tomorrow, she has to see the dentist.",
            "report_absence", student="Julia", reason="appointment", day="tomorrow"),
        ask("I would like to talk to Mrs. Novak on Wednesday at half past three.",
            "request_meeting", teacher=("mrs. novak", "mrs novak", "novak"),
            day=("wednesday", "on wednesday"), time="15:30"),
        ask("My son forgot his red jacket somewhere in the building.", "lost_and_found",
            item=("jacket", "red jacket", "his red jacket"), color=("red", ABSENT)),
        ask("What does class five A have on Monday?", "get_timetable", class_name="5A",
            weekday="monday"),
        other("The school play was really lovely."),
        other("How many students are there in this school?"),
        other("We don't need a meeting any more, thanks."),
        other("When I was a child we had no computers."),
    ),
)

SETS = (WAREHOUSE, SCHOOL)
