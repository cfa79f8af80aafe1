"""Freed memory goes back to the system."""

from __future__ import annotations

import ctypes

import psutil
import pytest

from vivavoce.http.freed_memory import trim_heap

MIB = 1024 * 1024


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "malloc_trim"), reason="needs glibc")
def test_free_blocks_below_used_ones_are_returned() -> None:
    process = psutil.Process()
    blocks = [bytes(64 * 1024) for _ in range(2000)]
    held = process.memory_info().rss
    kept = blocks[::20]
    del blocks
    trim_heap()
    assert process.memory_info().rss < held - 50 * MIB
    assert len(kept) == 100
