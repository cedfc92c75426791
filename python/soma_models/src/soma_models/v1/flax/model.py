"""The model (docs/scoring-spec.md, section 1).

Shapes: B sequences of T tokens, width d, H heads. Randomness is handed in, never kept: a model's
state is its weights and nothing else, so states of two models can be added and averaged.
"""

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from soma_models.errors import InputError
from soma_models.v1 import weights
from soma_models.v1.configs import LAYER_NORM_EPSILON, ModelConfig
from soma_models.v1.layout import TensorSpec, layout
from soma_models.v1.rope import rope_tables
from soma_models.v1.saving import Saving

__all__ = ["Model", "Output"]


class Output(NamedTuple):
    """What a model makes of tokens."""

    representations: Array
    """[B, T, d] float32, after the final norm."""
    logits: Array
    """[B, T, 264]: of the next token."""


class Model(Saving, nnx.Module):
    """The V1 transformer, with fresh weights; `load` and `load_bytes` make one from a file.

    Its parameters are named and laid out ([in, out]) as the weights file has them. They are
    float32; `config.compute_dtype` sets what they are multiplied in. New models train; `eval()`
    and `train()` switch dropout.
    """

    def __init__(self, config: ModelConfig, rngs: nnx.Rngs) -> None:
        self.config = config
        self.deterministic = False
        parameters = {spec.name: nnx.Param(_fresh(spec, rngs)) for spec in layout(config)}
        self.embedding = _Embedding(parameters)
        self.encoder = _Encoder(config, parameters)
        self.final_norm = _Norm("final_norm", parameters)
        self.predictor = _Linear("predictor", parameters)

    def __call__(self, token_ids: Array, rngs: nnx.Rngs | None = None) -> Output:
        """Return representations and logits of `token_ids` [B, T], T up to max_seq_len.

        `rngs` draws what dropout leaves out; it is needed in training where dropout_rate is not 0.
        """
        representations = self.encode(token_ids, rngs)
        return Output(representations, self.predict(representations))

    def encode(self, token_ids: Array, rngs: nnx.Rngs | None = None) -> Array:
        """Return the representations [B, T, d] of `token_ids` [B, T].

        Raises:
            InputError: `token_ids` are not whole numbers of that shape, or `rngs` is missing.

        """
        self._check(token_ids)
        key = self._dropout_key(rngs)
        with self._precision():
            x = self.embedding(token_ids)
            x = self.encoder(x, key)
            return self.final_norm(x)

    def predict(self, representations: Array) -> Array:
        """Return the logits [B, T, 264] of representations [B, T, d]."""
        with self._precision():
            return self.predictor(representations, jnp.dtype(self.config.compute_dtype))

    @classmethod
    def load_bytes(cls, data: bytes, config: ModelConfig, rngs: nnx.Rngs | None = None) -> Self:
        """Return a model with the weights of a safetensors file. `rngs` is not drawn from.

        Raises:
            WeightsError: the bytes are not this architecture's weights; it names the tensor.

        """
        del rngs
        return cls._of(weights.load_bytes(data, config), config)

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], config: ModelConfig, rngs: nnx.Rngs | None = None
    ) -> Self:
        """Return a model with the weights of the file at `path`. `rngs` is not drawn from.

        Raises:
            OSError: the file cannot be read.
            WeightsError: it does not hold this architecture's weights.

        """
        del rngs
        return cls._of(weights.load(path, config), config)

    @classmethod
    def _of(cls, tensors: Mapping[str, NDArray[np.float32]], config: ModelConfig) -> Self:
        model = nnx.eval_shape(lambda: cls(config, nnx.Rngs(0)))
        for name, parameter in _named_parameters(model).items():
            parameter.set_value(jnp.asarray(tensors[name]))
        return model

    def _tensors(self) -> dict[str, NDArray[np.float32]]:
        return {
            name: np.asarray(parameter.get_value(), np.float32)
            for name, parameter in _named_parameters(self).items()
        }

    def _dropout_key(self, rngs: nnx.Rngs | None) -> Array | None:
        if self.deterministic or self.config.dropout_rate == 0:
            return None
        if rngs is None:
            raise InputError("a model that trains with dropout needs rngs: pass them, or eval()")
        key: Array = rngs.dropout()
        return key

    def _precision(self) -> AbstractContextManager[object]:
        if self.config.compute_dtype != "float32":
            return nullcontext()
        highest: AbstractContextManager[object] = jax.default_matmul_precision("highest")
        return highest

    def _check(self, token_ids: Array) -> None:
        if not jnp.issubdtype(token_ids.dtype, jnp.integer):
            raise InputError(f"token_ids are {token_ids.dtype}, must be whole numbers")
        if token_ids.ndim != 2 or token_ids.size == 0:  # noqa: PLR2004 ([B, T])
            raise InputError(
                f"token_ids have shape {list(token_ids.shape)}, must be [sequences, tokens]"
            )
        if token_ids.shape[1] > self.config.max_seq_len:
            raise InputError(
                f"sequences of {token_ids.shape[1]} tokens are longer than max_seq_len, "
                f"{self.config.max_seq_len}"
            )


_Parameters = Mapping[str, nnx.Param[Array]]


def _fresh(spec: TensorSpec, rngs: nnx.Rngs) -> Array:
    if spec.deviation == 0:
        return jnp.full(spec.shape, spec.mean, jnp.float32)
    return spec.deviation * jax.random.normal(rngs.params(), spec.shape, jnp.float32)


