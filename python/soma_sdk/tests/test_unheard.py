"""What an earlier run has handed in and was not told of: it is known before anything is decided.

The runs share a folder and have a client each, as processes have. The first loses a transaction's
answer at a chosen place, and ends there. The next encrypts anew, as a script does that is started again.
"""

import asyncio
import contextlib
import json
import time
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from hosts import random_weights
from localnet import Localnet
from proxy import before

from soma_sdk import Keypair, SomaClient, errors

EMBEDDING = [1.0, -1.0] * 64
COMMISSION = 300
TRANSACTIONS = b"/v1/transactions"


async def sent(client: SomaClient, keys: Keypair) -> int:
    """How many transactions of an account are included."""
    return int((await client._ask(client._native.account(keys.address())))["nonce"])


async def ends_at(
    localnet: Localnet,
    home: Path,
    transaction: int,
    what: str,
    call: Callable[[SomaClient], Awaitable[object]],
) -> None:
    """Make a call in a run whose n-th transaction gets no answer, and which ends then.

    `what` becomes of it: the node gets it (`swallow`), or does not (`hang`).
    """
    handed_in = 0
    ended = asyncio.Event()

    def rule(method: bytes, path: bytes) -> str:
        nonlocal handed_in
        if ended.is_set():
            return "hang"
        handed_in += (method, path) == (b"POST", TRANSACTIONS)
        if handed_in < transaction:
            return "pass"
        ended.set()
        return what

    async with before(localnet.port) as proxy, SomaClient(proxy.url, home=home) as client:
        proxy.rule = rule
        running = asyncio.ensure_future(call(client))
        await ended.wait()
        # What is swallowed is on its way to the node: the next run finds it there.
        await asyncio.sleep(0.2)
        running.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await running


async def included(client: SomaClient, keys: Keypair, count: int) -> None:
    """Wait until so many transactions of an account are included."""
    while await sent(client, keys) < count:
        await asyncio.sleep(0.05)


async def test_a_script_that_begins_anew_goes_on(
    localnet: Localnet, home: Path, client: SomaClient, rich: Keypair
) -> None:
    """With a container of its own each time: the model, the stake and the deeds are one run's."""
    weights = random_weights(60)
    begun = await sent(client, rich)

    def encrypted() -> bytes:
        return SomaClient.encrypt_weights(weights)[0]

    def commit(run: SomaClient) -> Awaitable[str]:
        return run.commit_model(rich, None, encrypted(), COMMISSION)

    await ends_at(localnet, home, 2, "swallow", commit)
    await included(client, rich, begun + 2)
    async with SomaClient("testnet", home=home) as second:
        model = await commit(second)
        await second.wait_for_next_epoch()

    async def reveal(run: SomaClient, embedding: list[float]) -> int:
        container, key = SomaClient.encrypt_weights(weights)
        await run.commit_model(rich, None, container, COMMISSION)
        return await run.reveal_model(rich, model, None, container, key, embedding)

    await ends_at(localnet, home, 1, "swallow", lambda run: reveal(run, EMBEDDING))
    async with SomaClient("testnet", home=home) as last:
        # Its embedding differs, as that of weights which are measured anew does.
        competes_from = await reveal(last, [2.0, -1.0] * 64)
        assert await last.wait_for_epoch(competes_from) >= competes_from
        assert await last.fetch_model(model) == weights
    assert await sent(client, rich) == begun + 3
    assert [found.id for found in await client.get_models(owner=rich)] == [model]
    assert await client.get_pending_models(rich) == []


async def test_a_commit_that_is_included_late_is_waited_for(
    localnet: Localnet, home: Path, client: SomaClient, rich: Keypair
) -> None:
    """It is included just before the next run asks which models there are."""
    first, _ = SomaClient.encrypt_weights(random_weights(61))
    await ends_at(localnet, home, 2, "hang", lambda run: run.commit_model(rich, None, first, COMMISSION))
    begun = await sent(client, rich)
    (late,) = home.glob(f"**/account-{rich.address()[2:]}/*.bin")
    transaction = late.read_bytes()

    def include() -> None:
        request = urllib.request.Request(f"{localnet.url}{TRANSACTIONS.decode()}", transaction, method="POST")
        request.add_header("content-type", "application/octet-stream")
        with contextlib.suppress(urllib.error.HTTPError), urllib.request.urlopen(request, timeout=10):
            pass
        account = f"{localnet.url}/v1/accounts/{rich.address()}"
        while int(json.loads(urllib.request.urlopen(account, timeout=10).read())["nonce"]) == begun:
            time.sleep(0.05)

    arrived = asyncio.Event()

    def rule(_method: bytes, path: bytes) -> str:
        if path.startswith(b"/v1/models?") and not arrived.is_set():
            arrived.set()
            include()
        return "pass"

    async with before(localnet.port) as proxy, SomaClient(proxy.url, home=home) as run:
        proxy.rule = rule
        container, _ = SomaClient.encrypt_weights(random_weights(62))
        with pytest.raises(errors.UnheardCommit):
            await run.commit_model(rich, None, container, COMMISSION)
    assert await sent(client, rich) == begun + 1
    assert len(await client.get_models(owner=rich)) == 1


async def test_other_weights_make_no_second_model_unknowingly(
    localnet: Localnet, home: Path, client: SomaClient, rich: Keypair
) -> None:
    begun = await sent(client, rich)
    first, _ = SomaClient.encrypt_weights(random_weights(63))
    await ends_at(localnet, home, 2, "swallow", lambda run: run.commit_model(rich, None, first, COMMISSION))
    await included(client, rich, begun + 2)
    other, _ = SomaClient.encrypt_weights(random_weights(64))
    for _ in range(2):
        async with SomaClient("testnet", home=home) as run:
            with pytest.raises(errors.UnheardCommit, match="get_pending_models"):
                await run.commit_model(rich, None, other, COMMISSION)
            # Nor do the same weights where they are hosted at an address: what lies there is new.
            again, _ = SomaClient.encrypt_weights(random_weights(63))
            with pytest.raises(errors.UnheardCommit):
                await run.commit_model(rich, "https://example.org/weights.enc", again, COMMISSION)
    (model,) = await client.get_models(owner=rich)
    assert [due.hash for due in await client.get_pending_models(rich)] == [model.committed_hash]
    assert await sent(client, rich) == begun + 2
    # Told of it, a second model is meant.
    assert await client.commit_model(rich, None, first, COMMISSION) == model.id
    assert await client.commit_model(rich, None, other, COMMISSION) != model.id
