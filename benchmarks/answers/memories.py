"""Questions about facts told two to four turns earlier; I and you must not be confused.

The answers in between are given, so that every model remembers the same conversation.
"""

from __future__ import annotations

from .case import Question, Rubric


def recalls(*turns: str, must: str, never: tuple[str, ...] = ()) -> Question:
    """The last of `turns` is the question; those before are user and model by turns."""
    *history, said = turns
    return Question(said, Rubric((must,), never), tuple(history))


MEMORIES: tuple[Question, ...] = (
    recalls("Hi, my name is Robert.", "Nice to meet you, Robert!",
            "What's a good tea for the evening?", "Chamomile is a calm choice.",
            "Do you remember my name?", must="robert", never=("my name is robert",)),
    recalls("I live in Lisbon, near the river.", "That sounds lovely.",
            "Is it far from there to Porto?", "It is about three hours by train.",
            "So, in which city do I live?", must="lisbon", never=("i live in",)),
    recalls("My dog is called Biscuit.", "What a cute name!",
            "He is five years old.", "Five is a great age for a dog.",
            "He loves the beach.", "Most dogs do.",
            "What's the name of my dog?", must="biscuit"),
    recalls("I'm allergic to peanuts.", "Thank you for telling me, I'll keep it in mind.",
            "What do you think of Thai food?", "It is fresh and full of flavor.",
            "Which food must I avoid?", must="peanut", never=("i('m| am) allergic",)),
    recalls("My flight leaves at six forty in the morning.", "That's early!",
            "I hope there is coffee at the airport.", "There usually is.",
            "Should I take a taxi?", "A taxi is a safe choice at that hour.",
            "When does my flight leave again?", must=r"6[:.]40|six[- ]forty|6 40"),
    recalls("I work as a nurse in a children's hospital.", "That is important work.",
            "It's often loud there.", "I can imagine.",
            "What is my job?", must="nurse", never=("i('m| am) a nurse", "i work as")),
    recalls("My favorite color is orange.", "Orange is a warm color.",
            "And I don't like gray at all.", "Gray can be a bit dull.",
            "Winter is long here.", "Spring will come.",
            "Which color do I like best?", must="orange"),
    recalls("We have two children, Mia and Tom.", "Lovely names.",
            "Mia is the older one.", "I see.",
            "She plays the violin.", "That takes a lot of practice.",
            "Who plays the violin?", must="mia", never=("tom plays",)),
    recalls("I bought a red bicycle yesterday.", "Enjoy your rides!",
            "It cost four hundred dollars.", "That's a fair price.",
            "How much did I pay for it?", must=r"400|four hundred"),
    recalls("Please call me Captain from now on.", "Aye, Captain!",
            "How deep is the sea?", "On average almost four kilometers.",
            "How should you call me?", must="captain"),
    recalls("My sister's wedding is on the ninth of June.", "How wonderful!",
            "It will be in a small village.", "That sounds charming.",
            "I still need a suit.", "There's time to find one.",
            "Any color you like?", "Dark blue is always elegant.",
            "When is the wedding?", must=r"(ninth|9(th)?)\b.*june|june.*(ninth|9)"),
    recalls("I parked the car on level three.", "Good to know.",
            "The store is huge.", "Take your time.",
            "On which level did I park?", must=r"three|3", never=("i parked",)),
    recalls("I don't eat meat.", "Understood, no meat.",
            "I'm getting hungry.", "It's nearly dinner time.",
            "Suggest one dish that I would eat.",
            must=r"vegetable|pasta|salad|tofu|rice|bean|lentil|soup|curry|pizza|risotto|stir|egg|"
            r"vegetarian|veggie|mushroom|chickpea|potato",
            never=("chicken", "beef", "pork", "bacon", "steak", r"\bham\b", "turkey", "salmon")),
    recalls("My grandmother is ninety one.", "What a wonderful age!",
            "She still bakes her own bread.", "That's impressive.",
            "How old is my grandmother?", must=r"91|ninety[- ]one"),
)  # fmt: skip
