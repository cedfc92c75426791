"""What both trainers share: settings, the stream of text, the log, checkpoints."""

import gzip
import json
import os
import sys
import threading
from itertools import islice
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from cases import SMALL
from hypothesis import given
from hypothesis import strategies as st

from soma_models.errors import ConfigError, InputError, SomaModelsError
from soma_models.v1.configs import ModelConfig
from soma_models.v1.tokenizer import tokenize
from soma_models.v1.training import progress
from soma_models.v1.training.log import Log
from soma_models.v1.training.settings import Settings, parser, settings_of
from soma_models.v1.training.text import batches, padded, sequences


@pytest.fixture
def settings(tmp_path):
    def settings(**given):
        given = {"data": (str(tmp_path / "text"),), "out": tmp_path / "out"} | given
        return Settings.of(SMALL, **given)

    return settings


def test_defaults_suit_the_size(tmp_path):
    # docs/training.md
    small, large = (
        Settings.of(config, data=("x",), out=tmp_path / "out")
        for config in (ModelConfig.nano(), ModelConfig(dropout_rate=0.1))
    )
    assert (small.steps, small.learning_rate, small.schedule) == (1000, 3e-3, "cosine")
    assert (small.batch_size, small.grad_accum, small.warmup_steps) == (1, 2, 20)
    assert (large.steps, large.learning_rate, large.schedule) == (10_000, 1e-4, "constant")
    assert (large.batch_size, large.grad_accum, large.checkpoint_every) == (2, 8, 500)


def test_schedules_rise_and_fall_as_they_say(settings):
    # As crates/train/src/settings.rs tests its own.
    for schedule, end in (("cosine", 0.05), ("linear", 0.05), ("constant", 1.0)):
        run = settings(schedule=schedule, warmup_steps=9, learning_rate=1.0, steps=10**6)
        assert run.rate(0) == pytest.approx(0.1)
        assert run.rate(9) == pytest.approx(1.0, abs=1e-4)
        assert run.rate(10**6) == pytest.approx(end)
    half = settings(schedule="linear", warmup_steps=0, learning_rate=1.0, steps=100)
    assert half.rate(50) == pytest.approx(0.525)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"steps": 0}, "steps is 0, must be 1 to"),
        ({"batch_size": 4097}, "batch_size is 4097, must be 1 to 4096"),
        ({"learning_rate": 0.0}, "learning_rate is 0.0, must be above 0, and 1"),
        ({"learning_rate": float("nan")}, "learning_rate is nan"),
        ({"weight_decay": -0.1}, "weight_decay is -0.1, must be 0 to 1"),
        ({"gradient_norm_max": 0.0}, "gradient_norm_max is 0.0, must be above 0"),
        ({"schedule": "step"}, "schedule is 'step', must be cosine"),
        ({"data": ()}, "data names no source"),
    ],
)
def test_bad_settings_are_named(settings, given, says):
    with pytest.raises(ConfigError, match=says):
        settings(**given)


def test_bad_places_and_sizes_are_named_before_the_first_step(tmp_path):
    with pytest.raises(ConfigError, match="there is no folder"):
        Settings.of(SMALL, data=("x",), out=tmp_path / "none" / "out")
    for folder in (tmp_path, Path()):
        with pytest.raises(ConfigError, match="a folder: name the file"):
            Settings.of(SMALL, data=("x",), out=folder)
    with pytest.raises(ConfigError, match="nothing is predicted"):
        Settings.of(SMALL.replace(max_seq_len=1), data=("x",), out=tmp_path / "out")


def test_only_a_run_whose_learning_rate_stays_may_be_extended(tmp_path):
    def run(**given):
        return Settings.of(SMALL, data=("x",), out=tmp_path / "out", **given)

    for schedule in ("constant", "cosine", "linear"):
        shorter, longer = (run(schedule=schedule, steps=steps) for steps in (8, 12))
        assert (shorter.facts() == longer.facts()) is (schedule == "constant")


def test_the_command_line_has_somas_names(tmp_path):
    arguments = parser("train", "").parse_args(
        [
            *("--data", "a", "b", "--out", str(tmp_path / "out"), "--arch", "v1", "--steps", "7"),
            *("--learning-rate", "0.5", "--sigreg-directions", "0", "--bf16"),
        ]
    )
    settings = settings_of(arguments)
    assert settings.config == ModelConfig(dropout_rate=0.1, compute_dtype="bfloat16")
    assert (settings.data, settings.steps, settings.learning_rate) == (("a", "b"), 7, 0.5)
    assert settings.sigreg.directions == 0
    assert settings.grad_accum == 8


@given(st.lists(st.binary(max_size=50), max_size=5), st.integers(1, 20))
def test_sequences_are_the_tokenizers(documents, length):
    for data in documents:
        cut = tokenize(data, length)
        tokens, targets = padded((bytes(sequence.data) for sequence in cut), length)
        assert tokens.tolist() == [sequence.token_ids for sequence in cut]
        assert targets.tolist() == [sequence.targets for sequence in cut]


