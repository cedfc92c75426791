"""The loop: one round after the other, each step after it is known what the one before came to."""

from __future__ import annotations

import contextlib
import inspect
import logging
import math
import time
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast

from soma_sdk._files import write_whole
from soma_sdk._soma_sdk import DecryptionKey
from soma_sdk.amounts import to_soma
from soma_sdk.auto_update import journal as journals
from soma_sdk.auto_update.contract import Outcome, Round, Train, Upload
from soma_sdk.auto_update.journal import Journal
from soma_sdk.client import SomaClient
from soma_sdk.errors import (
    BadWeights,
    CommitMismatch,
    FileProblem,
    InvalidArgument,
    NotFound,
    OtherChain,
    ScoreFailed,
)
from soma_sdk.rejections import NothingCommitted, SelfStakeTooSmall

if TYPE_CHECKING:
    import os
    from collections.abc import Iterable

    from soma_sdk._arguments import Named
    from soma_sdk._soma_sdk import Keypair
    from soma_sdk.views import Model

__all__ = ["auto_update"]

log = logging.getLogger("soma_sdk.auto_update")


async def auto_update(
    client: SomaClient,
    signer: Keypair,
    train: Train,
    *,
    folder: str | os.PathLike[str],
    model_id: Named | None = None,
    commission_rate: int = 0,
    upload: Upload | None = None,
    wait: bool = True,
) -> Outcome:
    """Go on with a model's rounds in `folder`, and say how far they came.

    Where a round is under way it goes on, else one begins: `train` makes weights and says where to
    register them; they are encrypted once; `upload` puts the encrypted file where validators find it
    and returns its URL (the node hosts it where none is given); they are committed, and in the next
    epoch revealed. The first commit creates a model, or is for `model_id`, a model of one's own.

    With `wait` this waits for the next epoch and ends with a reveal. Without, it ends as soon as
    nothing is due: a start then reveals what is due, begins at most one round, and leaves its reveal
    to a later start, which has to come within the epoch after the commit.

    A commit that was not revealed in time has cost a twentieth of one's stake. It is made again with
    the same encrypted weights, and what the stake lacks is added.

    Raises:
        AlreadyRunning: another start is at work in the folder.
        BadWeights, InvalidArgument: what `train` gave is refused, before it costs anything.
        SomaError: what the network or the ledger said. The next start goes on.

    """
    place = _absolute(folder)
    with journals.locked(place) as lock:
        loop = _Loop(client, signer, train, place, lock, upload, commission_rate)
        await loop.open(model_id if model_id is None or isinstance(model_id, str) else model_id.id)
        return await loop.run(wait=wait)


def _absolute(folder: str | os.PathLike[str]) -> Path:
    return Path(folder).absolute()


