"""Every layer is fuzzed for a moment, with the same inputs each time.

`VIVAVOCE_FUZZ_S` is the seconds a layer, `VIVAVOCE_FUZZ_SEED` chooses other inputs; for hours
there is `tests/fuzz/run.py`.
"""

from __future__ import annotations

import os

import pytest

from fuzz.campaign import Campaign
from fuzz.layers import LAYERS

SECONDS = float(os.environ.get("VIVAVOCE_FUZZ_S", "5"))
SEED = int(os.environ.get("VIVAVOCE_FUZZ_SEED", "1"))


@pytest.mark.timeout(SECONDS + 120)
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_stands_whatever_is_sent(name: str) -> None:
    report = Campaign(LAYERS[name], SEED).run(SECONDS)
    print(report.line)
    for finding in report.findings.values():
        print(f"{finding.count} times, first by {bytes.fromhex(finding.input)!r}\n{finding.trace}")
    assert report.runs > len(LAYERS[name].seeds())
    assert not report.findings, ", ".join(report.findings)
