"""What training is told and what it gives, and how a start ends."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import os
    from datetime import timedelta


@dataclass(frozen=True, kw_only=True)
class Round:
    """What training is told."""

    number: int
    """1 for the first. A round whose training was stopped is begun again, with the same number."""
    folder: Path
    """Where training may keep what it needs, such as its checkpoints."""
    weights: Path
    """Where the weights can be written: a place that is cleared when it is no longer needed."""
    model_id: str | None
    """The model, once there is one."""
    last_weights: Path | None
    """The weights that were revealed last, to go on from."""
    last_embedding: list[float] | None
    """Where they are registered."""
    wins: int
    """Targets that the model has won since it was first registered there."""
    since: timedelta
    """How long ago that was."""
    lock: int = field(repr=False)
    """The lock's descriptor: a process that trains and is handed it (`pass_fds`) keeps other starts
    away even where this one is killed."""


@dataclass(frozen=True, kw_only=True)
class Trained:
    """What training gives."""

    weights: str | os.PathLike[str]
    """A safetensors file of the network's architecture, complete; in the round's folder if relative."""
    embedding: Iterable[float]
    """Where to register it: `genesis_embedding` at first, then `update_embedding` or the last one
    (docs/strategies.md)."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How a start ended."""

    model_id: str
    round: int
    revealed: bool
    """Whether the round's weights are revealed; else their commit waits for its epoch."""
    epoch: int
    """From when the weights compete; else, when they are to be revealed."""


Train: TypeAlias = Callable[[Round], "Trained | Awaitable[Trained]"]
Upload: TypeAlias = Callable[[Path], "str | Awaitable[str]"]
