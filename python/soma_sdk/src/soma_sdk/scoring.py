"""Exact scores, on this machine. The same integers come out everywhere."""

from __future__ import annotations

import json
import operator
import os
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeAlias, cast, overload

from soma_sdk import _arguments, _soma_sdk
from soma_sdk.errors import InvalidArgument, ScoreFailed

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Weights: TypeAlias = bytes | bytearray | memoryview | str | os.PathLike[str]
"""Weights: a safetensors file's path, or its bytes."""
Data: TypeAlias = bytes | bytearray | memoryview | Any
"""A document: bytes, or anything with a buffer, such as a NumPy array."""
Progress: TypeAlias = Callable[[int, int], object]
"""Called with the tokens done and the tokens in all."""

_NANO = 1e9
_Q30 = float(1 << 30)


@dataclass(frozen=True, kw_only=True)
class Score:
    """One model's score on a document."""

    loss_nano: int
    """Cross entropy plus SIGReg, in nano-nats. Lowest wins."""
    cross_entropy_nano: int
    """Mean over predicted tokens, in nano-nats."""
    sigreg_nano: int
    """SIGReg with its factors, in nano-nats."""
    predicted_tokens: int
    embedding_q15: array[int] = field(repr=False, hash=False)
    """The direction of the mean representation, in units of 2^-15: a buffer of int16."""
    mean_embedding: array[float] = field(repr=False, hash=False)
    """The mean representation: a buffer of float32. Nothing is decided by it."""

    @property
    def loss(self) -> float:
        """The loss in nats."""
        return self.loss_nano / _NANO

    @property
    def embedding(self) -> list[float]:
        """The mean representation as `reveal_model` takes it."""
        return list(self.mean_embedding)


@dataclass(frozen=True, kw_only=True)
class Contest:
    """All models on one document."""

    scores: tuple[Score | None, ...]
    """In the order of the models. One without a score loses."""
    errors: tuple[str | None, ...]
    """Why a model has none."""
    winner: int
    """Index of the lowest loss, ties to the earlier."""
    transcript: str
    """Binds every model's loss and embedding."""
    similarity_q30: int | None
    """The dot product of the winner's embedding and the target, in units of 2^-30, if one was given."""
    data: str
    """BLAKE3 of the document."""
    weights: tuple[str, ...]
    """BLAKE3 of each model's file."""
    seed: str
    """What names SIGReg's directions."""

    @property
    def winning(self) -> Score:
        """The winner's score."""
        return cast("Score", self.scores[self.winner])

    @property
    def losses_nano(self) -> list[int]:
        """Each model's loss in nano-nats, as a submission states it: 2^64 - 1 for none."""
        return [(1 << 64) - 1 if score is None else score.loss_nano for score in self.scores]

    @property
    def similarity(self) -> float | None:
        """The cosine of the winner's embedding and the target, if one was given."""
        return None if self.similarity_q30 is None else self.similarity_q30 / _Q30


def document(data: Data) -> bytes:
    """Return a document's bytes."""
    if isinstance(data, bytes):
        return data
    if isinstance(data, str):
        raise InvalidArgument("data is bytes: encode text, as in text.encode()")
    try:
        return bytes(memoryview(data))
    except TypeError:
        raise InvalidArgument(
            f"data is bytes, or something with a buffer, and no {type(data).__name__}",
        ) from None


def weights(given: Weights) -> bytes | str:
    """Return weights as the native part takes them."""
    if isinstance(given, (bytes, str)):
        return given
    if isinstance(given, os.PathLike):
        return os.fspath(given)
    return document(given)


def direction(target: Iterable[float] | None, architecture: str) -> array[int] | None:
    """Return the direction of a target of such models in units of 2^-15, as the ledger has it.

    Integers are taken for such units already.
    """
    if target is None:
        return None
    try:
        numbers = list(target)
        try:
            found = array("h", [operator.index(cast("int", number)) for number in numbers])
        except TypeError:
            found = array("h", _soma_sdk.embedding_q15([float(number) for number in numbers]))
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidArgument(
            f"a target's embedding is a list of numbers, or of integers in units of 2^-15: {error}",
        ) from error
    dim = json.loads(_soma_sdk.architecture(architecture))["embedding_dim"]
    if len(found) != dim:
        raise InvalidArgument(f"the target has {len(found)} numbers, the models {dim}")
    return found


