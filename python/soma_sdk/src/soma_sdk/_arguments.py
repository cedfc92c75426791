"""What callers give, checked where it comes in: each refusal names the argument and what it takes."""

from __future__ import annotations

import operator
import re
from typing import TYPE_CHECKING, TypeAlias

from soma_sdk._soma_sdk import Keypair
from soma_sdk.errors import InvalidArgument
from soma_sdk.views import Model, Submission, Target

if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import SupportsIndex

Named: TypeAlias = str | Model | Target | Submission
"""An id, or what has one."""

ID = re.compile(r"0x[0-9a-fA-F]{64}")
_BASIS_POINTS = 10_000
_MOST = 2**63 - 1


def signer(given: Keypair) -> Keypair:
    """Return who signs."""
    if not isinstance(given, Keypair):
        raise InvalidArgument(f"the signer is a Keypair, not {_kind(given)}")
    return given


def address(account: str | Keypair) -> str:
    """Return an account's address."""
    if isinstance(account, Keypair):
        return account.address()
    if not isinstance(account, str):
        raise InvalidArgument(f"an account is its address or a Keypair, not {_kind(account)}")
    return account


def name(named: Named) -> str:
    """Return an id."""
    if isinstance(named, (Model, Target, Submission)):
        return named.id
    if not isinstance(named, str):
        raise InvalidArgument(f"an id is text, or what has one, not {_kind(named)}")
    return named


def pool(given: str | Model) -> str:
    """Return a pool of stake as the ledger names it."""
    if isinstance(given, Model):
        return f"model:{given.id}"
    if not isinstance(given, str):
        raise InvalidArgument(f"a pool is a model, or 'validator:ADDRESS' or 'model:ID', not {_kind(given)}")
    return f"validator:{given}" if ID.fullmatch(given) else given


def count(what: str, given: SupportsIndex, least: int = 0) -> int:
    """Return a whole number."""
    try:
        number = operator.index(given)
    except TypeError:
        raise InvalidArgument(f"{what} is a whole number, not {given!r}") from None
    if not least <= number <= _MOST:
        raise InvalidArgument(f"{what} is a whole number from {least} on, not {number}")
    return number


def basis_points(rate: SupportsIndex) -> int:
    """Return a rate."""
    try:
        points = operator.index(rate)
    except TypeError:
        points = -1
    if not 0 <= points <= _BASIS_POINTS:
        raise InvalidArgument(
            f"a rate is a number of basis points from 0 to {_BASIS_POINTS} (100 are 1%), not {rate!r}",
        )
    return points


def floats(vector: Iterable[float]) -> list[float]:
    """Return an embedding."""
    try:
        return [float(number) for number in vector]
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"an embedding is a list of numbers: {error}") from error


def _kind(given: object) -> str:
    return "None" if given is None else f"of type {type(given).__name__}"
