"""A model's whole life on a localnet, from Python: trained, published, updated, paid, retired.

soma localnet &
python python/examples/lifecycle.py --data data/english/persuasion-1.txt
"""

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path

import torch

from soma_models.v1.tokenizer import tokenize
from soma_models.v1.torch import Model, ModelConfig, SIGReg, SIGRegConfig, compute_loss
from soma_sdk import Keypair, SomaClient, Target

BEGUN = time.monotonic()


def tell(text: str) -> None:
    """Print what happens, and when."""
    print(f"{time.monotonic() - BEGUN:6.1f} s  {text}", flush=True)


def train(model: Model, config: ModelConfig, text: bytes, steps: int) -> list[float]:
    """Train on random pieces of a text; return the embedding that the last ones had."""
    sig_reg, optimizer = SIGReg(SIGRegConfig()), torch.optim.Adam(model.parameters(), lr=2e-3)
    sequences = tokenize(text, config.max_seq_len)
    model.train()
    for step in range(steps):
        batch = random.sample(sequences, 4)
        token_ids = torch.tensor([sequence.token_ids for sequence in batch])
        targets = torch.tensor([sequence.targets for sequence in batch])
        loss, embedding = compute_loss(model, sig_reg, token_ids, targets)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if (step + 1) % 20 == 0:
            tell(f"step {step + 1}/{steps}, loss {loss.item():.3f}")
    model.eval()
    return embedding.tolist()


async def publish(
    client: SomaClient, keys: Keypair, file: Path, embedding: list[float], model: str | None
) -> str:
    """Commit in one epoch, reveal in the next, wait until it competes."""
    encrypted, key = SomaClient.encrypt_weights(file.read_bytes())
    if model is None:
        model = await client.commit_model(keys, None, encrypted, commission_rate=1000)
    else:
        await client.commit_model_update(keys, model, None, encrypted)
    tell(f"committed {SomaClient.commitment(encrypted)[:10]}.. for model {model[:10]}..")
    await client.wait_for_next_epoch()
    active_from = await client.reveal_model(keys, model, None, encrypted, key, embedding)
    tell(f"revealed; competes from epoch {active_from}")
    await client.wait_for_epoch(active_from)
    return model


async def submit(client: SomaClient, keys: Keypair, text: bytes) -> Target:
    """Submit the first piece of a text that hits an open target."""
    while True:
        start = random.randrange(len(text) - 300)
        document = text[start : start + 300]
        for target in await client.get_targets(status="open", limit=1):
            contest = await client.score(list(target.models), document, target.embedding_q15)
            if (contest.similarity_q30 or 0) < target.threshold_q30:
                continue
            submission = await client.submit_data(keys, target, document, contest=contest)
            tell(f"submission {submission[:10]}.. hits target {target.id[:10]}..")
            return target


async def main() -> None:
    """Go through it all."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--chain", default="localnet")
    parser.add_argument("--steps", type=int, default=60)
    given = parser.parse_args()
    text = given.data.read_bytes()
    with tempfile.TemporaryDirectory() as folder:
        async with SomaClient(chain=given.chain) as client:
            keys = Keypair.generate()
            balance = await client.request_faucet(keys, 100)
            tell(f"{keys.address()[:10]}.. has {balance} SOMA on {client.chain_id}")
            config = ModelConfig(dropout_rate=0.0, **await client.get_architecture())
            model, file = Model(config), Path(folder) / "weights.safetensors"
            embedding = train(model, config, text, given.steps)
            model.save(str(file))
            model_id = await publish(client, keys, file, embedding, None)

            target = await submit(client, keys, text)
            while (await client.get_target(target)).status != "filled":
                await asyncio.sleep(0.5)
            data = await client.fetch_submission_data(target.id)
            tell(f"target {target.id[:10]}.. is filled by {len(data)} bytes, fetched and verified")

            embedding = train(model, config, text, given.steps)
            model.save(str(file))
            await publish(client, keys, file, embedding, model_id)
            await client.set_model_commission_rate(keys, model_id, new_rate=500)
            await client.add_stake_to_model(keys, model_id, amount=10.0)
            await client.wait_for_next_epoch()
            while (submission := (await client.get_submissions(submitter=keys))[0]).status == "won":
                await client.wait_for_next_epoch()
            state = await client.get_model(model_id)
            tell(f"submission {submission.status}: {submission.reward} SOMA")
            tell(f"model {state.status}, stake {state.stake} SOMA")
            tell(f"the model has earned {state.rewards_total} SOMA by {state.hits_total} hits")
            await client.deactivate_model(keys, model_id)
            await client.wait_for_next_epoch()
            tell(f"model {(await client.get_model(model_id)).status}")


asyncio.run(main())
