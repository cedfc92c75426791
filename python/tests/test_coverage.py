"""README's table of the user's snippets is so: nothing of their code is left out, all of it runs.

The documents' copies lost their line breaks, so texts are compared without white space.
"""

import re
from pathlib import Path
from typing import NamedTuple

import pytest

PYTHON = Path(__file__).parents[1]
HEADING = "## The documents' snippets"
SEEDS = next(
    (p / "shared/seeds" for p in PYTHON.resolve().parents if (p / "shared/seeds").is_dir()), None
)
CODE = re.compile(
    r"import[a-z_]+|await|def[a-z_]+\(|print\(|[a-z_]+\.[a-z_]+\("
    r"|modal(?:run|volume|deploy)|somamodellist"
)
"""What is code: prose without its spaces has none of it."""
PROSE = "insertion.compute_lossreturnsatupleof("
"""But for this."""


class Row(NamedTuple):
    """A row of the table."""

    document: str
    section: str
    snippet: str
    runs: str


def squeezed(text: str) -> str:
    return "".join(text.split())


def rows() -> list[Row]:
    """The table's rows."""
    _, _, after = (PYTHON / "README.md").read_text(encoding="utf-8").partition(HEADING)
    lines = [line for line in after.partition("\n## ")[0].splitlines() if line.startswith("| ")]
    return [Row(*(cell.strip() for cell in line.strip("|").split("|"))) for line in lines[1:]]


def files() -> dict[str, Path]:
    """The snippets that are kept here, by name."""
    found = [path for package in PYTHON.iterdir() for path in package.glob("tests/snippets/*.py")]
    return {path.stem: path for path in found}


def code(row: Row) -> list[str]:
    """What of the document a row is about: files here by their names, or the code itself."""
    names = re.findall(r"`([^`]+)`", row.snippet)
    return [
        squeezed(files()[name].read_text(encoding="utf-8") if name in files() else name)
        for name in names
    ]


def test_every_snippet_has_its_row_and_its_test() -> None:
    named = [name for row in rows() for name in re.findall(r"`([^`]+)`", row.snippet)]
    assert sorted(name for name in named if name in files()) == sorted(files())
    tests = "\n".join(
        path.read_text(encoding="utf-8") for path in PYTHON.glob("soma_*/tests/test_*.py")
    )
    for row in rows():
        if row.runs.startswith("not:"):
            assert "modal" in row.runs, row
            continue
        found = re.findall(r"`(test_[a-z_]+)`", row.runs)
        assert found, row
        for name in found:
            assert re.search(rf"def {name}\(", tests), f"there is no test {name}"


@pytest.mark.skipif(SEEDS is None, reason="the user's documents (shared/seeds) are not beside this")
def test_the_rows_are_all_the_code_of_the_documents() -> None:
    assert SEEDS is not None
    documents = {
        path.read_text(encoding="utf-8").splitlines()[0].strip(): path.read_text(encoding="utf-8")
        for path in SEEDS.iterdir()
    }
    left = {title: sections(text) for title, text in documents.items()}
    for row in rows():
        parts = left[row.document]
        assert row.section in parts, f"{row.document} has no section {row.section}"
        for text in code(row):
            # The same code may stand for both frameworks, under one heading each.
            assert text in parts[row.section], f"{row.section} has no {text[:60]}"
            parts[row.section] = parts[row.section].replace(text, "\n")
    forgotten = {
        (title, section): match[0]
        for title, parts in left.items()
        for section, text in parts.items()
        if (match := CODE.search(text))
    }
    assert forgotten == {}


def sections(text: str) -> dict[str, str]:
    """A document's sections by title, squeezed; two of one title are one."""
    found: dict[str, str] = {}
    for part in text.split("Section titled “"):
        title, quoted, rest = part.partition("”")
        if not quoted:
            title, rest = "", part
        found[title] = found.get(title, "") + "\n" + squeezed(rest).replace(PROSE, "")
    return found