class _Loop:
    """The rounds of one folder, whose lock is held."""

    def __init__(
        self,
        client: SomaClient,
        signer: Keypair,
        train: Train,
        folder: Path,
        lock: int,
        upload: Upload | None,
        commission_rate: int,
    ) -> None:
        self.client, self.signer, self.train = client, signer, train
        self.folder, self.lock = folder, lock
        self.upload, self.commission_rate = upload, commission_rate
        self.journal: Journal
        self._epoch = 0

    async def open(self, model_id: str | None) -> None:
        """Take up the journal, or begin one."""
        chain_id = cast("str", (await self.client).chain_id)
        owner = self.signer.address()
        journal = journals.load(self.folder)
        if journal is None:
            if model_id is None:
                await self._refuse_second_model(owner)
            journal = Journal(chain_id=chain_id, owner=owner, model_id=model_id)
        if journal.chain_id != chain_id:
            raise OtherChain(
                f"{self.folder} is about a model on the network {journal.chain_id}, the node is on {chain_id}"
            )
        if journal.owner != owner:
            raise InvalidArgument(f"{self.folder} is about a model of {journal.owner}, the key is of {owner}")
        if model_id is not None and journal.model_id not in {None, model_id}:
            raise InvalidArgument(f"{self.folder} is about the model {journal.model_id}, not {model_id}")
        if journal.model_id is not None and not (await self._model(journal.model_id)).is_live:
            raise InvalidArgument(
                f"the model {journal.model_id} is retired for good: use another folder for another model"
            )
        self.journal = journal

    async def _model(self, model_id: str | None) -> Model:
        return await self.client.get_model(cast("str", model_id))

    async def _refuse_second_model(self, owner: str, own: str | None = None) -> None:
        """Where a model would be created, one that is there must be meant, unless it committed `own`."""
        live = [model for model in await self.client.get_models(owner=owner) if model.is_live]
        named = ", ".join(model.id for model in live if not _is_new(model) and model.committed_hash != own)
        if named:
            raise InvalidArgument(
                f"{self.folder} knows of no model, and the key owns one already ({named}): "
                "give its id as model_id to update it, or another key to make another"
            )

    async def run(self, *, wait: bool) -> Outcome:
        """Do what is due."""
        begun = False
        while True:
            stage = self.journal.stage
            if stage == "idle":
                if begun:
                    return self._outcome()
                begun = not wait
                self._clear()
                self._note(round=self.journal.round + 1, stage="training", lapses=0)
            elif stage == "training":
                await self._train()
            elif stage == "trained":
                self._seal()
            elif stage == "sealed":
                await self._store()
            elif stage == "stored":
                await self._commit()
            elif not await self._reveal(wait=wait):
                return self._outcome(revealed=False)
            elif wait and self.journal.stage == "idle":
                return self._outcome()

    def _note(self, **changes: object) -> None:
        """Change the journal, on disk too."""
        for name, value in changes.items():
            setattr(self.journal, name, value)
        journals.save(self.folder, self.journal)

    def _outcome(self, *, revealed: bool = True) -> Outcome:
        model_id = cast("str", self.journal.model_id)
        return Outcome(model_id=model_id, round=self.journal.round, revealed=revealed, epoch=self._epoch)

    async def _train(self) -> None:
        journal = self.journal
        wins = 0
        if journal.model_id is not None and journal.placed_at is not None:
            wins = (await self._model(journal.model_id)).hits_total - journal.placed_hits
        since = 0.0 if journal.placed_at is None else max(0.0, time.time() - journal.placed_at)
        given = self.train(
            Round(
                number=journal.round,
                folder=self.folder,
                weights=self.folder / f"round-{journal.round}.safetensors",
                model_id=journal.model_id,
                last_weights=None if journal.last_weights is None else Path(journal.last_weights),
                last_embedding=journal.last_embedding,
                wins=wins,
                since=timedelta(seconds=since),
                lock=self.lock,
            )
        )
        trained = await given if inspect.isawaitable(given) else given
        weights = self.folder / trained.weights
        embedding = await self._embedding(trained.embedding)
        await self._check(weights)
        self._note(stage="trained", weights=str(weights), embedding=embedding)
        log.info("round %d: trained %s", journal.round, weights.name)

    async def _embedding(self, given: Iterable[float]) -> list[float]:
        try:
            embedding = [float(number) for number in given]
        except (TypeError, ValueError) as error:
            raise InvalidArgument(f"an embedding is a list of numbers: {error}") from error
        dim = await self.client.get_embedding_dim()
        if len(embedding) != dim:
            raise InvalidArgument(
                f"the embedding has {len(embedding)} numbers, the network's models have {dim}"
            )
        if not all(map(math.isfinite, embedding)) or not any(embedding):
            raise InvalidArgument("an embedding is a vector with a direction: finite, and not all zeros")
        return embedding

    async def _check(self, weights: Path) -> None:
        """Refuse weights that validators would refuse: for those a tenth of the stake is lost.

        Raises:
            BadWeights: they are none of the network's architecture.

        """
        try:
            await self.client.score(str(weights), b"weights are tried before they are committed")
        except ScoreFailed as error:
            raise BadWeights(f"{weights}: {error}") from error

    def _seal(self) -> None:
        journal = self.journal
        weights = Path(cast("str", journal.weights))
        try:
            plain = weights.read_bytes()
        except FileNotFoundError:
            log.warning("round %d: %s is gone, so it is trained anew", journal.round, weights)
            self._note(stage="training")
            return
        except OSError as error:
            raise FileProblem(f"{weights} cannot be read: {error}") from error
        encrypted, key = SomaClient.encrypt_weights(plain)
        write_whole(journals.container(self.folder, journal.round), encrypted)
        self._note(stage="sealed", hash=SomaClient.commitment(encrypted), key=key.to_hex())

    async def _store(self) -> None:
        url = None
        if self.upload is not None:
            given = self.upload(journals.container(self.folder, self.journal.round))
            url = await given if inspect.isawaitable(given) else given
        self._note(stage="stored", url=url)

    def _encrypted(self) -> bytes | None:
        """Return the encrypted weights; None where they are gone or others."""
        file = journals.container(self.folder, self.journal.round)
        try:
            encrypted = file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise FileProblem(f"{file} cannot be read: {error}") from error
        return encrypted if SomaClient.commitment(encrypted) == self.journal.hash else None

    def _key(self) -> DecryptionKey:
        return DecryptionKey.from_hex(cast("str", self.journal.key))

    async def _commit(self) -> None:
        journal = self.journal
        encrypted = self._encrypted()
        if encrypted is None:
            log.warning("round %d: its encrypted weights are gone, so they are made anew", journal.round)
            self._note(stage="trained")
            return
        if journal.lapses:
            # Epochs have gone by, and the network may have another architecture.
            await self._check(Path(cast("str", journal.weights)))
        if journal.model_id is None:
            await self._refuse_second_model(journal.owner, journal.hash)
        try:
            model_id = await self._send(encrypted)
        except SelfStakeTooSmall:
            if not await self._add_what_is_lacking():
                raise
            model_id = await self._send(encrypted)
        self._note(stage="committed", model_id=model_id)
        log.info("round %d: committed to model %s", journal.round, model_id)

    async def _send(self, encrypted: bytes) -> str:
        return await self.client.commit_model(
            self.signer,
            self.journal.url,
            encrypted,
            self.commission_rate,
            model_id=self.journal.model_id,
            decryption_key=self._key(),
            embedding=self.journal.embedding,
        )

    async def _add_what_is_lacking(self) -> bool:
        """Bring one's stake in the model up to the least again, after a lapse has cost of it."""
        model_id = self.journal.model_id
        if model_id is None:
            own = await self.client.get_models(owner=self.signer)
            rate = self.commission_rate
            model_id = next((m.id for m in own if _is_new(m) and m.next_commission_rate == rate), None)
        account = await self.client.get_account(self.signer)
        least = await self.client.get_least_stake()
        lacking = least - account.stakes.get(f"model:{model_id}", to_soma(0))
        if model_id is None or lacking <= 0:
            return False
        log.warning("round %d: adding the %s SOMA that the stake lacks", self.journal.round, lacking)
        await self.client.add_stake_to_model(self.signer, model_id, lacking)
        return True

    async def _reveal(self, *, wait: bool) -> bool:
        """Reveal what is committed, or find that it lapsed; False where it is not due."""
        journal = self.journal
        model = await self._model(journal.model_id)
        if model.committed_hash == journal.hash:
            self._epoch = cast("int", model.committed_epoch) + 1
            # Epoch 0 is over or in progress: this only asks.
            if not wait and await self.client.wait_for_epoch(0) < self._epoch:
                log.info("round %d: committed, to be revealed in epoch %d", journal.round, self._epoch)
                return False
            await self.client.wait_for_epoch(self._epoch)
        encrypted, embedding = self._encrypted(), cast("list[float]", journal.embedding)
        try:
            if encrypted is None:
                # The commit has left the key in the wallets' folder, too.
                self._epoch = await self.client.reveal_pending_model(self.signer, model, embedding)
            else:
                self._epoch = await self.client.reveal_model(
                    self.signer, model, journal.url, encrypted, self._key(), embedding
                )
        except (NotFound, NothingCommitted, CommitMismatch) as error:
            if (await self._model(model.id)).committed_hash == journal.hash:
                raise
            log.warning("round %d: its commit lapsed, so it is made again (%s)", journal.round, error)
            self._note(stage="stored", lapses=journal.lapses + 1)
            return True
        self._finish(model)
        log.info("round %d: revealed, competes from epoch %d", journal.round, self._epoch)
        return True

    def _finish(self, model: Model) -> None:
        journal = self.journal
        moved = journal.embedding != journal.last_embedding
        self._note(
            stage="idle",
            weights=None,
            embedding=None,
            hash=None,
            key=None,
            url=None,
            last_weights=journal.weights,
            last_embedding=journal.embedding,
            placed_at=time.time() if moved else journal.placed_at,
            placed_hits=model.hits_total if moved else journal.placed_hits,
        )
        self._clear()

    def _clear(self) -> None:
        """Remove what rounds that are over have left, save the last one's weights."""
        for file in self.folder.glob("round-*"):
            if str(file) != self.journal.last_weights:
                with contextlib.suppress(OSError):
                    file.unlink()


def _is_new(model: Model) -> bool:
    """Whether a model was created and never had weights."""
    return model.status == "created" and model.manifest is None and model.committed_hash is None
