"""Tunes MiniLM so that what people say lies near the function that they want.

    pip install jax
    python benchmarks/toolchoice/training/train.py [--epochs 5] [--leave-out 10]

It learns low-rank changes of the upper layers, a few places for words that ask for nothing, and
two numbers that make odds of likeness; they are written to `router.npz` beside the router. The
loss is the cross entropy of the right function among those offered, and none. With `--leave-out`
so many domains are kept out of the training, nothing is written, and the rates on them are
printed: that is what to expect of functions that are like none of these. It takes about a minute
of CPU time for an epoch.
"""

from __future__ import annotations

import argparse
import importlib
import math
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parents[3]))  # the root, for a script

from benchmarks.toolchoice.training import corpus

from vivavoce.engines.function_calling import router
from vivavoce.engines.function_calling.sentence_embedding import MiniLM, WordPiece, read_safetensors
from vivavoce.engines.registry import locate_weights

# Only needed here, so no dependency of the project: mypy must do without it.
jax: Any = importlib.import_module("jax")
jnp: Any = importlib.import_module("jax.numpy")

LAYERS, WIDTH, HEADS, FROM_LAYER = 6, 384, 12, 3
RANK, PLACES, SHARPNESS = 8, 8, 8.0
SAID_TOKENS, FUNCTION_TOKENS = 18, 30
RATE, WARM_UP = 1.5e-3, 20
SIZES = {
    "attention.self.query": (384, 384),
    "attention.self.key": (384, 384),
    "attention.self.value": (384, 384),
    "attention.output.dense": (384, 384),
    "intermediate.dense": (384, 1536),
    "output.dense": (1536, 384),
}

Array = Any
Tree = dict[str, Any]


def folder() -> Path:
    """Where MiniLM's files lie."""
    return locate_weights("minilm")


TOKENS = WordPiece(folder() / "vocab.txt")
TENSORS = {
    name: jnp.asarray(np.array(tensor))
    for name, tensor in read_safetensors(folder() / "model.safetensors").items()
}


def norm(x: Array, name: str) -> Array:
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / jnp.sqrt((centred * centred).mean(-1, keepdims=True) + 1e-12)
    return scaled * TENSORS[f"{name}.weight"] + TENSORS[f"{name}.bias"]


