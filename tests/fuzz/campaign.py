"""Runs of one layer: mutate, run, keep what is new, and write down what broke.

The feedback is the outcome that a layer returns, not coverage: it costs nothing, so that a run
takes microseconds. `guided.py` is the slower way, guided by coverage.
"""

from __future__ import annotations

import gc
import hashlib
import json
import logging
import signal
import time
import traceback
from collections.abc import Hashable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random
from types import FrameType

from fuzz.layer import Layer

BATCH = 64
CPU_S = 3.0
"""For one run; what takes longer is a finding. A run is expected to take under 1 ms."""

MAX_CORPUS = 4000
KEPT_FINDINGS = 50
REPORT_S = 20.0
SHRINK_RUNS = 2000


class TooSlow(Exception):
    """A run took more processor time than `CPU_S`."""


@dataclass
class FuzzFinding:
    """An input that raised, shortened, and where."""

    place: str
    input: str
    trace: str
    count: int = 1


@dataclass
class CampaignReport:
    """What a campaign did. `runs` are inputs, `steps` the steps in them, `cpu_s` processor time."""

    layer: str
    seed: int
    runs: int = 0
    steps: int = 0
    cpu_s: float = 0.0
    outcomes: int = 0
    slowest_ms: float = 0.0
    slowest_input: str = ""
    findings: dict[str, FuzzFinding] = field(default_factory=dict)

    @property
    def rate(self) -> float:
        """Steps for a second of processor time."""
        return self.steps / self.cpu_s if self.cpu_s else 0.0

    @property
    def line(self) -> str:
        """The report in one line."""
        steps = f" of {self.steps:,} steps" if self.steps != self.runs else ""
        return (
            f"{self.layer:14} {self.runs:>12,} runs{steps}, {self.rate:,.0f}/s, "
            f"{self.outcomes:,} outcomes, slowest {self.slowest_ms:.0f} ms, "
            f"{len(self.findings)} findings (seed {self.seed})"
        )


class Campaign:
    """Fuzzes `layer`; the same `seed` makes the same inputs. Findings are written to `folder`."""

    def __init__(self, layer: Layer, seed: int, folder: Path | None = None) -> None:
        self.report = CampaignReport(layer.name, seed)
        self._layer = layer
        self._chance = Random(seed)
        self._corpus: list[bytes] = []
        self._mutator = layer.mutator()
        self._places: dict[Hashable, int] = {}
        self._folder = folder

    def run(self, seconds: float, most: int = 0) -> CampaignReport:
        """Run for so many seconds, and for at most so many steps unless that is 0."""
        report = self.report
        seeds = self._layer.seeds()
        began, written = time.process_time(), time.monotonic()
        gc.collect()
        gc.freeze()  # what is there stays: no collection has to walk it again
        with _watched():
            for data in seeds:
                self._try(data)
            self._corpus = self._corpus or list(seeds)
            until = time.monotonic() + seconds
            while (now := time.monotonic()) < until and not 0 < most <= report.steps:
                for _ in range(BATCH):
                    self._try(self._next())
                report.cpu_s = time.process_time() - began
                if now - written > REPORT_S:
                    written = now
                    self._write()
        gc.unfreeze()
        report.cpu_s = time.process_time() - began
        self._write()
        return report

    def _next(self) -> bytes:
        corpus, choose = self._corpus, self._chance.random
        size = len(corpus)
        one, other = corpus[int(choose() * size)], corpus[int(choose() * size)]
        if len(one) > len(other) and choose() < 0.9:  # short inputs take less time
            one, other = other, one
        return self._mutator.mutate(one, other, self._chance)

    def _try(self, data: bytes) -> None:
        report = self.report
        began = time.thread_time()
        signal.setitimer(signal.ITIMER_PROF, CPU_S)
        try:
            outcome = self._layer.run(data)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as error:  # a library in Rust raises no `Exception` when it panics
            self._found(data, error)
            outcome = None
        signal.setitimer(signal.ITIMER_PROF, 0)
        took_ms = (time.thread_time() - began) * 1000
        report.runs += 1
        report.steps += self._layer.steps(data)
        if took_ms > report.slowest_ms:
            report.slowest_ms, report.slowest_input = took_ms, data.hex()
        if outcome is not None:
            self._keep(outcome, data)

    def _keep(self, outcome: Hashable, data: bytes) -> None:
        """Keep the shortest input of each outcome."""
        place = self._places.get(outcome)
        if place is not None:
            if len(data) < len(self._corpus[place]):
                self._corpus[place] = data
        elif len(self._corpus) < MAX_CORPUS:
            self._places[outcome] = len(self._corpus)
            self._corpus.append(data)
            self.report.outcomes = len(self._places)

    def _found(self, data: bytes, error: BaseException) -> None:
        findings = self.report.findings
        key = place_of(error)
        if (known := findings.get(key)) is not None:
            known.count += 1
        elif len(findings) < KEPT_FINDINGS:
            data = shrunk(self._layer, data, key)
            trace = "".join(traceback.format_exception(error, limit=-12))
            findings[key] = FuzzFinding(key, data.hex(), trace)
            if self._folder is not None:
                name = f"{self._layer.name}-{hashlib.sha256(key.encode()).hexdigest()[:12]}"
                (self._folder / name).write_bytes(data)
                (self._folder / f"{name}.txt").write_text(trace)

    def _write(self) -> None:
        if self._folder is not None:
            path = self._folder / f"{self._layer.name}.json"
            path.write_text(json.dumps(asdict(self.report), indent=1))


def place_of(error: BaseException) -> str:
    """What tells one finding from another: the type, and the last lines that were run."""
    frames = traceback.extract_tb(error.__traceback__)[1:][-3:]  # the first is the caller
    places = (f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames)
    rule = str(error)[:80] if isinstance(error, AssertionError) else ""
    return " ".join((type(error).__name__, *places, rule)).strip()


def shrunk(layer: Layer, data: bytes, key: str) -> bytes:
    """A shorter input with the same finding: pieces are left out as long as it stays."""
    if key.startswith(TooSlow.__name__):
        return data
    runs, size = 0, max(1, len(data) // 2)
    while size and runs < SHRINK_RUNS:
        at = 0
        while at < len(data) and runs < SHRINK_RUNS:
            shorter = data[:at] + data[at + size :]
            runs += 1
            if _fails(layer, shorter) == key:
                data = shorter
            else:
                at += size
        size //= 2
    return data


def _fails(layer: Layer, data: bytes) -> str:
    signal.setitimer(signal.ITIMER_PROF, CPU_S)
    try:
        layer.run(data)
    except (KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:
        return place_of(error)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return ""


@contextmanager
def _watched() -> Iterator[None]:
    """Let the alarm of a run raise `TooSlow` in it; log nothing."""

    def ring(number: int, frame: FrameType | None) -> None:
        raise TooSlow(f"more than {CPU_S:g} s of processor time")

    before = signal.signal(signal.SIGPROF, ring)
    disabled = logging.root.manager.disable
    logging.disable()  # millions of refusals would be written
    try:
        yield
    finally:
        logging.disable(disabled)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.signal(signal.SIGPROF, before)
