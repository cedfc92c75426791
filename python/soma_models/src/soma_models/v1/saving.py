"""Writing a model's weights, whatever it is made with."""

import os

import numpy as np
from numpy.typing import NDArray

from soma_models.v1 import weights
from soma_models.v1.configs import ModelConfig
from soma_models.v1.weights import Dtype

__all__ = ["Saving"]


class Saving:
    """A model whose weights can be written."""

    config: ModelConfig

    def save_bytes(self, dtype: Dtype = "F32") -> bytes:
        """Return the weights as a safetensors file, which `soma` and both frameworks' models read.

        Raises:
            WeightsError: a weight is not finite, or beyond `dtype`'s range.

        """
        return weights.save_bytes(self._tensors(), self.config, dtype)

    def save(self, path: str | os.PathLike[str], dtype: Dtype = "F32") -> None:
        """Write `save_bytes` to `path`, whole or not at all.

        Raises:
            OSError: the file cannot be written.
            WeightsError: as `save_bytes`.

        """
        weights.save(path, self._tensors(), self.config, dtype)

    def _tensors(self) -> dict[str, NDArray[np.float32]]:
        """Return the weights by their names in the file."""
        raise NotImplementedError
