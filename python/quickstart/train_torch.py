"""Train weights with PyTorch, as "Train a Model" shows it.

    python python/quickstart/train_torch.py --num-steps 10000

Checkpoints every 500 steps and `model-final.safetensors` go to SOMA_MODEL_DIR, or here. On a
laptop: SOMA_ARCH=nano SOMA_DATA=data/english. The one to grow into is `soma_models.v1.torch.train`.
"""

import argparse

import torch
from stream import MODEL_DIR, ModelConfig, make_batches

from soma_models.v1.torch import Model, SIGReg, SIGRegConfig, compute_loss

CHECKPOINT_EVERY = 500
LEARNING_RATE = 1e-4
DROPOUT_RATE = 0.1
MICRO_BATCH_SIZE = 2
GRAD_ACCUM_STEPS = 8  # effective batch size = 2 * 8 = 16


def train(num_steps: int = 10_000):
    """Train from fresh weights."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = Model(ModelConfig(dropout_rate=DROPOUT_RATE)).to(device)
    model.train()
    sig_reg = SIGReg(SIGRegConfig()).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=LEARNING_RATE)

    batches = make_batches(MICRO_BATCH_SIZE)

    for step in range(num_steps):
        optimizer.zero_grad()
        accum_loss = 0.0

        for micro in range(GRAD_ACCUM_STEPS):
            ids, tgts = next(batches)
            token_ids = torch.tensor(ids, device=device)
            targets = torch.tensor(tgts, device=device)

            loss, embedding = compute_loss(model, sig_reg, token_ids, targets)
            (loss / GRAD_ACCUM_STEPS).backward()
            accum_loss += loss.item()

        optimizer.step()
        print(f"step {step + 1}/{num_steps}  loss {accum_loss / GRAD_ACCUM_STEPS:.4f}", flush=True)

        if step > 0 and step % CHECKPOINT_EVERY == 0:
            model.save(f"{MODEL_DIR}/checkpoint-{step}.safetensors")

    model.save(f"{MODEL_DIR}/model-final.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--num-steps", type=int, default=10_000)
    train(parser.parse_args().num_steps)
