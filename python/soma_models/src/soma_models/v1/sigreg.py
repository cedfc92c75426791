"""What SIGReg is made of (docs/scoring-spec.md, section 3), apart from a framework.

SIGReg = FACTOR * mean over directions s of the sum over POINTS of
    weight * [ (mean_n cos(t a_s.x_n) - phi)^2 + (mean_n sin(t a_s.x_n))^2 ]
"""

from math import exp, sqrt
from typing import Final, NamedTuple

import blake3
import numpy as np
from numpy.typing import NDArray

from soma_models.errors import InputError

__all__ = ["DIRECTIONS", "FACTOR", "POINTS", "Point", "epoch_directions"]

FACTOR: Final = 0.02 * 32
"""SIGReg's weight in the loss, times the constant that stands for the number of samples."""
DIRECTIONS: Final = 256
"""Directions of an epoch."""

_STEP: Final = 3 / 16
_DRAWS: Final = 12
_SEED_BYTES: Final = 32
_DIM_MAX: Final = 8192


class Point(NamedTuple):
    """One point of the characteristic function."""

    t: float
    phi: float
    """The Gaussian's value there, exp(-t^2 / 2)."""
    weight: float
    """The trapezoid's weight times phi."""


def _point(j: int) -> Point:
    t = _STEP * j
    phi = exp(-t * t / 2)
    return Point(t, phi, phi * _STEP * (1 if j == 16 else 2))  # noqa: PLR2004 (the last)


POINTS: Final = tuple(_point(j) for j in range(1, 17))
"""The points t_j = 3 j / 16. The first, t = 0, adds nothing and is left out."""


def epoch_directions(seed: bytes, embedding_dim: int) -> NDArray[np.float32]:
    """Return an epoch's directions [embedding_dim, 256], to the bit those that scoring uses.

    `seed` is the epoch's, 32 bytes. A coordinate is the sum of twelve uniform 16-bit integers, less
    its mean, divided by the direction's length.

    Raises:
        InputError: the seed is not 32 bytes, or the dimension not 1 to 8192.

    """
    if len(seed) != _SEED_BYTES:
        raise InputError("an epoch's seed is 32 bytes")
    if not 1 <= embedding_dim <= _DIM_MAX:
        raise InputError(f"embedding_dim is {embedding_dim}, must be 1 to {_DIM_MAX}")
    columns = [_direction(seed, index, embedding_dim) for index in range(DIRECTIONS)]
    return np.ascontiguousarray(np.stack(columns, axis=1))


def _direction(seed: bytes, index: int, dim: int) -> NDArray[np.float32]:
    hasher = blake3.blake3(derive_key_context="soma 2026 sigreg direction")
    for part in (seed, index.to_bytes(8, "little")):
        hasher.update(len(part).to_bytes(8, "little"))
        hasher.update(part)
    stream = hasher.digest(length=dim * _DRAWS * 2)
    draws = np.frombuffer(stream, dtype="<u2").reshape(dim, _DRAWS).astype(np.int64)
    vector = draws.sum(axis=1) - (_DRAWS // 2) * 65_535
    length = sqrt(int((vector * vector).sum()))
    column: NDArray[np.float64] = vector / (length or 1)
    return column.astype(np.float32)
