"""A model's loop: train, commit, reveal, and again, from cron, a systemd timer or a notebook.

    from soma_sdk.auto_update import Round, Trained, auto_update

    def train(round: Round) -> Trained: ...

    await auto_update(client, keys, train, folder="my-model")

or, with a program that trains:

    SOMA_SECRET_KEY=.. python -m soma_sdk.auto_update --folder my-model --chain testnet -- ./train.sh

Each start goes on where the last one stopped, whatever stopped it, and does what is due: see
`soma_sdk.auto_update.journal` for the stages. There is one model, and its stake is paid once.
"""

from soma_sdk.auto_update.contract import Outcome, Round, Trained
from soma_sdk.auto_update.rounds import auto_update

__all__ = ["Outcome", "Round", "Trained", "auto_update"]