def test_every_kind_of_source_is_read(tmp_path, monkeypatch):
    (tmp_path / "a.txt").write_bytes(b"abcdef")
    (tmp_path / "b.jsonl").write_text('"ghi"\n\n{"text": "jklmn"}\n{"content": "é"}\n')
    (tmp_path / "c").mkdir()
    with gzip.open(tmp_path / "c" / "d.txt.gz", "wb") as file:
        file.write(b"opqr")
    with gzip.open(tmp_path / "c" / "e.jsonl.gz", "wb") as file:
        file.write(b'"st"')
    (tmp_path / ".hidden").write_bytes(b"no")
    (tmp_path / ".git").mkdir()
    (tmp_path / ".git" / "file").write_bytes(b"no")
    text = [b"abcd", b"ef"]
    lines = [b"ghi", b"jklm", b"n", "é".encode()]
    below = [b"opqr", b"st"]
    assert list(sequences(str(tmp_path), 4)) == text + lines + below
    assert list(sequences(str(tmp_path / "a.txt"), 4)) == text
    assert list(sequences(str(tmp_path / "*.*"), 4)) == text + lines
    assert list(sequences(str(tmp_path / "**" / "*.gz"), 4)) == below

    asked = []
    datasets = ModuleType("datasets")

    def load_dataset(*args, **kwargs):
        asked.append((args, kwargs))
        return iter([{"text": "uvwxy"}, {"text": None}, {"content": "z"}])

    datasets.load_dataset = load_dataset
    monkeypatch.setitem(sys.modules, "datasets", datasets)
    rows = list(sequences("hf://datasets/HuggingFaceFW/fineweb/sample-10BT", 4))
    assert rows == [b"uvwx", b"y", b"z"]
    assert asked == [
        (("HuggingFaceFW/fineweb", "sample-10BT"), {"split": "train", "streaming": True})
    ]
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError, match="pip install datasets"):
        list(sequences("hf://datasets/a/b", 4))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("none", None, "there is no"),
        ("a.jsonl", b"{", "line 1 is no JSON"),
        ("a.jsonl", b'"fine"\n3\n', "line 2 is neither a string nor"),
        ("a.jsonl", b"[" * 100_000, "line 1 is no JSON"),
        ("a.jsonl", b'"\xff"', "line 1 is no JSON"),
        ("a.gz", b"no gzip", "cannot read"),
        ("a.gz", gzip.compress(b"cut short" * 1000, mtime=0)[:40], "cannot read"),
    ],
)
def test_a_bad_source_is_named(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=says):
        list(sequences(str(tmp_path / name), 16))


def test_a_run_without_text_is_refused(settings, tmp_path):
    (tmp_path / "text").write_bytes(b"")
    with pytest.raises(InputError, match="no text in"):
        next(batches(settings()))


def test_the_stream_is_shuffled_complete_and_goes_on(settings, tmp_path):
    data = np.random.default_rng(0).bytes(16 * 96)
    (tmp_path / "text").write_bytes(data)
    run = settings(grad_accum=2, batch_size=3, shuffle=10)
    drawn = list(islice(batches(run), 48))
    assert drawn[0][0].shape == drawn[0][1].shape == (2, 3, 16)
    rows = np.concatenate([tokens.reshape(-1, 16) for tokens, _ in drawn])
    once, again, third = (sorted(map(bytes, part.astype(np.uint8))) for part in np.split(rows, 3))
    want = sorted(data[start : start + 16] for start in range(0, len(data), 16))
    assert once == again == third == want
    assert rows[:96].tolist() != rows[96:192].tolist(), "another order each time"
    for skip in (0, 1, 17, 40):
        tokens, targets = next(batches(run, skip))
        np.testing.assert_array_equal(tokens, drawn[skip][0])
        np.testing.assert_array_equal(targets, drawn[skip][1])


def test_text_is_read_while_it_is_used(settings, tmp_path):
    """A run begins before a large source was read: of a pipe, as much as shuffling needs."""
    os.mkfifo(tmp_path / "text")
    begun = threading.Event()

    def write():
        with (tmp_path / "text").open("wb", buffering=0) as pipe:
            pipe.write(b"0123456789abcdef" * 100)
            begun.wait()

    writer = threading.Thread(target=write)
    writer.start()
    tokens, _ = next(batches(settings(shuffle=8)))
    assert tokens.shape == (2, 1, 16)
    begun.set()
    writer.join()


def test_the_log_says_the_same_to_people_and_programs(tmp_path, capsys):
    log = Log(tmp_path / "log.jsonl", 20)
    log.count(1000)
    log.line(10, 2.5, 1e-3)
    assert capsys.readouterr().err.startswith("step 10/20  loss 2.5000  rate 1.00e-03  ")
    entry = json.loads((tmp_path / "log.jsonl").read_text())
    assert (entry["step"], entry["loss"], entry["rate"]) == (10, 2.5, 1e-3)
    with pytest.raises(SomaModelsError, match="the loss is nan at step 20"):
        log.check(20, float("nan"))


def test_a_checkpoint_is_its_runs_alone(settings, tmp_path):
    run = settings(checkpoints=tmp_path / "checkpoints", log_every=1)
    assert progress.last(run) is None
    for step in (5, 10):
        progress.begin(run)
        progress.draft(run).mkdir()
        progress.finish(run, step)
    assert progress.last(run) == (10, tmp_path / "checkpoints" / "step-10")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-10"]
    # A draft that was interrupted counts for nothing.
    progress.draft(run).mkdir()
    assert progress.last(run)[0] == 10
    # Where things lie may change, what is computed may not.
    here = settings(checkpoints=tmp_path / "checkpoints", log_every=7, out=tmp_path / "other")
    assert progress.last(here)[0] == 10
    other = settings(checkpoints=tmp_path / "checkpoints", learning_rate=0.5)
    with pytest.raises(SomaModelsError, match=r"learning_rate was 0.003, now it is 0.5"):
        progress.last(other)
    (tmp_path / "checkpoints" / "step-10" / "run.json").write_text("{")
    with pytest.raises(SomaModelsError, match="is damaged"):
        progress.last(run)
