"""One layer guided by coverage, with Atheris: `python tests/fuzz/guided.py LAYER FOLDER SECONDS`.

Atheris is optional (`pip install atheris`, Linux). It sees which branches an input takes, so it
gets deeper with far fewer runs than `campaign.py`; the mutators and the layers are the same. Its
corpus is kept in the folder and used again.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))  # the tests, for a script

import atheris


def main(name: str, folder: Path, seconds: float) -> None:
    """Fuzz until the time is over; does not return."""
    packages = ["vivavoce", "uvicorn", "h11", "websockets"] if name in CONNECTIONS else ["vivavoce"]
    with atheris.instrument_imports(include=packages):
        layer = importlib.import_module("fuzz.layers").LAYERS[name]
    mutator = layer.mutator()
    corpus = folder / f"corpus-{name}"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(layer.seeds()):
        (corpus / f"seed-{number}").write_bytes(seed)

    def mutate(data: bytes, most: int, seed: int) -> bytes:
        changed: bytes = mutator.mutate(data, data, Random(seed))
        return changed[:most]

    def run(data: bytes) -> None:
        layer.run(data)

    flags = [
        f"-max_total_time={int(seconds)}", "-print_final_stats=1", "-timeout=10", "-max_len=8192",
        f"-artifact_prefix={folder}/{name}-", str(corpus),
    ]  # fmt: skip
    atheris.Setup([sys.argv[0], *flags], run, custom_mutator=mutate)
    atheris.Fuzz()


CONNECTIONS = ("http", "websocket")

if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), float(sys.argv[3]))
