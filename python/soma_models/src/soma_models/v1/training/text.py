"""Text as a stream of sequences, read while it is used, in an order that a seed decides.

| source | documents |
|---|---|
| `*.jsonl`, `*.ndjson` | one for each line: a string, or an object's `text` or `content` |
| any other file | one: the bytes as they are |
| `*.gz` | the same, once unpacked |
| a folder | its files in the order of names, in folders below too, save what is hidden |
| a glob | the files it matches |
| `hf://datasets/OWNER/NAME[/CONFIG]` | one for each row of split `train`; needs `datasets` |

A document is cut as `tokenize` cuts it. Where a run stands in the stream is a number, of sequences
that were drawn; it goes on from there by reading again.
"""

import glob
import gzip
import json
import random
from collections.abc import Iterable, Iterator
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import IO, Final

import numpy as np
from numpy.typing import NDArray

from soma_models.errors import InputError, excerpt
from soma_models.v1.configs import EOS, PAD
from soma_models.v1.training.settings import Settings

__all__ = ["batches", "padded", "sequences"]

_HUB: Final = "hf://datasets/"
_LINE_BYTES_MAX: Final = 16 << 20


def batches(
    settings: Settings, skip: int = 0
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Return tokens and targets of update after update, [grad_accum, batch_size, T], for ever.

    `skip` updates are left out, those that a checkpoint has made.

    Raises:
        InputError: a source is not there, cannot be read, or there is no text in them.

    """
    length = settings.config.max_seq_len
    size = settings.grad_accum * settings.batch_size
    stream = _shuffled(settings)
    for _ in islice(stream, skip * size):
        pass
    while True:
        tokens, targets = padded(islice(stream, size), length)
        shape = (settings.grad_accum, settings.batch_size, length)
        yield tokens.reshape(shape), targets.reshape(shape)


def padded(pieces: Iterable[bytes], length: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return `tokenize`'s tokens and targets [N, length] of sequences that are cut already."""
    rows = list(pieces)
    tokens = np.full((len(rows), length), PAD, np.int64)
    for row, piece in zip(tokens, rows, strict=True):
        row[: len(piece)] = np.frombuffer(piece, np.uint8)
        if len(piece) < length:
            row[len(piece)] = EOS
    targets = np.full_like(tokens, PAD)
    targets[:, :-1] = tokens[:, 1:]
    return tokens, targets


def sequences(source: str, length: int) -> Iterator[bytes]:
    """Return a source's documents, cut to `length` bytes and what is left at each one's end."""
    if source.startswith(_HUB):
        for text in _rows(source):
            yield from _cut(text, length)
        return
    for path in _files(source):
        try:
            with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
                yield from _of_file(path, file, length)  # type: ignore[arg-type]
        except (OSError, EOFError) as error:
            raise InputError(f"cannot read {path}: {error}") from error


def _shuffled(settings: Settings) -> Iterator[bytes]:
    """Return sequences for ever: each of them once, then each once more, in another order."""
    order = random.Random(settings.seed)  # noqa: S311 (an order, no secret)
    while True:
        waiting: list[bytes] = []
        for source in settings.data:
            for piece in sequences(source, settings.config.max_seq_len):
                if len(waiting) < settings.shuffle:
                    waiting.append(piece)
                    continue
                index = order.randrange(settings.shuffle)
                waiting[index], piece = piece, waiting[index]  # noqa: PLW2901 (they change places)
                yield piece
        if not waiting:
            raise InputError(f"no text in {', '.join(settings.data)}")
        order.shuffle(waiting)
        yield from waiting


def _cut(data: bytes, length: int) -> Iterator[bytes]:
    for start in range(0, len(data), length):
        yield data[start : start + length]


def _of_file(path: Path, file: IO[bytes], length: int) -> Iterator[bytes]:
    if not {".jsonl", ".ndjson"} & set(path.suffixes):
        while piece := file.read(length):
            yield piece
        return
    number = 0
    while line := file.readline(_LINE_BYTES_MAX + 1):
        number += 1
        if len(line) > _LINE_BYTES_MAX:
            raise InputError(f"{path}: line {number} is over the limit of {_LINE_BYTES_MAX} bytes")
        if line.strip():
            yield from _cut(_text_of(line, f"{path}: line {number}"), length)


def _text_of(line: bytes, where: str) -> bytes:
    try:
        row = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where} is no JSON: {excerpt(str(error))}") from None
    text = row.get("text", row.get("content")) if isinstance(row, dict) else row
    if not isinstance(text, str):
        raise InputError(f"{where} is neither a string nor an object with text or content")
    # A lone surrogate is no text, but no reason to end a run either.
    return text.encode("utf-8", errors="replace")


def _files(source: str) -> Iterator[Path]:
    path = Path(source)
    if path.is_dir():
        found = sorted(path.rglob("*"))
        hidden = [part for part in found if part.name.startswith(".")]
        yield from (
            file
            for file in found
            if file.is_file() and not any(file.is_relative_to(part) for part in hidden)
        )
    elif path.exists():
        yield path
    else:
        matched = sorted(glob.glob(source, recursive=True))  # noqa: PTH207 (of any root)
        if not matched:
            raise InputError(f"there is no {source}")
        for match in matched:
            yield from _files(match)


def _rows(source: str) -> Iterator[bytes]:
    try:
        datasets = import_module("datasets")
    except ModuleNotFoundError:
        raise InputError(f"{source} needs the package datasets: pip install datasets") from None
    owner, name, *config = source.removeprefix(_HUB).split("/")
    rows = datasets.load_dataset(f"{owner}/{name}", *config, split="train", streaming=True)
    for row in rows:
        text = row.get("text", row.get("content"))
        if isinstance(text, str):
            yield text.encode("utf-8", errors="replace")
