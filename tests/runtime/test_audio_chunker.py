"""Speech in pieces that can be dropped in time."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from vivavoce.engines.ports import Speech
from vivavoce.runtime.audio_chunker import LONGEST_BYTES, LONGEST_TEXT, SHORTEST_BYTES, AudioChunker

SPEECHES = st.lists(st.tuples(st.integers(0, 20_000), st.text("ab c", max_size=30)), max_size=12)


@settings(max_examples=30, deadline=None)
@given(SPEECHES)
def test_nothing_is_lost_and_every_piece_has_its_size(speeches: list[tuple[int, str]]) -> None:
    pieces = AudioChunker()
    out: list[Speech] = []
    pcm = bytearray()
    for size, text in speeches:
        sound = bytes(n % 251 for n in range(len(pcm), len(pcm) + size))
        pcm += sound
        out += pieces.cut_chunks(sound, text)
    out += pieces.take_remainder()
    whole = len(pcm) - len(pcm) % 2
    assert b"".join(piece.pcm for piece in out) == pcm[:whole]
    assert "".join(piece.text for piece in out) == "".join(text for _, text in speeches)
    assert all(len(piece.pcm) % 2 == 0 and len(piece.pcm) <= LONGEST_BYTES for piece in out)
    assert all(len(piece.pcm) >= SHORTEST_BYTES for piece in out[1:-1])


def test_the_first_piece_leaves_at_once_however_short() -> None:
    pieces = AudioChunker()
    assert pieces.cut_chunks(bytes(20), "So") == [Speech(bytes(20), "So")]
    assert pieces.cut_chunks(bytes(20), " what") == []
    assert pieces.take_remainder() == [Speech(bytes(20), " what")]


def test_the_words_of_a_long_stretch_go_with_the_sound_in_which_they_begin() -> None:
    pieces = AudioChunker().cut_chunks(bytes(LONGEST_BYTES * 4), "one two three four")
    assert [piece.text for piece in pieces] == ["one two", " three", " four", ""]


def test_words_without_sound_are_not_lost() -> None:
    pieces = AudioChunker()
    assert pieces.cut_chunks(b"", "hello") == []
    assert pieces.take_remainder() == [Speech(b"", "hello")]
    assert pieces.take_remainder() == []


def test_very_long_text_does_not_wait_for_sound() -> None:
    pieces = AudioChunker()
    pieces.cut_chunks(bytes(21), "a")
    assert pieces.cut_chunks(b"", "b" * LONGEST_TEXT) == []
    assert pieces.cut_chunks(b"", "c") == [Speech(b"", "b" * LONGEST_TEXT), Speech(b"", "c")]
    assert pieces.cut_chunks(bytes(SHORTEST_BYTES), "d")[0].text == "d"
