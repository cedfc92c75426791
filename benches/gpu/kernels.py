# Triton's functions have neither types nor keyword arguments.
# ruff: noqa: ANN001, ANN202, N803, PLR0917
"""The arithmetic of digits.py as Triton kernels: splitting, combining, and a product in one pass.

`TRITON_INTERPRET=1` runs them on a CPU.
"""

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from digits import EXPONENT_LEAST, Digits, Scheme

COMBINED = 1024
"""Numbers that one program combines."""


class Tile(NamedTuple):
    """How a product is cut up."""

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int


TILES = [Tile(128, 128, 128, 8, 3), Tile(64, 256, 128, 8, 3), Tile(128, 256, 128, 16, 3)]


@triton.jit
def _power(exponent):
    """2^exponent in float32."""
    return ((exponent + 127) << 23).to(tl.float32, bitcast=True)


@triton.jit
def _rounded(total, exponent, bias):
    """Total 2^exponent + bias, all exact but the addition, rounded to float32."""
    scale = ((exponent.to(tl.int64) + 1023) << 52).to(tl.float64, bitcast=True)
    return (total.to(tl.float64) * scale + bias.to(tl.float64)).to(tl.float32)


@triton.jit
def _split(
    rows,
    planes,
    exponents,
    length,
    LIMIT: tl.constexpr,
    LEAST: tl.constexpr,
    DIGITS: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """One row: its exponent, then its digits, the first plane the highest."""
    row = tl.program_id(0).to(tl.int64)
    columns = tl.arange(0, BLOCK)
    inside = columns < length
    x = tl.load(rows + row * length + columns, mask=inside, other=0.0)
    largest = tl.max(tl.abs(x), axis=0)
    e = tl.maximum((largest.to(tl.int32, bitcast=True) >> 23) - 127, LEAST)
    s = 8 * DIGITS - 2 - e
    s = s - (largest * _power(s) > LIMIT).to(tl.int32)
    scaled = x * _power(s)
    # Adding 2^23 rounds to a whole number, ties to even, as all are below it.
    size = (tl.abs(scaled) + 8388608.0) - 8388608.0
    rest = tl.where(scaled < 0, -size, size).to(tl.int32)
    for back in tl.static_range(DIGITS):
        digit = ((rest + 128) & 255) - 128
        place = (row * DIGITS + DIGITS - 1 - back) * length + columns
        tl.store(planes + place, digit.to(tl.int8), mask=inside)
        rest = (rest - digit) >> 8
    tl.store(exponents + row, s)


@triton.jit
def _combine(
    sums,
    x_exponents,
    w_exponents,
    bias,
    out,
    count,
    columns,
    ORDER: tl.constexpr,
    DROPPED: tl.constexpr,
    BLOCK: tl.constexpr,
):
    """Numbers of the result from their int32 sums [order + 1, rows, columns]."""
    at = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = at < count
    total = tl.load(sums + at, mask=inside, other=0).to(tl.int64)
    for weight in tl.static_range(1, ORDER + 1):
        part = tl.load(sums + weight * count + at, mask=inside, other=0).to(tl.int64)
        total = (total << 8) + part
    row, column = at // columns, at % columns
    exponent = -tl.load(x_exponents + row, mask=inside, other=0)
    exponent -= tl.load(w_exponents + column, mask=inside, other=0)
    added = tl.load(bias + column, mask=inside, other=0.0)
    tl.store(out + at, _rounded(total, exponent + 8 * DROPPED, added), mask=inside)


@triton.jit
def _add(
    total,
    x_rows,
    w_columns,
    length,
    WEIGHT: tl.constexpr,
    DIGITS: tl.constexpr,
    DEPTH: tl.constexpr,
):
    """Total and all pairs of digits of one weight."""
    first: tl.constexpr = WEIGHT - DIGITS + 1 if WEIGHT >= DIGITS else 0
    last: tl.constexpr = WEIGHT if WEIGHT < DIGITS else DIGITS - 1
    left = x_rows + first * length
    right = w_columns + (DIGITS - 1 - WEIGHT + first) * length
    for _ in range(0, (last - first + 1) * length, DEPTH):
        total = tl.dot(tl.load(left), tl.load(right), total, out_dtype=tl.int32)
        left += DEPTH
        right += DEPTH
    return total


@triton.jit
def _product(
    x,
    w,
    x_exponents,
    w_exponents,
    bias,
    out,
    rows,
    columns,
    length,
    DIGITS: tl.constexpr,
    ORDER: tl.constexpr,
    DROPPED: tl.constexpr,
    ROWS: tl.constexpr,
    COLUMNS: tl.constexpr,
    DEPTH: tl.constexpr,
    GROUP: tl.constexpr,
):
    """One tile of the result, in one pass and one sum.

    The lowest weight comes first. What is below the next weight's unit is set aside, the rest is
    carried on in the same int32 sum, so the bits of T are all there at the end.
    """
    # Programs that run together share rows and columns.
    program = tl.program_id(0)
    across = columns // COLUMNS
    group = program // (GROUP * across)
    first_row = group * GROUP
    high = tl.minimum(rows // ROWS - first_row, GROUP)
    tile_row = first_row + (program % (GROUP * across)) % high
    tile_column = (program % (GROUP * across)) // high
    at_row = tile_row * ROWS + tl.arange(0, ROWS)
    at_column = tile_column * COLUMNS + tl.arange(0, COLUMNS)
    depth = tl.arange(0, DEPTH)
    x_rows = x + at_row[:, None].to(tl.int64) * (DIGITS * length) + depth[None, :]
    w_columns = w + at_column[None, :].to(tl.int64) * (DIGITS * length) + depth[:, None]
    total = tl.zeros((ROWS, COLUMNS), tl.int32)
    low = tl.zeros((ROWS, COLUMNS), tl.int32)
    for back in tl.static_range(ORDER + 1):
        if back > 0:
            low |= (total & 255) << (8 * (back - 1))
            total = total >> 8
        total = _add(total, x_rows, w_columns, length, ORDER - back, DIGITS, DEPTH)
    whole = (total.to(tl.int64) << (8 * ORDER)) + low.to(tl.int64)
    exponent = -tl.load(x_exponents + at_row)[:, None] - tl.load(w_exponents + at_column)[None, :]
    added = tl.load(bias + at_column)[None, :]
    place = at_row[:, None].to(tl.int64) * columns + at_column[None, :]
    tl.store(out + place, _rounded(whole, exponent + 8 * DROPPED, added))


def split(rows: Tensor, digits: int) -> Digits:
    """Return what digits.split does, for at most 3 digits: more do not fit float32."""
    count, length = rows.shape
    planes = torch.empty(count, digits * length, dtype=torch.int8, device=rows.device)
    exponents = torch.empty(count, dtype=torch.int32, device=rows.device)
    _split[(count,)](
        rows,
        planes,
        exponents,
        length,
        LIMIT=127 * (256**digits - 1) // 255,
        LEAST=EXPONENT_LEAST,
        DIGITS=digits,
        BLOCK=triton.next_power_of_2(length),
        num_warps=8,
    )
    return Digits(planes, exponents)


def combine(sums: Tensor, x: Digits, w: Digits, scheme: Scheme, bias: Tensor) -> Tensor:
    """Return what digits.combine does of sums [order + 1, rows, columns]."""
    _, rows, columns = sums.shape
    out = torch.empty(rows, columns, device=sums.device)
    _combine[(triton.cdiv(out.numel(), COMBINED),)](
        sums,
        x.exponents,
        w.exponents,
        bias,
        out,
        out.numel(),
        columns,
        ORDER=scheme.order,
        DROPPED=scheme.dropped,
        BLOCK=COMBINED,
    )
    return out


def product(x: Digits, w: Digits, scheme: Scheme, bias: Tensor, tile: Tile) -> Tensor:
    """Return digits.combine of digits.sums without the sums in memory; tiles must fit exactly."""
    rows, columns = len(x.exponents), len(w.exponents)
    out = torch.empty(rows, columns, device=bias.device)
    _product[(rows // tile.rows * (columns // tile.columns),)](
        x.planes,
        w.planes,
        x.exponents,
        w.exponents,
        bias,
        out,
        rows,
        columns,
        x.planes.shape[1] // scheme.digits,
        DIGITS=scheme.digits,
        ORDER=scheme.order,
        DROPPED=scheme.dropped,
        ROWS=tile.rows,
        COLUMNS=tile.columns,
        DEPTH=tile.depth,
        GROUP=8,
        num_warps=tile.warps,
        num_stages=tile.stages,
    )
    return out
