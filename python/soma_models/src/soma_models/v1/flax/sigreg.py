"""SIGReg as a module: the sums of sigreg.py over a batch."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from soma_models.errors import InputError
from soma_models.v1.configs import SIGRegConfig
from soma_models.v1.sigreg import FACTOR, POINTS

__all__ = ["SIGReg"]


class SIGReg(nnx.Module):
    """How far representations are from an isotropic Gaussian, and a training run's randomness.

    Each call draws new directions, and `compute_loss` draws dropout, from `rngs`, two streams that
    are split off the caller's; under `nnx.jit` they go on from step to step as any state does. With
    `directions` [d, S], such as `epoch_directions`, it takes those, and then agrees with scoring.
    """

    def __init__(
        self,
        config: SIGRegConfig,
        rngs: nnx.Rngs,
        directions: NDArray[np.float32] | Array | None = None,
    ) -> None:
        self.config = config
        self.rngs = nnx.Rngs(sigreg=rngs.sigreg(), dropout=rngs.dropout())
        if directions is not None and directions.ndim != 2:  # noqa: PLR2004 ([d, S])
            raise InputError(f"directions have shape {list(directions.shape)}, must be [d, S]")
        self.directions = (
            nnx.data(None)
            if directions is None
            else nnx.Variable(jnp.asarray(directions, jnp.float32))
        )

    def __call__(self, representations: Array, mask: Array) -> Array:
        """Return SIGReg, a scalar, of representations [B, T, d] where `mask` [B, T] is true."""
        samples = representations.astype(jnp.float32).reshape(mask.size, -1)
        if self.directions is not None:
            directions = self.directions[...]
        elif self.config.directions == 0:
            return jnp.zeros((), jnp.float32)
        else:
            shape = (samples.shape[1], self.config.directions)
            directions = jax.random.normal(self.rngs.sigreg(), shape)
            directions = directions / jnp.linalg.norm(directions, axis=0)
        with jax.default_matmul_precision("highest"):
            loss: Array = _sigreg(samples, mask.reshape(-1), directions)
        return loss


@jax.jit
def _sigreg(samples: Array, mask: Array, directions: Array) -> Array:
    """Return SIGReg of samples [N, d] where `mask` [N] is true, along directions [d, S]."""
    projections = samples @ directions
    share = mask.astype(jnp.float32) / mask.sum()

    @jax.checkpoint
    def distance(point: Array) -> Array:
        # Each point's sines and cosines are made again in the backward pass: kept, they would be
        # 32 times the projections.
        t, phi, weight = point
        angles = t * projections
        real, imaginary = share @ jnp.cos(angles), share @ jnp.sin(angles)
        term: Array = weight * (jnp.square(real - phi) + jnp.square(imaginary)).mean()
        return term

    total: Array
    total, _ = jax.lax.scan(
        lambda total, point: (total + distance(point), None),
        jnp.zeros((), jnp.float32),
        jnp.asarray(POINTS, jnp.float32),
    )
    loss: Array = FACTOR * total
    return loss
