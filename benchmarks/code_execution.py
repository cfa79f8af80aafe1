"""How long the sandboxes take to start, to run a line of Python, and to end an endless one.

    python benchmarks/code_execution.py [--bwrap PROGRAM] [--python PYTHON] [--json]

Wall-clock figures of one machine, medians of a few runs. `--bwrap` names the program of
bubblewrap, `--python` an interpreter with packages, which then has to import numpy too.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import shutil
import statistics
import time
from collections.abc import Awaitable, Callable

from vivavoce.engines import bubblewrap, monty
from vivavoce.engines.ports import Sandbox
from vivavoce.engines.registry import EngineBuilder

ROUNDS = 15
PRIMES = """
def prime(n):
    return n > 1 and all(n % d for d in range(2, int(n ** 0.5) + 1))
print(sum(n for n in range(20_000) if prime(n)))
"""


async def timed(what: Callable[[], Awaitable[object]]) -> float:
    """Milliseconds."""
    began = time.perf_counter()
    await what()
    return (time.perf_counter() - began) * 1000


async def median(what: Callable[[], Awaitable[object]], rounds: int = ROUNDS) -> float:
    return round(statistics.median([await timed(what) for _ in range(rounds)]), 1)


async def measure(build: Callable[[float], Awaitable[Sandbox]], numbers: bool) -> dict[str, float]:
    """One sandbox; `numbers` is whether it has numpy."""
    began = time.perf_counter()
    sandbox = await build(10)
    figures = {"start": round((time.perf_counter() - began) * 1000, 1)}
    figures["1 + 1"] = await median(lambda: sandbox.run("1 + 1"))
    figures["sum of primes"] = await median(lambda: sandbox.run(PRIMES), 5)
    if numbers:
        figures["import numpy"] = await median(lambda: sandbox.run("import numpy"), 5)

    async def four() -> None:
        await asyncio.gather(*(sandbox.run("1 + 1") for _ in range(4)))

    figures["four at once, all"] = await median(four, 5)
    await sandbox.aclose()
    short = await build(0.5)
    endless = await median(lambda: short.run("while True: pass"), 3)
    figures["endless, beyond its 500 ms"] = round(endless - 500, 1)
    await short.aclose()
    return figures


async def main(arguments: argparse.Namespace) -> None:
    host = EngineBuilder()
    results = {"monty": await measure(lambda s: monty.create({"time_s": s}, host), False)}
    if arguments.bwrap:
        own = {"program": arguments.bwrap, "python": arguments.python}
        results["bubblewrap"] = await measure(
            lambda s: bubblewrap.create({**own, "time_s": s}, host), bool(arguments.python)
        )
    if arguments.json:
        print(json.dumps(results))
        return
    for name, figures in results.items():
        for what, took in figures.items():
            print(f"{name:12} {what:28} {took:8.1f} ms")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bwrap", default=shutil.which("bwrap"))
    parser.add_argument("--python", default="")
    parser.add_argument("--json", action="store_true")
    asyncio.run(main(parser.parse_args()))
