"""`SomaClient`: one network, through one node."""

from __future__ import annotations

import asyncio
import contextlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, final, overload

from soma_sdk import _arguments as given
from soma_sdk import _soma_sdk, scoring
from soma_sdk._bridge import run
from soma_sdk.amounts import Amount, to_shannons, to_soma
from soma_sdk.errors import ClientClosed, InvalidArgument, NotFound, OtherChain
from soma_sdk.networks import home_folder, resolve
from soma_sdk.views import (
    AccountView,
    Manifest,
    Model,
    PendingModel,
    Receipt,
    Submission,
    SystemState,
    Target,
)

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
    from decimal import Decimal
    from types import TracebackType

    from soma_sdk._arguments import Named
    from soma_sdk._soma_sdk import DecryptionKey, Keypair, Operation
    from soma_sdk.scoring import Contest, Data, Progress, Weights

_LISTED = 100
"""Entries of a list, unless it is said."""
_LOOKED_AT = 10_000
"""Of so many submissions of someone the targets are known."""
_CLOSING_LOOK_SECONDS = 0.01
"""Between two looks whether what runs in another event loop has ended."""


@final
class SomaClient:
    """A network, as an account's owner and as anyone sees it.

    `await SomaClient(chain="testnet")` connects; `async with SomaClient(..) as client` also closes.
    `chain` is the URL of a node, or a name (see `soma_sdk.networks.resolve`). The network's id is
    learned when first asked for, or given as `chain_id`; from then on nothing is signed for another.

    One client has one pool of connections and may be used by many tasks at once. Every call may be
    cancelled, and repeated: what was signed is on disk, in the folder `home` that `soma` uses too,
    and happens once. `max_fee` is the most SOMA that a transaction may cost (1 unless given),
    `max_stake` the most that a new model is staked with by the network's word (100 unless given).
    """

    def __init__(
        self,
        chain: str | None = None,
        *,
        chain_id: str | None = None,
        home: str | os.PathLike[str] | None = None,
        max_fee: Amount | None = None,
        max_stake: Amount | None = None,
    ) -> None:
        folder = home_folder(home)
        network = resolve(chain, folder)
        self._native = _soma_sdk.Client(
            network.url,
            folder,
            chain_id or network.chain_id,
            None if max_fee is None else to_shannons(max_fee),
            None if max_stake is None else to_shannons(max_stake),
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False
        # Of the models that were scored with in the epoch that has this seed.
        self._hashes_seed = ""
        self._hashes: dict[str, str] = {}

    # The life of a client.

    def __await__(self) -> Generator[Any, None, SomaClient]:
        """Connect: ask the node which network it is on."""
        return self._connect().__await__()

    async def _connect(self) -> SomaClient:
        await self._run(self._native.status())
        return self

    async def __aenter__(self) -> SomaClient:
        """Connect."""
        await self._connect()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Close."""
        await self.close()

    async def close(self) -> None:
        """End what runs: each such await raises `ClientClosed`. What is asked later does so too."""
        self._closed = True
        here = asyncio.get_running_loop()
        for task in list(self._tasks):
            loop = task.get_loop()
            if loop is here:
                task.cancel()
            else:
                # A loop that is closed has ended its tasks itself.
                with contextlib.suppress(RuntimeError):
                    loop.call_soon_threadsafe(task.cancel)
        # No event reaches across loops.
        while any(_runs(task, here) for task in list(self._tasks)):  # noqa: ASYNC110
            await asyncio.sleep(_CLOSING_LOOK_SECONDS)

    def is_closed(self) -> bool:
        """Return whether it was closed."""
        return self._closed

    def __repr__(self) -> str:
        """Name the node, without user name and password."""
        return f"SomaClient({self._native.address!r})"

    @property
    def url(self) -> str:
        """The node's address, without user name and password."""
        return self._native.address

    @property
    def chain_id(self) -> str | None:
        """The network's id, once it is known."""
        return self._native.chain

    async def _run(self, operation: Operation) -> Any:
        """Run an operation of this client."""
        if self.is_closed():
            raise ClientClosed("the client is closed")
        task = asyncio.ensure_future(run(operation))
        self._tasks.add(task)
        try:
            return await task
        except asyncio.CancelledError:
            if self.is_closed() and task.cancelled() and not _is_cancelling():
                raise ClientClosed("the client was closed while this waited") from None
            task.cancel()
            raise
        finally:
            self._tasks.discard(task)

    async def _ask(self, operation: Operation) -> Any:
        """Run an operation whose answer is JSON."""
        return json.loads(await self._run(operation))

    # Pure functions.

    @staticmethod
    def encrypt_weights(weights: bytes) -> tuple[bytes, DecryptionKey]:
        """Encrypt weights with AES-256 in counter mode, under a fresh key.

        Return the container, 64 bytes longer than the weights, and its key. A commit by the same
        process keeps the key on disk until the reveal.
        """
        return _soma_sdk.encrypt_weights(weights)

    @staticmethod
    def decrypt_weights(encrypted_weights: bytes, decryption_key: DecryptionKey) -> bytes:
        """Return the weights in a container."""
        return _soma_sdk.decrypt_weights(encrypted_weights, decryption_key)

    @staticmethod
    def commitment(encrypted_weights: bytes) -> str:
        """Return what a commit says of a container: its BLAKE3."""
        return _soma_sdk.commitment(encrypted_weights)

    @staticmethod
    def to_shannons(amount: Amount) -> int:
        """Return an amount of SOMA in shannons, exactly; see `soma_sdk.to_shannons`."""
        return to_shannons(amount)

    @staticmethod
    def to_soma(shannons: int) -> Decimal:
        """Return shannons as SOMA, exactly."""
        return to_soma(shannons)

    # The network.

    async def get_latest_system_state(self) -> SystemState:
        """Return the epoch, and the models that compete or are about to."""
        status = await self._ask(self._native.status())
        models = await self.get_models()
        return SystemState(
            network=status["network"],
            chain_id=status["chain"],
            epoch=int(status["epoch"]),
            height=int(status["height"]),
            protocol_version=int(status["protocol_version"]),
            validators=int(status["validators"]),
            model_registry=tuple(model for model in models if model.is_placed and model.status != "retired"),
        )

    async def get_parameters(self) -> Mapping[str, Any]:
        """Return the protocol's parameters, as `GET /v1/params` has them."""
        return cast("Mapping[str, Any]", await self._ask(self._native.params()))

    async def get_least_stake(self) -> Decimal:
        """Return what a model is staked with at least; `StakeTooHigh` where that is above `max_stake`."""
        return to_soma(int(await self._ask(self._native.least_stake())))

    async def get_architecture(self) -> dict[str, Any]:
        """Return the sizes of the network's models by name, as `ModelConfig(**sizes)` takes them."""
        parameters = await self.get_parameters()
        return dict(parameters["architecture"])

    async def get_embedding_dim(self) -> int:
        """Return the length of the network's embeddings: 2048 for V1."""
        return int((await self.get_architecture())["embedding_dim"])

    async def get_epoch_seed(self, epoch: int | None = None) -> str:
        """Return the seed of an epoch's SIGReg directions, as `score` takes it; the current one's."""
        return str((await self._ask(self._native.epoch(_epoch(epoch))))["state"]["seed"])

    async def wait_for_next_epoch(self, timeout: float | None = None) -> int:
        """Wait for the next epoch; return it. For ever, unless `timeout` in seconds is given.

        After a commit of this client that waits for its reveal: wait for the epoch after that commit,
        and return at once if it has begun, so that the reveal is not missed. Bears a node that
        restarts.
        """
        return int(await self._ask(self._native.wait_for_epoch(None, timeout)))

    async def wait_for_epoch(self, epoch: int, timeout: float | None = None) -> int:
        """Wait until an epoch is in progress or over; return the epoch then in progress."""
        return int(await self._ask(self._native.wait_for_epoch(given.count("epoch", epoch), timeout)))

    async def advance_epoch(self) -> int:
        """Wait for the next boundary, which on a localnet is near; return the epoch that begins.

        Only validators end an epoch, and only when its blocks are made: a localnet's lasts about
        twenty seconds. On other networks this raises `OtherChain`, instead of waiting for a day.
        """
        parameters = await self.get_parameters()
        if parameters["preset"] != "local":
            raise OtherChain("advance_epoch is for localnets: wait_for_next_epoch waits for any network")
        status = await self._ask(self._native.status())
        return await self.wait_for_epoch(int(status["epoch"]) + 1)

    # Accounts and money. Amounts are in SOMA.

    async def get_balance(self, account: str | Keypair) -> Decimal:
        """Return what an account can spend, in SOMA."""
        return (await self.get_account(account)).balance

    async def get_account(self, account: str | Keypair) -> AccountView:
        """Return an account. One that was never used is all zeros."""
        return AccountView.read(await self._ask(self._native.account(given.address(account))))

    async def request_faucet(self, account: str | Keypair, amount: Amount | None = None) -> Decimal:
        """Ask a localnet for money; return the balance then."""
        shannons = None if amount is None else to_shannons(amount)
        await self._ask(self._native.faucet(given.address(account), shannons))
        return await self.get_balance(account)

    async def transfer_coin(self, signer: Keypair, recipient: str | Keypair, amount: Amount) -> Receipt:
        """Pay someone. Who has no account yet costs the price of one besides."""
        return await self.pay_coins(signer, [recipient], [amount])

    async def pay_coins(
        self,
        signer: Keypair,
        recipients: Sequence[str | Keypair],
        amounts: Sequence[Amount],
    ) -> Receipt:
        """Pay several in one transaction: all of them, or none."""
        if isinstance(recipients, str) or len(recipients) != len(amounts):
            raise InvalidArgument("give as many amounts as recipients")
        payments = [
            (given.address(recipient), to_shannons(amount))
            for recipient, amount in zip(recipients, amounts, strict=True)
        ]
        return await self._receipt(_soma_sdk.pay(self._native, given.signer(signer), payments))

    async def add_stake(self, signer: Keypair, pool: str | Model, amount: Amount) -> Receipt:
        """Stake on a model, `model:ID` or `validator:ADDRESS` (or the address alone), from the next epoch."""
        return await self._receipt(
            _soma_sdk.add_stake(self._native, given.signer(signer), given.pool(pool), to_shannons(amount)),
        )

    async def withdraw_stake(
        self,
        signer: Keypair,
        pool: str | Model,
        amount: Amount | None = None,
    ) -> Receipt:
        """Take stake out of a pool, all of it unless an amount is given. It unbonds first.

        A pool is named as `add_stake` takes it: of a model the `Model`, or `model:ID`.
        """
        shannons = None if amount is None else to_shannons(amount)
        return await self._receipt(
            _soma_sdk.withdraw_stake(self._native, given.signer(signer), given.pool(pool), shannons),
        )

    # Models.

    async def get_models(self, status: str | None = None, owner: str | Keypair | None = None) -> list[Model]:
        """Return models: all, or those that stand so (`created`, `active`, `stale`, `retired`)."""
        address = None if owner is None else given.address(owner)
        return await self._models(self._native.models(status, address))

    async def _models(self, operation: Operation) -> list[Model]:
        answer = await self._ask(operation)
        return [Model.read(view, int(answer["epoch"])) for view in answer["models"]]

    async def get_active_models(self) -> list[Model]:
        """Return the models that compete in this epoch."""
        return await self.get_models(status="active")

    async def get_model(self, model_id: Named) -> Model:
        """Return a model."""
        (model,) = await self._models(self._native.model(given.name(model_id)))
        return model

    async def get_model_manifests(
        self,
        ids_or_target: Target | Named | Iterable[Named],
    ) -> list[Manifest]:
        """Return where weights are and what opens them: of models, or of a target's models, in order."""
        if isinstance(ids_or_target, Target):
            ids: list[str] = list(ids_or_target.models)
        elif isinstance(ids_or_target, (str, Model, Submission)):
            ids = [given.name(ids_or_target)]
        else:
            ids = [given.name(entry) for entry in ids_or_target]
        manifests = []
        for model in await asyncio.gather(*(self.get_model(name) for name in ids)):
            if model.manifest is None:
                raise NotFound(f"model {model.id} has no revealed weights")
            manifests.append(model.manifest)
        return manifests

    @overload
    async def fetch_model(self, model_id: Named, path: None = None) -> bytes: ...

    @overload
    async def fetch_model(self, model_id: Named, path: str | os.PathLike[str]) -> Path: ...

    async def fetch_model(
        self,
        model_id: Named,
        path: str | os.PathLike[str] | None = None,
    ) -> bytes | Path:
        """Return a model's weights, a safetensors file, verified against what the ledger names.

        With a path they are written there, whole or not at all, without being held in memory.
        """
        if path is None:
            return cast("bytes", await self._run(self._native.fetch_model(given.name(model_id))))
        await self._run(self._native.fetch_model_to(given.name(model_id), path))
        return Path(path)

    async def commit_model(
        self,
        signer: Keypair,
        weights_url: str | None,
        encrypted_weights: bytes,
        commission_rate: int = 0,
        *,
        model_id: Named | None = None,
        decryption_key: DecryptionKey | None = None,
        embedding: Iterable[float] | None = None,
    ) -> str:
        """Create a model with the least stake and commit to its weights; return its id.

        A least stake above the client's `max_stake` raises `StakeTooHigh`.

        `weights_url` is where validators find the encrypted weights; with None the node hosts them.
        `commission_rate` is the owner's share in basis points (1000 are 10%). With `model_id`, a model
        of one's own, nothing is created: that is `commit_model_update`.

        `embedding` fixes what the reveal will show: a public network asks for it here, and for the
        same again there.

        Repeated after whatever stopped it, the same call goes on: it makes no second model, stakes
        once and sends once. A model that was created with this rate and never had weights is used.
        A script that begins anew may encrypt the same weights anew: where the node hosts them, commit and
        reveal go on with the container that was committed. Where an earlier run's commit of other
        weights took effect and that run was not told of it, this raises `UnheardCommit`.
        """
        native = _soma_sdk.commit_model(
            self._native,
            given.signer(signer),
            encrypted_weights,
            weights_url,
            given.basis_points(commission_rate),
            None if model_id is None else given.name(model_id),
            decryption_key,
            None if embedding is None else given.floats(embedding),
        )
        return cast("str", await self._ask(native))

    async def commit_model_update(
        self,
        signer: Keypair,
        model_id: Named,
        weights_url: str | None,
        encrypted_weights: bytes,
        *,
        decryption_key: DecryptionKey | None = None,
        embedding: Iterable[float] | None = None,
    ) -> str:
        """Commit to new weights of a model; return its id. To be revealed in the next epoch."""
        return await self.commit_model(
            signer,
            weights_url,
            encrypted_weights,
            model_id=model_id,
            decryption_key=decryption_key,
            embedding=embedding,
        )

    async def reveal_model(
        self,
        signer: Keypair,
        model_id: Named,
        weights_url: str | None,
        encrypted_weights: bytes,
        decryption_key: DecryptionKey,
        embedding: Iterable[float],
    ) -> int:
        """Reveal what a model committed in the epoch before; return the epoch from which it competes.

        Weights, address and key are compared with the commit first: `CommitMismatch` or `BadContainer`
        costs nothing. `embedding` is where the model is good, as `compute_loss` gives it; its length
        does not matter. Revealed already, nothing is sent.
        """
        native = _soma_sdk.reveal_model(
            self._native,
            given.signer(signer),
            given.name(model_id),
            given.floats(embedding),
            encrypted_weights,
            weights_url,
            decryption_key,
        )
        return int(await self._ask(native))

    async def reveal_model_update(
        self,
        signer: Keypair,
        model_id: Named,
        weights_url: str | None,
        encrypted_weights: bytes,
        decryption_key: DecryptionKey,
        embedding: Iterable[float],
    ) -> int:
        """Reveal new weights of a model: `reveal_model`."""
        return await self.reveal_model(
            signer,
            model_id,
            weights_url,
            encrypted_weights,
            decryption_key,
            embedding,
        )

    async def get_pending_models(self, signer: Keypair) -> list[PendingModel]:
        """Return what was committed from this machine and waits for its reveal.

        What a program asks when it starts: an earlier run may have been stopped in between.
        """
        return [
            PendingModel(model_id=model, hash=container, reveal_in=int(epoch))
            for model, container, epoch in await self._ask(
                _soma_sdk.pending_models(self._native, given.signer(signer)),
            )
        ]

    async def reveal_pending_model(
        self,
        signer: Keypair,
        model_id: Named,
        embedding: Iterable[float],
    ) -> int:
        """Reveal what a model committed from this machine, with the key that is kept here."""
        native = _soma_sdk.reveal_model(
            self._native, given.signer(signer), given.name(model_id), given.floats(embedding)
        )
        return int(await self._ask(native))

    async def set_model_commission_rate(
        self,
        signer: Keypair,
        model_id: Named,
        new_rate: int,
    ) -> Receipt:
        """Change the owner's share of a model's rewards, in basis points, from the next epoch."""
        return await self._receipt(
            _soma_sdk.set_model_commission(
                self._native,
                given.signer(signer),
                given.name(model_id),
                given.basis_points(new_rate),
            ),
        )

    async def deactivate_model(self, signer: Keypair, model_id: Named) -> Receipt:
        """Stop competing at the next boundary, for good. Stake can still be withdrawn."""
        return await self._receipt(
            _soma_sdk.deactivate_model(self._native, given.signer(signer), given.name(model_id))
        )

    async def add_stake_to_model(self, signer: Keypair, model_id: Named, amount: Amount) -> Receipt:
        """Stake on a model, from the next epoch."""
        return await self.add_stake(signer, f"model:{given.name(model_id)}", amount)

    # Targets and submissions.

    async def get_targets(
        self,
        status: str | None = None,
        epoch: int | None = None,
        submitter: str | Keypair | None = None,
        limit: int | None = None,
    ) -> list[Target]:
        """Return targets, latest first, at most `limit` (100 unless given).

        Of an epoch, or of the current one; `filled` ones without an epoch are the most recent over
        epochs. With a submitter: those that they have submitted to.
        """
        wanted = _limit(limit)
        epoch = _epoch(epoch)
        if submitter is not None:
            return await self._targets_of(given.address(submitter), status, epoch, wanted)
        views = await self._ask(self._native.targets(wanted, status, epoch))
        return [Target.read(view) for view in views]

    async def _targets_of(
        self,
        submitter: str,
        status: str | None,
        epoch: int | None,
        limit: int,
    ) -> list[Target]:
        found: dict[str, Target] = {}
        views = await self._ask(self._native.submissions(_LOOKED_AT, submitter))
        for name in dict.fromkeys(view["target"] for view in views):
            if len(found) == limit:
                break
            try:
                target = await self.get_target(name)
            except NotFound:
                continue
            if status in (None, target.status) and epoch in (None, target.epoch):
                found[target.id] = target
        return list(found.values())

    async def get_target(self, target_id: Named) -> Target:
        """Return a target."""
        return Target.read(await self._ask(self._native.target(given.name(target_id))))

    async def get_submissions(
        self,
        submitter: str | Keypair | None = None,
        target_id: Named | None = None,
        status: str | None = None,
        limit: int | None = None,
        *,
        model_id: Named | None = None,
    ) -> list[Submission]:
        """Return submissions, latest first, at most `limit` (100 unless given).

        With a model those that it predicts best.
        """
        address = None if submitter is None else given.address(submitter)
        target = None if target_id is None else given.name(target_id)
        model = None if model_id is None else given.name(model_id)
        native = self._native.submissions(_limit(limit), address, target, status, model)
        return [Submission.read(view) for view in await self._ask(native)]

    async def get_submission(self, submission_id: Named) -> Submission:
        """Return a submission."""
        return Submission.read(await self._ask(self._native.submission(given.name(submission_id))))

    async def fetch_submission_data(self, target_id: Named) -> bytes:
        """Return the data that filled a target, verified against what the ledger names.

        `NotFound` where the target has no winner yet, or the data is no longer kept: it is public until
        the audits of its epoch are over, and then for as long as the node's operator has set.
        """
        name = given.name(target_id)
        data = await self._run(self._native.fetch_target_data(name))
        if isinstance(data, str):
            raise NotFound(f"target {name} has no winner yet, so there is no data")
        return cast("bytes", data)

    async def submit_data(
        self,
        signer: Keypair,
        target_id: Named,
        data: Data,
        data_url: str | None = None,
        *,
        contest: Contest | None = None,
    ) -> str:
        """Commit data to a target, reveal it, hand it over if it wins; return the submission's id.

        `data_url` is where auditors find the data; with None the node hosts it. The data is scored
        first with the target's models, or `contest` is what `score` has found: for this data, with these
        models and this epoch's seed, or it is refused, for a claim of it would cost the bond. Repeated
        after whatever stopped it, the same call goes on: nothing is committed twice.
        """
        name, content = given.name(target_id), scoring.document(data)
        target = await self.get_target(name)
        if contest is None:
            contest = await self.score(list(target.models), content)
        else:
            await self._check_contest(contest, target, content)
        native = _soma_sdk.submit_data(
            self._native,
            given.signer(signer),
            name,
            content,
            (
                contest.losses_nano,
                contest.winning.cross_entropy_nano,
                list(contest.winning.embedding_q15),
            ),
            data_url,
        )
        return cast("str", await self._ask(native))

    async def _check_contest(self, contest: Contest, target: Target, content: bytes) -> None:
        """Refuse what was found of anything else than this data by these models in the target's epoch."""
        if not isinstance(contest, scoring.Contest):
            raise InvalidArgument(f"a contest is what score has found, not {type(contest).__name__}")
        if contest.data != _soma_sdk.commitment(content):
            raise InvalidArgument("the contest is of other data: score this data")
        seed = await self.get_epoch_seed(target.epoch)
        if contest.seed != seed:
            raise InvalidArgument(
                f"the contest was scored with another seed than epoch {target.epoch}'s: score with the "
                "client, or with seed=await client.get_epoch_seed()",
            )
        if seed != await self.get_epoch_seed():
            # The epoch is over: nothing is committed any more, and its models may have other weights by now.
            return
        weights = [await self._hash_of(model, seed) for model in target.models]
        if list(contest.weights) != weights:
            raise InvalidArgument(
                "the contest is of other models, or of these in another order: score with "
                "list(target.models)",
            )

    async def _hash_of(self, model: str, seed: str) -> str:
        """Return the BLAKE3 of a model's weights in the epoch that has this seed."""
        known = self._hashes_in(seed)
        if model not in known:
            known[model] = _soma_sdk.commitment(await self.fetch_model(model))
        return known[model]

    def _hashes_in(self, seed: str) -> dict[str, str]:
        if self._hashes_seed != seed:
            self._hashes_seed, self._hashes = seed, {}
        return self._hashes

    def _note_hashes(
        self,
        models: Sequence[object],
        found: list[Contest | str],
        seed: str,
    ) -> None:
        """Keep the weights' hashes of models that were scored with by their ids."""
        contest = next((entry for entry in found if isinstance(entry, scoring.Contest)), None)
        if contest is None:
            return
        for model, weights in zip(models, contest.weights, strict=True):
            if _names_model(model):
                self._hashes_in(seed)[given.name(cast("Named", model))] = weights

    async def reveal_pending_submissions(self, signer: Keypair) -> list[str]:
        """Reveal what an earlier run committed, hand over what has won; return the submissions' ids."""
        return cast(
            "list[str]",
            await self._ask(_soma_sdk.reveal_submissions(self._native, given.signer(signer))),
        )

    # Scoring.

    @overload
    async def score(
        self,
        models: Sequence[Named | Weights] | Named | Weights,
        data: bytes | bytearray | memoryview,
        target_embedding: Iterable[float] | None = None,
        seed: str | None = None,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Contest: ...

    @overload
    async def score(
        self,
        models: Sequence[Named | Weights] | Named | Weights,
        data: list[Data] | tuple[Data, ...],
        target_embedding: Iterable[float] | None = None,
        seed: str | None = None,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> list[Contest | str]: ...

    @overload
    async def score(
        self,
        models: Sequence[Named | Weights] | Named | Weights,
        data: Any,
        target_embedding: Iterable[float] | None = None,
        seed: str | None = None,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Contest: ...

    async def score(
        self,
        models: Sequence[Named | Weights] | Named | Weights,
        data: Data | list[Data] | tuple[Data, ...],
        target_embedding: Iterable[float] | None = None,
        seed: str | None = None,
        *,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Contest | list[Contest | str]:
        """Score documents with models on this machine, exactly, as the network will.

        Models are ids, files or bytes. `seed` names SIGReg's directions: the current epoch's unless
        given, as a submission needs it. A list of documents gives a list: each document's contest, or
        why it has none. `progress(done, total)` is called in tokens, from the event loop.
        """
        listed = list(models) if isinstance(models, (list, tuple)) else [models]
        state = (await self._ask(self._native.epoch()))["state"]
        architecture = scoring.architecture_text(state["architecture"])
        wanted = scoring.direction(target_embedding, architecture)
        weights = [await self._weights(cast("Named | Weights", model)) for model in listed]
        many = isinstance(data, (list, tuple))
        operation = _soma_sdk.score(
            weights,
            [scoring.document(entry) for entry in data] if many else [scoring.document(data)],
            architecture,
            state["seed"] if seed is None else seed,
            scoring.threads_of(threads),
            None if progress is None else _on_loop(progress),
        )
        found = scoring.contests(await self._run(operation), wanted)
        self._note_hashes(listed, found, state["seed"])
        return found if many else scoring.one(found)

    async def _weights(self, model: Named | Weights) -> bytes | str:
        if _names_model(model):
            return await self.fetch_model(cast("Named", model))
        return scoring.weights(cast("Weights", model))

    async def _receipt(self, operation: Operation) -> Receipt:
        return Receipt.read(await self._ask(operation))


def _is_cancelling() -> bool:
    """Whether the task that runs is being cancelled itself."""
    task = asyncio.current_task()
    cancelling = getattr(task, "cancelling", None)
    return bool(cancelling()) if cancelling is not None else False


def _on_loop(progress: Progress) -> Callable[[int, int], object]:
    """Call `progress` from the event loop."""
    loop = asyncio.get_running_loop()
    return lambda done, total: loop.call_soon_threadsafe(progress, done, total)


def _runs(task: asyncio.Task[Any], here: asyncio.AbstractEventLoop) -> bool:
    """Whether a task still runs, in this loop or in one that goes on."""
    loop = task.get_loop()
    return not task.done() and (loop is here or loop.is_running())


def _names_model(model: object) -> bool:
    """Whether a model is given by its id, and not as a file or its bytes."""
    if isinstance(model, str):
        return given.ID.fullmatch(model) is not None
    return isinstance(model, (Model, Target, Submission))


def _limit(limit: int | None) -> int:
    return _LISTED if limit is None else given.count("limit", limit)


def _epoch(epoch: int | None) -> int | None:
    return None if epoch is None else given.count("epoch", epoch)
