"""One GGUF model in this process, through llama.cpp's own server. Every call here blocks.

The library opens an HTTP listener on a random loopback port, which no option prevents. It is
locked: a random key, no web page, no cross-origin headers. It serves what the library's Python
calls lack: counting tokens, rendering templates, saving and restoring slots.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import os
import re
import secrets
import shutil
import tempfile
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vivavoce.domain.content import Usage
from vivavoce.engines.llamacpp.settings import ENGINE
from vivavoce.engines.workers import CancelToken
from vivavoce.errors import EngineError, EngineMissing
from vivavoce.install_hints import missing_library

_CLOSE_TIMEOUT_S = 5.0
_REQUEST_TIMEOUT_S = 60.0

_SPIN_VARIABLE = "GOMP_SPINCOUNT"
_SPINS = "200"
"""How long a compute thread spins at a barrier before it sleeps.

The library's default, some 300,000 turns, burns the core of a descheduled thread: with one other
busy process on two cores, two threads fall from 31 to 8 tokens/s, below the 17 to 20 of one
thread (Qwen2.5-Coder-0.5B). With 200 turns they give 25 alone and 16 beside it.
"""

_REPORT_EVERY_S = 15.0
"""How often a prompt that is being read is reported: 3,500 tokens take two cores up to a minute."""

_CONTROL_TOKEN = re.compile(r"<(?=\|[^\s|]{1,40}\|>)")
"""The beginning of a token that delimits messages, such as `<|im_end|>`, written as text."""

Chunk = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LlamaOptions:
    """Options for loading a model. `context` counts tokens in each of `slots` conversations."""

    path: Path
    context: int
    slots: int
    threads: int
    batch: int = 64
    template: str = ""
    gpu_layers: int = 0


class Llama:
    """A loaded model. Calls may come from several threads at once, one per slot."""

    def __init__(self, options: LlamaOptions) -> None:
        self.key = secrets.token_urlsafe(24)
        states = tempfile.mkdtemp(prefix="vivavoce-")
        # A start that is cancelled drops a loaded model without closing it.
        self._states = Path(states)
        self._remove_states = weakref.finalize(self, shutil.rmtree, states, ignore_errors=True)
        self._running = 0
        self._closing = threading.Event()
        self._quiet = threading.Condition()
        try:
            self._server: Any = _load(options, self.key, states)
        except BaseException:
            self._remove_states()
            raise
        self.address: str = self._server.listening_address

    def stream_chat(self, body: Chunk, token: CancelToken, put: Callable[[Chunk], object]) -> None:
        """Run one chat completion; every chunk goes to `put`. A set token stops it at once.

        Cold prompts report progress between batches, so that a token set meanwhile is seen.
        Raises `EngineError` with the library's sentence.
        """
        self._run("handle_chat_completions", body, token, put)

    def read_prompt(self, text: str, slot: int, token: CancelToken) -> None:
        """Process the start of a prompt, as `render_chat` gives it, and write nothing."""
        body = {"prompt": text, "n_predict": 0, "id_slot": slot, "cache_prompt": True}
        self._run("handle_completions", body, token, lambda chunk: None)

    def complete_chat(self, body: Chunk, token: CancelToken) -> str:
        """Return the whole text of one chat completion."""
        pieces: list[str] = []
        self.stream_chat(body, token, lambda chunk: pieces.append(text_of(chunk)))
        return "".join(pieces)

    def next_tokens(self, prompt: Sequence[str | int], slot: int, most: int) -> dict[int, float]:
        """Return natural log probabilities of the `most` likeliest tokens after `prompt`, by id.

        `prompt` mixes text (in which special tokens are recognized) and token ids.
        """
        body = {
            "prompt": list(prompt),
            "n_predict": 1,
            "n_probs": most,
            "temperature": 0.0,
            "id_slot": slot,
            "cache_prompt": True,
        }
        answer = self._post("/completion", body, timeout_s=_REQUEST_TIMEOUT_S)
        (first,) = answer["completion_probabilities"][:1] or ({"top_logprobs": ()},)
        return {entry["id"]: entry["logprob"] for entry in first["top_logprobs"]}

    def count_tokens(self, text: str) -> int:
        """Return the number of tokens in `text`."""
        return len(self.token_ids(text))

    def token_ids(self, text: str) -> list[int]:
        """Return the ids of the tokens in `text`."""
        return list(self._post("/tokenize", {"content": text})["tokens"])

    def save_slot(self, slot: int, name: str) -> int:
        """Write a slot's state to the file `name`, over an older one; returns its size in bytes."""
        body = {"filename": name}
        answer = self._post(f"/slots/{slot}?action=save", body, timeout_s=_REQUEST_TIMEOUT_S)
        return int(answer["n_written"])

    def restore_slot(self, slot: int, name: str) -> None:
        """Load the state saved as `name` into a slot. Raises `EngineError` without such a file."""
        self._post(
            f"/slots/{slot}?action=restore", {"filename": name}, timeout_s=_REQUEST_TIMEOUT_S
        )

    def delete_state(self, name: str) -> None:
        """Delete the file `name`, if there is one."""
        (self._states / name).unlink(missing_ok=True)

    def render_chat(self, body: Chunk) -> str:
        """Return the prompt that the model's template makes of a chat."""
        return str(self._post("/apply-template", body)["prompt"])

    def close(self) -> None:
        """Stop running requests, free the model and its listener. Takes at most a few seconds.

        To free it is to wait for the library's threads while nothing of Python runs. One that
        waits for Python in turn (for the rest of a request, for what `put` says) would hold the
        process for ever: with calls that do not end, the model is left to the end of the process.
        """
        self._closing.set()
        with self._quiet:
            if not self._quiet.wait_for(lambda: self._running == 0, timeout=_CLOSE_TIMEOUT_S):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._server))
            self._server = None
        self._remove_states()

    def _run(
        self, handler: str, body: Chunk, token: CancelToken, put: Callable[[Chunk], object]
    ) -> None:
        refusals: list[str] = []

        def receive(chunk: Chunk) -> bool:
            if "error" in chunk:
                refusals.append(str(chunk["error"].get("message", chunk["error"])))
            elif not (token.cancelled or self._closing.is_set()):
                put(chunk)
            return token.cancelled or self._closing.is_set()

        with self._inside() as server:
            if not token.cancelled:
                getattr(server, handler)({**body, "stream": True, "return_progress": True}, receive)
            del server
        if refusals:
            raise EngineError(ENGINE, refusals[0])

    @contextmanager
    def _inside(self) -> Iterator[Any]:
        """Yield the library's server, not freed meanwhile. Raises `EngineError` once closed."""
        with self._quiet:
            if self._server is None or self._closing.is_set():
                raise EngineError(ENGINE, "the model is closed.")
            self._running += 1
            server = self._server
        try:
            yield server
        finally:
            del server
            with self._quiet:
                self._running -= 1
                self._quiet.notify_all()

    def _post(self, path: str, body: Chunk, timeout_s: float = 10) -> Any:
        where = urlsplit(self.address)
        host = where.hostname or "127.0.0.1"
        headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
        with (
            self._inside(),
            closing(http.client.HTTPConnection(host, where.port, timeout=timeout_s)) as link,
        ):
            try:
                link.request("POST", path, json.dumps(body), headers)
                answer = link.getresponse()
                content = answer.read()
            except OSError as error:
                raise EngineError(ENGINE, f"the model's listener failed: {error}") from error
        if answer.status != http.HTTPStatus.OK:
            raise EngineError(ENGINE, f"{path} was refused with {answer.status}.")
        return json.loads(content)


