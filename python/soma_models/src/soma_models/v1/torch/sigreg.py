"""SIGReg as a module: the sums of sigreg.py over a batch."""

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from soma_models.errors import InputError
from soma_models.v1.configs import SIGRegConfig
from soma_models.v1.sigreg import FACTOR, POINTS

__all__ = ["SIGReg"]


class SIGReg(nn.Module):
    """How far representations are from an isotropic Gaussian.

    Each pass draws new directions from PyTorch's generator, as training needs. With `directions`
    [d, S], such as `epoch_directions`, it takes those instead, and then agrees with scoring.
    """

    def __init__(
        self, config: SIGRegConfig, directions: NDArray[np.float32] | Tensor | None = None
    ) -> None:
        super().__init__()
        self.config = config
        fixed = None if directions is None else torch.as_tensor(directions, dtype=torch.float32)
        if fixed is not None and fixed.ndim != 2:  # noqa: PLR2004 ([d, S])
            raise InputError(f"directions have shape {list(fixed.shape)}, must be [d, S]")
        self.register_buffer("directions", fixed, persistent=False)

    def forward(self, representations: Tensor, mask: Tensor) -> Tensor:
        """Return SIGReg, a scalar, of representations [B, T, d] where `mask` [B, T] is true."""
        samples = representations.float().flatten(0, 1)
        fixed = self._buffers["directions"]
        if fixed is None and self.config.directions == 0:
            return samples.new_zeros(())
        if fixed is not None and fixed.device != samples.device:
            raise InputError(
                f"SIGReg's directions are on {fixed.device}, the representations on "
                f"{samples.device}: move one with .to()"
            )
        with torch.autocast(samples.device.type, enabled=False):
            directions = self._draw(samples) if fixed is None else fixed
            projections = samples @ directions
            share = (mask.flatten() / mask.sum()).float()
            total = samples.new_zeros(())
            for point in POINTS:
                # Each point's sines and cosines are made again in the backward pass: kept, they
                # would be 32 times the projections.
                real, imaginary = checkpoint(
                    _characteristic,
                    projections,
                    share,
                    point.t,
                    use_reentrant=False,
                    preserve_rng_state=False,
                )
                distance = (real - point.phi).square() + imaginary.square()
                total = total + point.weight * distance.mean()
            return FACTOR * total

    def _draw(self, samples: Tensor) -> Tensor:
        shape = (samples.shape[1], self.config.directions)
        directions = torch.randn(shape, device=samples.device)
        return F.normalize(directions, dim=0)


def _characteristic(projections: Tensor, share: Tensor, t: float) -> tuple[Tensor, Tensor]:
    """Return the means [S] of cos(t p) and sin(t p) over the samples of projections [N, S]."""
    angles = t * projections
    return share @ angles.cos(), share @ angles.sin()
