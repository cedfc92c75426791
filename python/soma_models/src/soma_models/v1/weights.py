"""Reading and writing weights files (docs/scoring-spec.md, section 2), trusting nothing they say.

A safetensors file: 8 bytes little-endian header length; the header, a JSON object from tensor name
to dtype, shape and byte range; then the values. It holds exactly the tensors of `layout`, without
gaps, as F32, BF16 or F16, all finite; the latter two widen exactly. Reading takes no memory for
what a file merely announces. Writing is canonical: equal weights give equal bytes, those that
`soma` itself writes.
"""

import json
import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from soma_models.errors import WeightsError, excerpt
from soma_models.v1.configs import ModelConfig
from soma_models.v1.layout import TensorSpec, layout

__all__ = ["Dtype", "Tensors", "load", "load_bytes", "save", "save_bytes"]

Buffer: TypeAlias = bytes | bytearray | memoryview
Tensors: TypeAlias = Mapping[str, NDArray[np.float32]]
Dtype: TypeAlias = Literal["F32", "BF16", "F16"]

HEADER_BYTES_MAX: Final = 4 << 20
"""Largest header taken. V1's is about 50 KB."""

_SIZES: Final = {"F32": 4, "BF16": 2, "F16": 2}


def load_bytes(data: Buffer, config: ModelConfig) -> dict[str, NDArray[np.float32]]:
    """Return a file's tensors by name, in the layout's order, each a new array.

    Raises:
        WeightsError: the bytes are anything but this architecture's weights; it says what is wrong
            and with which tensor.

    """
    if not isinstance(data, bytes | bytearray | memoryview):
        raise WeightsError(f"weights are a {type(data).__name__}, must be bytes")
    view = memoryview(data).cast("B")
    entries, values = _split(view)
    specs = {spec.name: spec for spec in layout(config)}
    placed = {name: _place(name, entry, specs, len(values)) for name, entry in entries}
    for spec in specs.values():
        if spec.name not in placed:
            raise WeightsError(f"tensor '{spec.name}' of shape {list(spec.shape)} is missing")
    _check_gaps(placed, len(values))
    return {name: _read(spec, placed[name], values) for name, spec in specs.items()}


def load(path: str | os.PathLike[str], config: ModelConfig) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of the file at `path`, which is mapped, not read whole.

    Raises:
        OSError: the file cannot be read.
        WeightsError: as `load_bytes`, after the file's name.

    """
    with Path(path).open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        # Unmapped when nothing refers to it: an error's traceback may, beyond this function.
        data: Any = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) if size > 0 else b""
    try:
        return load_bytes(memoryview(data), config)
    except WeightsError as error:
        raise WeightsError(f"{os.fspath(path)}: {error}") from None


def save_bytes(tensors: Tensors, config: ModelConfig, dtype: Dtype = "F32") -> bytes:
    """Return the canonical file of `tensors`, rounded to `dtype` to nearest even.

    Raises:
        WeightsError: a tensor is missing, unknown, misshapen, not finite, or beyond `dtype`.

    """
    return b"".join(_pieces(tensors, config, dtype))


def save(
    path: str | os.PathLike[str], tensors: Tensors, config: ModelConfig, dtype: Dtype = "F32"
) -> None:
    """Write `save_bytes` to `path`: whole or not at all, under another name first.

    Raises:
        OSError: the file cannot be written.
        WeightsError: as `save_bytes`.

    """
    target = Path(path)
    draft = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        with draft.open("wb") as file:
            for piece in _pieces(tensors, config, dtype):
                file.write(piece)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


class _Placed(NamedTuple):
    """A tensor whose place in the values has been checked."""

    dtype: Dtype
    begin: int
    end: int


def _split(view: memoryview) -> tuple[list[tuple[str, Any]], memoryview]:
    """Return the header's entries, in file order, and the values."""
    if len(view) < 8:  # noqa: PLR2004 (the length's own bytes)
        raise WeightsError(f"truncated: the header's length needs 8 bytes, there are {len(view)}")
    length = int.from_bytes(view[:8], "little")
    if length > HEADER_BYTES_MAX:
        raise WeightsError(f"a header of {length} bytes is over the limit of {HEADER_BYTES_MAX}")
    if 8 + length > len(view):
        raise WeightsError(f"truncated: the header needs {8 + length} bytes, there are {len(view)}")
    try:
        # Objects stay lists of pairs, so that of two equal names none is lost.
        header = json.loads(
            str(view[8 : 8 + length], "utf-8"),
            object_pairs_hook=_Object,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError) as error:
        raise WeightsError(f"the header is malformed: {excerpt(str(error))}") from None
    if not isinstance(header, _Object):
        raise WeightsError("the header is malformed: it is not an object")
    entries: list[tuple[str, Any]] = []
    seen: set[str] = set()
    for name, entry in header:
        if name in seen:
            raise WeightsError(f"tensor '{excerpt(name)}' appears twice")
        seen.add(name)
        if name == "__metadata__":
            _check_metadata(entry)
        else:
            entries.append((name, entry))
    return entries, view[8 + length :]


class _Object(list[tuple[str, Any]]):
    """A JSON object as it stands in the file."""


def _refuse_constant(constant: str) -> None:
    raise ValueError(f"{constant} is not JSON")


def _check_metadata(entry: object) -> None:
    strings = isinstance(entry, _Object) and all(isinstance(value, str) for _, value in entry)
    if entry is not None and not strings:
        raise WeightsError("the header is malformed: __metadata__ must map strings to strings")


