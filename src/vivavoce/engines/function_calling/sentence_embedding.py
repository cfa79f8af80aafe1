"""Compute MiniLM sentence embeddings in numpy.

The dot product of two embeddings is their cosine similarity. A short sentence takes about 10 ms.
Not by onnxruntime: there is no graph among the weights, one built here would be as long as the
network, and the tuned and the plain network could not share their unchanged, memory-mapped weights.
Nor by the package `tokenizers`, which brings a hub client along.
"""

from __future__ import annotations

import copy
import itertools
import json
import struct
import threading
import unicodedata
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import threadpoolctl

from vivavoce.engines.workers import CancelToken

Vector = npt.NDArray[np.float32]

_HEADS = 12
_LAYERS = 6
_WIDTH = 384
_EPSILON = 1e-12
_MAX_TOKENS = 128
_MAX_WORD_CHARS = 100
"""Characters of a word that is looked up, as in BERT: the time grows with the cube."""
_MAX_CACHED_EMBEDDINGS = 8192
_MAX_BATCH = 32


class WordPiece:
    """The uncased BERT tokenizer: words, then the longest known pieces of each."""

    def __init__(self, vocabulary: Path) -> None:
        lines = vocabulary.read_text(encoding="utf-8").splitlines()
        self._ids = {piece: number for number, piece in enumerate(lines)}
        self._unknown = self._ids["[UNK]"]

    def ids(self, text: str) -> list[int]:
        """Return the token ids of `text`, between the start and the separator token."""
        inner = (number for word in _words(text) for number in self._pieces(word))
        return [self._ids["[CLS]"], *itertools.islice(inner, _MAX_TOKENS - 2), self._ids["[SEP]"]]

    def _pieces(self, word: str) -> list[int]:
        if len(word) > _MAX_WORD_CHARS:
            return [self._unknown]
        found: list[int] = []
        start = 0
        while start < len(word):
            for end in range(len(word), start, -1):
                piece = word[start:end] if start == 0 else f"##{word[start:end]}"
                if (number := self._ids.get(piece)) is not None:
                    found.append(number)
                    start = end
                    break
            else:
                return [self._unknown]
        return found


def _words(text: str) -> Iterator[str]:
    """Yield words in lower case, without accents, punctuation alone."""
    word = ""
    for char in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(char)
        if category == "Mn" or (category.startswith("C") and not char.isspace()):
            continue
        if char.isspace():
            if word:
                yield word
            word = ""
        elif category.startswith(("P", "S")):
            if word:
                yield word
            yield char
            word = ""
        else:
            word += char
    if word:
        yield word


