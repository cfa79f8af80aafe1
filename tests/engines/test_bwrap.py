"""What the tests of bubblewrap stand on: that it can't be fetched is found out once."""

from __future__ import annotations

from pathlib import Path

import pytest

from engines.bwrap import FORBIDDEN, NOT_HERE, lack, program


@pytest.mark.integration
def test_that_it_can_not_be_fetched_is_found_out_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if lack() == FORBIDDEN:
        pytest.skip(FORBIDDEN)
    asked = tmp_path / "asked"
    for name in ("apt-get", "dpkg-deb"):
        (tmp_path / name).write_text(f'#!/bin/sh\necho "$@" >> {asked}\nexit 100\n')
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    for _ in range(2):
        with pytest.raises(pytest.skip.Exception, match=NOT_HERE):
            program(tmp_path / "bubblewrap")
        words = [line.split()[-1] for line in asked.read_text().splitlines()]
        assert words == ["bubblewrap", "update", "bubblewrap"]
