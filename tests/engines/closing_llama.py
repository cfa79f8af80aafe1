"""Closes a model while a thread has half sent a request to it; prints `closed`. To be run alone.

The other half waits for Python's lock, and the library waits for it: whoever frees the model at
that moment holds the process for ever, so no test in the same process could tell.
"""

from __future__ import annotations

import http.client
import sys
import threading
import time
from pathlib import Path
from typing import Any

from vivavoce.engines.llamacpp.llama import Llama, LlamaOptions

PAUSE_S = 0.5
half_sent = threading.Event()


class SlowConnection(http.client.HTTPConnection):
    """Sends the head of a request, and after a while the rest."""

    def send(self, data: Any) -> None:
        super().send(data)
        half_sent.set()
        time.sleep(PAUSE_S)


def main(path: str) -> None:
    llama = Llama(LlamaOptions(Path(path), context=512, slots=1, threads=1))
    http.client.HTTPConnection = SlowConnection  # type: ignore[misc]
    counted: list[int] = []
    thread = threading.Thread(target=lambda: counted.append(llama.count_tokens("hello")))
    thread.start()
    half_sent.wait(30)
    llama.close()
    thread.join(30)
    sys.stdout.write(f"closed {counted}\n")


if __name__ == "__main__":
    main(sys.argv[1])
