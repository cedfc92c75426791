"""What the network tells, typed. Amounts are in SOMA, exact; ids are `0x` and 64 hex digits."""

from __future__ import annotations

import sys
from array import array
from base64 import b64decode
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cached_property
from typing import TYPE_CHECKING, Any

from soma_sdk.amounts import to_soma

if TYPE_CHECKING:
    from collections.abc import Mapping

Json = Any

_Q15_ONE = 32768.0
_POOL_PARTS = ("stake", "pending", "young", "maturing")


def soma(shannons: str) -> Decimal:
    """Return an amount as the node writes it (a decimal string of shannons) in SOMA."""
    return to_soma(int(shannons))


def q15(text: str | None) -> array[int]:
    """Return an embedding as the node writes it: base64 of little-endian 16-bit integers."""
    numbers: array[int] = array("h")
    if text is not None:
        numbers.frombytes(b64decode(text, validate=True))
        if sys.byteorder == "big":
            numbers.byteswap()
    return numbers


@dataclass(frozen=True, kw_only=True)
class _Embedded:
    """Something with a place in embedding space."""

    _embedding: str | None = field(repr=False)

    @cached_property
    def embedding_q15(self) -> array[int]:
        """The embedding in units of 2^-15, as the ledger has it; a buffer of int16. Empty without one."""
        return q15(self._embedding)

    @property
    def is_placed(self) -> bool:
        """Whether it has an embedding."""
        return self._embedding is not None

    @cached_property
    def embedding(self) -> list[float]:
        """The embedding, a vector of length one. Empty without one."""
        return [number / _Q15_ONE for number in self.embedding_q15]


@dataclass(frozen=True, kw_only=True)
class Manifest:
    """Weights that are revealed: where they are and what opens them."""

    model_id: str
    url: str
    size_bytes: int
    hash: str
    """BLAKE3 of the encrypted weights."""
    decryption_key: str
    active_from: int
    """The epoch from which they compete."""

    @classmethod
    def read(cls, model_id: str, weights: Json) -> Manifest:
        """Read what the node answers."""
        committed = weights["committed"]
        return cls(
            model_id=model_id,
            url=committed["url"],
            size_bytes=int(committed["size_bytes"]),
            hash=committed["hash"],
            decryption_key=weights["key"],
            active_from=int(weights["active_from"]),
        )


@dataclass(frozen=True, kw_only=True)
class Model(_Embedded):
    """A model."""

    id: str
    owner: str
    status: str
    """`created`, `active`, `stale` or `retired`."""
    retiring: str | None
    """Why it retires at the next boundary, for good: `deactivated`, or `faulted`."""
    commission_rate: int
    """The owner's share of its rewards, in basis points (100 are 1%)."""
    next_commission_rate: int
    """The same from the next epoch."""
    stake: Decimal
    """What its pool holds, in SOMA, with what does not count yet."""
    counted_stake: Decimal
    """What of it counts in this epoch."""
    created_epoch: int
    committed_epoch: int | None
    """When weights were committed that wait for their reveal."""
    committed_hash: str | None
    """BLAKE3 of those."""
    manifest: Manifest | None
    """The weights that it competes with, or that are about to."""
    hits: int
    """Hits in this epoch."""
    hits_total: int
    rewards_total: Decimal
    """In SOMA."""
    architecture: Mapping[str, int] = field(repr=False, hash=False)

    @property
    def is_live(self) -> bool:
        """Whether it takes stake and weights: not retired, nor about to be."""
        return self.status != "retired" and self.retiring is None

    @classmethod
    def read(cls, view: Json, epoch: int) -> Model:
        """Read what the node answers in an epoch."""
        commission = view["commission"]
        settled = epoch > int(commission["set_in"])
        committed, weights = view["committed"], view["weights"] or view["revealed"]
        return cls(
            id=view["id"],
            owner=view["owner"],
            status=view["status"],
            retiring=view["retiring"],
            commission_rate=int(commission["next" if settled else "current"]),
            next_commission_rate=int(commission["next"]),
            stake=sum((soma(view["pool"][part]) for part in _POOL_PARTS), Decimal(0)),
            counted_stake=soma(view["pool"]["counted"]),
            created_epoch=int(view["created"]),
            committed_epoch=None if committed is None else int(committed["epoch"]),
            committed_hash=None if committed is None else committed["hash"],
            manifest=None if weights is None else Manifest.read(view["id"], weights),
            hits=int(view["hits"]),
            hits_total=int(view["hits_total"]),
            rewards_total=soma(view["rewards_total"]),
            architecture=view["architecture"],
            _embedding=view["embedding"],
        )


