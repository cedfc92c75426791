from soma_models.v1.torch import Model
from soma_models.v1.configs import ModelConfig

competitor = Model.load_bytes(
    model_bytes,
    ModelConfig(dropout_rate=0.0),
)
