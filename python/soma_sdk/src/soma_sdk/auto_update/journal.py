"""What is kept on disk: how far the rounds are, and a lock against a second start.

A *round* takes a model from training to revealed weights. Its stages:

    idle -> training -> trained -> sealed -> stored -> committed -> idle

`sealed` has the encrypted weights and their key, made once and kept until they are revealed; `stored`
has the address where validators find them. The journal is written whole or not at all, before each
next step, so a start after any stop knows what is done; a step that was cut short is done again, and
each of them may be.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal

from soma_sdk._files import write_whole
from soma_sdk.errors import AlreadyRunning, FileProblem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

Stage = Literal["idle", "training", "trained", "sealed", "stored", "committed"]

_STAGES: tuple[Stage, ...] = ("idle", "training", "trained", "sealed", "stored", "committed")
_JOURNAL = "journal.json"
_LOCK = "lock"
_VERSION = 1


@dataclass(kw_only=True)
class Journal:
    """How far a model's rounds are. Secret until a reveal: it holds the key of committed weights."""

    chain_id: str
    """The network that it is about."""
    owner: str
    """The address of the model's owner."""
    round: int = 0
    """The round that is under way, or the last one; the first is 1."""
    stage: Stage = "idle"
    model_id: str | None = None
    weights: str | None = None
    """The file with this round's weights."""
    embedding: list[float] | None = None
    """Where they are to be registered."""
    hash: str | None = None
    """What a commit says of the encrypted weights."""
    key: str | None = None
    """What opens them, in hex."""
    url: str | None = None
    """Where validators find them; None where the node hosts them."""
    lapses: int = 0
    """How often this round's commit was not revealed in time."""
    last_weights: str | None = None
    """The file with the weights that were revealed last."""
    last_embedding: list[float] | None = None
    """Where they are registered."""
    placed_at: float | None = None
    """When that place was first registered, in seconds since 1970."""
    placed_hits: int = 0
    """The model's hits then."""


def container(folder: Path, number: int) -> Path:
    """Return the file of a round's encrypted weights."""
    return folder / f"round-{number}.enc"


def load(folder: Path) -> Journal | None:
    """Return the folder's journal, if it has one.

    Raises:
        FileProblem: it cannot be read, or is no journal.

    """
    file = folder / _JOURNAL
    try:
        entries = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise FileProblem(f"{file} cannot be read: {error}") from error
    except ValueError as error:
        raise _damaged(file, str(error)) from None
    if not isinstance(entries, dict) or entries.pop("version", None) != _VERSION:
        raise _damaged(file, f"it is not of version {_VERSION}")
    try:
        journal = Journal(**entries)
        for field in fields(Journal):
            _check(field.name, getattr(journal, field.name))
    except TypeError as error:
        raise _damaged(file, str(error)) from None
    return journal


_KINDS: dict[str, tuple[type, ...]] = {
    "round": (int,),
    "lapses": (int,),
    "placed_hits": (int,),
    "placed_at": (int, float, type(None)),
    "embedding": (list, type(None)),
    "last_embedding": (list, type(None)),
    "chain_id": (str,),
    "owner": (str,),
}


def _check(name: str, value: object) -> None:
    if name == "stage":
        if value not in _STAGES:
            raise TypeError(f"there is no stage {value!r}")
    elif not isinstance(value, _KINDS.get(name, (str, type(None)))) or isinstance(value, bool):
        raise TypeError(f"{name} is a {type(value).__name__}")


def _damaged(file: Path, why: str) -> FileProblem:
    return FileProblem(
        f"{file} is damaged ({why}): move it away, and give the model's id as model_id to go on with it"
    )


def save(folder: Path, journal: Journal) -> None:
    """Write the journal, whole or not at all; only its owner can read it."""
    entries: dict[str, Any] = {"version": _VERSION, **asdict(journal)}
    write_whole(folder / _JOURNAL, json.dumps(entries, indent=1).encode())


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[int]:
    """Make the folder where it is missing, and hold its lock; the lock's descriptor.

    The system lets go of it with the last process that has it, whatever ends it.

    Raises:
        AlreadyRunning: another start holds it.

    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise FileProblem(f"{folder} cannot be used: {error}") from error
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 20).decode("ascii", "replace").strip()
            raise AlreadyRunning(f"process {holder or '?'} is at work in {folder}") from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        try:
            yield descriptor
        finally:
            # Not only closed: a child that another thread is just starting still has a copy.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
    finally:
        os.close(descriptor)
