"""The model (docs/scoring-spec.md, section 1).

Shapes: B sequences of T tokens, width d, H heads.
"""

import os
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Self

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from soma_models.errors import InputError
from soma_models.v1 import weights
from soma_models.v1.configs import LAYER_NORM_EPSILON, VOCAB, ModelConfig
from soma_models.v1.layout import layout
from soma_models.v1.rope import rope_tables
from soma_models.v1.saving import Saving

__all__ = ["Model", "Output"]


class Output(NamedTuple):
    """What a model makes of tokens."""

    representations: Tensor
    """[B, T, d] float32, after the final norm."""
    logits: Tensor
    """[B, T, 264]: of the next token."""


class Model(Saving, nn.Module):
    """The V1 transformer, with fresh weights; `load` and `load_bytes` make one from a file.

    Its parameters are named and laid out ([in, out]) as the weights file has them. They are
    float32; `config.compute_dtype` or `torch.autocast` sets what they are multiplied in.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = _Embedding(config)
        self.encoder = _Encoder(config)
        self.final_norm = _Norm(config.embedding_dim)
        self.predictor = _Linear(config.embedding_dim, VOCAB)
        cosines, sines = rope_tables(config)
        # On the CPU even where parameters are made without values (load_bytes).
        for name, table in (("cosines", cosines), ("sines", sines)):
            self.register_buffer(name, torch.tensor(table, device="cpu"), persistent=False)
        self.reset_parameters()

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Draw fresh weights from PyTorch's generator (layout.py says which)."""
        parameters = dict(self.named_parameters())
        for spec in layout(self.config):
            parameters[spec.name].normal_(spec.mean, spec.deviation)

    def forward(self, token_ids: Tensor) -> Output:
        """Return representations and logits of `token_ids` [B, T], T up to max_seq_len."""
        representations = self.encode(token_ids)
        return Output(representations, self.predict(representations))

    def encode(self, token_ids: Tensor) -> Tensor:
        """Return the representations [B, T, d] of `token_ids` [B, T].

        Raises:
            InputError: `token_ids` are not whole numbers of that shape on the model's device.

        """
        self._check(token_ids)
        length = token_ids.shape[1]
        cosines, sines = self.get_buffer("cosines")[:length], self.get_buffer("sines")[:length]
        with self._autocast(token_ids.device.type):
            x = self.embedding(token_ids)
            x = self.encoder(x, cosines, sines)
            representations: Tensor = self.final_norm(x)
            return representations

    def predict(self, representations: Tensor) -> Tensor:
        """Return the logits [B, T, 264] of representations [B, T, d]."""
        with self._autocast(representations.device.type):
            logits: Tensor = self.predictor(representations)
            return logits

    @classmethod
    def load_bytes(cls, data: bytes, config: ModelConfig) -> Self:
        """Return a model on the CPU with the weights of a safetensors file.

        Raises:
            WeightsError: the bytes are not this architecture's weights; it names the tensor.

        """
        return cls._of(weights.load_bytes(data, config), config)

    @classmethod
    def load(cls, path: str | os.PathLike[str], config: ModelConfig) -> Self:
        """Return a model on the CPU with the weights of the file at `path`.

        Raises:
            OSError: the file cannot be read.
            WeightsError: it does not hold this architecture's weights.

        """
        return cls._of(weights.load(path, config), config)

    @classmethod
    def _of(cls, tensors: dict[str, NDArray[np.float32]], config: ModelConfig) -> Self:
        with torch.device("meta"):
            model = cls(config)
        state = {name: torch.from_numpy(array) for name, array in tensors.items()}
        model.load_state_dict(state, assign=True)
        return model

    def _tensors(self) -> dict[str, NDArray[np.float32]]:
        return {
            name: parameter.detach().to("cpu", torch.float32).numpy()
            for name, parameter in self.named_parameters()
        }

    def _autocast(self, device_type: str) -> AbstractContextManager[object]:
        if self.config.compute_dtype == "float32":
            return nullcontext()
        return torch.autocast(device_type, dtype=torch.bfloat16)

    def _check(self, token_ids: Tensor) -> None:
        if token_ids.dtype not in (torch.int64, torch.int32):
            raise InputError(f"token_ids are {token_ids.dtype}, must be torch.int64")
        if token_ids.ndim != 2 or token_ids.numel() == 0:  # noqa: PLR2004 ([B, T])
            raise InputError(
                f"token_ids have shape {list(token_ids.shape)}, must be [sequences, tokens]"
            )
        if token_ids.shape[1] > self.config.max_seq_len:
            raise InputError(
                f"sequences of {token_ids.shape[1]} tokens are longer than max_seq_len, "
                f"{self.config.max_seq_len}"
            )
        if token_ids.device != (device := self.get_buffer("cosines").device):
            raise InputError(
                f"token_ids are on {token_ids.device}, the model on {device}: move one with .to()"
            )


