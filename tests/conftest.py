"""What every test may rely on."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from skips import pytest_runtest_makereport  # noqa: F401  (a hook: found here by its name)
from support.budget import is_long

HERE = Path(__file__).parent

hypothesis.settings.register_profile("short", max_examples=20, deadline=None)
hypothesis.settings.register_profile("long", max_examples=100, deadline=None)
hypothesis.settings.load_profile("long" if is_long() else "short")


NO_UNITS = ("conformance", "e2e", "fuzz", "partners", "scripts")
"""Folders whose tests drive whole servers, or start programs."""

NO_UNIT = frozenset({"e2e", "embedded", "long", "partner", "process", "sdk"})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what `-m unit` would leave out."""
    folder = collection_path.parent == HERE and collection_path.name in NO_UNITS
    return True if folder and config.option.markexpr == "unit" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark unit tests, and leave out the long ones unless walks take their time."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        if folder not in NO_UNITS and not NO_UNIT.intersection(m.name for m in item.iter_markers()):
            item.add_marker("unit")
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
