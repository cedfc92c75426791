"""SOMA's models for people who train: PyTorch and Flax, the same weights and the same numbers.

`soma_models.v1` is the network's first architecture. Importing this package, its configs or its
tokenizer needs neither framework; `soma_models.v1.torch` needs PyTorch and `soma_models.v1.flax`
needs Flax, and neither needs the other.
"""

from soma_models.errors import ConfigError, InputError, SomaModelsError, WeightsError

__all__ = ["ConfigError", "InputError", "SomaModelsError", "WeightsError", "__version__"]

__version__ = "0.2.0"
