"""Fuzz for seconds or for hours.

    python tests/fuzz/run.py                            every layer, a minute each
    python tests/fuzz/run.py decode core --seconds 3600 --jobs 2
    python tests/fuzz/run.py --steps 10000000 --seconds 7200
    python tests/fuzz/run.py schemas --guided           guided by coverage, with Atheris
    python tests/fuzz/run.py schemas --input FILE       one saved input once more

Reports and the inputs of findings are written to `--out`. Exits 1 where something was found.
"""

from __future__ import annotations

import argparse
import signal
import subprocess
import sys
import time
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import platformdirs

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests, for a script

from fuzz.campaign import Campaign, CampaignReport
from fuzz.layers import LAYERS

OUT = Path(platformdirs.user_cache_dir("vivavoce")) / "fuzz"
GUIDED = Path(__file__).with_name("guided.py")


def fuzz(seed: int, seconds: float, steps: int, out: Path, name: str) -> CampaignReport:
    """One layer, in a process of its own."""
    return Campaign(LAYERS[name], seed, out).run(seconds, steps)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("layers", nargs="*", metavar="LAYER", help=", ".join(LAYERS))
    parser.add_argument("--seconds", type=float, default=60, help="for each layer")
    parser.add_argument("--steps", type=int, default=0, help="at most, for each layer")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 2**32)
    parser.add_argument("--jobs", type=int, default=1, help="layers at a time")
    parser.add_argument("--out", type=Path, default=OUT)
    parser.add_argument("--guided", action="store_true", help="by coverage; needs atheris")
    parser.add_argument("--input", type=Path, help="run this input and stop")
    options = parser.parse_args()
    if unknown := set(options.layers) - set(LAYERS):
        parser.error(f"no such layer: {', '.join(sorted(unknown))}")
    names = options.layers or list(LAYERS)
    if options.input:
        print(LAYERS[names[0]].run(options.input.read_bytes()))
        return 0
    options.out.mkdir(parents=True, exist_ok=True)
    if options.guided:
        return guided(names, options.seconds, options.out)
    print(f"reports and findings: {options.out}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # the pool ends its processes then
    work = partial(fuzz, options.seed, options.seconds, options.steps, options.out)
    found = False
    with get_context("spawn").Pool(options.jobs) as pool:
        for report in pool.imap_unordered(work, names):
            print(report.line, flush=True)
            for finding in report.findings.values():
                found = True
                print(f"  {finding.count} times {finding.place}\n    input {finding.input[:200]}")
    return int(found)


def guided(names: list[str], seconds: float, out: Path) -> int:
    """Each layer in a process of its own, which Atheris ends."""
    failed = 0
    for name in names:
        command = [sys.executable, str(GUIDED), name, str(out), str(seconds)]
        failed |= subprocess.run(command).returncode != 0
    return int(failed)


if __name__ == "__main__":
    raise SystemExit(main())
