"""The data contract."""

import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from soma_models.errors import InputError
from soma_models.v1.configs import EOS, PAD
from soma_models.v1.tokenizer import tokenize


def test_short_sequences_end_and_pad():
    # As in crates/model/src/tokenizer.rs.
    (only,) = tokenize(data=b"ab", max_seq_len=4)
    assert only.token_ids == [97, 98, EOS, PAD]
    assert only.targets == [98, EOS, PAD, PAD]
    assert only.pos_ids == [0, 1, 2, 3]


def test_full_sequences_have_no_end():
    first, second = tokenize(b"abcdefgh", 4)
    assert (first.token_ids, first.targets) == ([97, 98, 99, 100], [98, 99, 100, PAD])
    assert second.token_ids == [101, 102, 103, 104]
    assert tokenize(b"abcde", 4)[1].token_ids == [101, EOS, PAD, PAD]


def test_no_data_no_sequences():
    assert tokenize(b"", 4) == []


@given(st.binary(max_size=200), st.integers(1, 20))
def test_any_data_is_cut_and_comes_back(data, length):
    sequences = tokenize(data, length)
    assert len(sequences) == -(-len(data) // length)
    tokens = [token for sequence in sequences for token in sequence.token_ids]
    assert bytes(token for token in tokens if token < 256) == data
    # EOS stands once, after the last byte, where the last sequence is short.
    assert tokens.count(EOS) == (len(data) % length != 0)
    assert tokens[len(data) :] == ([EOS] + [PAD] * length)[: len(tokens) - len(data)]
    for sequence in sequences:
        assert len(sequence.token_ids) == len(sequence.targets) == length
        assert sequence.targets == [*sequence.token_ids[1:], PAD]


@given(st.binary(min_size=1, max_size=64))
def test_any_bytes_will_do(data):
    want = [sequence.token_ids for sequence in tokenize(data, 8)]
    for other in (bytearray(data), memoryview(data)):
        assert [sequence.token_ids for sequence in tokenize(other, 8)] == want


def test_data_is_held_once():
    data = bytes(1 << 24)
    tracemalloc.start()
    sequences = tokenize(data, 1024)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(sequences) == 1 << 14
    assert peak < len(data) / 3


@pytest.mark.parametrize(
    ("data", "length", "says"),
    [
        ("text", 4, "data is a str, must be bytes"),
        (None, 4, "data is a NoneType"),
        ([1, 2], 4, "data is a list"),
        (memoryview(b"abcd")[::2], 4, "must be contiguous"),
        (b"ab", 0, "max_seq_len is 0, must be 1 to 65536"),
        (b"ab", -1, "max_seq_len is -1"),
        (b"ab", 65_537, "max_seq_len is 65537"),
        (b"ab", 4.0, "max_seq_len is a float"),
        (b"ab", True, "max_seq_len is a bool"),
    ],
)
def test_bad_input_is_refused(data, length, says):
    with pytest.raises(InputError, match=says):
        tokenize(data, length)
