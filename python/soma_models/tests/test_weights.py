"""Weights files: canonical when written, trusted in nothing when read."""

import json
import struct
import tracemalloc

import ml_dtypes
import numpy as np
import pytest
import safetensors
from cases import CASES, SMALL, random_file, random_tensors
from hypothesis import given, settings
from hypothesis import strategies as st

from soma_models.errors import WeightsError
from soma_models.v1 import weights

DTYPES = {"F32": np.float32, "BF16": ml_dtypes.bfloat16, "F16": np.float16}


def build(header, values=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + values


def parts(file):
    length = int.from_bytes(file[:8], "little")
    return json.loads(file[8 : 8 + length]), file[8 + length :]


def spoiled(change):
    """The small model's file after `change` of its header."""
    header, values = parts(random_file(SMALL))
    return build(change(header) or header, values)


def test_what_soma_wrote_is_written_again_to_the_byte():
    for config, path in {(case.config, case.weights) for case in CASES}:
        assert weights.save_bytes(weights.load(path, config), config) == path.read_bytes()


@pytest.mark.parametrize("dtype", DTYPES)
def test_every_dtype_rounds_to_even_and_widens_exactly(dtype):
    tensors = random_tensors(SMALL)
    file = weights.save_bytes(tensors, SMALL, dtype)
    loaded = weights.load_bytes(file, SMALL)
    independent = dict(safetensors.deserialize(file))
    for name, tensor in tensors.items():
        rounded = tensor.astype(DTYPES[dtype])
        np.testing.assert_array_equal(loaded[name], rounded.astype(np.float32))
        assert independent[name]["dtype"] == dtype
        assert bytes(independent[name]["data"]) == rounded.tobytes()
        assert loaded[name].dtype == np.float32
        assert loaded[name].flags.writeable


@given(st.lists(st.floats(width=32, allow_nan=False), min_size=24, max_size=24))
def test_any_finite_weights_survive_and_others_are_named(values):
    tensors = random_tensors(SMALL) | {"final_norm.beta": np.array(values, np.float32)}
    if np.isfinite(values).all():
        loaded = weights.load_bytes(weights.save_bytes(tensors, SMALL), SMALL)
        np.testing.assert_array_equal(loaded["final_norm.beta"], tensors["final_norm.beta"])
    else:
        with pytest.raises(WeightsError, match=r"'final_norm.beta' holds -?inf at index"):
            weights.save_bytes(tensors, SMALL)


@pytest.mark.parametrize("dtype", ["BF16", "F16"])
def test_what_the_dtype_cannot_hold_is_refused(dtype):
    large = random_tensors(SMALL)
    large["final_norm.beta"][3] = 3.4e38
    with pytest.raises(WeightsError, match=f"'final_norm.beta' holds values beyond {dtype}"):
        weights.save_bytes(large, SMALL, dtype)


def test_other_tensors_than_the_layouts_are_not_written():
    tensors = random_tensors(SMALL)
    with pytest.raises(WeightsError, match="unknown tensor 'more'"):
        weights.save_bytes(tensors | {"more": np.zeros(1, np.float32)}, SMALL)
    with pytest.raises(WeightsError, match=r"'predictor.bias' has shape \[2\]"):
        weights.save_bytes(tensors | {"predictor.bias": np.zeros(2, np.float32)}, SMALL)
    with pytest.raises(WeightsError, match="dtype is 'F64', must be"):
        weights.save_bytes(tensors, SMALL, "F64")
    del tensors["embedding.weight"]
    with pytest.raises(WeightsError, match=r"'embedding.weight' of shape \[264, 24\] is missing"):
        weights.save_bytes(tensors, SMALL)


def test_a_save_is_whole_or_not_at_all(tmp_path):
    path = tmp_path / "model.safetensors"
    weights.save(path, random_tensors(SMALL), SMALL)
    before = path.read_bytes()
    broken = random_tensors(SMALL, seed=1)
    broken["predictor.weight"][0, 0] = 3.4e38
    with pytest.raises(WeightsError):
        weights.save(path, broken, SMALL, "BF16")
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(FileNotFoundError):
        weights.save(tmp_path / "nowhere" / "model", random_tensors(SMALL), SMALL)


def test_files_are_mapped_and_named(tmp_path):
    path = tmp_path / "model.safetensors"
    path.write_bytes(random_file(SMALL))
    for name, tensor in weights.load(path, SMALL).items():
        np.testing.assert_array_equal(tensor, random_tensors(SMALL)[name])
    path.write_bytes(random_file(SMALL)[:-1])
    with pytest.raises(WeightsError, match=r"model.safetensors: truncated: tensor"):
        weights.load(path, SMALL)
    path.write_bytes(b"")
    with pytest.raises(WeightsError, match=r"model.safetensors: truncated"):
        weights.load(path, SMALL)
    with pytest.raises(FileNotFoundError):
        weights.load(tmp_path / "none", SMALL)


def entry(change):
    def apply(header):
        header["final_norm.beta"] |= change

    return spoiled(apply)


HOSTILE = {
    "empty": (b"", "truncated: the header's length needs 8 bytes, there are 0"),
    "seven bytes": (b"\0" * 7, "truncated"),
    "a huge header": (struct.pack("<Q", 2**64 - 1) + b"{}", "over the limit of 4194304"),
    "a header beyond the file": (struct.pack("<Q", 4 << 20), "truncated: the header needs"),
    "no json": (build(b"hello"), "the header is malformed"),
    "a list": (build(b"[]"), "it is not an object"),
    "a number": (build(b"1"), "it is not an object"),
    "not utf-8": (build(b'{"\xff": 1}'), "the header is malformed"),
    "utf-16": (build("{}".encode("utf-16")), "the header is malformed"),
    "deep": (build(b"[" * 1_000_000), "the header is malformed"),
    "a long number": (build(b'{"a": ' + b"9" * 100_000 + b"}"), "the header is malformed"),
    "NaN": (build(b'{"a": NaN}'), "the header is malformed: NaN is not JSON"),
    "nothing in it": (build({}), r"'embedding.weight' of shape \[264, 24\] is missing"),
    "twice": (build(b'{"a": {}, "a": {}}'), "tensor 'a' appears twice"),
    "an escape": (build({"\x1b[2J": {}}), r"unknown tensor '\\x1b\[2J'"),
    "a long name": (build({"a" * 10_000: {}}), r"unknown tensor 'a{200}\.\.\.'"),
    "bad metadata": (build({"__metadata__": {"a": 1}}), "__metadata__ must map"),
    "no entry": (spoiled(lambda h: h | {"final_norm.beta": 3}), "must have dtype, shape"),
    "another field": (entry({"more": 1}), "must have dtype, shape"),
    "unknown": (spoiled(lambda h: h | {"head": h["final_norm.beta"]}), "unknown tensor 'head'"),
    "missing": (
        spoiled(lambda h: {k: v for k, v in h.items() if k != "final_norm.beta"}),
        r"'final_norm.beta' of shape \[24\] is missing",
    ),
    "dtype": (entry({"dtype": "F64"}), "'final_norm.beta' has dtype F64: store it as"),
    "dtype no text": (entry({"dtype": ["F32"]}), "'final_norm.beta' has dtype"),
    "shape": (entry({"shape": [25]}), r"'final_norm.beta' has shape \[25\], the architecture"),
    "shape more": (entry({"shape": [24, 1]}), "'final_norm.beta' has shape"),
    "shape float": (entry({"shape": [24.0]}), "'final_norm.beta' has shape"),
    "shape negative": (entry({"shape": [-24]}), "'final_norm.beta' has shape"),
    "shape none": (entry({"shape": None}), "'final_norm.beta' has shape None"),
    "backwards": (entry({"data_offsets": [96, 0]}), "takes 96 bytes, but its range is 96..0"),
    "too wide": (entry({"data_offsets": [0, 1 << 62]}), "takes 96 bytes, but its range is"),
    "beyond": (entry({"data_offsets": [1 << 62, (1 << 62) + 96]}), "truncated: tensor"),
    "overlap": (entry({"data_offsets": [0, 96]}), "but the one before ends at"),
    "offsets bool": (entry({"data_offsets": [False, 96]}), "malformed: data_offsets"),
    "one offset": (entry({"data_offsets": [96]}), "malformed: data_offsets"),
    "trailing": (random_file(SMALL) + b"\0", "1 bytes follow the last tensor"),
    "cut short": (random_file(SMALL)[:-1], "truncated: tensor"),
    "another width": (random_file(SMALL.replace(embedding_dim=30)), "has shape"),
    "another depth": (random_file(SMALL.replace(layers=3)), "unknown tensor 'encoder.layers.2"),
    "not bytes": ("text", "weights are a str, must be bytes"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_files_are_refused_with_the_reason(name):
    file, says = HOSTILE[name]
    tracemalloc.start()
    with pytest.raises(WeightsError, match=says):
        weights.load_bytes(file, SMALL)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # What is merely announced takes no memory.
    assert peak < 32 << 20


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_named(value):
    header, values = parts(random_file(SMALL))
    begin, _ = header["predictor.bias"]["data_offsets"]
    values = bytearray(values)
    values[begin + 8 : begin + 12] = struct.pack("<f", value)
    with pytest.raises(WeightsError, match=f"'predictor.bias' holds {value} at index 2"):
        weights.load_bytes(build(header, bytes(values)), SMALL)


def test_metadata_is_taken():
    file = spoiled(lambda header: {"__metadata__": {"format": "pt"}} | header)
    assert weights.load_bytes(file, SMALL).keys() == random_tensors(SMALL).keys()


@settings(max_examples=300)
@given(st.data())
def test_no_change_of_a_file_does_more_than_raise(data):
    file = bytearray(random_file(SMALL))
    header_end = 8 + int.from_bytes(file[:8], "little")
    for _ in range(data.draw(st.integers(1, 4))):
        file[data.draw(st.integers(0, header_end - 1))] = data.draw(st.integers(0, 255))
    del file[data.draw(st.integers(0, len(file))) :]
    try:
        weights.load_bytes(bytes(file), SMALL)
    except WeightsError as error:
        assert str(error).isprintable()
