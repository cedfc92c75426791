"""The reference trainers: they learn, stop, go on, share the work, and make the same updates."""

import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import jax
import numpy as np
import pytest
import torch
from cases import SMALL, random_file, random_tensors

import soma_models.v1.flax.train
import soma_models.v1.torch.train
from soma_models.v1 import weights
from soma_models.v1.configs import ModelConfig, SIGRegConfig
from soma_models.v1.flax import Model
from soma_models.v1.training.log import Log
from soma_models.v1.training.settings import Settings

TRAINERS = {"torch": soma_models.v1.torch.train, "flax": soma_models.v1.flax.train}
both = pytest.mark.parametrize("trainer", TRAINERS.values(), ids=TRAINERS)


@pytest.fixture
def arguments(tmp_path, text):
    """The command line of a small run, and more."""
    (tmp_path / "text").write_bytes(text)
    (tmp_path / "arch.json").write_text(json.dumps(SMALL.architecture()))

    def arguments(out="out.safetensors", **more):
        given = {
            "data": tmp_path / "text",
            "arch": tmp_path / "arch.json",
            "out": tmp_path / out,
            "steps": 6,
            "batch_size": 2,
            "warmup_steps": 0,
            "log_every": 1,
        }
        given |= more
        return [f"--{name.replace('_', '-')}={value}" for name, value in given.items()]

    return arguments


def losses_of(folder):
    return [json.loads(line)["loss"] for line in (folder / "log").read_text().splitlines()]


@both
def test_it_learns(trainer, arguments, tmp_path):
    assert trainer.main(arguments(steps=60, learning_rate=0.02, metrics=tmp_path / "log")) == 0
    losses = losses_of(tmp_path)
    assert len(losses) == 60
    assert np.mean(losses[-5:]) < losses[0] - 1.5
    weights.load(tmp_path / "out.safetensors", SMALL)


@both
def test_a_stopped_run_goes_on_as_if_it_had_not_been(trainer, arguments, tmp_path, monkeypatch):
    assert trainer.main(arguments("whole.safetensors", dropout=0.2)) == 0
    more = {"dropout": 0.2, "checkpoints": tmp_path / "checkpoints", "checkpoint_every": 100}
    line = Log.line

    def ask_after_three(self, step, loss, rate):
        line(self, step, loss, rate)
        if step == 3:
            os.kill(os.getpid(), signal.SIGTERM)

    with monkeypatch.context() as patch:
        patch.setattr(Log, "line", ask_after_three)
        assert trainer.main(arguments(**more)) == 130
    assert not (tmp_path / "out.safetensors").exists()
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step-4"]
    assert trainer.main(arguments(metrics=tmp_path / "log", **more)) == 0
    assert len(losses_of(tmp_path)) == 2
    assert (tmp_path / "out.safetensors").read_bytes() == (
        tmp_path / "whole.safetensors"
    ).read_bytes()
    # Done is done: once more the same command writes the same file again.
    assert trainer.main(arguments("again.safetensors", **more)) == 0
    assert (tmp_path / "again.safetensors").read_bytes() == (
        tmp_path / "whole.safetensors"
    ).read_bytes()


@both
def test_a_run_that_diverges_ends_and_keeps_nothing_of_it(trainer, arguments, tmp_path, capsys):
    wild = {name: tensor * 1e30 for name, tensor in random_tensors(SMALL).items()}
    weights.save(tmp_path / "wild", wild, SMALL)
    more = {"init": tmp_path / "wild", "checkpoints": tmp_path / "kept", "checkpoint_every": 1}
    assert trainer.main(arguments(log_every=100, **more)) == 1
    assert "error: the loss is nan at step 1" in capsys.readouterr().err
    assert not (tmp_path / "kept").exists()
    assert not (tmp_path / "out.safetensors").exists()


@both
def test_errors_are_one_sentence_and_exit_code_1(trainer, arguments, tmp_path, capsys):
    for more, says in (
        ({"arch": "none.json"}, "error: cannot read the architecture none.json"),
        ({"data": tmp_path / "none"}, "error: there is no "),
        ({"init": tmp_path / "text"}, "over the limit of 4194304"),
        ({"init": tmp_path / "none"}, "No such file"),
        ({"steps": 0}, "error: steps is 0"),
    ):
        assert trainer.main(arguments(**more)) == 1
        assert says in capsys.readouterr().err
    with pytest.raises(SystemExit) as usage:
        trainer.main(["--data", "x"])
    assert usage.value.code == 2


@both
def test_what_makes_it_fast_trains_too(trainer, arguments, tmp_path, monkeypatch):
    more = ["--bf16", "--gradient-checkpointing", "--dropout=0.1"]
    if trainer is TRAINERS["torch"]:
        # Inductor's own compiler has a test of its own; what it is handed is the same.
        compile_ = torch.nn.Module.compile
        monkeypatch.setattr(
            torch.nn.Module,
            "compile",
            lambda self, **given: compile_(self, backend="aot_eager", **given),
        )
        more.append("--compile")
    assert trainer.main([*arguments(metrics=tmp_path / "log", learning_rate=0.01), *more]) == 0
    losses = losses_of(tmp_path)
    assert losses[-1] < losses[0]