class MiniLM:
    """all-MiniLM-L6-v2. `encode` may be called from any thread; vectors are remembered."""

    def __init__(self, folder: Path) -> None:
        self._tokenizer = WordPiece(folder / "vocab.txt")
        self._tensors = read_safetensors(folder / "model.safetensors")
        self._lock = threading.Lock()
        # Several threads for matrices this small cost five times the work of one, and more
        # where cores are busy. Other users of BLAS in this process are limited as well.
        threadpoolctl.threadpool_limits(limits=1, user_api="blas")
        self._memory: OrderedDict[str, Vector] = OrderedDict()

    def tuned(self, changes: Mapping[str, Vector]) -> MiniLM:
        """Return the network with matrices added to some of its weights, by their names.

        Unchanged weights are shared with this one.
        """
        other = copy.copy(self)
        other._tensors = {
            **self._tensors,
            **{name: self._tensors[name] + change for name, change in changes.items()},
        }
        other._lock = threading.Lock()
        other._memory = OrderedDict()
        return other

    def encode(self, text: str) -> Vector:
        """Return the embedding of `text`, of length 1."""
        return self.encode_all([text])[0]

    def encode_all(self, texts: Sequence[str], cancel: CancelToken | None = None) -> list[Vector]:
        """Return the embeddings of many texts, in half the time that each takes alone.

        Empty once `cancel` is set.
        """
        with self._lock:
            found = {text: self._memory[text] for text in texts if text in self._memory}
        new = [text for text in dict.fromkeys(texts) if text not in found]
        for start in range(0, len(new), _MAX_BATCH):
            if cancel is not None and cancel.cancelled:
                return []
            part = new[start : start + _MAX_BATCH]
            vectors = self._run([self._tokenizer.ids(text) for text in part])
            found |= zip(part, vectors, strict=True)
        with self._lock:
            self._memory |= found
            for text in found:
                self._memory.move_to_end(text)
            while len(self._memory) > _MAX_CACHED_EMBEDDINGS:
                self._memory.popitem(last=False)
        return [found[text] for text in texts]

    def _run(self, texts: list[list[int]]) -> list[Vector]:
        """Return the embeddings of texts whose tokens lie one after the other in one matrix."""
        tensors = self._tensors
        ids = [number for text in texts for number in text]
        places = np.concatenate([np.arange(len(text)) for text in texts])
        ends = np.cumsum([len(text) for text in texts])
        rows = [slice(end - len(text), end) for text, end in zip(texts, ends, strict=True)]
        embedded = (
            tensors["embeddings.word_embeddings.weight"][ids]
            + tensors["embeddings.position_embeddings.weight"][places]
            + tensors["embeddings.token_type_embeddings.weight"][0]
        )
        state = self._norm(embedded, "embeddings.LayerNorm")
        for layer in range(_LAYERS):
            name = f"encoder.layer.{layer}"
            state = self._norm(
                state + self._attend(state, rows, name), f"{name}.attention.output.LayerNorm"
            )
            inner = _gelu(self._linear(state, f"{name}.intermediate.dense"))
            state = self._norm(
                state + self._linear(inner, f"{name}.output.dense"), f"{name}.output.LayerNorm"
            )
        pooled = [state[row].mean(axis=0) for row in rows]
        return [np.asarray(one / np.linalg.norm(one), dtype=np.float32) for one in pooled]

    def _attend(self, state: Vector, rows: Sequence[slice], name: str) -> Vector:
        """Return the attention of each token to the tokens of its own text."""

        def heads(part: str) -> Vector:
            projected = self._linear(state, f"{name}.attention.self.{part}")
            return projected.reshape(len(state), _HEADS, -1).transpose(1, 0, 2)

        query, key, value = heads("query"), heads("key"), heads("value")
        mixed = np.empty((len(state), _WIDTH), dtype=np.float32)
        for row in rows:
            scores = query[:, row] @ key[:, row].transpose(0, 2, 1)
            scores *= np.float32(1 / np.sqrt(_WIDTH // _HEADS))
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            scores /= scores.sum(axis=-1, keepdims=True)
            mixed[row] = (scores @ value[:, row]).transpose(1, 0, 2).reshape(-1, _WIDTH)
        return self._linear(mixed, f"{name}.attention.output.dense")

    def _linear(self, state: Vector, name: str) -> Vector:
        product: Vector = state @ self._tensors[f"{name}.weight"].T + self._tensors[f"{name}.bias"]
        return product

    def _norm(self, state: Vector, name: str) -> Vector:
        centred = state - state.mean(axis=-1, keepdims=True)
        scale = np.sqrt((centred * centred).mean(axis=-1, keepdims=True) + _EPSILON)
        normed: Vector = (
            centred / scale * self._tensors[f"{name}.weight"] + self._tensors[f"{name}.bias"]
        )
        return normed


def _gelu(x: Vector) -> Vector:
    """The tanh form: within 1e-3 of the exact one, and numpy has no error function."""
    cubic: Vector = x + np.float32(0.044715) * x * x * x
    curved: Vector = np.float32(0.5) * x * (1 + np.tanh(np.float32(0.7978845608) * cubic))
    return curved


def read_safetensors(path: Path) -> dict[str, Vector]:
    """Return the float32 tensors of the file, memory-mapped: unused pages are never read.

    The package safetensors would copy all 90 MB.
    """
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header: dict[str, Any] = json.loads(file.read(length))
    raw = np.memmap(path, dtype=np.uint8, mode="r", offset=8 + length)
    tensors: dict[str, Vector] = {}
    for name, entry in header.items():
        if name != "__metadata__" and entry["dtype"] == "F32":
            start, end = entry["data_offsets"]
            tensors[name] = np.asarray(raw[start:end].view(np.float32)).reshape(entry["shape"])
    return tensors
