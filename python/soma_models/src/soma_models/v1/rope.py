"""Rotary positions (docs/scoring-spec.md, section 1), as tables that both frameworks share."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from soma_models.v1.configs import ModelConfig

__all__ = ["rope_tables"]


@lru_cache(maxsize=16)
def rope_tables(config: ModelConfig) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the cosines and sines of theta_i = position / wavelength^(2i / head_dim).

    Each is [max_seq_len, head_dim / 2], made in binary64 as the exact runtime's are, then rounded.
    """
    exponents = np.arange(0, config.head_dim, 2, dtype=np.float64) / config.head_dim
    positions = np.arange(config.max_seq_len, dtype=np.float64)
    angles = np.outer(positions, float(config.rope_wavelength) ** -exponents)
    cosines, sines = np.cos(angles).astype(np.float32), np.sin(angles).astype(np.float32)
    cosines.flags.writeable = sines.flags.writeable = False
    return cosines, sines
