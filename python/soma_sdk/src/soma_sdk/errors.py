"""What can go wrong, a class for each cause. All of them are `SomaError`.

Rejections by the ledger are `RejectedError`; each reason is a class of `soma_sdk.rejections`, made
from the ledger's own table, with its code and name.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from collections.abc import Mapping


class SomaError(Exception):
    """Something that this package could not do. `str()` says what, `hint` what to do about it."""

    hint: ClassVar[str | None] = None
    """What can be done, where the message alone does not say."""

    code: int | None = None
    """The ledger's stable code, if the ledger said no."""
    name: str | None = None
    """The rejection's stable name, if the ledger said no."""
    transaction: str | None = None
    """The transaction that this is about, if there is one."""
    fee: int | None = None
    """What it paid nevertheless, in shannons, if it was included and failed."""

    def __str__(self) -> str:
        """Return the message, with the hint where there is one."""
        message = super().__str__()
        return f"{message} ({self.hint})" if self.hint else message


class RejectedError(SomaError):
    """The ledger said no. `code` and `name` say why; each reason has a class of its own."""


# What the caller gave.
class InvalidArgument(SomaError, ValueError):
    """A value that makes no sense: nothing was done."""


class CommitMismatch(InvalidArgument):
    """What is to be revealed is not what was committed: nothing was sent."""


class BadContainer(InvalidArgument):
    """Encrypted weights that are none, or a key that does not open them."""


class BadWeights(InvalidArgument):
    """Weights that are none of the architecture."""


class SecretMissing(SomaError, LookupError):
    """The key of committed weights is not on this machine."""

    hint = "give reveal_model the weights and the key, or reveal where they were committed"


class FileProblem(SomaError, OSError):
    """A file or folder that could not be used."""

    def __str__(self) -> str:
        """Return the message."""
        return SomaError.__str__(self)


class NotEnoughMemory(SomaError, MemoryError):
    """More memory is needed than this machine has left."""


# The node.
class NodeError(SomaError):
    """Something between here and the node."""


class NodeUnreachable(NodeError, ConnectionError):
    """There is no connection: nothing was asked."""

    hint = "is the node running? `soma localnet` starts a local network"


class ConnectionBroken(NodeError, ConnectionError):
    """The connection broke before the answer came."""

    hint = "the node may be restarting: the same call again is safe"


class NodeTimedOut(NodeError, TimeoutError):
    """The node did not answer in time."""

    hint = "the node may be overloaded or stuck: the same call again is safe"


class NodeBusy(NodeError):
    """The node takes no more for now."""

    hint = "wait a moment and try again"


class NodeBehind(NodeError):
    """The node's last block is old: nothing was signed."""

    hint = (
        "it is catching up, its network stands still, or the clock here is wrong: wait, or use another node"
    )


class NodeRefused(NodeError):
    """The node said no, without a reason of the ledger."""


class NotFound(NodeError, LookupError):
    """There is no such thing, or it is no longer kept."""


class BadAnswer(NodeError):
    """The answer is not what a node of this network gives."""

    hint = "the node may run another version, or be no SOMA node"


class WrongHash(BadAnswer):
    """Other bytes came than those that were asked for."""


class OtherChain(NodeError):
    """The node is on another network than this client: nothing was signed."""

    hint = "the network was begun anew, or the address is another's: make a new client"


# Transactions.
class FeeTooHigh(SomaError):
    """The fee is more than `max_fee`: nothing was sent."""


class StakeTooHigh(SomaError):
    """A new model would be staked with more than `max_stake`: nothing was sent."""

    hint = "where that is the network's rule, and meant: SomaClient(.., max_stake=..)"


class AccountBusy(SomaError, TimeoutError):
    """Another process sends from this account and did not finish: nothing was sent."""


class TransactionExpired(SomaError):
    """The transaction was not included in time, and now never will be."""

    hint = "the same call again sends it anew"


class OutcomeUnknown(SomaError):
    """The transaction was handed in, or may have been, and may still happen."""

    hint = "the same call again hands in the same bytes, which cannot happen twice"


class UnheardCommit(SomaError):
    """An earlier run has committed other weights to a new model, and was not told: nothing was sent."""

    hint = (
        "get_pending_models names it: reveal it in its epoch with reveal_pending_model; "
        "left alone, its commit lapses, and the same call then goes on with that model"
    )


class DataKnown(SomaError):
    """The data is someone's already: a commit to it would cost its deposit."""


class WaitTimedOut(SomaError, TimeoutError):
    """What was waited for did not happen in time."""


# Scoring.
class ScoreFailed(SomaError):
    """There is no score."""


# This process.
class ClientClosed(SomaError, RuntimeError):
    """The client was closed."""


class ForkedProcess(SomaError, RuntimeError):
    """A client that was made before a fork is used after it."""


class AlreadyRunning(SomaError, RuntimeError):
    """Another process does the same in the same folder: nothing was done."""


class TrainingFailed(SomaError, RuntimeError):
    """The command that trains ended with an error, or left no weights: nothing was committed."""


class ShuttingDown(SomaError, RuntimeError):
    """The interpreter is ending."""


class WorkerPanicked(SomaError, RuntimeError):
    """A bug in the native part."""


_CLASSES: dict[str, type[SomaError]] = {
    cls.__name__: cls
    for cls in list(globals().values())
    if isinstance(cls, type) and issubclass(cls, SomaError)
}


def _from_native(kind: str, message: str, details: Mapping[str, object]) -> SomaError:
    """Make the exception that the native part means."""
    from soma_sdk.rejections import CLASSES  # noqa: PLC0415

    code = details.get("code")
    cls = CLASSES.get(code) if isinstance(code, int) else None
    error = (cls or _CLASSES[kind])(message)
    for name, value in details.items():
        if value is not None:
            setattr(error, name, value)
    return error
