"""The data contract (docs/scoring-spec.md, section 3): bytes to sequences of tokens and targets.

Pure Python. A sequence keeps a view of the data and makes its lists when they are asked for, so
data of any size is held once.
"""

from dataclasses import dataclass

from soma_models.errors import InputError
from soma_models.v1.configs import EOS, PAD

__all__ = ["Sequence", "tokenize"]

_SEQ_LEN_MAX = 65_536


@dataclass(frozen=True, slots=True)
class Sequence:
    """Up to `max_seq_len` bytes that have no context but themselves."""

    data: memoryview
    """The bytes, without EOS."""
    max_seq_len: int

    @property
    def token_ids(self) -> list[int]:
        """The bytes, EOS where they are fewer than max_seq_len, PAD to max_seq_len."""
        short = self.max_seq_len - len(self.data)
        end = [EOS] + [PAD] * (short - 1) if short else []
        return self.data.tolist() + end

    @property
    def targets(self) -> list[int]:
        """The tokens shifted left by one, PAD at the end: what each position predicts."""
        return [*self.token_ids[1:], PAD]

    @property
    def pos_ids(self) -> list[int]:
        """Positions: they start at 0 in each sequence."""
        return list(range(self.max_seq_len))


def tokenize(data: bytes | bytearray | memoryview, max_seq_len: int) -> list[Sequence]:
    """Cut data into sequences of `max_seq_len` tokens that do not overlap. No data, no sequences.

    Raises:
        InputError: `data` is not bytes, or `max_seq_len` is not 1 to 65 536.

    """
    view = _view(data)
    _check_seq_len(max_seq_len)
    return [
        Sequence(view[start : start + max_seq_len], max_seq_len)
        for start in range(0, len(view), max_seq_len)
    ]


def _view(data: object) -> memoryview:
    if isinstance(data, str):
        raise InputError('data is a str, must be bytes: text.encode("utf-8")')
    try:
        return memoryview(data).cast("B")  # type: ignore[arg-type]
    except TypeError as error:
        raise InputError(f"data is a {type(data).__name__}, must be contiguous bytes") from error


def _check_seq_len(max_seq_len: object) -> None:
    if isinstance(max_seq_len, bool) or not isinstance(max_seq_len, int):
        raise InputError(f"max_seq_len is a {type(max_seq_len).__name__}, must be an int")
    if not 1 <= max_seq_len <= _SEQ_LEN_MAX:
        raise InputError(f"max_seq_len is {max_seq_len}, must be 1 to {_SEQ_LEN_MAX}")
