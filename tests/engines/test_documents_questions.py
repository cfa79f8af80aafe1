"""Natural questions find the passage that answers them, and questions on something else nothing.

The table is what the floor of the search was chosen by: questions as people speak them, and as a
model rewrites them, against the example documents.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.engines.documents import builder
from vivavoce.engines.documents.search import LocalSearch
from vivavoce.engines.documents.store import Index
from vivavoce.engines.tool_ports import SearchQuery

EXAMPLES = Path(__file__).parents[2] / "examples" / "documents"

ANSWERED = [
    ("When did the last Brazil vs. Argentina soccer match happen?", "25 March 2025"),
    ("when did the last brazil versus argentina soccer match happen", "25 March 2025"),
    ("last Brazil Argentina soccer match", "25 March 2025"),
    ("Brazil vs Argentina last match date", "25 March 2025"),
    ("Who won the last match between Argentina and Brazil?", "Argentina won 4–1"),
    ("Who scored the goals for Argentina against Brazil?", "Enzo Fernández"),
    ("Did Lionel Messi play against Brazil?", "Messi was injured"),
    ("Who scored the only goal for Brazil?", "Matheus Cunha"),
    (
        "Use Google Search to look up information about the largest earthquake in California "
        "the week of Dec 5 2024?",
        "magnitude 7.0",
    ),
    ("largest earthquake in California the week of Dec 5 2024", "magnitude 7.0"),
    ("largest earthquake California December 5 2024", "magnitude 7.0"),
    ("How strong was the earthquake off Cape Mendocino?", "magnitude 7.0"),
    ("Was there a tsunami warning after the California earthquake?", "cancelled"),
    ("Did anybody die in the earthquake in California?", "Nobody died"),
    ("When does the library in Willow Street open?", "ten in the morning"),
    ("library opening hours on Saturday", "Saturday from ten to two"),
    ("How much does a library card cost?", "twelve dollars"),
    ("Why are there two high tides a day?", "both bulges"),
    ("Where are the largest tides on Earth?", "Bay of Fundy"),
    ("What is a spring tide?", "spring tides"),
    ("How do I descale the coffee machine?", "vinegar"),
    ("Why is the red light of the coffee machine blinking?", "descaled"),
    ("how long does a pot of coffee take", "six minutes"),
    ("The coffee machine stays off, what can I do?", "lid"),
    (
        """
        Hey, I need you to do two things for me.

        1. Use Google Search to look up information about the largest earthquake in California
        the week of Dec 5 2024?
        2. Then turn on the lights

        Thanks!
        """,
        "magnitude 7.0",
    ),
]

UNANSWERED = [
    "What is the capital of Mongolia?",
    "Who won the last election in France?",
    "What is the largest city in the world?",
    "When was the last earthquake in Japan?",
    "When did the last Germany vs. France soccer match happen?",
    "What's the weather in San Francisco tomorrow?",
    "How do I repair a washing machine?",
    "Tell me a joke about cats.",
    "What is the price of Bitcoin today?",
    "Who wrote Pride and Prejudice?",
    "How high is Mount Everest?",
    "What time does the museum close on Saturday?",
    "How many people live in Canada?",
    "Turn on the heating in the bedroom.",
    "Who is the president of the United States?",
    "How do solar panels work?",
    "When does the next train to Boston leave?",
    "What did the stock market do in December 2024?",
    "How are you today?",
    "Search the web.",
]


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("index") / "documents.sqlite3"
    index = Index(path)
    seen = list(builder.update(index, EXAMPLES, builder.files_of(EXAMPLES)))
    assert {each.change for each in seen} == {builder.Change.READ}
    index.close()
    return path


@pytest.mark.parametrize(("question", "holds"), ANSWERED)
async def test_the_answer_is_found_first(indexed: Path, question: str, holds: str) -> None:
    engine = LocalSearch(indexed)
    found = await engine.search(SearchQuery(question))
    await engine.aclose()
    assert found, "nothing was found"
    assert holds in " ".join(found[0].text.split()), found[0].text


@pytest.mark.parametrize("question", UNANSWERED)
async def test_a_question_on_something_else_finds_nothing(indexed: Path, question: str) -> None:
    engine = LocalSearch(indexed)
    found = await engine.search(SearchQuery(question))
    await engine.aclose()
    assert [each.text[:60] for each in found] == []
