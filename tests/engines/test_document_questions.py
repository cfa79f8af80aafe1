"""Natural questions find the passage that answers them, and questions on something else nothing.

The first table is what the method was made by: questions as people speak them, and as a model
rewrites them, against the example documents. The second was written after it, with documents that
it had not seen; of it only the choice of the floor and the treatment of "how deep" know. There
the numbers are held, and not each question. The third was written before questions for causes and
misheard ones were seen to: its first four questions had failed, the others were not looked at.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from vivavoce.engines import document_index
from vivavoce.engines.document_index import Index, list_documents, update_index
from vivavoce.engines.document_search import LocalSearch
from vivavoce.engines.ports import SearchQuery

SAMPLES = Path(__file__).parent / "data" / "documents"
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


MORE_ANSWERED = [
    ("How deep was the earthquake near Ferndale?", "10 kilometres"),
    ("How many people were told to go to higher ground?", "five million"),
    ("Which tectonic plates meet at Cape Mendocino?", "Gorda"),
    ("When was the tsunami warning cancelled?", "about an hour"),
    ("How many houses lost power in Humboldt County?", "ten thousand"),
    ("In which stadium did Argentina play Brazil in 2025?", "Monumental"),
    ("Why did Messi not play?", "injured"),
    ("What was the score of the 2023 match in Rio?", "1–0"),
    ("Which coach did Brazil fire?", "Dorival"),
    ("How much do I pay for a late book?", "twenty cents"),
    ("Can I reserve the reading room?", "telephone"),
    ("When is story time for children at the library?", "Saturday at eleven"),
    ("Is the library open on Sundays?", "closed on Sunday"),
    ("What is the difference between spring tides and neap tides?", "neap"),
    ("How high is the tide in the Bay of Fundy?", "sixteen"),
    ("How many spoons of coffee per cup?", "one spoon"),
    ("What should I do when the machine's red light is flashing?", "descaled"),
    ("how old is stromboli", "two thousand"),
    ("Why is Stromboli called the lighthouse of the Mediterranean?", "sailors"),
    ("How high is the summit of Stromboli?", "924"),
    ("How long is the bridge at Halden?", "214"),
    ("May a truck of fifteen tonnes cross the bridge at Halden?", "twelve tonnes"),
    ("When did we plant the tomatoes?", "second of May"),
    ("How often should the tomatoes be watered?", "every evening"),
]

MORE_UNANSWERED = [
    "Who won the World Cup in 2018?",
    "When did Argentina become independent?",
    "What is the population of Brazil?",
    "Who is the coach of Germany?",
    "How deep is the Mariana Trench?",
    "What is the strongest earthquake ever recorded in Chile?",
    "Is there a tsunami in Hawaii?",
    "When does the pharmacy open on Sunday?",
    "How do I renew my passport?",
    "What is the best coffee in Italy?",
    "How do I make pasta?",
    "Where is Mount Vesuvius?",
    "How long is the Golden Gate Bridge?",
    "Who built the Eiffel Tower?",
    "What is the distance to the Moon?",
    "When is the next full moon?",
    "How many cups are in a gallon?",
    "What is the news today?",
    "Who won the basketball game last night?",
    "What is the speed of light?",
    "How do I plant roses?",
    "Which island is the largest in Greece?",
    "When did the second world war end?",
    "What is the phone number of the town hall?",
]

REASONS_AND_MISHEARD = [
    ("What causes spring tides?", "spring tides"),
    ("How often should I descale the coffee machine?", "two months"),
    ("last saw damage between brazil and argentina", "25 March 2025"),
    ("hamstrung was the earthquake in california", "magnitude 7.0"),
    ("What causes neap tides?", "half moon"),
    ("Why do tides happen?", "pulls at the near side"),
    ("Tell me about the volcano of Stromboli", "Stromboli is a volcano"),
    ("What is the reason for the small tsunami?", "so small"),
    ("How far can you climb Stromboli without a guide?", "four hundred metres"),
    ("What does a library card cost?", "twelve dollars"),
    ("How long can I keep a film from the library?", "films for one"),
    ("Can lorries use the bridge at Halden?", "twelve tonnes"),
    ("who one the last mat between argentina and brazil", "25 March 2025"),
    ("what is the magnet of the earthquake in california", "magnitude 7.0"),
]

THIRD_UNANSWERED = [
    "What causes diabetes?",
    "Why is the sky blue?",
    "What is the reason for inflation?",
    "Why do volcanoes erupt in Iceland?",
    "How often should I change the oil in my car?",
    "What causes earthquakes in Japan?",
    "Tell me about the history of Rome.",
    "Can dogs eat chocolate?",
    "what is the capital of argentina",
    "how big is california",
    "who is the governor of california",
    "how many people live in brazil and argentina",
    "brazil nuts from argentina",
    "what happened in december 1941",
    "how do i open a bank account",
    "which wine comes from california and argentina",
]


def indexed_in(where: Path, *folders: Path) -> Path:
    """An index of `folders`, made in `where`."""
    index = Index(where / "documents.sqlite3")
    for folder in folders:
        seen = list(update_index(index, folder, list_documents(folder)))
        assert {each.change for each in seen} == {document_index.FileStatus.READ}
    index.close()
    return index.path


@pytest.fixture(scope="module")
def indexed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return indexed_in(tmp_path_factory.mktemp("index"), EXAMPLES)


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


async def counted(
    index: Path, answered: list[tuple[str, str]], unanswered: list[str]
) -> tuple[int, list[str]]:
    """How many questions the first passage answers, and the others that find one all the same."""
    engine = LocalSearch(index)
    right, strays = 0, []
    for question, holds in answered:
        found = await engine.search(SearchQuery(question))
        right += bool(found) and holds in " ".join(found[0].text.split())
    for question in unanswered:
        strays += [question] if await engine.search(SearchQuery(question)) else []
    await engine.aclose()
    return right, strays


async def test_questions_of_the_second_table(tmp_path: Path) -> None:
    index = indexed_in(tmp_path, EXAMPLES, SAMPLES)
    right, strays = await counted(index, MORE_ANSWERED, MORE_UNANSWERED)
    assert right >= 24
    assert len(strays) <= 2, strays


async def test_causes_are_explained_and_misheard_words_forgiven(tmp_path: Path) -> None:
    index = indexed_in(tmp_path, EXAMPLES, SAMPLES)
    right, strays = await counted(index, REASONS_AND_MISHEARD, THIRD_UNANSWERED)
    assert right >= 13
    assert len(strays) <= 2, strays


async def test_a_written_name_that_is_missing_was_not_misheard(indexed: Path) -> None:
    asked = ["was the earthquake in california hamstrung", "was the earthquake in california Sam"]
    assert await counted(indexed, [(asked[0], "magnitude 7.0")], asked[1:]) == (1, [])


async def test_a_date_in_a_title_is_no_subject(indexed: Path) -> None:
    assert await counted(indexed, [], ["who sang and danced in december 2024"]) == (0, [])
