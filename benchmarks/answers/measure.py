"""How well a language model answers: facts, requests, memory, passages, results, conversations.

    python benchmarks/answers/measure.py [--model qwen-0.5b] [--set facts] [--limit N] [--spoken]
                                         [--json FILE]

`--model` is what `model = ...` may be in the configuration (`auto`, `qwen-0.5b`, `qwen-1.5b`,
`openai:URL#NAME`) or the path of a GGUF file. Every set counts right cases; the conversations
count the turns without a fault, where a fault is an answer that (nearly) equals an earlier one,
repeats its own clause, loops, or echoes what was said. `--limit` takes the first N cases of a set
and the first N turns of a conversation. `--spoken` runs the conversations through the real server,
at real-time pace, with synthesized speech, the five side by side: about ten minutes.
Times are wall-clock times of this machine. Those of the sets are taken with nothing read ahead;
`--set speed` measures loading, reading ahead, and what it leaves to the first token.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))  # the root, for a script

import psutil
from benchmarks.answers import checks
from benchmarks.answers.case import PassageQuestion, Question
from benchmarks.answers.facts import FACTS
from benchmarks.answers.memories import MEMORIES
from benchmarks.answers.passages import PASSAGES
from benchmarks.answers.personas import PERSONAS
from benchmarks.answers.reports import REPORTS
from benchmarks.answers.requests import REQUESTS
from benchmarks.answers.runner import Answer, ModelRunner, Timings, build_model
from benchmarks.answers.score import Score, count_turns

from vivavoce.domain.content import BuiltinTool, Tools
from vivavoce.engines.document_index import Index, list_documents, resolve_root, update_index
from vivavoce.engines.registry import EngineBuilder
from vivavoce.tools.toolbox import Toolbox

SETS = ("facts", "requests", "memories", "reports", "passages", "conversations")
SPEED = "speed"
"""Measured before the sets, and apart from them."""

LONG_INSTRUCTION = "You help people in a small shop that sells lamps, cables and tools. " * 6
"""About 100 tokens, as the instruction of an application is."""


async def measure_questions(
    runner: ModelRunner, questions: Sequence[Question], *, must_end: bool = False
) -> Score:
    """Questions with a rubric each."""
    score = Score()
    for question in questions:
        answer = await runner.ask(question)
        faults = list(checks.rubric_faults(answer.text, question.rubric))
        if must_end and not answer.complete:
            faults.append("cut at the limit")
        if checks.is_echo(question.said, answer.text):
            faults.append("echo")
        score.count(question.said, answer.text, faults)
    return score


async def measure_facts(runner: ModelRunner, limit: int) -> Score:
    return await measure_questions(runner, FACTS[:limit])


async def measure_requests(runner: ModelRunner, limit: int) -> Score:
    return await measure_questions(runner, REQUESTS[:limit], must_end=True)


async def measure_memories(runner: ModelRunner, limit: int) -> Score:
    return await measure_questions(runner, MEMORIES[:limit])


async def measure_reports(runner: ModelRunner, limit: int) -> Score:
    """Results of functions; a call in place of a report is a failure."""
    score = Score()
    for case in REPORTS[:limit]:
        answer = await runner.report(case)
        faults = list(checks.rubric_faults(answer.text, case.rubric))
        if answer.calls:
            faults = ["calls again"]
        score.count(case.said, answer.text, faults)
    return score


async def measure_passages(runner: ModelRunner, limit: int) -> Score:
    """Questions about an index of all passages; right means that the sentence was quoted."""
    score = Score()
    answered = 0
    with tempfile.TemporaryDirectory() as folder:
        documents, index = Path(folder) / "documents", Path(folder) / "index.sqlite3"
        documents.mkdir()
        for number, passage in enumerate(PASSAGES):
            text = f"# {passage.title}\n\n{passage.text}\n"
            (documents / f"{number:02}.md").write_text(text, "utf-8")
        with closing(Index(index)) as opened:
            root = resolve_root(documents)
            for _ in update_index(opened, root, list_documents(root)):
                pass
        toolbox = Toolbox(
            search=await EngineBuilder({}).build("search", {"use": "local", "path": index})
        )
        toolset = toolbox.open(lambda kind, name: None)
        tools = await toolset.resolve(Tools(builtin=(BuiltinTool("googleSearch"),)))
        questions = [each for passage in PASSAGES for each in passage.questions]
        for question in questions[:limit]:
            answer = await runner.look_up(question.said, toolset, tools)
            faults = passage_faults(question, answer)
            answered += not [fault for fault in faults if fault != "not quoted"]
            score.count(question.said, answer.text, faults)
        await toolset.aclose()
        await toolbox.aclose()
    score.times["answered, quoted or not"] = answered
    return score


def passage_faults(question: PassageQuestion, answer: Answer) -> list[str]:
    """What is wrong with an answer that should quote the sentence."""
    said = " ".join(checks.words(answer.text))
    faults = [f"lacks {each}" for each in question.must if not _contains(said, each)]
    faults += [f"has {each}" for each in question.must_not if _contains(said, each)]
    faults += checks.loop_faults(answer.text)
    if not _contains(said, question.sentence):
        faults.append("not quoted")
    return faults


def _contains(said: str, phrase: str) -> bool:
    return " ".join(checks.words(phrase)) in said


async def measure_conversations(runner: ModelRunner, limit: int) -> Score:
    """Thirty turns with each persona, in writing."""
    score = Score()
    for persona in PERSONAS:
        answers = await runner.converse(persona, limit)
        count_turns(score, persona.name, persona.lines[: len(answers)], answers)
    return score


MEASURES: dict[str, Callable[[ModelRunner, int], Awaitable[Score]]] = {
    "facts": measure_facts,
    "requests": measure_requests,
    "memories": measure_memories,
    "reports": measure_reports,
    "passages": measure_passages,
    "conversations": measure_conversations,
}


async def measure(model: str, sets: Sequence[str], limit: int) -> dict[str, Score]:
    """The scores of the sets, through the port of the language model."""
    process = psutil.Process()
    before, began = process.memory_info().rss, time.perf_counter()
    engine = await build_model(model)
    loaded_s = time.perf_counter() - began
    scores: dict[str, Score] = {}
    try:
        if SPEED in sets:
            scores[SPEED] = Score(times=await measure_speed(ModelRunner(engine)))
        for name in (each for each in sets if each != SPEED):
            runner = ModelRunner(engine)
            score = scores[name] = await MEASURES[name](runner, limit)
            times = runner.timings
            if times.first_s:
                score.times["first token, ms"] = 1000 * statistics.median(times.first_s)
            if times.tokens_per_s:
                score.times["tokens a second of answering"] = statistics.median(times.tokens_per_s)
        memory = (process.memory_info().rss - before) / 2**20
        print(
            f"{model or 'default'}: loaded in {loaded_s:.1f} s, {memory:.0f} MiB", file=sys.stderr
        )
    finally:
        await engine.aclose()
    return scores


async def measure_speed(runner: ModelRunner) -> dict[str, float]:
    """First tokens with nothing read and with all but the question read; medians over facts."""
    questions = [replace(each, instruction=LONG_INSTRUCTION) for each in FACTS[:5]]
    cold = (await runner.ask(questions[0])).first_s or 0.0
    read_s, warm = [], Timings()
    for question in questions:
        seconds, answer = await runner.ask_prepared(question)
        read_s.append(seconds)
        warm.add(answer)
    began = time.perf_counter()
    answers = await asyncio.gather(*(runner.ask_prepared(each) for each in questions[:2]))
    together = sum(answer.tokens for _, answer in answers) / (time.perf_counter() - began)
    return {
        "first token cold, ms": 1000 * cold,
        "read ahead, ms": 1000 * statistics.median(read_s),
        "first token after that, ms": 1000 * statistics.median(warm.first_s),
        "tokens a second of answering": statistics.median(warm.tokens_per_s),
        "of two at once in all": together,
    }


def show(scores: dict[str, Score]) -> None:
    for name, score in scores.items():
        times = ", ".join(f"{label} {value:.0f}" for label, value in score.times.items())
        counts = f"{score.right:4} of {score.total:4}" if score.total else " " * 12
        print(f"{name:14} {counts}   {times}")
    for name, score in scores.items():
        for failure in score.failures:
            print(f"  {name}: {failure}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--model", default="", help="as in the configuration, or a GGUF file")
    parser.add_argument("--set", action="append", choices=(*SETS, SPEED), dest="sets")
    parser.add_argument("--limit", type=int, default=1000, help="cases of a set, turns of a talk")
    parser.add_argument("--spoken", action="store_true", help="conversations by voice")
    parser.add_argument("--json", type=Path, help="write scores and all answers to this file")
    options = parser.parse_args()
    if options.spoken:
        from benchmarks.answers.spoken import measure_spoken

        scores = {"spoken": measure_spoken(options.model, options.limit)}
    else:
        scores = asyncio.run(measure(options.model, options.sets or SETS, options.limit))
    show(scores)
    if options.json:
        table: dict[str, Any] = {
            name: {
                "right": each.right,
                "of": each.total,
                "failures": each.failures,
                "exchanges": each.exchanges,
            }
            | each.times
            for name, each in scores.items()
        }
        options.json.write_text(json.dumps(table, indent=2, ensure_ascii=False), "utf-8")


if __name__ == "__main__":
    main()
