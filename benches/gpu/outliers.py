"""How far products by three digits are from float64 as some coordinates grow. Needs NumPy alone.

python3 benches/gpu/outliers.py                  on a CPU, half a minute

`digits.py` once more, written from docs/scoring-2.md. Rows are normed, 2048 long; four of their
coordinates are larger than the others, and in `balanced` the weights they meet as much smaller.
"""

import numpy as np
from numpy.typing import NDArray

ROWS, LENGTH, OUTPUTS = 64, 2048, 256
OUTLIERS, SIZES = 4, (1, 32, 256, 2048)
LARGEST = 0x7F7F7F
SCALE_MAX = 122
ORDERS = (2, 3)
"""Pairs of digits i, j with i + j up to this are kept: six products, and eight."""

Floats = NDArray[np.floating]


def split(rows: Floats) -> tuple[list[NDArray[np.float64]], NDArray[np.int64]]:
    """Return the planes of digits, the highest first, and the scale of each row."""
    largest = np.abs(rows.astype(np.float64)).max(axis=1)
    scale = np.full(len(rows), SCALE_MAX)
    while (large := largest * 2.0**scale > LARGEST).any():
        scale -= large
    rest = np.rint(rows * 2.0 ** scale[:, None]).astype(np.int64)
    planes: list[NDArray[np.float64]] = []
    for _ in range(3):
        digit = ((rest + 128) & 255) - 128
        planes.insert(0, digit.astype(np.float64))
        rest = (rest - digit) >> 8
    return planes, scale


def by_integers(x: Floats, w: Floats, order: int) -> Floats:
    """Return x times the transpose of w. Sums of whole numbers below 2^53 are exact in float64."""
    (left, s), (right, t) = split(x), split(w)
    total = np.zeros((len(x), len(w)))
    for weight in range(order + 1):
        pairs = range(max(0, weight - 2), min(weight, 2) + 1)
        total = total * 256 + sum(left[i] @ right[weight - i].T for i in pairs)
    return (total * 2.0 ** (8 * (4 - order) - s[:, None] - t)).astype(np.float32)


def chain(x: Floats, w: Floats) -> Floats:
    """Return the same by one chain of float32 for each output, as scoring defines it today.

    A sum is rounded to float64 first, which alters a last bit about once in 2^29.
    """
    total = np.zeros((len(x), len(w)), np.float32)
    for k in range(x.shape[1]):
        product = x[:, k, None].astype(np.float64) * w[:, k].astype(np.float64)
        total = (total.astype(np.float64) + product).astype(np.float32)
    return total


def main() -> None:
    """Measure and print: length of the error by length of the result."""
    random = np.random.default_rng(1)
    plain = random.standard_normal((OUTPUTS, LENGTH)) / LENGTH**0.5
    print(f"{'':24}{'float32 chain':>16}{'6 products':>14}{'8 products':>14}")
    for size in SIZES:
        x = random.standard_normal((ROWS, LENGTH))
        x[:, :OUTLIERS] *= size
        x -= x.mean(axis=1, keepdims=True)
        rows = (x / x.std(axis=1, keepdims=True)).astype(np.float32)
        for name, divisor in ((f"{size} times", 1), (f"{size} times, balanced", size)):
            w = plain.astype(np.float32)
            w[:, :OUTLIERS] /= divisor
            wanted = rows.astype(np.float64) @ w.astype(np.float64).T
            found = [chain(rows, w)] + [by_integers(rows, w, order) for order in ORDERS]
            errors = [np.linalg.norm(y - wanted) / np.linalg.norm(wanted) for y in found]
            print(f"{name:24}{errors[0]:16.1e}{errors[1]:14.1e}{errors[2]:14.1e}", flush=True)


main()
