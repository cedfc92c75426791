"""Against the exact runtime: what trains here scores there, and the reverse."""

import json
import re
import subprocess
import sys
from base64 import b64decode

import numpy as np
import pytest
from cases import REPOSITORY, SMALL, cosine, random_file
from frameworks import BOTH, Torch, batch_of

from soma_models.v1 import weights
from soma_models.v1.configs import ModelConfig
from soma_models.v1.sigreg import epoch_directions
from soma_models.v1.strategies import average
from soma_models.v1.torch.strategies import genesis_embedding

both = pytest.mark.parametrize("framework", BOTH, ids=lambda framework: framework.name)


@pytest.fixture
def run(soma, tmp_path):
    """Run `soma` in a folder of its own; its JSON, if it succeeds."""

    def run(*args):
        done = subprocess.run(
            [soma, *map(str, args), "--json"],
            cwd=tmp_path,
            env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin", "RAYON_NUM_THREADS": "2"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def architecture(config, folder):
    file = folder / "architecture.json"
    file.write_text(json.dumps(config.architecture()))
    return file


@pytest.mark.parametrize("dtype", ["F32", "BF16", "F16"])
@both
def test_soma_scores_what_is_saved_here(framework, dtype, run, tmp_path, text):
    (tmp_path / "document").write_bytes(text)
    model = framework.fresh(SMALL, seed=2)
    model.save(tmp_path / "model.safetensors", dtype)
    scored = run(
        *("score", "--weights", "model.safetensors", "--data", "document", "--seed", 77),
        *("--arch", architecture(SMALL, tmp_path)),
    )["models"][0]
    # What soma reads are the rounded weights.
    model = framework.load_bytes((tmp_path / "model.safetensors").read_bytes(), SMALL)
    model.eval()
    seed = (77).to_bytes(8, "little") + bytes(24)
    batch = batch_of(text, SMALL.max_seq_len)
    directions = epoch_directions(seed, SMALL.embedding_dim)
    loss, embedding = framework.loss(model, framework.sig_reg(directions), *batch)
    cross_entropy, _ = framework.loss(model, framework.sig_reg(count=0), *batch)
    # docs/scoring-spec.md, section 5.
    assert cross_entropy == pytest.approx(scored["cross_entropy_nano"] / 1e9, abs=1e-5)
    assert loss == pytest.approx(scored["loss_nano"] / 1e9, abs=1e-4)
    assert cosine(embedding, scored["mean_embedding"]) == pytest.approx(1, abs=1e-5)
    assert cosine(embedding, scored["embedding_q15"]) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(embedding, scored["mean_embedding"], atol=1e-5)


@both
def test_what_soma_trained_goes_on_here_and_back(framework, run, tmp_path, text):
    (tmp_path / "text").write_bytes(text)
    nano = ModelConfig.nano()
    run("train", "--data", "text", "--steps", 2, "--out", "first.safetensors")
    first = (tmp_path / "first.safetensors").read_bytes()
    model = framework.load_bytes(first, nano)
    assert model.save_bytes() == first
    model.save(tmp_path / "second.safetensors")
    run(
        *("train", "--data", "text", "--steps", 1, "--out", "third.safetensors"),
        *("--init", "second.safetensors"),
    )
    third = framework.load_bytes((tmp_path / "third.safetensors").read_bytes(), nano)
    batch = batch_of(text, nano.max_seq_len)
    losses = [framework.loss(m, framework.sig_reg(count=0), *batch)[0] for m in (model, third)]
    assert losses[0] != losses[1]
    assert max(losses) < 8


def test_soma_embeds_as_the_loss_says(run, tmp_path, text):
    framework = BOTH[0]
    (tmp_path / "document").write_bytes(text)
    (tmp_path / "model.safetensors").write_bytes(random_file(SMALL))
    arch = architecture(SMALL, tmp_path)
    told = run("embed", "--weights", "model.safetensors", "--data", "document", "--arch", arch)
    model = framework.load_bytes(random_file(SMALL), SMALL)
    _, embedding = framework.loss(
        model, framework.sig_reg(count=0), *batch_of(text, SMALL.max_seq_len)
    )
    assert cosine(embedding, told["embedding_q15"]) == pytest.approx(1, abs=1e-5)


def test_the_example_says_what_soma_says(run, tmp_path, text):
    (tmp_path / "document").write_bytes(text)
    (tmp_path / "model.safetensors").write_bytes(random_file(SMALL))
    arch = architecture(SMALL, tmp_path)
    told = run(
        *("score", "--weights", "model.safetensors", "--data", "document"),
        *("--arch", arch, "--seed", 5),
    )["models"][0]
    example = REPOSITORY / "python/examples/loss.py"
    done = subprocess.run(
        [sys.executable, example, "model.safetensors", "document", "--arch", arch, "--seed=5"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    said = [float(number) for number in re.findall(r"-?\d+\.\d+", done.stdout)]
    assert said[0] == pytest.approx(told["loss_nano"] / 1e9, abs=1e-5)
    assert said[1:] == pytest.approx(told["mean_embedding"][:4], abs=1e-4)


def test_strategies_are_the_commands_own(run, tmp_path, text):
    """The same sequences are drawn, and averages are the same to the bit."""
    (tmp_path / "text").write_bytes(text * 3)
    for seed, name in enumerate(("mine", "theirs")):
        (tmp_path / name).write_bytes(random_file(SMALL, seed))
    arch = architecture(SMALL, tmp_path)
    model = Torch.load_bytes(random_file(SMALL), SMALL)
    for seed in (0, 7):
        told = run("embed", "--weights", "mine", "--arch", arch, "--data", "text", "--seed", seed)
        mine = genesis_embedding(model, str(tmp_path / "text"), seed)
        theirs = np.frombuffer(b64decode(told["embedding"]), "<i2")
        assert cosine(theirs, mine) > 1 - 1e-6
    run("merge", "mine", "theirs", "--beta", 0.3, "--arch", arch, "--out", "merged")
    tensors = [weights.load(tmp_path / name, SMALL) for name in ("mine", "theirs")]
    merged = weights.save_bytes(average(*tensors, beta=0.3), SMALL)
    assert (tmp_path / "merged").read_bytes() == merged
