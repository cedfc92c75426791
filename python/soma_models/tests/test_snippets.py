"""The user's documents run as they stand.

`snippets/` holds what the documents show of this package, with the line breaks that their copies
lost; a test compares all else with the documents. Two things are set from outside: sizes, for V1
has 1.2 billion weights, and what is not this package: `modal`, the data set, what a snippet's
context defines.
"""

import functools
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace
from unittest.mock import MagicMock

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import torch
from cases import REPOSITORY, SMALL, random_file
from flax import nnx

import soma_models.v1.configs
import soma_models.v1.flax
import soma_models.v1.torch
from soma_models.v1.configs import ModelConfig

SNIPPETS = Path(__file__).with_name("snippets")
NAMES = sorted(path.stem for path in SNIPPETS.glob("*.py"))
SIZES = SMALL.architecture()
TEXTS = [
    "Incremental improvements accumulated by the Internet would eventually create the basis",
    "  ",
    "for some more unified form of web intelligence.",
]


def squeezed(text):
    return "".join(text.split())


@pytest.mark.parametrize("name", NAMES)
def test_snippets_are_the_documents_own(name):
    seeds = next(
        (p / "shared/seeds" for p in REPOSITORY.parents if (p / "shared/seeds").is_dir()), None
    )
    if seeds is None:
        pytest.skip("the user's documents (shared/seeds) are not beside this repository")
    documents = [squeezed(path.read_text(encoding="utf-8")) for path in seeds.iterdir()]
    snippet = squeezed((SNIPPETS / f"{name}.py").read_text(encoding="utf-8"))
    assert any(snippet in document for document in documents)


@pytest.fixture
def run(monkeypatch, tmp_path):
    """Run a snippet in what its document has defined before it; the names that are then there."""
    for module in (soma_models.v1.configs, soma_models.v1.torch, soma_models.v1.flax):
        monkeypatch.setattr(module, "ModelConfig", functools.partial(ModelConfig, **SIZES))
    monkeypatch.setattr(soma_models.v1.configs, "V1_MAX_SEQ_LEN", SMALL.max_seq_len)
    datasets = ModuleType("datasets")
    datasets.load_dataset = lambda *_, **__: ({"text": text} for text in TEXTS * 40)
    monkeypatch.setitem(sys.modules, "datasets", datasets)
    names = {
        "app": SimpleNamespace(function=lambda **_: lambda function: function),
        "device": torch.device("cpu"),
        "jax": jax,
        "jnp": jnp,
        "modal": MagicMock(),
        "model_bytes": random_file(SMALL),
        "nnx": nnx,
        "optax": optax,
        "torch": torch,
        "volume": MagicMock(),
        "MODEL_DIR": str(tmp_path),
    }

    def run(*snippets, **more):
        names.update(more)
        for snippet in snippets:
            source = (SNIPPETS / f"{snippet}.py").read_text(encoding="utf-8")
            exec(compile(source, f"{snippet}.py", "exec"), names)
        return SimpleNamespace(**names)

    for framework in (soma_models.v1.torch, soma_models.v1.flax):
        run.__dict__[framework.__name__.rpartition(".")[2]] = {
            name: getattr(framework, name)
            for name in ("Model", "ModelConfig", "SIGReg", "SIGRegConfig", "compute_loss")
        }
    return run


def few(batches, before_first=lambda: None):
    """The first four batches of a snippet's endless loop."""

    def make_batches(batch_size):
        before_first()
        for _, batch in zip(range(4), batches(batch_size), strict=False):
            yield batch

    return make_batches


@pytest.mark.parametrize("framework", ["torch", "flax"])
def test_load(run, framework):
    assert run(f"load_{framework}").competitor.save_bytes() == random_file(SMALL)


def test_make_batches(run):
    batches = list(run("make_batches").make_batches(2))
    assert len(batches) > 100
    assert all(np.shape(ids) == np.shape(targets) == (2, 16) for ids, targets in batches)


@pytest.mark.parametrize("framework", ["torch", "flax"])
def test_finetune(run, framework):
    run(f"settings_{framework}", "make_batches", **getattr(run, framework))
    batches = few(run().make_batches)
    after = run(f"finetune_{framework}", make_batches=batches, LEARNING_RATE=0.01)
    assert np.isfinite(after.loss.item())
    assert len(after.embedding.tolist()) == SMALL.embedding_dim
    assert after.competitor.save_bytes() != random_file(SMALL)


@pytest.mark.parametrize("framework", ["torch", "flax"])
def test_distill(run, framework):
    run(f"settings_{framework}", "make_batches", **getattr(run, framework))
    names = {}

    def optimizer():
        # The PyTorch snippet takes the one that its document made before.
        if framework == "torch":
            names["optimizer"] = torch.optim.Adam(run().student.parameters(), lr=0.01)
            run(**names)

    batches = few(run().make_batches, optimizer)
    after = run(f"distill_{framework}", make_batches=batches)
    assert np.isfinite(after.loss.item())
    assert after.teacher.save_bytes() == random_file(SMALL)


@pytest.mark.parametrize("framework", ["torch", "flax"])
def test_average(run, framework):
    names = getattr(run, framework)
    load = names["Model"].load_bytes
    config = names["ModelConfig"]
    mine = load(random_file(SMALL), config(dropout_rate=0.1))
    theirs = load(random_file(SMALL, seed=1), config(dropout_rate=0.0))
    want = 0.7 * norm_of(mine) + 0.3 * norm_of(theirs)
    run(f"average_{framework}", my_model=mine, competitor=theirs)
    np.testing.assert_allclose(norm_of(mine), want, rtol=1e-5)


def norm_of(model):
    beta = model.final_norm.beta
    return beta.detach().numpy().copy() if isinstance(beta, torch.Tensor) else np.array(beta[...])


@pytest.mark.parametrize("framework", ["torch", "flax"])
def test_train(run, framework, tmp_path):
    run(f"settings_{framework}", "make_batches")
    run(f"train_{framework}", CHECKPOINT_EVERY=2).train(num_steps=3)
    files = sorted(path.name for path in tmp_path.iterdir())
    assert files == ["checkpoint-2.safetensors", "model-final.safetensors"]
    load = getattr(run, framework)["Model"].load
    first, last = (load(tmp_path / file, SMALL).save_bytes() for file in files)
    assert first == last, "step 2 of 3 is the last"
    assert run().volume.commit.call_count == 2
