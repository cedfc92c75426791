"""Strategies (docs/strategies.md) as far as they are files and numbers. Needs no framework.

What goes through a model is in `soma_models.v1.torch.strategies` and its like for Flax, what needs
the network in `soma_sdk.strategies`.
"""

import heapq
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import Final, Protocol

import blake3
import numpy as np
from numpy.typing import ArrayLike, NDArray

from soma_models.errors import InputError, WeightsError
from soma_models.v1.configs import ModelConfig
from soma_models.v1.sigreg import epoch_directions
from soma_models.v1.training.text import sequences
from soma_models.v1.weights import Tensors

__all__ = [
    "GENESIS_SEQUENCES",
    "UPDATE_AFTER",
    "UPDATE_WINS",
    "Place",
    "Registered",
    "average",
    "check_share",
    "crowding",
    "direction",
    "genesis_sequences",
    "is_update_due",
    "places",
]

GENESIS_SEQUENCES: Final = 256
"""Sequences that a genesis embedding is made of."""
UPDATE_WINS: Final = 100
"""Won targets after which an embedding is made anew."""
UPDATE_AFTER: Final = timedelta(days=7)
"""The time after which it is made anew, if anything was won."""

_CONTEXT: Final = "soma 2026 genesis embedding"
_U64: Final = 1 << 64
_SEEDS: Final = 16
_MODELS_PER_TARGET: Final = 3
_SHANNONS: Final = 1_000_000_000


def average(mine: Tensors, theirs: Tensors, beta: float = 0.3) -> dict[str, NDArray[np.float32]]:
    """Return (1 - beta) mine + beta theirs, each weight in float64 and rounded once.

    Both are tensors as `weights.load` returns them, of one architecture.

    Raises:
        InputError: beta is not 0 to 1.
        WeightsError: the tensors of the two are not the same; it names one.

    """
    check_share("beta", beta)
    for name in mine.keys() ^ theirs.keys():
        raise WeightsError(f"only one of the two models has a tensor '{name}'")
    for name, tensor in mine.items():
        if tensor.shape != theirs[name].shape:
            raise WeightsError(
                f"tensor '{name}' has shape {list(tensor.shape)} in one model and "
                f"{list(theirs[name].shape)} in the other: both must be of one architecture"
            )
    wide = np.float64
    return {
        name: ((1 - beta) * mine[name].astype(wide) + beta * theirs[name].astype(wide)).astype(
            "<f4"
        )
        for name in mine
    }


def genesis_sequences(
    data: str | bytes | Iterable[str | bytes], config: ModelConfig, seed: int = 0
) -> list[bytes]:
    """Return the sequences of a genesis embedding: 256 full ones drawn from a corpus by `seed`.

    `data` is a source as trainers take it, or several, or documents as bytes. The corpus is read
    once and never held. Where it has fewer full sequences, all of them are returned.

    Raises:
        InputError: there is no full sequence, a source cannot be read, or the seed is not 64 bits.

    """
    if not 0 <= seed < _U64:
        raise InputError(f"seed is {seed}, must be 0 to 2^64 - 1")
    length = config.max_seq_len
    drawn = heapq.nsmallest(GENESIS_SEQUENCES, _draws(data, length, seed))
    if not drawn:
        raise InputError(f"no document has {length} bytes, which is what a full sequence needs")
    return [piece for _, _, piece in drawn]


def _draws(
    data: str | bytes | Iterable[str | bytes], length: int, seed: int
) -> Iterable[tuple[int, int, bytes]]:
    """Return each full sequence after its draw and its number."""
    number = 0
    for source in [data] if isinstance(data, str | bytes) else data:
        for piece in sequences(source, length) if isinstance(source, str) else _cut(source, length):
            if len(piece) == length:
                yield _draw(seed, number), number, piece
                number += 1


def _cut(document: bytes, length: int) -> Iterable[bytes]:
    return (document[start : start + length] for start in range(0, len(document), length))


def _draw(seed: int, number: int) -> int:
    hasher = blake3.blake3(derive_key_context=_CONTEXT)
    hasher.update(seed.to_bytes(8, "little") + number.to_bytes(8, "little"))
    return int.from_bytes(hasher.digest(length=8), "little")


def direction(means: ArrayLike) -> list[float]:
    """Return the sum of means [N, d], divided by its length: what `reveal_model` takes.

    Raises:
        InputError: there are none, they are not finite, or they add up to nothing.

    """
    vectors = np.asarray(means, np.float64)
    if vectors.ndim != 2 or vectors.size == 0:  # noqa: PLR2004 ([N, d])
        raise InputError(
            f"means have shape {list(vectors.shape)}, must be [sequences, d], not empty"
        )
    total = vectors.sum(axis=0)
    size = float(np.linalg.norm(total))
    if not math.isfinite(size) or size == 0:
        raise InputError(f"the means add up to a vector of length {size}, which has no direction")
    embedding: list[float] = (total / size).tolist()
    return embedding


