"""Learn from the network, as "Model Strategies" shows it.

    SOMA_ARCH=nano python python/quickstart/training.py distill --chain localnet --competitor 0xAB..

Fetches a competitor's weights and, with it, trains for some steps on the data that won targets
lately; writes `mine.safetensors` to SOMA_MODEL_DIR, or here. `gaps` compares `--mine` with the
winners, `place` says which of some corpora lies in the sparsest region.
"""

import argparse
import asyncio
import itertools
from pathlib import Path

import torch
from stream import MAX_SEQ_LEN, MODEL_DIR, ModelConfig, make_batches

from soma_models.v1 import weights
from soma_models.v1.strategies import average, places
from soma_models.v1.tokenizer import tokenize
from soma_models.v1.torch import Model, SIGReg, SIGRegConfig, compute_loss
from soma_models.v1.torch.strategies import distill_loss, genesis_embedding
from soma_sdk import SomaClient
from soma_sdk.errors import NotFound
from soma_sdk.strategies import by_domain, domain_gaps

LEARNING_RATE = 1e-4
DROPOUT_RATE = 0.1
MICRO_BATCH_SIZE = 2
MINE = Path(MODEL_DIR) / "mine.safetensors"

device = torch.device("cuda" if torch.cuda.is_available() else "cpu")


async def won_batches(client):
    """Return token ids and targets of data that filled targets lately; of the stream, if none."""
    training_data = []
    for target in await client.get_targets(status="filled", limit=50):
        try:
            training_data.append(await client.fetch_submission_data(target.id))
        except NotFound:
            continue  # no longer kept
    sequences = [seq for data in training_data for seq in tokenize(data, MAX_SEQ_LEN)]
    if not sequences:
        return make_batches(MICRO_BATCH_SIZE)
    return [
        ([seq.token_ids for seq in part], [seq.targets for seq in part])
        for start in range(0, len(sequences), MICRO_BATCH_SIZE)
        for part in [sequences[start : start + MICRO_BATCH_SIZE]]
    ]


def few(batches, num_steps):
    """Return the first batches of an endless stream, or a list over and over."""
    endless = batches if iter(batches) is batches else itertools.cycle(batches)
    for ids, tgts in itertools.islice(endless, num_steps):
        yield torch.tensor(ids, device=device), torch.tensor(tgts, device=device)


def fine_tune(model_bytes, batches, num_steps):
    """Start from a competitor's weights instead of random ones."""
    competitor = Model.load_bytes(model_bytes, ModelConfig(dropout_rate=DROPOUT_RATE))
    competitor = competitor.to(device)
    competitor.train()
    sig_reg = SIGReg(SIGRegConfig()).to(device)
    optimizer = torch.optim.Adam(competitor.parameters(), lr=LEARNING_RATE)
    for token_ids, targets in few(batches, num_steps):
        loss, embedding = compute_loss(competitor, sig_reg, token_ids, targets)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return competitor


def distill(model_bytes, batches, num_steps):
    """Pull a model's representations towards a competitor's; from --mine, or from fresh weights."""
    teacher = Model.load_bytes(model_bytes, ModelConfig(dropout_rate=0.0)).to(device)
    config = ModelConfig(dropout_rate=DROPOUT_RATE)
    student = (Model.load(MINE, config) if MINE.exists() else Model(config)).to(device)
    student.train()
    sig_reg = SIGReg(SIGRegConfig()).to(device)
    optimizer = torch.optim.Adam(student.parameters(), lr=LEARNING_RATE)
    for token_ids, targets in few(batches, num_steps):
        loss, embedding = distill_loss(student, teacher, sig_reg, token_ids, targets, alpha=0.5)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
    return student


def merge(model_bytes):
    """Mix a part of a competitor's weights into one's own, which must be of its family."""
    config = ModelConfig(dropout_rate=0.0)
    mixed = average(weights.load(MINE, config), weights.load_bytes(model_bytes, config), beta=0.3)
    return Model.load_bytes(weights.save_bytes(mixed, config), config)


async def main():
    """Run the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=("fine-tune", "distill", "average", "gaps", "place"))
    parser.add_argument("--chain")
    parser.add_argument("--competitor", metavar="ID")
    parser.add_argument("--num-steps", type=int, default=100)
    parser.add_argument("--corpus", nargs="*", default=[], help="places to compare, each a source")
    given = parser.parse_args()
    async with SomaClient(chain=given.chain) as client:
        if given.what == "gaps":
            for domain in by_domain(await domain_gaps(client, MINE)):
                print(f"{domain.winner}  {domain.targets} targets, gap {domain.mean_gap:+.3f} nats")
            return
        if given.what == "place":
            model = Model.load(MINE, ModelConfig(dropout_rate=0.0)).to(device)
            at = [genesis_embedding(model, source) for source in given.corpus]
            state = await client.get_latest_system_state()
            for place in places(at, state.model_registry):
                source = given.corpus[place.index]
                print(f"{source}  {place.share:.1%} of targets, nearest model {place.nearest:+.3f}")
            return
        model_bytes = await client.fetch_model(given.competitor)
        if given.what == "average":
            mine = merge(model_bytes)
        else:
            train = fine_tune if given.what == "fine-tune" else distill
            mine = train(model_bytes, await won_batches(client), given.num_steps)
        mine.save(MINE)
        print(f"wrote {MINE}")


if __name__ == "__main__":
    asyncio.run(main())
