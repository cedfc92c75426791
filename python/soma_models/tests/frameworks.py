"""One face of both frameworks, for what must hold in each."""

import jax
import jax.numpy as jnp
import numpy as np
import torch
from flax import nnx

import soma_models.v1.flax
import soma_models.v1.torch
from soma_models.v1.configs import SIGRegConfig
from soma_models.v1.tokenizer import tokenize


def batch_of(data, length):
    """Token ids and targets [B, T] of one document."""
    sequences = tokenize(data, length)
    return (
        np.array([sequence.token_ids for sequence in sequences]),
        np.array([sequence.targets for sequence in sequences]),
    )


class Torch:
    name = "torch"
    module = soma_models.v1.torch

    @staticmethod
    def fresh(config, seed=0):
        torch.manual_seed(seed)
        return Torch.module.Model(config)

    @staticmethod
    def load_bytes(data, config):
        return Torch.module.Model.load_bytes(data, config)

    @staticmethod
    def tokens(array, dtype="int64"):
        return torch.tensor(array, dtype=getattr(torch, dtype))

    @staticmethod
    def sig_reg(directions=None, count=256, seed=0):
        torch.manual_seed(seed)
        return Torch.module.SIGReg(SIGRegConfig(directions=count), directions)

    @staticmethod
    def regularizer(samples, sig_reg):
        return float(sig_reg(torch.tensor(samples)[None], torch.ones(1, len(samples)) > 0))

    @staticmethod
    def loss(model, sig_reg, token_ids, targets):
        with torch.no_grad():
            loss, embedding = Torch.module.compute_loss(
                model, sig_reg, torch.tensor(token_ids), torch.tensor(targets)
            )
        return loss.item(), embedding.numpy()

    @staticmethod
    def gradients(model, sig_reg, token_ids, targets):
        """Of the loss plus the embedding's first coordinate."""
        loss, embedding = Torch.module.compute_loss(
            model, sig_reg, torch.tensor(token_ids), torch.tensor(targets)
        )
        model.zero_grad()
        (loss + embedding[0]).backward()
        return {name: p.grad.numpy().copy() for name, p in model.named_parameters()}


class Flax:
    name = "flax"
    module = soma_models.v1.flax

    @staticmethod
    def fresh(config, seed=0):
        return Flax.module.Model(config, nnx.Rngs(seed))

    @staticmethod
    def load_bytes(data, config):
        return Flax.module.Model.load_bytes(data, config, rngs=nnx.Rngs(0))

    @staticmethod
    def tokens(array, dtype="int32"):
        return jnp.array(array, dtype=dtype)

    @staticmethod
    def sig_reg(directions=None, count=256, seed=0):
        return Flax.module.SIGReg(SIGRegConfig(directions=count), nnx.Rngs(seed), directions)

    @staticmethod
    def regularizer(samples, sig_reg):
        return float(sig_reg(jnp.array(samples)[None], jnp.ones((1, len(samples)), bool)))

    @staticmethod
    def loss(model, sig_reg, token_ids, targets):
        loss, embedding = _flax_loss(model, sig_reg, jnp.array(token_ids), jnp.array(targets))
        return float(loss), np.asarray(embedding)

    @staticmethod
    def gradients(model, sig_reg, token_ids, targets):
        """Of the loss plus the embedding's first coordinate."""
        grads = _flax_grads(model, sig_reg, jnp.array(token_ids), jnp.array(targets))
        flat, _ = jax.tree_util.tree_flatten_with_path(nnx.to_pure_dict(grads))
        return {".".join(str(key.key) for key in path): np.asarray(g) for path, g in flat}


_flax_loss = nnx.jit(soma_models.v1.flax.compute_loss)


@nnx.jit
def _flax_grads(model, sig_reg, token_ids, targets):
    def total(model, sig_reg):
        loss, embedding = soma_models.v1.flax.compute_loss(model, sig_reg, token_ids, targets)
        return loss + embedding[0]

    return nnx.grad(total)(model, sig_reg)


BOTH = [Torch, Flax]
