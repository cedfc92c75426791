"""The loss that the network scores by (docs/scoring-spec.md, section 3)."""

import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from torch import Tensor, nn

from soma_models.errors import InputError
from soma_models.v1.configs import PAD

__all__ = ["compute_loss"]


def compute_loss(
    model: nn.Module, sig_reg: nn.Module, token_ids: Tensor, targets: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the loss and the embedding of a batch, both differentiable.

    `token_ids` and `targets` are int64 [B, T], as `tokenize` makes them. The loss, a scalar in
    nats, is the cross entropy over the targets that are not PAD, plus SIGReg over the tokens that
    are not. The embedding [d] is the mean representation of those tokens. In eval mode, with the
    epoch's directions in `sig_reg` and one document as the batch, both are what `soma score` says.

    `model` is a `Model`, or one that was compiled, replicated or sharded. Nothing here waits for
    the device. A batch without a target has no loss: it is NaN.

    Raises:
        InputError: tokens and targets are not whole numbers of one shape, or model, SIGReg, tokens
            and targets are not on one device.

    """
    if targets.dtype not in (torch.int64, torch.int32):
        raise InputError(f"targets are {targets.dtype}, must be torch.int64")
    if targets.shape != token_ids.shape:
        raise InputError(
            f"targets have shape {list(targets.shape)}, token_ids {list(token_ids.shape)}: "
            "they must be equal"
        )
    if targets.device != token_ids.device:
        raise InputError(f"targets are on {targets.device}, token_ids on {token_ids.device}")
    representations, logits = model(token_ids)
    mask = token_ids != PAD
    cross_entropy = F.cross_entropy(
        logits.float().flatten(0, 1), targets.long().flatten(), ignore_index=PAD
    )
    share = (mask / mask.sum()).to(representations.dtype)
    embedding = (share.unsqueeze(-1) * representations).sum((0, 1))
    return cross_entropy + sig_reg(representations, mask), embedding