def _place(name: str, entry: object, specs: Mapping[str, TensorSpec], values_bytes: int) -> _Placed:
    """Check one entry against the layout and the size of the values."""
    spec = specs.get(name)
    if spec is None:
        raise WeightsError(f"unknown tensor '{excerpt(name)}': the architecture has no such part")
    keys = sorted(key for key, _ in entry) if isinstance(entry, _Object) else None
    if not isinstance(entry, _Object) or keys != ["data_offsets", "dtype", "shape"]:
        raise WeightsError(
            f"the header is malformed: tensor '{name}' must have dtype, shape and data_offsets"
        )
    fields = dict(entry)
    dtype, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if dtype not in ("F32", "BF16", "F16"):
        shown = excerpt(dtype if isinstance(dtype, str) else repr(dtype))
        raise WeightsError(f"tensor '{name}' has dtype {shown}: store it as F32, BF16 or F16")
    if not _is_whole(shape) or tuple(shape) != spec.shape:
        raise WeightsError(
            f"tensor '{name}' has shape {excerpt(repr(shape))}, "
            f"the architecture needs {list(spec.shape)}"
        )
    if not _is_whole(offsets) or len(offsets) != 2:  # noqa: PLR2004 (begin and end)
        raise WeightsError(f"the header is malformed: data_offsets of tensor '{name}'")
    begin, end = offsets
    expected = spec.size * _SIZES[dtype]
    if end - begin != expected:
        shown = excerpt(f"{begin}..{end}")
        raise WeightsError(f"tensor '{name}' takes {expected} bytes, but its range is {shown}")
    if end > values_bytes:
        raise WeightsError(
            f"truncated: tensor '{name}' ends at byte {excerpt(str(end))} of the values, "
            f"there are {values_bytes}"
        )
    return _Placed(dtype, begin, end)


def _is_whole(value: object) -> bool:
    """Return whether it is a list of whole numbers from 0; in JSON, `true` and 1.0 are none."""
    return isinstance(value, list) and all(type(n) is int and n >= 0 for n in value)


def _check_gaps(placed: Mapping[str, _Placed], values_bytes: int) -> None:
    """Refuse tensors that share bytes, and bytes that belong to none."""
    end = 0
    for name, tensor in sorted(placed.items(), key=lambda item: item[1].begin):
        if tensor.begin != end:
            raise WeightsError(
                f"tensor '{name}' starts at byte {tensor.begin} of the values, "
                f"but the one before ends at {end}"
            )
        end = tensor.end
    if end != values_bytes:
        raise WeightsError(f"{values_bytes - end} bytes follow the last tensor")


def _read(spec: TensorSpec, placed: _Placed, values: memoryview) -> NDArray[np.float32]:
    raw = values[placed.begin : placed.end]
    if placed.dtype == "F32":
        array = np.frombuffer(raw, "<f4").astype(np.float32)
    elif placed.dtype == "F16":
        array = np.frombuffer(raw, "<f2").astype(np.float32)
    else:
        array = (np.frombuffer(raw, "<u2").astype(np.uint32) << 16).view(np.float32)
    _check_finite(spec.name, array)
    return array.reshape(spec.shape)


def _check_finite(name: str, array: NDArray[np.float32]) -> None:
    finite = np.isfinite(array)
    if not finite.all():
        index = int(np.argmin(finite.ravel()))
        raise WeightsError(
            f"tensor '{name}' holds {array.ravel()[index]} at index {index}: "
            "every weight must be finite"
        )


def _pieces(tensors: Tensors, config: ModelConfig, dtype: Dtype) -> Iterator[bytes | memoryview]:
    """Return the file piece by piece; names, shapes and values are checked before the first."""
    if dtype not in _SIZES:
        raise WeightsError(f"dtype is {excerpt(repr(dtype))}, must be F32, BF16 or F16")
    specs = sorted(layout(config), key=lambda spec: spec.name)
    if unknown := sorted(tensors.keys() - {spec.name for spec in specs}):
        raise WeightsError(
            f"unknown tensor '{excerpt(unknown[0])}': the architecture has no such part"
        )
    header, offset = {}, 0
    for spec in specs:
        if spec.name not in tensors:
            raise WeightsError(f"tensor '{spec.name}' of shape {list(spec.shape)} is missing")
        array = tensors[spec.name]
        if array.shape != spec.shape:
            raise WeightsError(
                f"tensor '{spec.name}' has shape {list(array.shape)}, "
                f"the architecture needs {list(spec.shape)}"
            )
        _check_finite(spec.name, array)
        end = offset + spec.size * _SIZES[dtype]
        header[spec.name] = {"dtype": dtype, "shape": spec.shape, "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    def pieces() -> Iterator[bytes | memoryview]:
        yield len(text).to_bytes(8, "little") + text
        for spec in specs:
            yield _rounded(spec.name, tensors[spec.name], dtype).data.cast("B")

    return pieces()


def _rounded(name: str, array: NDArray[np.float32], dtype: Dtype) -> NDArray[Any]:
    """Return the values as the file stores them."""
    array = np.ascontiguousarray(array, "<f4")
    if dtype == "F32":
        return array
    if dtype == "F16":
        with np.errstate(over="ignore"):
            half = array.astype("<f2")
        widened = half.astype(np.float32)
    else:
        bits = array.view(np.uint32)
        # To nearest, ties to even: half of the last place, less one where the place is even.
        half = ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")
        widened = (half.astype(np.uint32) << 16).view(np.float32)
    if not np.isfinite(widened).all():
        raise WeightsError(f"tensor '{name}' holds values beyond {dtype}'s range: save it as F32")
    return half
