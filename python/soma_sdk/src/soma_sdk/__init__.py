"""SOMA from Python: keys, models, targets, exact scores.

>>> client = await SomaClient(chain="localnet")
>>> state = await client.get_latest_system_state()

Amounts are given and shown in SOMA, exactly: `1`, `0.5`, `"0.000000001"`, `Decimal`. What cannot be
said exactly is refused.
"""

import atexit
import warnings

from soma_sdk import _soma_sdk
from soma_sdk._soma_sdk import DecryptionKey, Keypair, verify
from soma_sdk.amounts import to_shannons, to_soma
from soma_sdk.client import SomaClient
from soma_sdk.errors import RejectedError, SomaError
from soma_sdk.scoring import Contest, Score, score
from soma_sdk.views import (
    AccountView,
    Manifest,
    Model,
    PendingModel,
    Receipt,
    Submission,
    SystemState,
    Target,
)

__version__: str = _soma_sdk.VERSION
"""The version of the package. The `soma` in it says its own."""

__all__ = [
    "AccountView",
    "Contest",
    "DecryptionKey",
    "Keypair",
    "Manifest",
    "Model",
    "PendingModel",
    "Receipt",
    "RejectedError",
    "Score",
    "SomaClient",
    "SomaError",
    "Submission",
    "SystemState",
    "Target",
    "__version__",
    "score",
    "to_shannons",
    "to_soma",
    "verify",
]

atexit.register(_soma_sdk.shutdown)

if _soma_sdk.DEBUG:
    warnings.warn(
        "this soma_sdk is a debug build: correct, and many times slower",
        RuntimeWarning,
        stacklevel=2,
    )
