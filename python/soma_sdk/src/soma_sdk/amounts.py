"""Amounts of SOMA, exactly. One SOMA is 1 000 000 000 shannons, the smallest amount."""

import operator
from decimal import Decimal, InvalidOperation
from typing import SupportsIndex, TypeAlias

from soma_sdk.errors import InvalidArgument

Amount: TypeAlias = int | float | str | Decimal | SupportsIndex
"""An amount of SOMA. A float stands for the number that it is printed as: `0.1` is a tenth."""

SHANNONS_PER_SOMA = 10**9
_DECIMALS = 9
_MOST_SOMA = 10_000_000
_DIGITS_MAX = 100


def to_shannons(amount: Amount) -> int:
    """Return an amount of SOMA in shannons.

    Raises `InvalidArgument` (a `ValueError`) for what is no such amount: negative, not finite, finer
    than a shannon, more than can ever exist. Nothing is rounded.
    """
    number = _decimal(amount)
    if not number.is_finite():
        raise InvalidArgument(f"{number} is no amount of SOMA")
    sign, digits, exponent = number.as_tuple()
    if not isinstance(exponent, int) or len(digits) > _DIGITS_MAX:
        raise InvalidArgument(f"an amount of {len(digits)} digits is none")
    shannons = int("".join(map(str, digits)))
    if shannons == 0:
        return 0
    if sign:
        raise InvalidArgument(f"{number} SOMA is negative")
    if number.adjusted() > _DECIMALS:
        raise InvalidArgument(f"{number} SOMA is more than can ever exist ({_MOST_SOMA})")
    if exponent >= -_DECIMALS:
        shannons *= int(10 ** (exponent + _DECIMALS))
    else:
        shannons, rest = divmod(shannons, int(10 ** min(-_DECIMALS - exponent, _DIGITS_MAX + 1)))
        if rest:
            raise InvalidArgument(
                f"{number} SOMA is finer than the smallest amount, 0.000000001 SOMA: nothing is rounded",
            )
    if shannons > _MOST_SOMA * SHANNONS_PER_SOMA:
        raise InvalidArgument(f"{number} SOMA is more than can ever exist ({_MOST_SOMA})")
    return shannons


def to_soma(shannons: int) -> Decimal:
    """Return shannons as SOMA, exactly."""
    shannons = operator.index(shannons)
    whole, rest = divmod(abs(shannons), SHANNONS_PER_SOMA)
    sign = "-" if shannons < 0 else ""
    decimals = f"{rest:09d}".rstrip("0")
    return Decimal(f"{sign}{whole}.{decimals}" if decimals else f"{sign}{whole}")


def _decimal(amount: Amount) -> Decimal:
    if isinstance(amount, bool):
        raise InvalidArgument("True and False are no amounts")
    if isinstance(amount, Decimal):
        return amount
    if isinstance(amount, float):
        # The shortest text that is this float: what its author wrote.
        return Decimal(float.__repr__(amount))
    if isinstance(amount, str):
        text = amount.strip()
        if not text.isascii() or "_" in text or len(text) > _DIGITS_MAX:
            raise InvalidArgument("that is no amount of SOMA: write digits, such as 12 or 0.5")
        try:
            return Decimal(text)
        except InvalidOperation:
            raise InvalidArgument(
                f"'{text}' is no amount of SOMA: write digits, such as 12 or 0.5",
            ) from None
    try:
        return Decimal(operator.index(amount))
    except TypeError:
        raise InvalidArgument(
            f"{type(amount).__name__} is no amount of SOMA: give int, float, str or Decimal",
        ) from None
