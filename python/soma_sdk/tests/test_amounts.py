"""Amounts are exact, or refused."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as some

from soma_sdk import errors, to_shannons, to_soma

MOST = 10_000_000 * 10**9


@given(some.integers(0, MOST))
def test_every_amount_goes_and_comes(shannons: int) -> None:
    amount = to_soma(shannons)
    assert to_shannons(amount) == shannons
    assert to_shannons(str(amount)) == shannons
    assert Fraction(amount) * 10**9 == shannons


@given(some.floats(0, 10_000_000))
def test_a_float_is_what_it_is_printed_as_or_refused(amount: float) -> None:
    printed = Fraction(Decimal(repr(amount))) * 10**9
    if printed.denominator == 1:
        assert to_shannons(amount) == printed
    else:
        with pytest.raises(errors.InvalidArgument, match="finer than the smallest"):
            to_shannons(amount)


@given(some.decimals(allow_nan=True, allow_infinity=True) | some.text() | some.floats())
def test_anything_else_is_refused_by_its_own_error(amount: Decimal | str | float) -> None:
    try:
        shannons = to_shannons(amount)
    except errors.InvalidArgument:
        return
    assert 0 <= shannons <= MOST
    number = Decimal(amount.strip()) if isinstance(amount, str) else Decimal(str(amount))
    assert Fraction(number) * 10**9 == shannons


@pytest.mark.parametrize(
    ("amount", "shannons"),
    [
        (10.0, 10_000_000_000),
        (0.1, 100_000_000),
        (1, 10**9),
        ("0.000000001", 1),
        (" 1.50 ", 1_500_000_000),
        (Decimal("1e-9"), 1),
        ("1e3", 10**12),
        (np.float64(0.3), 300_000_000),
        (np.int32(7), 7 * 10**9),
        (10_000_000, MOST),
        (-0.0, 0),
    ],
)
def test_amounts_as_people_write_them(amount: object, shannons: int) -> None:
    assert to_shannons(amount) == shannons  # type: ignore[arg-type]


NONE: list[object] = [
    1e-10,
    "0.0000000001",
    -1,
    "-0.5",
    10_000_000.1,
    1e300,
    float("nan"),
    float("-inf"),
    True,
    "",
    "1_0",
]
NONE += ["\u0661", None, [], b"1", "1" * 200, "0x10", 1 + 2j]
NONE += [Decimal(text) for text in ("1e999999999", "1e-999999999", "sNaN")]


@pytest.mark.parametrize("amount", NONE)
def test_what_is_no_amount_is_refused(amount: object) -> None:
    with pytest.raises(errors.InvalidArgument):
        to_shannons(amount)  # type: ignore[arg-type]
