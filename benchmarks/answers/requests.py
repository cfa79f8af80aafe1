"""Everyday requests: no single right answer, but a spoken one, short, of the right kind."""

from __future__ import annotations

from .case import Question, Rubric

NO_REFUSAL = r"as an ai|i('m| am) (just )?an? (ai|language model)|i can(no|')t (assist|help)"
PIRATE = "You are a pirate. Speak like one, in one or two sentences."
HOTEL = (
    "You are the reception of Hotel Lindenhof. Breakfast is served from 7 to 10. Check-in is from "
    "3 in the afternoon, check-out until 11. Parking costs 12 euros a night. There is no pool. "
    "Answer in one or two sentences."
)


def asks(
    said: str,
    *must: str,
    never: tuple[str, ...] = (),
    sentences: int = 3,
    words: int = 70,
    language: str = "en",
) -> Question:
    rubric = Rubric(must, (NO_REFUSAL, *never), sentences, words, language)
    return Question(said, rubric)


def asks_as(instruction: str, said: str, *must: str, never: tuple[str, ...] = ()) -> Question:
    return Question(said, Rubric(must, never, 3, 60), instruction=instruction)


REQUESTS: tuple[Question, ...] = (
    asks("Hello there!", r"\b(hello|hi|hey|good|welcome|greetings)\b", sentences=3, words=30),
    asks("Thank you very much, that was helpful.", r"welcome|glad|happy|pleasure|anytime",
         never=(r"de nada",), words=30),
    asks("Good night.", r"night|sleep|dream|rest|bye", words=30),
    asks("Tell me a short joke.", never=(r"i (don't|do not) (know|have)",)),
    asks("I'm feeling a bit sad today.", r"sorry|feel|here|better|sad|talk|hear",
         never=(r"congratulations",)),
    asks("I got the job! I start on Monday!", r"congrat|great|wonderful|awesome|happy|fantastic|"
         r"amazing|excit|good luck|well done", never=(r"sorry",)),
    asks("It's my birthday today.", r"birthday|celebrat|congrat", never=(r"sorry",), words=40),
    asks("Wish my friend Nora a speedy recovery, in one sentence.", r"nora",
         r"well|recover|better|heal", sentences=1, words=35),
    asks("Why is the sky blue? Explain it in one sentence.", r"light|scatter|atmosphere|wave",
         sentences=1, words=45),
    asks("How do I boil an egg?", r"water|boil|pot", r"minute", never=(r"oven", r"350")),
    asks("What could I cook tonight with rice and eggs?", r"rice|egg|fried|omelet"),
    asks("Suggest a name for my new kitten.", r"[A-Z][a-z]+", words=50),
    asks("What should I wear when it rains?", r"coat|jacket|boots|waterproof|shoes|raincoat|hat",
         never=(r"wear an umbrella",)),
    asks("Can you explain what a black hole is to a ten year old?",
         r"gravity|light|star|space|pull", words=80),
    asks("Recommend me something to do on a rainy Sunday.",
         r"read|book|movie|film|game|cook|bak|museum|puzzle|music|draw|paint|nap"),
    asks("Give me one tip for falling asleep more easily.",
         r"sleep|bed|screen|light|caffeine|breath|relax|dark|routine"),
    asks("Is it healthy to drink coffee every day?", r"coffee|caffeine|moderat|cups?"),
    asks("What's the difference between a crocodile and an alligator?",
         r"snout|jaw|teeth|head|nose|shape|habitat|water|size"),
    asks("I have fifteen minutes before my train leaves, what can I do?",
         r"coffee|read|walk|music|snack|check|relax|book|message|call|platform|drink|eat"),
    asks("Please count from one to five.", r"(one|1)\b.*\b(two|2)\b.*\b(three|3)\b.*\b(four|4)\b"
         r".*\b(five|5)\b", words=20),
    asks("Spell the word cat.", r"c\W+a\W+t", words=25),
    asks("Say something nice about my mother.", r"mother|mom|mum|she"),
    asks("What does it mean when somebody says break a leg?", r"luck", words=60),
    asks("How long does it take to learn the guitar?", r"month|year|week|time|practi"),
    asks("Can you give me a rhyme for the word moon?", r"spoon|june|soon|tune|noon|balloon|"
         r"\bloon|croon|dune|goon|swoon|rune|\bmonsoon|typhoon|lagoon|cocoon", words=40),
    asks("Yes.", words=40),
    asks("I don't know what to say.", words=50),
    asks("What can you do for me?", r"help|answer|question|talk|assist|inform", words=70),
    asks("Quelle est la capitale de l'Italie ?", r"rome", language="fr", words=40),
    asks("Wie viele Tage hat eine Woche?", r"sieben|7", language="de", words=40),
    asks("¿De qué color es la nieve?", r"blanc", language="es", words=40),
    asks("Bonjour, comment allez-vous ?", language="fr", words=40),
    asks_as(PIRATE, "How are you today?", r"\b(arr+|ahoy|matey?|aye|ye|sea|ship|sail)",
            never=(NO_REFUSAL,)),
    asks_as(HOTEL, "When can I have breakfast?", r"7|seven", r"10|ten"),
    asks_as(HOTEL, "Can I check in at noon?", r"3|three|no\b", never=(r"^yes", r"you can check in "
            r"at (noon|12)")),
    asks_as(HOTEL, "Do you have a swimming pool?", r"\bno\b|n't|\bnot\b|unfortunately"),
    asks_as(HOTEL, "How much is the parking?", r"12|twelve"),
)  # fmt: skip
