"""libflite by ctypes.

Rules learned from its source and by measurement:

- Pitch and pace go on the *utterance*, whose features are searched before the voice's. So
  nothing shared is ever written, and any number of threads may speak at once.
- The library keeps the pointer to a feature's name, not the name: names are constants here.
- It frees the streaming record together with the utterance, but the callback's own memory
  is Python's and must outlive the call.
- An exception inside a callback would be printed and lost; it is kept and raised afterwards.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vivavoce.engines.voices import Speaker
from vivavoce.errors import EngineError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Sound = NDArray[np.int16]

ENGINE = "synthesizer.flite"
RATE = 16_000
"""Samples a second of every speaker used here."""

_CHUNK_SAMPLES = 1600
_PITCH, _STRETCH, _STREAMING = b"int_f0_target_mean", b"duration_stretch", b"streaming_info"
_WORD_START = b"R:Token.daughter1.R:SylStructure.daughter1.daughter1.R:Segment.p.end"
_CONTINUE, _STOP = 0, -1

Tokens = list[tuple[str, float]]
"""The words as flite sees them, and when each begins, in seconds of its own sound."""

Take = Callable[["Sound", Tokens], bool]
"""Given a piece of 16 kHz sound and the words of the whole text; says whether to go on."""


class _Wave(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_char_p),
        ("sample_rate", ctypes.c_int),
        ("num_samples", ctypes.c_int),
        ("num_channels", ctypes.c_int),
        ("samples", ctypes.POINTER(ctypes.c_short)),
    )


class _Utterance(ctypes.Structure):
    _fields_ = (
        ("features", ctypes.c_void_p),
        ("ffunctions", ctypes.c_void_p),
        ("relations", ctypes.c_void_p),
        ("ctx", ctypes.c_void_p),
    )


class _Streaming(ctypes.Structure):
    pass


_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int,
    ctypes.POINTER(_Wave),
    ctypes.c_int,
    ctypes.c_int,
    ctypes.c_int,
    ctypes.POINTER(_Streaming),
)
_Streaming._fields_ = (
    ("min_buffsize", ctypes.c_int),
    ("asc", _Callback),
    ("utt", ctypes.POINTER(_Utterance)),
    ("item", ctypes.c_void_p),
    ("userdata", ctypes.c_void_p),
)

_P = ctypes.c_void_p
_UTT = ctypes.POINTER(_Utterance)
_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "flite_init": (ctypes.c_int,),
    "new_utterance": (_UTT,),
    "delete_utterance": (None, _UTT),
    "utt_set_input_text": (None, _UTT, ctypes.c_char_p),
    "utt_init": (_UTT, _UTT, _P),
    "utt_synth": (_UTT, _UTT),
    "utt_wave": (ctypes.POINTER(_Wave), _UTT),
    "utt_relation": (_P, _UTT, ctypes.c_char_p),
    "utt_relation_present": (ctypes.c_int, _UTT, ctypes.c_char_p),
    "relation_head": (_P, _P),
    "item_next": (_P, _P),
    "item_feat_string": (ctypes.c_char_p, _P, ctypes.c_char_p),
    "flite_ffeature_float": (ctypes.c_float, _P, ctypes.c_char_p),
    "flite_feat_set_float": (None, _P, ctypes.c_char_p, ctypes.c_float),
    "flite_feat_set": (None, _P, ctypes.c_char_p, _P),
    "new_audio_streaming_info": (ctypes.POINTER(_Streaming),),
    "audio_streaming_info_val": (_P, ctypes.POINTER(_Streaming)),
}


class Flite:
    """The library, loaded, with its speakers. One a process: `load`."""

    def __init__(self, core: ctypes.CDLL, speakers: dict[Speaker, int]) -> None:
        self._core = core
        self._speakers = speakers

    @property
    def speakers(self) -> tuple[Speaker, ...]:
        return tuple(self._speakers)

    def synthesize(
        self, text: bytes, speaker: Speaker, pitch_hz: float, stretch: float, take: Take
    ) -> None:
        """Speak `text` (ASCII with at least one letter or digit), piece by piece into `take`.

        Blocks; releases the interpreter lock while it computes. Ends early when `take`
        answers False. Raises what `take` raised, and `EngineError` when flite gives up.
        """
        core = self._core
        stream = _Stream(self, take)
        utterance = core.new_utterance()
        try:
            core.utt_set_input_text(utterance, text)
            core.utt_init(utterance, self._speakers[speaker])
            features = utterance.contents.features
            core.flite_feat_set_float(features, _PITCH, pitch_hz)
            core.flite_feat_set_float(features, _STRETCH, stretch)
            core.flite_feat_set(features, _STREAMING, stream.value(core))
            made = core.utt_synth(utterance)
            if stream.failure is not None:
                raise stream.failure
            if not made:
                raise EngineError(ENGINE, "flite could not speak this text.")
        finally:
            core.delete_utterance(utterance)

    def tokens(self, utterance: Any) -> Tokens:
        """The words of an utterance that has been timed but not yet turned into sound."""
        core = self._core
        found: Tokens = []
        if not core.utt_relation_present(utterance, b"Token"):
            return found
        item = core.relation_head(core.utt_relation(utterance, b"Token"))
        while item:
            name = core.item_feat_string(item, b"name") or b""
            found.append((name.decode("ascii", "replace"), _start_of(core, item)))
            item = core.item_next(item)
        return found


def _start_of(core: ctypes.CDLL, token: int) -> float:
    return float(core.flite_ffeature_float(token, _WORD_START))


class _Stream:
    """The callback side of one utterance."""

    def __init__(self, library: Flite, take: Take) -> None:
        self.failure: BaseException | None = None
        self._library = library
        self._take = take
        self._tokens: Tokens | None = None
        self._callback = _Callback(self._on_sound)

    def value(self, core: ctypes.CDLL) -> Any:
        """The streaming record, wrapped as a feature's value; the library will free it."""
        info = core.new_audio_streaming_info()
        info.contents.min_buffsize = _CHUNK_SAMPLES
        info.contents.asc = self._callback
        return core.audio_streaming_info_val(info)

    def _on_sound(self, wave: Any, start: int, size: int, last: int, info: Any) -> int:
        import numpy as np

        try:
            if self._tokens is None:
                self._tokens = self._library.tokens(info.contents.utt)
            whole = np.ctypeslib.as_array(wave.contents.samples, (wave.contents.num_samples,))
            sound = whole[start : start + size].astype(np.int16, copy=True)
            return _CONTINUE if self._take(sound, self._tokens) else _STOP
        except BaseException as failure:
            self.failure = failure
            return _STOP


