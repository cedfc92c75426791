"""What the tests share: where things lie, small models, the reference vectors."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from soma_models.v1 import weights
from soma_models.v1.configs import ModelConfig
from soma_models.v1.layout import layout

REPOSITORY = Path(__file__).resolve().parents[3]
VECTORS = REPOSITORY / "crates/model/tests/vectors"

# The smallest sizes in which no two dimensions are equal.
SMALL = ModelConfig(
    dropout_rate=0.0,
    embedding_dim=24,
    heads=3,
    layers=2,
    ffn_dim=40,
    max_seq_len=16,
    rope_wavelength=100,
)


@dataclass(frozen=True)
class Case:
    """One document with a float64 reference's results."""

    label: str
    config: ModelConfig
    weights: Path
    data: bytes
    cross_entropy: float
    mean_embedding: np.ndarray


def _cases():
    for name in ("pico", "nano", "wide"):
        vectors = json.loads((VECTORS / f"{name}.json").read_text())
        sizes = {k: int(v) for k, v in vectors["architecture"].items() if k != "name"}
        config = ModelConfig(dropout_rate=0.0, **sizes)
        for case in vectors["cases"]:
            yield Case(
                label=f"{name}, {case['label']}",
                config=config,
                weights=VECTORS / vectors["weights"],
                data=bytes.fromhex(case["data_hex"]),
                cross_entropy=case["cross_entropy_nats"],
                mean_embedding=np.array(case["mean_embedding"]),
            )


CASES = list(_cases())


def each_case(test):
    return pytest.mark.parametrize("case", CASES, ids=lambda case: case.label)(test)


def random_tensors(config, seed=0):
    """Weights that are nowhere 0 or 1, so that no part can be left out unnoticed."""
    random = np.random.default_rng(seed)
    return {
        spec.name: (spec.mean + 0.3 * random.standard_normal(spec.shape)).astype(np.float32)
        for spec in layout(config)
    }


def random_file(config, seed=0):
    return weights.save_bytes(random_tensors(config, seed), config)


def cosine(a, b):
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return a @ b / np.sqrt((a @ a) * (b @ b))
