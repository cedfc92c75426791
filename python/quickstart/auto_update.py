"""Train, commit, reveal and again, as "Automate the loop" of "Train a Model" shows it.

    # crontab: every 6 hours
    0 */6 * * *  SOMA_SECRET_KEY=.. python python/quickstart/auto_update.py --chain testnet

A start goes on where the last one stopped, and waits for the epoch in which it has to reveal; one
that comes meanwhile finds it at work and ends. Progress is kept in the folder `auto-update`.
On a localnet: SOMA_ARCH=nano SOMA_DATA=data/english and `--chain localnet`.
"""

import argparse
import asyncio
import logging
import os
import shutil
from pathlib import Path

from stream import ModelConfig

from soma_models.v1.strategies import is_update_due
from soma_models.v1.torch import Model
from soma_models.v1.torch.strategies import genesis_embedding, update_embedding
from soma_models.v1.torch.train import train
from soma_models.v1.training.settings import Settings
from soma_sdk import Keypair, SomaClient
from soma_sdk.auto_update import Round, Trained, auto_update
from soma_sdk.errors import AlreadyRunning
from soma_sdk.strategies import won_data

DATA = os.environ.get("SOMA_DATA", "hf://datasets/HuggingFaceFW/fineweb/sample-10BT")
COMMISSION_RATE = 1000  # 10% (basis points: 100 = 1%, max 10000)


def only(folder: Path, name: str) -> Path:
    """Return a folder in a folder, from which all others are removed."""
    for other in folder.iterdir() if folder.exists() else ():
        if other.name != name:
            shutil.rmtree(other)
    return folder / name


async def train_and_update(chain: str | None, folder: Path, num_steps: int) -> None:
    """Go on with the loop."""
    kp = Keypair.from_secret_key(os.environ["SOMA_SECRET_KEY"])
    config = ModelConfig(dropout_rate=0.0)

    async with SomaClient(chain=chain) as client:

        async def train_more(round: Round) -> Trained:
            # 1. Resume from latest checkpoint: of this round, else from the last one's weights
            checkpoints = only(folder / "checkpoints", str(round.number))
            settings = Settings.of(
                config,
                data=(DATA,),
                init=round.last_weights,
                out=round.weights,
                steps=num_steps,
                checkpoints=checkpoints,
                seed=round.number,
            )
            # 2. Train for N more steps
            # 3. Save checkpoint
            if code := train(settings):
                raise SystemExit(code)
            model = Model.load(round.weights, config)
            if round.last_embedding is None:
                return Trained(weights=round.weights, embedding=genesis_embedding(model, DATA))
            # What was won since the model was registered where it is, and only that.
            place = str(hash(tuple(round.last_embedding)))
            won = await won_data(client, round.model_id, only(folder / "won", place))
            embedding = round.last_embedding
            if won and is_update_due(round.wins, round.since):
                embedding = update_embedding(model, [file.read_bytes() for file in won])
            return Trained(weights=round.weights, embedding=embedding)

        # 4. Encrypt + upload weights (the node hosts them; give upload= for a storage of your own)
        # 5. commit_model_update / wait_for_next_epoch / reveal_model_update
        outcome = await auto_update(
            client, kp, train_more, folder=folder, commission_rate=COMMISSION_RATE
        )
        print(f"round {outcome.round} of {outcome.model_id} competes from epoch {outcome.epoch}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--chain")
    parser.add_argument("--folder", type=Path, default=Path("auto-update"))
    parser.add_argument("--num-steps", type=int, default=1000)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    try:
        asyncio.run(train_and_update(given.chain, given.folder, given.num_steps))
    except AlreadyRunning as error:
        print(f"nothing done: {error}")
