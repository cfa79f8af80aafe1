"""One GGUF model in this process, by llama.cpp's own server. Every call here blocks.

The library opens an HTTP listener on a random loopback port and can't be told not to. It is
locked: a random key, no web page, no cross-origin headers. We use it for the one thing that
the library's Python calls lack, which is counting tokens.
"""

from __future__ import annotations

import ctypes
import http.client
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from vivavoce.engines.lanes import CancelToken
from vivavoce.errors import EngineError, EngineMissing

ENGINE = "model.llamacpp"
_FAREWELL_S = 5.0

Chunk = dict[str, Any]


@dataclass(frozen=True, slots=True)
class LlamaOptions:
    """How a model is loaded. `context` counts tokens in each of `slots` conversations."""

    path: Path
    context: int
    slots: int
    threads: int
    cache_mib: int
    batch: int = 64
    template: str = ""
    gpu_layers: int = 0


class Llama:
    """A loaded model. Calls may come from several threads at once, one per slot."""

    def __init__(self, options: LlamaOptions) -> None:
        self.options = options
        self.key = secrets.token_urlsafe(24)
        self._running = 0
        self._closing = threading.Event()
        self._quiet = threading.Condition()
        self._server: Any = _load(options, self.key)
        self.address: str = self._server.listening_address

    def stream(self, body: Chunk, token: CancelToken, put: Callable[[Chunk], object]) -> None:
        """Run one chat completion; every chunk goes to `put`. A set token stops it at once.

        Cold prompts report progress between batches, so that a token set meanwhile is seen.
        Raises `EngineError` with the library's sentence.
        """
        refusals: list[str] = []

        def take(chunk: Chunk) -> bool:
            if "error" in chunk:
                refusals.append(str(chunk["error"].get("message", chunk["error"])))
            elif not (token.cancelled or self._closing.is_set()):
                put(chunk)
            return token.cancelled or self._closing.is_set()

        with self._inside() as server:
            if not token.cancelled:
                server.handle_chat_completions(
                    {**body, "stream": True, "return_progress": True}, take
                )
            del server
        if refusals:
            raise EngineError(ENGINE, refusals[0])

    def complete(self, body: Chunk, token: CancelToken) -> str:
        """The whole text of one chat completion."""
        pieces: list[str] = []
        self.stream(body, token, lambda chunk: pieces.append(text_of(chunk)))
        return "".join(pieces)

    def tokens(self, text: str) -> int:
        """How many tokens `text` is."""
        return len(self._post("/tokenize", {"content": text})["tokens"])

    def render(self, body: Chunk) -> str:
        """The prompt that the model's template makes of a chat."""
        return str(self._post("/apply-template", body)["prompt"])

    def close(self) -> None:
        """Stop what runs, free the model and its listener. Takes at most a few seconds.

        To free it is to wait for the library's threads while nothing of Python runs. One that
        waits for Python in turn (for the rest of a request, for what `put` says) would hold the
        process for ever: with calls that do not end, the model is left to the end of the process.
        """
        self._closing.set()
        with self._quiet:
            if not self._quiet.wait_for(lambda: self._running == 0, timeout=_FAREWELL_S):
                ctypes.pythonapi.Py_IncRef(ctypes.py_object(self._server))
            self._server = None

    @contextmanager
    def _inside(self) -> Iterator[Any]:
        """The library's server, which is not freed meanwhile. Raises `EngineError` once closed."""
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

    def _post(self, path: str, body: Chunk) -> Any:
        with self._inside():
            return self._posted(path, body)

    def _posted(self, path: str, body: Chunk) -> Any:
        where = urlsplit(self.address)
        link = http.client.HTTPConnection(where.hostname or "127.0.0.1", where.port, timeout=10)
        try:
            headers = {"Authorization": f"Bearer {self.key}", "Content-Type": "application/json"}
            link.request("POST", path, json.dumps(body), headers)
            answer = link.getresponse()
            content = answer.read()
        except OSError as error:
            raise EngineError(ENGINE, f"the model's listener failed: {error}") from error
        finally:
            link.close()
        if answer.status != http.HTTPStatus.OK:
            raise EngineError(ENGINE, f"{path} was refused with {answer.status}.")
        return json.loads(content)


def text_of(chunk: Chunk) -> str:
    """The words in a streamed chunk; empty for chunks that carry none."""
    for choice in chunk.get("choices", ()):
        return str(choice.get("delta", {}).get("content") or "")
    return ""


def _load(options: LlamaOptions, key: str) -> Any:
    if not options.path.is_file():
        raise EngineMissing(
            ENGINE,
            f"there is no model file at {options.path}.",
            "Run `vivavoce pull`, or set `path` to a GGUF file.",
        )
    try:
        import xllamacpp
    except ImportError as error:
        raise EngineMissing(
            ENGINE, f"xllamacpp can't be loaded ({error}).", "Run `pip install xllamacpp`."
        ) from error
    params = xllamacpp.CommonParams()
    params.model.path = str(options.path)
    params.n_ctx = options.context * options.slots
    params.n_parallel = options.slots
    params.n_batch = params.n_ubatch = options.batch
    params.n_gpu_layers = options.gpu_layers
    params.cpuparams.n_threads = params.cpuparams_batch.n_threads = options.threads
    params.cache_ram_mib = options.cache_mib
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