@dataclass(frozen=True, kw_only=True)
class Target(_Embedded):
    """A target: a random direction that data has to hit."""

    id: str
    epoch: int
    status: str
    """`open`, `settling` or `filled`."""
    open: bool
    """Whether it takes commits: open, and of the epoch in progress."""
    models: tuple[str, ...]
    """The models that score its data, in the order in which losses are given."""
    submission_id: str | None
    """The winner, once it is filled."""
    threshold_q30: int
    """The least dot product of embedding and target that hits, in units of 2^-30."""

    @classmethod
    def read(cls, view: Json) -> Target:
        """Read what the node answers."""
        status = view["status"]
        return cls(
            id=view["id"],
            epoch=int(view["epoch"]),
            status=status["status"],
            open=bool(view["current"]) and status["status"] == "open",
            models=tuple(view["models"]),
            submission_id=status.get("submission"),
            threshold_q30=int(view["commit_threshold_q30"]),
            _embedding=view["embedding"],
        )


@dataclass(frozen=True, kw_only=True)
class Submission(_Embedded):
    """A submission: data for a target."""

    id: str
    target_id: str
    submitter: str
    status: str
    """`committed`, `revealed`, `won`, `lost_race`, `not_new`, `expired`, `paid` or `found_false`."""
    deposit: Decimal
    bond: Decimal
    reward: Decimal
    """What the submitter was paid, in SOMA."""
    model_id: str | None
    """The winning model, once it is revealed."""
    data_url: str | None
    data_hash: str | None
    data_size_bytes: int | None
    losses_nano: tuple[int, ...]
    """Each model's loss in nano-nats, in the target's order."""

    @classmethod
    def read(cls, view: Json) -> Submission:
        """Read what the node answers."""
        found, status = view["found"] or {}, view["status"]
        paid = status["status"] == "paid"
        size = found.get("data_size_bytes")
        return cls(
            id=view["id"],
            target_id=view["target"],
            submitter=view["submitter"],
            status=status["status"],
            deposit=soma(view["deposit"]),
            bond=soma(view["bond"]),
            reward=soma(status["submitter"]) if paid else Decimal(0),
            model_id=found.get("model"),
            data_url=found.get("data_url"),
            data_hash=found.get("data_hash"),
            data_size_bytes=None if size is None else int(size),
            losses_nano=tuple(int(loss) for loss in found.get("losses_nano", ())),
            _embedding=view["embedding"],
        )


@dataclass(frozen=True, kw_only=True)
class AccountView:
    """An account."""

    address: str
    balance: Decimal
    """What it can spend, in SOMA."""
    stakes: Mapping[str, Decimal]
    """What counts in each pool (`model:ID` or `validator:ADDRESS`), with what will from the next epoch."""
    unbonding: Decimal
    """What is withdrawn and not yet back."""

    @classmethod
    def read(cls, view: Json) -> AccountView:
        """Read what the node answers."""
        return cls(
            address=view["address"],
            balance=soma(view["balance"]),
            stakes={
                _pool(stake["pool"]): soma(stake["counting"]) + soma(stake["pending"])
                for stake in view["stakes"]
            },
            unbonding=sum((soma(part["amount"]) for part in view["unbonding"]), Decimal(0)),
        )


def _pool(pool: Json) -> str:
    ((kind, name),) = pool.items()
    return f"{kind}:{name}"


@dataclass(frozen=True, kw_only=True)
class Receipt:
    """What became of a transaction that took effect."""

    transaction: str
    """Its name."""
    height: int
    """The block it is in."""
    fee: Decimal
    """What it paid, in SOMA."""

    @classmethod
    def read(cls, receipt: Json) -> Receipt:
        """Read what the node answers."""
        return cls(
            transaction=receipt["transaction"],
            height=int(receipt["height"]),
            fee=soma(receipt["fee"]),
        )


@dataclass(frozen=True, kw_only=True)
class PendingModel:
    """Weights that were committed from this machine and wait for their reveal."""

    model_id: str
    hash: str
    """BLAKE3 of the encrypted weights."""
    reveal_in: int
    """The epoch in which they must be revealed."""


@dataclass(frozen=True, kw_only=True)
class SystemState:
    """The network now."""

    network: str
    chain_id: str
    epoch: int
    height: int
    """The last final block."""
    protocol_version: int
    validators: int
    """Members of the consensus committee."""
    model_registry: tuple[Model, ...] = field(repr=False)
    """The models that have a place in embedding space: those that compete, or are about to."""
