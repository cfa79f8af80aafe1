"""A recognition worker that misbehaves, for the pool's tests.

It speaks the pipe protocol without a decoder: an utterance's text is the letters it was fed.
A letter of an utterance chooses a misdeed: `C` crash, `H` hang, `E` fail, `G` garbage, and
`L` crash later, when the utterance is to be finished. Of much silence it tells only how much.
Options `one at PATH` let the first worker load, which then makes that file, and no other.
"""

from __future__ import annotations

import json
import os
import signal
import sys
from pathlib import Path

from vivavoce.engines.pocketsphinx.pipes import HEADER, Reply, Request, frame


def main() -> None:
    source, sink = sys.stdin.buffer, sys.stdout.buffer
    text = ""
    mean = ""
    loaded: Path | None = None
    while len(header := source.read(HEADER.size)) == HEADER.size:
        length, kind = HEADER.unpack(header)
        payload = source.read(length)
        reply, done = b"", Reply.DONE
        match Request(kind):
            case Request.LOAD:
                if payload == b"refuse":
                    reply, done = b"no model", Reply.FAILED
                if payload.startswith(b"one at "):
                    loaded = first_to_load(Path(payload.decode().removeprefix("one at ")))
            case Request.BEGIN:
                text, mean = "", json.loads(payload)["mean"]
            case Request.FEED:
                heard = payload.decode("utf-16-le")
                if "C" in heard:
                    os._exit(3)
                if "H" in heard:
                    signal.pause()
                if "G" in heard:
                    sink.write(b"\xff" * 64)
                    sink.flush()
                if "E" in heard:
                    reply, done = b"ValueError: E", Reply.FAILED
                text += heard
            case Request.HYPOTHESIS:
                reply = text.encode()
            case Request.FINISH:
                if "L" in text:
                    os._exit(3)
                text = f"{len(text)} samples" if "\0" in text else text
                reply = json.dumps({"text": f"{os.getpid()}:{text}", "mean": mean + "m"}).encode()
            case Request.ABANDON:
                text = "abandoned"
        sink.write(frame(done, reply))
        sink.flush()
        if loaded is not None:
            loaded.touch()
            loaded = None


def first_to_load(mark: Path) -> Path:
    """The file to make when the reply is out; whoever is not the first stays here."""
    try:
        mark.with_suffix(".taken").touch(exist_ok=False)
    except FileExistsError:
        signal.pause()
    return mark


if __name__ == "__main__":
    main()
