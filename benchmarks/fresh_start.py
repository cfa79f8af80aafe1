"""What the first command costs on a fresh machine: bytes, seconds of a line, seconds of CPU.

    python benchmarks/fresh_start.py [--megabits 100] [--model qwen-0.5b] [--measure]

The bytes are those of the weights in the catalog that the configuration uses, and of the wheels of
all dependencies, which the package client downloads into a temporary folder to be counted. With
`--measure`, `vivavoce demo --once` is run with an empty cache: it fetches and converts the
weights, starts the server and asks it one spoken question. CPU seconds are of all processes of
that command, so that a slow line doesn't count. Goals: under 180 s at 100 Mbit/s, under 90 s CPU.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import tempfile
import time
import tomllib
from pathlib import Path

from vivavoce.config.loading import load_config
from vivavoce.engines.registry import find_weights
from vivavoce.engines.weights import format_megabytes
from vivavoce.server import weights_in_use

ROOT = Path(__file__).parents[1]
GOAL_S = 180
GOAL_CPU_S = 90


def requirements() -> list[str]:
    """What the first command installs: the dependencies with those of the embedded engines."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    return [*project["dependencies"], *project["optional-dependencies"]["embedded"]]


def dependency_bytes() -> int:
    """Bytes of the wheels of all dependencies on this platform."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pip", "--quiet", "download", "--dest", folder]
        subprocess.run([*command, "--prefer-binary", *requirements()], check=True)
        return sum(file.stat().st_size for file in Path(folder).iterdir())


def weights_bytes(model: str) -> dict[str, int]:
    """Bytes to fetch for each of the weights that the configuration uses."""
    used = weights_in_use(load_config(None, {"model": model or None}))
    return {name: find_weights(name).size_bytes for name in sorted(used)}


def run_first_command(model: str, folder: Path) -> tuple[float, float]:
    """Wall and CPU seconds of the first command with an empty cache in `folder`."""
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache")}
    if model:
        environment["VIVAVOCE_MODEL"] = model
    command = [sys.executable, "-m", "vivavoce", "demo", "--once", "--plain", "--port", "0"]
    command += ["--out", str(folder / "answer.wav")]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    subprocess.run(command, env=environment, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return time.monotonic() - began, cpu_s


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--megabits", type=float, default=100.0, help="speed of the line")
    parser.add_argument("--model", default="", help="as in the configuration")
    parser.add_argument("--measure", action="store_true", help="run the first command as well")
    options = parser.parse_args()
    parts = {"wheels of dependencies": dependency_bytes()} | weights_bytes(options.model)
    for name, size in parts.items():
        print(f"{name:24} {format_megabytes(size):>10}")
    total = sum(parts.values())
    line_s = total * 8 / (options.megabits * 1e6)
    print(
        f"{'all':24} {format_megabytes(total):>10}   {line_s:.0f} s at {options.megabits:g} Mbit/s"
    )
    if not options.measure:
        return
    with tempfile.TemporaryDirectory() as folder:
        wall_s, cpu_s = run_first_command(options.model, Path(folder))
    print(f"first command: {wall_s:.0f} s here with its downloads")
    print(f"CPU: {cpu_s:.0f} s (goal: {GOAL_CPU_S})")
    print(f"line and CPU together: {line_s + cpu_s:.0f} s (goal: {GOAL_S})")


if __name__ == "__main__":
    main()
