"""The documents' quickstart files run as programs, and are what the documents show."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hosts import ENGLISH, NANO

from soma_models.v1 import weights
from soma_models.v1.configs import ModelConfig
from soma_sdk import Keypair, SomaClient

PYTHON = Path(__file__).parents[2]
QUICKSTART = PYTHON / "quickstart"
SNIPPETS = PYTHON / "soma_models/tests/snippets"
SMALL = ModelConfig(dropout_rate=0.0, embedding_dim=24, heads=3, layers=2, ffn_dim=40, max_seq_len=16)

# Modal, what it needs to be told, and imports, which stand at the files' heads.
ASIDE = re.compile(r"\s*(@app|image = |volume\.|from |import |\"(soma-models|datasets|torch|optax|jax)|\)$)")


def bare(text: str) -> str:
    """A program without spaces and brackets, whose place is a formatter's."""
    return re.sub(r"[\s(),]", "", text)


@pytest.mark.parametrize(
    ("snippet", "file"),
    [
        ("settings_torch", "train_torch"),
        ("train_torch", "train_torch"),
        ("settings_flax", "train_flax"),
        ("train_flax", "train_flax"),
        ("make_batches", "stream"),
    ],
)
def test_quickstart_is_the_documents(snippet: str, file: str) -> None:
    rest = bare((QUICKSTART / f"{file}.py").read_text())
    lines = (SNIPPETS / f"{snippet}.py").read_text().splitlines()
    kept = [bare(line) for line in lines if line.strip() and not ASIDE.match(line)]
    assert len(kept) >= 5
    for line in kept:
        if line.startswith("ds="):
            continue  # the stream's source
        wanted = line.replace("V1_MAX", "MAX").replace("inds:", "inexamples:")
        assert wanted in rest, "in this order"
        rest = rest[rest.index(wanted) + len(wanted) :]


def run(name: str, *arguments: str, folder: Path, arch: str, more: dict[str, str] | None = None) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", str(QUICKSTART / f"{name}.py"), *arguments],
        cwd=folder,
        env={
            "SOMA_ARCH": arch,
            "SOMA_DATA": "text",
            "PYTHONPATH": ":".join(sys.path),
            "PATH": os.environ["PATH"],
            "OMP_NUM_THREADS": "1",
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": "--xla_backend_optimization_level=0",
            "HOME": str(folder),
            **(more or {}),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize("framework", ["torch", "flax"])
def test_training_runs(framework: str, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(ENGLISH[:5000])
    (tmp_path / "arch.json").write_text(json.dumps(SMALL.architecture()))
    told = run(f"train_{framework}", "--num-steps", "2", folder=tmp_path, arch="arch.json")
    assert "step 2/2" in told
    weights.load(tmp_path / "model-final.safetensors", SMALL)


async def test_the_loop_and_the_strategies_run(client: SomaClient, home: Path, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(ENGLISH[:80_000])
    keys = Keypair.generate()
    await client.request_faucet(keys, 100)
    more = {"SOMA_SECRET_KEY": keys.to_secret_key(), "SOMA_HOME": str(home), "SOMA_NETWORK": "testnet"}

    def start(name: str, *arguments: str) -> str:
        return run(name, *arguments, folder=tmp_path, arch="nano", more=more)

    told = start("auto_update", "--num-steps", "2")
    (model,) = await client.get_models(owner=keys)
    assert model.manifest is not None
    assert told == f"round 1 of {model.id} competes from epoch {model.manifest.active_from}\n"
    trained = tmp_path / "auto-update/round-1.safetensors"
    assert await client.fetch_model(model) == trained.read_bytes()
    assert model.commission_rate == 1000

    competitor = ("--competitor", model.id)
    start("training", "fine-tune", *competitor, "--num-steps", "1")
    mine = tmp_path / "mine.safetensors"
    tuned = weights.load(mine, NANO)
    start("training", "distill", *competitor, "--num-steps", "1")
    assert mine.read_bytes() != trained.read_bytes()
    start("training", "average", *competitor)
    assert weights.load(mine, NANO).keys() == tuned.keys()
    assert "of targets, nearest model" in start("training", "place", "--corpus", "text")
    start("training", "gaps")