def threads_of(given: int | None) -> int | None:
    """Return threads to score with; the cores' number where none is given."""
    return None if given is None else _arguments.count("threads", given, least=1)


def architecture_text(architecture: str | Mapping[str, int]) -> str:
    """Return an architecture as the native part takes it."""
    if isinstance(architecture, str):
        return architecture
    try:
        return json.dumps(dict(architecture))
    except (TypeError, ValueError) as error:
        raise InvalidArgument(f"an architecture is its name, or its sizes by name: {error}") from error


def contests(answer: str, target: array[int] | None) -> list[Contest | str]:
    """Read what the native part answers: contests, or why a document has none."""
    found = json.loads(answer)
    weights, seed = tuple(found["weights"]), str(found["seed"])
    return [_contest(entry, target, weights, seed) for entry in found["contests"]]


def one(found: list[Contest | str]) -> Contest:
    """Return the one document's contest."""
    (contest,) = found
    if isinstance(contest, str):
        raise ScoreFailed(contest)
    return contest


def _contest(entry: Any, target: array[int] | None, weights: tuple[str, ...], seed: str) -> Contest | str:
    if "error" in entry:
        return str(entry["error"])
    scores = tuple(None if "error" in score else _score(score) for score in entry["models"])
    winner = int(entry["winner"])
    similarity = None
    if target is not None:
        found = cast("Score", scores[winner]).embedding_q15
        similarity = sum(a * b for a, b in zip(found, target, strict=True))
    return Contest(
        scores=scores,
        errors=tuple(score.get("error") for score in entry["models"]),
        winner=winner,
        transcript=entry["transcript"],
        similarity_q30=similarity,
        data=entry["data"],
        weights=weights,
        seed=seed,
    )


def _score(entry: Any) -> Score:
    return Score(
        loss_nano=entry["loss_nano"],
        cross_entropy_nano=entry["cross_entropy_nano"],
        sigreg_nano=entry["sigreg_nano"],
        predicted_tokens=entry["predicted_tokens"],
        embedding_q15=array("h", entry["embedding_q15"]),
        mean_embedding=array("f", entry["mean_embedding"]),
    )


@overload
def score(
    models: Sequence[Weights] | Weights,
    data: bytes | bytearray | memoryview,
    *,
    architecture: str | Mapping[str, int] = "v1",
    target_embedding: Iterable[float] | None = None,
    seed: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Contest: ...


@overload
def score(
    models: Sequence[Weights] | Weights,
    data: list[Data] | tuple[Data, ...],
    *,
    architecture: str | Mapping[str, int] = "v1",
    target_embedding: Iterable[float] | None = None,
    seed: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> list[Contest | str]: ...


@overload
def score(
    models: Sequence[Weights] | Weights,
    data: Any,
    *,
    architecture: str | Mapping[str, int] = "v1",
    target_embedding: Iterable[float] | None = None,
    seed: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Contest: ...


def score(
    models: Sequence[Weights] | Weights,
    data: Data | list[Data] | tuple[Data, ...],
    *,
    architecture: str | Mapping[str, int] = "v1",
    target_embedding: Iterable[float] | None = None,
    seed: str | None = None,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Contest | list[Contest | str]:
    """Score documents with models, exactly, without a network: as `soma score` does.

    Blocks, with the interpreter free for other threads; Ctrl-C ends it. `progress(done, total)` is
    called from another thread. A list of documents gives a list: each document's contest, or why it
    has none.
    """
    listed = list(models) if isinstance(models, (list, tuple)) else [cast("Weights", models)]
    many = isinstance(data, (list, tuple))
    text = architecture_text(architecture)
    wanted = direction(target_embedding, text)
    operation = _soma_sdk.score(
        [weights(given) for given in listed],
        [document(entry) for entry in data] if many else [document(data)],
        text,
        seed,
        threads_of(threads),
        progress,
    )
    found = contests(cast("str", operation.wait()), wanted)
    return found if many else one(found)
