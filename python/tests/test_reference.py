"""The reference in docs/ is what the packages say of themselves.

`SOMA_UPDATE_DOCS=1` writes it anew.
"""

import os
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[1]))
import reference

PAGES = reference.pages()


@pytest.mark.parametrize("file", PAGES, ids=lambda file: file.stem)
def test_the_reference_is_the_packages_own(file: Path) -> None:
    if "SOMA_UPDATE_DOCS" in os.environ:
        file.write_text(PAGES[file], encoding="utf-8")
    assert file.read_text(encoding="utf-8") == PAGES[file], (
        "SOMA_UPDATE_DOCS=1 python/test -k reference"
    )


def test_every_call_says_what_it_does() -> None:
    lines = PAGES[reference.DOCS / "soma_sdk.md"].splitlines()
    calls = [number for number, line in enumerate(lines) if line.startswith("#### ")]
    ends = {number: lines.index("```", number) for number in calls}
    silent = [lines[number] for number in calls if lines[ends[number] + 2].startswith("#")]
    assert len(calls) > 50
    assert silent == []