class _Embedding(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(VOCAB, config.embedding_dim))

    def forward(self, token_ids: Tensor) -> Tensor:
        return F.embedding(token_ids, self.weight)


class _Norm(nn.Module):
    def __init__(self, dim: int) -> None:
        super().__init__()
        self.gamma = nn.Parameter(torch.empty(dim))
        self.beta = nn.Parameter(torch.empty(dim))

    def forward(self, x: Tensor) -> Tensor:
        return F.layer_norm(x, self.gamma.shape, self.gamma, self.beta, LAYER_NORM_EPSILON)


class _Linear(nn.Module):
    """X @ weight + bias, with the weight [in, out]."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.empty(inputs, outputs))
        self.bias = nn.Parameter(torch.empty(outputs))

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight.t(), self.bias)


class _Encoder(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.layers = nn.ModuleList(_Layer(config) for _ in range(config.layers))
        self.gradient_checkpointing = config.gradient_checkpointing

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        for layer in self.layers:
            if self.gradient_checkpointing and torch.is_grad_enabled():
                x = checkpoint(layer, x, cosines, sines, use_reentrant=False)
            else:
                x = layer(x, cosines, sines)
        return x


class _Layer(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.norm_1 = _Norm(config.embedding_dim)
        self.attention = _Attention(config)
        self.norm_2 = _Norm(config.embedding_dim)
        self.pwff = _FeedForward(config)
        self.dropout_rate = config.dropout_rate

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        x = x + self._thin(self.attention(self.norm_1(x), cosines, sines))
        return x + self._thin(self.pwff(self.norm_2(x)))

    def _thin(self, x: Tensor) -> Tensor:
        return F.dropout(x, self.dropout_rate, self.training)


class _Attention(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        d = config.embedding_dim
        self.query = _Linear(d, d)
        self.key = _Linear(d, d)
        self.value = _Linear(d, d)
        self.output = _Linear(d, d)
        self.heads = config.heads

    def forward(self, x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
        query, key, value = (
            linear(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # [B, H, T, head_dim]
            for linear in (self.query, self.key, self.value)
        )
        mixed = F.scaled_dot_product_attention(
            _rotate(query, cosines, sines), _rotate(key, cosines, sines), value, is_causal=True
        )
        output: Tensor = self.output(mixed.transpose(1, 2).flatten(2))
        return output


def _rotate(x: Tensor, cosines: Tensor, sines: Tensor) -> Tensor:
    """Rotate the two halves of each head [B, H, T, head_dim] by their positions' angles."""
    a, b = x.chunk(2, dim=-1)
    rotated = torch.cat((a * cosines - b * sines, b * cosines + a * sines), dim=-1)
    return rotated.to(x.dtype)


class _FeedForward(nn.Module):
    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.linear_inner = _Linear(config.embedding_dim, config.ffn_dim)
        self.linear_outer = _Linear(config.ffn_dim, config.embedding_dim)

    def forward(self, x: Tensor) -> Tensor:
        output: Tensor = self.linear_outer(F.gelu(self.linear_inner(x)))
        return output
