from soma_models.v1.flax import Model
from soma_models.v1.configs import ModelConfig
from flax import nnx

competitor = Model.load_bytes(
    model_bytes,
    ModelConfig(dropout_rate=0.0),
    rngs=nnx.Rngs(0),
)
