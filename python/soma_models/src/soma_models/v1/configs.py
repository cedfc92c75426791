"""Sizes and settings of a model. Needs no framework."""

import json
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Final, Literal, Self

from soma_models.errors import ConfigError, excerpt

__all__ = [
    "EOS",
    "LAYER_NORM_EPSILON",
    "PAD",
    "V1_MAX_SEQ_LEN",
    "VOCAB",
    "ModelConfig",
    "SIGRegConfig",
]

V1_MAX_SEQ_LEN: Final = 1024
"""Bytes in one sequence of V1: its longest context."""
VOCAB: Final = 264
"""Tokens: 256 byte values, PAD, EOS and 6 reserved."""
PAD: Final = 256
"""Fills a sequence after its end. It is never predicted and never counted."""
EOS: Final = 257
"""Follows the last byte of data whose last sequence is not full."""
LAYER_NORM_EPSILON: Final = 1e-5
"""Added to the variance in layer norms."""

_LIMITS: Final = {
    "embedding_dim": 8192,
    "heads": 256,
    "layers": 256,
    "ffn_dim": 65_536,
    "max_seq_len": 65_536,
    "rope_wavelength": 1_000_000_000,
}
_DROPOUT_MAX: Final = 0.9
_DIRECTIONS_MAX: Final = 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelConfig:
    """What a model is made from: V1's sizes, unless others are given, and how to compute.

    The sizes are a network's and make the weights file; the other fields change no name or shape,
    so weights move between configs that differ in those alone.
    """

    dropout_rate: float
    """Share of each layer's two results that is left out in training, 0 to 0.9."""
    embedding_dim: int = 2048
    """Width d of the residual stream, and dimension of embeddings."""
    heads: int = 8
    """Attention heads, each of embedding_dim / heads dimensions, an even number."""
    layers: int = 24
    ffn_dim: int = 8192
    """Width of the feed-forward's hidden layer."""
    max_seq_len: int = V1_MAX_SEQ_LEN
    """Bytes in one sequence: the longest context."""
    rope_wavelength: int = 10_000
    """RoPE's longest wavelength divided by 2 pi."""
    compute_dtype: Literal["float32", "bfloat16"] = "float32"
    """What linear maps and attention compute in. Weights, norms, softmax and losses stay float32.
    float32 means float32: no TF32 on accelerators that have it, unless PyTorch was told so."""
    gradient_checkpointing: bool = False
    """Whether a backward pass computes each layer again instead of keeping what is inside it."""

    def __post_init__(self) -> None:
        """Refuse what makes no model."""
        for field, limit in _LIMITS.items():
            _check_whole(field, getattr(self, field), 1, limit)
        if self.embedding_dim % (2 * self.heads) != 0:
            raise ConfigError(
                f"{self.embedding_dim} dimensions do not split into {self.heads} heads "
                "of an even size"
            )
        rate: object = self.dropout_rate
        if isinstance(rate, bool) or not isinstance(rate, int | float):
            raise ConfigError(f"dropout_rate is a {type(rate).__name__}, must be a number")
        if not (isfinite(rate) and 0 <= rate <= _DROPOUT_MAX):
            raise ConfigError(f"dropout_rate is {rate}, must be 0 to {_DROPOUT_MAX}")
        if self.compute_dtype not in ("float32", "bfloat16"):
            raise ConfigError(
                f"compute_dtype is {self.compute_dtype!r}, must be 'float32' or 'bfloat16'"
            )

    @classmethod
    def nano(cls, *, dropout_rate: float = 0.0) -> Self:
        """Return a localnet's default: the same design, 861 192 weights."""
        return cls(
            dropout_rate=dropout_rate,
            embedding_dim=128,
            heads=4,
            layers=4,
            ffn_dim=512,
            max_seq_len=256,
        )

    @classmethod
    def from_arch(cls, arch: str | Path, *, dropout_rate: float = 0.0) -> Self:
        """Return the sizes that `soma`'s `--arch` names: `nano`, `v1`, or a JSON file's six.

        Raises:
            ConfigError: the file cannot be read, or what it says makes no model.

        """
        if arch == "nano":
            return cls.nano(dropout_rate=dropout_rate)
        if arch == "v1":
            return cls(dropout_rate=dropout_rate)
        try:
            sizes = json.loads(Path(arch).read_text(encoding="utf-8"))
        except OSError as error:
            raise ConfigError(
                f"cannot read the architecture {arch}: {error.strerror}; "
                "give nano, v1, or a JSON file"
            ) from error
        except (ValueError, RecursionError) as error:
            raise ConfigError(f"{arch} is no architecture: {excerpt(str(error))}") from error
        if not isinstance(sizes, dict) or sizes.keys() != _LIMITS.keys():
            raise ConfigError(f"{arch} is no architecture: it must have {', '.join(_LIMITS)}")
        wavelength = sizes["rope_wavelength"]
        if isinstance(wavelength, float) and wavelength.is_integer():
            sizes["rope_wavelength"] = int(wavelength)
        return cls(dropout_rate=dropout_rate, **sizes)

    def architecture(self) -> dict[str, int]:
        """Return the six sizes, as a JSON file for `soma`'s `--arch` has them."""
        return {field: getattr(self, field) for field in _LIMITS}

    def replace(self, **changes: object) -> Self:
        """Return a copy with other values for some fields."""
        return replace(self, **changes)  # type: ignore[arg-type]

    @property
    def head_dim(self) -> int:
        """Dimensions of one attention head."""
        return self.embedding_dim // self.heads

    @property
    def parameters(self) -> int:
        """Number of weights: what training fits and a file stores."""
        d, ffn = self.embedding_dim, self.ffn_dim
        layer = 4 * d + 4 * (d * d + d) + (d * ffn + ffn) + (ffn * d + d)
        return VOCAB * d + self.layers * layer + 2 * d + (d * VOCAB + VOCAB)


@dataclass(frozen=True, slots=True, kw_only=True)
class SIGRegConfig:
    """How SIGReg is estimated in training. Scoring's weight of it is not a setting."""

    directions: int = 256
    """Random directions, new ones in each pass. Fewer are cheaper and have the same mean;
    0 trains without SIGReg."""

    def __post_init__(self) -> None:
        """Refuse what is out of range."""
        _check_whole("directions", self.directions, 0, _DIRECTIONS_MAX)


def _check_whole(field: str, value: object, least: int, most: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int):
        raise ConfigError(f"{field} is {excerpt(repr(value))}, must be a whole number")
    if not least <= value <= most:
        raise ConfigError(f"{field} is {value}, must be {least} to {most}")
