"""Documents with the sentences that answer: leaflets, notices and articles, all made up.

Each has neighbors that are nearly asked for (another day, another price, another person), so that
the answer can't be found by one word alone.
"""

from __future__ import annotations

from .case import Passage, PassageQuestion

_ask = PassageQuestion

PASSAGES: tuple[Passage, ...] = (
    Passage(
        "Harbor Baths, opening hours and prices",
        "The Harbor Baths were built in 1911 and renovated twice, most recently in 2019. The large "
        "pool is fifty meters long, and the water is kept at 26 degrees all year round. On "
        "weekdays the baths are open from half past six in the morning until nine in the evening. "
        "On Saturdays we open at eight and close at six. On Sundays and public holidays the baths "
        "are open from nine to two only. Adults pay seven euros, children under fourteen pay "
        "three, and children under four swim for free. A ticket for ten visits costs fifty-eight "
        "euros and never expires. The sauna is on the second floor and costs another six euros. "
        "On Wednesdays the sauna is for women only. Swimming lessons for beginners begin every "
        "first Monday of the month and last eight weeks. Please leave your shoes at the entrance "
        "and take a shower before you enter the water. Lockers work with a one-euro coin, which "
        "you get back. Lost things are kept at the cash desk for thirty days. The cafe by the "
        "entrance serves soup, sandwiches and cake, and its terrace overlooks the old harbor. "
        "Dogs are not allowed in the building.",
        (
            _ask("When do the Harbor Baths close on Saturday?",
                 "On Saturdays we open at eight and close at six.", ("six",), ("nine to two",)),
            _ask("What are the opening hours of the baths on Sunday?",
                 "On Sundays and public holidays the baths are open from nine to two only.",
                 ("nine to two",), ("close at six",)),
            _ask("How much does a child under fourteen pay at the baths?",
                 "Adults pay seven euros, children under fourteen pay three, and children under "
                 "four swim for free.", ("three",)),
            _ask("On which day is the sauna for women only?",
                 "On Wednesdays the sauna is for women only.", ("wednesday",)),
        ),
    ),
    Passage(
        "The lighthouse of Skarholm",
        "The lighthouse of Skarholm stands on a bare rock four kilometers off the coast. It was "
        "designed by the engineer Ada Brennick, who had never built a tower before. Work began in "
        "the spring of 1868, but storms carried the foundations away twice. The lamp was lit for "
        "the first time on the second of November 1873. At first it burned rapeseed oil, later "
        "kerosene, and since 1926 it has been electric. The tower is thirty-seven meters high, and "
        "201 steps lead to the lantern room. In clear weather the light can be seen for nineteen "
        "nautical miles. Its first keeper was Johan Ekdahl, who lived there with his wife and five "
        "children. The last keeper, Petra Lund, left the rock in 1984, when the light became "
        "automatic. The worst shipwreck near the rock happened in 1891, when the steamer Calypso "
        "ran aground in fog. Thirty-one sailors were saved that night by the keeper and his eldest "
        "daughter. Today the keepers' house is a small museum. Boats to the rock leave from the "
        "village pier at ten and at two between May and September. Visitors should wear solid "
        "shoes, as the stairs are steep and often wet.",
        (
            _ask("When was the lamp of the Skarholm lighthouse first lit?",
                 "The lamp was lit for the first time on the second of November 1873.", ("1873",),
                 ("1868",)),
            _ask("Who was the last keeper of the lighthouse?",
                 "The last keeper, Petra Lund, left the rock in 1984, when the light became "
                 "automatic.", ("petra lund",), ("ekdahl",)),
            _ask("How high is the lighthouse tower?",
                 "The tower is thirty-seven meters high, and 201 steps lead to the lantern room.",
                 ("thirty-seven",)),
            _ask("How many sailors were rescued from the Calypso?",
                 "Thirty-one sailors were saved that night by the keeper and his eldest daughter.",
                 ("thirty-one",)),
        ),
    ),
    Passage(
        "Your new dishwasher: first steps",
        "Before the first use, remove the transport bolts at the back and level the machine with "
        "the front feet. Fill the salt container with one kilogram of dishwasher salt; some water "
        "will spill, which is normal. Set the water hardness by holding the program button for "
        "five seconds. The eco program takes three hours and twenty minutes and uses the least "
        "energy. The quick program takes thirty minutes and is meant for lightly soiled glasses. "
        "The intensive program heats the water to seventy degrees. Wooden boards, cast iron and "
        "painted porcelain should not go into the machine. Clean the filter once a week under "
        "running water. If the display shows E4, the inlet hose is blocked or the tap is closed. "
        "If the display shows E9, the pump can't drain the water, and the filter should be "
        "checked first. A red drop means that the rinse aid has to be refilled. The warranty lasts "
        "two years from the date of purchase, and five years for the motor. Keep the receipt, as "
        "it is your proof. Service can be reached on weekdays between eight and five.",
        (
            _ask("What does the error E9 on the dishwasher mean?",
                 "If the display shows E9, the pump can't drain the water, and the filter should "
                 "be checked first.", ("pump", "drain"), ("inlet hose",)),
            _ask("How long does the eco program of the dishwasher take?",
                 "The eco program takes three hours and twenty minutes and uses the least energy.",
                 ("three hours and twenty",), ("thirty minutes",)),
            _ask("For how long is the dishwasher's motor under warranty?",
                 "The warranty lasts two years from the date of purchase, and five years for the "
                 "motor.", ("five years",)),
        ),
    ),
    Passage(
        "Minutes of the tenants' meeting",
        "Twenty-three tenants of the house at 8 Mill Street came to the meeting on the fourth of "
        "March. Mrs. Adeyemi chaired it, and Mr. Petrov took the minutes. The roof will be "
        "repaired in May, and the scaffolding will stand for about six weeks. The owner pays for "
        "the roof; the rent does not change because of it. The elevator will be replaced next "
        "year, and for ten days it will be out of order. Mr. Silva asked for more bicycle racks in "
        "the yard. It was agreed that twelve new racks will be put up beside the garages. The "
        "summer party takes place on the twenty-first of June in the yard, and every floor brings "
        "one dish. Noise after ten in the evening was discussed for a long time. The caretaker, "
        "Mr. Kaya, is on vacation from the third to the seventeenth of April. During that time his "
        "colleague Ms. Brandt looks after the house. Keys for the drying room can be had from the "
        "tenants on the first floor on the left. The next meeting will be on the ninth of "
        "September at seven in the evening.",
        (
            _ask("Who looks after the house while the caretaker is on vacation?",
                 "During that time his colleague Ms. Brandt looks after the house.", ("brandt",),
                 ("petrov",)),
            _ask("When is the summer party of the tenants?",
                 "The summer party takes place on the twenty-first of June in the yard, and every "
                 "floor brings one dish.", ("twenty-first of june",), ("september",)),
            _ask("How many new bicycle racks will there be in the yard?",
                 "It was agreed that twelve new racks will be put up beside the garages.",
                 ("twelve",)),
        ),
    ),
    Passage(
        "Grandma Ilse's potato soup",
        "This soup feeds four hungry people and tastes even better on the second day. You need a "
        "kilogram of floury potatoes, two carrots, one leek, an onion and a piece of celery root. "
        "Peel the potatoes and cut them into small cubes. Fry the onion in two spoons of butter "
        "until it is golden. Add the other vegetables and pour a liter and a half of broth over "
        "them. Let everything simmer for twenty-five minutes with the lid on. Take out a third of "
        "the soup, mash it and put it back, which makes it creamy without any cream. Season it "
        "with marjoram, nutmeg and pepper, and add salt only at the very end. Grandma always "
        "served it with smoked sausage, but roasted mushrooms are a good choice without meat. The "
        "soup keeps for three days in the refrigerator. It can be frozen for up to two months, "
        "although the potatoes become a little grainy. Never let it boil again after the parsley "
        "has been added. Dark bread goes with it.",
        (
            _ask("How long should the potato soup simmer?",
                 "Let everything simmer for twenty-five minutes with the lid on.",
                 ("twenty-five minutes",), ("three days",)),
            _ask("How long can I freeze the potato soup?",
                 "It can be frozen for up to two months, although the potatoes become a little "
                 "grainy.", ("two months",), ("three days",)),
        ),
    ),
    Passage(
        "Night train to the north: what passengers should know",
        "The night train leaves the central station every evening at 21:40 from platform eleven. "
        "It stops in Hallberg at 23:15 and arrives in Norvik at 7:05 the next morning. Seats cost "
        "from forty-nine, a bed in a compartment for four from eighty-nine, and a cabin of your "
        "own from one hundred and sixty-nine crowns. Breakfast is included for passengers with a "
        "bed. Bicycles have to be booked two days ahead and cost fifteen crowns. Dogs may travel "
        "in the seats, but in the sleeping cars only if you book the whole compartment. The "
        "restaurant car is open until midnight and again from half past five. Tickets can be "
        "returned free of charge until seven days before departure. After that a fee of twenty "
        "crowns is due, and on the day of travel there is no refund. There are showers in car "
        "twelve; ask the attendant for a towel. The wireless network works in all cars except "
        "number nine. Please be on the platform fifteen minutes early.",
        (
            _ask("When does the night train arrive in Norvik?",
                 "It stops in Hallberg at 23:15 and arrives in Norvik at 7:05 the next morning.",
                 ("7:05",)),
            _ask("In which car are the showers on the night train?",
                 "There are showers in car twelve; ask the attendant for a towel.", ("twelve",),
                 ("nine",)),
            _ask("What does it cost to take a bicycle on the night train?",
                 "Bicycles have to be booked two days ahead and cost fifteen crowns.",
                 ("fifteen crowns",), ("twenty crowns",)),
        ),
    ),
    Passage(
        "The red mason bee",
        "The red mason bee is one of the first wild bees of the year and flies from March to June. "
        "It does not live in a colony: every female builds her own nest. For this she likes hollow "
        "stalks, cracks in walls and even the locks of old doors. She divides the tube into cells "
        "with walls of damp clay. Into each cell she carries pollen and nectar and lays one egg on "
        "top. Males hatch first and wait for the females, often for two weeks. A female lives for "
        "about six weeks and builds up to twenty cells. The larvae eat their store within a month, "
        "spin a cocoon and are grown by September, but they stay inside until spring. For fruit "
        "growers the bee is precious: it flies at temperatures as low as ten degrees, when honey "
        "bees stay at home. Some three hundred females pollinate an orchard for which otherwise "
        "tens of thousands of honey bees would be needed. Its sting is too weak to go through "
        "human skin. Whoever wants to help it can drill holes of eight millimeters into a block of "
        "hard wood and hang it in the sun.",
        (
            _ask("How long does a female red mason bee live?",
                 "A female lives for about six weeks and builds up to twenty cells.",
                 ("six weeks",), ("two weeks",)),
            _ask("What are the walls between the cells of the mason bee made of?",
                 "She divides the tube into cells with walls of damp clay.", ("clay",)),
            _ask("Can the red mason bee sting people?",
                 "Its sting is too weak to go through human skin.", ("too weak",)),
        ),
    ),
    Passage(
        "Company handbook: vacation and sick leave",
        "Every employee has thirty days of vacation a year. New colleagues may take vacation after "
        "three months. Vacation has to be requested in the calendar at least two weeks ahead, and "
        "the team lead answers within five working days. Up to eight days may be carried into the "
        "next year, but they have to be used before the end of March. Who is ill informs the team "
        "lead before nine in the morning. A doctor's note is needed from the fourth day on. If a "
        "child is ill, up to fifteen days a year are paid. Working from abroad is possible for "
        "four weeks a year after consultation with the personnel office. For a wedding of your "
        "own there are two extra days off, for moving house one. Travel expenses are refunded "
        "within a month if the receipts are handed in. First class is allowed on trains for rides "
        "of more than four hours. The personnel office is in room 214, and Ms. Okonkwo is in "
        "charge of all questions about leave.",
        (
            _ask("From which day on do I need a doctor's note?",
                 "A doctor's note is needed from the fourth day on.", ("fourth",)),
            _ask("How many vacation days can be carried over into the next year?",
                 "Up to eight days may be carried into the next year, but they have to be used "
                 "before the end of March.", ("eight",), ("thirty",)),
            _ask("Who is responsible for questions about leave?",
                 "The personnel office is in room 214, and Ms. Okonkwo is in charge of all "
                 "questions about leave.", ("okonkwo",)),
        ),
    ),
)  # fmt: skip
