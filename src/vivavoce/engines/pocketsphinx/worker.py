"""The program of a recognition worker: one decoder, fed through standard input.

It ends when its input ends, which is also what happens when the server dies.
"""

from __future__ import annotations

import json
import os
import re
import sys
import tempfile
from array import array
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any, BinaryIO

from vivavoce.domain.audio import BYTES_PER_SAMPLE, samples
from vivavoce.engines.pocketsphinx.pipes import HEADER, MAX_PAYLOAD, Reply, Request, frame
from vivavoce.engines.pocketsphinx.vulgar import VULGAR

# Measured on recorded voices: the second pass over the words (fwdflat) costs 0.1 s after the
# end of speech and gains nothing once the mean is carried; the two bounds cut the work on
# unclear sound, where the search is widest.
TUNING: Mapping[str, Any] = {
    "fwdflat": False,
    "bestpath": True,
    "maxhmmpf": 10_000,
    "maxwpf": 20,
    "loglevel": "FATAL",
}

PRIMING_BYTES = samples(1.0) * BYTES_PER_SAMPLE
"""How much of a stranger's first utterance is heard before decoding starts."""

SETTLING_S = 10.0
"""Longer than the eight seconds over which the decoder averages."""

BLOCK_BYTES = samples(0.1) * BYTES_PER_SAMPLE
"""The sound in one call of the decoder."""

_VARIANT = re.compile(r"\(\d+\)$")


class Decoding:
    """One pocketsphinx decoder, and the utterance it is at.

    Cepstral means tell one voice and microphone from another. They go with the conversation,
    not with the decoder: `begin` takes the one it left off with, `finish` gives the next.
    """

    def __init__(self, options: Mapping[str, Any]) -> None:
        from pocketsphinx import Decoder, get_model_path

        bundled = Path(get_model_path()) / "en-us"
        paths = {
            "hmm": Path(options.get("acoustic_model") or bundled / "en-us"),
            "lm": Path(options.get("language_model") or bundled / "en-us.lm.bin"),
            "dict": Path(options.get("dictionary") or bundled / "cmudict-en-us.dict"),
        }
        with tempfile.TemporaryDirectory(prefix="vivavoce-") as folder:
            if not options.get("dictionary"):
                paths["dict"] = _without_vulgar_words(paths["dict"], Path(folder))
            paths["hmm"] = _without_noise_removal(paths["hmm"], Path(folder))
            files = {name: str(path) for name, path in paths.items()}
            self._decoder = Decoder(**files, **TUNING)
        self._stranger: str = self._decoder.get_cmn(False)
        self._settle()
        self._open = False
        self._unprimed = True
        self._ahead = bytearray()

    def begin(self, mean: str) -> None:
        """An utterance begins; `mean` is empty for a conversation's first one."""
        self.abandon()
        self._decoder.set_cmn(mean or self._stranger)
        self._unprimed = not mean
        self._ahead.clear()
        self._decoder.start_utt()
        self._open = True

    def feed(self, pcm: bytes) -> None:
        """More sound. That of a stranger is held back until there is enough to take a mean of."""
        self._ahead += pcm
        if self._unprimed:
            if len(self._ahead) < PRIMING_BYTES:
                return
            self._prime()
        self._search()

    def hypothesis(self) -> str:
        """What is understood so far, the last tenth of a second left out."""
        return _words(self._decoder.hyp())

    def finish(self) -> tuple[str, str]:
        """The final text, and the mean for the conversation's next utterance."""
        if self._unprimed and self._ahead:
            self._prime()
        self._search()
        if self._ahead:
            self._decoder.process_raw(bytes(self._ahead), False, False)
        self._decoder.end_utt()
        self._open = False
        return _words(self._decoder.hyp()), self._decoder.get_cmn(True)

    def abandon(self) -> None:
        """Forget the utterance, if one is open."""
        if self._open:
            self._decoder.end_utt()
        self._open = False
        self._ahead.clear()

    def _settle(self) -> None:
        # A decoder that has heard nothing gives its first sounds more weight in the mean than
        # all later ones. Once it has heard as much as it ever averages over, what it makes of
        # an utterance depends on the utterance and the mean alone.
        hiss = array("h", Random(1).choices(range(-200, 201), k=samples(SETTLING_S)))
        self._decoder.start_utt()
        self._decoder.process_raw(hiss.tobytes(), True, False)
        self._decoder.end_utt()

    def _prime(self) -> None:
        # A mean that is only carried along weighs five seconds of sound, so that a wrong
        # start lasts for the whole utterance; taken from this sound as a whole, it is right.
        self._decoder.process_raw(bytes(self._ahead[:PRIMING_BYTES]), True, True)
        mean = self._decoder.get_cmn(False)
        self._decoder.end_utt()
        self._decoder.set_cmn(mean)
        self._decoder.start_utt()
        self._unprimed = False

    def _search(self) -> None:
        # In blocks of one size, because the decoder adapts block by block: the same sound
        # gives the same words, however it arrives. (Of more than two seconds in one call it
        # would lose the end.)
        while len(self._ahead) >= BLOCK_BYTES:
            self._decoder.process_raw(bytes(self._ahead[:BLOCK_BYTES]), False, False)
            del self._ahead[:BLOCK_BYTES]