# --- finding and loading -----------------------------------------------------------------

_LOCK = threading.Lock()
_LOADED: Flite | None = None
_HOMEBREW = ("/opt/homebrew/lib", "/usr/local/lib", "/opt/local/lib")
_SUFFIXES = ("dylib", "1.dylib") if sys.platform == "darwin" else ("so.1", "so")


def load(folder: Path | None = None) -> Flite | None:
    """The library from `folder`, or from the system's usual places; `None` where there is none.

    Loaded once a process: a second call gets the same one, wherever it looks.
    """
    global _LOADED
    with _LOCK:
        if _LOADED is None:
            for place in [_inside(folder)] if folder else ["", *_HOMEBREW]:
                if (found := _load_from(place)) is not None:
                    _LOADED = found
                    break
        return _LOADED


def _inside(folder: Path) -> str:
    """The folder under an unpacked package in which the libraries lie."""
    for suffix in _SUFFIXES:
        for path in sorted(folder.rglob(f"libflite.{suffix}")):
            return str(path.parent)
    return str(folder)


def _load_from(place: str) -> Flite | None:
    # Voices of some builds do not say that they need the core library, so they find its
    # names only if it was loaded globally; others do, and need nothing shared.
    for mode in (ctypes.RTLD_LOCAL, ctypes.RTLD_GLOBAL):
        if (found := _load_with(place, mode)) is not None:
            return found
    return None


def _load_with(place: str, mode: int) -> Flite | None:
    _dependencies(place)
    core = _open(place, "flite", mode)
    if core is None or not all(_open(place, f"flite_{n}", mode) for n in ("usenglish", "cmulex")):
        return None
    for name, (result, *arguments) in _SIGNATURES.items():
        function = getattr(core, name)
        function.restype, function.argtypes = result, arguments
    core.flite_init()
    speakers = dict(_speakers(place, mode))
    return Flite(core, speakers) if speakers else None


def _dependencies(place: str) -> None:
    """What the core library needs and may lie beside it: the loader finds it by its name."""
    if place:
        for path in Path(place).glob("libasound.so.2"):
            ctypes.CDLL(str(path))


def _speakers(place: str, mode: int) -> Iterator[tuple[Speaker, int]]:
    for speaker in Speaker:
        library = _open(place, f"flite_cmu_us_{speaker.value}", mode)
        if library is None:
            continue
        register = getattr(library, f"register_cmu_us_{speaker.value}")
        register.restype, register.argtypes = ctypes.c_void_p, [ctypes.c_char_p]
        if voice := register(None):
            yield speaker, voice


def _open(place: str, name: str, mode: int) -> ctypes.CDLL | None:
    for suffix in _SUFFIXES:
        try:
            return ctypes.CDLL(str(Path(place) / f"lib{name}.{suffix}"), mode=mode)
        except OSError:
            continue
    return None
