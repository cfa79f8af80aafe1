"""What every test may rely on."""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path

import hypothesis
import pytest

from skips import pytest_runtest_makereport  # noqa: F401  (a hook: found here by its name)
from support.budget import is_long
from support.unit_guard import refuse_integration

HERE = Path(__file__).parent

hypothesis.settings.register_profile("short", max_examples=20, deadline=None)
hypothesis.settings.register_profile("long", max_examples=100, deadline=None)
hypothesis.settings.load_profile("long" if is_long() else "short")


INTEGRATION_FOLDERS = ("conformance", "e2e", "fuzz", "partners", "scripts")
"""Folders whose tests drive whole servers, or start programs."""

INTEGRATION_MARKERS = frozenset({"e2e", "embedded", "integration", "partner", "sdk"})


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import what `-m unit` would leave out."""
    folder = collection_path.parent == HERE and collection_path.name in INTEGRATION_FOLDERS
    return True if folder and config.option.markexpr.split(" and ")[0] == "unit" else None


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Mark unit tests and walks, and leave out the long ones unless walks take their time."""
    for item in items:
        folder = item.path.relative_to(HERE).parts[0] if item.path.is_relative_to(HERE) else ""
        markers = {marker.name for marker in item.iter_markers()}
        if folder in INTEGRATION_FOLDERS or markers & INTEGRATION_MARKERS:
            item.add_marker("integration")
        else:
            item.add_marker("unit")
        if "long" in markers or getattr(getattr(item, "obj", None), "hypothesis", None):
            item.add_marker("walk")
    if is_long() or "long" in config.option.markexpr:
        return
    left_out = [item for item in items if item.get_closest_marker("long")]
    if left_out:
        config.hook.pytest_deselected(items=left_out)
        items[:] = [item for item in items if item not in left_out]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    """Fail a unit test whose fixtures open a socket or start a program."""
    with refuse_integration() if item.get_closest_marker("unit") else nullcontext():
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None]:
    """Fail a unit test that opens a socket or starts a program."""
    with refuse_integration() if item.get_closest_marker("unit") else nullcontext():
        return (yield)


@pytest.fixture(autouse=True)
def _logging_left_as_it_was() -> Iterator[None]:
    """Commands set up logging for their whole process, which here is everybody's."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
