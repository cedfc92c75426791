"""V1 in Flax NNX.

from soma_models.v1.flax import Model, ModelConfig, SIGReg, SIGRegConfig, compute_loss
"""

try:
    import flax as _flax  # noqa: F401
    import jax as _jax  # noqa: F401
except ModuleNotFoundError as error:
    if error.name not in ("flax", "jax"):
        raise
    raise ModuleNotFoundError(
        "soma_models.v1.flax needs Flax: pip install 'soma-models[flax]'", name=error.name
    ) from None

from soma_models.v1.configs import ModelConfig, SIGRegConfig
from soma_models.v1.flax.loss import compute_loss
from soma_models.v1.flax.model import Model, Output
from soma_models.v1.flax.sigreg import SIGReg

__all__ = ["Model", "ModelConfig", "Output", "SIGReg", "SIGRegConfig", "compute_loss"]