def _without_noise_removal(model: Path, folder: Path) -> Path:
    """The acoustic model as links, with an edited copy of its feature parameters.

    The parameters in the model's folder overrule what is passed to the decoder, and the
    noise removal they switch on costs every fifth word that is understood without it.
    """
    for file in model.iterdir():
        target = folder / file.name
        if file.name == "feat.params":
            target.write_text(file.read_text().replace("-remove_noise yes", "-remove_noise no"))
        else:
            os.symlink(file.resolve(), target)
    return folder


def _without_vulgar_words(dictionary: Path, folder: Path) -> Path:
    """A copy of the bundled dictionary: a word that is not in it is never heard."""
    target = folder / dictionary.name
    with dictionary.open(encoding="utf-8") as old, target.open("w", encoding="utf-8") as new:
        for line in old:
            if _VARIANT.sub("", line.partition(" ")[0]) not in VULGAR:
                new.write(line)
    return target


def _words(hypothesis: Any) -> str:
    """Plain words: without marks of silence, of noise, and of variants of pronunciation."""
    if hypothesis is None:
        return ""
    words = (_VARIANT.sub("", word) for word in hypothesis.hypstr.split())
    return " ".join(word for word in words if word and word[0] not in "<[+")


def _answer(decoding: Decoding, request: Request, payload: bytes) -> bytes:
    match request:
        case Request.BEGIN:
            decoding.begin(json.loads(payload)["mean"])
        case Request.FEED:
            decoding.feed(payload)
        case Request.HYPOTHESIS:
            return decoding.hypothesis().encode()
        case Request.FINISH:
            text, mean = decoding.finish()
            return json.dumps({"text": text, "mean": mean}).encode()
        case Request.ABANDON:
            decoding.abandon()
        case Request.LOAD:
            raise ValueError("the decoder is loaded already")
    return b""


def serve(source: BinaryIO, sink: BinaryIO) -> None:
    """Answer requests until the source ends."""
    decoding: Decoding | None = None
    while len(header := source.read(HEADER.size)) == HEADER.size:
        length, kind = HEADER.unpack(header)
        if length > MAX_PAYLOAD:
            return
        payload = source.read(length)
        try:
            request = Request(kind)
            reply = b""
            if decoding is None:
                decoding = Decoding(json.loads(payload))
            else:
                reply = _answer(decoding, request, payload)
            sink.write(frame(Reply.DONE, reply))
        except Exception as error:  # the server decides what becomes of a worker that failed
            sink.write(frame(Reply.FAILED, f"{type(error).__name__}: {error}".encode()))
        sink.flush()


def main() -> None:
    """Serve on the process's own pipes; whatever libraries print goes to standard error."""
    replies = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    serve(sys.stdin.buffer, replies)


if __name__ == "__main__":
    main()
