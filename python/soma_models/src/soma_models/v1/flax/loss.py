"""The loss that the network scores by (docs/scoring-spec.md, section 3)."""

import jax
import jax.numpy as jnp
from jax import Array

from soma_models.errors import InputError
from soma_models.v1.configs import PAD
from soma_models.v1.flax.model import Model
from soma_models.v1.flax.sigreg import SIGReg

__all__ = ["compute_loss"]


def compute_loss(
    model: Model, sig_reg: SIGReg, token_ids: Array, targets: Array
) -> tuple[Array, Array]:
    """Return the loss and the embedding of a batch, both differentiable.

    `token_ids` and `targets` are whole numbers [B, T], as `tokenize` makes them. The loss, a scalar
    in nats, is the cross entropy over the targets that are not PAD, plus SIGReg over the tokens
    that are not. The embedding [d] is the mean representation of those tokens. In eval mode, with
    the epoch's directions in `sig_reg` and one document as the batch, both are what `soma score`
    says.

    It changes `sig_reg`'s random state and nothing of the model, so a model may be closed over. A
    batch without a target has no loss: it is NaN.

    Raises:
        InputError: tokens and targets are not whole numbers of one shape.

    """
    if not jnp.issubdtype(targets.dtype, jnp.integer):
        raise InputError(f"targets are {targets.dtype}, must be whole numbers")
    if targets.shape != token_ids.shape:
        raise InputError(
            f"targets have shape {list(targets.shape)}, token_ids {list(token_ids.shape)}: "
            "they must be equal"
        )
    representations, logits = model(token_ids, sig_reg.rngs)
    mask, predicted = token_ids != PAD, targets != PAD
    log_p = jax.nn.log_softmax(logits.astype(jnp.float32))
    picked = jnp.take_along_axis(log_p, targets[..., None], axis=-1)[..., 0]
    cross_entropy = -jnp.sum(picked, where=predicted) / predicted.sum()
    embedding = jnp.sum(representations, axis=(0, 1), where=mask[..., None]) / mask.sum()
    return cross_entropy + sig_reg(representations, mask), embedding
