"""How well the embedded models choose functions and fill their arguments, on the labelled set.

    python benchmarks/toolchoice/measure.py [--half dev|values|held|more|others] [--cases] [--json]

For every utterance the router chooses among the functions of its tool set, or none, and the
arguments are filled from the utterance, on the real weights. The rates:

- right tool: of the utterances that ask for a function, those for which exactly that one is
  called; or, where a value that it needs was not said, would be after asking back.
- wrong tool: another function is called. Missed: none is. The three add up to one.
- false call: of the utterances that ask for none, those for which one is called.
- arguments exact: of the utterances that ask for a function with arguments and got the right one,
  those where every argument is as labelled, or as one of its equals (`Case.accepts`), and none is
  there beside. "of all" counts the ones with a wrong function, or none, as failures too.

`values` has one function for each utterance, which is taken as chosen: its arguments are measured.
`others` has tool sets of its own, and half of its texts come from the recognizer.

`--cases` prints every failure, but only of `dev` and `values`: the others are not for tuning.
CPU times are of this process and hold for the machine that they were taken on.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import sys
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

sys.path.insert(0, str(Path(__file__).parents[2]))  # the root, for a script

from benchmarks.toolchoice import others, value_tools
from benchmarks.toolchoice.case import Case
from benchmarks.toolchoice.sets import SETS

from vivavoce.domain.content import Json, ToolDeclaration
from vivavoce.engines.function_calling.arguments import MissingArgument, fill_arguments
from vivavoce.engines.function_calling.router import Choice, ListJudge, Router
from vivavoce.engines.function_calling.sentence_embedding import MiniLM
from vivavoce.engines.llamacpp.llama import Llama, LlamaOptions
from vivavoce.engines.llamacpp.slots import LlamaCompletion, SlotStates
from vivavoce.engines.registry import locate_weights

HALVES = ("dev", "values", "held", "more", "others")
UNSEEN = ("held", "more", "others")


def declarations(tools: str) -> tuple[ToolDeclaration, ...]:
    """The declarations of one tool set, as the server holds them."""
    if tools in others.SETS:
        return others.SETS[tools]
    listed = [value_tools.TOOLS[tools]] if tools in value_tools.TOOLS else SETS[tools]
    return tuple(
        ToolDeclaration(
            str(one["name"]), str(one.get("description", "")), cast("Json", one.get("parameters"))
        )
        for one in listed
    )


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one case: the function or none, and its arguments unless one is missing."""

    case: Case
    called: str | None
    args: Mapping[str, Any] | None
    choosing_ms: float
    filling_ms: float

    @property
    def right(self) -> bool:
        return self.called == self.case.call

    @property
    def exact(self) -> bool:
        return self.right and self.args is not None and self.case.accepts(self.args)


@dataclass(slots=True)
class Rates:
    """Counts of a half, and the rates that they make."""

    outcomes: list[Outcome] = field(default_factory=list)

    def table(self) -> dict[str, tuple[int, int]]:
        """Each rate as how many of how many."""
        asked = [o for o in self.outcomes if o.case.call is not None]
        quiet = [o for o in self.outcomes if o.case.call is None]
        filled = [o for o in asked if o.case.args]
        found = [o for o in filled if o.right]
        return {
            "right tool": (sum(o.right for o in asked), len(asked)),
            "wrong tool": (sum(not o.right and o.called is not None for o in asked), len(asked)),
            "missed": (sum(o.called is None for o in asked), len(asked)),
            "false call": (sum(o.called is not None for o in quiet), len(quiet)),
            "arguments exact": (sum(o.exact for o in found), len(found)),
            "arguments exact, of all": (sum(o.exact for o in found), len(filled)),
            "call exact, of all": (sum(o.exact for o in asked), len(asked)),
        }

    def times(self) -> dict[str, float]:
        """Milliseconds of CPU time: choosing, and filling where there is something to fill."""
        choosing = [o.choosing_ms for o in self.outcomes]
        filling = [o.filling_ms for o in self.outcomes if o.filling_ms]
        return {
            "choosing, median": round(statistics.median(choosing), 1),
            "choosing, most": round(max(choosing), 1),
            "filling, median": round(statistics.median(filling), 1),
            "filling, most": round(max(filling), 1),
        }


def load(judge: str = "") -> Router:
    """Return the router on the real weights, with a judge if a GGUF file is named."""
    encoder = MiniLM(locate_weights("minilm"))
    if not judge:
        return Router(encoder)
    llama = Llama(LlamaOptions(path=Path(judge), context=4096, slots=1, threads=1))
    completion = LlamaCompletion(llama, SlotStates(llama, 256 * 2**20), 0)
    return Router(encoder, judge=ListJudge(completion))


def measure(cases: Iterable[Case], router: Router) -> Rates:
    """Every case tried once."""
    cases = tuple(cases)
    sets = {name: declarations(name) for name in {case.tools for case in cases}}
    for tools in sets.values():
        router.embed_tools(tools)
    return Rates([_tried(case, sets[case.tools], router) for case in cases])


def _tried(case: Case, tools: tuple[ToolDeclaration, ...], router: Router) -> Outcome:
    began = time.process_time()
    given = case.tools in value_tools.TOOLS
    choice = Choice(tools[0], 1.0) if given else router.choose_function(case.said, tools)
    chosen = time.process_time()
    args: Mapping[str, Any] | None = None
    if choice is not None:
        try:
            args = fill_arguments(choice.tool, case.said, router.encoder)
        except MissingArgument:
            args = None
    filling = time.process_time() - chosen if choice is not None and choice.tool.parameters else 0.0
    name = choice.tool.name if choice is not None else None
    return Outcome(case, name, args, 1000 * (chosen - began), 1000 * filling)


def cases_of(half: str) -> tuple[Case, ...]:
    """The cases of one set; those of `more` have no arguments labelled."""
    found: tuple[Case, ...] = importlib.import_module(f"benchmarks.toolchoice.{half}").CASES
    return found


def _print_failures(rates: Rates) -> None:
    for o in rates.outcomes:
        if not o.right:
            print(f"  {o.case.tools}: {o.case.said!r}: {o.called}, not {o.case.call}")
        elif o.case.args and not o.exact:
            print(f"  {o.case.tools}: {o.case.said!r}: {o.args}, not {o.case.args}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--half", choices=HALVES, default="dev")
    parser.add_argument("--cases", action="store_true", help="print the failures of dev or values")
    parser.add_argument("--judge", default="", metavar="GGUF", help="a model that helps to choose")
    parser.add_argument("--skip", type=int, default=0, metavar="N", help="leave out N utterances")
    parser.add_argument("--limit", type=int, metavar="N", help="try at most N utterances")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.cases and options.half in UNSEEN:
        parser.error(f"the cases of {options.half} are not to be seen")
    router = load(options.judge)
    end = None if options.limit is None else options.skip + options.limit
    rates = measure(cases_of(options.half)[options.skip : end], router)
    if options.json:
        print(json.dumps({"rates": rates.table(), "cpu_ms": rates.times()}))
        return
    if options.cases:
        _print_failures(rates)
    print(f"{options.half}: {len(rates.outcomes)} utterances")
    for name, (count, of) in rates.table().items():
        print(f"  {name:24} {count:4} of {of:4}  {count / of if of else 0:6.1%}")
    for name, ms in rates.times().items():
        print(f"  {name:24} {ms:8.1f} ms of CPU time")


if __name__ == "__main__":
    main()
