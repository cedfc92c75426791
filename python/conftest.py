"""The order of the tests' files, which `python/test` keeps: what waits and what computes alternate.

What needs a localnet waits for its epochs, for minutes, and computes next to nothing. Begun first
and spread out, it leaves the cores to what trains models; at the end it would leave them idle.
"""

from __future__ import annotations

from itertools import chain, zip_longest
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

LONGEST = ("test_auto_update", "test_notebooks", "test_documents", "test_models", "test_leaks")
"""Of those that wait: the one that begins last would be waited for alone."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Sort files, and leave each one's tests in their order."""
    files: dict[Path, list[pytest.Item]] = {}
    for item in items:
        files.setdefault(item.path, []).append(item)
    waits: list[list[pytest.Item]] = []
    computes: list[list[pytest.Item]] = []
    for tests in files.values():
        waiting = any("localnet" in getattr(test, "fixturenames", ()) for test in tests)
        (waits if waiting else computes).append(tests)
    waits.sort(key=lambda tests: tests[0].path.stem not in LONGEST)
    alternately = chain.from_iterable(zip_longest(waits, computes, fillvalue=()))
    items[:] = chain.from_iterable(alternately)
