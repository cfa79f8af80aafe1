"""What every test may rely on."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from skips import pytest_runtest_makereport  # noqa: F401  (a hook: found here by its name)


@pytest.fixture(autouse=True)
def _logging_left_as_it_was() -> Iterator[None]:
    """Commands set up logging for their whole process, which here is everybody's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