@pytest.fixture
def updates(tmp_path):
    """Three updates from the same weights by the same passes, without anything drawn."""
    # A document of so few bytes is drawn whole by `soma train` too, each time.
    (tmp_path / "text").write_bytes(b"8 bytes.")
    config = ModelConfig.nano()
    first = weights.load_bytes(random_file(config), config)
    weights.save(tmp_path / "first.safetensors", first, config)

    def updates(trainer, out, **more):
        settings = Settings.of(
            config,
            data=(str(tmp_path / "text"),),
            out=tmp_path / out,
            init=tmp_path / "first.safetensors",
            **COMMON,
            **more,
        )
        assert trainer.train(settings) == 0
        return moved(tmp_path / out)

    def moved(path):
        last = weights.load(path, config)
        return np.concatenate([(last[name] - first[name]).ravel() for name in first])

    updates.moved = moved
    return updates


COMMON = {"steps": 3, "batch_size": 2, "learning_rate": 1e-3, "schedule": "constant"}
COMMON |= {"warmup_steps": 1, "weight_decay": 0.1}


def agree(mine, theirs):
    """Adam divides by the gradient's size, so where it is near 0 float error shows: rarely."""
    assert np.abs(mine).max() > 1e-3
    difference = np.abs(mine - theirs)
    assert np.quantile(difference, 0.999) < 2e-5
    assert difference.mean() < 1e-6


def test_both_trainers_and_soma_make_the_same_updates(updates, tmp_path, soma):
    no_sigreg = {"sigreg": SIGRegConfig(directions=0)}
    by_torch, by_flax = (updates(trainer, name, **no_sigreg) for name, trainer in TRAINERS.items())
    agree(by_torch, by_flax)
    given = {name.replace("_", "-"): str(value) for name, value in COMMON.items()}
    flags = [word for name, value in given.items() for word in (f"--{name}", value)]
    subprocess.run(
        [
            *(soma, "train", "--data", "text", "--out", "soma.safetensors"),
            *("--init", "first.safetensors", "--sigreg-directions", "0", *flags),
        ],
        cwd=tmp_path,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        check=True,
    )
    agree(by_torch, updates.moved(tmp_path / "soma.safetensors"))


def torchrun(folder, arguments):
    done = subprocess.run(
        [
            *(sys.executable, "-m", "torch.distributed.run", "--standalone"),
            *("--nproc-per-node=2", "-m", "soma_models.v1.torch.train", *arguments),
        ],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_make_one_processs_updates(parallel, arguments, tmp_path):
    more = {"dropout": 0.2, "grad_accum": 4, "init": tmp_path / "init"}
    (tmp_path / "init").write_bytes(random_file(SMALL))
    trainer = TRAINERS["torch"]
    alone = {"checkpoints": tmp_path / "alone"}
    assert (
        trainer.main(arguments("alone.safetensors", metrics=tmp_path / "log", **alone, **more)) == 0
    )
    # Half of the way on two processes, then on from there on one.
    shared = {"checkpoints": tmp_path / "shared", "checkpoint_every": 3}
    log = {"metrics": tmp_path / "two"}
    torchrun(
        tmp_path, [*arguments("two.safetensors", **shared, **more, **log), "--parallel", parallel]
    )
    whole, two = (
        np.concatenate([part.ravel() for part in weights.load(tmp_path / name, SMALL).values()])
        for name in ("alone.safetensors", "two.safetensors")
    )
    np.testing.assert_allclose(two, whole, atol=2e-4)
    assert np.abs(two - whole).mean() < 2e-6
    losses = [json.loads(line)["loss"] for line in (tmp_path / "two").read_text().splitlines()]
    np.testing.assert_allclose(losses, losses_of(tmp_path), atol=1e-4)
    # The checkpoint that two made is one that one goes on from.
    assert trainer.main(arguments("on.safetensors", **shared, **more)) == 0
    on = weights.load(tmp_path / "on.safetensors", SMALL)
    again = np.concatenate([part.ravel() for part in on.values()])
    np.testing.assert_array_equal(again, two)


def test_processes_share_passes_evenly(arguments, monkeypatch):
    trainer = TRAINERS["torch"]

    @contextmanager
    def joined(_):
        yield trainer.Place(0, 3, torch.device("cpu"))

    monkeypatch.setattr(trainer, "_joined", joined)
    assert trainer.main(arguments(grad_accum=4)) == 1


def test_jax_devices_share_sequences_and_weights(arguments, tmp_path, monkeypatch, capsys):
    trainer = TRAINERS["flax"]
    assert jax.device_count() == 2
    placed = {}
    save = Model.save

    def watch(self, path):
        leaf = self.encoder.layers[0].attention.query.weight.get_value()
        placed[path.name] = leaf.sharding.shard_shape(leaf.shape)
        save(self, path)

    monkeypatch.setattr(Model, "save", watch)
    more = {"checkpoints": tmp_path / "fsdp", "checkpoint_every": 100}
    assert trainer.main(arguments("whole", parallel="replicate")) == 0
    assert trainer.main(arguments("shards", parallel="fsdp", **more)) == 0
    assert placed == {"whole": (24, 24), "shards": (12, 24)}
    whole, shards = (
        np.concatenate([part.ravel() for part in weights.load(tmp_path / name, SMALL).values()])
        for name in ("whole", "shards")
    )
    np.testing.assert_allclose(shards, whole, atol=2e-4)
    # A checkpoint of shards is one that whole copies go on from.
    assert trainer.main(arguments("on", parallel="replicate", **more)) == 0
    assert (tmp_path / "on").read_bytes() == (tmp_path / "shards").read_bytes()
    assert trainer.main(arguments(batch_size=3)) == 1
    assert "must be a multiple of the 2 devices" in capsys.readouterr().err
