"""Train weights with Flax, as "Train a Model" shows it.

    python python/quickstart/train_flax.py --num-steps 10000

Checkpoints every 500 steps and `model-final.safetensors` go to SOMA_MODEL_DIR, or here. On a
laptop: SOMA_ARCH=nano SOMA_DATA=data/english. The one to grow into is `soma_models.v1.flax.train`.
"""

import argparse

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from stream import MODEL_DIR, ModelConfig, make_batches

from soma_models.v1.flax import Model, SIGReg, SIGRegConfig, compute_loss

CHECKPOINT_EVERY = 500
LEARNING_RATE = 1e-4
DROPOUT_RATE = 0.1
MICRO_BATCH_SIZE = 2
GRAD_ACCUM_STEPS = 8  # effective batch size = 2 * 8 = 16


def train(num_steps: int = 10_000):
    """Train from fresh weights."""
    rngs = nnx.Rngs(0)
    model = Model(ModelConfig(dropout_rate=DROPOUT_RATE), rngs)
    model.train()
    sig_reg = SIGReg(SIGRegConfig(), rngs)
    optimizer = nnx.Optimizer(model, optax.adam(learning_rate=LEARNING_RATE), wrt=nnx.Param)

    @nnx.jit
    def micro_step(model, sig_reg, token_ids, targets):
        def loss_fn(model, sig_reg):
            return compute_loss(model, sig_reg, token_ids, targets)

        (loss, embedding), grads = nnx.value_and_grad(loss_fn, has_aux=True)(model, sig_reg)
        return loss, embedding, grads

    batches = make_batches(MICRO_BATCH_SIZE)

    for step in range(num_steps):
        accum_loss = jnp.zeros(())
        accum_grads = None

        for micro in range(GRAD_ACCUM_STEPS):
            ids, tgts = next(batches)
            loss, embedding, grads = micro_step(model, sig_reg, jnp.array(ids), jnp.array(tgts))
            accum_loss = accum_loss + loss
            accum_grads = (
                grads if accum_grads is None else jax.tree.map(jnp.add, accum_grads, grads)
            )

        accum_grads = jax.tree.map(lambda g: g / GRAD_ACCUM_STEPS, accum_grads)
        optimizer.update(model, accum_grads)
        print(f"step {step + 1}/{num_steps}  loss {accum_loss / GRAD_ACCUM_STEPS:.4f}", flush=True)

        if step > 0 and step % CHECKPOINT_EVERY == 0:
            model.save(f"{MODEL_DIR}/checkpoint-{step}.safetensors")

    model.save(f"{MODEL_DIR}/model-final.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--num-steps", type=int, default=10_000)
    train(parser.parse_args().num_steps)
