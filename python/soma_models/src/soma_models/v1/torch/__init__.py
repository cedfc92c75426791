"""V1 in PyTorch.

from soma_models.v1.torch import Model, ModelConfig, SIGReg, SIGRegConfig, compute_loss
"""

try:
    import torch as _torch  # noqa: F401
except ModuleNotFoundError as error:
    if error.name != "torch":
        raise
    raise ModuleNotFoundError(
        "soma_models.v1.torch needs PyTorch: pip install 'soma-models[torch]'", name="torch"
    ) from None

from soma_models.v1.configs import ModelConfig, SIGRegConfig
from soma_models.v1.torch.loss import compute_loss
from soma_models.v1.torch.model import Model, Output
from soma_models.v1.torch.sigreg import SIGReg

__all__ = ["Model", "ModelConfig", "Output", "SIGReg", "SIGRegConfig", "compute_loss"]