def is_update_due(wins: int, since: timedelta) -> bool:
    """Return whether an embedding is to be made anew, after `wins` since it was registered."""
    return wins >= UPDATE_WINS or (wins > 0 and since >= UPDATE_AFTER)


class Registered(Protocol):
    """A model as the network lists it: `soma_sdk.Model`, for one."""

    @property
    def embedding(self) -> Sequence[float]:
        """Where it is registered, a vector of length 1."""

    @property
    def counted_stake(self) -> Decimal:
        """The stake that counts, in SOMA."""

    @property
    def status(self) -> str:
        """`active` where it competes."""


@dataclass(frozen=True, slots=True)
class Place:
    """A place where a model could be registered, as routing sees it."""

    index: int
    """Of the place, among those that were asked for."""
    share: float
    """The part of all targets that a model there would be given."""
    nearest: float
    """The cosine to the nearest model; -1 where there is none."""


def crowding(
    at: ArrayLike, registry: Iterable[Registered], models_per_target: int = _MODELS_PER_TARGET
) -> NDArray[np.float64]:
    """Return how crowded each place of `at` [N, d] is: the routing score that the third model has.

    Raises:
        InputError: the places are not vectors of the models' dimension.

    """
    vectors = _unit(at)
    embeddings, log_stakes = _active(registry, vectors.shape[1])
    return _crowding(vectors, embeddings, log_stakes, models_per_target)


def places(
    at: ArrayLike,
    registry: Iterable[Registered],
    stake: Decimal | float = 10,
    models_per_target: int = _MODELS_PER_TARGET,
) -> list[Place]:
    """Return the places of `at` [N, d], the sparsest first: where `stake` SOMA get most targets.

    Raises:
        InputError: the places are not vectors of the models' dimension, or the stake is none.

    """
    if not stake > 0:
        raise InputError(f"stake is {stake}, must be above 0")
    vectors = _unit(at)
    dim = vectors.shape[1]
    embeddings, log_stakes = _active(registry, dim)
    given = np.zeros(len(vectors))
    for seed in range(_SEEDS):
        targets = epoch_directions(seed.to_bytes(8, "little") + bytes(24), dim).T.astype(np.float64)
        limit = _crowding(targets, embeddings, log_stakes, models_per_target)
        scores = _kappa(dim) * (targets @ vectors.T) + math.log(float(stake) * _SHANNONS)
        given += (scores > limit[:, None]).mean(axis=0) / _SEEDS
    nearest = (vectors @ embeddings.T).max(axis=1, initial=-1)
    found = [
        Place(index, float(given[index]), float(nearest[index])) for index in range(len(vectors))
    ]
    return sorted(found, key=lambda place: (-place.share, place.nearest, place.index))


def _kappa(dim: int) -> float:
    return 4 * math.sqrt(dim)


def _crowding(
    vectors: NDArray[np.float64],
    embeddings: NDArray[np.float64],
    log_stakes: NDArray[np.float64],
    models_per_target: int,
) -> NDArray[np.float64]:
    if models_per_target < 1:
        raise InputError(f"models_per_target is {models_per_target}, must be at least 1")
    if len(embeddings) < models_per_target:
        return np.full(len(vectors), -np.inf)
    scores = _kappa(vectors.shape[1]) * (vectors @ embeddings.T) + log_stakes
    last = -models_per_target
    ranked: NDArray[np.float64] = np.partition(scores, last, axis=1)[:, last]
    return ranked


def _active(
    registry: Iterable[Registered], dim: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return embeddings [M, d] and ln(stake) [M] of the models that compete."""
    active = [model for model in registry if model.status == "active" and model.counted_stake > 0]
    for model in active:
        if len(model.embedding) != dim:
            raise InputError(
                f"the places have {dim} numbers, the network's models {len(model.embedding)}"
            )
    embeddings = np.array([model.embedding for model in active], np.float64).reshape(-1, dim)
    stakes = [float(model.counted_stake * _SHANNONS) for model in active]
    return embeddings, np.log(stakes)


def _unit(at: ArrayLike) -> NDArray[np.float64]:
    vectors = np.asarray(at, np.float64)
    if vectors.ndim != 2 or vectors.size == 0:  # noqa: PLR2004 ([N, d])
        raise InputError(f"places have shape {list(vectors.shape)}, must be [places, d], not empty")
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        raise InputError("a place is a vector with a direction: finite, and not all zeros")
    unit: NDArray[np.float64] = vectors / lengths
    return unit


def check_share(name: str, value: float) -> None:
    """Refuse what is no share.

    Raises:
        InputError: it is not 0 to 1.

    """
    if not 0 <= value <= 1:
        raise InputError(f"{name} is {value}, must be 0 to 1")
