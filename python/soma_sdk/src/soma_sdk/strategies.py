"""Strategies (docs/strategies.md) as far as they need the network.

What they are for models and numbers is in `soma_models.v1.strategies`.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from soma_sdk._files import write_whole
from soma_sdk.errors import BadAnswer, NotFound
from soma_sdk.views import Model

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from soma_sdk._arguments import Named
    from soma_sdk.client import SomaClient
    from soma_sdk.scoring import Data, Weights
    from soma_sdk.views import Submission, Target

__all__ = ["Domain", "Gap", "by_domain", "domain_gaps", "won_data"]

_AT_ONCE = 8
_NANO = 1e9


@dataclass(frozen=True, kw_only=True)
class Gap:
    """What one's own model lacks on the data that filled a target."""

    target_id: str
    winner: str
    """The id of the model that won it."""
    loss_nano: int
    """The loss of one's own weights there, in nano-nats."""
    winning_loss_nano: int
    """The winner's, as the submission states it."""
    data: bytes = field(repr=False)

    @property
    def gap_nano(self) -> int:
        """How much worse one's own weights are, in nano-nats; below 0 they are better."""
        return self.loss_nano - self.winning_loss_nano

    @property
    def gap(self) -> float:
        """The same in nats."""
        return self.gap_nano / _NANO


@dataclass(frozen=True, kw_only=True)
class Domain:
    """The targets that one model has won."""

    winner: str
    targets: int
    mean_gap: float
    """In nats."""


async def domain_gaps(
    client: SomaClient,
    weights: Named | Weights,
    *,
    model_id: Named | None = None,
    limit: int = 50,
) -> list[Gap]:
    """Score one's own weights on the data of the targets that were filled last; the widest gaps first.

    `weights` are a model's id, a file or bytes. Targets that `model_id` has won (or `weights`, where it
    is an id) have no gap and are left out; so are those whose data is no longer kept. Scores are exact
    and take the directions of each target's epoch, so both losses are what the network computes.
    """
    own = model_id if model_id is not None else weights if _is_id(weights) else None
    own = own if own is None or isinstance(own, str) else getattr(own, "id", None)
    targets = await client.get_targets(status="filled", limit=limit)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def fetched(target: Target) -> tuple[Target, Submission, bytes] | None:
        async with turn:
            if target.submission_id is None:
                return None
            submission = await client.get_submission(target.submission_id)
            if submission.model_id in {None, own}:
                return None
            try:
                return target, submission, await client.fetch_submission_data(target)
            except NotFound:
                return None

    found = await asyncio.gather(*(fetched(target) for target in targets))
    by_epoch: dict[int, list[tuple[Target, Submission, bytes]]] = defaultdict(list)
    for each in found:
        if each is not None:
            by_epoch[each[0].epoch].append(each)
    gaps = []
    for epoch, known in by_epoch.items():
        seed = await client.get_epoch_seed(epoch)
        documents: list[Data] = [data for *_, data in known]
        contests = await client.score(weights, documents, seed=seed)
        for (target, submission, data), contest in zip(known, contests, strict=True):
            if isinstance(contest, str):
                continue
            winner = str(submission.model_id)
            gaps.append(
                Gap(
                    target_id=target.id,
                    winner=winner,
                    loss_nano=contest.winning.loss_nano,
                    winning_loss_nano=_winning_loss(target, submission, winner),
                    data=data,
                )
            )
    return sorted(gaps, key=lambda gap: -gap.gap_nano)


def _winning_loss(target: Target, submission: Submission, winner: str) -> int:
    """Return the winner's loss, as the submission states it."""
    losses = dict(zip(target.models, submission.losses_nano, strict=False))
    if winner not in losses:
        raise BadAnswer(f"submission {submission.id} has no loss of {winner}, which is said to have won it")
    return losses[winner]


def by_domain(gaps: Iterable[Gap]) -> list[Domain]:
    """Sum up gaps by the model that won, whose specialty stands for a domain; the widest first."""
    won: dict[str, list[Gap]] = defaultdict(list)
    for gap in gaps:
        won[gap.winner].append(gap)
    domains = [
        Domain(winner=winner, targets=len(of), mean_gap=sum(gap.gap for gap in of) / len(of))
        for winner, of in won.items()
    ]
    return sorted(domains, key=lambda domain: -domain.mean_gap)


async def won_data(
    client: SomaClient,
    model_id: Named,
    folder: str | os.PathLike[str],
    *,
    limit: int = 1000,
) -> list[Path]:
    """Keep what a model has won lately in a folder; return all files there, each one document.

    Looks at the last `limit` submissions that won and are not yet paid, whose data is still kept by its
    owners. Called at least once an epoch it misses nothing; what is there already is not fetched again.
    `update_embedding` takes the documents, and a folder is emptied once it has.
    """
    name = model_id if isinstance(model_id, str) else model_id.id
    place = _made(folder)
    turn = asyncio.Semaphore(_AT_ONCE)

    async def keep(submission: Submission) -> None:
        file = place / submission.target_id
        if submission.model_id != name or _exists(file):
            return
        async with turn:
            try:
                data = await client.fetch_submission_data(submission.target_id)
            except NotFound:
                return
            write_whole(file, data)

    won = await client.get_submissions(status="won", limit=limit)
    await asyncio.gather(*(keep(submission) for submission in won))
    return _documents(place)


def _is_id(named: object) -> bool:
    return isinstance(named, Model) or (isinstance(named, str) and named.startswith("0x"))


def _made(folder: str | os.PathLike[str]) -> Path:
    place = Path(folder)
    place.mkdir(parents=True, exist_ok=True)
    return place


def _exists(file: Path) -> bool:
    return file.exists()


def _documents(place: Path) -> list[Path]:
    return sorted(file for file in place.iterdir() if file.name.startswith("0x"))