def without_control_tokens(text: str) -> str:
    """Return a text in which the library finds no token that ends or begins a message."""
    return _CONTROL_TOKEN.sub("< ", text)


def text_of(chunk: Chunk) -> str:
    """Return the text in a streamed chunk; empty for chunks that carry none."""
    for choice in chunk.get("choices", ()):
        return str(choice.get("delta", {}).get("content") or "")
    return ""


def finish_reason(chunk: Chunk) -> str:
    """Return the library's reason for ending the text; empty for chunks that do not end it."""
    for choice in chunk.get("choices", ()):
        return str(choice.get("finish_reason") or "")
    return ""


class TokenMeter:
    """Counter of the tokens in a stream; the last chunk has the exact figures."""

    def __init__(self) -> None:
        self.usage = Usage()
        self._pieces = 0
        self._reported = time.monotonic()

    def is_report_due(self) -> bool:
        """Return whether a prompt is being read, and the last report was a while ago."""
        now = time.monotonic()
        due = not self.usage.response_tokens and now - self._reported >= _REPORT_EVERY_S
        if due:
            self._reported = now
        return due

    def read_chunk(self, chunk: Chunk) -> None:
        if progress := chunk.get("prompt_progress"):
            self.usage = Usage(
                prompt_tokens=progress.get("total", 0), cached_tokens=progress.get("cache", 0)
            )
        if timings := chunk.get("timings"):
            cached = timings.get("cache_n", 0)
            self.usage = Usage(
                prompt_tokens=cached + timings.get("prompt_n", 0),
                cached_tokens=cached,
                response_tokens=timings.get("predicted_n", 0),
            )
        elif text_of(chunk):
            self._pieces += 1
            self.usage = Usage(
                prompt_tokens=self.usage.prompt_tokens,
                cached_tokens=self.usage.cached_tokens,
                response_tokens=self._pieces,
            )


def _load(options: LlamaOptions, key: str, states: str) -> Any:
    if not options.path.is_file():
        raise EngineMissing(
            ENGINE,
            f"there is no model file at {options.path}.",
            "Check --model or `path`; `vivavoce pull` fetches the models that have a name.",
        )
    xllamacpp = _library()
    params = xllamacpp.CommonParams()
    params.model.path = str(options.path)
    params.n_ctx = options.context * options.slots
    params.n_parallel = options.slots
    params.n_batch = params.n_ubatch = options.batch
    params.n_gpu_layers = options.gpu_layers
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = 0
    params.slot_save_path = states + os.sep
    params.api_keys = [key]
    params.ui = False
    params.cors_origins = ""
    params.endpoint_slots = False
    params.verbosity = -1
    if options.template:
        params.chat_template = options.template
    try:
        return xllamacpp.Server(params)
    except Exception as error:  # the binding raises whatever the C++ side threw
        raise EngineError(ENGINE, f"{options.path.name} can't be loaded: {error}") from error


def _library() -> Any:
    """Import xllamacpp with threads that sleep while they wait. Raises `EngineMissing`.

    OpenMP reads the variable once, when it is loaded; child processes shall not inherit it.
    """
    chosen = os.environ.get(_SPIN_VARIABLE)
    if chosen is None and "OMP_WAIT_POLICY" not in os.environ:
        os.environ[_SPIN_VARIABLE] = _SPINS
    try:
        import xllamacpp
    except ImportError as error:
        raise missing_library(ENGINE, error, "xllamacpp") from error
    finally:
        if chosen is None:
            os.environ.pop(_SPIN_VARIABLE, None)
    return xllamacpp