def layers(changes: Tree, x: Array, mask: Array, first: int, end: int) -> Array:
    """The state of texts after some layers, with the changes added to their weights."""
    count, length = mask.shape
    unseen = (1 - mask)[:, None, None, :] * -1e9

    def linear(state: Array, name: str) -> Array:
        product = state @ TENSORS[f"{name}.weight"].T + TENSORS[f"{name}.bias"]
        if name in changes:
            product = product + (state @ changes[name][0]) @ changes[name][1]
        return product

    for layer in range(first, end):
        at = f"encoder.layer.{layer}"

        def heads(part: str, at: str = at, x: Array = x) -> Array:
            projected = linear(x, f"{at}.attention.self.{part}")
            return projected.reshape(count, length, HEADS, -1).transpose(0, 2, 1, 3)

        query, key, value = heads("query"), heads("key"), heads("value")
        scores = query @ key.transpose(0, 1, 3, 2) / math.sqrt(WIDTH // HEADS)
        mixed = jax.nn.softmax(scores + unseen, -1) @ value
        mixed = mixed.transpose(0, 2, 1, 3).reshape(count, length, WIDTH)
        x = norm(
            x + linear(mixed, f"{at}.attention.output.dense"), f"{at}.attention.output.LayerNorm"
        )
        inner = jax.nn.gelu(linear(x, f"{at}.intermediate.dense"), approximate=True)
        x = norm(x + linear(inner, f"{at}.output.dense"), f"{at}.output.LayerNorm")
    return x


@jax.jit  # type: ignore[untyped-decorator, unused-ignore]
def lower(ids: Array, mask: Array) -> Array:
    """What the layers below the changed ones make of texts; it never changes."""
    embedded = (
        TENSORS["embeddings.word_embeddings.weight"][ids]
        + TENSORS["embeddings.position_embeddings.weight"][: ids.shape[1]]
        + TENSORS["embeddings.token_type_embeddings.weight"][0]
    )
    return layers({}, norm(embedded, "embeddings.LayerNorm"), mask, 0, FROM_LAYER)


def vectors(changes: Tree, state: Array, mask: Array) -> Array:
    state = layers(changes, state, mask, FROM_LAYER, LAYERS)
    pooled = (state * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
    return pooled / jnp.linalg.norm(pooled, axis=-1, keepdims=True)


def loss(learned: Tree, said: tuple[Array, Array], functions: tuple[Array, Array],
         allowed: Array, target: Array) -> Array:  # fmt: skip
    utterances = vectors(learned["changes"], *said)
    likeness = jnp.exp(learned["scale"]) * utterances @ vectors(learned["changes"], *functions).T
    none = jax.nn.logsumexp(utterances @ learned["none"].T * SHARPNESS, axis=-1) + learned["bias"]
    odds = jnp.concatenate([jnp.where(allowed, likeness, -1e9), none[:, None]], 1)
    return -jnp.take_along_axis(jax.nn.log_softmax(odds, -1), target[:, None], 1).mean()


@jax.jit  # type: ignore[untyped-decorator, unused-ignore]
def step(learned: Tree, mean: Tree, square: Tree, count: float, rate: float, *batch: Array) -> Any:
    """One step of Adam."""
    cost, slope = jax.value_and_grad(loss)(learned, *batch)
    slope = jax.tree.map(lambda g: jnp.clip(g, -1, 1), slope)
    mean = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, mean, slope)
    square = jax.tree.map(lambda s, g: 0.99 * s + 0.01 * g * g, square, slope)

    def moved(value: Array, m: Array, s: Array) -> Array:
        size = jnp.sqrt(s / (1 - 0.99**count)) + 1e-8
        return value - rate * m / (1 - 0.9**count) / size

    return jax.tree.map(moved, learned, mean, square), mean, square, cost


def beginning(seed: int) -> Tree:
    """Changes that change nothing yet."""
    key = jax.random.PRNGKey(seed)
    changes = {}
    for layer in range(FROM_LAYER, LAYERS):
        for name, (inputs, outputs) in SIZES.items():
            key, own = jax.random.split(key)
            first = jax.random.normal(own, (inputs, RANK)) / math.sqrt(inputs)
            changes[f"encoder.layer.{layer}.{name}"] = [first, jnp.zeros((RANK, outputs))]
    key, own = jax.random.split(key)
    none = jax.random.normal(own, (PLACES, WIDTH)) * 0.05
    return {
        "changes": changes, "none": none, "scale": jnp.log(14.0), "bias": jnp.array(5.0),
    }  # fmt: skip


class States:
    """What the lower layers make of each text, computed once."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int], tuple[npt.NDArray[np.float16], Any]] = {}

    def of(self, texts: Sequence[str], length: int, count: int) -> tuple[Array, Array]:
        texts = [*texts, *[""] * (count - len(texts))]
        new = [text for text in dict.fromkeys(texts) if (text, length) not in self._known]
        for start in range(0, len(new), 64):
            part = new[start : start + 64]
            ids = np.zeros((64, length), np.int32)
            mask = np.zeros((64, length), np.float32)
            mask[:, 0] = 1
            for row, text in enumerate(part):
                pieces = TOKENS.ids(text)[:length]
                ids[row, : len(pieces)] = pieces
                mask[row, : len(pieces)] = 1
            state = np.asarray(lower(ids, mask)).astype(np.float16)
            for row, text in enumerate(part):
                self._known[text, length] = state[row], mask[row]
        found = [self._known[text, length] for text in texts]
        return (
            np.stack([state for state, _ in found]).astype(np.float32),
            np.stack([mask for _, mask in found]),
        )


def train(
    domains: dict[str, corpus.Domain], nothing: Sequence[str], epochs: int, seed: int
) -> Tree:
    """The learned numbers."""
    chance = random.Random(seed)
    learned = beginning(seed)
    mean = square = jax.tree.map(jnp.zeros_like, learned)
    states = States()
    count = total = 0
    for epoch in range(epochs):
        costs, began = [], time.monotonic()
        batches = list(corpus.batches(domains, nothing, chance))
        total = total or epochs * len(batches)
        for batch in batches:
            count += 1
            falling = 0.5 * (1 + math.cos(math.pi * min(1, count / total))) + 0.02
            learned, mean, square, cost = step(
                learned, mean, square, float(count), RATE * min(1, count / WARM_UP) * falling,
                states.of(batch.said, SAID_TOKENS, corpus.UTTERANCES),
                states.of(batch.functions, FUNCTION_TOKENS, corpus.FUNCTIONS),
                np.array(batch.allowed), np.array(batch.target),
            )  # fmt: skip
            costs.append(float(cost))
        print(f"epoch {epoch}: {np.mean(costs):.3f}, {time.monotonic() - began:.0f} s", flush=True)
    return learned


def numbers(learned: Tree) -> dict[str, npt.NDArray[Any]]:
    """What the router reads."""
    found: dict[str, npt.NDArray[Any]] = {
        f"{name}.{part}": np.asarray(matrix, np.float16)
        for name, pair in learned["changes"].items()
        for part, matrix in zip("ab", pair, strict=True)
    }
    found["none"] = np.asarray(learned["none"], np.float32)
    found["scale"] = np.asarray(np.exp(learned["scale"]), np.float32)
    found["bias"] = np.asarray(learned["bias"], np.float32)
    return found


def report(learned: Tree, domains: dict[str, corpus.Domain]) -> None:
    """The rates of the router on domains."""
    chooser = router.Router(MiniLM(folder()), tuning=numbers(learned))
    right = wrong = asked = called = quiet = 0
    for domain in domains.values():
        for said, place in domain.asks:
            choice = chooser.choose_function(said, domain.tools)
            asked += 1
            right += choice is not None and choice.tool is domain.tools[place]
            wrong += choice is not None and choice.tool is not domain.tools[place]
        for said in domain.quiet:
            quiet += 1
            called += chooser.choose_function(said, domain.tools) is not None
    print(f"{', '.join(domains)}:")
    print(f"  right tool {right / asked:.1%}, wrong tool {wrong / asked:.1%} of {asked}")
    print(f"  false call {called / quiet:.1%} of {quiet}")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--leave-out", type=int, default=0, metavar="DOMAINS")
    wishes = parser.parse_args()
    domains, nothing = corpus.read()
    names = sorted(domains)
    random.Random(1).shuffle(names)
    left, kept = names[: wishes.leave_out], names[wishes.leave_out :]
    learned = train({name: domains[name] for name in kept}, nothing, wishes.epochs, wishes.seed)
    if left:
        report(learned, {name: domains[name] for name in left})
    else:
        found: Any = numbers(learned)
        np.savez_compressed(Path(router.__file__).with_name("router.npz"), **found)


if __name__ == "__main__":
    main()
