"""The classes of rejections are made from the ledger's table. `SOMA_UPDATE_DOCS=1` writes them anew."""

import os
from pathlib import Path

import pytest

import soma_sdk
from soma_sdk import _soma_sdk, errors

FILE = Path(soma_sdk.__file__).with_name("rejections.py")

HEAD = '''"""Why the ledger says no: a class for each reason.

Made from the ledger's own table, which a test holds it to. Codes are stable and never reused. Below
200 the transaction was refused: not included, nothing paid. From 200 on it was included, paid its fee
and changed nothing else; a client asks first, so that this is rare.
"""

from soma_sdk.errors import RejectedError
'''

TAIL = '''
CLASSES: dict[int, type[RejectedError]] = {
    cls.code: cls
    for cls in RejectedError.__subclasses__()
    if cls.__module__ == __name__ and isinstance(cls.code, int)
}
"""Every reason by its code."""
'''


def module() -> str:
    """What the file has to be."""
    text = HEAD
    for code, name, when, says in _soma_sdk.REJECTIONS:
        text += f'\n\nclass {name}(RejectedError):\n    """{when.strip()}\n\n'
        text += f'    "{says}"\n    """\n\n    code = {code}\n    name = "{name}"\n'
    return text + "\n" + TAIL


def test_the_classes_are_the_ledgers_table() -> None:
    if "SOMA_UPDATE_DOCS" in os.environ:
        FILE.write_text(module(), encoding="utf-8")
    assert FILE.read_text(encoding="utf-8") == module()


@pytest.mark.parametrize("row", _soma_sdk.REJECTIONS, ids=lambda row: row[1])
def test_every_code_raises_its_class(row: tuple[int, str, str, str]) -> None:
    code, name, _, _ = row
    error = errors._from_native("RejectedError", "no", {"code": code, "name": name, "fee": 7})
    assert type(error).__name__ == name
    assert isinstance(error, soma_sdk.RejectedError)
    assert (error.code, error.name, error.fee) == (code, name, 7)


def test_a_code_of_a_newer_ledger_is_still_a_rejection() -> None:
    error = errors._from_native("RejectedError", "no", {"code": 999, "name": "Newer"})
    assert type(error) is soma_sdk.RejectedError
    assert (error.code, error.name) == (999, "Newer")
