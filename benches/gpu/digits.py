"""Exact products of rows by int8 digits: whole numbers, so sums are the same in any order.

A row x has a scale 2^s, the largest power of two with |2^s x| <= 127 (1 + 256 + .. + 256^(n-1)).
X = round(2^s x), ties to even, are whole numbers of n digits to the base 256, each from -128 to
127, the first the highest. A product of rows x and w keeps the pairs of digits i and j with
i + j <= order. Pairs of equal weight 256^-(i+j) add up in one int32 sum; the sums are put together
in a whole number T below 2^53, which binary64 holds; T 2^-(s+t) + bias is rounded to binary32.
"""

from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

EXPONENT_LEAST = -100
"""Rows that are smaller than 2^-100 are scaled like one of that size: no scale overflows."""
SUM_MAX = 2**31 - 1


@dataclass(frozen=True)
class Scheme:
    """How many digits a number has, and which pairs of them are multiplied."""

    digits: int
    order: int
    """Pairs i, j are kept where i + j is at most this."""

    def pairs(self, weight: int) -> range:
        """Return the digits i that are multiplied with weight - i."""
        return range(max(0, weight - self.digits + 1), min(weight, self.digits - 1) + 1)

    @property
    def products(self) -> int:
        """Number of int8 matrix products that one product costs."""
        return sum(len(self.pairs(weight)) for weight in range(self.order + 1))

    @property
    def dropped(self) -> int:
        """Powers of 256 between the lowest pair of digits that is kept and that of all."""
        return 2 * (self.digits - 1) - self.order

    @property
    def length_max(self) -> int:
        """Longest rows whose int32 sums cannot overflow, and whose T stays below 2^53."""
        most = max(len(self.pairs(weight)) for weight in range(self.order + 1))
        return min(SUM_MAX // (most << 14), 1 << (53 - 14 - 8 * self.order - 1))

    def __str__(self) -> str:
        """Return a short name."""
        return f"{self.digits} digits, {self.products} products"


SCHEMES = [Scheme(2, 1), Scheme(2, 2), Scheme(3, 2), Scheme(3, 3), Scheme(4, 3)]


class Digits(NamedTuple):
    """Rows as digits."""

    planes: Tensor
    """[rows, digits * length] int8: the planes of digits side by side."""
    exponents: Tensor
    """[rows] int32: s of each row."""


def power(exponent: Tensor) -> Tensor:
    """Return 2^exponent in float64, to the bit on every device (torch.ldexp takes a float32)."""
    return ((exponent.long() + 1023) << 52).view(torch.float64)


def exponents(rows: Tensor, digits: int) -> Tensor:
    """Return s of each row."""
    limit = 127 * (256**digits - 1) // 255
    largest = rows.abs().amax(dim=1).double().clamp(min=2.0**EXPONENT_LEAST)
    # The exponent e with largest from 2^e to below 2^(e + 1).
    e = torch.frexp(largest).exponent - 1
    s = 8 * digits - 2 - e
    found: Tensor = (s - (largest * power(s) > limit).int()).int()
    return found


def split(rows: Tensor, digits: int, *, last_first: bool = False) -> Digits:
    """Split rows [rows, length] of float32; `last_first` lays the lowest digit's plane first."""
    s = exponents(rows, digits)
    rest = (rows.double() * power(s)[:, None]).round().long()
    planes = []
    for _ in range(digits):
        digit = ((rest + 128) & 255) - 128
        planes.append(digit.to(torch.int8))
        rest = (rest - digit) >> 8
    return Digits(torch.cat(planes if last_first else planes[::-1], dim=1), s)


def sums(x: Digits, w: Digits, scheme: Scheme) -> Tensor:
    """Return the int32 sums [order + 1, rows, columns] by weight, the highest first.

    `w` lies with its last digit first, so that the pairs of a weight are one product of longer
    rows: x_0 x_1 x_2 times w_2 w_1 w_0.
    """
    n, length = scheme.digits, x.planes.shape[1] // scheme.digits
    shape = (scheme.order + 1, len(x.exponents), len(w.exponents))
    found = torch.empty(shape, dtype=torch.int32, device=x.planes.device)
    for weight, out in enumerate(found):
        pairs = scheme.pairs(weight)
        first, count = pairs[0], len(pairs)
        left = x.planes[:, first * length : (first + count) * length]
        start = n - 1 - weight + first
        right = w.planes[:, start * length : (start + count) * length]
        torch._int_mm(left, right.t(), out=out)  # noqa: SLF001 (has no other name)
    return found


def combine(found: Tensor, x: Digits, w: Digits, scheme: Scheme, bias: Tensor) -> Tensor:
    """Return the product in float32: one whole number, one addition, one rounding."""
    total = found[0].double()
    for part in found[1:]:
        total = total * 256 + part.double()
    scale = 8 * scheme.dropped - x.exponents[:, None] - w.exponents
    return (total * power(scale) + bias.double()).float()


def multiply(x: Tensor, w: Digits, scheme: Scheme, bias: Tensor) -> Tensor:
    """Return x [rows, length] times `w`, which were split with the last digit first, plus bias."""
    left = split(x, scheme.digits)
    return combine(sums(left, w, scheme), left, w, scheme, bias)
