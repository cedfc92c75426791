"""Strategies (docs/strategies.md) that go through a model, in Flax.

Fine-tuning needs nothing of its own: `Model.load_bytes` of a competitor's weights, or the trainer's
`--init`, and training as usual.
"""

from collections.abc import Iterable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import Array
from numpy.typing import NDArray

from soma_models.errors import InputError
from soma_models.v1.configs import PAD
from soma_models.v1.flax.loss import compute_loss
from soma_models.v1.flax.model import Model
from soma_models.v1.flax.sigreg import SIGReg
from soma_models.v1.strategies import check_share, direction, genesis_sequences
from soma_models.v1.training.text import padded

__all__ = ["distill_loss", "genesis_embedding", "sequence_means", "update_embedding"]


def distill_loss(
    student: Model,
    teacher: Model,
    sig_reg: SIGReg,
    token_ids: Array,
    targets: Array,
    *,
    alpha: float = 0.5,
) -> tuple[Array, Array]:
    """Return the loss of distillation, and the student's embedding of the batch.

    alpha * (the student's loss) + (1 - alpha) * (mean square between the two embeddings). Only the
    student gets a gradient. The teacher has to be in eval mode where it has dropout, for what a
    compiled function closes over is not switched; `teacher.eval()` once is enough.

    Raises:
        InputError: alpha is not 0 to 1, the two are of different widths, or tokens and targets are
            none (`compute_loss`).

    """
    check_share("alpha", alpha)
    task, embedding = compute_loss(student, sig_reg, token_ids, targets)
    mask = token_ids != PAD
    representations = jax.lax.stop_gradient(teacher.encode(token_ids))
    theirs = jnp.sum(representations, axis=(0, 1), where=mask[..., None]) / mask.sum()
    if embedding.shape != theirs.shape:
        own, other = embedding.shape[-1], theirs.shape[-1]
        raise InputError(f"the student's embeddings have {own} numbers, the teacher's {other}")
    return alpha * task + (1 - alpha) * jnp.mean(jnp.square(embedding - theirs)), embedding


def sequence_means(
    model: Model, pieces: Sequence[bytes], batch_size: int = 8
) -> NDArray[np.float64]:
    """Return each sequence's mean representation [N, d]; a piece has up to max_seq_len bytes."""
    trains = not model.deterministic
    model.eval()  # type: ignore[no-untyped-call]
    means = []
    try:
        for start in range(0, len(pieces), batch_size):
            part = list(pieces[start : start + batch_size])
            # One shape, so that one program is compiled.
            full = part + part[:1] * (batch_size - len(part))
            tokens, _ = padded(full, model.config.max_seq_len)
            found = np.asarray(_means(model, jnp.asarray(tokens)), np.float64)
            means.append(found[: len(part)])
    finally:
        if trains:
            model.train()  # type: ignore[no-untyped-call]
    return np.concatenate(means) if means else np.empty((0, model.config.embedding_dim))


@nnx.jit
def _means(model: Model, token_ids: Array) -> Array:
    mask = (token_ids != PAD)[..., None]
    means: Array = jnp.sum(model.encode(token_ids), axis=1, where=mask) / mask.sum(1)
    return means


def genesis_embedding(
    model: Model, data: str | bytes | Iterable[str | bytes], seed: int = 0
) -> list[float]:
    """Return where to register a model that has won nothing yet: of 256 full sequences of `data`.

    `data` is a source as trainers take it, or several, or documents as bytes.

    Raises:
        InputError: there is no full sequence in it, or it cannot be read.

    """
    return direction(sequence_means(model, genesis_sequences(data, model.config, seed)))


def update_embedding(model: Model, documents: Iterable[bytes]) -> list[float]:
    """Return where to register a model that has won these documents.

    Raises:
        InputError: there are none.

    """
    length = model.config.max_seq_len
    pieces = [
        document[start : start + length]
        for document in documents
        for start in range(0, len(document), length)
    ]
    return direction(sequence_means(model, pieces))
