"""The tensors of a model (docs/scoring-spec.md, section 2): names, shapes, fresh values.

The names are the paths of both frameworks' modules, so walking a model walks the file.
"""

from dataclasses import dataclass
from math import prod, sqrt

from soma_models.v1.configs import VOCAB, ModelConfig

__all__ = ["TensorSpec", "layout"]

_EMBEDDING_DEVIATION = 0.3
"""Token vectors are large, so that the first layers see which byte they look at."""


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """One tensor that every weights file of an architecture holds."""

    name: str
    """Such as `encoder.layers.0.attention.query.weight`."""
    shape: tuple[int, ...]
    """Matrices are [in, out]."""
    mean: float
    """Of fresh values: 1 for a norm's gamma, else 0."""
    deviation: float
    """Of fresh values, which are normal: 0 for biases and norms."""

    @property
    def size(self) -> int:
        """Number of values."""
        return prod(self.shape)


def layout(config: ModelConfig) -> list[TensorSpec]:
    """Return every tensor of the architecture, in the order the model uses them.

    Fresh matrices have deviation 1 / sqrt(inputs); those into the residual stream are divided by
    sqrt(2 layers) besides, so that the stream's variance does not grow with depth.
    """
    d, ffn = config.embedding_dim, config.ffn_dim
    residual = 1 / sqrt(2 * config.layers)

    def norm(name: str) -> list[TensorSpec]:
        return [
            TensorSpec(f"{name}.gamma", (d,), 1, 0),
            TensorSpec(f"{name}.beta", (d,), 0, 0),
        ]

    def linear(name: str, inputs: int, outputs: int, scale: float = 1) -> list[TensorSpec]:
        return [
            TensorSpec(f"{name}.weight", (inputs, outputs), 0, scale / sqrt(inputs)),
            TensorSpec(f"{name}.bias", (outputs,), 0, 0),
        ]

    specs = [TensorSpec("embedding.weight", (VOCAB, d), 0, _EMBEDDING_DEVIATION)]
    for index in range(config.layers):
        layer = f"encoder.layers.{index}"
        specs += norm(f"{layer}.norm_1")
        for part in ("query", "key", "value"):
            specs += linear(f"{layer}.attention.{part}", d, d)
        specs += linear(f"{layer}.attention.output", d, d, residual)
        specs += norm(f"{layer}.norm_2")
        specs += linear(f"{layer}.pwff.linear_inner", d, ffn)
        specs += linear(f"{layer}.pwff.linear_outer", ffn, d, residual)
    return specs + norm("final_norm") + linear("predictor", d, VOCAB)
