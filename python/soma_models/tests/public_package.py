"""Run in an environment of its own by test_public.py, with the public `soma-models` in it.

Takes a framework, a weights file and data; prints the loss without SIGReg and the embedding of the
given weights, writes them again, and fresh ones of the package's own, with their loss.
"""

import importlib
import json
import sys
from pathlib import Path

SIZES = {
    "embedding_dim": 24,
    "pwff_hidden_dim": 40,
    "num_layers": 2,
    "num_heads": 3,
    "max_wavelength": 100.0,
}


def main(framework, file, tokens):
    package = importlib.import_module(f"soma_models.v1.{framework}")
    config = package.ModelConfig(dropout_rate=0.0, **SIZES)
    ids, targets = json.loads(Path(tokens).read_text())
    if framework == "torch":
        array, rngs, named = importlib.import_module("torch").tensor, (), {}
    else:
        nnx = importlib.import_module("flax.nnx")
        array = importlib.import_module("jax.numpy").array
        rngs, named = (nnx.Rngs(0),), {"rngs": nnx.Rngs(0)}
    sig_reg = package.SIGReg(package.SIGRegConfig(coefficient=0.0), *rngs)

    def loss_of(model):
        model.eval()
        loss, embedding = package.compute_loss(model, sig_reg, array(ids), array(targets))
        return loss.item(), embedding.tolist()

    model = package.Model.load_bytes(Path(file).read_bytes(), config, **named)
    model.save("again.safetensors")
    fresh = package.Model(config, *rngs)
    fresh.save("fresh.safetensors")
    sys.stdout.write(json.dumps({"given": loss_of(model), "fresh": loss_of(fresh)}))


main(*sys.argv[1:])
