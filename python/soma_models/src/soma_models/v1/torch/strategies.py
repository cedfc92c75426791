"""Strategies (docs/strategies.md) that go through a model, in PyTorch.

Fine-tuning needs nothing of its own: `Model.load_bytes` of a competitor's weights, or the trainer's
`--init`, and training as usual.
"""

from collections.abc import Iterable, Sequence

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from numpy.typing import NDArray
from torch import Tensor, nn

from soma_models.errors import InputError
from soma_models.v1.configs import PAD
from soma_models.v1.strategies import check_share, direction, genesis_sequences
from soma_models.v1.torch.loss import compute_loss
from soma_models.v1.torch.model import Model
from soma_models.v1.training.text import padded

__all__ = ["distill_loss", "genesis_embedding", "sequence_means", "update_embedding"]


def distill_loss(
    student: nn.Module,
    teacher: nn.Module,
    sig_reg: nn.Module,
    token_ids: Tensor,
    targets: Tensor,
    *,
    alpha: float = 0.5,
) -> tuple[Tensor, Tensor]:
    """Return the loss of distillation, and the student's embedding of the batch.

    alpha * (the student's loss) + (1 - alpha) * (mean square between the two embeddings). Only the
    student gets a gradient; the teacher is run without dropout.

    Raises:
        InputError: alpha is not 0 to 1, the two are of different widths, or tokens and targets are
            none (`compute_loss`).

    """
    check_share("alpha", alpha)
    task, embedding = compute_loss(student, sig_reg, token_ids, targets)
    trains = teacher.training
    teacher.eval()
    try:
        with torch.no_grad():
            mask = token_ids != PAD
            representations = teacher(token_ids).representations
            share = (mask / mask.sum()).to(representations.dtype)
            theirs = (share.unsqueeze(-1) * representations).sum((0, 1))
    finally:
        teacher.train(trains)
    if embedding.shape != theirs.shape:
        own, other = embedding.shape[-1], theirs.shape[-1]
        raise InputError(f"the student's embeddings have {own} numbers, the teacher's {other}")
    return alpha * task + (1 - alpha) * F.mse_loss(embedding, theirs), embedding


def sequence_means(
    model: Model, pieces: Sequence[bytes], batch_size: int = 8
) -> NDArray[np.float64]:
    """Return each sequence's mean representation [N, d]; a piece has up to max_seq_len bytes."""
    device = next(model.parameters()).device
    trains = model.training
    model.eval()
    means = []
    try:
        with torch.no_grad():
            for start in range(0, len(pieces), batch_size):
                rows, _ = padded(pieces[start : start + batch_size], model.config.max_seq_len)
                tokens = torch.from_numpy(rows).to(device)
                mask = (tokens != PAD).unsqueeze(-1)
                total = (model.encode(tokens) * mask).sum(1)
                means.append((total / mask.sum(1)).double().cpu().numpy())
    finally:
        model.train(trains)
    return np.concatenate(means) if means else np.empty((0, model.config.embedding_dim))


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
