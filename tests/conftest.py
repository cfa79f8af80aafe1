"""What every test may rely on."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import hypothesis
import pytest

from skips import pytest_runtest_makereport  # noqa: F401  (a hook: found here by its name)
from support.budget import is_long

hypothesis.settings.register_profile("short", max_examples=20, deadline=None)
hypothesis.settings.register_profile("long", max_examples=100, deadline=None)
hypothesis.settings.load_profile("long" if is_long() else "short")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out the tests marked `long`, unless walks take their time or `-m` names them."""
    if is_long() or "long" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.fixture(autouse=True)
def _logging_left_as_it_was() -> Iterator[None]:
    """Commands set up logging for their whole process, which here is everybody's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