def _named_parameters(model: Model) -> dict[str, nnx.Param[Array]]:
    """Return the parameters by their names in the file, which are their paths in the model."""
    return {
        ".".join(map(str, path)): node
        for path, node in nnx.iter_graph(model)
        if isinstance(node, nnx.Param)
    }


class _Embedding(nnx.Module):
    def __init__(self, parameters: _Parameters) -> None:
        self.weight = parameters["embedding.weight"]

    def __call__(self, token_ids: Array) -> Array:
        return self.weight[...][token_ids]


class _Norm(nnx.Module):
    def __init__(self, name: str, parameters: _Parameters) -> None:
        self.gamma = parameters[f"{name}.gamma"]
        self.beta = parameters[f"{name}.beta"]

    def __call__(self, x: Array) -> Array:
        centred = x - x.mean(-1, keepdims=True)
        variance = jnp.square(centred).mean(-1, keepdims=True)
        normal = centred * jax.lax.rsqrt(variance + LAYER_NORM_EPSILON)
        return normal * self.gamma[...] + self.beta[...]


class _Linear(nnx.Module):
    """X @ weight + bias, with the weight [in, out]."""

    def __init__(self, name: str, parameters: _Parameters) -> None:
        self.weight = parameters[f"{name}.weight"]
        self.bias = parameters[f"{name}.bias"]

    def __call__(self, x: Array, dtype: jnp.dtype) -> Array:
        return x.astype(dtype) @ self.weight[...].astype(dtype) + self.bias[...].astype(dtype)


class _Encoder(nnx.Module):
    def __init__(self, config: ModelConfig, parameters: _Parameters) -> None:
        self.layers = nnx.List(
            [_Layer(f"encoder.layers.{i}", config, parameters) for i in range(config.layers)]
        )
        self.gradient_checkpointing = config.gradient_checkpointing

    def __call__(self, x: Array, key: Array | None) -> Array:
        keys = [None] * len(self.layers) if key is None else jax.random.split(key, len(self.layers))
        for layer, layer_key in zip(self.layers, keys, strict=True):
            if self.gradient_checkpointing:
                graph, state = nnx.split(layer)
                again = jax.checkpoint(
                    lambda state, *args, graph=graph: nnx.merge(graph, state)(*args)
                )
                x = again(state, x, layer_key)
            else:
                x = layer(x, layer_key)
        return x


class _Layer(nnx.Module):
    def __init__(self, name: str, config: ModelConfig, parameters: _Parameters) -> None:
        self.norm_1 = _Norm(f"{name}.norm_1", parameters)
        self.attention = _Attention(f"{name}.attention", config, parameters)
        self.norm_2 = _Norm(f"{name}.norm_2", parameters)
        self.pwff = _FeedForward(f"{name}.pwff", config, parameters)
        self.dropout_rate = config.dropout_rate

    def __call__(self, x: Array, key: Array | None) -> Array:
        first, second = (None, None) if key is None else jax.random.split(key)
        x = x + self._thin(self.attention(self.norm_1(x)), first)
        return x + self._thin(self.pwff(self.norm_2(x)), second)

    def _thin(self, x: Array, key: Array | None) -> Array:
        if key is None:
            return x
        kept = jax.random.bernoulli(key, 1 - self.dropout_rate, x.shape)
        return jnp.where(kept, x / (1 - self.dropout_rate), 0)


class _Attention(nnx.Module):
    def __init__(self, name: str, config: ModelConfig, parameters: _Parameters) -> None:
        self.query = _Linear(f"{name}.query", parameters)
        self.key = _Linear(f"{name}.key", parameters)
        self.value = _Linear(f"{name}.value", parameters)
        self.output = _Linear(f"{name}.output", parameters)
        self.config = config

    def __call__(self, x: Array) -> Array:
        batch, length, dim = x.shape
        dtype = jnp.dtype(self.config.compute_dtype)
        query, key, value = (
            linear(x, dtype).reshape(batch, length, self.config.heads, -1)
            for linear in (self.query, self.key, self.value)
        )
        # [length, 1, head_dim / 2], to go with [B, T, H, head_dim / 2].
        tables = [jnp.asarray(table[:length, None, :]) for table in rope_tables(self.config)]
        mixed = jax.nn.dot_product_attention(
            _rotate(query, *tables), _rotate(key, *tables), value, is_causal=True
        )
        return self.output(mixed.reshape(batch, length, dim), dtype)


def _rotate(x: Array, cosines: Array, sines: Array) -> Array:
    """Rotate the two halves of each head [B, T, H, head_dim] by their positions' angles."""
    a, b = jnp.split(x, 2, axis=-1)
    rotated = jnp.concatenate((a * cosines - b * sines, b * cosines + a * sines), axis=-1)
    return rotated.astype(x.dtype)


class _FeedForward(nnx.Module):
    def __init__(self, name: str, config: ModelConfig, parameters: _Parameters) -> None:
        self.linear_inner = _Linear(f"{name}.linear_inner", parameters)
        self.linear_outer = _Linear(f"{name}.linear_outer", parameters)
        self.config = config

    def __call__(self, x: Array) -> Array:
        dtype = jnp.dtype(self.config.compute_dtype)
        inner = self.linear_inner(x, dtype).astype(jnp.float32)
        return self.linear_outer(jax.nn.gelu(inner, approximate=False), dtype)
